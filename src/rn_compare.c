/* rn_compare.c - the mirror against a dump: mark, guess, then decide.
 *
 * Entries that the dump has are marked seen and put in its order at the head
 * of their group; what the mirror lacks is built as provisional, announced to
 * nobody.  When the dump is over, unseen entries go and provisional ones come.
 * Destinations that news touched meanwhile are left as the news say: a dump
 * row may be older or newer than a message that is read beside it.
 */
#include <string.h>

#include "rn_alloc.h"
#include "rn_mirror_impl.h"

static struct rn_touched *
touched_of(struct rn_mirror *mirror, const struct rn_half *half)
{
    return &mirror->touched[half->ip_version == 6];
}

/* Never 0: that marks a free slot. */
static uint64_t
destination_hash(const struct rn_half *half, const uint8_t *destination)
{
    uint64_t words[2] = {0, 0};

    rn_address_copy(half, (uint8_t *)words, destination);
    uint64_t hash = (words[0] ^ 0x9e3779b97f4a7c15u) * 0xff51afd7ed558ccdu;
    hash = (hash ^ (hash >> 32) ^ words[1]) * 0xc4ceb9fe1a85ec53u;
    hash ^= hash >> 29;
    return hash ? hash : 1;
}

static uint64_t *
touched_slot(const struct rn_touched *touched, uint64_t hash)
{
    size_t at = (size_t)hash & touched->mask;

    while (touched->slots[at] && touched->slots[at] != hash) {
        at = (at + 1) & touched->mask;
    }
    return &touched->slots[at];
}

static int
touched_grow(struct rn_touched *touched)
{
    size_t size = touched->slots ? (touched->mask + 1) * 2 : 256;
    struct rn_touched bigger = {
        .slots = rn_alloc_zero(size, sizeof(*bigger.slots)),
        .mask = size - 1,
        .count = touched->count,
    };

    if (!bigger.slots) {
        touched->overflow = 1;
        return -1;
    }
    for (size_t i = 0; touched->slots && i <= touched->mask; i++) {
        if (touched->slots[i]) {
            *touched_slot(&bigger, touched->slots[i]) = touched->slots[i];
        }
    }
    free(touched->slots);
    *touched = bigger;
    return 0;
}

static void
touched_clear(struct rn_touched *touched)
{
    free(touched->slots);
    memset(touched, 0, sizeof(*touched));
}

static int
is_touched(struct rn_mirror *mirror, const struct rn_half *half,
           const uint8_t *destination)
{
    const struct rn_touched *touched = touched_of(mirror, half);

    if (touched->overflow || !touched->count) {
        return touched->overflow;
    }
    return *touched_slot(touched, destination_hash(half, destination)) != 0;
}

static void
touched_put(struct rn_touched *touched, uint64_t hash)
{
    if (touched->overflow ||
        ((!touched->slots || touched->count * 2 > touched->mask) &&
         touched_grow(touched) < 0)) {
        return;
    }
    uint64_t *slot = touched_slot(touched, hash);
    touched->count += !*slot;
    *slot = hash;
}

void
rn_compare_touch(struct rn_mirror *mirror, struct rn_half *half,
                 const uint8_t *destination)
{
    touched_put(touched_of(mirror, half), destination_hash(half, destination));
}

size_t
rn_mirror_touched(const struct rn_mirror *mirror, int ip_version)
{
    const struct rn_touched *touched = &mirror->touched[ip_version == 6];

    return touched->overflow ? SIZE_MAX : touched->count;
}

/* Take provisional entries out of the group; its link stays. */
static void
drop_provisional(struct rn_mirror *mirror, struct rn_half *half,
                 uint32_t *link)
{
    while (*link) {
        struct rn_node *node = rn_node(half, *link);
        if (node->state & RN_NODE_PROVISIONAL) {
            rn_entry_free(mirror, half, rn_list_detach(half, link));
        } else {
            link = &node->next_entry;
        }
    }
}

uint32_t *
rn_compare_purge(struct rn_mirror *mirror, struct rn_half *half,
                 uint32_t *link)
{
    drop_provisional(mirror, half, link);
    if (!*link) {
        rn_group_remove(half, link);
        return NULL;
    }
    return link;
}

static int
unseen(const struct rn_half *half, uint32_t entry)
{
    return (rn_node(half, entry)->state & RN_NODE_SEEN) != half->seen;
}

static void
mark_seen(const struct rn_half *half, uint32_t entry)
{
    struct rn_node *node = rn_node(half, entry);

    node->state = (uint8_t)((node->state & ~RN_NODE_SEEN) | half->seen);
}

void
rn_mirror_begin(struct rn_mirror *mirror, int ip_version, int again, int lost)
{
    struct rn_half *half = rn_half_of(mirror, ip_version);

    half->comparing = 1;
    mirror->again[ip_version == 6] = again;
    mirror->lost[ip_version == 6] = lost;
    half->seen ^= RN_NODE_SEEN; /* all were seen: now none is */
    touched_clear(touched_of(mirror, half));
    mirror->suspects_at[ip_version == 6] = mirror->suspect_count;
}

/* Hidden entries may lie between siblings: see linux.md. */
static void
mark_murky(const struct rn_half *half, uint32_t entry,
           const struct rn_entry *dumped)
{
    struct rn_node *node = rn_node(half, entry);

    node->state &= (uint8_t)~RN_NODE_MURKY;
    if (node->state & RN_NODE_SIBLINGS && dumped->hop_count > 1) {
        node->state |= RN_NODE_MURKY;
    }
}

/* The dump gives the attributes of the first sibling only. */
static void
mark_unsure(const struct rn_half *half, uint32_t first)
{
    if (!(rn_node(half, first)->state & RN_NODE_SIBLINGS)) {
        return;
    }
    for (uint32_t n = rn_node(half, first)->next_hop; n;
         n = rn_node(half, n)->next_hop) {
        rn_node(half, n)->state |= RN_NODE_UNSURE;
    }
}

/* The first entry of the list that has not been seen, or its end. */
static uint32_t *
first_unseen(const struct rn_half *half, uint32_t *link)
{
    while (*link && !unseen(half, *link)) {
        link = &rn_node(half, *link)->next_entry;
    }
    return link;
}

static uint32_t *
find_equal(const struct rn_mirror *mirror, const struct rn_half *half,
           uint32_t *at, const struct rn_entry *entry)
{
    while (*at && !rn_entry_same(mirror, half, *at, entry, RN_SAME_FLAGS)) {
        at = &rn_node(half, *at)->next_entry;
    }
    return *at ? at : NULL;
}

/* The dump has come to the sibling set.  A single entry that lies before it
 * would have been told by now: the dump hides only what lies between siblings.
 */
static void
mark_ahead(const struct rn_half *half, uint32_t rest)
{
    uint32_t set = rest;

    while (set && !(rn_node(half, set)->state & RN_NODE_SIBLINGS)) {
        set = rn_node(half, set)->next_entry;
    }
    for (; set && rest != set; rest = rn_node(half, rest)->next_entry) {
        rn_node(half, rest)->state |= RN_NODE_AHEAD;
    }
}

/* Is `first` what `entry` was before something about it changed in silence? */
static int
was(const struct rn_mirror *mirror, const struct rn_half *half, uint32_t first,
    const struct rn_entry *entry)
{
    const struct rn_node *node = rn_node(half, first);

    if (node->state & (RN_NODE_SIBLINGS | RN_NODE_AHEAD)) {
        return 0;
    }
    return entry->nexthop_id
               ? node->nexthop_id == entry->nexthop_id &&
                     node->protocol == entry->protocol &&
                     node->route_type == entry->route_type
               : rn_entry_same(mirror, half, first, entry, RN_SAME_HOPS);
}

/* The dump shows a single entry in another state than the mirror has it: that
 * one is changed, not hidden.
 */
static void
mark_changed(const struct rn_mirror *mirror, const struct rn_half *half,
             uint32_t rest, const struct rn_entry *entry)
{
    while (rest && !was(mirror, half, rest, entry)) {
        rest = rn_node(half, rest)->next_entry;
    }
    if (rest) {
        rn_node(half, rest)->state |= RN_NODE_AHEAD;
    }
}

static int
guess(struct rn_mirror *mirror, struct rn_half *half, uint32_t *link,
      const struct rn_entry *entry)
{
    uint32_t first = rn_entry_build(mirror, half, entry);

    if (!first) {
        return RN_NEED_MEMORY;
    }
    if (!link) {
        struct rn_key key;
        rn_key_set(&key, half, entry, rn_node(half, first)->source);
        link = rn_group_add(half, &key);
    }
    if (!link) {
        rn_entry_free(mirror, half, first);
        return RN_NEED_MEMORY;
    }
    mark_murky(half, first, entry);
    mark_unsure(half, first);
    rn_list_insert(half, first_unseen(half, link), first);
    return RN_NEED_NOTHING;
}

int
rn_mirror_dumped(struct rn_mirror *mirror, const struct rn_entry *entry)
{
    struct rn_half *half = rn_half_of(mirror, entry->ip_version);
    struct rn_key key;

    rn_key_set(&key, half, entry, rn_source_number(mirror, entry, 0));
    /* Of a touched destination the finish would drop it again: this only saves
     * the memory until then.
     */
    if (!half->comparing || is_touched(mirror, half, entry->destination)) {
        return RN_NEED_NOTHING;
    }
    uint32_t *link = rn_group_find(half, &key);
    uint32_t *rest = link ? first_unseen(half, link) : NULL;
    if (rest && rn_entry_siblings(entry)) {
        rn_siblings_found(mirror, half, *link, entry);
        mark_ahead(half, *rest);
    }
    uint32_t *equal = rest ? find_equal(mirror, half, rest, entry) : NULL;
    if (equal) {
        uint32_t first = rn_list_detach(half, equal);
        mark_seen(half, first);
        mark_murky(half, first, entry);
        rn_list_insert(half, first_unseen(half, link), first);
        return RN_NEED_NOTHING;
    }
    /* IPv4 cannot hold two equal entries: the dump repeats itself. */
    if (link && half->width == 4 && find_equal(mirror, half, link, entry)) {
        return RN_NEED_NOTHING;
    }
    if (rest && !rn_entry_siblings(entry)) {
        mark_changed(mirror, half, *rest, entry);
    }
    return guess(mirror, half, link, entry);
}

/* State of a finish, one family. */
struct finish {
    struct rn_mirror *mirror;
    struct rn_half *half;
    int exact;
};

static int
group_has(const struct rn_half *half, uint32_t group, unsigned bit)
{
    while (group && !(rn_node(half, group)->state & bit)) {
        group = rn_node(half, group)->next_entry;
    }
    return group != RN_NIL;
}

static int
group_unseen(const struct rn_half *half, uint32_t group)
{
    while (group && !unseen(half, group)) {
        group = rn_node(half, group)->next_entry;
    }
    return group != RN_NIL;
}

static void
group_normalise(const struct rn_half *half, uint32_t group)
{
    for (; group; group = rn_node(half, group)->next_entry) {
        mark_seen(half, group);
        rn_node(half, group)->state &= (uint8_t)~RN_NODE_AHEAD;
    }
}

/* Has this dump (not an older one) a sibling set that may hide entries? */
static int
group_murky_now(const struct rn_half *half, uint32_t group)
{
    while (group && (unseen(half, group) ||
                     !(rn_node(half, group)->state & RN_NODE_MURKY))) {
        group = rn_node(half, group)->next_entry;
    }
    return group != RN_NIL;
}

/* Detach what the dump lacks.  Of a murky group only siblings, what lay before
 * them and what changed: the others may be there, hidden.  But if the message that took
 * one away may be among those that were lost, it would be kept for ever.
 */
static uint32_t
detach_unseen(const struct finish *finish, uint32_t *link)
{
    const struct rn_half *half = finish->half;
    int murky = !finish->mirror->lost[half->ip_version == 6] &&
                group_murky_now(half, *link);
    uint32_t old = RN_NIL;
    uint32_t *end = &old;

    while (*link) {
        struct rn_node *node = rn_node(half, *link);
        if (unseen(half, *link) &&
            (!murky || node->state & (RN_NODE_SIBLINGS | RN_NODE_AHEAD))) {
            *end = rn_list_detach(half, link);
            end = &node->next_entry;
        } else {
            link = &node->next_entry;
        }
    }
    return old;
}

/* A dump that may lie only adds where nothing is in doubt. */
static int
doubtful(const struct rn_half *half, uint32_t group)
{
    return group_unseen(half, group) ||
           (group_has(half, group, RN_NODE_PROVISIONAL) &&
            rn_node(half, group)->next_entry);
}

static void
group_finish(const struct finish *finish, uint32_t *link)
{
    struct rn_half *half = finish->half;
    uint32_t old = RN_NIL;

    if (is_touched(finish->mirror, half, rn_node(half, *link)->address) ||
        (!finish->exact && doubtful(half, *link))) {
        drop_provisional(finish->mirror, half, link);
    } else {
        old = finish->exact ? detach_unseen(finish, link) : RN_NIL;
        if (old || group_has(half, *link, RN_NODE_PROVISIONAL)) {
            rn_rows_change(finish->mirror, half, link, old,
                           RN_CAUSE_BY_SUSPECT, RN_CAUSE_BY_SUSPECT);
        }
    }
    group_normalise(half, *link);
}

static void
half_walk(const struct finish *finish,
          void (*visit)(const struct finish *finish, uint32_t *link))
{
    struct rn_half *half = finish->half;
    uint32_t slot = 0;

    while (half->slots && slot <= half->mask) {
        uint32_t *link = &half->slots[slot].node;
        if (*link) {
            visit(finish, link);
            if (!*link) { /* another group may move into this slot */
                rn_group_remove(half, link);
                continue;
            }
        }
        slot++;
    }
    half->comparing = 0;
}

/* What stays unsure: touched this time, and each time since the trigger. */
static size_t
keep_unsure(struct rn_mirror *mirror, int family, int exact)
{
    struct rn_touched *unsure = &mirror->unsure[family];
    struct rn_touched *touched = &mirror->touched[family];
    struct rn_touched both = {NULL, 0, 0, 0};

    if (!exact) {
        return SIZE_MAX; /* the next comparison is a first one again */
    }
    if (mirror->again[family] && !unsure->overflow && !touched->overflow) {
        for (size_t i = 0; unsure->slots && i <= unsure->mask; i++) {
            uint64_t hash = unsure->slots[i];
            if (hash && touched->slots && *touched_slot(touched, hash)) {
                touched_put(&both, hash);
            }
        }
        touched_clear(touched);
        *touched = both;
    }
    touched_clear(unsure);
    *unsure = *touched;
    memset(touched, 0, sizeof(*touched));
    return unsure->overflow ? SIZE_MAX : unsure->count;
}

/* The triggers known when the comparison began have been looked into. */
static void
forget_suspects(struct rn_mirror *mirror, int ip_version)
{
    const int here = ip_version == 6;
    const size_t known = mirror->suspects_at[here];
    const size_t known_there = mirror->suspects_at[!here];
    size_t kept = 0;

    for (size_t i = 0; i < mirror->suspect_count; i++) {
        if (i < known) {
            mirror->suspected[i] &= (uint8_t) ~(1u << here);
        }
        if (mirror->suspected[i]) {
            mirror->suspected[kept] = mirror->suspected[i];
            mirror->suspects[kept++] = mirror->suspects[i];
        } else if (i < known_there) {
            mirror->suspects_at[!here]--;
        }
    }
    mirror->suspect_count = kept;
    mirror->suspects_at[here] = 0;
}

void
rn_mirror_suspect(struct rn_mirror *mirror, const struct rn_suspect *suspect)
{
    size_t at = mirror->suspect_count;

    if (at == RN_SUSPECTS) { /* the oldest makes room */
        memmove(mirror->suspects, mirror->suspects + 1,
                (RN_SUSPECTS - 1) * sizeof(*suspect));
        memmove(mirror->suspected, mirror->suspected + 1, RN_SUSPECTS - 1);
        at = RN_SUSPECTS - 1;
        mirror->suspects_at[0] -= mirror->suspects_at[0] > 0;
        mirror->suspects_at[1] -= mirror->suspects_at[1] > 0;
    }
    mirror->suspects[at] = *suspect;
    mirror->suspected[at] = suspect->ip_version == 4   ? 1
                            : suspect->ip_version == 6 ? 2
                                                       : 3;
    mirror->suspect_count = at + 1;
}

size_t
rn_mirror_finish(struct rn_mirror *mirror, int ip_version, int exact,
                 int silent)
{
    const struct finish finish = {mirror, rn_half_of(mirror, ip_version),
                                  exact};

    mirror->silent = silent;
    half_walk(&finish, group_finish);
    mirror->silent = 0;
    size_t left = keep_unsure(mirror, ip_version == 6, exact);
    touched_clear(touched_of(mirror, finish.half));
    if (!left) {
        forget_suspects(mirror, ip_version);
    }
    return left;
}

static void
group_abandon(const struct finish *finish, uint32_t *link)
{
    drop_provisional(finish->mirror, finish->half, link);
    group_normalise(finish->half, *link);
}

void
rn_mirror_abandon(struct rn_mirror *mirror, int ip_version)
{
    const struct finish finish = {mirror, rn_half_of(mirror, ip_version), 0};

    half_walk(&finish, group_abandon);
    touched_clear(touched_of(mirror, finish.half));
}
