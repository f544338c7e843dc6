/* faults.c - the list of sites of faults.h, and which of them fails now. */
#include "faults.h"

#undef free

#define VISIBLE __attribute__((visibility("default")))

/* Made by the linker: the section that RN_SITE puts its pointers into. */
#define HIDDEN __attribute__((visibility("hidden")))
extern struct rn_fault_site *const __start_rn_fault_sites[] HIDDEN;
extern struct rn_fault_site *const __stop_rn_fault_sites[] HIDDEN;

static long blocks;

/* The list, and the blocks in use; for faultlab.py, which arms sites itself. */
VISIBLE int
rn_fault_count(void);
VISIBLE struct rn_fault_site *
rn_fault_at(int at);
VISIBLE long
rn_fault_blocks(void);

int
rn_fault_count(void)
{
    return (int)(__stop_rn_fault_sites - __start_rn_fault_sites);
}

struct rn_fault_site *
rn_fault_at(int at)
{
    return __start_rn_fault_sites[at];
}

long
rn_fault_blocks(void)
{
    return __atomic_load_n(&blocks, __ATOMIC_SEQ_CST);
}

/* Take one of a number that is not 0.  Return: whether there was one. */
static int
take_one(unsigned *count)
{
    unsigned value = __atomic_load_n(count, __ATOMIC_SEQ_CST);

    while (value != 0 &&
           !__atomic_compare_exchange_n(count, &value, value - 1, 0,
                                        __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
    }
    return value != 0;
}

int
rn_fault(struct rn_fault_site *site)
{
    __atomic_fetch_add(&site->reached, 1, __ATOMIC_SEQ_CST);
    if (take_one(&site->passes) || !take_one(&site->left)) {
        return 0;
    }
    __atomic_fetch_add(&site->failed, 1, __ATOMIC_SEQ_CST);
    errno = __atomic_load_n(&site->error, __ATOMIC_SEQ_CST);
    return 1;
}

void *
rn_fault_made(void *block, int is_new)
{
    if (block != NULL && is_new) {
        __atomic_fetch_add(&blocks, 1, __ATOMIC_SEQ_CST);
    }
    return block;
}

void
rn_fault_free(void *block)
{
    if (block != NULL) {
        __atomic_fetch_sub(&blocks, 1, __ATOMIC_SEQ_CST);
    }
    free(block);
}
