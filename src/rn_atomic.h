/* rn_atomic.h - the only atomics of the project: 32-bit words, five verbs,
 * and 64-bit counters for statistics.
 *
 * Acquire and release are put on the operation, never on a fence.  Every use
 * says what it pairs with.  The MSVC branch exists because MSVC's C mode has
 * no stdatomic.h by default; RN_FORCE_MSVC_ATOMICS lets clang compile it.
 */
#ifndef RN_ATOMIC_H
#define RN_ATOMIC_H

#include <stdint.h>

/* Two lines, not one: adjacent lines are prefetched in pairs on x86 and are
 * 128 bytes wide on some Arm cores, so 64 still lets two writers collide.
 */
#define RN_LINE 128

#ifdef _MSC_VER
#define RN_NOINLINE __declspec(noinline)
#else
#define RN_NOINLINE __attribute__((noinline))
#endif

#if (defined(_MSC_VER) && !defined(__clang__)) || \
    defined(RN_FORCE_MSVC_ATOMICS)
#define RN_ATOMIC_MSVC 1
#include <intrin.h>
typedef struct {
    volatile long word;
} rn_atomic_u32;
typedef struct {
    volatile __int64 value;
} rn_count;
#else
#define RN_ATOMIC_MSVC 0
typedef struct {
    uint32_t word;
} rn_atomic_u32;
typedef struct {
    _Alignas(8) uint64_t value; /* i386 would align it to 4 and tear it */
} rn_count;
#endif

/* rn_load_acquire - what the matching release published is visible after. */
static inline uint32_t
rn_load_acquire(rn_atomic_u32 *a)
{
#if !RN_ATOMIC_MSVC
    return __atomic_load_n(&a->word, __ATOMIC_ACQUIRE);
#elif defined(_M_ARM64) || defined(__aarch64__)
    return (uint32_t)_InterlockedOr(&a->word, 0);
#else
    long value = a->word; /* x86 loads are acquire; stop the compiler only */
    _ReadWriteBarrier();
    return (uint32_t)value;
#endif
}

/* rn_load_relaxed - a value this thread wrote itself, or a mere hint. */
static inline uint32_t
rn_load_relaxed(rn_atomic_u32 *a)
{
#if !RN_ATOMIC_MSVC
    return __atomic_load_n(&a->word, __ATOMIC_RELAXED);
#else
    return (uint32_t)a->word;
#endif
}

/* rn_store_release - everything written before is visible to the acquirer. */
static inline void
rn_store_release(rn_atomic_u32 *a, uint32_t value)
{
#if !RN_ATOMIC_MSVC
    __atomic_store_n(&a->word, value, __ATOMIC_RELEASE);
#elif defined(_M_ARM64) || defined(__aarch64__)
    (void)_InterlockedExchange(&a->word, (long)value);
#else
    _ReadWriteBarrier();
    a->word = (long)value;
#endif
}

/* rn_exchange - sequentially consistent read-modify-write: a full barrier. */
static inline uint32_t
rn_exchange(rn_atomic_u32 *a, uint32_t value)
{
#if !RN_ATOMIC_MSVC
    return __atomic_exchange_n(&a->word, value, __ATOMIC_SEQ_CST);
#else
    return (uint32_t)_InterlockedExchange(&a->word, (long)value);
#endif
}

/* rn_fetch_add - sequentially consistent; returns the value before. */
static inline uint32_t
rn_fetch_add(rn_atomic_u32 *a, uint32_t value)
{
#if !RN_ATOMIC_MSVC
    return __atomic_fetch_add(&a->word, value, __ATOMIC_SEQ_CST);
#else
    return (uint32_t)_InterlockedExchangeAdd(&a->word, (long)value);
#endif
}

#if !RN_ATOMIC_MSVC
/* As wide as a pointer: positions that a kernel shares with us.  As above. */
typedef struct {
    unsigned long word;
} rn_atomic_word;

static inline unsigned long
rn_word_load_acquire(rn_atomic_word *a)
{
    return __atomic_load_n(&a->word, __ATOMIC_ACQUIRE);
}

static inline void
rn_word_store_release(rn_atomic_word *a, unsigned long value)
{
    __atomic_store_n(&a->word, value, __ATOMIC_RELEASE);
}
#endif

/* rn_count_read - a statistic, never torn, on any thread.  Relaxed: it orders
 * nothing, and two counters read one after the other need not agree.
 */
static inline uint64_t
rn_count_read(rn_count *c)
{
#if !RN_ATOMIC_MSVC
    return __atomic_load_n(&c->value, __ATOMIC_RELAXED);
#elif defined(_WIN64)
    return (uint64_t)c->value;
#else
    return (uint64_t)_InterlockedCompareExchange64(&c->value, 0, 0);
#endif
}

/* rn_count_set - by the counter's one writer (or under its writers' lock). */
static inline void
rn_count_set(rn_count *c, uint64_t value)
{
#if !RN_ATOMIC_MSVC
    __atomic_store_n(&c->value, value, __ATOMIC_RELAXED);
#elif defined(_WIN64)
    c->value = (__int64)value;
#else
    /* One writer: the value compared with is still there. */
    (void)_InterlockedCompareExchange64(&c->value, (__int64)value, c->value);
#endif
}

/* rn_count_add - likewise; two plain instructions, no locked one.  Returns the
 * value after.
 */
static inline uint64_t
rn_count_add(rn_count *c, uint64_t n)
{
    uint64_t value = rn_count_read(c) + n;

    rn_count_set(c, value);
    return value;
}

#endif
