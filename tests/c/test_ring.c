/* test_ring.c - the ring alone: full, empty, wrap of slots and of indices,
 * and a producer and a consumer thread at full speed.
 */
/* sources: rn_ring.c */
/* weaken: tail head */
#include "rn_ring.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "rn_check.h"

#define JUST_BELOW_WRAP (UINT32_MAX - 2)

static _Alignas(RN_LINE) unsigned char storage[1024 * RN_SLOT];

/* A slot says its number in each of its words, so a torn one shows. */
struct slot {
    uint64_t words[RN_SLOT / 8];
};

static struct slot
numbered(uint64_t number)
{
    struct slot slot;

    for (size_t i = 0; i < RN_SLOT / 8; i++) {
        slot.words[i] = number * 31 + i;
    }
    return slot;
}

static void
check_slot(const struct slot *slot, uint64_t number)
{
    struct slot expected = numbered(number);

    CHECK(memcmp(&expected, slot, RN_SLOT) == 0);
}

static int
push_number(struct rn_ring *ring, uint64_t number)
{
    struct slot slot = numbered(number);

    return rn_ring_push(ring, &slot);
}

/* Every slot is usable; a full ring refuses and changes nothing. */
static void
test_full_and_empty(uint32_t capacity, uint32_t first)
{
    struct rn_ring ring;
    struct slot out;

    rn_ring_init(&ring, storage, capacity, first);
    CHECK_EQ(0, rn_ring_take(&ring, &out, 1));
    for (uint32_t i = 0; i < capacity; i++) {
        CHECK_EQ(i, rn_ring_count(&ring));
        CHECK(push_number(&ring, i) == 0);
    }
    CHECK(push_number(&ring, 99) == -1);
    CHECK(rn_ring_claim(&ring) == NULL);
    CHECK_EQ(capacity, rn_ring_count(&ring));
    for (uint32_t i = 0; i < capacity; i++) {
        CHECK_EQ(1, rn_ring_take(&ring, &out, 1));
        check_slot(&out, i);
    }
    CHECK_EQ(0, rn_ring_take(&ring, &out, 1));
    CHECK_EQ(0, rn_ring_count(&ring));
}

/* Any mix of pushes and takes, across the wrap of slots and indices. */
static void
test_mixed(uint32_t capacity, uint32_t first)
{
    struct rn_ring ring;
    struct slot out[16];
    uint64_t pushed = 0;
    uint64_t taken = 0;

    rn_ring_init(&ring, storage, capacity, first);
    for (uint32_t round = 0; round < 2000; round++) {
        for (uint32_t i = 0; i < round % 7; i++) {
            pushed += push_number(&ring, pushed) == 0;
        }
        CHECK(pushed - taken <= capacity);
        CHECK_EQ(pushed - taken, rn_ring_count(&ring));
        uint32_t want = round % 11;
        uint32_t had = (uint32_t)(pushed - taken);
        uint32_t got = rn_ring_take(&ring, out, want);
        CHECK_EQ(want < had ? want : had, got);
        for (uint32_t i = 0; i < got; i++) {
            check_slot(&out[i], taken++);
        }
    }
}

/* A claimed slot is not queued before it is published. */
static void
test_claim(void)
{
    struct rn_ring ring;
    struct slot out;
    struct slot slot = numbered(5);

    rn_ring_init(&ring, storage, 4, JUST_BELOW_WRAP);
    void *claimed = rn_ring_claim(&ring);
    CHECK(claimed != NULL && claimed == rn_ring_claim(&ring));
    memcpy(claimed, &slot, RN_SLOT);
    CHECK_EQ(0, rn_ring_take(&ring, &out, 1));
    rn_ring_publish(&ring);
    CHECK_EQ(1, rn_ring_take(&ring, &out, 1));
    check_slot(&out, 5);
}

/* Peek shows runs in place, ends them at the wrap, and takes nothing. */
static void
test_peek(void)
{
    struct rn_ring ring;
    const void *slots;
    const struct slot *run;

    rn_ring_init(&ring, storage, 8, JUST_BELOW_WRAP - 3);
    for (uint64_t i = 0; i < 8; i++) {
        CHECK(push_number(&ring, i) == 0);
    }
    /* The indices start at slot 2: six slots to the wrap, two after it. */
    CHECK_EQ(4, rn_ring_peek(&ring, &slots, 4));
    CHECK_EQ(6, rn_ring_peek(&ring, &slots, 100));
    run = slots;
    for (uint64_t i = 0; i < 6; i++) {
        check_slot(&run[i], i);
    }
    CHECK(push_number(&ring, 8) == -1);
    rn_ring_release(&ring, 5);
    CHECK(push_number(&ring, 8) == 0);
    CHECK_EQ(1, rn_ring_peek(&ring, &slots, 100));
    check_slot(slots, 5);
    rn_ring_release(&ring, 1);
    CHECK_EQ(3, rn_ring_peek(&ring, &slots, 100));
    check_slot(slots, 6);
    rn_ring_release(&ring, 3);
    CHECK_EQ(0, rn_ring_peek(&ring, &slots, 100));
}

struct race {
    struct rn_ring ring;
    uint64_t count;
};

static void *
produce(void *arg)
{
    struct race *race = arg;

    for (uint64_t i = 0; i < race->count; i++) {
        while (push_number(&race->ring, i) != 0) {
            sched_yield();
        }
    }
    return NULL;
}

/* In turn by copy and in place, so both ways meet the producer. */
static uint64_t
consume(struct rn_ring *ring, uint64_t number, int in_place)
{
    struct slot out[64];
    const void *slots = out;
    uint32_t count = in_place ? rn_ring_peek(ring, &slots, 64)
                              : rn_ring_take(ring, out, 64);

    for (uint32_t i = 0; i < count; i++) {
        check_slot((const struct slot *)slots + i, number + i);
    }
    if (in_place) {
        rn_ring_release(ring, count);
    }
    return count;
}

/* Two threads: every record once, whole, in order. */
static void
test_two_threads(uint32_t capacity, uint64_t count)
{
    struct race race = {.count = count};
    pthread_t producer;
    uint64_t number = 0;

    rn_ring_init(&race.ring, storage, capacity, UINT32_MAX - 1000);
    CHECK(pthread_create(&producer, NULL, produce, &race) == 0);
    for (uint64_t round = 0; number < count; round++) {
        uint64_t got = consume(&race.ring, number, (int)(round & 1));
        number += got;
        if (got == 0) {
            sched_yield();
        }
    }
    CHECK(pthread_join(producer, NULL) == 0);
    CHECK_EQ(0, rn_ring_count(&race.ring));
}

int
main(void)
{
    static const uint32_t starts[] = {0, 5, JUST_BELOW_WRAP, UINT32_MAX};

    for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
        for (uint32_t capacity = 2; capacity <= 1024; capacity *= 2) {
            test_full_and_empty(capacity, starts[i]);
            test_mixed(capacity, starts[i]);
        }
    }
    test_claim();
    test_peek();
    test_two_threads(2, RN_ROUNDS(200000, 20000));
    test_two_threads(1024, RN_ROUNDS(20000000, 500000));
    return 0;
}
