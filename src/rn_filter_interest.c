/* rn_filter_interest.c - what is left of a filter when only the key of a group
 * is known: what may be dropped before the mirror, by the kernel or by C.
 *
 * Negations move down to the terms; a term that cannot be told, negated or
 * not, counts as true.  So the answer errs to one side only.
 */
#include "rn_filter.h"

static int
empty(const struct rn_filter_node *node, int ip_version)
{
    return node->op == RN_FILTER_TABLE
               ? node->number_count == 0
               : node->prefixes[ip_version == 6].count == 0;
}

int
rn_filter_known(const struct rn_filter_node *node, int negated, int ip_version)
{
    if (!node->in_kernel) {
        return 1;
    }
    if (empty(node, ip_version)) {
        return negated;
    }
    if (node->op == RN_FILTER_TABLE) {
        return -1;
    }
    return ip_version == 6 || (negated && !rn_prefixes_decide(
                                              &node->prefixes[0], node->op))
               ? 1
               : -1;
}

/* Is the tree at `at` a connective, and then "any" (1) or "all" (0)? */
static int
connective(const struct rn_filter_node *node, int negated)
{
    if (node->op != RN_FILTER_ALL && node->op != RN_FILTER_ANY) {
        return -1;
    }
    return (node->op == RN_FILTER_ANY) != negated;
}

int
rn_filter_family(const struct rn_filter *filter, uint32_t at, int negated,
                 int ip_version)
{
    const struct rn_filter_node *node = &filter->nodes[at];
    const int any = connective(node, negated);
    int open = 0;

    if (node->op == RN_FILTER_NOT) {
        return rn_filter_family(filter, at + 1, !negated, ip_version);
    }
    if (any < 0) {
        return rn_filter_known(node, negated, ip_version);
    }
    for (uint32_t child = at + 1; child < node->end;
         child = filter->nodes[child].end) {
        int known = rn_filter_family(filter, child, negated, ip_version);
        if (known == any) {
            return any;
        }
        open |= known < 0;
    }
    return open ? -1 : !any;
}

static int
says(const struct rn_filter_node *node, int negated,
     const struct rn_filter_key *key)
{
    int known = rn_filter_known(node, negated, key->ip_version);

    return known >= 0 ? known : rn_filter_holds(node, key, negated) != negated;
}

static int
interest(const struct rn_filter *filter, uint32_t at, int negated,
         const struct rn_filter_key *key)
{
    const struct rn_filter_node *node = &filter->nodes[at];
    const int any = connective(node, negated);

    if (node->op == RN_FILTER_NOT) {
        return interest(filter, at + 1, !negated, key);
    }
    if (any < 0) {
        return says(node, negated, key);
    }
    for (uint32_t child = at + 1; child < node->end;
         child = filter->nodes[child].end) {
        if (interest(filter, child, negated, key) == any) {
            return any;
        }
    }
    return !any;
}

int
rn_filter_interest(const struct rn_filter *filter,
                   const struct rn_filter_key *key)
{
    return interest(filter, 0, 0, key);
}

static int64_t
only_table(const struct rn_filter *filter, uint32_t at, int negated)
{
    const struct rn_filter_node *node = &filter->nodes[at];
    const int any = connective(node, negated);
    int64_t only = -1;

    if (node->op == RN_FILTER_NOT) {
        return only_table(filter, at + 1, !negated);
    }
    if (any < 0) {
        int one = node->op == RN_FILTER_TABLE && node->number_count == 1;
        return one && !negated ? (int64_t)node->numbers[0] : -1;
    }
    for (uint32_t child = at + 1; child < node->end;
         child = filter->nodes[child].end) {
        int64_t table = only_table(filter, child, negated);
        if (!any && table >= 0) {
            return table;
        }
        if (any && (table < 0 || (only >= 0 && table != only))) {
            return -1;
        }
        only = table;
    }
    return any ? only : -1;
}

int64_t
rn_filter_only_table(const struct rn_filter *filter)
{
    return filter ? only_table(filter, 0, 0) : -1;
}

static void
note_used(const struct rn_filter *filter, uint32_t at, int negated,
          int ip_version, uint8_t *used)
{
    const struct rn_filter_node *node = &filter->nodes[at];

    if (rn_filter_family(filter, at, negated, ip_version) >= 0) {
        return;
    }
    if (node->op == RN_FILTER_NOT) {
        note_used(filter, at + 1, !negated, ip_version, used);
    } else if (connective(node, negated) < 0) {
        used[at] |= ip_version == 4 ? 1 : 2;
    } else {
        for (uint32_t child = at + 1; child < node->end;
             child = filter->nodes[child].end) {
            note_used(filter, child, negated, ip_version, used);
        }
    }
}

void
rn_filter_used(const struct rn_filter *filter, uint8_t *used)
{
    note_used(filter, 0, 0, 4, used);
    note_used(filter, 0, 0, 6, used);
}
