/* test_rtnl.c - what the kernel really sent parses to what was asked of it. */
/* sources: rn_rtnl.c */
/* sanitizers: address */

#include <linux/lwtunnel.h>

#include "rtnl_frames.h"

#define EXCL_CREATE (NLM_F_EXCL | NLM_F_CREATE)

/* ---- what the recorded route messages say ----
 *
 * From the commands in tests/fuzz/capture.py, not from the parser.  v0 has
 * index 10 and v1 has 11.  Left out means: RTM_NEWROUTE, table main, protocol
 * boot, type unicast, all else 0; the name says the IP version.
 */

struct expected_hop {
    const char *gateway; /* NULL: none */
    uint32_t if_index, realms;
    uint8_t flags, weight;
    bool encap;
};

struct expected {
    const char *name;
    const char *destination, *source, *prefsrc;
    uint16_t nl_type, nl_flags, encap_type;
    uint8_t prefix_length, source_length, tos, protocol, scope, route_type;
    uint8_t preference, hop_count;
    bool other; /* it has attributes that are only hashed */
    uint32_t table, metric, nexthop_id, realms, expires_s;
    uint32_t metrics[RN_METRICS];
    const char *congestion;
    struct expected_hop hops[2]; /* the first two */
};

#define PLAIN4(named, to, length)                                    \
    .name = (named), .destination = (to), .prefix_length = (length), \
    .nl_flags = EXCL_CREATE
/* IPv6 routes without a metric get 1024 from the kernel. */
#define PLAIN6(named, to, length) PLAIN4(named, to, length), .metric = 1024
#define AT(via, index) .gateway = (via), .if_index = (index)
#define HOP(...) .hop_count = 1, .hops = {{__VA_ARGS__}}
#define VIA4 HOP(AT("192.0.2.2", 10))
#define VIA6 HOP(AT("2001:db8:1::2", 10))

static const struct expected expected[] = {
    {PLAIN4("v4-gateway", "10.1.0.0", 16), VIA4},
    {.name = "v4-append",
     .destination = "10.1.0.0",
     .prefix_length = 16,
     .nl_flags = NLM_F_CREATE | NLM_F_APPEND,
     .protocol = 42,
     HOP(AT("192.0.2.3", 10))},
    {.name = "v4-prepend",
     .destination = "10.1.0.0",
     .prefix_length = 16,
     .nl_flags = NLM_F_CREATE,
     HOP(AT("192.0.2.4", 10))},
    {.name = "v4-replace",
     .destination = "10.1.0.0",
     .prefix_length = 16,
     .nl_flags = NLM_F_REPLACE,
     HOP(AT("192.0.2.5", 10))},
    {.name = "v4-delete",
     .destination = "10.1.0.0",
     .prefix_length = 16,
     .nl_type = RTM_DELROUTE,
     HOP(AT("192.0.2.5", 10))},
    {PLAIN4("v4-device", "10.2.0.0", 24), .scope = RT_SCOPE_LINK,
     HOP(AT(NULL, 10))},
    {PLAIN4("v4-host", "10.2.0.7", 32), .metric = 77, VIA4},
    {PLAIN4("v4-default", "0.0.0.0", 0), .metric = 50, VIA4},
    {PLAIN4("v4-tos", "10.3.0.0", 24), .tos = 0x10, VIA4},
    {PLAIN4("v4-prefsrc", "10.4.0.0", 24), .prefsrc = "192.0.2.1",
     .protocol = 42, .scope = RT_SCOPE_LINK, HOP(AT(NULL, 10))},
    {PLAIN4("v4-table-200", "10.5.0.0", 24), .table = 200, VIA4},
    {PLAIN4("v4-table-70000", "10.5.0.0", 24), .table = 70000, VIA4},
    {PLAIN4("v4-table-max", "10.5.0.0", 24), .table = UINT32_MAX, VIA4},
    {PLAIN4("v4-blackhole", "10.6.0.0", 24), .route_type = RTN_BLACKHOLE},
    {PLAIN4("v4-unreachable", "10.6.1.0", 24), .route_type = RTN_UNREACHABLE,
     .metric = 4278198272},
    {PLAIN4("v4-prohibit", "10.6.2.0", 24), .route_type = RTN_PROHIBIT},
    {PLAIN4("v4-throw", "10.6.3.0", 24), .route_type = RTN_THROW},
    {PLAIN4("v4-multicast", "239.1.0.0", 16), .route_type = RTN_MULTICAST,
     .scope = RT_SCOPE_LINK, HOP(AT(NULL, 10))},
    {PLAIN4("v4-onlink", "10.7.0.0", 24),
     HOP(AT("172.16.0.1", 10), .flags = RTNH_F_ONLINK)},
    {PLAIN4("v4-multipath", "10.8.0.0", 24), .metric = 5, .hop_count = 2,
     .hops = {{AT("192.0.2.2", 10), .weight = 2},
              {AT("198.51.100.2", 11), .weight = 255}}},
    {PLAIN4("v4-multipath-device", "10.8.1.0", 24), .hop_count = 2,
     .hops = {{AT(NULL, 10)}, {AT("172.16.0.1", 11), .flags = RTNH_F_ONLINK}}},
    {PLAIN4("v4-multipath-realms", "10.8.2.0", 24), .hop_count = 2,
     .hops = {{AT("192.0.2.2", 10), .realms = 5 << 16 | 6},
              {AT("198.51.100.2", 11), .realms = 7}}},
    {PLAIN4("v4-multipath-64", "10.8.3.0", 24), .hop_count = 64,
     .hops = {{AT("192.0.2.2", 10), .weight = 1},
              {AT("192.0.2.3", 10), .weight = 2}}},
    {PLAIN4("v4-via-inet6", "10.9.0.0", 24), VIA6},
    {PLAIN4("v4-multipath-via", "10.9.1.0", 24), .hop_count = 2,
     .hops = {{AT("2001:db8:1::2", 10)}, {AT("198.51.100.2", 11)}}},
    {PLAIN4("v4-metrics", "10.10.0.0", 24), .other = true,
     .metrics = {[RTAX_LOCK] =
                     1 << RTAX_MTU | 1 << RTAX_CWND | 1 << RTAX_RTO_MIN,
                 [RTAX_MTU] = 1400,
                 [RTAX_ADVMSS] = 1360,
                 [RTAX_WINDOW] = 1000,
                 [RTAX_INITCWND] = 10,
                 [RTAX_INITRWND] = 20,
                 [RTAX_QUICKACK] = 1,
                 [RTAX_HOPLIMIT] = 33,
                 [RTAX_RTO_MIN] = 5,
                 [RTAX_CWND] = 9},
     VIA4},
    {PLAIN4("v4-mtu", "10.10.1.0", 24), .metrics = {[RTAX_MTU] = 1300}, VIA4},
    {PLAIN4("v4-congctl", "10.10.2.0", 24), .other = true,
     .congestion = "reno", VIA4},
    {PLAIN4("v4-congctl-lock", "10.10.3.0", 24), .other = true,
     .metrics = {[RTAX_LOCK] = 1 << RTAX_CC_ALGO}, .congestion = "reno", VIA4},
    {PLAIN4("v4-fastopen", "10.10.4.0", 24), .other = true,
     .metrics = {[RTAX_FASTOPEN_NO_COOKIE] = 1}, VIA4},
    {PLAIN4("v4-realms", "10.11.0.0", 24), .other = true,
     .realms = 5 << 16 | 6, VIA4},
    {PLAIN4("v4-encap-ip", "10.12.0.0", 24), .encap_type = LWTUNNEL_ENCAP_IP,
     HOP(AT("192.0.2.2", 10), .encap = true)},
    {PLAIN4("v4-encap-seg6", "10.12.1.0", 24),
     .encap_type = LWTUNNEL_ENCAP_SEG6,
     HOP(AT("192.0.2.2", 10), .encap = true)},
    {PLAIN4("v4-multipath-encap", "10.12.2.0", 24),
     .encap_type = LWTUNNEL_ENCAP_IP, .hop_count = 2,
     .hops = {{AT("192.0.2.2", 10), .encap = true},
              {AT("192.0.2.2", 10), .encap = true}}},
    {PLAIN4("v4-nexthop-id", "10.13.0.0", 24), .nexthop_id = 7, VIA4},
    {PLAIN4("v4-nexthop-group", "10.13.1.0", 24), .nexthop_id = 9,
     .hop_count = 2,
     .hops = {{AT("192.0.2.2", 10), .weight = 2},
              {AT("198.51.100.2", 11), .weight = 4}}},
    {PLAIN4("v4-nexthop-group-one", "10.13.2.0", 24), .nexthop_id = 10, VIA4},
    {PLAIN4("v4-nexthop-blackhole", "10.13.3.0", 24), .nexthop_id = 11,
     .route_type = RTN_BLACKHOLE, HOP(AT(NULL, 1))},
    {PLAIN4("v4-nexthop-compat0", "10.13.4.0", 24), .nexthop_id = 9},
    {PLAIN4("v4-connected", "203.0.113.0", 28), .prefsrc = "203.0.113.1",
     .protocol = RTPROT_KERNEL, .scope = RT_SCOPE_LINK, HOP(AT(NULL, 10))},
    {PLAIN4("v4-local", "203.0.113.65", 32), .prefsrc = "203.0.113.65",
     .protocol = RTPROT_KERNEL, .scope = RT_SCOPE_HOST,
     .table = RT_TABLE_LOCAL, .route_type = RTN_LOCAL, HOP(AT(NULL, 10))},
    {PLAIN4("v4-broadcast", "203.0.113.143", 32), .prefsrc = "203.0.113.129",
     .protocol = RTPROT_KERNEL, .scope = RT_SCOPE_LINK,
     .table = RT_TABLE_LOCAL, .route_type = RTN_BROADCAST, HOP(AT(NULL, 10))},
    /* dead too: v0 has ignore_routes_with_linkdown by then */
    {PLAIN4("v4-linkdown", "10.60.0.0", 24),
     HOP(AT("192.0.2.2", 10), .flags = RTNH_F_LINKDOWN | RTNH_F_DEAD)},

    {PLAIN6("v6-gateway", "2001:db8:a::", 48), VIA6},
    {.name = "v6-append",
     .destination = "2001:db8:a::",
     .prefix_length = 48,
     .nl_flags = NLM_F_CREATE | NLM_F_APPEND,
     .metric = 1024,
     .hop_count = 2,
     .hops = {{AT("2001:db8:1::3", 10)}, {AT("2001:db8:1::2", 10)}}},
    {.name = "v6-delete-hop",
     .destination = "2001:db8:a::",
     .prefix_length = 48,
     .nl_type = RTM_DELROUTE,
     .metric = 1024,
     VIA6},
    {.name = "v6-replace",
     .destination = "2001:db8:a::",
     .prefix_length = 48,
     .nl_flags = NLM_F_REPLACE,
     .metric = 1024,
     .protocol = 42,
     HOP(AT("2001:db8:1::4", 10))},
    {PLAIN4("v6-device", "2001:db8:b::", 48), .metric = 7, HOP(AT(NULL, 10))},
    {PLAIN6("v6-default", "::", 0), VIA6},
    {PLAIN6("v6-table-70000", "2001:db8:c::", 48), .table = 70000,
     HOP(AT(NULL, 10))},
    {PLAIN6("v6-blackhole", "2001:db8:d::", 48), .route_type = RTN_BLACKHOLE,
     HOP(AT(NULL, 1))},
    {PLAIN6("v6-unreachable", "2001:db8:d:1::", 64),
     .route_type = RTN_UNREACHABLE, HOP(AT(NULL, 1))},
    {PLAIN6("v6-prohibit", "2001:db8:d:2::", 64), .route_type = RTN_PROHIBIT,
     HOP(AT(NULL, 1))},
    {PLAIN6("v6-throw", "2001:db8:d:3::", 64), .route_type = RTN_THROW,
     HOP(AT(NULL, 1))},
    {PLAIN6("v6-pref-high", "2001:db8:e::", 48), .preference = 1, VIA6},
    {PLAIN6("v6-pref-low", "2001:db8:e:1::", 64), .preference = 3, VIA6},
    {PLAIN6("v6-expires", "2001:db8:f::", 48), .expires_s = 1000, VIA6},
    {PLAIN6("v6-from", "2001:db8:10::", 48),
     .source = "2001:db8:1::", .source_length = 64, VIA6},
    {PLAIN6("v6-prefsrc", "2001:db8:11::", 48), .prefsrc = "2001:db8:1::1",
     HOP(AT(NULL, 10))},
    {PLAIN6("v6-onlink", "2001:db8:12::", 48),
     HOP(AT("2001:db8:ffff::1", 10), .flags = RTNH_F_ONLINK)},
    {.name = "v6-multipath",
     .destination = "2001:db8:13::",
     .prefix_length = 48,
     .nl_flags = NLM_F_CREATE,
     .metric = 1024,
     .hop_count = 2,
     .hops = {{AT("2001:db8:1::2", 10), .weight = 2},
              {AT("2001:db8:2::2", 11), .weight = 3}}},
    {PLAIN6("v6-metrics", "2001:db8:14::", 48), .other = true,
     .metrics =
         {[RTAX_MTU] = 1400, [RTAX_HOPLIMIT] = 33, [RTAX_ADVMSS] = 1340},
     .congestion = "reno", VIA6},
    {PLAIN6("v6-encap-seg6", "2001:db8:15::", 48),
     .encap_type = LWTUNNEL_ENCAP_SEG6,
     HOP(AT("2001:db8:1::2", 10), .encap = true)},
    {PLAIN6("v6-encap-seg6local", "2001:db8:16::1", 128),
     .encap_type = LWTUNNEL_ENCAP_SEG6_LOCAL,
     HOP(AT(NULL, 10), .encap = true)},
    {.name = "v6-multipath-encap",
     .destination = "2001:db8:17::",
     .prefix_length = 48,
     .nl_flags = NLM_F_CREATE,
     .metric = 1024,
     .encap_type = LWTUNNEL_ENCAP_SEG6,
     .hop_count = 2,
     .hops = {{AT("2001:db8:1::2", 10), .encap = true},
              {AT("2001:db8:1::2", 10), .encap = true}}},
    {PLAIN6("v6-nexthop-id", "2001:db8:18::", 48), .nexthop_id = 17, VIA6},
    {PLAIN6("v6-nexthop-group", "2001:db8:18:1::", 64), .nexthop_id = 19,
     .hop_count = 2,
     .hops = {{AT("2001:db8:1::2", 10), .weight = 2},
              {AT("2001:db8:2::2", 11), .weight = 4}}},
    {PLAIN6("v6-nexthop-compat0", "2001:db8:18:2::", 64), .nexthop_id = 19},
    {.name = "v6-delete",
     .destination = "2001:db8:13::",
     .prefix_length = 48,
     .nl_type = RTM_DELROUTE,
     .metric = 1024,
     .hop_count = 2,
     .hops = {{AT("2001:db8:1::2", 10), .weight = 2},
              {AT("2001:db8:2::2", 11), .weight = 3}}},
    {PLAIN4("v6-local", "2001:db8:3::1", 128), .protocol = RTPROT_KERNEL,
     .table = RT_TABLE_LOCAL, .route_type = RTN_LOCAL, HOP(AT(NULL, 10))},
};
#define EXPECTED (sizeof(expected) / sizeof(expected[0]))

/* ---- field by field ---- */

static void
check_hop(const struct expected_hop *wanted, const struct rn_hop *hop)
{
    int version = 0;

    if (wanted->gateway != NULL) {
        version = strchr(wanted->gateway, ':') != NULL ? 6 : 4;
    }
    SAME(version, hop->gateway_version);
    check_address(version, wanted->gateway, hop->gateway);
    SAME(wanted->if_index, hop->if_index);
    SAME(wanted->flags, hop->flags);
    SAME(wanted->weight, hop->weight);
    SAME(wanted->realms, hop->realms);
    SAME(wanted->encap, hop->encap != 0);
}

static void
check_entry(const struct expected *wanted, const struct rn_entry *entry)
{
    const int version = wanted->name[1] == '4' ? 4 : 6;

    SAME(version, entry->ip_version);
    check_address(version, wanted->destination, entry->destination);
    SAME(wanted->prefix_length, entry->prefix_length);
    check_address(version, wanted->source, entry->source);
    SAME(wanted->source_length, entry->source_length);
    check_address(version, wanted->prefsrc, entry->prefsrc);
    SAME(wanted->table ? wanted->table : RT_TABLE_MAIN, entry->table);
    SAME(wanted->metric, entry->metric);
    SAME(wanted->nexthop_id, entry->nexthop_id);
    SAME(wanted->metrics[RTAX_MTU], entry->mtu);
    SAME(wanted->other, entry->other != 0);
    SAME(wanted->tos, entry->tos);
    SAME(wanted->protocol ? wanted->protocol : RTPROT_BOOT, entry->protocol);
    SAME(wanted->scope, entry->scope);
    SAME(wanted->route_type ? wanted->route_type : RTN_UNICAST,
         entry->route_type);
    SAME(wanted->preference, entry->preference);
}

static void
check_metrics(const struct expected *wanted)
{
    for (int i = 0; i < RN_METRICS; i++) {
        SAME(wanted->metrics[i] != 0, message.metrics_mask >> i & 1);
        if (wanted->metrics[i] != 0) {
            SAME(wanted->metrics[i], message.metrics[i]);
        }
    }
    CHECK(strcmp(wanted->congestion ? wanted->congestion : "",
                 message.congestion) == 0);
}

static void
test_each_recorded_route_says_what_its_command_said(void)
{
    for (size_t i = 0; i < EXPECTED; i++) {
        const struct expected *wanted = &expected[i];
        const struct frame *frame = frame_named(wanted->name);

        subject = wanted->name;
        SAME(RN_PARSE_OK, parse(frame->bytes, frame->size));
        CHECK(rtnl_sane(&message));
        CHECK(rtnl_small_sane((const void *)frame->bytes, frame->size,
                              &message));
        SAME(wanted->nl_type ? wanted->nl_type : RTM_NEWROUTE,
             message.nl_type);
        SAME(wanted->nl_flags, message.nl_flags);
        check_entry(wanted, &message.entry);
        SAME(wanted->realms, message.realms);
        SAME(wanted->encap_type, message.encap_type);
        check_metrics(wanted);
        SAME(wanted->expires_s, (message.expires_ns + 999999999) / 1000000000);
        SAME(wanted->hop_count, message.entry.hop_count);
        for (int hop = 0; hop < wanted->hop_count && hop < 2; hop++) {
            check_hop(&wanted->hops[hop], &message.entry.hops[hop]);
        }
    }
}

static void
test_each_recorded_route_is_expected(void)
{
    size_t rows = 0;

    for (size_t i = 0; i < frame_count; i++) {
        rows += is_row(&frames[i]);
    }

    CHECK_EQ(EXPECTED, rows);
}

static void
test_64_hops_come_in_order(void)
{
    const struct frame *frame = frame_named("v4-multipath-64");

    CHECK_EQ(RN_PARSE_OK, parse(frame->bytes, frame->size));
    for (uint32_t i = 0; i < 64; i++) {
        CHECK_EQ(i + 2, message.hops[i].gateway[3]);
        CHECK_EQ(i + 1, message.hops[i].weight);
    }
}

static void
test_hops_that_differ_in_encap_have_other_hashes(void)
{
    const char *const names[] = {"v4-multipath-encap", "v6-multipath-encap"};

    for (int i = 0; i < 2; i++) {
        const struct frame *frame = frame_named(names[i]);

        subject = names[i];
        CHECK_EQ(RN_PARSE_OK, parse(frame->bytes, frame->size));
        CHECK(message.hops[0].encap != message.hops[1].encap);
    }
}

static void
test_cloned_routes_are_ignored(void)
{
    const struct frame *frame = frame_named("v4-cloned");

    CHECK_EQ(RN_PARSE_IGNORED, parse(frame->bytes, frame->size));
}

/* ---- the other kinds of message ---- */

static void
check_link(const char *name, uint16_t type, int family, uint32_t index,
           uint32_t mtu, const char *device)
{
    const struct frame *frame = frame_named(name);
    struct rn_link_message link;

    subject = name;
    SAME(RN_PARSE_OK, rn_rtnl_link((void *)frame->bytes, frame->size, &link));
    SAME(type, link.nl_type);
    SAME(family, link.family);
    SAME(index, link.index);
    SAME(mtu, link.mtu);
    CHECK(strcmp(device, link.name) == 0);
}

static void
test_links(void)
{
    const uint32_t up = 0x1 | 0x40 | 0x10000; /* UP, RUNNING, LOWER_UP */
    const struct frame *frame = frame_named("link-bridge");
    struct rn_link_message link;

    CHECK_EQ(RN_PARSE_IGNORED,
             rn_rtnl_link((void *)frame->bytes, frame->size, &link));
    check_link("link-mtu", RTM_NEWLINK, 0, 10, 1400, "v0");
    check_link("link-rename", RTM_NEWLINK, 0, 11, 1500, "w1");
    check_link("link-new", RTM_NEWLINK, 0, 20, 1500, "t0");
    check_link("link-delete", RTM_DELLINK, 0, 21, 1500, "t1");
    check_link("link-inet6", RTM_NEWLINK, 6, 21, 1500, "t1");
    frame = frame_named("link-mtu");
    rn_rtnl_link((void *)frame->bytes, frame->size, &link);
    CHECK_EQ(up, link.flags & up);
}

static void
check_an_address(const char *name, uint16_t type, int version, int length,
                 const char *local)
{
    const struct frame *frame = frame_named(name);
    struct rn_address_message address;

    subject = name;
    SAME(RN_PARSE_OK,
         rn_rtnl_address((void *)frame->bytes, frame->size, &address));
    SAME(type, address.nl_type);
    SAME(version, address.ip_version);
    SAME(length, address.prefix_length);
    SAME(10, address.index);
    check_address(version, local, address.local);
}

static void
test_addresses(void)
{
    check_an_address("address4-new", RTM_NEWADDR, 4, 24, "10.50.0.1");
    check_an_address("address4-delete", RTM_DELADDR, 4, 24, "10.50.0.1");
    check_an_address("address4-peer", RTM_NEWADDR, 4, 32, "10.50.0.1");
    check_an_address("address6-new", RTM_NEWADDR, 6, 64, "2001:db8:50::1");
    check_an_address("address6-delete", RTM_DELADDR, 6, 64, "2001:db8:50::1");
    check_an_address("address6-peer", RTM_NEWADDR, 6, 128, "2001:db8:51::1");
}

static void
check_nexthop(const char *name, uint16_t type, uint16_t flags, uint32_t id)
{
    const struct frame *frame = frame_named(name);
    struct rn_nexthop_message nexthop;

    subject = name;
    SAME(RN_PARSE_OK,
         rn_rtnl_nexthop((void *)frame->bytes, frame->size, &nexthop));
    SAME(type, nexthop.nl_type);
    SAME(flags, nexthop.nl_flags & (NLM_F_REPLACE | NLM_F_EXCL));
    SAME(id, nexthop.id);
}

static void
test_nexthops(void)
{
    check_nexthop("nexthop-new", RTM_NEWNEXTHOP, NLM_F_EXCL, 4000000000);
    check_nexthop("nexthop-group", RTM_NEWNEXTHOP, NLM_F_EXCL, 31);
    check_nexthop("nexthop-replace", RTM_NEWNEXTHOP, NLM_F_REPLACE,
                  4000000000);
    check_nexthop("nexthop-delete", RTM_DELNEXTHOP, 0, 31);
}

static void
check_netconf(const char *name, int version, int ignore_linkdown)
{
    const struct frame *frame = frame_named(name);
    struct rn_netconf_message netconf;

    subject = name;
    SAME(RN_PARSE_OK,
         rn_rtnl_netconf((void *)frame->bytes, frame->size, &netconf));
    SAME(version, netconf.ip_version);
    SAME(ignore_linkdown, netconf.ignore_linkdown);
}

static void
test_netconfs(void)
{
    check_netconf("netconf4-forwarding", 4, 0);
    check_netconf("netconf4-linkdown", 4, 1);
    check_netconf("netconf6-linkdown", 6, 1);
}

int
main(void)
{
    frames_load();
    test_each_recorded_route_says_what_its_command_said();
    test_each_recorded_route_is_expected();
    test_64_hops_come_in_order();
    test_hops_that_differ_in_encap_have_other_hashes();
    test_cloned_routes_are_ignored();
    test_links();
    test_addresses();
    test_nexthops();
    test_netconfs();
    frames_free();
    return 0;
}
