/* test_channel_threads.c - the channel between threads: a producer at full
 * speed in and out of the spill map, many waiters on one object, the end.
 */
/* sources: rn_channel.c rn_filter.c rn_filter_prefix.c rn_ring.c rn_spill.c rn_wake.c rn_wake_linux.c rn_wake_posix.c */
/* weaken: tail head spilling ended */
#define _GNU_SOURCE
#include "rn_channel.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "rn_check.h"
#include "rn_check_table.h"

long rn_alloc_fail_at;
long rn_alloc_calls;

/* Longer than any scheduling delay: a wait that lasts this long was lost. */
#define LOST_MS 5000
#define WAITERS 8

static const char *const end_call = "recvmmsg";

struct stage {
    struct rn_channel *channel;
    struct table truth;
    uint64_t seed;
    uint32_t rows;
    uint32_t changes;
    uint32_t burst;       /* changes on average before it waits */
    pthread_mutex_t turn; /* the consumers': what the GIL is in Python */
    uint64_t taken;       /* under turn */
};

static void
stage_init(struct stage *stage, uint32_t capacity, uint64_t seed)
{
    struct rn_channel_config config = {.capacity = capacity};

    memset(stage, 0, sizeof(*stage));
    stage->channel = rn_channel_new(&config);
    CHECK(stage->channel != NULL);
    stage->seed = seed;
    stage->rows = TABLE_ROWS;
    stage->burst = 1;
    CHECK(pthread_mutex_init(&stage->turn, NULL) == 0);
}

static void
stage_done(struct stage *stage)
{
    CHECK(pthread_mutex_destroy(&stage->turn) == 0);
    rn_channel_free(stage->channel);
}

static int64_t
now_ms(void)
{
    struct timespec now;

    CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Nothing else comes to make up for a wake-up that is lost. */
static void
await_emptied(struct stage *stage)
{
    int64_t deadline = now_ms() + LOST_MS;

    rn_channel_flush(stage->channel);
    while (rn_channel_pending(stage->channel)) {
        CHECK(now_ms() < deadline);
        sched_yield();
    }
}

static void *
produce(void *arg)
{
    struct stage *stage = arg;

    for (uint32_t i = 0; i < stage->changes; i++) {
        struct rn_record record =
            table_change(&stage->truth, &stage->seed, stage->rows);
        rn_channel_emit(stage->channel, &record);
        if (rn_check_below(&stage->seed, 8) == 0) {
            rn_channel_flush(stage->channel);
        }
        if (rn_check_below(&stage->seed, stage->burst) == 0) {
            await_emptied(stage);
        }
    }
    rn_channel_flush(stage->channel);
    rn_channel_end(stage->channel, 6, end_call);
    return NULL;
}

static void
check_end(struct stage *stage)
{
    uint32_t code;
    const char *call;

    CHECK(rn_channel_ended(stage->channel, &code, &call));
    CHECK_EQ(6, code);
    CHECK(call == end_call);
}

static uint32_t
take_some(struct stage *stage, struct consumer *consumer, uint64_t *seed)
{
    struct rn_record out[64];
    const struct rn_record *records = out;
    int in_place = (int)rn_check_below(seed, 2);
    uint32_t max = 1 + rn_check_below(seed, 64);
    uint32_t count = in_place ? rn_channel_peek(stage->channel, &records, max)
                              : rn_channel_take(stage->channel, out, max);

    for (uint32_t i = 0; i < count; i++) {
        consumer_apply(consumer, &records[i]);
    }
    if (in_place) {
        rn_channel_release(stage->channel, count);
    }
    return count;
}

/* At times long enough that the producer fills the ring. */
static void
dawdle(uint64_t *seed)
{
    uint32_t turns = rn_check_below(seed, 4) == 0 ? 5000 : 50;

    for (volatile uint32_t n = rn_check_below(seed, turns); n > 0; n--) {
    }
}

/* Until the stream has ended and all was taken. */
static void
consume(struct stage *stage, struct consumer *consumer, uint64_t seed)
{
    uint32_t code;
    const char *call;

    for (;;) {
        /* Before looking: what was queued before the end is then seen. */
        int ended = rn_channel_ended(stage->channel, &code, &call);

        if (take_some(stage, consumer, &seed) != 0) {
            dawdle(&seed);
        } else if (ended) {
            return;
        } else if (!rn_channel_settle(stage->channel)) {
            CHECK(rn_channel_wait(stage->channel, LOST_MS) != 0);
        }
    }
}

/* Whatever the pace of the two: the consumer's table is the producer's. */
static void
test_producer_and_consumer(uint64_t seed, uint32_t capacity, uint32_t rows,
                           uint32_t changes)
{
    static struct stage stage;
    static struct consumer consumer;
    struct rn_channel_stats stats;
    pthread_t producer;

    stage_init(&stage, capacity, seed);
    memset(&consumer, 0, sizeof(consumer));
    stage.rows = rows;
    stage.burst = 4 * capacity;
    stage.changes = changes;
    CHECK(pthread_create(&producer, NULL, produce, &stage) == 0);
    consume(&stage, &consumer, seed ^ UINT64_C(0x5555));
    check_end(&stage);
    CHECK(pthread_join(producer, NULL) == 0);
    CHECK(table_equal(&stage.truth, &consumer.table));
    rn_channel_get_stats(stage.channel, &stats);
    CHECK_EQ(changes, stats.received);
    CHECK_EQ(0, stats.queued);
    CHECK_EQ(changes, stats.conflated + stats.delivered);
    CHECK(stats.conflated >= consumer.merged_away);
    printf("capacity %u, rows %u: %" PRIu64 " of %u conflated\n", capacity,
           rows, stats.conflated, changes);
    stage_done(&stage);
}

/* One turn of one of several threads that all want the next record. */
enum turn { TOOK, EMPTY, OVER };

static enum turn
take_turn(struct stage *stage, int settles)
{
    struct rn_record record;
    uint32_t code;
    const char *call;
    enum turn result = TOOK;

    CHECK(pthread_mutex_lock(&stage->turn) == 0);
    int ended = rn_channel_ended(stage->channel, &code, &call);
    if (rn_channel_take(stage->channel, &record, 1) == 1) {
        stage->taken++;
        if (settles) { /* as one that has handed the descriptor out */
            rn_channel_settle(stage->channel);
        }
    } else if (ended) {
        result = OVER;
    } else if (!rn_channel_settle(stage->channel)) {
        result = EMPTY;
    }
    CHECK(pthread_mutex_unlock(&stage->turn) == 0);
    return result;
}

static void
wait_off_turn(struct stage *stage)
{
    if (rn_channel_wait(stage->channel, LOST_MS) == 0) {
        /* Others may have taken everything for that long: then nothing is
         * there and this is no loss.
         */
        CHECK(pthread_mutex_lock(&stage->turn) == 0);
        CHECK(!rn_channel_pending(stage->channel));
        CHECK(pthread_mutex_unlock(&stage->turn) == 0);
    }
}

static void *
wait_for_more(void *arg)
{
    struct stage *stage = arg;
    enum turn turn;

    for (uint32_t i = 0; (turn = take_turn(stage, (int)(i & 1))) != OVER;
         i++) {
        if (turn == EMPTY) {
            wait_off_turn(stage);
        }
    }
    return NULL;
}

/* Every record is taken by somebody, everybody hears of the end. */
static void
test_many_waiters(uint64_t seed, uint32_t changes, uint32_t burst)
{
    static struct stage stage;
    pthread_t producer;
    pthread_t waiters[WAITERS];

    stage_init(&stage, 1024, seed);
    stage.changes = changes;
    stage.burst = burst;
    for (int i = 0; i < WAITERS; i++) {
        CHECK(pthread_create(&waiters[i], NULL, wait_for_more, &stage) == 0);
    }
    CHECK(pthread_create(&producer, NULL, produce, &stage) == 0);
    CHECK(pthread_join(producer, NULL) == 0);
    for (int i = 0; i < WAITERS; i++) {
        CHECK(pthread_join(waiters[i], NULL) == 0);
    }
    struct rn_channel_stats stats;
    rn_channel_get_stats(stage.channel, &stats);
    CHECK_EQ(changes, stats.conflated + stats.delivered);
    CHECK_EQ(stage.taken, stats.delivered);
    stage_done(&stage);
}

/* Close by a consumer while the others wait on an empty channel. */
static void
test_close_wakes_waiters(uint32_t rounds)
{
    for (uint32_t round = 0; round < rounds; round++) {
        static struct stage stage;
        pthread_t waiters[WAITERS];

        stage_init(&stage, 2, round);
        for (int i = 0; i < WAITERS; i++) {
            CHECK(pthread_create(&waiters[i], NULL, wait_for_more, &stage) ==
                  0);
        }
        rn_channel_end(stage.channel, 0, NULL);
        for (int i = 0; i < WAITERS; i++) {
            CHECK(pthread_join(waiters[i], NULL) == 0);
        }
        stage_done(&stage);
    }
}

/* How many records of a round the consumer lets gather. */
static uint32_t
next_heap(uint64_t *seed)
{
    return 1 + rn_check_below(seed, 8);
}

static void *
produce_heaps(void *arg)
{
    struct stage *stage = arg;
    uint64_t heaps = stage->seed;

    for (uint32_t i = 0; i < stage->changes; i++) {
        for (uint32_t left = next_heap(&heaps); left > 0; left--) {
            struct rn_record record = row_change(RN_ADD, left, 1);
            rn_channel_emit(stage->channel, &record);
            if (rn_check_below(&stage->seed, 3) == 0) {
                rn_channel_flush(stage->channel);
            }
        }
        await_emptied(stage);
    }
    rn_channel_end(stage->channel, 6, end_call);
    return NULL;
}

/* Each heap is announced once, when it is complete; then the end is. */
static void
test_gathering(uint64_t seed, uint32_t rounds)
{
    struct stage stage;
    struct rn_record out[16];
    pthread_t producer;
    uint64_t heaps = seed;

    stage_init(&stage, 32, seed);
    stage.changes = rounds;
    CHECK(pthread_create(&producer, NULL, produce_heaps, &stage) == 0);
    for (uint32_t i = 0; i < rounds; i++) {
        uint32_t heap = next_heap(&heaps);
        while (rn_channel_gather(stage.channel, heap) == 0) {
            CHECK_EQ(1, rn_channel_gather_wait(stage.channel, LOST_MS));
        }
        CHECK_EQ(heap, rn_channel_take(stage.channel, out, heap));
    }
    while (rn_channel_gather(stage.channel, 1) == 0) {
        CHECK_EQ(1, rn_channel_gather_wait(stage.channel, LOST_MS));
    }
    check_end(&stage);
    CHECK(pthread_join(producer, NULL) == 0);
    stage_done(&stage);
}

int
main(void)
{
    uint64_t seed = rn_check_seed((uint64_t)getpid());

    for (uint32_t capacity = 2; capacity <= 1024; capacity *= 8) {
        for (uint32_t rows = 1; rows <= TABLE_ROWS; rows *= 8) {
            test_producer_and_consumer(rn_check_random(&seed), capacity, rows,
                                       RN_ROUNDS(200000, 20000));
        }
    }
    test_many_waiters(rn_check_random(&seed), RN_ROUNDS(100000, 5000), 1);
    test_many_waiters(rn_check_random(&seed), RN_ROUNDS(500000, 20000), 100);
    test_close_wakes_waiters(RN_ROUNDS(500, 50));
    test_gathering(rn_check_random(&seed), RN_ROUNDS(50000, 3000));
    return 0;
}
