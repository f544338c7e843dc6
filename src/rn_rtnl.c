/* rn_rtnl.c - rtnetlink messages to plain structs, by tables of attributes.
 *
 *   message:    nlmsghdr | family header | attribute ...
 *   attribute:  u16 length, itself included | u16 type | payload | pad to 4
 *   multipath:  rtnexthop (u16 length, flags, weight, ifindex) | attribute ...
 *
 * A table says which attributes are wanted and how long each may be.  Others
 * are skipped (a newer kernel has more), a wrong length or a byte left over
 * rejects the whole message.  Of an attribute that comes twice the last
 * counts, as in the kernel.  Everything is copied out with memcpy: the wire
 * aligns to 4 at best.
 */
#include "rn_rtnl.h"

#include <stdbool.h>
#include <string.h>

#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/netconf.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

/* Newer than the headers of Linux 3.10, with which wheels may be built. */
enum {
    WIRE_RTA_VIA = 18,
    WIRE_RTA_PREF = 20,
    WIRE_RTA_ENCAP_TYPE = 21,
    WIRE_RTA_ENCAP = 22,
    WIRE_RTA_NH_ID = 30,
    WIRE_RTAX_CC_ALGO = 16,
    WIRE_RTM_NEWNEXTHOP = 104,
    WIRE_RTM_DELNEXTHOP = 105,
    WIRE_NHA_ID = 1,
    WIRE_NETCONFA_IGNORE_ROUTES_WITH_LINKDOWN = 6,
    WIRE_ENCAP_SEG6_LOCAL = 7,
    WIRE_SEG6_LOCAL_COUNTERS = 10,
};
struct wire_nhmsg {
    uint8_t family, scope, protocol, reserved;
    uint32_t flags;
};

#define USER_HZ_NS 10000000u /* clock ticks are 1/100 s in every message */

static_assert(RN_METRICS == WIRE_RTAX_CC_ALGO + 2, "CC_ALGO, NO_COOKIE");
static_assert(RN_HOPS_MAX >= UINT16_MAX / sizeof(struct rtnexthop),
              "an attribute cannot hold more hops than we do");
static_assert(sizeof(struct rtattr) == 4, "wire");
static_assert(sizeof(struct rtnexthop) == 8, "wire");
static_assert(sizeof(struct wire_nhmsg) == 8, "wire");

struct span {
    const uint8_t *at;
    size_t left;
};

struct attribute {
    const uint8_t *data;
    uint16_t type; /* without the NESTED and NET_BYTEORDER bits */
    uint16_t size; /* of the payload */
};

#define ATTRIBUTES 32 /* wanted types are below; one bit each in `seen` */
#define ANY_SIZE UINT16_MAX

/* longest 0: not wanted. */
struct rule {
    uint16_t shortest, longest;
};

/* Slots whose bit is not in `seen` are not initialised. */
struct attributes {
    uint32_t seen;
    uint16_t size[ATTRIBUTES];
    const uint8_t *data[ATTRIBUTES];
};

struct message {
    uint16_t type, flags;
    struct span attributes;
};

/* What route messages and the hops in their RTA_MULTIPATH have in common. */
#define ROUTE_RULES(address)                                                \
    [RTA_DST] = {(address), (address)}, [RTA_SRC] = {(address), (address)}, \
    [RTA_OIF] = {4, 4}, [RTA_GATEWAY] = {(address), (address)},             \
    [RTA_PRIORITY] = {4, 4}, [RTA_PREFSRC] = {(address), (address)},        \
    [RTA_METRICS] = {0, ANY_SIZE}, [RTA_MULTIPATH] = {0, ANY_SIZE},         \
    [RTA_FLOW] = {4, 4},                                                    \
    [RTA_CACHEINFO] = {sizeof(struct rta_cacheinfo), ANY_SIZE},             \
    [RTA_TABLE] = {4, 4}, [WIRE_RTA_VIA] = {2, ANY_SIZE},                   \
    [WIRE_RTA_PREF] = {1, 1}, [WIRE_RTA_ENCAP_TYPE] = {2, 2},               \
    [WIRE_RTA_ENCAP] = {0, ANY_SIZE}, [WIRE_RTA_NH_ID] = {4, 4}

static const struct rule route4_rules[ATTRIBUTES] = {ROUTE_RULES(4)};
static const struct rule route6_rules[ATTRIBUTES] = {ROUTE_RULES(16)};

static const struct rule metric_rules[ATTRIBUTES] = {
    [RTAX_LOCK] = {4, 4},
    [RTAX_MTU] = {4, 4},
    [RTAX_WINDOW] = {4, 4},
    [RTAX_RTT] = {4, 4},
    [RTAX_RTTVAR] = {4, 4},
    [RTAX_SSTHRESH] = {4, 4},
    [RTAX_CWND] = {4, 4},
    [RTAX_ADVMSS] = {4, 4},
    [RTAX_REORDERING] = {4, 4},
    [RTAX_HOPLIMIT] = {4, 4},
    [RTAX_INITCWND] = {4, 4},
    [RTAX_FEATURES] = {4, 4},
    [RTAX_RTO_MIN] = {4, 4},
    [RTAX_INITRWND] = {4, 4},
    [RTAX_QUICKACK] = {4, 4},
    [WIRE_RTAX_CC_ALGO] = {1, sizeof(((struct rn_route *)0)->congestion)},
    [WIRE_RTAX_CC_ALGO + 1] = {4, 4}, /* RTAX_FASTOPEN_NO_COOKIE */
};

static const struct rule link_rules[ATTRIBUTES] = {
    [IFLA_IFNAME] = {1, sizeof(((struct rn_link_message *)0)->name)},
    [IFLA_MTU] = {4, 4},
};

static const struct rule address4_rules[ATTRIBUTES] = {
    [IFA_ADDRESS] = {4, 4},
    [IFA_LOCAL] = {4, 4},
};

static const struct rule address6_rules[ATTRIBUTES] = {
    [IFA_ADDRESS] = {16, 16},
    [IFA_LOCAL] = {16, 16},
};

static const struct rule nexthop_rules[ATTRIBUTES] = {
    [WIRE_NHA_ID] = {4, 4},
};

static const struct rule netconf_rules[ATTRIBUTES] = {
    [WIRE_NETCONFA_IGNORE_ROUTES_WITH_LINKDOWN] = {4, 4},
};

/* span_skip - go on by size and its padding; the last one's may be missing. */
static inline void
span_skip(struct span *span, size_t size)
{
    const size_t padded = (size + 3) & ~(size_t)3;
    const size_t step = padded < span->left ? padded : span->left;

    span->at += step;
    span->left -= step;
}

/* attribute_next - false at the end, and where the rest is no attribute: the
 * two differ by span->left, which is 0 only at the end.
 */
static inline bool
attribute_next(struct span *span, struct attribute *out)
{
    struct rtattr head;

    if (span->left < sizeof(head)) {
        return false;
    }
    memcpy(&head, span->at, sizeof(head));
    if (head.rta_len < sizeof(head) || head.rta_len > span->left) {
        return false;
    }
    out->data = span->at + sizeof(head);
    out->type = head.rta_type & (uint16_t)NLA_TYPE_MASK;
    out->size = (uint16_t)(head.rta_len - sizeof(head));
    span_skip(span, head.rta_len);
    return true;
}

/* attributes_read - sort the wanted ones by type; false: malformed. */
static inline bool
attributes_read(struct span span, const struct rule rules[ATTRIBUTES],
                struct attributes *out)
{
    struct attribute attribute;

    out->seen = 0;
    while (attribute_next(&span, &attribute)) {
        const uint16_t type = attribute.type;

        if (type >= ATTRIBUTES || rules[type].longest == 0) {
            continue;
        }
        if (attribute.size < rules[type].shortest ||
            attribute.size > rules[type].longest) {
            return false;
        }
        out->seen |= UINT32_C(1) << type;
        out->data[type] = attribute.data;
        out->size[type] = attribute.size;
    }
    return span.left == 0;
}

static inline bool
has(const struct attributes *attributes, unsigned type)
{
    return (attributes->seen >> type & 1) != 0;
}

static inline struct span
inside(const struct attributes *attributes, unsigned type)
{
    return (struct span){attributes->data[type], attributes->size[type]};
}

static inline uint32_t
get_u32(const struct attributes *attributes, unsigned type, uint32_t absent)
{
    uint32_t value = absent;

    if (has(attributes, type)) {
        memcpy(&value, attributes->data[type], sizeof(value));
    }
    return value;
}

static inline uint16_t
get_u16(const struct attributes *attributes, unsigned type)
{
    uint16_t value = 0;

    if (has(attributes, type)) {
        memcpy(&value, attributes->data[type], sizeof(value));
    }
    return value;
}

/* get_address - the rules let 4 or 16 bytes through; absent: left as it is. */
static inline void
get_address(const struct attributes *attributes, unsigned type,
            uint8_t address[16])
{
    if (!has(attributes, type)) {
        return;
    }
    if (attributes->size[type] == 4) {
        memcpy(address, attributes->data[type], 4);
    } else {
        memcpy(address, attributes->data[type], 16);
    }
}

/* get_text - at most 15 characters; false: no end within the 16. */
static bool
get_text(const struct attributes *attributes, unsigned type, char text[16])
{
    memset(text, 0, 16);
    if (has(attributes, type)) {
        memcpy(text, attributes->data[type], attributes->size[type]);
    }
    return text[15] == '\0';
}

/* message_open - check the lengths, copy the family header out. */
static inline bool
message_open(const struct nlmsghdr *header, size_t size, void *head,
             size_t head_size, struct message *out)
{
    const uint8_t *start = (const uint8_t *)header;
    const size_t offset = NLMSG_ALIGN(sizeof(*header) + head_size);
    struct nlmsghdr copy;

    if (size < offset) {
        return false;
    }
    memcpy(&copy, start, sizeof(copy));
    if (copy.nlmsg_len < offset || copy.nlmsg_len > size) {
        return false;
    }
    memcpy(head, start + sizeof(copy), head_size);
    out->type = copy.nlmsg_type;
    out->flags = copy.nlmsg_flags;
    out->attributes.at = start + offset;
    out->attributes.left = copy.nlmsg_len - offset;
    return true;
}

static inline uint8_t
version_of(uint8_t family)
{
    return family == AF_INET ? 4 : 6;
}

static inline bool
family_known(uint8_t family)
{
    return family == AF_INET || family == AF_INET6;
}

static inline unsigned
bits_of(uint8_t family)
{
    return family == AF_INET ? 32 : 128;
}

/* FNV-1a: attributes that are compared, never looked up, get 32 bits of it. */
#define HASH_START 2166136261u

static uint32_t
hash_bytes(uint32_t hash, const void *data, size_t size)
{
    const uint8_t *bytes = data;

    for (size_t i = 0; i < size; i++) {
        hash = (hash ^ bytes[i]) * 16777619u;
    }
    return hash;
}

/* hash_encap - all of RTA_ENCAP but the packet counters of seg6local, which
 * differ from one dump to the next (`ip -6 route add fc00::1 encap seg6local
 * action End count dev v0`); false: malformed.
 */
static bool
hash_encap(struct span span, uint16_t encap_type, uint32_t *hash)
{
    struct attribute attribute;

    if (encap_type != WIRE_ENCAP_SEG6_LOCAL) {
        *hash = hash_bytes(*hash, span.at, span.left);
        return true;
    }
    while (attribute_next(&span, &attribute)) {
        if (attribute.type != WIRE_SEG6_LOCAL_COUNTERS) {
            *hash = hash_bytes(*hash, &attribute.type, sizeof(uint16_t));
            *hash = hash_bytes(*hash, attribute.data, attribute.size);
        }
    }
    return span.left == 0;
}

static bool
read_encap(const struct attributes *attributes, struct rn_hop *hop)
{
    const uint16_t type = get_u16(attributes, WIRE_RTA_ENCAP_TYPE);
    uint32_t hash = hash_bytes(HASH_START, &type, sizeof(type));

    if (has(attributes, WIRE_RTA_ENCAP) &&
        !hash_encap(inside(attributes, WIRE_RTA_ENCAP), type, &hash)) {
        return false;
    }
    hop->encap = hash != 0 ? hash : 1;
    return true;
}

/* read_via - a gateway of any family.  Those that are not ours (AF_MPLS, a
 * link-layer address) leave the hop without a gateway.
 */
static bool
read_via(const struct attributes *attributes, struct rn_hop *hop)
{
    const uint8_t *data = attributes->data[WIRE_RTA_VIA];
    const size_t size = attributes->size[WIRE_RTA_VIA] - sizeof(uint16_t);
    const uint16_t family = get_u16(attributes, WIRE_RTA_VIA);

    if (family != AF_INET && family != AF_INET6) {
        return true;
    }
    if (size != (family == AF_INET ? 4 : 16)) {
        return false;
    }
    memcpy(hop->gateway, data + sizeof(uint16_t), size);
    hop->gateway_version = family == AF_INET ? 4 : 6;
    return true;
}

/* read_hop - what a hop says in attributes, the same in and out of
 * RTA_MULTIPATH.  The rest of *hop is the caller's.
 */
static inline bool
read_hop(const struct attributes *attributes, struct rn_hop *hop)
{
    if (has(attributes, RTA_GATEWAY)) {
        get_address(attributes, RTA_GATEWAY, hop->gateway);
        hop->gateway_version = attributes->size[RTA_GATEWAY] == 4 ? 4 : 6;
    } else if (has(attributes, WIRE_RTA_VIA) && !read_via(attributes, hop)) {
        return false;
    }
    if (has(attributes, WIRE_RTA_ENCAP_TYPE) ||
        has(attributes, WIRE_RTA_ENCAP)) {
        return read_encap(attributes, hop);
    }
    return true;
}

/* read_lone_hop - a route without RTA_MULTIPATH: one hop, or none. */
static inline bool
read_lone_hop(const struct attributes *attributes,
              struct rn_route_message *out)
{
    struct rn_hop *hop = &out->hops[0];

    if (!has(attributes, RTA_OIF) && !has(attributes, RTA_GATEWAY) &&
        !has(attributes, WIRE_RTA_VIA)) {
        return true;
    }
    *hop = (struct rn_hop){
        .if_index = get_u32(attributes, RTA_OIF, 0),
        .flags = (uint8_t)(out->rtm_flags & 0xff),
    };
    out->entry.hop_count = 1;
    out->encap_type = get_u16(attributes, WIRE_RTA_ENCAP_TYPE);
    return read_hop(attributes, hop);
}

/* read_nexthop - one rtnexthop with its attributes, as hop number
 * entry.hop_count; false: malformed.
 */
static bool
read_nexthop(struct span *span, const struct rule *rules,
             struct rn_route_message *out)
{
    const uint32_t count = out->entry.hop_count;
    struct rtnexthop head;
    struct attributes attributes;
    struct span rest;

    memcpy(&head, span->at, sizeof(head));
    if (head.rtnh_len < sizeof(head) || head.rtnh_len > span->left ||
        count == out->room) {
        return false;
    }
    rest.at = span->at + sizeof(head);
    rest.left = head.rtnh_len - sizeof(head);
    if (!attributes_read(rest, rules, &attributes)) {
        return false;
    }
    out->hops[count] = (struct rn_hop){
        .if_index = (uint32_t)head.rtnh_ifindex,
        .realms = get_u32(&attributes, RTA_FLOW, 0),
        .flags = head.rtnh_flags,
        .weight = head.rtnh_hops,
    };
    if (count == 0) {
        out->encap_type = get_u16(&attributes, WIRE_RTA_ENCAP_TYPE);
    }
    out->entry.hop_count = count + 1;
    span_skip(span, head.rtnh_len);
    return read_hop(&attributes, &out->hops[count]);
}

/* read_multipath - false also without any hop: no route is like that. */
static bool
read_multipath(struct span span, const struct rule *rules,
               struct rn_route_message *out)
{
    while (span.left >= sizeof(struct rtnexthop)) {
        if (!read_nexthop(&span, rules, out)) {
            return false;
        }
    }
    /* A nexthop group of one says its weight, a lone hop elsewhere does not:
     * the same route must look the same.
     */
    if (out->entry.hop_count == 1) {
        out->hops[0].weight = 0;
    }
    return span.left == 0 && out->entry.hop_count != 0;
}

static bool
read_metrics(struct span span, struct rn_route_message *out)
{
    struct attributes metrics;

    if (!attributes_read(span, metric_rules, &metrics) ||
        !get_text(&metrics, WIRE_RTAX_CC_ALGO, out->congestion)) {
        return false;
    }
    out->metrics_mask = metrics.seen & ~(UINT32_C(1) << WIRE_RTAX_CC_ALGO);
    for (unsigned i = 0; i < RN_METRICS; i++) {
        out->metrics[i] = 0;
        if ((out->metrics_mask >> i & 1) != 0) {
            out->metrics[i] = get_u32(&metrics, i, 0);
        }
    }
    out->entry.mtu = out->metrics[RTAX_MTU];
    return true;
}

/* hash_other - rn_entry.other; independent of the order on the wire. */
static uint32_t
hash_other(const struct rn_route_message *message)
{
    const uint32_t mask = message->metrics_mask & ~(UINT32_C(1) << RTAX_MTU);
    uint32_t hash;

    if (mask == 0 && message->congestion[0] == '\0' && message->realms == 0) {
        return 0;
    }
    hash = hash_bytes(HASH_START, &mask, sizeof(mask));
    for (unsigned i = 0; i < RN_METRICS; i++) {
        if ((mask >> i & 1) != 0) {
            hash = hash_bytes(hash, &message->metrics[i], sizeof(uint32_t));
        }
    }
    hash = hash_bytes(hash, message->congestion, sizeof(message->congestion));
    hash = hash_bytes(hash, &message->realms, sizeof(message->realms));
    return hash != 0 ? hash : 1;
}

/* time_left - an expired route lives on until the kernel's collector comes
 * (then rta_expires is negative): 1 ns, for 0 means "for ever".
 */
static uint64_t
time_left(const struct attributes *attributes)
{
    struct rta_cacheinfo info;
    int32_t ticks;

    if (!has(attributes, RTA_CACHEINFO)) {
        return 0;
    }
    memcpy(&info, attributes->data[RTA_CACHEINFO], sizeof(info));
    ticks = (int32_t)info.rta_expires;
    return ticks >= 0 ? (uint64_t)ticks * USER_HZ_NS : 1;
}

/* fill_entry - all of *out but hops and what metrics say. */
static inline void
fill_entry(const struct rtmsg *head, const struct attributes *attributes,
           struct rn_entry *out)
{
    rn_clear(out, sizeof(*out));
    out->table = get_u32(attributes, RTA_TABLE, head->rtm_table);
    out->metric = get_u32(attributes, RTA_PRIORITY, 0);
    out->nexthop_id = get_u32(attributes, WIRE_RTA_NH_ID, 0);
    out->ip_version = version_of(head->rtm_family);
    out->prefix_length = head->rtm_dst_len;
    out->tos = head->rtm_tos;
    out->protocol = head->rtm_protocol;
    out->scope = head->rtm_scope;
    out->route_type = head->rtm_type;
    get_address(attributes, RTA_DST, out->destination);
    get_address(attributes, RTA_PREFSRC, out->prefsrc);
    if (head->rtm_family == AF_INET6) {
        out->source_length = head->rtm_src_len;
        get_address(attributes, RTA_SRC, out->source);
    }
    if (has(attributes, WIRE_RTA_PREF)) {
        out->preference = attributes->data[WIRE_RTA_PREF][0] & 3;
    }
}

/* fill_message - all of *out but what metrics and hops say. */
static inline void
fill_message(const struct message *message, const struct rtmsg *head,
             const struct attributes *attributes, struct rn_route_message *out)
{
    fill_entry(head, attributes, &out->entry);
    out->entry.hops = out->hops;
    out->nl_type = message->type;
    out->nl_flags = message->flags;
    out->rtm_flags = head->rtm_flags;
    out->realms = get_u32(attributes, RTA_FLOW, 0);
    out->metrics_mask = 0;
    memset(out->congestion, 0, sizeof(out->congestion));
    out->encap_type = 0;
    out->expires_ns = time_left(attributes);
}

/* prefixes_fit - lengths in bounds, and an address where there is a length. */
static inline bool
prefixes_fit(const struct rtmsg *head, const struct attributes *attributes)
{
    const unsigned bits = bits_of(head->rtm_family);

    if (head->rtm_dst_len > bits || head->rtm_src_len > bits) {
        return false;
    }
    return (head->rtm_dst_len == 0 || has(attributes, RTA_DST)) &&
           (head->rtm_src_len == 0 || has(attributes, RTA_SRC));
}

static inline bool
route_is_ours(const struct message *message, const struct rtmsg *head)
{
    return (message->type == RTM_NEWROUTE || message->type == RTM_DELROUTE) &&
           family_known(head->rtm_family) &&
           (head->rtm_flags & RTM_F_CLONED) == 0;
}

enum rn_parse
rn_rtnl_route(const struct nlmsghdr *header, size_t size,
              struct rn_route_message *out)
{
    struct message message;
    struct rtmsg head;
    struct attributes attributes;
    const struct rule *rules;
    bool fine;

    if (!message_open(header, size, &head, sizeof(head), &message)) {
        return RN_PARSE_MALFORMED;
    }
    if (!route_is_ours(&message, &head)) {
        return RN_PARSE_IGNORED;
    }
    rules = head.rtm_family == AF_INET ? route4_rules : route6_rules;
    if (!attributes_read(message.attributes, rules, &attributes) ||
        !prefixes_fit(&head, &attributes)) {
        return RN_PARSE_MALFORMED;
    }
    if (has(&attributes, RTA_MULTIPATH) && out->room < RN_HOPS_MAX) {
        return RN_PARSE_LARGE;
    }
    fill_message(&message, &head, &attributes, out);
    if (has(&attributes, RTA_METRICS) &&
        !read_metrics(inside(&attributes, RTA_METRICS), out)) {
        return RN_PARSE_MALFORMED;
    }
    out->entry.other = hash_other(out);
    if (has(&attributes, RTA_MULTIPATH)) {
        fine = read_multipath(inside(&attributes, RTA_MULTIPATH), rules, out);
    } else {
        fine = read_lone_hop(&attributes, out);
    }
    return fine ? RN_PARSE_OK : RN_PARSE_MALFORMED;
}

enum rn_parse
rn_rtnl_link(const struct nlmsghdr *header, size_t size,
             struct rn_link_message *out)
{
    struct message message;
    struct ifinfomsg head;
    struct attributes attributes;

    if (!message_open(header, size, &head, sizeof(head), &message)) {
        return RN_PARSE_MALFORMED;
    }
    if (!(message.type == RTM_NEWLINK &&
          (head.ifi_family == AF_UNSPEC || head.ifi_family == AF_INET6)) &&
        !(message.type == RTM_DELLINK && head.ifi_family == AF_UNSPEC)) {
        return RN_PARSE_IGNORED;
    }
    if (!attributes_read(message.attributes, link_rules, &attributes) ||
        !get_text(&attributes, IFLA_IFNAME, out->name)) {
        return RN_PARSE_MALFORMED;
    }
    out->nl_type = message.type;
    out->family = head.ifi_family == AF_INET6 ? 6 : 0;
    out->index = (uint32_t)head.ifi_index;
    out->flags = head.ifi_flags;
    out->mtu = get_u32(&attributes, IFLA_MTU, 0);
    return RN_PARSE_OK;
}

enum rn_parse
rn_rtnl_address(const struct nlmsghdr *header, size_t size,
                struct rn_address_message *out)
{
    struct message message;
    struct ifaddrmsg head;
    struct attributes attributes;

    if (!message_open(header, size, &head, sizeof(head), &message)) {
        return RN_PARSE_MALFORMED;
    }
    if ((message.type != RTM_NEWADDR && message.type != RTM_DELADDR) ||
        !family_known(head.ifa_family)) {
        return RN_PARSE_IGNORED;
    }
    if (head.ifa_prefixlen > bits_of(head.ifa_family) ||
        !attributes_read(message.attributes,
                         head.ifa_family == AF_INET ? address4_rules
                                                    : address6_rules,
                         &attributes)) {
        return RN_PARSE_MALFORMED;
    }
    *out = (struct rn_address_message){
        .nl_type = message.type,
        .ip_version = version_of(head.ifa_family),
        .prefix_length = head.ifa_prefixlen,
        .index = head.ifa_index,
    };
    /* On a point-to-point link IFA_ADDRESS is the peer's. */
    get_address(&attributes,
                has(&attributes, IFA_LOCAL) ? IFA_LOCAL : IFA_ADDRESS,
                out->local);
    return RN_PARSE_OK;
}

enum rn_parse
rn_rtnl_nexthop(const struct nlmsghdr *header, size_t size,
                struct rn_nexthop_message *out)
{
    struct message message;
    struct wire_nhmsg head;
    struct attributes attributes;

    if (!message_open(header, size, &head, sizeof(head), &message)) {
        return RN_PARSE_MALFORMED;
    }
    if (message.type != WIRE_RTM_NEWNEXTHOP &&
        message.type != WIRE_RTM_DELNEXTHOP) {
        return RN_PARSE_IGNORED;
    }
    if (!attributes_read(message.attributes, nexthop_rules, &attributes) ||
        !has(&attributes, WIRE_NHA_ID)) {
        return RN_PARSE_MALFORMED;
    }
    out->nl_type = message.type;
    out->nl_flags = message.flags;
    out->id = get_u32(&attributes, WIRE_NHA_ID, 0);
    return RN_PARSE_OK;
}

enum rn_parse
rn_rtnl_netconf(const struct nlmsghdr *header, size_t size,
                struct rn_netconf_message *out)
{
    struct message message;
    struct netconfmsg head;
    struct attributes attributes;

    if (!message_open(header, size, &head, sizeof(head), &message)) {
        return RN_PARSE_MALFORMED;
    }
    if (message.type != RTM_NEWNETCONF || !family_known(head.ncm_family)) {
        return RN_PARSE_IGNORED;
    }
    if (!attributes_read(message.attributes, netconf_rules, &attributes)) {
        return RN_PARSE_MALFORMED;
    }
    out->ip_version = version_of(head.ncm_family);
    out->ignore_linkdown =
        has(&attributes, WIRE_NETCONFA_IGNORE_ROUTES_WITH_LINKDOWN);
    return RN_PARSE_OK;
}
