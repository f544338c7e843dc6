/* rn_py_feed.c - a Monitor that no system feeds but Python does: a replay.
 *
 * Whoever calls these is the channel's producer, in the object's turn.  It
 * never puts in more than fits, so nothing merges; what did not fit it offers
 * again when it is told that there is room.
 */
#include "rn_py_monitor.h"
#include "rn_py_row.h"

#include <string.h>

int
rn_monitor_tell_feeder(struct rn_monitor *monitor)
{
    if (monitor->room == NULL) {
        return 0;
    }
    PyObject *result =
        PyObject_CallFunctionObjArgs(monitor->room, Py_None, NULL);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

void
rn_monitor_made_room(struct rn_monitor *monitor)
{
    struct rn_channel_stats stats;
    rn_channel_get_stats(monitor->channel, &stats);
    /* An exception on its way must not meet another: the next take tells. */
    if (rn_channel_room(monitor->channel) < stats.capacity / 2 ||
        PyErr_Occurred()) {
        return;
    }
    monitor->wanting = 0;
    if (rn_monitor_tell_feeder(monitor) < 0) {
        PyErr_WriteUnraisable(monitor->room);
    }
}

/* In the object's turn: may Python feed it?  0, or -1 with MonitorClosed. */
static int
feedable(struct rn_monitor *monitor)
{
    if (rn_monitor_usable(monitor, "_feed") < 0) {
        return -1;
    }
    if (monitor->room == NULL || monitor->phase != RN_PHASE_OPEN) {
        (void)rn_raise_closed(monitor->state, RN_ERROR_INVALID_HANDLE, "_feed",
                              "nobody is to feed this monitor");
        return -1;
    }
    return 0;
}

/* Are these records?  Then no getter of theirs can fail later. */
static int
check_records(const char *records, size_t count)
{
    struct rn_record record;
    for (size_t i = 0; i < count; i++) {
        memcpy(&record, records + i * sizeof(record), sizeof(record));
        if (rn_row_check(&record) < 0) {
            return -1;
        }
    }
    return 0;
}

/* In the object's turn.  Return: how many were taken. */
static size_t
feed_records(struct rn_monitor *monitor, const char *records, size_t count)
{
    struct rn_record record;
    size_t done = 0;
    while (done < count && rn_channel_room(monitor->channel) != 0) {
        memcpy(&record, records + done * sizeof(record), sizeof(record));
        rn_channel_emit(monitor->channel, &record);
        done++;
    }
    rn_channel_flush(monitor->channel);
    monitor->wanting = done < count;
    return done;
}

PyObject *
rn_monitor_feed(PyObject *self, PyObject *records)
{
    struct rn_monitor *monitor = rn_monitor_of(self);
    Py_buffer view;
    if (PyObject_GetBuffer(records, &view, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    size_t count = (size_t)view.len / sizeof(struct rn_record);
    size_t done = 0;
    int failed = check_records(view.buf, count);
    if (!failed) {
        RN_BEGIN_TURN(self)
        failed = feedable(monitor);
        if (!failed) {
            done = feed_records(monitor, view.buf, count);
        }
        RN_END_TURN()
    }
    PyBuffer_Release(&view);
    return failed ? NULL : PyLong_FromSize_t(done);
}

PyObject *
rn_monitor_feed_end(PyObject *self, PyObject *failure)
{
    struct rn_monitor *monitor = rn_monitor_of(self);
    int failed;
    RN_BEGIN_TURN(self)
    failed = feedable(monitor);
    if (!failed && failure == Py_None) {
        rn_channel_end(monitor->channel, RN_NO_ERROR, NULL);
    } else if (!failed && monitor->failure == NULL) {
        monitor->failure = Py_NewRef(failure);
        rn_channel_end(monitor->channel, RN_ERROR_INVALID_DATA, "replay");
    }
    RN_END_TURN()
    return failed ? NULL : Py_NewRef(Py_None);
}

/* The parent's wake object is this process's too: not to be touched.  And the
 * feeder, of whose queue room is a method, has no thread here to be told.
 */
PyObject *
rn_monitor_feed_fork(PyObject *self, PyObject *unused)
{
    (void)unused;
    struct rn_monitor *monitor = rn_monitor_of(self);
    if (monitor->room != NULL && monitor->phase != RN_PHASE_NEW) {
        monitor->phase = RN_PHASE_FORKED;
        Py_CLEAR(monitor->room);
    }
    return Py_NewRef(Py_None);
}
