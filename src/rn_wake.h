/* rn_wake.h - "something is queued", as a thing a thread or a loop can wait for.
 *
 * The word is rn_wake.c's; the object an eventfd on Linux (rn_wake_linux.c), a
 * manual-reset event on Windows (rn_wake_windows.c), a pipe elsewhere
 * (rn_wake_pipe.c; with rn_wake_posix.c for both descriptors).  Knows no queue:
 * the consumer passes its own test.
 *
 * One word, three states:
 *   OFF    nobody cares; the producer does nothing (no system call)
 *   ARMED  the object is clear and a consumer wants to be told
 *   SET    the object is set, or is being set by whoever moved ARMED to SET
 *
 * Why no wake-up is lost: the producer publishes, then looks at the word; the
 * consumer arms the word, then looks at its queue.  Both touch the word by a
 * read-modify-write, and those of one word have one order: either the
 * producer's comes second and sees ARMED, or the consumer's comes second and,
 * paired with it, sees what was published.  With a plain store or load on
 * either side a wake-up is lost (measured: 2 to 39 in a million).
 */
#ifndef RN_WAKE_H
#define RN_WAKE_H

#include <stdint.h>

#include "rn_atomic.h"

enum { RN_WAKE_OFF = 0, RN_WAKE_ARMED = 1, RN_WAKE_SET = 2 };

struct rn_wake {
    rn_atomic_u32 state;
    intptr_t object; /* to wait for: eventfd, HANDLE, reading end */
    intptr_t setter; /* POSIX: to write to, eventfd or a pipe's end */
};

/* What rn_wake_init and rn_wake_wait ask the system for, as errors name it. */
extern const char rn_wake_call[];
extern const char rn_wake_wait_call[];

/* 0, or -1 with errno (Linux) / GetLastError (Windows) as it is. */
int
rn_wake_init(struct rn_wake *wake);

void
rn_wake_destroy(struct rn_wake *wake);

/* rn_wake_signal - after publishing; any thread.  Sets the object if ARMED,
 * else costs one locked instruction and no system call.
 */
void
rn_wake_signal(struct rn_wake *wake);

/* rn_wake_settle - consumer's turn: make the object readable exactly if
 * nonempty(self) says so; turns the wake on (OFF is left for good).  No system
 * call while it stays readable.
 * Return: nonzero if something is queued.
 */
int
rn_wake_settle(struct rn_wake *wake, int (*nonempty)(void *), void *self);

/* rn_wake_wait - block until set or timeout_ms passes (-1: for ever).  Any
 * number of threads; all are woken, and whoever finds nothing settles and
 * waits again.
 * Return: 1 set, 0 time out, -1 interrupted by a signal (Linux: EINTR),
 * RN_WAKE_FAILED: it cannot be waited for, errno (on Windows too) says why:
 * EBADF, somebody else closed it.
 */
#define RN_WAKE_FAILED (-2)
int
rn_wake_wait(struct rn_wake *wake, int timeout_ms);

/* The object, for rn_wake.c.  Only whoever moved ARMED to SET sets it. */
void
rn_wake_set(struct rn_wake *wake);

/* rn_wake_clear - consumer.  The word is SET, so nobody begins to set the
 * object; but the producer that moved ARMED to SET may still be on its way
 * (in_flight): then give it a moment.  Late or not, nothing is lost: an object
 * set without need wakes once in vain and is cleared by the next settle.
 */
void
rn_wake_clear(struct rn_wake *wake, int in_flight);

#endif
