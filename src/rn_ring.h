/* rn_ring.h - single-producer single-consumer ring of 128-byte slots.
 *
 * Opaque slots over storage it is handed; no waiting, no allocation, no
 * system call.  Free-running 32-bit indices, compared by unsigned difference
 * only; capacity is a power of two and every slot is usable.
 */
#ifndef RN_RING_H
#define RN_RING_H

#include <assert.h>
#include <stddef.h>

#include "rn_atomic.h"

#define RN_SLOT 128
#define RN_RING_MAX (1u << 24) /* slots; 2 GiB */

struct rn_ring {
    /* Written by the producer only. */
    rn_atomic_u32 tail; /* next slot to fill; released by push */
    uint32_t head_seen; /* producer's copy of head: plain, its own */
    uint8_t pad0[RN_LINE - 8];
    /* Written by the consumer only. */
    rn_atomic_u32 head; /* next slot to take; released by take */
    uint32_t tail_seen; /* consumer's copy of tail: plain, its own */
    uint8_t pad1[RN_LINE - 8];
    /* Constant after rn_ring_init. */
    unsigned char *slots;
    uint32_t mask;
};
static_assert(offsetof(struct rn_ring, head) == RN_LINE, "one line a writer");
static_assert(offsetof(struct rn_ring, slots) == 2 * RN_LINE, "likewise");

/* rn_ring_init - empty ring over storage of capacity * RN_SLOT bytes.
 * capacity: a power of two, 2 .. RN_RING_MAX.  first: where the indices start
 * (0; tests start just below UINT32_MAX).
 */
void
rn_ring_init(struct rn_ring *ring, void *storage, uint32_t capacity,
             uint32_t first);

/* rn_ring_claim - the next slot to fill in place, NULL: full.  Producer thread.
 * Nothing is queued before rn_ring_publish; claiming again gives the same slot.
 */
void *
rn_ring_claim(struct rn_ring *ring);

/* rn_ring_publish - queue the slot last claimed.  Producer thread. */
void
rn_ring_publish(struct rn_ring *ring);

/* rn_ring_push - copy one slot in.  Producer thread.  0, or -1: full. */
int
rn_ring_push(struct rn_ring *ring, const void *slot);

/* rn_ring_take - copy up to max slots out, oldest first.  Consumer thread.
 * Return: how many.
 */
uint32_t
rn_ring_take(struct rn_ring *ring, void *out, uint32_t max);

/* rn_ring_peek - the oldest run of slots in place, without copying.  Consumer
 * thread.  *slots is valid until rn_ring_release.  Return: run length, at most
 * max, 0 when empty (a run ends at the wrap).
 */
uint32_t
rn_ring_peek(struct rn_ring *ring, const void **slots, uint32_t max);

/* rn_ring_release - give count peeked slots back.  Consumer thread. */
void
rn_ring_release(struct rn_ring *ring, uint32_t count);

/* rn_ring_last - the newest slot in place, NULL: empty.  Consumer thread; valid
 * until it is released.
 */
const void *
rn_ring_last(struct rn_ring *ring);

/* rn_ring_count - slots queued; a hint on any thread but the two owners'. */
uint32_t
rn_ring_count(struct rn_ring *ring);

#endif
