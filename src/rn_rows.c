/* rn_rows.c - from nodes to records: what a change of a group announces. */
#include <string.h>

#include "rn_mirror_impl.h"

static int
address_is_zero(const uint8_t address[16])
{
    static const uint8_t zero[16];

    return !memcmp(address, zero, 16);
}

/* How well a trigger explains a change of a row: 0 not at all, 1 because it
 * concerns the whole family, then by the row's device, best by the row's own
 * nexthop object or preferred source.  Of triggers of one device the link
 * explains more than the addresses that went or came with it.
 */
static unsigned
suspect_rank(const struct rn_suspect *suspect, const struct rn_half *half,
             const struct rn_node *node, const uint8_t prefsrc[16])
{
    int named = suspect->if_index || suspect->nexthop_id ||
                !address_is_zero(suspect->address);

    if (suspect->ip_version && suspect->ip_version != half->ip_version) {
        return 0;
    }
    if ((suspect->nexthop_id && suspect->nexthop_id == node->nexthop_id) ||
        (!address_is_zero(suspect->address) &&
         !memcmp(suspect->address, prefsrc, 16))) {
        return 2 + RN_CAUSE_COUNT;
    }
    if (suspect->if_index && suspect->if_index == node->if_index) {
        return 2u + RN_CAUSE_COUNT - suspect->cause;
    }
    return !named;
}

/* Of triggers that explain it equally well the newest counts. */
static int
cause_by_suspect(const struct rn_mirror *mirror, const struct rn_half *half,
                 const struct rn_node *node, const struct rn_node *first)
{
    const uint8_t *prefsrc = rn_pool_get(&mirror->pool, first->attrs)->address;
    int cause = RN_CAUSE_RESYNC;
    unsigned best = 0;

    for (size_t i = mirror->suspect_count; i-- > 0;) {
        const struct rn_suspect *suspect = &mirror->suspects[i];
        unsigned rank = suspect_rank(suspect, half, node, prefsrc);
        if (rank > best) {
            best = rank;
            cause = suspect->cause;
        }
    }
    return cause;
}

static void
gateway_record(const struct rn_mirror *mirror, const struct rn_half *half,
               struct rn_node *node, struct rn_record *out)
{
    const uint8_t *gateway = rn_node_gateway(half, node);
    uint32_t via;

    out->next_hop_version = node->gateway_version;
    if (half->width == 4 && node->gateway_version == 6) {
        memcpy(&via, gateway, sizeof(via));
        memcpy(out->next_hop, rn_pool_get(&mirror->pool, via)->address, 16);
    } else {
        rn_address_copy(half, out->next_hop, gateway);
    }
}

/* Siblings show the attributes of the first; a lone hop shows no weight. */
void
rn_rows_record(const struct rn_mirror *mirror, const struct rn_half *half,
               uint32_t first, uint32_t number, struct rn_record *out)
{
    const struct rn_node *head = rn_node(half, first);
    struct rn_node *node = rn_node(half, number);
    const struct rn_value *attrs = rn_pool_get(&mirror->pool, head->attrs);
    const struct rn_value *source = rn_pool_get(&mirror->pool, node->source);

    rn_clear(out, sizeof(*out));
    rn_address_copy(half, out->destination, node->address);
    gateway_record(mirror, half, node, out);
    memcpy(out->source, source->address, 16);
    memcpy(out->prefsrc, attrs->address, 16);
    out->interface_index = node->if_index;
    out->table = node->table;
    out->metric = node->metric;
    out->nexthop_id = node->nexthop_id;
    out->mtu = attrs->mtu;
    out->protocol = head->protocol;
    out->ordinal = node->ordinal;
    out->ip_version = half->ip_version;
    out->prefix_length = node->prefix_length;
    out->source_length = (uint8_t)(source->tag & 0xff);
    out->route_type = head->route_type;
    out->scope = head->scope;
    out->tos = node->tos;
    out->flags = node->flags;
    out->fields =
        (uint8_t)(RN_HAS_ATTRIBUTES | (attrs->tag & 3) << RN_PREFERENCE_SHIFT);
    out->weight = head->next_hop ? node->weight : 0;
}

static void
announce(struct rn_mirror *mirror, const struct rn_half *half, uint32_t first,
         uint32_t number, enum rn_type type, int cause)
{
    struct rn_record record;

    if (mirror->silent) {
        return;
    }
    if (cause == RN_CAUSE_BY_SUSPECT) {
        cause = cause_by_suspect(mirror, half, rn_node(half, number),
                                 rn_node(half, first));
    }
    rn_rows_record(mirror, half, first, number, &record);
    record.type = (uint8_t)type;
    record.cause = (uint8_t)cause;
    mirror->emit(mirror->self, &record);
}

static int
identity_same(const struct rn_half *half, struct rn_node *a, struct rn_node *b)
{
    return a->if_index == b->if_index &&
           a->gateway_version == b->gateway_version &&
           !memcmp(rn_node_gateway(half, a), rn_node_gateway(half, b),
                   half->width);
}

#define ORDINALS (UINT16_MAX + 1u)

/* Which ordinals are had by rows of one identity. */
struct ordinals {
    struct rn_node *of; /* one of them; NULL: of nobody yet */
    uint32_t known;     /* those below are marked, the rest not initialised */
    uint32_t least;     /* all below are taken */
    uint64_t taken[ORDINALS / 64];
};

/* Mark the ordinals below `known` of the group's rows but for `node`. */
static void
ordinals_look(const struct rn_half *half, uint32_t group, struct rn_node *node,
              struct ordinals *ordinals, uint32_t known)
{
    ordinals->known = known;
    memset(ordinals->taken, 0, known / 8);
    for (uint32_t e = group; e; e = rn_node(half, e)->next_entry) {
        int announced = !(rn_node(half, e)->state & RN_NODE_PROVISIONAL);
        for (uint32_t n = e; n; n = rn_node(half, n)->next_hop) {
            struct rn_node *other = rn_node(half, n);
            if (other != node && other->ordinal < known &&
                (announced || other->state & RN_NODE_MATCHED) &&
                identity_same(half, other, node)) {
                ordinals->taken[other->ordinal / 64u] |=
                    UINT64_C(1) << other->ordinal % 64u;
            }
        }
    }
}

/* The least that is not taken; `known` if all of these are. */
static uint32_t
ordinals_least(struct ordinals *ordinals)
{
    uint32_t at = ordinals->least;

    while (at < ordinals->known && ordinals->taken[at / 64] & UINT64_C(1)
                                                                  << at % 64) {
        at++;
    }
    ordinals->least = at;
    return at;
}

/* Is there but one row in the list of entries, as mostly? */
static int
is_alone(const struct rn_half *half, uint32_t list)
{
    const struct rn_node *node = rn_node(half, list);

    return !node->next_entry && !node->next_hop;
}

/* The least that no row of the group with this identity has, from now on taken.
 * The group is gone through once for a row that has few equals, and twice for
 * any number of equal hops in a row.  Rows beyond the last ordinal share it:
 * linux.md says so.
 */
static uint16_t
ordinal_free(const struct rn_half *half, uint32_t group, struct rn_node *node,
             struct ordinals *ordinals)
{
    if (!ordinals->of || !identity_same(half, ordinals->of, node)) {
        ordinals->of = node;
        ordinals->least = 0;
        ordinals_look(half, group, node, ordinals, 64);
    }
    if (ordinals_least(ordinals) == 64 && ordinals->known == 64) {
        ordinals_look(half, group, node, ordinals, ORDINALS);
    }
    uint32_t ordinal = ordinals_least(ordinals);
    if (ordinal == ORDINALS) {
        return UINT16_MAX;
    }
    ordinals->taken[ordinal / 64] |= UINT64_C(1) << ordinal % 64;
    return (uint16_t)ordinal;
}

/* Is the same said of both, run-time state aside? */
static int
attributes_same(const struct rn_node *a, const struct rn_node *b)
{
    return a->attrs == b->attrs && a->protocol == b->protocol &&
           a->route_type == b->route_type && a->scope == b->scope &&
           a->nexthop_id == b->nexthop_id;
}

/* An unmatched row of the old entries with the identity of `node`, and its
 * attributes if `alike`; *first gets its entry.
 */
static uint32_t
old_row(const struct rn_half *half, uint32_t old, struct rn_node *node,
        int alike, uint32_t *first)
{
    for (uint32_t e = old; e; e = rn_node(half, e)->next_entry) {
        for (uint32_t n = e; n; n = rn_node(half, n)->next_hop) {
            const struct rn_node *other = rn_node(half, n);
            if (!(other->state & RN_NODE_MATCHED) &&
                identity_same(half, rn_node(half, n), node) &&
                (!alike || attributes_same(other, node))) {
                *first = e;
                return n;
            }
        }
    }
    return RN_NIL;
}

/* Do two rows of one identity differ in anything the system says of them? */
static int
rows_differ(const struct rn_mirror *mirror, const struct rn_half *half,
            uint32_t first_a, uint32_t a, uint32_t first_b, uint32_t b)
{
    const struct rn_pool *pool = &mirror->pool;
    const struct rn_value *va = rn_pool_get(pool, rn_node(half, a)->attrs);
    const struct rn_value *vb = rn_pool_get(pool, rn_node(half, b)->attrs);
    const struct rn_value *ha =
        rn_pool_get(pool, rn_node(half, first_a)->attrs);
    const struct rn_value *hb =
        rn_pool_get(pool, rn_node(half, first_b)->attrs);
    struct rn_record ra;
    struct rn_record rb;

    rn_rows_record(mirror, half, first_a, a, &ra);
    rn_rows_record(mirror, half, first_b, b, &rb);
    return memcmp(&ra, &rb, sizeof(ra)) || va->encap != vb->encap ||
           va->realms != vb->realms || ha->other != hb->other;
}

/* Why a row differs from what it was: a clue may be in what it had (a preferred
 * source) or in what it has.
 */
static uint8_t
cause_of_change(const struct rn_mirror *mirror, const struct rn_half *half,
                uint32_t old_first, uint32_t new_first, uint32_t number)
{
    int cause = cause_by_suspect(mirror, half, rn_node(half, number),
                                 rn_node(half, old_first));

    return (uint8_t)(cause != RN_CAUSE_RESYNC
                         ? cause
                         : cause_by_suspect(mirror, half,
                                            rn_node(half, number),
                                            rn_node(half, new_first)));
}

/* Row `n` of the new entry, entries[1], differs from what it was in the old
 * one, entries[0].
 */
static void
announce_change(struct rn_mirror *mirror, const struct rn_half *half,
                const uint32_t entries[2], uint32_t n, int cause)
{
    const struct rn_node *was = rn_node(half, entries[0]);
    struct rn_record record;

    if (mirror->silent) {
        return;
    }
    rn_rows_record(mirror, half, entries[1], n, &record);
    record.type = RN_PARAMETER;
    record.cause =
        cause == RN_CAUSE_BY_SUSPECT
            ? cause_of_change(mirror, half, entries[0], entries[1], n)
            : (uint8_t)cause;
    if (was->protocol != record.protocol ||
        was->route_type != record.route_type) {
        rn_was_set(&record, was->protocol, was->route_type);
    }
    mirror->emit(mirror->self, &record);
}

/* Pair the new entry's rows with old ones of the same identity (and attributes
 * if `alike`), and announce those that differ while it is still known how they
 * were.
 */
static void
match_rows(struct rn_mirror *mirror, const struct rn_half *half,
           uint32_t entry, uint32_t old, int alike, int cause)
{
    for (uint32_t n = entry; n; n = rn_node(half, n)->next_hop) {
        struct rn_node *node = rn_node(half, n);
        uint32_t first;
        uint32_t o = node->state & RN_NODE_MATCHED
                         ? RN_NIL
                         : old_row(half, old, node, alike, &first);
        if (o) {
            const uint32_t entries[2] = {first, entry};
            node->ordinal = rn_node(half, o)->ordinal;
            node->state |= RN_NODE_MATCHED;
            rn_node(half, o)->state |= RN_NODE_MATCHED;
            if (rows_differ(mirror, half, first, o, entry, n)) {
                announce_change(mirror, half, entries, n, cause);
            }
        }
    }
}

/* Announce what is new of a provisional entry whose rows have been matched. */
static void
announce_entry(struct rn_mirror *mirror, struct rn_half *half, uint32_t group,
               uint32_t entry, int cause)
{
    struct ordinals ordinals;

    ordinals.of = NULL; /* 8 KiB are not to be cleared for every row */
    for (uint32_t n = entry; n; n = rn_node(half, n)->next_hop) {
        struct rn_node *node = rn_node(half, n);
        if (!(node->state & RN_NODE_MATCHED)) {
            node->ordinal = is_alone(half, group)
                                ? 0
                                : ordinal_free(half, group, node, &ordinals);
            node->state |= RN_NODE_MATCHED;
            announce(mirror, half, entry, n, RN_ADD, cause);
        }
        half->rows++;
    }
}

static void
settle_entry(const struct rn_half *half, uint32_t entry)
{
    const unsigned scratch = RN_NODE_MATCHED | RN_NODE_PROVISIONAL;

    for (uint32_t n = entry; n; n = rn_node(half, n)->next_hop) {
        rn_node(half, n)->state &= (uint8_t)~scratch;
    }
}

void
rn_rows_removed(struct rn_mirror *mirror, struct rn_half *half, uint32_t old,
                int cause)
{
    while (old) {
        uint32_t next = rn_node(half, old)->next_entry;
        for (uint32_t n = old; n; n = rn_node(half, n)->next_hop) {
            if (!(rn_node(half, n)->state & RN_NODE_MATCHED)) {
                announce(mirror, half, old, n, RN_DELETE, cause);
            }
            half->rows--;
        }
        rn_entry_free(mirror, half, old);
        old = next;
    }
}

static int
provisional(const struct rn_half *half, uint32_t entry)
{
    return rn_node(half, entry)->state & RN_NODE_PROVISIONAL;
}

void
rn_rows_change(struct rn_mirror *mirror, struct rn_half *half, uint32_t *link,
               uint32_t old, int cause_old, int cause_new)
{
    const uint32_t group = *link;
    uint32_t e;

    /* Rows that stayed as they were keep their ordinals, whatever their place;
     * one has no place.
     */
    for (int alike = old && !is_alone(half, old); old && alike >= 0; alike--) {
        for (e = group; e; e = rn_node(half, e)->next_entry) {
            if (provisional(half, e)) {
                match_rows(mirror, half, e, old, alike, cause_new);
            }
        }
    }
    rn_rows_removed(mirror, half, old, cause_old);
    for (e = group; e; e = rn_node(half, e)->next_entry) {
        if (provisional(half, e)) {
            announce_entry(mirror, half, group, e, cause_new);
        }
    }
    for (e = group; e; e = rn_node(half, e)->next_entry) {
        settle_entry(half, e);
    }
}
