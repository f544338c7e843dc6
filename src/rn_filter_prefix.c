/* rn_filter_prefix.c - sets of prefixes: one binary search per question. */
#include <stdlib.h>

#include "rn_filter.h"

static uint64_t
word(const uint8_t *bytes, int count)
{
    uint64_t value = 0;

    for (int i = 0; i < count; i++) {
        value |= (uint64_t)bytes[i] << (56 - 8 * i);
    }
    return value;
}

struct rn_prefix
rn_prefix_of(int ip_version, const uint8_t *address, int length)
{
    return (struct rn_prefix){
        .high = word(address, ip_version == 4 ? 4 : 8),
        .low = ip_version == 4 ? 0 : word(address + 8, 8),
        .length = (uint8_t)length,
    };
}

/* The first `length` bits of a word. */
static uint64_t
mask(int length)
{
    return length <= 0    ? 0
           : length >= 64 ? UINT64_MAX
                          : ~(UINT64_MAX >> length);
}

/* Do the two addresses agree in their first `length` bits? */
static int
agree(const struct rn_prefix *a, const struct rn_prefix *b, int length)
{
    return !((a->high ^ b->high) & mask(length)) &&
           !((a->low ^ b->low) & mask(length - 64));
}

static int
compare(const void *one, const void *other)
{
    const struct rn_prefix *a = one;
    const struct rn_prefix *b = other;

    if (a->high != b->high) {
        return a->high < b->high ? -1 : 1;
    }
    if (a->low != b->low) {
        return a->low < b->low ? -1 : 1;
    }
    return (int)a->length - (int)b->length;
}

/* A prefix comes right before what lies inside it. */
void
rn_prefixes_settle(struct rn_prefixes *set, enum rn_filter_op op)
{
    uint32_t kept = 0;

    if (set->count) {
        qsort(set->all, set->count, sizeof(set->all[0]), compare);
    }
    for (uint32_t i = 0; i < set->count; i++) {
        const struct rn_prefix *last = kept ? &set->all[kept - 1] : NULL;
        const struct rn_prefix *next = &set->all[i];
        int same = last && compare(last, next) == 0;
        int inside = last && op == RN_FILTER_INSIDE &&
                     last->length <= next->length &&
                     agree(last, next, last->length);
        if (!same && !inside) {
            set->all[kept++] = *next;
        }
    }
    set->count = kept;
}

/* The first member that does not come before `wanted`; count: none. */
static uint32_t
position(const struct rn_prefixes *set, const struct rn_prefix *wanted)
{
    uint32_t low = 0;
    uint32_t high = set->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (compare(&set->all[middle], wanted) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Members do not overlap: if one contains the route, it is the last that comes
 * before it, or the route itself.
 */
static int
inside(const struct rn_prefixes *set, const struct rn_prefix *route,
       uint32_t at)
{
    if (at < set->count && compare(&set->all[at], route) == 0) {
        return 1;
    }
    return at > 0 && set->all[at - 1].length <= route->length &&
           agree(&set->all[at - 1], route, set->all[at - 1].length);
}

/* What lies inside the route comes right behind it: a member at or behind its
 * place that agrees with it in its bits is as long or longer.
 */
static int
covering(const struct rn_prefixes *set, const struct rn_prefix *route)
{
    struct rn_prefix first = *route;

    first.high &= mask(route->length);
    first.low &= mask(route->length - 64);
    uint32_t at = position(set, &first);
    return at < set->count && agree(&set->all[at], route, route->length);
}

int
rn_prefixes_match(const struct rn_prefixes *set, enum rn_filter_op op,
                  struct rn_prefix route)
{
    if (op == RN_FILTER_COVERING) {
        return covering(set, &route);
    }
    uint32_t at = position(set, &route);
    if (op == RN_FILTER_INSIDE) {
        return inside(set, &route, at);
    }
    return at < set->count && compare(&set->all[at], &route) == 0;
}

/* The shortest prefix that has this address, for it has no bits beyond. */
static struct rn_prefix
shortest(struct rn_prefix route)
{
    while (route.length > 0 &&
           (route.high & mask(route.length - 1)) == route.high) {
        route.length--;
    }
    return route;
}

static int
hold(const struct rn_prefixes *set, enum rn_filter_op op,
     struct rn_prefix longest, int every)
{
    const struct rn_prefix least = shortest(longest);

    if (op == RN_FILTER_INSIDE) {
        return rn_prefixes_match(set, op, every ? least : longest);
    }
    if (op == RN_FILTER_COVERING) {
        return rn_prefixes_match(set, op, every ? longest : least);
    }
    uint32_t at = position(set, &least);
    return at < set->count && set->all[at].high == longest.high &&
           (!every || least.length == longest.length);
}

int
rn_prefixes_hold(const struct rn_prefixes *set, enum rn_filter_op op,
                 const uint8_t address[4], int every)
{
    return hold(set, op, rn_prefix_of(4, address, 32), every);
}

/* If any address in a member is one, then the last. */
int
rn_prefixes_decide(const struct rn_prefixes *set, enum rn_filter_op op)
{
    int decide = 0;

    for (uint32_t i = 0; i < set->count && !decide; i++) {
        struct rn_prefix last = set->all[i];
        if (op == RN_FILTER_INSIDE) {
            last.high |= mask(32) & ~mask(last.length);
        }
        last.length = 32;
        decide = hold(set, op, last, 1);
    }
    return decide;
}
