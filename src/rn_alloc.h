/* rn_alloc.h - malloc, where tests can make it fail: for whatever grows with
 * what it is given (mirror, spill map, filters, tables of a batch, ...).
 */
#ifndef RN_ALLOC_H
#define RN_ALLOC_H

#include <stdlib.h>

#ifdef RN_TEST_ALLOC
/* Test builds only: the allocation with this number (1 = next) and all after
 * it fail until it is set again; 0: none fails.
 */
extern long rn_alloc_fail_at;
extern long rn_alloc_calls;

static inline int
rn_alloc_fails(void)
{
    /* On any thread; test builds are gcc's. */
    long calls = __atomic_add_fetch(&rn_alloc_calls, 1, __ATOMIC_RELAXED);

    return rn_alloc_fail_at && calls >= rn_alloc_fail_at;
}
#else
static inline int
rn_alloc_fails(void)
{
    return 0;
}
#endif

static inline void *
rn_alloc(size_t size)
{
    return rn_alloc_fails() ? NULL : malloc(size);
}

static inline void *
rn_alloc_zero(size_t count, size_t size)
{
    return rn_alloc_fails() ? NULL : calloc(count, size);
}

static inline void *
rn_realloc(void *old, size_t size)
{
    return rn_alloc_fails() ? NULL : realloc(old, size);
}

#endif
