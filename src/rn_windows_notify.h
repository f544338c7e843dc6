/* rn_windows_notify.h - a registration, shared by the files that produce on it.
 *
 * Three kinds of threads meet here.  The system's call notification(), one at a
 * time by the book, two at once in the field.  The thread in rn_notify_open is
 * called back on its own stack by InitialNotification while the system's may
 * already run.  Threads in a comparison emit, too.  All of them are producers,
 * and the producer lock makes them one: a word taken by exchange, held for the
 * copy of a few rows, never while anything waits.
 *
 * No canceller holds that lock, so CancelMibChangeNotify2, which waits for the
 * callback in flight, cannot deadlock.
 */
#ifndef RN_WINDOWS_NOTIFY_H
#define RN_WINDOWS_NOTIFY_H

#include "rn_atomic.h"
#include "rn_windows_api.h"
#include "rn_windows_ledger.h"

struct rn_notify {
    /* Constant once the system knows the registration. */
    struct rn_sink sink;
    const struct rn_windows_api *api;
    ADDRESS_FAMILY family;
    PTP_TIMER retell; /* tells the table again; NULL: the sink loses nothing */
    /* Of the thread in open, then of the one in close; of no callback: the
     * first may run before it is set.
     */
    HANDLE handle;
    SRWLOCK comparing;      /* one comparison at a time; no callback's */
    rn_atomic_u32 busy;     /* a comparison is producing: see lock_producer */
    rn_atomic_u32 producer; /* the producer lock: 1 taken */
    /* Under the producer lock. */
    int open;         /* 0: nothing is emitted any more */
    int owes_initial; /* RN_INITIAL is still to come, before anything else */
    int tracking;     /* the ledger is kept */
    int retelling;    /* the timer is set */
    unsigned retellings; /* in a row, all before the last in vain */
    struct rn_ledger ledger;
    rn_count malformed;
    rn_count synthesised;
    /* Under comparing. */
    int known; /* the ledger has had a whole table */
    rn_count resyncs;
    rn_atomic_u32 overlaps;
};

/* The exchange pairs with the release in rn_unlock_producer: what the previous
 * producer wrote, ring indices included, is visible after.
 */
void
rn_lock_producer(struct rn_notify *n);
void
rn_unlock_producer(struct rn_notify *n);

/* rn_stamp_ns - the wall clock, ns since 1970. */
int64_t
rn_stamp_ns(void);

/* The producer lock is held for these. */

/* rn_emit_mark - a record without a row: RN_INITIAL or a marker. */
void
rn_emit_mark(struct rn_notify *n, uint8_t type, uint8_t cause);

/* rn_emit_initial - RN_INITIAL if it is owed: once, and first, whichever thread
 * the system lets in first.
 */
void
rn_emit_initial(struct rn_notify *n);

/* rn_tell_later - set the timer, if it is not: in 1 ms, next time 2, 4 ... 1 s,
 * until a retelling was not in vain.
 */
void
rn_tell_later(struct rn_notify *n);

/* rn_flush - wake the consumer; have the table told again if the sink had to
 * drop what was pending.
 */
void
rn_flush(struct rn_notify *n);

/* rn_compare - hold the system's table against what was told, tell the rest.
 * Context: a thread of a caller's, not a callback; comparing is held.
 * cause: SNAPSHOT, RESYNC, or MEMORY: everything told is void.
 * silent: tell nothing, only learn the table.
 */
int
rn_compare(struct rn_notify *n, uint8_t cause, int silent,
           struct rn_fail *fail);

/* rn_retell - body of the timer: rn_compare with cause MEMORY. */
void CALLBACK
rn_retell(PTP_CALLBACK_INSTANCE instance, void *notify, PTP_TIMER timer);

#endif
