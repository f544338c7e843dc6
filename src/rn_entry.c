/* rn_entry.c - entries as chains of nodes: build, copy, free, compare. */
#include <string.h>

#include "rn_mirror_impl.h"

static const uint8_t no_address[16];

#define PROTOCOL_RA 9 /* RTPROT_RA */

static int
through_gateway6(const struct rn_entry *entry)
{
    return entry->ip_version == 6 && entry->hop_count > 0 &&
           entry->hops[0].gateway_version && !entry->nexthop_id;
}

/* include/net/ip6_route.h, rt6_qualify_for_ecmp(): a gateway, no nexthop
 * object, and not made by the kernel from a router advertisement.  What a
 * daemon makes with that protocol is a sibling like any other, and looks like
 * the kernel's until a message tells it together with another hop.
 */
int
rn_entry_siblings(const struct rn_entry *entry)
{
    return through_gateway6(entry) &&
           (entry->protocol != PROTOCOL_RA || entry->hop_count > 1);
}

int
rn_entry_perhaps_sibling(const struct rn_entry *entry)
{
    return through_gateway6(entry) && !rn_entry_siblings(entry);
}

int
rn_node_perhaps_sibling(const struct rn_half *half, uint32_t first)
{
    const struct rn_node *node = rn_node(half, first);

    return half->width == 16 && !(node->state & RN_NODE_SIBLINGS) &&
           node->protocol == PROTOCOL_RA && node->gateway_version &&
           !node->nexthop_id;
}

uint32_t
rn_source_number(struct rn_mirror *mirror, const struct rn_entry *entry,
                 int take)
{
    struct rn_value value = {.tag = RN_TAG_SOURCE | entry->source_length};

    if (!entry->source_length) {
        return 0;
    }
    memcpy(value.address, entry->source, 16);
    return take ? rn_pool_take(&mirror->pool, &value)
                : rn_pool_find(&mirror->pool, &value);
}

static struct rn_value
attrs_value(const struct rn_entry *entry, const struct rn_hop *hop)
{
    struct rn_value value = {
        .mtu = entry->mtu,
        .other = entry->other,
        .encap = hop->encap,
        .realms = hop->realms,
        .tag = entry->preference,
    };

    memcpy(value.address, entry->prefsrc, 16);
    return value;
}

/* In an IPv4 node there is room for four bytes: an IPv6 gateway (RTA_VIA) is
 * interned and its number stored.
 */
static int
gateway_interned(const struct rn_half *half, unsigned version)
{
    return half->width == 4 && version == 6;
}

static int
gateway_set(struct rn_mirror *mirror, const struct rn_half *half,
            struct rn_node *node, const struct rn_hop *hop)
{
    struct rn_value value = {.tag = RN_TAG_VIA};
    uint32_t number;

    if (!gateway_interned(half, hop->gateway_version)) {
        rn_address_copy(half, rn_node_gateway(half, node), hop->gateway);
        node->gateway_version = hop->gateway_version;
        return 0;
    }
    memcpy(value.address, hop->gateway, 16);
    number = rn_pool_take(&mirror->pool, &value);
    if (number == RN_POOL_NONE) {
        return -1;
    }
    memcpy(rn_node_gateway(half, node), &number, sizeof(number));
    node->gateway_version = hop->gateway_version;
    return 0;
}

static int
gateway_same(const struct rn_mirror *mirror, const struct rn_half *half,
             struct rn_node *node, const struct rn_hop *hop)
{
    const uint8_t *gateway = rn_node_gateway(half, node);
    uint32_t number;

    if (node->gateway_version != hop->gateway_version) {
        return 0;
    }
    if (!gateway_interned(half, node->gateway_version)) {
        return !memcmp(gateway, hop->gateway, half->width);
    }
    memcpy(&number, gateway, sizeof(number));
    return !memcmp(rn_pool_get(&mirror->pool, number)->address, hop->gateway,
                   16);
}

/* Drops what a node holds in the pool, then the node. */
static void
node_drop(struct rn_mirror *mirror, struct rn_half *half, uint32_t number)
{
    struct rn_node *node = rn_node(half, number);
    uint32_t via;

    rn_pool_drop(&mirror->pool, node->attrs);
    rn_pool_drop(&mirror->pool, node->source);
    if (gateway_interned(half, node->gateway_version)) {
        memcpy(&via, rn_node_gateway(half, node), sizeof(via));
        rn_pool_drop(&mirror->pool, via);
    }
    rn_node_free(half, number);
}

void
rn_entry_free(struct rn_mirror *mirror, struct rn_half *half, uint32_t first)
{
    while (first) {
        uint32_t next = rn_node(half, first)->next_hop;
        node_drop(mirror, half, first);
        first = next;
    }
}

uint32_t
rn_node_copy(struct rn_mirror *mirror, struct rn_half *half, uint32_t from)
{
    uint32_t number = rn_node_new(half);
    uint32_t via;

    if (!number) {
        return RN_NIL;
    }
    struct rn_node *node = rn_node(half, number);
    memcpy(node, rn_node(half, from), half->stride);
    node->next_entry = node->next_hop = RN_NIL;
    rn_pool_share(&mirror->pool, node->attrs);
    rn_pool_share(&mirror->pool, node->source);
    if (gateway_interned(half, node->gateway_version)) {
        memcpy(&via, rn_node_gateway(half, node), sizeof(via));
        rn_pool_share(&mirror->pool, via);
    }
    return number;
}

static void
node_fill(const struct rn_half *half, struct rn_node *node,
          const struct rn_entry *entry, const struct rn_hop *hop)
{
    node->table = entry->table;
    node->metric = entry->metric;
    node->if_index = hop->if_index;
    node->nexthop_id = entry->nexthop_id;
    node->prefix_length = entry->prefix_length;
    node->tos = entry->tos;
    node->protocol = entry->protocol;
    node->route_type = entry->route_type;
    node->scope = entry->scope;
    node->flags = hop->flags;
    node->weight = hop->weight;
    rn_address_copy(half, node->address, entry->destination);
}

static uint32_t
node_build(struct rn_mirror *mirror, struct rn_half *half,
           const struct rn_entry *entry, const struct rn_hop *hop)
{
    const struct rn_value value = attrs_value(entry, hop);
    uint32_t attrs = rn_pool_take(&mirror->pool, &value);
    uint32_t source = rn_source_number(mirror, entry, 1);
    uint32_t number = RN_NIL;

    if (attrs != RN_POOL_NONE && source != RN_POOL_NONE) {
        number = rn_node_new(half);
    }
    if (!number) {
        rn_pool_drop(&mirror->pool, attrs == RN_POOL_NONE ? 0 : attrs);
        rn_pool_drop(&mirror->pool, source == RN_POOL_NONE ? 0 : source);
        return RN_NIL;
    }
    struct rn_node *node = rn_node(half, number);
    node->attrs = attrs;
    node->source = source;
    node_fill(half, node, entry, hop);
    if (gateway_set(mirror, half, node, hop) < 0) {
        node_drop(mirror, half, number);
        return RN_NIL;
    }
    return number;
}

uint32_t
rn_entry_build(struct rn_mirror *mirror, struct rn_half *half,
               const struct rn_entry *entry)
{
    static const struct rn_hop none;
    const struct rn_hop *hops = entry->hop_count ? entry->hops : &none;
    uint32_t count = entry->hop_count ? entry->hop_count : 1;
    uint32_t first = RN_NIL;
    uint32_t last = RN_NIL;

    for (uint32_t i = 0; i < count; i++) {
        uint32_t number = node_build(mirror, half, entry, &hops[i]);
        if (!number) {
            rn_entry_free(mirror, half, first);
            return RN_NIL;
        }
        if (last) {
            rn_node(half, last)->next_hop = number;
        } else {
            first = number;
        }
        last = number;
    }
    rn_node(half, first)->state =
        (uint8_t)(RN_NODE_PROVISIONAL | half->seen |
                  (rn_entry_siblings(entry) ? RN_NODE_SIBLINGS : 0));
    return first;
}

int
rn_hop_same(const struct rn_mirror *mirror, const struct rn_half *half,
            uint32_t number, const struct rn_hop *hop)
{
    struct rn_node *node = rn_node(half, number);
    const struct rn_value *value = rn_pool_get(&mirror->pool, node->attrs);

    return node->if_index == hop->if_index &&
           gateway_same(mirror, half, node, hop) &&
           value->encap == hop->encap && value->realms == hop->realms &&
           !((node->flags ^ hop->flags) & RN_FLAG_ONLINK);
}

/* Attributes of the entry, as its first node has them. */
static int
attrs_same(const struct rn_mirror *mirror, const struct rn_node *node,
           const struct rn_entry *entry)
{
    const struct rn_value *value = rn_pool_get(&mirror->pool, node->attrs);

    return value->mtu == entry->mtu && value->other == entry->other &&
           (value->tag & 3) == entry->preference &&
           !memcmp(value->address, entry->prefsrc, 16);
}

static int
hops_equal(const struct rn_mirror *mirror, const struct rn_half *half,
           uint32_t number, const struct rn_hop *hop, int lone,
           enum rn_sameness how)
{
    const struct rn_node *node = rn_node(half, number);

    return rn_hop_same(mirror, half, number, hop) &&
           (lone || how == RN_SAME_HOPS || node->weight == hop->weight) &&
           (how != RN_SAME_FLAGS || node->flags == hop->flags);
}

static int
hops_alike(const struct rn_hop *a, const struct rn_hop *b,
           enum rn_sameness how)
{
    return a->if_index == b->if_index &&
           a->gateway_version == b->gateway_version &&
           !memcmp(a->gateway, b->gateway, 16) && a->encap == b->encap &&
           a->realms == b->realms &&
           !((a->flags ^ b->flags) & RN_FLAG_ONLINK) &&
           (how == RN_SAME_HOPS || a->weight == b->weight) &&
           (how != RN_SAME_FLAGS || a->flags == b->flags);
}

static int
hops_in_order(const struct rn_mirror *mirror, const struct rn_half *half,
              uint32_t number, const struct rn_entry *entry,
              enum rn_sameness how)
{
    int lone = entry->hop_count == 1;
    uint32_t at = 0;

    while (number && at < entry->hop_count &&
           hops_equal(mirror, half, number, &entry->hops[at], lone, how)) {
        number = rn_node(half, number)->next_hop;
        at++;
    }
    return !number && at == entry->hop_count;
}

/* Is this hop as often among the nodes as in the entry?  Two hops may be equal
 * (two nexthop objects with one gateway).
 */
static int
hop_as_often(const struct rn_mirror *mirror, const struct rn_half *half,
             uint32_t first, const struct rn_entry *entry,
             const struct rn_hop *hop, enum rn_sameness how)
{
    uint32_t nodes = 0;
    uint32_t hops = 0;

    for (uint32_t n = first; n; n = rn_node(half, n)->next_hop) {
        nodes += hops_equal(mirror, half, n, hop, 0, how) != 0;
    }
    for (uint32_t i = 0; i < entry->hop_count; i++) {
        hops += hops_alike(&entry->hops[i], hop, how) != 0;
    }
    return nodes == hops;
}

static uint32_t
chain_length(const struct rn_half *half, uint32_t first)
{
    uint32_t length = 0;

    for (; first; first = rn_node(half, first)->next_hop) {
        length++;
    }
    return length;
}

/* IPv4 keeps the order of hops; IPv6 tells them in any order. */
static int
all_hops_same(const struct rn_mirror *mirror, const struct rn_half *half,
              uint32_t first, const struct rn_entry *entry,
              enum rn_sameness how)
{
    if (hops_in_order(mirror, half, first, entry, how)) {
        return 1;
    }
    if (half->width == 4 || entry->hop_count == 1 ||
        chain_length(half, first) != entry->hop_count) {
        return 0;
    }
    for (uint32_t i = 0; i < entry->hop_count; i++) {
        if (!hop_as_often(mirror, half, first, entry, &entry->hops[i], how)) {
            return 0;
        }
    }
    return 1;
}

int
rn_entry_same(const struct rn_mirror *mirror, const struct rn_half *half,
              uint32_t first, const struct rn_entry *entry,
              enum rn_sameness how)
{
    struct rn_node *node = rn_node(half, first);

    if (node->protocol != entry->protocol ||
        node->route_type != entry->route_type ||
        node->nexthop_id != entry->nexthop_id) {
        return 0;
    }
    if (how != RN_SAME_HOPS &&
        (node->scope != entry->scope || !attrs_same(mirror, node, entry))) {
        return 0;
    }
    if (!entry->hop_count) {
        return !node->next_hop && !node->if_index && !node->gateway_version &&
               !memcmp(rn_node_gateway(half, node), no_address, half->width);
    }
    return all_hops_same(mirror, half, first, entry, how);
}

static int
names_hop(const struct rn_mirror *mirror, const struct rn_half *half,
          const struct rn_entry *entry, uint32_t number)
{
    uint32_t at = 0;

    while (at < entry->hop_count &&
           !rn_hop_same(mirror, half, number, &entry->hops[at])) {
        at++;
    }
    return at < entry->hop_count;
}

void
rn_siblings_found(const struct rn_mirror *mirror, const struct rn_half *half,
                  uint32_t group, const struct rn_entry *entry)
{
    uint32_t found = RN_NIL;

    for (uint32_t e = group; e; e = rn_node(half, e)->next_entry) {
        if (rn_node(half, e)->state & RN_NODE_SIBLINGS) {
            return; /* a group has one set at most */
        }
        if (!found && rn_node_perhaps_sibling(half, e) &&
            names_hop(mirror, half, entry, e)) {
            found = e;
        }
    }
    if (found) {
        rn_node(half, found)->state |= RN_NODE_SIBLINGS;
    }
}
