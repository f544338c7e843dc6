/* test_rtnl_rules.c - the rules of the parser, with messages of our making. */
/* sources: rn_rtnl.c */
/* sanitizers: address */

#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/lwtunnel.h>
#include <linux/nexthop.h>
#include <linux/seg6_local.h>

#include "rtnl_frames.h"

static struct {
    union {
        struct nlmsghdr header;
        uint8_t bytes[LARGEST * 2];
    };
    size_t used;
} own;

/* The start of a route message; attributes follow by put(). */
static void
begin(uint8_t family, uint8_t prefix_length)
{
    const struct rtmsg head = {
        .rtm_family = family,
        .rtm_dst_len = prefix_length,
        .rtm_table = RT_TABLE_MAIN,
        .rtm_type = RTN_UNICAST,
    };

    memset(&own.header, 0, sizeof(own.header));
    own.header.nlmsg_type = RTM_NEWROUTE;
    memcpy(own.bytes + sizeof(own.header), &head, sizeof(head));
    own.used = sizeof(own.header) + sizeof(head);
}

/* In front of any kind of message whose family header is head. */
static void
begin_with(uint16_t type, const void *head, size_t size)
{
    memset(own.bytes, 0, sizeof(own.header) + NLMSG_ALIGN(size));
    own.header.nlmsg_type = type;
    memcpy(own.bytes + sizeof(own.header), head, size);
    own.used = sizeof(own.header) + NLMSG_ALIGN(size);
}

static struct rtmsg *
route_head(void)
{
    return NLMSG_DATA(&own.header);
}

static void
put(unsigned type, const void *data, size_t size)
{
    const struct rtattr head = {
        .rta_len = (uint16_t)(sizeof(head) + size),
        .rta_type = (uint16_t)type,
    };

    CHECK(own.used + RTA_SPACE(size) <= sizeof(own.bytes));
    memset(own.bytes + own.used, 0, RTA_SPACE(size));
    memcpy(own.bytes + own.used, &head, sizeof(head));
    if (size != 0) {
        memcpy(own.bytes + own.used + sizeof(head), data, size);
    }
    own.used += RTA_SPACE(size);
}

static void
put_u32(unsigned type, uint32_t value)
{
    put(type, &value, sizeof(value));
}

/* nest - everything until nested() lies inside; both return a position. */
static size_t
nest(unsigned type)
{
    put(type, NULL, 0);
    return own.used - sizeof(struct rtattr);
}

static void
nested(size_t start)
{
    const uint16_t length = (uint16_t)(own.used - start);

    memcpy(own.bytes + start, &length, sizeof(length));
}

static size_t
nexthop_begin(uint32_t if_index, uint8_t hops)
{
    const struct rtnexthop head = {
        .rtnh_ifindex = (int)if_index,
        .rtnh_hops = hops,
    };

    memcpy(own.bytes + own.used, &head, sizeof(head));
    own.used += sizeof(head);
    return own.used - sizeof(head);
}

/* In a block of exactly its size, so that a step beyond is seen. */
static enum rn_parse
parse_own(void)
{
    uint8_t *exact = malloc(own.used);
    enum rn_parse result;

    CHECK(exact != NULL);
    set_length(own.bytes, own.used);
    memcpy(exact, own.bytes, own.used);
    result = parse(exact, own.used);
    free(exact);
    return result;
}

static const uint8_t address16[16] = {0x20, 0x01, 0x0d, 0xb8, 9, 9, 9, 9,
                                      9,    9,    9,    9,    9, 9, 9, 9};

static void
test_a_wrong_length_of_an_attribute_is_malformed(void)
{
    static const struct {
        unsigned type;
        size_t size4, size6;
    } exact[] = {
        {RTA_DST, 4, 16},       {RTA_SRC, 4, 16},     {RTA_OIF, 4, 4},
        {RTA_GATEWAY, 4, 16},   {RTA_PRIORITY, 4, 4}, {RTA_PREFSRC, 4, 16},
        {RTA_FLOW, 4, 4},       {RTA_TABLE, 4, 4},    {RTA_PREF, 1, 1},
        {RTA_ENCAP_TYPE, 2, 2}, {RTA_NH_ID, 4, 4},
    };
    const uint8_t bytes[64] = {0};

    for (size_t i = 0; i < sizeof(exact) / sizeof(exact[0]); i++) {
        for (size_t size = 0; size <= sizeof(bytes); size++) {
            begin(AF_INET, 0);
            put(exact[i].type, bytes, size);
            CHECK_EQ(size == exact[i].size4, parse_own() == RN_PARSE_OK);
            begin(AF_INET6, 0);
            put(exact[i].type, bytes, size);
            CHECK_EQ(size == exact[i].size6, parse_own() == RN_PARSE_OK);
        }
    }
}

static void
test_a_wrong_length_of_a_metric_is_malformed(void)
{
    const uint8_t bytes[64] = {0};

    for (unsigned type = 1; type < RN_METRICS; type++) {
        for (size_t size = 0; size <= sizeof(bytes); size++) {
            const bool text = type == RTAX_CC_ALGO;
            const bool fits = text ? size >= 1 && size <= 16 : size == 4;
            size_t start;

            begin(AF_INET, 0);
            start = nest(RTA_METRICS);
            put(type, bytes, size);
            nested(start);
            CHECK_EQ(fits, parse_own() == RN_PARSE_OK);
        }
    }
}

static void
test_unknown_attributes_are_skipped(void)
{
    begin(AF_INET, 0);
    for (unsigned type = 31; type < 0x4000; type += 67) {
        put(type, address16, type % 17);
    }
    put_u32(RTA_PRIORITY, 12);

    CHECK_EQ(RN_PARSE_OK, parse_own());
    CHECK_EQ(12, message.entry.metric);
    CHECK_EQ(0, message.entry.hop_count);
}

static void
test_the_last_of_two_equal_attributes_counts(void)
{
    begin(AF_INET, 0);
    put_u32(RTA_PRIORITY, 1);
    put_u32(RTA_PRIORITY, 2);

    CHECK_EQ(RN_PARSE_OK, parse_own());
    CHECK_EQ(2, message.entry.metric);
}

static void
test_the_nested_flag_is_no_part_of_the_type(void)
{
    size_t start;

    begin(AF_INET, 0);
    start = nest(RTA_METRICS | NLA_F_NESTED);
    put_u32(RTAX_MTU, 1280);
    nested(start);
    put_u32(RTA_TABLE | NLA_F_NET_BYTEORDER, 5000);

    CHECK_EQ(RN_PARSE_OK, parse_own());
    CHECK_EQ(1280, message.entry.mtu);
    CHECK_EQ(5000, message.entry.table);
}

static void
test_prefix_lengths_are_bounded(void)
{
    begin(AF_INET, 32);
    put(RTA_DST, address16, 4);
    CHECK_EQ(RN_PARSE_OK, parse_own());
    route_head()->rtm_dst_len = 33;
    CHECK(parse_own() == RN_PARSE_MALFORMED);

    begin(AF_INET6, 128);
    put(RTA_DST, address16, 16);
    put(RTA_SRC, address16, 16);
    route_head()->rtm_src_len = 128;
    CHECK_EQ(RN_PARSE_OK, parse_own());
    CHECK_EQ(128, message.entry.source_length);
    route_head()->rtm_src_len = 129;
    CHECK(parse_own() == RN_PARSE_MALFORMED);
    route_head()->rtm_src_len = 128;
    route_head()->rtm_dst_len = 129;
    CHECK(parse_own() == RN_PARSE_MALFORMED);
}

static void
test_a_prefix_length_needs_its_address(void)
{
    begin(AF_INET, 8);
    CHECK(parse_own() == RN_PARSE_MALFORMED);
    begin(AF_INET6, 0);
    route_head()->rtm_src_len = 8;
    CHECK(parse_own() == RN_PARSE_MALFORMED);
}

static void
test_bits_beyond_the_prefix_are_left_as_said(void)
{
    begin(AF_INET6, 32);
    put(RTA_DST, address16, 16);

    CHECK_EQ(RN_PARSE_OK, parse_own());
    CHECK_EQ(0, memcmp(address16, message.entry.destination, 16));
}

static void
test_the_table_is_the_attribute_or_else_the_byte(void)
{
    begin(AF_INET, 0);
    route_head()->rtm_table = 77;
    CHECK_EQ(RN_PARSE_OK, parse_own());
    CHECK_EQ(77, message.entry.table);
    put_u32(RTA_TABLE, 0);
    CHECK_EQ(RN_PARSE_OK, parse_own());
    CHECK_EQ(0, message.entry.table);
}

static void
test_what_is_not_ours_is_ignored(void)
{
    static const uint8_t families[] = {0, 7, 28, 128, 129, 255};

    for (size_t i = 0; i < sizeof(families); i++) {
        begin(families[i], 200);
        CHECK_EQ(RN_PARSE_IGNORED, parse_own());
    }
    begin(AF_INET6, 0);
    route_head()->rtm_flags = RTM_F_CLONED | RTM_F_NOTIFY;
    CHECK_EQ(RN_PARSE_IGNORED, parse_own());
    for (unsigned type = 0; type < 256; type++) {
        begin(AF_INET, 0);
        own.header.nlmsg_type = (uint16_t)type;
        CHECK_EQ(type != RTM_NEWROUTE && type != RTM_DELROUTE,
                 parse_own() == RN_PARSE_IGNORED);
    }
}

static void
test_a_via_of_another_family_is_no_gateway(void)
{
    uint8_t via[2 + 16] = {0};
    const uint16_t mpls = 28, inet = AF_INET;

    memcpy(via, &mpls, sizeof(mpls));
    begin(AF_INET, 0);
    put(RTA_VIA, via, sizeof(via));
    put_u32(RTA_OIF, 3);
    CHECK_EQ(RN_PARSE_OK, parse_own());
    CHECK_EQ(1, message.entry.hop_count);
    CHECK_EQ(0, message.hops[0].gateway_version);
    CHECK_EQ(3, message.hops[0].if_index);

    memcpy(via, &inet, sizeof(inet));
    begin(AF_INET6, 0);
    put(RTA_VIA, via, 6);
    CHECK_EQ(RN_PARSE_OK, parse_own());
    CHECK_EQ(4, message.hops[0].gateway_version);
}

static void
test_a_via_must_have_the_length_of_its_family(void)
{
    uint8_t via[2 + 32] = {0};

    for (uint16_t family = AF_INET; family <= AF_INET6; family += 8) {
        memcpy(via, &family, sizeof(family));
        for (size_t size = 0; size <= sizeof(via); size++) {
            begin(AF_INET, 0);
            put(RTA_VIA, via, size);
            CHECK_EQ(size == (family == AF_INET ? 6u : 18u),
                     parse_own() == RN_PARSE_OK);
        }
    }
}

static void
test_multipath_wins_over_a_gateway_of_the_entry(void)
{
    size_t start;
    size_t hop;

    begin(AF_INET, 0);
    put(RTA_GATEWAY, address16, 4);
    put_u32(RTA_OIF, 3);
    start = nest(RTA_MULTIPATH);
    hop = nexthop_begin(4, 9);
    put(RTA_GATEWAY, address16 + 4, 4);
    nested(hop);
    nested(start);

    CHECK_EQ(RN_PARSE_OK, parse_own());
    CHECK_EQ(1, message.entry.hop_count);
    CHECK_EQ(4, message.hops[0].if_index);
    CHECK_EQ(9, message.hops[0].gateway[0]);
    CHECK_EQ(0, message.hops[0].weight); /* it is alone */
}

static void
test_a_multipath_wants_room_for_all_hops(void)
{
    size_t start;

    begin(AF_INET, 0);
    put_u32(RTA_OIF, 3);
    message.room = 1;
    CHECK_EQ(RN_PARSE_OK, parse_own());
    CHECK_EQ(1, message.entry.hop_count);

    start = nest(RTA_MULTIPATH);
    nested(nexthop_begin(4, 0));
    nested(start);
    CHECK_EQ(RN_PARSE_LARGE, parse_own());
    message.room = RN_HOPS_MAX;
    CHECK_EQ(RN_PARSE_OK, parse_own());
    CHECK_EQ(4, message.hops[0].if_index);
}

static void
test_a_multipath_without_hops_is_malformed(void)
{
    begin(AF_INET, 0);
    put(RTA_MULTIPATH, NULL, 0);
    CHECK(parse_own() == RN_PARSE_MALFORMED);
}

static void
test_a_hop_must_lie_inside_its_multipath(void)
{
    for (unsigned length = 0; length <= 24; length++) {
        const uint16_t value = (uint16_t)length;
        size_t start;
        size_t hop;

        begin(AF_INET, 0);
        start = nest(RTA_MULTIPATH);
        hop = nexthop_begin(4, 9);
        put(RTA_GATEWAY, address16, 4);
        nested(start);
        memcpy(own.bytes + hop, &value, sizeof(value));
        /* cut at 8 the gateway reads as a second hop */
        CHECK_EQ(length == 16 || length == 8, parse_own() == RN_PARSE_OK);
    }
}

static void
test_bytes_after_the_last_hop_are_malformed(void)
{
    for (size_t more = 1; more < 8; more++) {
        size_t start;

        begin(AF_INET, 0);
        start = nest(RTA_MULTIPATH);
        nested(nexthop_begin(4, 9));
        memset(own.bytes + own.used, 0, 8);
        own.used += more;
        nested(start);
        own.used = RTA_ALIGN(own.used);
        CHECK(parse_own() == RN_PARSE_MALFORMED);
    }
}

static void
test_the_largest_multipath_has_8191_hops(void)
{
    size_t start;

    begin(AF_INET, 0);
    start = nest(RTA_MULTIPATH);
    for (uint32_t i = 0; i < 8191; i++) {
        nested(nexthop_begin(i, 1));
    }
    nested(start);

    CHECK_EQ(RN_PARSE_OK, parse_own());
    CHECK(rtnl_sane(&message));
    CHECK_EQ(8191, message.entry.hop_count);
    CHECK_EQ(8190, message.hops[8190].if_index);
}

/* metrics - a message with these metrics, in this order; its `other`. */
static uint32_t
other_with(const uint32_t pairs[][2], int count)
{
    size_t start;

    begin(AF_INET, 0);
    start = nest(RTA_METRICS);
    for (int i = 0; i < count; i++) {
        put_u32(pairs[i][0], pairs[i][1]);
    }
    nested(start);
    CHECK_EQ(RN_PARSE_OK, parse_own());
    return message.entry.other;
}

static void
test_other_is_a_hash_of_the_metrics_but_the_mtu(void)
{
    const uint32_t a[][2] = {{RTAX_RTT, 7}, {RTAX_CWND, 9}, {RTAX_MTU, 1}};
    const uint32_t b[][2] = {{RTAX_MTU, 2}, {RTAX_CWND, 9}, {RTAX_RTT, 7}};
    const uint32_t c[][2] = {{RTAX_CWND, 7}, {RTAX_RTT, 9}};
    const uint32_t mtu[][2] = {{RTAX_MTU, 2}};
    const uint32_t lock[][2] = {{RTAX_MTU, 2}, {RTAX_LOCK, 1 << RTAX_MTU}};

    CHECK_EQ(other_with(a, 3), other_with(b, 3));
    CHECK(other_with(a, 3) != other_with(c, 2));
    CHECK_EQ(0, other_with(mtu, 1));
    CHECK(other_with(lock, 2) != 0);
}

/* other_named - with this congestion control and these realms. */
static uint32_t
other_named(const char *name, uint32_t realms)
{
    size_t start;

    begin(AF_INET, 0);
    start = nest(RTA_METRICS);
    put(RTAX_CC_ALGO, name, strlen(name) + 1);
    nested(start);
    put_u32(RTA_FLOW, realms);
    CHECK_EQ(RN_PARSE_OK, parse_own());
    return message.entry.other;
}

static void
test_other_is_also_a_hash_of_congestion_control_and_realms(void)
{
    CHECK(other_named("reno", 5) != other_named("cubic", 5));
    CHECK(other_named("reno", 5) != other_named("reno", 6));
    CHECK(other_named("reno", 0) != 0);
    CHECK(other_named("", 5) != 0);
    CHECK_EQ(0, other_named("", 0));
}

static void
test_a_name_without_an_end_is_malformed(void)
{
    const char name[16] = "fifteen-letters";
    struct ifinfomsg head = {.ifi_family = AF_UNSPEC};
    struct rn_link_message link;

    for (size_t size = 15; size <= 16; size++) {
        begin_with(RTM_NEWLINK, &head, sizeof(head));
        put(IFLA_IFNAME, name, size);
        set_length(own.bytes, own.used);
        CHECK_EQ(RN_PARSE_OK, rn_rtnl_link(&own.header, own.used, &link));
        CHECK(strcmp(name, link.name) == 0);
    }
    begin_with(RTM_NEWLINK, &head, sizeof(head));
    put(IFLA_IFNAME, "sixteen-letters!", 16);
    set_length(own.bytes, own.used);
    CHECK(rn_rtnl_link(&own.header, own.used, &link) == RN_PARSE_MALFORMED);
}

static uint64_t
expires_with(int32_t ticks)
{
    const struct rta_cacheinfo info = {.rta_expires = ticks};

    begin(AF_INET6, 0);
    put(RTA_CACHEINFO, &info, sizeof(info));
    CHECK_EQ(RN_PARSE_OK, parse_own());
    return message.expires_ns;
}

static void
test_expiry_is_in_ticks_of_ten_milliseconds(void)
{
    CHECK_EQ(0, expires_with(0));
    CHECK_EQ(UINT64_C(10000000), expires_with(1));
    CHECK_EQ(UINT64_C(10000000) * INT32_MAX, expires_with(INT32_MAX));
    CHECK_EQ(1, expires_with(-5)); /* over, not "for ever" */
}

/* seg6local - the hash of a hop with this action and these counters. */
static uint32_t
encap_with(uint32_t action, uint64_t packets, uint16_t type)
{
    size_t encap;
    size_t counters;

    begin(AF_INET6, 0);
    put_u32(RTA_OIF, 3);
    encap = nest(RTA_ENCAP);
    put_u32(SEG6_LOCAL_ACTION, action);
    counters = nest(SEG6_LOCAL_COUNTERS | NLA_F_NESTED);
    put(SEG6_LOCAL_CNT_PACKETS, &packets, sizeof(packets));
    nested(counters);
    nested(encap);
    put(RTA_ENCAP_TYPE, &type, sizeof(type));
    CHECK_EQ(RN_PARSE_OK, parse_own());
    CHECK_EQ(type, message.encap_type);
    return message.hops[0].encap;
}

static void
test_packet_counters_are_no_part_of_an_encap(void)
{
    const uint16_t local = LWTUNNEL_ENCAP_SEG6_LOCAL;
    const uint16_t ip6 = LWTUNNEL_ENCAP_IP6;
    const uint16_t rpl = LWTUNNEL_ENCAP_RPL;

    CHECK_EQ(encap_with(1, 5, local), encap_with(1, 6, local));
    CHECK(encap_with(1, 5, local) != encap_with(2, 5, local));
    CHECK(encap_with(1, 5, ip6) != encap_with(1, 6, ip6));
    CHECK(encap_with(1, 5, ip6) != encap_with(1, 5, rpl));
}

static void
test_an_encap_that_is_no_list_of_attributes_is_malformed(void)
{
    const uint16_t local = LWTUNNEL_ENCAP_SEG6_LOCAL;

    begin(AF_INET6, 0);
    put_u32(RTA_OIF, 3);
    put(RTA_ENCAP_TYPE, &local, sizeof(local));
    put(RTA_ENCAP, address16, 7);
    CHECK(parse_own() == RN_PARSE_MALFORMED);
}

static void
test_a_nexthop_without_id_is_malformed(void)
{
    const struct nhmsg head = {.nh_family = AF_INET};
    struct rn_nexthop_message nexthop;

    begin_with(RTM_NEWNEXTHOP, &head, sizeof(head));
    set_length(own.bytes, own.used);
    CHECK(rn_rtnl_nexthop(&own.header, own.used, &nexthop) ==
          RN_PARSE_MALFORMED);
}

static void
test_an_address_of_zero_is_left_out_by_the_kernel(void)
{
    const struct ifaddrmsg head = {.ifa_family = AF_INET, .ifa_index = 3};
    struct rn_address_message address;

    begin_with(RTM_NEWADDR, &head, sizeof(head));
    set_length(own.bytes, own.used);
    CHECK_EQ(RN_PARSE_OK, rn_rtnl_address(&own.header, own.used, &address));
    check_address(4, NULL, address.local);
    CHECK_EQ(3, address.index);
}

static void
test_messages_of_the_wrong_kind_are_ignored(void)
{
    struct rn_link_message link;
    struct rn_address_message address;
    struct rn_nexthop_message nexthop;
    struct rn_netconf_message netconf;

    begin(AF_INET, 0);
    set_length(own.bytes, own.used);
    own.header.nlmsg_type = RTM_NEWRULE;

    memset(own.bytes + own.used, 0, 16);
    own.used += 16;
    set_length(own.bytes, own.used);
    CHECK_EQ(RN_PARSE_IGNORED, rn_rtnl_link(&own.header, own.used, &link));
    CHECK_EQ(RN_PARSE_IGNORED,
             rn_rtnl_address(&own.header, own.used, &address));
    CHECK_EQ(RN_PARSE_IGNORED,
             rn_rtnl_nexthop(&own.header, own.used, &nexthop));
    CHECK_EQ(RN_PARSE_IGNORED,
             rn_rtnl_netconf(&own.header, own.used, &netconf));
}

int
main(void)
{
    test_a_wrong_length_of_an_attribute_is_malformed();
    test_a_wrong_length_of_a_metric_is_malformed();
    test_unknown_attributes_are_skipped();
    test_the_last_of_two_equal_attributes_counts();
    test_the_nested_flag_is_no_part_of_the_type();
    test_prefix_lengths_are_bounded();
    test_a_prefix_length_needs_its_address();
    test_bits_beyond_the_prefix_are_left_as_said();
    test_the_table_is_the_attribute_or_else_the_byte();
    test_what_is_not_ours_is_ignored();
    test_a_via_of_another_family_is_no_gateway();
    test_a_via_must_have_the_length_of_its_family();
    test_multipath_wins_over_a_gateway_of_the_entry();
    test_a_multipath_wants_room_for_all_hops();
    test_a_multipath_without_hops_is_malformed();
    test_a_hop_must_lie_inside_its_multipath();
    test_bytes_after_the_last_hop_are_malformed();
    test_the_largest_multipath_has_8191_hops();
    test_other_is_a_hash_of_the_metrics_but_the_mtu();
    test_other_is_also_a_hash_of_congestion_control_and_realms();
    test_a_name_without_an_end_is_malformed();
    test_expiry_is_in_ticks_of_ten_milliseconds();
    test_packet_counters_are_no_part_of_an_encap();
    test_an_encap_that_is_no_list_of_attributes_is_malformed();
    test_a_nexthop_without_id_is_malformed();
    test_an_address_of_zero_is_left_out_by_the_kernel();
    test_messages_of_the_wrong_kind_are_ignored();
    return 0;
}
