/* test_links.c - which RTM_NEWLINK is news: what is known of devices, and when
 * it is doubted.
 */
/* sources: rn_linux_links.c */
/* sanitizers: address */
#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "rn_check.h"
#include "rn_linux.h"

#define UP ((uint32_t)(IFF_UP | IFF_RUNNING | IFF_LOWER_UP))
#define DARK ((uint32_t)IFF_UP)
#define DEVICES 100u

long rn_alloc_fail_at;
long rn_alloc_calls;

static int
tell(struct rn_links *links, uint32_t index, uint32_t flags, uint32_t mtu)
{
    const struct rn_link_message message = {
        .index = index, .flags = flags, .mtu = mtu};

    return rn_linux_links_told(links, &message);
}

/* Of a route by two devices, the first of which nobody knows. */
static uint32_t
doubt(struct rn_links *links, uint32_t index, uint8_t flags, uint8_t scope)
{
    const struct rn_hop hops[] = {{.if_index = 7777},
                                  {.if_index = index, .flags = flags}};
    const struct rn_entry entry = {
        .ip_version = 4, .scope = scope, .hop_count = 2, .hops = hops};

    return rn_linux_links_doubt(links, &entry);
}

static void
test_only_what_routes_depend_on_is_news(struct rn_links *links)
{
    CHECK_EQ(RN_LINK_MOVED, tell(links, 2, UP, 1500));
    CHECK_EQ(0, tell(links, 2, UP | IFF_PROMISC, 1500));
    CHECK_EQ(0, tell(links, 2, UP, 0)); /* not said */
    CHECK_EQ(RN_LINK_RESIZED, tell(links, 2, UP, 1400));
    CHECK_EQ(RN_LINK_MOVED | RN_LINK_LOST, tell(links, 2, DARK, 1400));
    CHECK_EQ(RN_LINK_MOVED, tell(links, 2, UP, 1400));
    rn_linux_links_forget(links, 2);
    CHECK_EQ(RN_LINK_MOVED | RN_LINK_LOST, tell(links, 2, 0, 1400));
    rn_linux_links_forget_all(links);
}

static void
test_a_route_that_says_something_else_makes_any_news(struct rn_links *links)
{
    tell(links, 2, UP, 1500);
    CHECK_EQ(0, doubt(links, 2, 0, RT_SCOPE_UNIVERSE));
    CHECK_EQ(0, doubt(links, 3, RTNH_F_LINKDOWN, RT_SCOPE_UNIVERSE));
    CHECK_EQ(2, doubt(links, 2, RTNH_F_LINKDOWN, RT_SCOPE_UNIVERSE));
    CHECK_EQ(0, doubt(links, 2, RTNH_F_LINKDOWN, RT_SCOPE_UNIVERSE));
    CHECK_EQ(RN_LINK_MOVED, tell(links, 2, UP, 1500));
    CHECK_EQ(0, tell(links, 2, UP, 1500));

    tell(links, 2, DARK, 1500);
    CHECK_EQ(0, doubt(links, 2, RTNH_F_LINKDOWN, RT_SCOPE_LINK));
    CHECK_EQ(0, doubt(links, 2, 0, RT_SCOPE_HOST)); /* has no such flag */
    CHECK_EQ(2, doubt(links, 2, 0, RT_SCOPE_LINK));
    CHECK_EQ(RN_LINK_MOVED | RN_LINK_LOST, tell(links, 2, DARK, 1500));
    tell(links, 2, 0, 1500);
    CHECK_EQ(0, doubt(links, 2, RTNH_F_LINKDOWN | RTNH_F_DEAD, 0)); /* down */
    rn_linux_links_forget_all(links);
}

static void
test_the_systems_own_routes_know_of_no_carrier(struct rn_links *links)
{
    const struct rn_hop hop = {.if_index = 2};
    struct rn_entry entry = {.ip_version = 6,
                             .route_type = RTN_LOCAL,
                             .hop_count = 1,
                             .hops = &hop};

    tell(links, 2, DARK, 1500);
    CHECK_EQ(0, rn_linux_links_doubt(links, &entry));
    entry.route_type = RTN_ANYCAST;
    CHECK_EQ(0, rn_linux_links_doubt(links, &entry));
    entry.metric = 1024; /* a program's */
    CHECK_EQ(2, rn_linux_links_doubt(links, &entry));
    tell(links, 2, DARK, 1500);
    entry.route_type = RTN_LOCAL;
    entry.nexthop_id = 1;
    CHECK_EQ(2, rn_linux_links_doubt(links, &entry));
}

/* Many devices, told and forgotten in an order of no order. */
static void
test_each_device_is_known_by_itself(struct rn_links *links)
{
    for (uint32_t i = 0; i < DEVICES; i++) {
        tell(links, 1 + i * 37 % 101, i % 2 ? UP : DARK, 1500 + i);
    }
    for (uint32_t i = 0; i < DEVICES; i++) {
        CHECK_EQ(0,
                 tell(links, 1 + i * 37 % 101, i % 2 ? UP : DARK, 1500 + i));
    }
    for (uint32_t i = 0; i < DEVICES; i += 2) { /* those that are dark */
        CHECK_EQ(1 + i * 37 % 101, doubt(links, 1 + i * 37 % 101, 0, 0));
    }
    for (uint32_t i = 1; i < DEVICES; i += 2) {
        CHECK_EQ(0, doubt(links, 1 + i * 37 % 101, 0, 0));
        CHECK_EQ(0, tell(links, 1 + i * 37 % 101, UP, 1500 + i));
    }
}

static void
test_a_device_for_which_there_is_no_memory_stays_unknown(
    struct rn_links *links)
{
    rn_alloc_calls = 0;
    rn_alloc_fail_at = 1;
    CHECK(-1 == tell(links, 2, UP, 1500));
    rn_alloc_fail_at = 0;
    CHECK_EQ(RN_LINK_MOVED, tell(links, 2, UP, 1500));
    rn_linux_links_forget_all(links);
}

int
main(void)
{
    struct rn_links *links = rn_linux_links_new();

    CHECK(links != NULL);
    test_a_device_for_which_there_is_no_memory_stays_unknown(links);
    test_only_what_routes_depend_on_is_news(links);
    test_a_route_that_says_something_else_makes_any_news(links);
    test_the_systems_own_routes_know_of_no_carrier(links);
    test_each_device_is_known_by_itself(links);
    rn_linux_links_free(links);
    return 0;
}
