/* rn_ring.c - the ring of rn_ring.h: two indices, two copies, no lock.
 *
 * Pairings: publish's release of tail with peek's acquire of it hands the
 * slot's bytes over; release's release of head with claim's acquire of it is
 * the licence to overwrite the slot.  Each index has one writer, which reads
 * its own relaxed; each side keeps a plain copy of the other's index, so that
 * the common call reads no line the other side writes.
 */
#include "rn_ring.h"

#include <string.h>

void
rn_ring_init(struct rn_ring *ring, void *storage, uint32_t capacity,
             uint32_t first)
{
    ring->slots = storage;
    ring->mask = capacity - 1;
    ring->head_seen = first;
    ring->tail_seen = first;
    /* No other thread knows the ring yet; whoever tells one publishes it. */
    rn_store_release(&ring->head, first);
    rn_store_release(&ring->tail, first);
}

static void *
slot_at(const struct rn_ring *ring, uint32_t index)
{
    return ring->slots + (size_t)(index & ring->mask) * RN_SLOT;
}

/* head_seen may be old, which only makes the ring look fuller: look again
 * before calling it full.
 */
void *
rn_ring_claim(struct rn_ring *ring)
{
    uint32_t tail = rn_load_relaxed(&ring->tail); /* this thread's own */

    if (tail - ring->head_seen > ring->mask) {
        /* Pairs with rn_ring_release: the consumer's reads of the slot are
         * over before this thread writes it.
         */
        ring->head_seen = rn_load_acquire(&ring->head);
        if (tail - ring->head_seen > ring->mask) {
            return NULL;
        }
    }
    return slot_at(ring, tail);
}

void
rn_ring_publish(struct rn_ring *ring)
{
    uint32_t tail = rn_load_relaxed(&ring->tail); /* this thread's own */

    /* Pairs with rn_ring_peek: the slot's bytes before the index. */
    rn_store_release(&ring->tail, tail + 1);
}

int
rn_ring_push(struct rn_ring *ring, const void *slot)
{
    void *claimed = rn_ring_claim(ring);

    if (claimed == NULL) {
        return -1;
    }
    memcpy(claimed, slot, RN_SLOT);
    rn_ring_publish(ring);
    return 0;
}

uint32_t
rn_ring_peek(struct rn_ring *ring, const void **slots, uint32_t max)
{
    uint32_t head = rn_load_relaxed(&ring->head); /* this thread's own */
    uint32_t run = ring->mask + 1 - (head & ring->mask);
    uint32_t queued = ring->tail_seen - head;

    if (queued < max) {
        /* Pairs with rn_ring_publish. */
        ring->tail_seen = rn_load_acquire(&ring->tail);
        queued = ring->tail_seen - head;
    }
    if (run > queued) {
        run = queued;
    }
    *slots = slot_at(ring, head);
    return run < max ? run : max;
}

void
rn_ring_release(struct rn_ring *ring, uint32_t count)
{
    uint32_t head = rn_load_relaxed(&ring->head); /* this thread's own */

    /* Pairs with rn_ring_claim: reads of the slots before the index. */
    rn_store_release(&ring->head, head + count);
}

uint32_t
rn_ring_take(struct rn_ring *ring, void *out, uint32_t max)
{
    unsigned char *to = out;
    uint32_t taken = 0;

    /* Twice at most: up to the wrap, and from there. */
    while (taken < max) {
        const void *slots;
        uint32_t run = rn_ring_peek(ring, &slots, max - taken);

        if (run == 0) {
            break;
        }
        memcpy(to + (size_t)taken * RN_SLOT, slots, (size_t)run * RN_SLOT);
        rn_ring_release(ring, run);
        taken += run;
    }
    return taken;
}

const void *
rn_ring_last(struct rn_ring *ring)
{
    /* Pairs with rn_ring_publish. */
    ring->tail_seen = rn_load_acquire(&ring->tail);
    if (ring->tail_seen == rn_load_relaxed(&ring->head)) { /* its own */
        return NULL;
    }
    return slot_at(ring, ring->tail_seen - 1);
}

uint32_t
rn_ring_count(struct rn_ring *ring)
{
    /* Head first: tail only grows and is never behind it, so the difference
     * cannot wrap, only be too large on a thread that owns neither.
     */
    uint32_t head = rn_load_acquire(&ring->head);
    uint32_t count = rn_load_acquire(&ring->tail) - head;

    return count <= ring->mask ? count : ring->mask + 1;
}
