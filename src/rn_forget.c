/* rn_forget.c - rows that nobody wants any more leave the mirror unsaid. */
#include "rn_mirror_impl.h"

/* What a running dump only guessed goes with the rest. */
static void
forget_group(struct rn_mirror *mirror, struct rn_half *half, uint32_t *link)
{
    if (half->comparing && !rn_compare_purge(mirror, half, link)) {
        return;
    }
    uint32_t old = *link;
    *link = RN_NIL;
    rn_group_remove(half, link);
    rn_rows_removed(mirror, half, old, RN_CAUSE_SYSTEM);
}

static void
forget_half(struct rn_mirror *mirror, struct rn_half *half,
            rn_mirror_keep *keep, void *self)
{
    struct rn_record row;
    uint32_t slot = 0;

    while (half->slots && slot <= half->mask) {
        uint32_t *link = &half->slots[slot].node;
        if (*link) {
            rn_rows_record(mirror, half, *link, *link, &row);
            if (!keep(self, &row)) {
                forget_group(mirror, half, link);
                continue; /* another group may have moved into this slot */
            }
        }
        slot++;
    }
}

void
rn_mirror_forget(struct rn_mirror *mirror, rn_mirror_keep *keep, void *self)
{
    mirror->silent = 1;
    forget_half(mirror, &mirror->half[0], keep, self);
    forget_half(mirror, &mirror->half[1], keep, self);
    mirror->silent = 0;
}
