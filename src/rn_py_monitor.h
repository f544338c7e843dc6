/* rn_py_monitor.h - what a Monitor holds, for the files of the type.
 *
 * rn_py_open.c opens it, rn_py_take.c takes changes out of it, rn_py_gather.c
 * lets them gather, rn_py_ask.c asks for the table, rn_py_stats.c counts,
 * rn_py_feed.c puts recorded changes into one that has no provider,
 * rn_py_monitor.c closes it and is the type.
 */
#ifndef RN_PY_MONITOR_H
#define RN_PY_MONITOR_H

#include "rn_py.h"

enum rn_phase {
    RN_PHASE_NEW,     /* __init__ has not run, or failed */
    RN_PHASE_OPENING, /* __init__ is in the provider's hands */
    RN_PHASE_OPEN,
    RN_PHASE_CLOSED, /* by close(); what is queued can still be taken */
    RN_PHASE_FORKED, /* closed in a forked child: not to be touched */
};

/* The max of each consumer that lets changes gather, in no order.  There is one
 * object to wait for, so it is set for the least of them: who is woken takes what
 * is due, whosever max it was.
 */
struct rn_gatherers {
    uint64_t *limits; /* of PyMem_Realloc */
    size_t count;
    size_t room;
};

/* Every member is read and written in the object's turn (RN_BEGIN_TURN), but
 * - state, channel, space, gate and room, which do not change once the monitor
 *   is open (in a forked child room goes before it has a second thread);
 * - failure, which stands once rn_channel_ended says that it ended;
 * - quiet, an atomic;
 * and in finalizer and destructor, which have no turn to share.  The channel
 * lives as long as the object, so whoever is inside one of its methods may use
 * it detached.
 */
struct rn_monitor {
    struct rn_state *state; /* borrowed: the type holds its module */
    struct rn_channel *channel;
    struct rn_notify *notify; /* NULL once somebody closes it */
    struct rn_space *space;
    PyObject *context;
    PyObject *filter;
    /* Held by whoever has the provider work on notify: while a question is put
     * to it (on Windows that may take long), and by the close.  Taken in the
     * object's turn without waiting; waited for detached only.
     */
    PyThread_type_lock gate;
    enum rn_phase phase;
    int watched; /* fileno() was called: the wake object must be exact */
    rn_atomic_u32 quiet; /* 1: close() wakes no waiter, the interpreter ends;
                          * a hint, and so relaxed: a close under way may wake */
    struct rn_provider_stats last; /* when it was closed */
    struct rn_gatherers gatherers;
    /* A replay's only, which has no notify and is its own provider: called
     * with None once there is room again, if wanting; NULL: a live one.
     */
    PyObject *room;
    PyObject *failure; /* what its end raises, or NULL */
    int wanting;       /* the last feed was too much for the ring */
};

struct rn_monitor_object {
    PyObject_HEAD struct rn_monitor data;
};

static inline struct rn_monitor *
rn_monitor_of(PyObject *self)
{
    return &((struct rn_monitor_object *)self)->data;
}

/* rn_monitor_usable - in the object's turn: may changes be taken?  0, or -1
 * with MonitorClosed: never opened, or a fork's copy.
 */
int
rn_monitor_usable(struct rn_monitor *monitor, const char *call);

/* rn_monitor_forked - in the object's turn: a forked child's copy? */
int
rn_monitor_forked(struct rn_monitor *monitor);

/* Why nothing more is queued; code RN_NO_ERROR: it was closed. */
struct rn_end {
    uint32_t code;
    const char *call; /* NULL: none in particular */
};
/* rn_monitor_raise_end - MonitorClosed, or a recording's failure. */
PyObject *
rn_monitor_raise_end(PyObject *self, const struct rn_end *end,
                     const char *call);
/* rn_monitor_ended - in the object's turn: nothing more will be queued, and who
 * waits is or will be woken.  Not so while a close waits for the system.
 */
int
rn_monitor_ended(struct rn_monitor *monitor);

/* rn_monitor_made_room - in the object's turn, wanting: tell the feeder if half
 * of the ring is free.
 */
void
rn_monitor_made_room(struct rn_monitor *monitor);

/* rn_monitor_tell_feeder - there is room, or it is closed; nothing if it has no
 * feeder.  Return: 0, or -1 with an exception.
 */
int
rn_monitor_tell_feeder(struct rn_monitor *monitor);

/* rn_monitor_taken - in the object's turn, after changes were released. */
static inline void
rn_monitor_taken(struct rn_monitor *monitor)
{
    if (monitor->watched) {
        (void)rn_channel_settle(monitor->channel);
    }
    if (monitor->wanting) {
        rn_monitor_made_room(monitor);
    }
}

/* rn_monitor_claim - for a call to the provider.  0: *notify stays valid until
 * the gate, which is held, is released; -1: MonitorClosed.
 */
int
rn_monitor_claim(PyObject *self, const char *call, struct rn_notify **notify);

/* How long one wait may last.  A signal ends a wait on Linux; on Windows
 * nothing does, so Ctrl-C is looked for in between.
 */
#ifdef MS_WINDOWS
#define RN_WAIT_SLICE_MS 50
#else
#define RN_WAIT_SLICE_MS 86400000
#endif

/* rn_monitor_sleep - one wait, not in the object's turn, by rn_channel_wait or
 * rn_channel_gather_wait.  Detaches; then handlers of signals run.  The monitor
 * is open and, for the latter, gathers.
 * Return: 0, however it ended; -1 with an exception: a handler's, or it cannot
 * be waited for.
 */
int
rn_monitor_sleep(struct rn_monitor *monitor,
                 int (*wait)(struct rn_channel *channel, int timeout_ms),
                 int timeout_ms);

/* Slots, methods and attributes of the other files. */
int
rn_monitor_init(PyObject *self, PyObject *args, PyObject *kwargs);
PyObject *
rn_monitor_stats(PyObject *self, void *closure);
PyObject *
rn_monitor_next(PyObject *self);
PyObject *
rn_monitor_poll(PyObject *self, PyObject *unused);
PyObject *
rn_monitor_get(PyObject *self, PyObject *const *args, Py_ssize_t count,
               PyObject *names);
PyObject *
rn_monitor_drain(PyObject *self, PyObject *const *args, Py_ssize_t count,
                 PyObject *names);
PyObject *
rn_monitor_batch(PyObject *self, PyObject *args, PyObject *kwargs);
PyObject *
rn_monitor_snapshot(PyObject *self, PyObject *unused);
PyObject *
rn_monitor_resync(PyObject *self, PyObject *unused);
PyObject *
rn_monitor_gather_enter(PyObject *self, PyObject *max_object);
PyObject *
rn_monitor_gather_leave(PyObject *self, PyObject *max_object);
PyObject *
rn_monitor_gather(PyObject *self, PyObject *max_object);
PyObject *
rn_monitor_wait(PyObject *self, PyObject *args);
PyObject *
rn_monitor_gather_object(PyObject *self, PyObject *unused);
PyObject *
rn_monitor_fileno(PyObject *self, PyObject *unused);
PyObject *
rn_monitor_wait_handle(PyObject *self, void *closure);
PyObject *
rn_monitor_feed(PyObject *self, PyObject *records);
PyObject *
rn_monitor_feed_end(PyObject *self, PyObject *failure);
PyObject *
rn_monitor_feed_fork(PyObject *self, PyObject *unused);

#endif
