/* test_hidden.c - an IPv6 entry between two siblings, which no dump shows: kept
 * while every message was heard, given up when some were lost.  One behind them
 * that the dump shows changed is not a hidden one and another.
 */
/* sources: rn_mirror.c rn_compare.c rn_rows.c rn_entry.c rn_list.c rn_store.c rn_pool.c */
#include "rn_mirror.h"

#include <string.h>

#include "rn_check.h"

long rn_alloc_fail_at;
long rn_alloc_calls;

static unsigned deleted[8]; /* by device */

static void
count(void *self, struct rn_record *record)
{
    (void)self;
    deleted[record->interface_index] += record->type == RN_DELETE;
}

static struct rn_hop
hop(uint8_t gateway, uint32_t device)
{
    struct rn_hop made = {.if_index = device,
                          .gateway_version = gateway ? 6 : 0};

    made.gateway[0] = gateway ? 0xfe : 0;
    made.gateway[15] = gateway;
    return made;
}

static struct rn_entry
entry(struct rn_hop *hops, uint32_t hop_count)
{
    struct rn_entry made = {.ip_version = 6,
                            .prefix_length = 32,
                            .table = 254,
                            .metric = 1024,
                            .route_type = 1,
                            .hops = hops,
                            .hop_count = hop_count};

    made.destination[0] = 0xfd;
    return made;
}

/* The message of a sibling tells the set with it. */
static void
append(struct rn_mirror *mirror, struct rn_hop *hops, uint32_t hop_count)
{
    struct rn_entry made = entry(hops, hop_count);

    CHECK_EQ(
        0, rn_mirror_added(mirror, &made, RN_PLACE_CREATE | RN_PLACE_APPEND));
}

/* The dump as the system gives it: both siblings, nothing between them. */
static void
compare(struct rn_mirror *mirror, struct rn_hop *siblings, int lost)
{
    struct rn_entry shown = entry(siblings, 2);

    rn_mirror_begin(mirror, 6, 0, lost);
    CHECK_EQ(0, rn_mirror_dumped(mirror, &shown));
    CHECK_EQ(0, rn_mirror_finish(mirror, 6, 1, 0));
}

static void
test_kept_until_news_are_lost(void)
{
    struct rn_mirror *mirror = rn_mirror_new(count, NULL);
    struct rn_hop siblings[] = {hop(1, 2), hop(2, 3)};
    struct rn_hop between = hop(0, 4);

    memset(deleted, 0, sizeof(deleted));
    append(mirror, siblings, 1);
    append(mirror, &between, 1);
    append(mirror, siblings, 2);
    compare(mirror, siblings, 0);
    CHECK_EQ(3, rn_mirror_rows(mirror, 6));
    compare(mirror, siblings, 1);
    CHECK_EQ(2, rn_mirror_rows(mirror, 6));
    CHECK_EQ(1, deleted[4]);
    CHECK_EQ(0, deleted[2] + deleted[3]);
    rn_mirror_free(mirror);
}

/* Its device's MTU, or a flag, changed without a message. */
static void
test_changed_behind_the_siblings(void)
{
    struct rn_mirror *mirror = rn_mirror_new(count, NULL);
    struct rn_hop siblings[] = {hop(1, 2), hop(2, 3)};
    struct rn_hop behind = hop(0, 4);
    struct rn_entry first = entry(siblings, 2);
    struct rn_entry changed = entry(&behind, 1);

    memset(deleted, 0, sizeof(deleted));
    append(mirror, siblings, 2);
    append(mirror, &behind, 1);
    changed.mtu = 1400;
    rn_mirror_begin(mirror, 6, 0, 0);
    CHECK_EQ(0, rn_mirror_dumped(mirror, &first));
    CHECK_EQ(0, rn_mirror_dumped(mirror, &changed));
    CHECK_EQ(0, rn_mirror_finish(mirror, 6, 1, 0));
    CHECK_EQ(3, rn_mirror_rows(mirror, 6));
    CHECK_EQ(0, deleted[4]);
    rn_mirror_free(mirror);
}

int
main(void)
{
    test_kept_until_news_are_lost();
    test_changed_behind_the_siblings();
    return 0;
}
