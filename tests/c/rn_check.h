/* rn_check.h - what the C tests share: checks, sanitizer scale, seeded random.
 *
 * A test is one program: it exits 0, or prints what failed and exits 1.
 * First lines of a test file tell test_c.py how to build it:
 *   sources:    files of src/ it links ("sources: rn_ring.c rn_spill.c")
 *   sanitizers: of "address" (with undefined) and "thread"; default both
 *   needs:      "ringbuf": skipped where the kernel gives no BPF ring buffer
 *   weaken:     words; per word one more ThreadSanitizer build in which each
 *               release store to a word of that name is relaxed, which
 *               ThreadSanitizer must report (see rn_weaken.h)
 * each in a comment of its own.
 */
#ifndef RN_CHECK_H
#define RN_CHECK_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#if defined(__SANITIZE_THREAD__)
#define RN_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RN_TSAN 1
#endif
#endif
#ifndef RN_TSAN
#define RN_TSAN 0
#endif

#if defined(__SANITIZE_ADDRESS__)
#define RN_ASAN 1
#else
#define RN_ASAN 0
#endif

#if defined(RN_VALGRIND) || defined(RN_COUNTED)
#define RN_SLOW 1
#else
#define RN_SLOW (RN_TSAN || RN_ASAN)
#endif

/* How often: as it is, or fewer where a build makes each step dear. */
#define RN_ROUNDS(plain, sanitized) (RN_SLOW ? (sanitized) : (plain))

#define CHECK(condition)                                               \
    do {                                                               \
        if (!(condition)) {                                            \
            fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, \
                    #condition);                                       \
            exit(1);                                                   \
        }                                                              \
    } while (0)

#define CHECK_EQ(expected, actual)                                         \
    do {                                                                   \
        uint64_t check_e = (uint64_t)(expected);                           \
        uint64_t check_a = (uint64_t)(actual);                             \
        if (check_e != check_a) {                                          \
            fprintf(stderr,                                                \
                    "%s:%d: failed: %s is %" PRIu64 ", not %" PRIu64 "\n", \
                    __FILE__, __LINE__, #actual, check_a, check_e);        \
            exit(1);                                                       \
        }                                                                  \
    } while (0)

/* rn_check_random - the next of a sequence (xorshift64*); state is not 0. */
static inline uint64_t
rn_check_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

/* rn_check_below - 0 .. bound - 1. */
static inline uint32_t
rn_check_below(uint64_t *state, uint32_t bound)
{
    return (uint32_t)((rn_check_random(state) >> 33) % bound);
}

/* rn_check_seed - ROUTENOTIFY_TEST_SEED, or fresh; printed either way.
 * fresh: any number that differs from run to run (the time, say).
 */
static inline uint64_t
rn_check_seed(uint64_t fresh)
{
    const char *given = getenv("ROUTENOTIFY_TEST_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : fresh;

    printf("ROUTENOTIFY_TEST_SEED=%" PRIu64 "\n", seed);
    fflush(stdout);
    return seed * 2 + 1; /* never 0, which xorshift would keep for ever */
}

#endif
