/* rn_py_block.c - memory for the records of batches, some of it kept.
 *
 * A consumer takes one batch after the other, and fresh memory costs several
 * times what the copy into it does: the system clears it page by page.  So the
 * interpreter keeps, of each size, the last block that was freed.  One of a
 * size is enough: the old batch goes when the new one is there.
 */
#include "rn_py.h"

/* Sizes are powers of two.  Below the smallest malloc has reserves of its own;
 * above the largest, keeping would be hoarding.
 */
#define SMALLEST ((size_t)1 << 16)

/* The block's place among those that are kept; RN_SPARES: it has none. */
static int
place_of(size_t size)
{
    int place = 0;
    if (size < SMALLEST) {
        return RN_SPARES;
    }
    while (place < RN_SPARES && SMALLEST << place < size) {
        place++;
    }
    return place;
}

/* Leave memory there and get what was there.  Where there is no GIL two threads
 * may come at once: then the second has to do without.
 */
static void *
exchange(struct rn_spares *spares, int place, void *memory)
{
    /* Pairs with the release below: the block as the other thread left it. */
    if (rn_exchange(&spares->busy, 1) != 0) {
        return memory;
    }
    void *kept = spares->memory[place];
    spares->memory[place] = memory;
    rn_store_release(&spares->busy, 0);
    return kept;
}

void *
rn_block_new(struct rn_state *state, size_t size)
{
    int place = place_of(size);
    if (place == RN_SPARES) {
        return PyMem_Malloc(size);
    }
    void *memory = exchange(&state->spares, place, NULL);
    return memory != NULL ? memory : PyMem_Malloc(SMALLEST << place);
}

void
rn_block_free(struct rn_state *state, void *memory, size_t size)
{
    int place = place_of(size);
    if (memory != NULL && place != RN_SPARES) {
        memory = exchange(&state->spares, place, memory);
    }
    PyMem_Free(memory);
}

void
rn_block_clear(struct rn_state *state)
{
    for (int place = 0; state != NULL && place < RN_SPARES; place++) {
        PyMem_Free(exchange(&state->spares, place, NULL));
    }
}
