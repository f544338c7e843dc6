/* rn_py_gather.c - waiting without taking, for who lets changes gather in the
 * queue and then takes them as one: the native half of Monitor.batches().
 *
 * Nothing is taken before it is due, so whatever ends a wait loses nothing.
 */
#include "rn_py_monitor.h"

#include <errno.h>
#include <math.h>

/* 0, or -1 with an exception. */
static int
parse_limit(PyObject *object, uint64_t *limit)
{
    *limit = PyLong_AsUnsignedLongLong(object);
    return *limit == UINT64_MAX && PyErr_Occurred() ? -1 : 0;
}

/* In the object's turn: append a limit.  0, or -1 with an exception. */
static int
enter(struct rn_gatherers *gatherers, uint64_t limit)
{
    if (gatherers->count == gatherers->room) {
        size_t room = gatherers->room * 2 + 1;
        uint64_t *limits =
            PyMem_Realloc(gatherers->limits, room * sizeof(*limits));
        if (limits == NULL) {
            (void)PyErr_NoMemory();
            return -1;
        }
        gatherers->limits = limits;
        gatherers->room = room;
    }
    gatherers->limits[gatherers->count++] = limit;
    return 0;
}

PyObject *
rn_monitor_gather_enter(PyObject *self, PyObject *max_object)
{
    struct rn_monitor *monitor = rn_monitor_of(self);
    uint64_t max;
    int result;
    if (parse_limit(max_object, &max) < 0) {
        return NULL;
    }
    RN_BEGIN_TURN(self)
    result = enter(&monitor->gatherers, max);
    RN_END_TURN()
    return result < 0 ? NULL : Py_NewRef(Py_None);
}

/* In the object's turn.  Equal limits are one another's equals. */
static void
leave(struct rn_gatherers *gatherers, uint64_t limit)
{
    for (size_t i = 0; i < gatherers->count; i++) {
        if (gatherers->limits[i] == limit) {
            gatherers->limits[i] = gatherers->limits[--gatherers->count];
            return;
        }
    }
}

PyObject *
rn_monitor_gather_leave(PyObject *self, PyObject *max_object)
{
    struct rn_monitor *monitor = rn_monitor_of(self);
    uint64_t max;
    if (parse_limit(max_object, &max) < 0) {
        return NULL;
    }
    RN_BEGIN_TURN(self)
    leave(&monitor->gatherers, max);
    RN_END_TURN()
    return Py_NewRef(Py_None);
}

static uint64_t
least(const struct rn_gatherers *gatherers, uint64_t limit)
{
    for (size_t i = 0; i < gatherers->count; i++) {
        if (gatherers->limits[i] < limit) {
            limit = gatherers->limits[i];
        }
    }
    return limit;
}

/* In the object's turn: what rn_channel_gather says, -1 with an exception. */
static int
gather(struct rn_monitor *monitor, uint64_t max)
{
    if (rn_monitor_usable(monitor, "batches") < 0) {
        return -1;
    }
    int due =
        rn_channel_gather(monitor->channel, least(&monitor->gatherers, max));
    if (due < 0) {
        struct rn_fail fail = {RN_ERROR_NOT_ENOUGH_MEMORY, errno,
                               rn_channel_failed()};
        (void)rn_raise(monitor->state, &fail);
    }
    return due;
}

PyObject *
rn_monitor_gather(PyObject *self, PyObject *max_object)
{
    struct rn_monitor *monitor = rn_monitor_of(self);
    uint64_t sequence = 0;
    int64_t time_ns = 0;
    int due;
    uint64_t max;
    if (parse_limit(max_object, &max) < 0) {
        return NULL;
    }
    RN_BEGIN_TURN(self)
    due = gather(monitor, max);
    if (due == 0) {
        due = !rn_channel_newest(monitor->channel, &sequence, &time_ns);
    }
    RN_END_TURN()
    if (due != 0) {
        return due < 0 ? NULL : Py_NewRef(Py_None);
    }
    return Py_BuildValue("(KL)", (unsigned long long)sequence,
                         (long long)time_ns);
}

/* In the object's turn: the second object, or -1 with an exception. */
static intptr_t
gathering(struct rn_monitor *monitor)
{
    if (rn_monitor_usable(monitor, "batches") < 0) {
        return -1;
    }
    intptr_t object = rn_channel_gather_object(monitor->channel);
    if (object == -1) {
        (void)rn_raise_code(monitor->state, RN_ERROR_INVALID_HANDLE, "batches",
                            "nothing gathers before _gather()");
    }
    return object;
}

/* In the object's turn: -1 exception, 1 there is nothing to wait for. */
static int
arm(struct rn_monitor *monitor, int gathered)
{
    if (gathered) { /* armed by gather() */
        return gathering(monitor) == -1 ? -1 : 0;
    }
    if (rn_monitor_usable(monitor, "batches") < 0) {
        return -1;
    }
    return rn_channel_settle(monitor->channel) != 0;
}

/* Of one wait; callers come again for the rest.  What is no time is none. */
static int
slice_ms(double seconds)
{
    if (seconds >= RN_WAIT_SLICE_MS / 1e3) {
        return RN_WAIT_SLICE_MS;
    }
    return seconds > 0 ? (int)ceil(seconds * 1e3) : 0;
}

PyObject *
rn_monitor_wait(PyObject *self, PyObject *args)
{
    struct rn_monitor *monitor = rn_monitor_of(self);
    int gathered;
    double seconds;
    int ready;
    if (!PyArg_ParseTuple(args, "pd:_wait", &gathered, &seconds)) {
        return NULL;
    }
    RN_BEGIN_TURN(self)
    ready = arm(monitor, gathered);
    RN_END_TURN()
    if (ready == 0) {
        ready = rn_monitor_sleep(
            monitor, gathered ? rn_channel_gather_wait : rn_channel_wait,
            slice_ms(seconds));
    }
    return ready < 0 ? NULL : Py_NewRef(Py_None);
}

PyObject *
rn_monitor_gather_object(PyObject *self, PyObject *unused)
{
    (void)unused;
    intptr_t object;
    RN_BEGIN_TURN(self)
    object = gathering(rn_monitor_of(self));
    RN_END_TURN()
    return object == -1 ? NULL : PyLong_FromSsize_t((Py_ssize_t)object);
}
