/* test_tally.c - counts against a naive model, forgetting at the limit, order,
 * and memory that runs out.
 */
/* sources: rn_tally.c */
/* sanitizers: address */
#include "rn_tally.h"

#include <string.h>
#include <time.h>

#include "rn_alloc.h"
#include "rn_check.h"

long rn_alloc_fail_at;
long rn_alloc_calls;

static struct rn_record
change(uint8_t type, uint32_t destination, int64_t time_ns)
{
    struct rn_record record = {.time_ns = time_ns,
                               .table = 254,
                               .interface_index = 1 + destination % 3,
                               .merged = 1,
                               .protocol = 4,
                               .type = type,
                               .ip_version = 4,
                               .prefix_length = 32};

    memcpy(record.destination, &destination, sizeof(destination));
    return record;
}

static void
count(struct rn_tally *tally, uint8_t type, uint32_t destination, int times)
{
    for (int i = 0; i < times; i++) {
        struct rn_record record = change(type, destination, 1000 + i);
        CHECK_EQ(0, rn_tally_add(tally, &record, 1, 0));
    }
}

static uint32_t
destination_of(const struct rn_tally_entry *entry)
{
    uint32_t destination;

    memcpy(&destination, entry->key.destination, sizeof(destination));
    return destination;
}

#define MODEL 5000

/* Random changes, counted in an array too. */
static void
test_random(void)
{
    static uint64_t model[MODEL][3];
    static const struct rn_tally_entry *top[MODEL];
    struct rn_tally tally;
    uint64_t by_interface[4] = {0};

    rn_tally_init(&tally, MODEL);
    uint64_t state = rn_check_seed((uint64_t)time(NULL));
    for (int i = 0; i < RN_ROUNDS(200000, 20000); i++) {
        uint32_t destination =
            rn_check_below(&state, 1 + rn_check_below(&state, MODEL));
        uint8_t type = (uint8_t)rn_check_below(&state, 3);
        model[destination][type]++;
        by_interface[1 + destination % 3]++;
        count(&tally, type, destination, 1);
    }
    size_t found = rn_tally_top(&tally, RN_TALLY_BY_CHANGES, MODEL, top);
    CHECK_EQ(tally.destinations.used, found);
    for (size_t i = 0; i < found; i++) {
        uint64_t *expected = model[destination_of(top[i])];
        CHECK(memcmp(expected, top[i]->counts, sizeof(*model)) == 0);
        CHECK(i == 0 ||
              rn_tally_changes(top[i - 1]) > rn_tally_changes(top[i]) ||
              (rn_tally_changes(top[i - 1]) == rn_tally_changes(top[i]) &&
               top[i - 1] < top[i]));
        memset(expected, 0, sizeof(*model));
    }
    for (size_t some = 1; some < found; some *= 2) {
        static const struct rn_tally_entry *first[MODEL];
        CHECK_EQ(some, rn_tally_top(&tally, RN_TALLY_BY_CHANGES, some, first));
        CHECK(memcmp(first, top, some * sizeof(*first)) == 0);
    }
    for (size_t i = 0; i < MODEL; i++) { /* and none is missing */
        CHECK_EQ(0, model[i][0] + model[i][1] + model[i][2]);
    }
    for (uint32_t i = 0; i < tally.kinds.used; i++) {
        const struct rn_tally_entry *kind = &tally.kinds.entries[i];
        CHECK_EQ(by_interface[kind->key.interface_index],
                 rn_tally_changes(kind));
    }
    CHECK_EQ(3, tally.kinds.used);
    rn_tally_clear(&tally);
}

/* At the limit the quiet ones go, and the busy ones keep their counts. */
static void
test_limit(void)
{
    const struct rn_tally_entry *top[4];
    struct rn_tally tally;

    rn_tally_init(&tally, 100);
    count(&tally, RN_ADD, 1, 50);
    count(&tally, RN_DELETE, 2, 40);
    count(&tally, RN_ADD, 3, 2); /* one more than the quiet ones */
    for (uint32_t i = 0; i < 97; i++) {
        count(&tally, RN_ADD, 1000 + i, 1);
    }
    count(&tally, RN_ADD, 1, 1); /* known: nothing is forgotten for it */
    CHECK_EQ(0, tally.forgotten);
    count(&tally, RN_ADD, 9000, 1);
    CHECK_EQ(97, tally.forgotten);
    CHECK_EQ(4, tally.destinations.used);
    CHECK_EQ(4, rn_tally_top(&tally, RN_TALLY_BY_CHANGES, 4, top));
    CHECK_EQ(51, top[0]->counts[RN_ADD]);
    CHECK_EQ(40, top[1]->counts[RN_DELETE]);
    CHECK_EQ(3, destination_of(top[2]));
    CHECK_EQ(9000, destination_of(top[3]));
    rn_tally_clear(&tally);
}

static void
test_order(void)
{
    const struct rn_tally_entry *top[4];
    struct rn_tally tally;

    rn_tally_init(&tally, 100);
    count(&tally, RN_ADD, 1, 9);
    count(&tally, RN_ADD, 2, 3);
    count(&tally, RN_DELETE, 2, 4);
    count(&tally, RN_PARAMETER, 3, 20);
    CHECK_EQ(3, rn_tally_top(&tally, RN_TALLY_BY_CHANGES, 4, top));
    CHECK_EQ(3, destination_of(top[0]));
    CHECK_EQ(1, rn_tally_top(&tally, RN_TALLY_BY_FLAPS, 4, top));
    CHECK_EQ(2, destination_of(top[0]));
    CHECK_EQ(3, rn_tally_flaps(top[0]));
    CHECK_EQ(2, rn_tally_top(&tally, RN_TALLY_BY_ADDS, 4, top));
    CHECK_EQ(1, destination_of(top[0]));
    CHECK_EQ(1, rn_tally_top(&tally, RN_TALLY_BY_DELETES, 4, top));
    CHECK_EQ(1, rn_tally_top(&tally, RN_TALLY_BY_TIME, 1, top));
    CHECK_EQ(3, destination_of(top[0]));
    CHECK_EQ(0, rn_tally_top(&tally, RN_TALLY_BY_TIME, 0, top));
    rn_tally_clear(&tally);
}

/* A marker counts nowhere; what one change stands for does; delays fall into
 * the bucket of their upper bound.
 */
static void
test_other_counts(void)
{
    struct rn_record records[] = {
        change(RN_ADD, 1, 1000000),
        {.type = RN_RESYNC_BEGIN, .merged = 1},
        change(RN_ADD, 1, 1000000 - rn_tally_bounds_ns[2]),
        change(RN_ADD, 1, 1000000 - rn_tally_bounds_ns[2] - 1),
        change(RN_ADD, 1, 2000000), /* the clock was set back */
        change(RN_ADD, 1, 1000000 - 20000000000),
    };
    struct rn_tally tally;

    records[0].merged = 5;
    rn_tally_init(&tally, 10);
    CHECK_EQ(0, rn_tally_add(&tally, records, 6, 1000000));
    CHECK_EQ(4, tally.merged);
    CHECK_EQ(5, tally.destinations.entries[0].counts[RN_ADD]);
    CHECK_EQ(2, tally.delays[0]);
    CHECK_EQ(1, tally.delays[2]);
    CHECK_EQ(1, tally.delays[3]);
    CHECK_EQ(1, tally.delays[RN_TALLY_BOUNDS]);
    CHECK_EQ(2 * rn_tally_bounds_ns[2] + 1 + 20000000000, tally.delay_sum_ns);
    rn_tally_clear(&tally);
    CHECK_EQ(0, tally.merged);
    CHECK_EQ(10, tally.limit);
}

/* What could not be counted is said; all before stays and counting goes on. */
static void
test_memory(void)
{
    for (long allowed = 0; allowed < 12; allowed++) {
        struct rn_tally tally;
        uint64_t counted = 0;

        rn_tally_init(&tally, 10000);
        rn_alloc_calls = 0;
        rn_alloc_fail_at = allowed + 1;
        for (uint32_t i = 0; i < 3000; i++) {
            struct rn_record record = change(RN_ADD, i, 1);
            counted += rn_tally_add(&tally, &record, 1, 0) == 0;
        }
        rn_alloc_fail_at = 0;
        CHECK_EQ(counted, tally.destinations.used);
        CHECK(allowed > 3 || counted < 3000);
        count(&tally, RN_ADD, 99999, 1);
        CHECK_EQ(counted + 1, tally.destinations.used);
        rn_tally_clear(&tally);
    }
}

int
main(void)
{
    test_random();
    test_limit();
    test_order();
    test_other_counts();
    test_memory();
    return 0;
}
