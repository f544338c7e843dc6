/* rn_list.c - the ordered list of entries of one group. */
#include "rn_mirror_impl.h"

uint32_t *
rn_list_find(const struct rn_half *half, uint32_t *link, uint32_t first)
{
    while (*link != first) {
        link = &rn_node(half, *link)->next_entry;
    }
    return link;
}

uint32_t *
rn_list_end(const struct rn_half *half, uint32_t *link)
{
    return rn_list_find(half, link, RN_NIL);
}

uint32_t
rn_list_detach(const struct rn_half *half, uint32_t *at)
{
    uint32_t first = *at;

    *at = rn_node(half, first)->next_entry;
    rn_node(half, first)->next_entry = RN_NIL;
    return first;
}

void
rn_list_insert(const struct rn_half *half, uint32_t *at, uint32_t first)
{
    rn_node(half, first)->next_entry = *at;
    *at = first;
}
