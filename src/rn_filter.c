/* rn_filter.c - a filter's life, and what it says of a change. */
#include "rn_filter.h"

#include <string.h>

#include "rn_alloc.h"

struct rn_filter *
rn_filter_ref(struct rn_filter *filter)
{
    if (filter) {
        (void)rn_fetch_add(&filter->references, 1);
    }
    return filter;
}

/* Pairs with the other holders' rn_fetch_add: the last one sees all they did. */
void
rn_filter_unref(struct rn_filter *filter)
{
    if (!filter || rn_fetch_add(&filter->references, UINT32_MAX) != 1) {
        return;
    }
    for (uint32_t i = 0; i < filter->count; i++) {
        free(filter->nodes[i].numbers);
        free(filter->nodes[i].prefixes[0].all);
        free(filter->nodes[i].prefixes[1].all);
    }
    free(filter->nodes);
    free(filter->bytes);
    free(filter);
}

int
rn_filter_same(const struct rn_filter *a, const struct rn_filter *b)
{
    if (!a || !b) {
        return a == b;
    }
    return a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0;
}

/* Most terms name a handful of numbers. */
static int
has_number(const struct rn_filter_node *node, uint32_t wanted)
{
    uint32_t low = 0;
    uint32_t high = node->number_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (node->numbers[middle] < wanted) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < node->number_count && node->numbers[low] == wanted;
}

static int
has_destination(const struct rn_filter_node *node, int ip_version,
                const uint8_t *destination, int prefix_length)
{
    const struct rn_prefixes *set = &node->prefixes[ip_version == 6];

    return set->count &&
           rn_prefixes_match(
               set, node->op,
               rn_prefix_of(ip_version, destination, prefix_length));
}

/* What is asked of a tree: of which change, seen as which type (-1: any). */
struct question {
    const struct rn_filter *filter;
    const struct rn_record *record;
    int type;
};

static int
term(const struct question *q, const struct rn_filter_node *node)
{
    const struct rn_record *record = q->record;

    switch (node->op) {
    case RN_FILTER_TABLE:
        return rn_said_table(record) && has_number(node, record->table);
    case RN_FILTER_INTERFACE:
        return has_number(node, record->interface_index);
    case RN_FILTER_PROTOCOL:
        return rn_said(record) && has_number(node, record->protocol);
    case RN_FILTER_ROUTE_TYPE:
        return rn_said_table(record) && has_number(node, record->route_type);
    case RN_FILTER_CHANGE_TYPE:
        return has_number(node, (uint32_t)q->type);
    default:
        return has_destination(node, record->ip_version, record->destination,
                               record->prefix_length);
    }
}

static int
ask(const struct question *q, uint32_t at)
{
    const struct rn_filter_node *node = &q->filter->nodes[at];
    const int any = node->op == RN_FILTER_ANY;

    if (node->op == RN_FILTER_NOT) {
        return !ask(q, at + 1);
    }
    if (node->op != RN_FILTER_ALL && !any) {
        return term(q, node);
    }
    for (uint32_t child = at + 1; child < node->end;
         child = q->filter->nodes[child].end) {
        if (ask(q, child) == any) {
            return any;
        }
    }
    return !any;
}

static int
match_as(const struct rn_filter *filter, const struct rn_record *record,
         int type)
{
    const struct question q = {filter, record, type};

    return ask(&q, 0);
}

int
rn_filter_match(const struct rn_filter *filter, const struct rn_record *record)
{
    return match_as(filter, record, record->type);
}

int
rn_filter_has_row(const struct rn_filter *filter, const struct rn_record *row)
{
    return match_as(filter, row, RN_PARAMETER) ||
           match_as(filter, row, RN_ADD) || match_as(filter, row, RN_DELETE);
}

/* The row changed in what terms may ask for: did it match, does it now? */
static const struct rn_record *
crossing(const struct rn_filter *filter, const struct rn_record *record,
         struct rn_record *scratch)
{
    struct rn_record was = *record;

    was.protocol = rn_was_protocol(record);
    was.route_type = rn_was_route_type(record);
    int before = rn_filter_has_row(filter, &was);
    int after = rn_filter_has_row(filter, record);
    if (before == after) {
        return after && rn_filter_match(filter, record) ? record : NULL;
    }
    *scratch = before ? was : *record;
    scratch->type = before ? RN_DELETE : RN_ADD;
    scratch->cause = RN_CAUSE_FILTER;
    return rn_filter_match(filter, scratch) ? scratch : NULL;
}

const struct rn_record *
rn_filter_change(const struct rn_filter *filter,
                 const struct rn_record *record, struct rn_record *scratch)
{
    if (rn_was_said(record)) {
        return crossing(filter, record, scratch);
    }
    return rn_filter_match(filter, record) ? record : NULL;
}

void
rn_filter_keep(const struct rn_filter *filter, struct rn_rows *rows)
{
    size_t kept = 0;

    for (size_t i = 0; i < rows->count; i++) {
        if (rn_filter_has_row(filter, &rows->rows[i])) {
            rows->rows[kept++] = rows->rows[i];
        }
    }
    rows->count = kept;
}

int
rn_filter_holds(const struct rn_filter_node *node,
                const struct rn_filter_key *key, int every)
{
    return node->op == RN_FILTER_TABLE
               ? has_number(node, key->table)
               : rn_prefixes_hold(&node->prefixes[0], node->op,
                                  key->destination, every);
}
