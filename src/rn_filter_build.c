/* rn_filter_build.c - from bytes to a filter, believing nothing of them. */
#include <string.h>

#include "rn_alloc.h"
#include "rn_filter.h"

#define PREFIX_BYTES 18 /* version, length, address */

/* What is left to read.  why: what was wrong; no_memory: nothing was. */
struct reader {
    const uint8_t *at;
    size_t left;
    struct rn_filter *filter;
    const char *why;
    int no_memory;
};

static int
wrong(struct reader *reader, const char *why)
{
    reader->why = why;
    return -1;
}

static const uint8_t *
take(struct reader *reader, size_t size)
{
    const uint8_t *at = reader->at;

    if (reader->left < size) {
        return NULL;
    }
    reader->at += size;
    reader->left -= size;
    return at;
}

/* How many items of `size` bytes follow. */
static int
take_count(struct reader *reader, size_t size, uint32_t *count)
{
    const uint8_t *at = take(reader, sizeof(*count));

    if (!at) {
        return wrong(reader, "it ends within a term");
    }
    memcpy(count, at, sizeof(*count));
    if (*count > reader->left / size) {
        return wrong(reader, "a term promises more than follows");
    }
    return 0;
}

static void *
new_array(struct reader *reader, size_t count, size_t size)
{
    void *array = rn_alloc(count ? count * size : 1);

    reader->no_memory |= !array;
    return array;
}

static int
ascending(const void *one, const void *other)
{
    uint32_t a;
    uint32_t b;

    memcpy(&a, one, sizeof(a));
    memcpy(&b, other, sizeof(b));
    return (a > b) - (a < b);
}

static int
read_numbers(struct reader *reader, struct rn_filter_node *node)
{
    uint32_t count;

    if (take_count(reader, sizeof(count), &count) < 0) {
        return -1;
    }
    node->numbers = new_array(reader, count, sizeof(count));
    if (!node->numbers) {
        return -1;
    }
    memcpy(node->numbers, take(reader, count * sizeof(count)),
           count * sizeof(count));
    qsort(node->numbers, count, sizeof(count), ascending);
    node->number_count = count;
    return 0;
}

static int
read_prefix(struct reader *reader, struct rn_filter_node *node)
{
    const uint8_t *at = take(reader, PREFIX_BYTES);
    const int version = at[0];
    const int bits = version == 4 ? 32 : 128;

    if ((version != 4 && version != 6) || at[1] > bits) {
        return wrong(reader, "a prefix of no family or too long");
    }
    struct rn_prefixes *set = &node->prefixes[version == 6];
    struct rn_prefix prefix = rn_prefix_of(version, at + 2, at[1]);
    for (int bit = at[1]; bit < bits; bit++) {
        if (at[2 + bit / 8] & 0x80 >> bit % 8) {
            return wrong(reader, "a prefix with bits beyond its length");
        }
    }
    set->all[set->count++] = prefix;
    return 0;
}

static int
read_prefixes(struct reader *reader, struct rn_filter_node *node)
{
    uint32_t count;

    if (take_count(reader, PREFIX_BYTES, &count) < 0) {
        return -1;
    }
    for (int i = 0; i < 2; i++) {
        node->prefixes[i].all =
            new_array(reader, count, sizeof(struct rn_prefix));
        if (!node->prefixes[i].all) {
            return -1;
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        if (read_prefix(reader, node) < 0) {
            return -1;
        }
    }
    for (int i = 0; i < 2; i++) {
        rn_prefixes_settle(&node->prefixes[i], node->op);
    }
    return 0;
}

/* Room for one node more; its number.  Nodes move when there are more. */
static int
new_node(struct reader *reader, uint8_t op, uint32_t *number)
{
    struct rn_filter *filter = reader->filter;

    if ((filter->count & (filter->count - 1)) == 0) { /* 0, 1, 2, 4, ... */
        size_t size = filter->count ? filter->count * 2u : 1;
        struct rn_filter_node *nodes =
            rn_realloc(filter->nodes, size * sizeof(*nodes));
        if (!nodes) {
            reader->no_memory = 1;
            return -1;
        }
        filter->nodes = nodes;
    }
    *number = filter->count++;
    filter->nodes[*number] = (struct rn_filter_node){.op = op};
    return 0;
}

static int
read_tree(struct reader *reader, int depth);

static int
read_trees(struct reader *reader, uint8_t op, int depth)
{
    uint32_t count = 1;

    if (depth >= RN_FILTER_DEPTH) {
        return wrong(reader, "terms are nested too deeply");
    }
    if (op != RN_FILTER_NOT && take_count(reader, 1, &count) < 0) {
        return -1;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (read_tree(reader, depth + 1) < 0) {
            return -1;
        }
    }
    return 0;
}

/* What the kernel can be asked of a term without leaving C behind. */
static int
in_kernel(const struct rn_filter_node *node)
{
    switch (node->op) {
    case RN_FILTER_TABLE:
        return node->number_count <= RN_FILTER_KERNEL_NUMBERS;
    case RN_FILTER_EXACT:
    case RN_FILTER_INSIDE:
    case RN_FILTER_COVERING:
        return node->prefixes[0].count <= RN_FILTER_KERNEL_PREFIXES;
    default:
        return 0;
    }
}

static int
read_term(struct reader *reader, struct rn_filter_node *node, int depth)
{
    switch (node->op) {
    case RN_FILTER_ALL:
    case RN_FILTER_ANY:
    case RN_FILTER_NOT:
        return read_trees(reader, node->op, depth);
    case RN_FILTER_TABLE:
    case RN_FILTER_INTERFACE:
    case RN_FILTER_PROTOCOL:
    case RN_FILTER_ROUTE_TYPE:
    case RN_FILTER_CHANGE_TYPE:
        return read_numbers(reader, node);
    case RN_FILTER_EXACT:
    case RN_FILTER_INSIDE:
    case RN_FILTER_COVERING:
        return read_prefixes(reader, node);
    default:
        return wrong(reader, "an operator of no meaning");
    }
}

static int
read_tree(struct reader *reader, int depth)
{
    const uint8_t *op = take(reader, 1);
    uint32_t number;

    if (!op) {
        return wrong(reader, "it ends before a term");
    }
    if (new_node(reader, *op, &number) < 0 ||
        read_term(reader, &reader->filter->nodes[number], depth) < 0) {
        return -1;
    }
    struct rn_filter_node *node = &reader->filter->nodes[number];
    node->end = reader->filter->count;
    node->in_kernel = (uint8_t)in_kernel(node);
    return 0;
}

static int
copy_bytes(struct reader *reader, const void *bytes, size_t size)
{
    reader->filter->bytes = new_array(reader, size, 1);
    if (!reader->filter->bytes) {
        return -1;
    }
    memcpy(reader->filter->bytes, bytes, size);
    reader->filter->size = size;
    return 0;
}

struct rn_filter *
rn_filter_new(const void *bytes, size_t size, const char **why)
{
    struct rn_filter *filter = rn_alloc_zero(1, sizeof(*filter));
    struct reader reader = {.at = bytes, .left = size, .filter = filter};

    *why = NULL;
    if (!filter) {
        return NULL;
    }
    rn_store_release(&filter->references, 1); /* nobody else has it yet */
    int failed = read_tree(&reader, 0) < 0;
    if (!failed && reader.left) {
        failed = wrong(&reader, "more follows after its end");
    }
    if (failed || copy_bytes(&reader, bytes, size) < 0) {
        *why = reader.no_memory ? NULL : reader.why;
        rn_filter_unref(filter);
        return NULL;
    }
    return filter;
}
