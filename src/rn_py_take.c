/* rn_py_take.c - the consumer's side of a Monitor: poll, get, drain, batch,
 * iterate.
 *
 * A change is made into an object straight from the ring's slot, and the slot
 * is given back only when the object exists: when memory runs out nothing is
 * lost.  Between peek and release nothing may run that could take from the
 * same monitor: no Python code, no garbage collection.
 */
#include "rn_py_monitor.h"

#include <math.h>

#define RN_TIMEOUT_MAX 1e9 /* seconds; 31 years */
#define RN_DRAIN_STEP (1u << 24)

/* Records that waited for long are in no cache any more: so many before its turn
 * each is asked for.
 */
#define AHEAD 8u

/* In the object's turn.  NULL without an exception: nothing is queued; then
 * the wake object, which may have been set late, is made exact as well.
 */
static inline PyObject *
take_one(struct rn_monitor *monitor)
{
    const struct rn_record *record;
    if (rn_channel_peek(monitor->channel, &record, 1) == 0) {
        if (monitor->watched) {
            (void)rn_channel_settle(monitor->channel);
        }
        return NULL;
    }
    PyTypeObject *type =
        (PyTypeObject *)monitor->state->held[RN_HELD_CHANGE_TYPE];
    PyObject *change = rn_change_new(type, record, monitor->space);
    if (change != NULL) {
        rn_channel_release(monitor->channel, 1);
        rn_monitor_taken(monitor);
    }
    return change;
}

PyObject *
rn_monitor_poll(PyObject *self, PyObject *unused)
{
    (void)unused;
    struct rn_monitor *monitor = rn_monitor_of(self);
    PyObject *change = NULL;
    RN_BEGIN_TURN(self)
    if (rn_monitor_usable(monitor, "poll") == 0) {
        change = take_one(monitor);
    }
    RN_END_TURN()
    if (change == NULL && !PyErr_Occurred()) {
        return Py_NewRef(Py_None);
    }
    return change;
}

/* ---- waiting ---- */

enum verdict { RN_GOT, RN_FAILED, RN_EMPTY, RN_ENDED };

/* One wait: what for, how long, and what became of it. */
struct wait {
    const char *call;
    /* In the object's turn.  NULL without an exception: nothing is queued. */
    PyObject *(*take)(struct rn_monitor *monitor, const struct wait *wait);
    uint64_t max;   /* for take */
    double timeout; /* seconds; negative: for ever */
    PyObject *got;
    struct rn_end reason;
};

static PyObject *
take_a_change(struct rn_monitor *monitor, const struct wait *wait)
{
    (void)wait;
    return take_one(monitor);
}

static PyObject *
take_a_batch(struct rn_monitor *monitor, const struct wait *wait)
{
    PyObject *batch = rn_batch_take(monitor->state, monitor->channel,
                                    wait->max, monitor->space);
    if (batch != NULL) {
        rn_monitor_taken(monitor);
    } else if (monitor->watched) {
        (void)rn_channel_settle(monitor->channel);
    }
    return batch;
}

/* In the object's turn: what is wanted, or why there is none.  After
 * RN_EMPTY the wake is armed; or it is set, because what came after the first
 * look cancelled out before the second: then the wait ends at once.
 */
static enum verdict
take_or_arm(struct rn_monitor *monitor, struct wait *wait)
{
    if (rn_monitor_usable(monitor, wait->call) < 0) {
        return RN_FAILED;
    }
    wait->got = wait->take(monitor, wait);
    if (wait->got != NULL) {
        return RN_GOT;
    }
    if (PyErr_Occurred()) {
        return RN_FAILED;
    }
    if (!rn_channel_settle(monitor->channel)) {
        return RN_EMPTY;
    }
    /* The end first, then once more what came before it. */
    int ended = rn_channel_ended(monitor->channel, &wait->reason.code,
                                 &wait->reason.call);
    wait->got = wait->take(monitor, wait);
    if (wait->got != NULL) {
        return RN_GOT;
    }
    if (PyErr_Occurred()) {
        return RN_FAILED;
    }
    return ended ? RN_ENDED : RN_EMPTY;
}

/* time.monotonic_ns(), for the limited API has no clock.  -1: exception. */
static int64_t
monotonic_ns(struct rn_state *state)
{
    PyObject *now =
        PyObject_CallObject(state->held[RN_HELD_MONOTONIC_NS], NULL);
    if (now == NULL) {
        return -1;
    }
    int64_t result = PyLong_AsLongLong(now);
    Py_DECREF(now);
    return result;
}

/* Milliseconds of the next wait, at least 1, at most a slice.  0: time is up;
 * -1: exception.  *deadline_ns is 0 before the first.
 */
static int
next_slice(struct rn_state *state, double timeout, int64_t *deadline_ns)
{
    if (timeout < 0) {
        return RN_WAIT_SLICE_MS;
    }
    if (timeout <= 0) {
        return 0;
    }
    int64_t now = monotonic_ns(state);
    if (now < 0) {
        return -1;
    }
    if (*deadline_ns == 0) {
        *deadline_ns = now + (int64_t)(timeout * 1e9);
    }
    int64_t left_ns = *deadline_ns - now;
    if (left_ns <= 0) {
        return 0;
    }
    int64_t left_ms = (left_ns + 999999) / 1000000;
    return (int)(left_ms < RN_WAIT_SLICE_MS ? left_ms : RN_WAIT_SLICE_MS);
}

/* Signals are looked for however the wait ended: one that another thread took,
 * or that came while this one was awake, ends none; and of several consumers
 * one may be woken again and again for what another takes.
 */
int
rn_monitor_sleep(struct rn_monitor *monitor,
                 int (*wait)(struct rn_channel *channel, int timeout_ms),
                 int timeout_ms)
{
    struct rn_fail fail;
    int woken;
    RN_DETACH()
    woken = wait(monitor->channel, timeout_ms);
    if (woken == RN_CHANNEL_NO_WAIT) {
        rn_channel_wait_failed(&fail);
    }
    RN_ATTACH()
    if (woken == RN_CHANNEL_NO_WAIT) {
        (void)rn_raise(monitor->state, &fail);
        return -1;
    }
    return PyErr_CheckSignals();
}

/* Return: RN_GOT, what is wanted; RN_EMPTY, time is up; RN_ENDED, the reason
 * stands; RN_FAILED, an exception is set.
 */
static enum verdict
wait_for(PyObject *self, struct wait *wait)
{
    struct rn_monitor *monitor = rn_monitor_of(self);
    int64_t deadline_ns = 0;
    for (;;) {
        enum verdict verdict;
        RN_BEGIN_TURN(self)
        verdict = take_or_arm(monitor, wait);
        RN_END_TURN()
        if (verdict != RN_EMPTY) {
            return verdict;
        }
        int slice_ms = next_slice(monitor->state, wait->timeout, &deadline_ns);
        if (slice_ms <= 0) {
            return slice_ms < 0 ? RN_FAILED : RN_EMPTY;
        }
        if (rn_monitor_sleep(monitor, rn_channel_wait, slice_ms) < 0) {
            return RN_FAILED;
        }
    }
}

PyObject *
rn_monitor_next(PyObject *self)
{
    struct wait wait = {.call = "next", .take = take_a_change, .timeout = -1};
    enum verdict verdict = wait_for(self, &wait);
    if (verdict == RN_ENDED && wait.reason.code != RN_NO_ERROR) {
        return rn_monitor_raise_end(self, &wait.reason, "next");
    }
    return verdict == RN_GOT ? wait.got : NULL; /* NULL alone: the end */
}

/* ---- arguments ---- */

/* The only argument, by position or by name.  Return: borrowed, Py_None when
 * it is missing; NULL: TypeError.
 */
static PyObject *
only_argument(PyObject *const *args, Py_ssize_t count, PyObject *names,
              const char *call, const char *name)
{
    Py_ssize_t named = names == NULL ? 0 : PyTuple_Size(names);
    if (count + named > 1) {
        PyErr_Format(PyExc_TypeError, "%s() takes at most one argument, %s",
                     call, name);
        return NULL;
    }
    if (count + named == 0) {
        return Py_None;
    }
    if (named == 1 && PyUnicode_CompareWithASCIIString(
                          PyTuple_GetItem(names, 0), name) != 0) {
        PyErr_Format(PyExc_TypeError,
                     "%s() got an unexpected keyword argument %R", call,
                     PyTuple_GetItem(names, 0));
        return NULL;
    }
    return args[0];
}

/* Seconds, or None (*timeout is -1).  0, or -1 with an exception. */
static int
parse_timeout(struct rn_state *state, PyObject *object, const char *call,
              double *timeout)
{
    *timeout = -1;
    if (object == Py_None) {
        return 0;
    }
    double seconds = PyFloat_AsDouble(object);
    if (seconds == -1.0 && PyErr_Occurred()) {
        if (PyErr_ExceptionMatches(PyExc_TypeError)) {
            PyErr_Format(PyExc_TypeError,
                         "%s(timeout=%R): a number of seconds or None "
                         "expected, got %S",
                         call, object, (PyObject *)Py_TYPE(object));
            return -1;
        }
        if (!PyErr_ExceptionMatches(PyExc_OverflowError)) {
            return -1;
        }
        PyErr_Clear();
        seconds = INFINITY;
    }
    if (seconds >= 0 && seconds <= RN_TIMEOUT_MAX) {
        *timeout = seconds;
        return 0;
    }
    (void)rn_raise_parameter(
        state, call,
        isnan(seconds) ? "timeout=%R is not a number"
        : seconds < 0  ? "timeout=%R is negative"
                       : "timeout=%R is too long (at most 1e9 seconds; "
                         "None waits for ever)",
        object);
    return -1;
}

/* How many to take at most: what has __index__, or None: what is queued now,
 * which a producer that goes on meanwhile cannot make endless.
 */
static int
parse_max(struct rn_state *state, PyObject *object, const char *call,
          uint64_t *max)
{
    *max = UINT64_MAX;
    if (object == Py_None) {
        return 0;
    }
    if (PyBool_Check(object) || !PyIndex_Check(object)) {
        PyErr_Format(PyExc_TypeError,
                     "%s(max=%R): an int or None expected, got %S", call,
                     object, (PyObject *)Py_TYPE(object));
        return -1;
    }
    PyObject *number = PyNumber_Index(object);
    if (number == NULL) {
        return -1;
    }
    int overflow;
    long long value = PyLong_AsLongLongAndOverflow(number, &overflow);
    Py_DECREF(number);
    if (value < 0 && overflow <= 0) {
        if (!PyErr_Occurred()) {
            (void)rn_raise_parameter(state, call, "max=%R is negative",
                                     object);
        }
        return -1;
    }
    *max = overflow > 0 ? UINT64_MAX : (uint64_t)value;
    return 0;
}

/* ---- get ---- */

PyObject *
rn_monitor_get(PyObject *self, PyObject *const *args, Py_ssize_t count,
               PyObject *names)
{
    struct rn_state *state = rn_monitor_of(self)->state;
    struct wait wait = {.call = "get", .take = take_a_change};
    PyObject *argument = only_argument(args, count, names, "get", "timeout");
    if (argument == NULL ||
        parse_timeout(state, argument, "get", &wait.timeout) < 0) {
        return NULL;
    }
    switch (wait_for(self, &wait)) {
    case RN_GOT:
        return wait.got;
    case RN_EMPTY:
        return rn_raise_code(state, RN_ERROR_TIMEOUT, "get",
                             "no change came in time");
    case RN_ENDED:
        return rn_monitor_raise_end(self, &wait.reason, "get");
    default:
        return NULL;
    }
}

/* ---- drain ---- */

/* A list of changes for records, or NULL with an exception: of as many as there
 * is memory for, but at least of one.
 */
static PyObject *
list_run(struct rn_monitor *monitor, uint32_t count)
{
    const struct rn_record *records;
    PyObject *list = PyList_New((Py_ssize_t)count);
    if (list == NULL) {
        return NULL;
    }
    /* Making a list may collect garbage, and so run anything: look again. */
    uint32_t again = rn_channel_peek(monitor->channel, &records, count);
    PyTypeObject *type =
        (PyTypeObject *)monitor->state->held[RN_HELD_CHANGE_TYPE];
    uint32_t made = 0;
    for (; made < again; made++) {
        if (made + AHEAD < again) {
            rn_record_fetch(&records[made + AHEAD]);
        }
        PyObject *change = rn_change_new(type, &records[made], monitor->space);
        if (change == NULL) {
            break;
        }
        (void)PyList_SetItem(list, (Py_ssize_t)made, change);
    }
    if ((made == 0 && PyErr_Occurred()) ||
        (made < count && PyList_SetSlice(list, (Py_ssize_t)made,
                                         (Py_ssize_t)count, NULL) < 0)) {
        Py_CLEAR(list);
    }
    return list;
}

/* In the object's turn: add one run of the ring to *list, NULL before the first.
 * Gives the number; 0: nothing is queued, or an exception is set.  What is not
 * in *list then is still queued, whatever there was no memory for.
 */
static uint32_t
drain_run(struct rn_monitor *monitor, uint32_t max, PyObject **list)
{
    const struct rn_record *records;
    uint32_t count = rn_channel_peek(monitor->channel, &records, max);
    PyObject *run = count == 0 ? NULL : list_run(monitor, count);
    if (run == NULL) {
        return 0;
    }
    count = (uint32_t)PyList_Size(run);
    if (*list == NULL) {
        *list = run;
    } else {
        Py_ssize_t size = PyList_Size(*list);
        int failed = PyList_SetSlice(*list, size, size, run);
        Py_DECREF(run);
        if (failed) {
            return 0;
        }
    }
    rn_channel_release(monitor->channel, count);
    return count;
}

/* In the object's turn.  Runs end at the ring's wrap and where the spill map
 * refills it.
 */
static PyObject *
drain_all(struct rn_monitor *monitor, uint64_t max)
{
    struct rn_channel_stats stats;
    rn_channel_get_stats(monitor->channel, &stats);
    uint64_t bound = stats.queued + stats.capacity;
    uint64_t left = max < bound ? max : bound;
    PyObject *list = NULL;
    while (left > 0 && !PyErr_Occurred()) {
        uint32_t step = left < RN_DRAIN_STEP ? (uint32_t)left : RN_DRAIN_STEP;
        uint32_t count = drain_run(monitor, step, &list);
        if (count == 0) {
            break;
        }
        left -= count;
    }
    rn_monitor_taken(monitor);
    return list;
}

PyObject *
rn_monitor_drain(PyObject *self, PyObject *const *args, Py_ssize_t count,
                 PyObject *names)
{
    struct rn_monitor *monitor = rn_monitor_of(self);
    PyObject *argument = only_argument(args, count, names, "drain", "max");
    uint64_t max;
    if (argument == NULL ||
        parse_max(monitor->state, argument, "drain", &max) < 0) {
        return NULL;
    }
    PyObject *list = NULL;
    RN_BEGIN_TURN(self)
    if (rn_monitor_usable(monitor, "drain") == 0) {
        list = drain_all(monitor, max);
    }
    RN_END_TURN()
    if (list != NULL) {
        /* What was taken is not lost for what could not be. */
        PyErr_Clear();
        return list;
    }
    return PyErr_Occurred() ? NULL : PyList_New(0);
}

/* ---- batch ---- */

#define RN_BATCH_MAX 65536 /* rows, unless max says otherwise */

/* 0, or -1 with an exception. */
static int
parse_batch(struct rn_state *state, PyObject *args, PyObject *kwargs,
            struct wait *wait)
{
    static char *names[] = {"max", "timeout", NULL};
    PyObject *max = NULL;
    PyObject *timeout = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|OO:batch", names, &max,
                                     &timeout)) {
        return -1;
    }
    if (max != NULL && parse_max(state, max, "batch", &wait->max) < 0) {
        return -1;
    }
    return timeout == NULL
               ? 0
               : parse_timeout(state, timeout, "batch", &wait->timeout);
}

/* Without waiting: possibly empty. */
static PyObject *
batch_now(PyObject *self, const struct wait *wait)
{
    struct rn_monitor *monitor = rn_monitor_of(self);
    PyObject *batch = NULL;
    RN_BEGIN_TURN(self)
    if (rn_monitor_usable(monitor, "batch") == 0) {
        batch = take_a_batch(monitor, wait);
    }
    RN_END_TURN()
    if (batch != NULL || PyErr_Occurred()) {
        return batch;
    }
    return rn_batch_empty(monitor->state, monitor->space);
}

PyObject *
rn_monitor_batch(PyObject *self, PyObject *args, PyObject *kwargs)
{
    struct rn_state *state = rn_monitor_of(self)->state;
    struct wait wait = {
        .call = "batch", .take = take_a_batch, .max = RN_BATCH_MAX};
    if (parse_batch(state, args, kwargs, &wait) < 0) {
        return NULL;
    }
    /* Exactly zero: what is negative waits for ever. */
    if (!(wait.timeout < 0 || wait.timeout > 0) || wait.max == 0) {
        return batch_now(self, &wait);
    }
    switch (wait_for(self, &wait)) {
    case RN_GOT:
        return wait.got;
    case RN_EMPTY:
        return rn_batch_empty(state, rn_monitor_of(self)->space);
    case RN_ENDED:
        return rn_monitor_raise_end(self, &wait.reason, "batch");
    default:
        return NULL;
    }
}

/* ---- waiting by other means ---- */

/* In the object's turn: the wake object, exact from now on; -1: exception. */
static intptr_t
watch(struct rn_monitor *monitor, const char *call)
{
    if (rn_monitor_usable(monitor, call) < 0) {
        return -1;
    }
    if (monitor->phase == RN_PHASE_CLOSED && rn_monitor_ended(monitor)) {
        (void)rn_raise_closed(monitor->state, RN_ERROR_INVALID_HANDLE, call,
                              "the monitor is closed");
        return -1;
    }
    monitor->watched = 1;
    (void)rn_channel_settle(monitor->channel);
    return rn_channel_object(monitor->channel);
}

static PyObject *
watch_object(PyObject *self, const char *call)
{
    struct rn_monitor *monitor = rn_monitor_of(self);
    intptr_t object;
    RN_BEGIN_TURN(self)
    object = watch(monitor, call);
    RN_END_TURN()
    return PyErr_Occurred() ? NULL : PyLong_FromSsize_t((Py_ssize_t)object);
}

#ifdef MS_WINDOWS
#define OBJECT_IS_HANDLE 1
#else
#define OBJECT_IS_HANDLE 0
#endif

PyObject *
rn_monitor_fileno(PyObject *self, PyObject *unused)
{
    (void)unused;
    if (OBJECT_IS_HANDLE) {
        return rn_raise_code(rn_monitor_of(self)->state,
                             RN_ERROR_NOT_SUPPORTED, "fileno",
                             "Windows has wait_handle instead");
    }
    return watch_object(self, "fileno");
}

PyObject *
rn_monitor_wait_handle(PyObject *self, void *closure)
{
    (void)closure;
    if (!OBJECT_IS_HANDLE) {
        return rn_raise_code(rn_monitor_of(self)->state,
                             RN_ERROR_NOT_SUPPORTED, "wait_handle",
                             "only Windows has it; use fileno()");
    }
    return watch_object(self, "wait_handle");
}
