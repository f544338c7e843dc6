/* micro.c - the ring by itself, and for who calls it from Python.
 *
 * Built with rn_ring.c into a library that _micro.py loads through ctypes.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "rn_netio.h"
#include "rn_ring.h"

/* Never given back: there is one a process. */
struct rn_ring *
micro_ring(uint32_t capacity);
double
micro_ring_ns(struct rn_ring *ring, uint32_t count);
double
micro_copy_ns(uint32_t capacity, uint32_t rounds);
void
micro_callbacks(void (*callback)(const struct rn_record *), uint32_t count);

struct rn_ring *
micro_ring(uint32_t capacity)
{
    struct rn_ring *ring = aligned_alloc(RN_LINE, sizeof(*ring));
    void *slots = aligned_alloc(RN_LINE, (size_t)capacity * RN_SLOT);

    if (ring == NULL || slots == NULL) {
        die("micro", "aligned_alloc");
    }
    memset(slots, 0, (size_t)capacity * RN_SLOT);
    rn_ring_init(ring, slots, capacity, 0);
    return ring;
}

/* Nanoseconds for a record into the ring and out of it again, one by one. */
double
micro_ring_ns(struct rn_ring *ring, uint32_t count)
{
    struct rn_record record = {.type = RN_ADD};
    struct rn_record out;
    int64_t start = now_ns();

    for (uint32_t i = 0; i < count; i++) {
        record.sequence = i;
        rn_ring_push(ring, &record);
        rn_ring_take(ring, &out, 1);
    }
    return (double)(now_ns() - start) / count;
}

/* Nanoseconds for a record, of copying as many as a ring holds: what taking them
 * all cannot be below.  Both places have been written to before.
 */
double
micro_copy_ns(uint32_t capacity, uint32_t rounds)
{
    const size_t size = (size_t)capacity * sizeof(struct rn_record);
    char *from = malloc(size), *to = malloc(size);

    if (from == NULL || to == NULL) {
        die("micro", "malloc");
    }
    memset(from, 1, size);
    memset(to, 2, size);
    int64_t start = now_ns();
    for (uint32_t i = 0; i < rounds; i++) {
        memcpy(to, from, size);
        __asm__ volatile("" : : "r"(to), "r"(from) : "memory");
    }
    double each = (double)(now_ns() - start) / rounds / capacity;
    free(from);
    free(to);
    return each;
}

/* As a system calls back with a record that is its own. */
void
micro_callbacks(void (*callback)(const struct rn_record *), uint32_t count)
{
    struct rn_record record = {.type = RN_ADD};

    for (uint32_t i = 0; i < count; i++) {
        record.sequence = i;
        callback(&record);
    }
}
