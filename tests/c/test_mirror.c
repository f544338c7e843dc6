/* test_mirror.c - the mirror against a naive table, with news lost, memory
 * gone and comparisons interrupted by more news.
 */
/* sources: rn_mirror.c rn_entry.c rn_rows.c rn_list.c rn_compare.c rn_store.c rn_pool.c */
/* sanitizers: address */
#include "rn_mirror.h"

#include <string.h>
#include <time.h>

#include "rn_alloc.h"
#include "rn_check.h"

long rn_alloc_fail_at;
long rn_alloc_calls;

#define PREFIXES 6
#define METRICS 2
#define ENTRIES 6 /* of one key */
#define HOPS 3
#define ROWS 4096

/* The kernel, as simple as can be: per key an array of entries. */
struct truth_entry {
    struct rn_entry entry;
    struct rn_hop hops[HOPS];
};
static struct truth_entry truth[PREFIXES][METRICS][ENTRIES];
static unsigned truth_count[PREFIXES][METRICS];

/* A consumer: the rows it knows of, by key. */
static struct rn_record rows[ROWS];
static size_t row_count;
static uint64_t emitted;
static uint64_t state;

static int
same_key(const struct rn_record *a, const struct rn_record *b)
{
    return a->table == b->table && a->metric == b->metric &&
           a->interface_index == b->interface_index &&
           a->ordinal == b->ordinal && a->tos == b->tos &&
           a->prefix_length == b->prefix_length &&
           a->source_length == b->source_length &&
           a->ip_version == b->ip_version &&
           a->next_hop_version == b->next_hop_version &&
           !memcmp(a->destination, b->destination, 16) &&
           !memcmp(a->source, b->source, 16) &&
           !memcmp(a->next_hop, b->next_hop, 16);
}

static size_t
row_find(const struct rn_record *record)
{
    size_t i = 0;

    while (i < row_count && !same_key(&rows[i], record)) {
        i++;
    }
    return i;
}

/* What the row was is told exactly when that differs from what it is. */
static void
check_was(const struct rn_record *row, const struct rn_record *record)
{
    int differ = row->protocol != record->protocol ||
                 row->route_type != record->route_type;

    CHECK_EQ(record->type == RN_PARAMETER && differ, rn_was_said(record));
    if (rn_was_said(record)) {
        CHECK_EQ(row->protocol, rn_was_protocol(record));
        CHECK_EQ(row->route_type, rn_was_route_type(record));
    }
}

/* Strict: an ADD of what is there, or news of what is not, is an error. */
static void
consume(void *self, struct rn_record *record)
{
    size_t at = row_find(record);

    (void)self;
    emitted++;
    if (record->type == RN_ADD) {
        CHECK(at == row_count && row_count < ROWS);
        row_count++;
    } else {
        CHECK(at < row_count);
        check_was(&rows[at], record);
    }
    if (record->type == RN_DELETE) {
        rows[at] = rows[--row_count];
    } else {
        rows[at] = *record;
        rows[at].type = rows[at].cause = 0;
        rows[at].sequence = 0;
    }
}

static size_t each_count;

static void
same_as_consumed(void *self, struct rn_record *record)
{
    size_t at = row_find(record);

    (void)self;
    CHECK(at < row_count);
    CHECK(!memcmp(&rows[at], record, sizeof(*record)));
    each_count++;
}

/* What was emitted gives what the mirror holds. */
static void
check_consumed(const struct rn_mirror *mirror)
{
    each_count = 0;
    rn_mirror_each(mirror, 0, same_as_consumed, NULL);
    CHECK_EQ(row_count, each_count);
    CHECK_EQ(row_count, rn_mirror_rows(mirror, 0));
}

/* How many rows of truth say what the record says. */
static unsigned
truth_says(const struct rn_record *record)
{
    unsigned prefix = record->destination[1];
    unsigned metric = record->metric;
    unsigned found = 0;

    for (unsigned e = 0; e < truth_count[prefix][metric]; e++) {
        const struct truth_entry *t = &truth[prefix][metric][e];
        for (unsigned h = 0; h < t->entry.hop_count; h++) {
            found += t->hops[h].if_index == record->interface_index &&
                     !memcmp(t->hops[h].gateway, record->next_hop, 16) &&
                     t->entry.protocol == record->protocol &&
                     t->entry.mtu == record->mtu &&
                     t->hops[h].flags == record->flags;
        }
    }
    return found;
}

/* What was emitted is the truth, row for row. */
static void
check_truth(void)
{
    size_t count = 0;

    for (unsigned p = 0; p < PREFIXES; p++) {
        for (unsigned m = 0; m < METRICS; m++) {
            for (unsigned e = 0; e < truth_count[p][m]; e++) {
                count += truth[p][m][e].entry.hop_count;
            }
        }
    }
    CHECK_EQ(count, row_count);
    for (size_t i = 0; i < row_count; i++) {
        unsigned same = 0;
        for (size_t j = 0; j < row_count; j++) {
            struct rn_record other = rows[j];
            other.ordinal = rows[i].ordinal;
            same += !memcmp(&other, &rows[i], sizeof(other));
        }
        CHECK_EQ(truth_says(&rows[i]), same);
    }
}

static unsigned
below(unsigned bound)
{
    return rn_check_below(&state, bound);
}

static struct truth_entry
some_entry(unsigned prefix, unsigned metric)
{
    struct truth_entry t = {.entry = {.ip_version = 4,
                                      .prefix_length = 16,
                                      .table = 254,
                                      .route_type = 1,
                                      .destination = {10},
                                      .metric = metric}};

    t.entry.destination[1] = (uint8_t)prefix;
    t.entry.protocol = (uint8_t)(3 + below(2));
    t.entry.mtu = below(4) ? 0 : 1400;
    t.entry.hop_count = below(3) ? 1 : 1 + below(HOPS);
    for (unsigned h = 0; h < t.entry.hop_count; h++) {
        t.hops[h].gateway_version = 4;
        t.hops[h].gateway[0] = 10;
        t.hops[h].gateway[3] = (uint8_t)(1 + below(3));
        t.hops[h].if_index = 2 + below(2);
    }
    return t;
}

/* The hops belong to the copy that is used. */
static struct rn_entry *
entry_of(struct truth_entry *t)
{
    t->entry.hops = t->hops;
    return &t->entry;
}

/* Some news are expected, as all are that come by recvmmsg(). */
static const struct rn_entry *
news_of(const struct rn_mirror *mirror, struct truth_entry *t)
{
    struct rn_entry *entry = entry_of(t);

    if (below(2)) {
        rn_mirror_expect(mirror, &entry, 1);
    }
    return entry;
}

static int
entries_equal(const struct truth_entry *a, const struct truth_entry *b)
{
    return a->entry.protocol == b->entry.protocol &&
           a->entry.mtu == b->entry.mtu &&
           a->entry.hop_count == b->entry.hop_count &&
           !memcmp(a->hops, b->hops, sizeof(a->hops));
}

static unsigned
truth_find(unsigned prefix, unsigned metric, const struct truth_entry *t)
{
    unsigned e = 0;

    while (e < truth_count[prefix][metric] &&
           !entries_equal(&truth[prefix][metric][e], t)) {
        e++;
    }
    return e;
}

static void
truth_insert(unsigned prefix, unsigned metric, unsigned at,
             const struct truth_entry *t)
{
    struct truth_entry *list = truth[prefix][metric];

    memmove(&list[at + 1], &list[at],
            (truth_count[prefix][metric]++ - at) * sizeof(*list));
    list[at] = *t;
}

static void
truth_remove(unsigned prefix, unsigned metric, unsigned at)
{
    struct truth_entry *list = truth[prefix][metric];

    memmove(&list[at], &list[at + 1],
            (--truth_count[prefix][metric] - at) * sizeof(*list));
}

static int needs; /* what the mirror asked for since the last comparison */

static int
added(struct rn_mirror *mirror, struct truth_entry *t, int place)
{
    needs |= rn_mirror_added(mirror, news_of(mirror, t), place);
    return 1;
}

/* Does the kernel add this?  Then it says so, unless the news is lost. */
static int
add_one(struct rn_mirror *mirror, int lost)
{
    unsigned p = below(PREFIXES);
    unsigned m = below(METRICS);
    unsigned count = truth_count[p][m];
    struct truth_entry t = some_entry(p, m);
    unsigned same = truth_find(p, m, &t);
    int place = RN_PLACE_EXCL | RN_PLACE_CREATE;

    if (same < count || count == ENTRIES) {
        return 0;
    }
    if (count && below(2)) {
        truth[p][m][0] = t;
        place = RN_PLACE_REPLACE;
    } else if (count && below(2)) {
        truth_insert(p, m, count, &t);
        place = RN_PLACE_CREATE | RN_PLACE_APPEND;
    } else {
        truth_insert(p, m, 0, &t);
        place = count ? RN_PLACE_CREATE : place;
    }
    return lost ? 0 : added(mirror, &t, place);
}

static void
delete_one(struct rn_mirror *mirror, int lost)
{
    unsigned p = below(PREFIXES);
    unsigned m = below(METRICS);
    unsigned count = truth_count[p][m];

    if (count) {
        unsigned at = below(count);
        struct truth_entry t = truth[p][m][at];
        truth_remove(p, m, at);
        if (!lost) {
            needs |= rn_mirror_deleted(mirror, news_of(mirror, &t));
        }
    }
}

/* What is expected need not come, and expecting it changes nothing. */
static void
expect_some(struct rn_mirror *mirror)
{
    struct truth_entry some[100];
    struct rn_entry *entries[100];
    const uint64_t before = emitted;

    for (unsigned i = 0; i < 100; i++) {
        some[i] = some_entry(below(PREFIXES), below(METRICS));
        some[i].entry.ip_version = below(2) ? 4 : 6;
        entries[i] = &some[i].entry;
    }
    rn_mirror_expect(mirror, entries, 1 + below(100));
    CHECK_EQ(before, emitted);
}

static void
one_change(struct rn_mirror *mirror, int lost)
{
    if (below(10) == 0) {
        expect_some(mirror);
    }
    if (below(5) < 3) {
        add_one(mirror, lost);
    } else {
        delete_one(mirror, lost);
    }
}

/* Dump the truth as it moves: changes come between its entries, and their
 * news with them.  Return: RN_NEED_MEMORY, or 0.
 */
static int
dump(struct rn_mirror *mirror, unsigned changes)
{
    int need = 0;

    for (unsigned p = 0; p < PREFIXES; p++) {
        for (unsigned m = 0; m < METRICS; m++) {
            for (unsigned e = 0; e < truth_count[p][m]; e++) {
                struct truth_entry t = truth[p][m][e];
                need |= rn_mirror_dumped(mirror, entry_of(&t));
            }
            if (changes && below(4) == 0) {
                changes--;
                one_change(mirror, 0);
            }
        }
    }
    return need & RN_NEED_MEMORY;
}

/* Compare, first while routes move, then until nothing is in doubt. */
static void
compare(struct rn_mirror *mirror)
{
    int again = 0;
    size_t left = 1;

    for (int i = 0; left; i++) {
        CHECK(i < 20);
        rn_alloc_fail_at = i < 2 ? rn_alloc_fail_at : 0;
        needs = 0;
        rn_mirror_begin(mirror, 4, again, 0);
        if (dump(mirror, i == 0 ? 3 : 0)) {
            rn_mirror_abandon(mirror, 4);
            again = 0;
        } else {
            left = rn_mirror_finish(mirror, 4, 1, 0);
            again = left != SIZE_MAX;
        }
        left = needs && !left ? 1 : left;
        again &= needs == 0;
        check_consumed(mirror);
    }
}

static void
start(void)
{
    memset(truth_count, 0, sizeof(truth_count));
    row_count = 0;
    needs = 0;
}

/* A history: news, some of them lost, comparisons, now and then no memory. */
static void
history(int with_losses, int with_failures)
{
    struct rn_mirror *mirror;

    start();
    mirror = rn_mirror_new(consume, NULL);
    for (unsigned i = 0; i < 200; i++) {
        if (with_failures && below(20) == 0) {
            rn_alloc_fail_at = rn_alloc_calls + 1 + below(6);
        }
        one_change(mirror, with_losses && below(8) == 0);
        check_consumed(mirror);
        if (with_losses ? below(40) == 0 : needs) {
            CHECK(with_losses || with_failures);
            compare(mirror);
            check_truth();
        }
        rn_alloc_fail_at = below(3) ? rn_alloc_fail_at : 0;
    }
    rn_alloc_fail_at = 0;
    if (with_losses || needs) {
        compare(mirror);
    }
    check_truth();
    rn_mirror_free(mirror);
}

/* Every allocation of a start-up and a table of some size fails once. */
static void
every_allocation_fails_once(void)
{
    long at = 1;

    for (int done = 0; !done; at++) {
        struct rn_mirror *mirror;
        start();
        rn_alloc_calls = 0;
        rn_alloc_fail_at = at;
        mirror = rn_mirror_new(consume, NULL);
        for (unsigned i = 0; mirror && i < 60; i++) {
            one_change(mirror, 0);
        }
        done = rn_alloc_calls < at;
        rn_alloc_fail_at = 0;
        if (mirror) {
            compare(mirror);
            check_truth();
        }
        rn_mirror_free(mirror);
    }
    CHECK(at > 4);
}

/* A million IPv4 routes: what they cost, and that they all go again. */
static void
many(void)
{
    const uint32_t count = RN_ROUNDS(1000000, 50000);
    struct truth_entry t = some_entry(0, 0);
    struct rn_mirror *mirror;

    start();
    mirror = rn_mirror_new(consume, NULL);
    rn_mirror_begin(mirror, 4, 0, 0);
    for (uint32_t i = 0; i < count; i++) {
        memcpy(t.entry.destination, &i, sizeof(i));
        t.entry.prefix_length = 32;
        CHECK_EQ(0, rn_mirror_dumped(mirror, entry_of(&t)));
    }
    CHECK_EQ(0, rn_mirror_finish(mirror, 4, 1, 1));
    CHECK_EQ(count * (uint64_t)t.entry.hop_count, rn_mirror_rows(mirror, 4));
    printf("bytes a row: %zu\n",
           rn_mirror_bytes(mirror) / rn_mirror_rows(mirror, 4));
    rn_mirror_begin(mirror, 4, 0, 0);
    CHECK_EQ(0, rn_mirror_finish(mirror, 4, 1, 1));
    CHECK_EQ(0, rn_mirror_rows(mirror, 0));
    rn_mirror_free(mirror);
}

static uint32_t had[UINT16_MAX + 1u]; /* rows by ordinal */

static void
count_ordinal(void *self, struct rn_record *record)
{
    (void)self;
    had[record->ordinal] += record->type == RN_ADD ? 1u : UINT32_MAX;
}

/* More equal hops than there are ordinals: each is used once, the last one by
 * all the rest.  It took the third power of their number, and never ended.
 */
static void
more_equal_rows_than_ordinals(void)
{
    const uint32_t count = UINT16_MAX + 100u;
    struct rn_hop *hops = calloc(count, sizeof(*hops));
    struct rn_entry entry = {.ip_version = 4,
                             .table = 254,
                             .route_type = 1,
                             .hop_count = count,
                             .hops = hops};
    struct rn_mirror *mirror = rn_mirror_new(count_ordinal, NULL);

    for (uint32_t i = 0; i < count; i++) {
        hops[i].if_index = 7;
    }
    CHECK_EQ(0, rn_mirror_added(mirror, &entry, RN_PLACE_EXCL));
    for (uint32_t i = 0; i < UINT16_MAX; i++) {
        CHECK_EQ(1, had[i]);
    }
    CHECK_EQ(100, had[UINT16_MAX]);
    CHECK_EQ(0, rn_mirror_deleted(mirror, &entry));
    for (uint32_t i = 0; i <= UINT16_MAX; i++) {
        CHECK_EQ(0, had[i]);
    }
    rn_mirror_free(mirror);
    free(hops);
}

/* A row that stays keeps its ordinal though the one before it goes: siblings
 * that differ in their encapsulation alone.  The first one's was given to it.
 */
static void
an_ordinal_is_for_life(void)
{
    struct truth_entry t = {.entry = {.ip_version = 6,
                                      .prefix_length = 16,
                                      .table = 254,
                                      .metric = 1024,
                                      .route_type = 1,
                                      .hop_count = 1}};
    struct truth_entry both;
    struct rn_mirror *mirror;

    start();
    mirror = rn_mirror_new(consume, NULL);
    t.hops[0] = (struct rn_hop){
        .gateway = {0xfe, 0x80}, .gateway_version = 6, .if_index = 2};
    t.hops[0].encap = 100;
    CHECK_EQ(0, rn_mirror_added(mirror, entry_of(&t), RN_PLACE_CREATE));
    both = t;
    both.entry.hop_count = 2;
    both.hops[1] = t.hops[0];
    both.hops[0].encap = 200; /* the new one comes first in the message */
    CHECK_EQ(0, rn_mirror_added(mirror, entry_of(&both), RN_PLACE_APPEND));
    CHECK_EQ(2, row_count);

    uint64_t before = emitted;
    CHECK_EQ(0, rn_mirror_deleted(mirror, news_of(mirror, &t)));
    CHECK_EQ(before + 1, emitted); /* a DELETE */
    CHECK_EQ(1, row_count);
    CHECK_EQ(1, rows[0].ordinal);
    check_consumed(mirror);
    rn_mirror_free(mirror);
}

/* Who expects news finds what came unexpected, from a dump say, and the other
 * way round; with a source prefix, whose number nobody can expect, as well.
 */
static void
a_key_is_the_same_expected_or_not(void)
{
    struct rn_entry plain = {.ip_version = 6, .prefix_length = 16, .table = 9};
    struct rn_entry sourced = plain;

    sourced.source_length = 32;
    sourced.source[0] = 0x20;
    for (int i = 0; i < 8; i++) {
        struct rn_entry entry = i & 1 ? sourced : plain;
        struct rn_entry *expected = &entry;
        struct rn_mirror *mirror = rn_mirror_new(consume, NULL);

        start();
        for (int deletes = 0; deletes < 2; deletes++) {
            entry.hash = 0;
            if (i >> deletes & 2) {
                rn_mirror_expect(mirror, &expected, 1);
            }
            CHECK_EQ(
                0, deletes ? rn_mirror_deleted(mirror, &entry)
                           : rn_mirror_added(mirror, &entry, RN_PLACE_CREATE));
            CHECK_EQ(!deletes, row_count);
        }
        rn_mirror_free(mirror);
    }
}

int
main(void)
{
    state = rn_check_seed((uint64_t)time(NULL));
    for (int i = 0; i < RN_ROUNDS(600, 60); i++) {
        history(0, 0);
        history(1, 0);
        history(0, 1);
        history(1, 1);
    }
    CHECK(emitted > 10000);
    every_allocation_fails_once();
    many();
    more_equal_rows_than_ordinals();
    an_ordinal_is_for_life();
    a_key_is_the_same_expected_or_not();
    return 0;
}
