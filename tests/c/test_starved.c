/* test_starved.c - news for which there is no memory: nothing is changed and
 * nothing is said, and with memory the same news is applied; and what becomes
 * of the rows of a device that is removed.
 */
/* sources: rn_mirror.c rn_compare.c rn_rows.c rn_entry.c rn_list.c rn_store.c rn_pool.c */
/* sanitizers: address */
#include "rn_mirror.h"

#include <string.h>

#include "rn_check.h"

long rn_alloc_fail_at;
long rn_alloc_calls;

#define CHUNK 16384 /* nodes of one allocation */
#define VALUES 140  /* the pool of values grows at 64 and at 128 */
#define DEPTH 4     /* allocations of one news, at most */
#define ROWS 16     /* of the route that the news are about */

struct table {
    struct rn_record rows[ROWS];
    size_t count;
};

/* Since a mirror was made ready. */
struct said {
    unsigned adds, deletes, others, of_a_link;
};
static struct said said;

static void
hear(void *self, struct rn_record *record)
{
    (void)self;
    said.adds += record->type == RN_ADD;
    said.deletes += record->type == RN_DELETE;
    said.others += record->type != RN_ADD && record->type != RN_DELETE;
    said.of_a_link += record->cause == RN_CAUSE_LINK_REMOVED;
}

static void
keep(void *self, struct rn_record *record)
{
    struct table *table = self;

    if (record->destination[2] != 0xff) {
        return; /* a filler's */
    }
    CHECK(table->count < ROWS);
    table->rows[table->count++] = *record;
}

static int
by_bytes(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct rn_record));
}

static void
read_table(const struct rn_mirror *mirror, struct table *table)
{
    table->count = 0;
    rn_mirror_each(mirror, 0, keep, table);
    qsort(table->rows, table->count, sizeof(table->rows[0]), by_bytes);
}

static int
same_table(const struct table *a, const struct table *b)
{
    return a->count == b->count &&
           !memcmp(a->rows, b->rows, a->count * sizeof(a->rows[0]));
}

/* ---- routes ---- */

static struct rn_hop
hop(int version, uint8_t gateway, uint32_t device)
{
    struct rn_hop made = {.if_index = device,
                          .gateway_version = (uint8_t)version};

    made.gateway[0] = version == 6 ? 0xfe : 10;
    made.gateway[version == 6 ? 15 : 3] = gateway;
    return made;
}

static struct rn_entry
route(int version, uint16_t number, const struct rn_hop *hops,
      uint32_t hop_count)
{
    struct rn_entry made = {.ip_version = (uint8_t)version,
                            .prefix_length = 32,
                            .table = 254,
                            .metric = version == 6 ? 1024 : 0,
                            .protocol = 3,
                            .route_type = 1,
                            .hops = hops,
                            .hop_count = hop_count};

    made.destination[0] = version == 6 ? 0xfd : 20;
    made.destination[2] = (uint8_t)(number >> 8);
    made.destination[3] = (uint8_t)number;
    return made;
}

#define TARGET 0xff00 /* the number of the route that the news are about */
#define CREATE RN_PLACE_CREATE
#define REPLACE (RN_PLACE_CREATE | RN_PLACE_REPLACE)
#define APPEND (RN_PLACE_CREATE | RN_PLACE_APPEND)

static int
add(struct rn_mirror *mirror, int version, const struct rn_hop *hops,
    uint32_t hop_count, int place)
{
    struct rn_entry made = route(version, TARGET, hops, hop_count);

    return rn_mirror_added(mirror, &made, place);
}

/* ---- news, each with what has to be there before ---- */

static void
before_nothing(struct rn_mirror *mirror)
{
    (void)mirror;
}

static int
a_route_comes(struct rn_mirror *mirror)
{
    struct rn_hop via = hop(4, 1, 2);

    return add(mirror, 4, &via, 1, CREATE);
}

static void
before_one4(struct rn_mirror *mirror)
{
    CHECK_EQ(0, a_route_comes(mirror));
}

static int
a_route_is_replaced(struct rn_mirror *mirror)
{
    struct rn_hop via[] = {hop(4, 2, 2), hop(4, 3, 3)};

    return add(mirror, 4, via, 2, REPLACE);
}

/* The address of such a gateway has no place in an IPv4 node. */
static int
a_route_gets_a_gateway_of_ipv6(struct rn_mirror *mirror)
{
    struct rn_hop via[] = {hop(6, 2, 2), hop(6, 3, 3)};

    return add(mirror, 4, via, 2, REPLACE);
}

static int
a_route_has_much_to_it(struct rn_mirror *mirror)
{
    struct rn_hop via = hop(6, 2, 2);
    struct rn_entry made = route(6, TARGET, &via, 1);

    made.mtu = 1400;
    made.prefsrc[0] = 0xfd;
    made.source[0] = 0xfc;
    made.source_length = 8;
    return rn_mirror_added(mirror, &made, CREATE);
}

static void
before_siblings(struct rn_mirror *mirror)
{
    struct rn_hop via[] = {hop(6, 1, 2), hop(6, 2, 3)};

    CHECK_EQ(0, add(mirror, 6, via, 1, CREATE));
    CHECK_EQ(0, add(mirror, 6, via, 2, APPEND));
}

static int
a_sibling_comes(struct rn_mirror *mirror)
{
    struct rn_hop via[] = {hop(6, 1, 2), hop(6, 2, 3), hop(6, 3, 4)};

    return add(mirror, 6, via, 3, APPEND);
}

static int
a_sibling_goes(struct rn_mirror *mirror)
{
    struct rn_hop via = hop(6, 1, 2);
    struct rn_entry made = route(6, TARGET, &via, 1);

    return rn_mirror_deleted(mirror, &made);
}

static int
siblings_are_replaced(struct rn_mirror *mirror)
{
    struct rn_hop via[] = {hop(6, 4, 2), hop(6, 5, 3)};

    return add(mirror, 6, via, 2, REPLACE);
}

static int
a_device_goes(struct rn_mirror *mirror)
{
    return rn_mirror_link_removed(mirror, 3);
}

static void
before_several(struct rn_mirror *mirror)
{
    struct rn_hop alone[] = {hop(0, 0, 4), hop(0, 0, 3)};

    before_siblings(mirror);
    CHECK_EQ(0, add(mirror, 6, &alone[0], 1, APPEND));
    CHECK_EQ(0, add(mirror, 6, &alone[1], 1, APPEND));
}

static const struct news {
    void (*before)(struct rn_mirror *mirror);
    int (*happens)(struct rn_mirror *mirror);
    int version;
    struct said says;
    int in_parts; /* what needs no memory is done at once */
} news[] = {
    {before_nothing, a_route_comes, 4, {1, 0, 0, 0}, 0},
    {before_one4, a_route_is_replaced, 4, {2, 1, 0, 0}, 0},
    {before_one4, a_route_gets_a_gateway_of_ipv6, 4, {2, 1, 0, 0}, 0},
    {before_nothing, a_route_has_much_to_it, 6, {1, 0, 0, 0}, 0},
    {before_siblings, a_sibling_comes, 6, {1, 0, 0, 0}, 0},
    {before_siblings, a_sibling_goes, 6, {0, 1, 0, 0}, 0},
    {before_siblings, siblings_are_replaced, 6, {2, 2, 0, 0}, 0},
    {before_siblings, a_device_goes, 6, {0, 1, 0, 1}, 0},
    {before_several, a_device_goes, 6, {0, 2, 0, 2}, 1},
};
#define NEWS (sizeof(news) / sizeof(news[0]))

static unsigned starved[NEWS]; /* how often one had to be told again */

/* ---- memory runs out ---- */

/* A table in which the next node, value or slot may need an allocation. */
static struct rn_mirror *
ready(const struct news *one, unsigned filler)
{
    struct rn_mirror *mirror = rn_mirror_new(hear, NULL);

    one->before(mirror);
    for (unsigned i = 0; i < filler; i++) {
        struct rn_entry made = route(one->version, (uint16_t)i, NULL, 0);
        made.route_type = 6; /* has no hop */
        made.mtu = 1000 + (i < VALUES ? i : VALUES);
        CHECK_EQ(0, rn_mirror_added(mirror, &made, CREATE));
    }
    memset(&said, 0, sizeof(said));
    return mirror;
}

/* Return: whether memory ran out. */
static int
told_twice(const struct news *one, struct rn_mirror *mirror, long depth)
{
    struct table before, after;
    const struct said nothing = {0, 0, 0, 0};

    read_table(mirror, &before);
    rn_alloc_fail_at = rn_alloc_calls + depth;
    int need = one->happens(mirror);
    rn_alloc_fail_at = 0;
    if (!(need & RN_NEED_MEMORY)) {
        return 0;
    }
    if (!one->in_parts) {
        read_table(mirror, &after);
        CHECK(same_table(&before, &after));
        CHECK(!memcmp(&nothing, &said, sizeof(said)));
    }
    CHECK_EQ(0, one->happens(mirror) & RN_NEED_MEMORY);
    return 1;
}

static void
test_without_memory(size_t at, unsigned filler)
{
    const struct news *one = &news[at];
    struct table right, table;
    struct rn_mirror *mirror = ready(one, filler);

    CHECK_EQ(0, one->happens(mirror) & RN_NEED_MEMORY);
    CHECK_EQ(one->says.adds, said.adds);
    CHECK_EQ(one->says.deletes, said.deletes);
    CHECK_EQ(one->says.others, said.others);
    CHECK_EQ(one->says.of_a_link, said.of_a_link);
    read_table(mirror, &right);
    rn_mirror_free(mirror);
    for (long depth = 1; depth <= DEPTH; depth++) {
        mirror = ready(one, filler);
        starved[at] += told_twice(one, mirror, depth) ? 1 : 0;
        read_table(mirror, &table);
        CHECK(same_table(&right, &table));
        CHECK(!memcmp(&one->says, &said, sizeof(said)));
        CHECK_EQ(filler + right.count, rn_mirror_rows(mirror, 0));
        rn_mirror_free(mirror);
    }
}

/* More values than the pool began with: each is found again, and let go. */
static void
test_values_come_and_go(void)
{
    struct rn_mirror *mirror = ready(&news[0], VALUES);

    CHECK_EQ(VALUES, rn_mirror_rows(mirror, 4));
    for (unsigned i = 0; i < VALUES; i++) {
        struct rn_entry made = route(4, (uint16_t)i, NULL, 0);
        made.route_type = 6;
        made.mtu = 1000 + i;
        CHECK_EQ(0, rn_mirror_deleted(mirror, &made));
    }
    CHECK_EQ(0, rn_mirror_rows(mirror, 4));
    rn_mirror_free(mirror);
}

/* ---- a device goes ---- */

static void
test_an_ipv4_route_goes_as_a_whole(void)
{
    struct rn_mirror *mirror = ready(&news[1], 3);

    CHECK_EQ(0, a_route_is_replaced(mirror));
    memset(&said, 0, sizeof(said));
    CHECK_EQ(0, a_device_goes(mirror));
    CHECK_EQ(2, said.deletes);
    CHECK_EQ(2, said.of_a_link);
    CHECK_EQ(3, rn_mirror_rows(mirror, 0));
    rn_mirror_free(mirror);
}

/* What the dump has said of the destination before is older than the news. */
static void
test_a_device_goes_while_the_table_is_compared(void)
{
    struct rn_mirror *mirror = ready(&news[8], 0);
    struct rn_hop via[] = {hop(6, 1, 2), hop(6, 2, 3)};
    struct rn_hop others[] = {hop(6, 7, 3)};
    struct rn_entry set = route(6, TARGET, via, 2);
    struct rn_entry fresh = route(6, TARGET, others, 1);

    fresh.metric = 1;
    rn_mirror_begin(mirror, 6, 0, 0);
    CHECK_EQ(0, rn_mirror_dumped(mirror, &fresh)); /* not known: provisional */
    CHECK_EQ(0, rn_mirror_dumped(mirror, &set));
    CHECK_EQ(0, a_device_goes(mirror));
    CHECK_EQ(1, rn_mirror_touched(mirror, 6));
    CHECK_EQ(2, said.deletes);
    CHECK(rn_mirror_finish(mirror, 6, 1, 0) > 0); /* asks for another look */
    CHECK_EQ(0, said.adds);
    CHECK_EQ(2, rn_mirror_rows(mirror, 6));
    rn_mirror_free(mirror);
}

int
main(void)
{
    for (size_t at = 0; at < NEWS; at++) {
        for (unsigned filler = 20; filler < RN_ROUNDS(VALUES, 70); filler++) {
            test_without_memory(at, filler);
        }
        /* 3 and 5 of them are enough for each of the news. */
        for (unsigned left = RN_ROUNDS(0, 3); left < 6;
             left += RN_ROUNDS(1, 2)) {
            test_without_memory(at, CHUNK - left);
        }
        CHECK(starved[at] > 0);
    }
    test_values_come_and_go();
    test_an_ipv4_route_goes_as_a_whole();
    test_a_device_goes_while_the_table_is_compared();
    return 0;
}
