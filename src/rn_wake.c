/* rn_wake.c - the word of rn_wake.h, on whatever object the system has. */
#include "rn_wake.h"

void
rn_wake_signal(struct rn_wake *wake)
{
    /* Adding 0 reads as a read-modify-write, which a load would not be: a
     * load may be done before the queue's own store is seen.  It leaves OFF
     * and SET alone, so that only one side at a time sets the object.
     */
    if (rn_fetch_add(&wake->state, 0) == RN_WAKE_ARMED &&
        rn_exchange(&wake->state, RN_WAKE_SET) == RN_WAKE_ARMED) {
        rn_wake_set(wake);
    }
}

int
rn_wake_settle(struct rn_wake *wake, int (*nonempty)(void *), void *self)
{
    if (!nonempty(self)) {
        /* SET keeps the producer off the object while it is cleared. */
        uint32_t was = rn_exchange(&wake->state, RN_WAKE_SET);

        rn_wake_clear(wake, was == RN_WAKE_SET);
        (void)rn_exchange(&wake->state, RN_WAKE_ARMED);
        if (!nonempty(self)) {
            return 0;
        }
    }
    /* Only this side leaves SET, so seeing it needs no order. */
    if (rn_load_relaxed(&wake->state) != RN_WAKE_SET &&
        rn_exchange(&wake->state, RN_WAKE_SET) != RN_WAKE_SET) {
        rn_wake_set(wake);
    }
    return 1;
}
