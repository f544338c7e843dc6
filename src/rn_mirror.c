/* rn_mirror.c - what each news does to the table, by the kernel's own rules.
 *
 * IPv4 (net/ipv4/fib_trie.c) and IPv6 (net/ipv6/ip6_fib.c) insert and replace
 * differently; linux.md tells the rules that the functions here carry out.
 */
#include "rn_mirror.h"

#include <string.h>

#include "rn_alloc.h"
#include "rn_mirror_impl.h"

struct rn_mirror *
rn_mirror_new(rn_mirror_emit *emit, void *self)
{
    struct rn_mirror *mirror = rn_alloc_zero(1, sizeof(*mirror));

    if (!mirror) {
        return NULL;
    }
    mirror->emit = emit;
    mirror->self = self;
    rn_half_init(&mirror->half[0], 4);
    rn_half_init(&mirror->half[1], 6);
    rn_pool_init(&mirror->pool);
    return mirror;
}

void
rn_mirror_free(struct rn_mirror *mirror)
{
    if (!mirror) {
        return;
    }
    for (int i = 0; i < 2; i++) {
        rn_half_clear(&mirror->half[i]);
        free(mirror->touched[i].slots);
        free(mirror->unsure[i].slots);
    }
    rn_pool_clear(&mirror->pool);
    free(mirror);
}

/* The group that a piece of news is about. */
struct news {
    struct rn_mirror *mirror;
    struct rn_half *half;
    const struct rn_entry *entry;
    struct rn_key key;
    uint32_t *link; /* NULL: no such group */
};

static int
need_resync(const struct rn_half *half)
{
    return half->ip_version == 4 ? RN_NEED_RESYNC4 : RN_NEED_RESYNC6;
}

/* Find the group, after taking out what a running dump only guessed. */
static void
news_begin(struct news *news, struct rn_mirror *mirror,
           const struct rn_entry *entry)
{
    struct rn_half *half = rn_half_of(mirror, entry->ip_version);
    uint32_t source = rn_source_number(mirror, entry, 0);

    news->mirror = mirror;
    news->half = half;
    news->entry = entry;
    rn_key_set(&news->key, half, entry, source);
    news->link = rn_group_find(half, &news->key);
    if (half->comparing) {
        rn_compare_touch(mirror, half, entry->destination);
        if (news->link) {
            news->link = rn_compare_purge(mirror, half, news->link);
        }
    }
}

/* The group's link, making the group if there is none.  first is an entry of
 * it: the source prefix, if any, has its number by now.
 */
static uint32_t *
news_group(struct news *news, uint32_t first)
{
    if (!news->link) {
        if (news->entry->source_length) {
            rn_key_set(&news->key, news->half, news->entry,
                       rn_node(news->half, first)->source);
        }
        news->link = rn_group_add(news->half, &news->key);
    }
    return news->link;
}

/* Put a new entry before the one at `at` (NULL: first of a new group). */
static int
insert(struct news *news, uint32_t *at)
{
    struct rn_half *half = news->half;
    uint32_t first = rn_entry_build(news->mirror, half, news->entry);

    if (!first || !news_group(news, first)) {
        rn_entry_free(news->mirror, half, first);
        return RN_NEED_MEMORY;
    }
    rn_list_insert(half, at ? at : news->link, first);
    rn_rows_change(news->mirror, half, news->link, RN_NIL, 0, RN_CAUSE_SYSTEM);
    return RN_NEED_NOTHING;
}

/* Put entry `first` in the place of the one at `at`. */
static void
swap(struct news *news, uint32_t *at, uint32_t first, int cause_old,
     int cause_new)
{
    struct rn_half *half = news->half;
    uint32_t old = rn_list_detach(half, at);

    rn_list_insert(half, at, first);
    rn_rows_change(news->mirror, half, news->link, old, cause_old, cause_new);
}

/* Put a new entry in the place of the one at `at`. */
static int
replace(struct news *news, uint32_t *at)
{
    uint32_t first = rn_entry_build(news->mirror, news->half, news->entry);

    if (!first) {
        return RN_NEED_MEMORY;
    }
    swap(news, at, first, RN_CAUSE_REPLACED, RN_CAUSE_SYSTEM);
    return RN_NEED_NOTHING;
}

/* The group was empty for the kernel: whatever is still in it went silently. */
static int
replace_all(struct news *news)
{
    struct rn_half *half = news->half;
    uint32_t first = rn_entry_build(news->mirror, half, news->entry);
    uint32_t old = *news->link;

    if (!first) {
        return RN_NEED_MEMORY;
    }
    *news->link = first;
    rn_rows_change(news->mirror, half, news->link, old, RN_CAUSE_BY_SUSPECT,
                   RN_CAUSE_SYSTEM);
    return RN_NEED_NOTHING;
}

/* The link of the first entry that is the same, or NULL. */
static uint32_t *
find_same(const struct news *news, enum rn_sameness how)
{
    uint32_t *at = news->link;

    while (*at &&
           !rn_entry_same(news->mirror, news->half, *at, news->entry, how)) {
        at = &rn_node(news->half, *at)->next_entry;
    }
    return *at ? at : NULL;
}

/* An equal entry is there: only its run-time flags can be new. */
static int
refresh(struct news *news, uint32_t *at)
{
    if (rn_entry_same(news->mirror, news->half, *at, news->entry,
                      RN_SAME_FLAGS)) {
        return RN_NEED_NOTHING;
    }
    return replace(news, at);
}

/* The entry whose nexthop object this message says has changed, or NULL: same
 * object, same protocol and attributes; IPv6: and other hops.
 */
static uint32_t *
find_object(const struct news *news)
{
    const struct rn_entry *entry = news->entry;
    uint32_t *at = news->link;

    if (!entry->nexthop_id) {
        return NULL;
    }
    for (; *at; at = &rn_node(news->half, *at)->next_entry) {
        const struct rn_node *node = rn_node(news->half, *at);
        const struct rn_value *value =
            rn_pool_get(&news->mirror->pool, node->attrs);
        if (node->nexthop_id == entry->nexthop_id &&
            node->protocol == entry->protocol && value->mtu == entry->mtu &&
            value->other == entry->other &&
            !memcmp(value->address, entry->prefsrc, 16) &&
            (news->half->width == 4 ||
             !rn_entry_same(news->mirror, news->half, *at, entry,
                            RN_SAME_HOPS))) {
            return at;
        }
    }
    return NULL;
}

/* fib_table_insert() with NLM_F_REPLACE: the first of the list, or in place
 * when a nexthop object changed under an entry.
 */
static int
replaced4(struct news *news)
{
    uint32_t *at = find_object(news);

    if (at) {
        return replace(news, at);
    }
    at = find_same(news, RN_SAME_ENTRY);
    if (at && at != news->link) {
        return RN_NEED_RESYNC4; /* the kernel refuses that: late news */
    }
    return replace(news, news->link);
}

static int
added4(struct news *news, int place)
{
    if (!news->link) {
        int need = insert(news, NULL);
        return need | (place & RN_PLACE_REPLACE ? RN_NEED_RESYNC4 : 0);
    }
    if (place & RN_PLACE_REPLACE) {
        return replaced4(news);
    }
    uint32_t *same = find_same(news, RN_SAME_ENTRY);
    if (place & RN_PLACE_EXCL) {
        int alone = !rn_node(news->half, *news->link)->next_entry;
        return same && alone ? refresh(news, same) : replace_all(news);
    }
    if (same) {
        return refresh(news, same);
    }
    return insert(news, place & RN_PLACE_APPEND
                            ? rn_list_end(news->half, news->link)
                            : news->link);
}

/* The IPv6 sibling set of the group, or NULL; a group has at most one. */
static uint32_t *
find_siblings(const struct news *news)
{
    uint32_t *at = news->link;

    while (*at && !(rn_node(news->half, *at)->state & RN_NODE_SIBLINGS)) {
        at = &rn_node(news->half, *at)->next_entry;
    }
    return *at ? at : NULL;
}

static uint32_t *
find_single(const struct news *news)
{
    uint32_t *at = news->link;

    while (*at && rn_node(news->half, *at)->state & RN_NODE_SIBLINGS) {
        at = &rn_node(news->half, *at)->next_entry;
    }
    return *at ? at : NULL;
}

static int
group_murky(const struct news *news)
{
    for (uint32_t e = *news->link; e; e = rn_node(news->half, e)->next_entry) {
        if (rn_node(news->half, e)->state & RN_NODE_MURKY) {
            return 1;
        }
    }
    return 0;
}

/* A replacement takes the first sibling or the first that is none: which of
 * several it was is not known if it or one of them may be either.
 */
static int
group_unclear(const struct news *news)
{
    const int several = rn_node(news->half, *news->link)->next_entry != RN_NIL;
    uint32_t e = several ? *news->link : RN_NIL;

    if (several && rn_entry_perhaps_sibling(news->entry)) {
        return 1;
    }
    while (e && !rn_node_perhaps_sibling(news->half, e)) {
        e = rn_node(news->half, e)->next_entry;
    }
    return e != RN_NIL;
}

/* The hop of the message that this sibling is, or NULL. */
static const struct rn_hop *
hop_of(const struct news *news, uint32_t number)
{
    for (uint32_t i = 0; i < news->entry->hop_count; i++) {
        if (rn_hop_same(news->mirror, news->half, number,
                        &news->entry->hops[i])) {
            return &news->entry->hops[i];
        }
    }
    return NULL;
}

static int
hop_in_set(const struct news *news, uint32_t set, const struct rn_hop *hop)
{
    while (set && !rn_hop_same(news->mirror, news->half, set, hop)) {
        set = rn_node(news->half, set)->next_hop;
    }
    return set != RN_NIL;
}

/* A chain under construction. */
struct chain {
    uint32_t first;
    uint32_t last;
};

static void
chain_add(const struct rn_half *half, struct chain *chain, uint32_t number)
{
    if (chain->last) {
        rn_node(half, chain->last)->next_hop = number;
    } else {
        chain->first = number;
    }
    chain->last = number;
}

/* Copies of the siblings that the message has (keep = 1) or has not (0), with
 * the flags and weights that it gives.  Return: 0, or -1: memory ran out.
 */
static int
chain_copy(const struct news *news, struct chain *chain, uint32_t set,
           int keep)
{
    for (uint32_t n = set; n; n = rn_node(news->half, n)->next_hop) {
        const struct rn_hop *hop = hop_of(news, n);
        if (!hop != !keep) {
            continue;
        }
        uint32_t copy = rn_node_copy(news->mirror, news->half, n);
        if (!copy) {
            return -1;
        }
        struct rn_node *node = rn_node(news->half, copy);
        if (hop && news->entry->hop_count > 1) {
            node->weight = hop->weight;
        }
        if (hop) {
            node->flags = hop->flags;
        }
        chain_add(news->half, chain, copy);
    }
    return 0;
}

/* Nodes for the hops of the message that the set lacks.  They have the
 * message's attributes only if its first hop is one of them; else unknown.
 */
static int
chain_new(const struct news *news, struct chain *chain, uint32_t set)
{
    int unsure = hop_in_set(news, set, &news->entry->hops[0]);

    for (uint32_t i = 0; i < news->entry->hop_count; i++) {
        struct rn_entry one = *news->entry;
        if (hop_in_set(news, set, &news->entry->hops[i])) {
            continue;
        }
        one.hops = &news->entry->hops[i];
        one.hop_count = 1;
        uint32_t number = rn_entry_build(news->mirror, news->half, &one);
        if (!number) {
            return -1;
        }
        rn_node(news->half, number)->state =
            (uint8_t)(unsure ? RN_NODE_UNSURE : 0);
        chain_add(news->half, chain, number);
    }
    return 0;
}

/* The new set takes the old one's place; what its first node stands for moves
 * to the new first, whose own attributes now show.
 */
static int
set_swap(struct news *news, uint32_t *at, struct chain *chain, int cause_old,
         int cause_new)
{
    const unsigned own = RN_NODE_SIBLINGS | RN_NODE_MURKY | RN_NODE_SEEN;
    struct rn_half *half = news->half;
    uint8_t kept = (uint8_t)(rn_node(half, *at)->state & own);
    struct rn_node *first = rn_node(half, chain->first);
    int unsure = first->state & RN_NODE_UNSURE;

    first->state = (uint8_t)(kept | RN_NODE_PROVISIONAL);
    swap(news, at, chain->first, cause_old, cause_new);
    return unsure ? RN_NEED_RESYNC6 : RN_NEED_NOTHING;
}

/* The message tells the whole set. */
static int
set_merge(struct news *news, uint32_t *at)
{
    struct chain chain = {RN_NIL, RN_NIL};

    if (chain_copy(news, &chain, *at, 1) < 0 ||
        chain_new(news, &chain, *at) < 0) {
        rn_entry_free(news->mirror, news->half, chain.first);
        return RN_NEED_MEMORY;
    }
    return set_swap(news, at, &chain, RN_CAUSE_BY_SUSPECT, RN_CAUSE_SYSTEM);
}

static int
added6_sibling(struct news *news, int place)
{
    uint32_t *set = find_siblings(news);

    if (place & RN_PLACE_REPLACE) {
        return replace(news, set ? set : news->link);
    }
    return set ? set_merge(news, set)
               : insert(news, rn_list_end(news->half, news->link));
}

/* An object replaced by its equal is told as its routes are: like the
 * replacement of a route by one that is there already.  Only a dump tells
 * whether the entry at `at` is gone.
 */
static int
ambiguous(const struct news *news, const uint32_t *at)
{
    const uint32_t *same = find_same(news, RN_SAME_ENTRY);

    return news->entry->nexthop_id && same && same != at;
}

/* What this one replaced.  If it may be a sibling: the kernel's own, told once
 * more because its preference changed, or the set of a daemon that is one.
 */
static uint32_t *
find_replaced(const struct news *news)
{
    if (!rn_entry_perhaps_sibling(news->entry)) {
        return find_single(news);
    }
    uint32_t *at = find_same(news, RN_SAME_HOPS);
    return at ? at : find_siblings(news);
}

static int
added6_single(struct news *news, int place)
{
    uint32_t *at;

    if (place & RN_PLACE_REPLACE) {
        at = find_object(news);
        at = at ? at : find_replaced(news);
        return ambiguous(news, at) ? RN_NEED_RESYNC6
                                   : replace(news, at ? at : news->link);
    }
    at = find_same(news, RN_SAME_ENTRY);
    return at ? refresh(news, at)
              : insert(news, rn_list_end(news->half, news->link));
}

static int
added6(struct news *news, int place)
{
    int need = RN_NEED_NOTHING;

    if (!news->link) {
        return insert(news, NULL);
    }
    if (place & RN_PLACE_REPLACE &&
        (group_murky(news) || group_unclear(news))) {
        need = RN_NEED_RESYNC6;
    }
    if (!rn_entry_siblings(news->entry)) {
        return need | added6_single(news, place);
    }
    rn_siblings_found(news->mirror, news->half, *news->link, news->entry);
    return need | added6_sibling(news, place);
}

int
rn_mirror_added(struct rn_mirror *mirror, const struct rn_entry *entry,
                int place)
{
    struct news news;

    news_begin(&news, mirror, entry);
    return entry->ip_version == 4 ? added4(&news, place)
                                  : added6(&news, place);
}

#define EXPECTED 64u /* at a time; as many lines as caches fetch at once */

/* One with a source prefix has no hash: its number may be another by then. */
static void
expect_some(const struct rn_mirror *mirror, struct rn_entry *const *entries,
            size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct rn_half *half =
            &mirror->half[entries[i]->ip_version == 6];
        if (!entries[i]->source_length) {
            entries[i]->hash = rn_key_hash(half, entries[i]);
            rn_group_fetch_slot(half, entries[i]->hash);
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (entries[i]->hash) {
            rn_group_fetch_node(&mirror->half[entries[i]->ip_version == 6],
                                entries[i]->hash);
        }
    }
}

void
rn_mirror_expect(const struct rn_mirror *mirror,
                 struct rn_entry *const *entries, size_t count)
{
    while (count > 0) {
        size_t some = count < EXPECTED ? count : EXPECTED;
        expect_some(mirror, entries, some);
        entries += some;
        count -= some;
    }
}

/* Take the entry at `at` away, and the group if it was the last. */
static void
remove_at(struct news *news, uint32_t *at, int cause)
{
    uint32_t old = rn_list_detach(news->half, at);

    if (!*news->link) {
        rn_group_remove(news->half, news->link);
    }
    rn_rows_removed(news->mirror, news->half, old, cause);
}

/* The message tells the siblings that go. */
static int
set_shrink(struct news *news, uint32_t *at)
{
    struct chain chain = {RN_NIL, RN_NIL};

    if (chain_copy(news, &chain, *at, 0) < 0) {
        rn_entry_free(news->mirror, news->half, chain.first);
        return RN_NEED_MEMORY;
    }
    if (!chain.first) {
        remove_at(news, at, RN_CAUSE_SYSTEM);
        return RN_NEED_NOTHING;
    }
    return set_swap(news, at, &chain, RN_CAUSE_SYSTEM, RN_CAUSE_SYSTEM);
}

/* The first entry with the nexthop object of the message: its hops may have
 * gone one by one, and not be told any more when the entry goes.
 */
static uint32_t *
find_by_object(const struct news *news)
{
    uint32_t *at = news->link;

    while (*at &&
           rn_node(news->half, *at)->nexthop_id != news->entry->nexthop_id) {
        at = &rn_node(news->half, *at)->next_entry;
    }
    return *at ? at : NULL;
}

static int
deleted_whole(struct news *news)
{
    uint32_t *at = find_same(news, RN_SAME_ENTRY);
    int need = RN_NEED_NOTHING;

    if (!at) { /* a silent change of attributes may have come between */
        at = find_same(news, RN_SAME_HOPS);
        need = need_resync(news->half);
    }
    if (!at && news->entry->nexthop_id) {
        at = find_by_object(news);
    }
    if (at) {
        remove_at(news, at, RN_CAUSE_SYSTEM);
    }
    return need;
}

/* Is it news of a sibling?  Of one that need not be: if the set has its hop and
 * no single entry is like it.
 */
static int
about_siblings(const struct news *news)
{
    const struct rn_entry *entry = news->entry;

    if (!rn_entry_perhaps_sibling(entry)) {
        return rn_entry_siblings(entry);
    }
    const uint32_t *set = find_siblings(news);
    return set && hop_in_set(news, *set, &entry->hops[0]) &&
           !find_same(news, RN_SAME_ENTRY);
}

int
rn_mirror_deleted(struct rn_mirror *mirror, const struct rn_entry *entry)
{
    struct news news;
    int need = RN_NEED_NOTHING;

    news_begin(&news, mirror, entry);
    if (!news.link) {
        return RN_NEED_NOTHING; /* gone already: a silent removal, or late */
    }
    if (entry->ip_version == 6 && group_murky(&news)) {
        need = RN_NEED_RESYNC6;
    }
    if (about_siblings(&news)) {
        uint32_t *set = find_siblings(&news);
        return need | (set ? set_shrink(&news, set) : RN_NEED_RESYNC6);
    }
    return need | deleted_whole(&news);
}

static int
hop_on(const struct rn_half *half, uint32_t entry, uint32_t if_index)
{
    while (entry && rn_node(half, entry)->if_index != if_index) {
        entry = rn_node(half, entry)->next_hop;
    }
    return entry != RN_NIL;
}

/* Copies of the hops that are not on the device. */
static int
chain_off(const struct news *news, struct chain *chain, uint32_t entry,
          uint32_t if_index)
{
    for (uint32_t n = entry; n; n = rn_node(news->half, n)->next_hop) {
        if (rn_node(news->half, n)->if_index == if_index) {
            continue;
        }
        uint32_t copy = rn_node_copy(news->mirror, news->half, n);
        if (!copy) {
            return -1;
        }
        chain_add(news->half, chain, copy);
    }
    return 0;
}

/* An IPv4 entry goes as a whole, unless it has its hops from a nexthop object:
 * then, and in IPv6, those on the device go, and the entry with its last.
 */
static int
entry_off(struct news *news, uint32_t *at, uint32_t if_index)
{
    struct chain chain = {RN_NIL, RN_NIL};
    const int by_hop =
        news->half->width == 16 || rn_node(news->half, *at)->nexthop_id;

    if (by_hop && chain_off(news, &chain, *at, if_index) < 0) {
        rn_entry_free(news->mirror, news->half, chain.first);
        return RN_NEED_MEMORY;
    }
    if (chain.first) {
        return set_swap(news, at, &chain, RN_CAUSE_LINK_REMOVED,
                        RN_CAUSE_LINK_REMOVED);
    }
    rn_rows_removed(news->mirror, news->half, rn_list_detach(news->half, at),
                    RN_CAUSE_LINK_REMOVED);
    return RN_NEED_NOTHING;
}

static int
group_on(const struct news *news, uint32_t if_index)
{
    uint32_t e = *news->link;

    while (e && !hop_on(news->half, e, if_index)) {
        e = rn_node(news->half, e)->next_entry;
    }
    return e != RN_NIL;
}

/* news->link becomes NULL if nothing is left of the group. */
static int
group_off(struct news *news, uint32_t if_index)
{
    int need = RN_NEED_NOTHING;

    if (news->half->comparing) {
        rn_compare_touch(news->mirror, news->half,
                         rn_node(news->half, *news->link)->address);
        news->link = rn_compare_purge(news->mirror, news->half, news->link);
    }
    for (uint32_t *at = news->link; at && *at;) {
        int failed = RN_NEED_MEMORY;
        if (hop_on(news->half, *at, if_index)) {
            failed = entry_off(news, at, if_index);
            need |= failed;
        }
        if (failed & RN_NEED_MEMORY) { /* not on it, or left as it is */
            at = &rn_node(news->half, *at)->next_entry;
        }
    }
    if (news->link && !*news->link) {
        rn_group_remove(news->half, news->link);
        news->link = NULL;
    }
    return need;
}

static int
half_off(struct rn_mirror *mirror, struct rn_half *half, uint32_t if_index)
{
    struct news news = {.mirror = mirror, .half = half};
    int need = RN_NEED_NOTHING;
    uint32_t slot = 0;

    while (half->slots && slot <= half->mask) {
        news.link = &half->slots[slot].node;
        if (*news.link && group_on(&news, if_index)) {
            need |= group_off(&news, if_index);
        }
        slot += news.link != NULL; /* else another group may have moved in */
    }
    return need;
}

int
rn_mirror_link_removed(struct rn_mirror *mirror, uint32_t if_index)
{
    return half_off(mirror, &mirror->half[0], if_index) |
           half_off(mirror, &mirror->half[1], if_index);
}

size_t
rn_mirror_rows(const struct rn_mirror *mirror, int ip_version)
{
    return (ip_version != 6 ? mirror->half[0].rows : 0) +
           (size_t)(ip_version != 4 ? mirror->half[1].rows : 0);
}

static void
each_of_group(const struct rn_mirror *mirror, const struct rn_half *half,
              uint32_t group, rn_mirror_emit *each, void *self)
{
    struct rn_record record;

    for (uint32_t e = group; e; e = rn_node(half, e)->next_entry) {
        if (rn_node(half, e)->state & RN_NODE_PROVISIONAL) {
            continue;
        }
        for (uint32_t n = e; n; n = rn_node(half, n)->next_hop) {
            rn_rows_record(mirror, half, e, n, &record);
            each(self, &record);
        }
    }
}

void
rn_mirror_each(const struct rn_mirror *mirror, int ip_version,
               rn_mirror_emit *each, void *self)
{
    for (int i = 0; i < 2; i++) {
        const struct rn_half *half = &mirror->half[i];
        if ((ip_version && ip_version != half->ip_version) || !half->slots) {
            continue;
        }
        for (uint32_t slot = 0; slot <= half->mask; slot++) {
            each_of_group(mirror, half, half->slots[slot].node, each, self);
        }
    }
}

size_t
rn_mirror_bytes(const struct rn_mirror *mirror)
{
    return rn_half_bytes(&mirror->half[0]) + rn_half_bytes(&mirror->half[1]) +
           rn_pool_bytes(&mirror->pool);
}
