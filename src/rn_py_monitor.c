/* rn_py_monitor.c - the Monitor type, and how a monitor is closed. */
#include "rn_py_monitor.h"

int
rn_monitor_forked(struct rn_monitor *monitor)
{
    return monitor->phase == RN_PHASE_FORKED ||
           (monitor->notify != NULL && rn_forked(monitor->notify));
}

int
rn_monitor_usable(struct rn_monitor *monitor, const char *call)
{
    if (rn_monitor_forked(monitor)) {
        (void)rn_raise_closed(monitor->state, RN_ERROR_INVALID_HANDLE, call,
                              "the monitor was closed by fork(): open one of "
                              "your own in the child");
        return -1;
    }
    if (monitor->phase < RN_PHASE_OPEN) {
        (void)rn_raise_closed(monitor->state, RN_ERROR_INVALID_HANDLE, call,
                              "the monitor was never opened");
        return -1;
    }
    return 0;
}

/* ---- closing, and whatever else needs the registration ---- */

enum claim { RN_MINE, RN_BUSY, RN_GONE };

/* In the object's turn: try to get the registration for this thread alone.
 * RN_MINE: the gate is held.  RN_GONE: closed, and the close is over.
 */
static enum claim
claim_notify(struct rn_monitor *monitor)
{
    if (!PyThread_acquire_lock(monitor->gate, NOWAIT_LOCK)) {
        return RN_BUSY;
    }
    if (monitor->notify == NULL) {
        PyThread_release_lock(monitor->gate);
        return RN_GONE;
    }
    return RN_MINE;
}

/* Detached until whoever holds the gate has dropped it. */
static void
wait_gate(struct rn_monitor *monitor)
{
    RN_DETACH()
    PyThread_acquire_lock(monitor->gate, WAIT_LOCK);
    PyThread_release_lock(monitor->gate);
    RN_ATTACH()
}

/* In a forked child: frees memory, touches nothing the parent still uses, and
 * not the gate, whose holder may not exist here.
 */
static void
close_forked(struct rn_monitor *monitor)
{
    struct rn_fail fail;
    struct rn_notify *notify = monitor->notify;
    monitor->phase = RN_PHASE_FORKED;
    monitor->notify = NULL;
    if (notify != NULL) {
        (void)rn_notify_close(notify, &fail);
    }
}

static void
end_channel(struct rn_monitor *monitor)
{
    if (rn_load_relaxed(&monitor->quiet) == 0) {
        rn_channel_end(monitor->channel, RN_NO_ERROR, NULL);
    }
}

/* Did the system end it because its namespace was removed? */
static int
is_homeless(struct rn_monitor *monitor)
{
    struct rn_end end;
    return rn_channel_ended(monitor->channel, &end.code, &end.call) &&
           end.code == RN_ERROR_FILE_NOT_FOUND;
}

/* In the object's turn: RN_MINE gives *notify, which no one else has then. */
static enum claim
close_begin(struct rn_monitor *monitor, struct rn_notify **notify)
{
    if (rn_monitor_forked(monitor)) {
        close_forked(monitor);
        return RN_GONE;
    }
    if (monitor->phase < RN_PHASE_OPEN) {
        return RN_GONE;
    }
    /* At once, so that no more snapshots and resyncs get in line. */
    monitor->phase = RN_PHASE_CLOSED;
    if (monitor->room != NULL) {
        end_channel(monitor);
        return RN_GONE; /* no system's registration */
    }
    enum claim claimed = claim_notify(monitor);
    if (claimed == RN_MINE) {
        rn_notify_stats(monitor->notify, &monitor->last);
        *notify = monitor->notify;
        monitor->notify = NULL;
    }
    return claimed;
}

/* Deregister, then wake every waiter, then let other closers go on. */
static int
close_finish(PyObject *self, struct rn_notify *notify)
{
    struct rn_monitor *monitor = rn_monitor_of(self);
    struct rn_fail fail;
    int failed;
    RN_DETACH()
    failed = rn_notify_close(notify, &fail);
    end_channel(monitor);
    if (is_homeless(monitor)) {
        rn_space_removed(monitor->space);
    }
    PyThread_release_lock(monitor->gate);
    RN_ATTACH()
    if (failed) {
        RN_BEGIN_TURN(self)
        monitor->last.leaked++;
        RN_END_TURN()
        (void)rn_raise(monitor->state, &fail);
        return -1;
    }
    return 0;
}

/* Idempotent, from any thread; returns when the close is over, whoever does
 * it.
 */
static int
close_monitor(PyObject *self)
{
    struct rn_monitor *monitor = rn_monitor_of(self);
    for (;;) {
        struct rn_notify *notify = NULL;
        enum claim claimed;
        RN_BEGIN_TURN(self)
        claimed = close_begin(monitor, &notify);
        RN_END_TURN()
        if (claimed == RN_GONE) {
            return rn_monitor_tell_feeder(monitor);
        }
        if (claimed == RN_MINE) {
            return close_finish(self, notify);
        }
        wait_gate(monitor);
    }
}

/* What keeps a removed namespace alive is given back, for nobody may ever come to
 * close the monitor.
 */
static void
close_homeless(PyObject *self)
{
    if (is_homeless(rn_monitor_of(self)) && close_monitor(self) < 0) {
        PyErr_Clear(); /* it is closed all the same, and stats count it */
    }
}

PyObject *
rn_monitor_raise_end(PyObject *self, const struct rn_end *end,
                     const char *call)
{
    struct rn_monitor *monitor = rn_monitor_of(self);
    if (end->code == RN_NO_ERROR) {
        return rn_raise_closed(monitor->state, RN_ERROR_INVALID_HANDLE, call,
                               "the monitor is closed");
    }
    if (monitor->failure != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(monitor->failure),
                        monitor->failure);
        return NULL;
    }
    close_homeless(self);
    return rn_raise_closed(monitor->state, end->code,
                           end->call != NULL ? end->call : call,
                           "the system ended the notifications");
}

/* In the object's turn: as claim_notify(), of an open one that goes on; else
 * *end tells why it does not.
 */
static enum claim
claim_open(struct rn_monitor *monitor, struct rn_end *end)
{
    if (monitor->phase != RN_PHASE_OPEN ||
        rn_channel_ended(monitor->channel, &end->code, &end->call)) {
        return RN_GONE;
    }
    return claim_notify(monitor);
}

int
rn_monitor_claim(PyObject *self, const char *call, struct rn_notify **notify)
{
    struct rn_monitor *monitor = rn_monitor_of(self);
    for (;;) {
        struct rn_end end = {RN_NO_ERROR, NULL};
        enum claim claimed = RN_GONE;
        int usable;
        RN_BEGIN_TURN(self)
        usable = rn_monitor_usable(monitor, call) == 0;
        if (usable) {
            claimed = claim_open(monitor, &end);
            *notify = monitor->notify;
        }
        RN_END_TURN()
        if (claimed == RN_MINE) {
            return 0;
        }
        if (claimed == RN_GONE) {
            if (usable) {
                (void)rn_monitor_raise_end(self, &end, call);
            }
            return -1;
        }
        wait_gate(monitor);
    }
}

static PyObject *
monitor_close(PyObject *self, PyObject *unused)
{
    (void)unused;
    return close_monitor(self) < 0 ? NULL : Py_NewRef(Py_None);
}

/* At the interpreter's end: a daemon thread that waits would be woken only to
 * print a traceback while everything around it goes away.  It just stops.
 */
static PyObject *
monitor_quieten(PyObject *self, PyObject *unused)
{
    (void)unused;
    rn_store_release(&rn_monitor_of(self)->quiet, 1);
    return Py_NewRef(Py_None);
}

static PyObject *
monitor_enter(PyObject *self, PyObject *unused)
{
    (void)unused;
    return Py_NewRef(self);
}

static PyObject *
monitor_exit(PyObject *self, PyObject *args)
{
    (void)args;
    return monitor_close(self, NULL);
}

/* ---- attributes ---- */

int
rn_monitor_ended(struct rn_monitor *monitor)
{
    struct rn_fail ignored;
    return monitor->channel != NULL &&
           rn_channel_ended(monitor->channel, &ignored.code, &ignored.call);
}

static int
is_closed(PyObject *self)
{
    struct rn_monitor *monitor = rn_monitor_of(self);
    int closed;
    RN_BEGIN_TURN(self)
    closed = monitor->phase != RN_PHASE_OPEN || rn_monitor_forked(monitor) ||
             rn_monitor_ended(monitor);
    RN_END_TURN()
    return closed;
}

static PyObject *
monitor_closed(PyObject *self, void *closure)
{
    (void)closure;
    return PyBool_FromLong(is_closed(self));
}

static PyObject *
monitor_ended(PyObject *self, void *closure)
{
    (void)closure;
    int ended;
    RN_BEGIN_TURN(self)
    ended = rn_monitor_ended(rn_monitor_of(self));
    RN_END_TURN()
    return PyBool_FromLong(ended);
}

/* What __init__ was given, None before: it may be in another thread. */
static PyObject *
given(PyObject *self, PyObject *const *member)
{
    PyObject *object;
    RN_BEGIN_TURN(self)
    object = Py_NewRef(*member == NULL ? Py_None : *member);
    RN_END_TURN()
    return object;
}

static PyObject *
monitor_context(PyObject *self, void *closure)
{
    (void)closure;
    return given(self, &rn_monitor_of(self)->context);
}

static PyObject *
monitor_filter(PyObject *self, void *closure)
{
    (void)closure;
    return given(self, &rn_monitor_of(self)->filter);
}

static PyObject *
monitor_repr(PyObject *self)
{
    PyObject *name = PyType_GetName(Py_TYPE(self));
    if (name == NULL) {
        return NULL;
    }
    PyObject *text = PyUnicode_FromFormat(
        "<%U %s at %p>", name, is_closed(self) ? "closed" : "open", self);
    Py_DECREF(name);
    return text;
}

/* ---- life and death ---- */

/* Else protocols 0 and 1 would try to open another one. */
static PyObject *
monitor_reduce(PyObject *self, PyObject *unused)
{
    (void)unused;
    PyErr_Format(PyExc_TypeError,
                 "cannot pickle or copy %S: a monitor is of one process",
                 (PyObject *)Py_TYPE(self));
    return NULL;
}

static PyObject *
monitor_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)args;
    (void)kwargs;
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    PyObject *self = allocate(type, 0);
    if (self == NULL) {
        return NULL;
    }
    struct rn_monitor *monitor = rn_monitor_of(self);
    monitor->state = rn_state_of(type);
    monitor->gate = PyThread_allocate_lock();
    if (monitor->gate == NULL) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    return self;
}

static int
monitor_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(rn_monitor_of(self)->context);
    Py_VISIT(rn_monitor_of(self)->filter);
    Py_VISIT(rn_monitor_of(self)->room);
    Py_VISIT(rn_monitor_of(self)->failure);
    return 0;
}

static int
monitor_clear(PyObject *self)
{
    Py_CLEAR(rn_monitor_of(self)->context);
    Py_CLEAR(rn_monitor_of(self)->filter);
    Py_CLEAR(rn_monitor_of(self)->room);
    Py_CLEAR(rn_monitor_of(self)->failure);
    return 0;
}

#if defined(Py_LIMITED_API) || PY_VERSION_HEX < 0x030C0000
#define RN_SAVE_EXCEPTION()             \
    PyObject *type, *value, *traceback; \
    PyErr_Fetch(&type, &value, &traceback);
#define RN_RESTORE_EXCEPTION() PyErr_Restore(type, value, traceback);
#else
#define RN_SAVE_EXCEPTION() PyObject *saved = PyErr_GetRaisedException();
#define RN_RESTORE_EXCEPTION() PyErr_SetRaisedException(saved);
#endif

/* Like a socket: an open one that nobody refers to is closed with a warning.
 */
static void
monitor_finalize(PyObject *self)
{
    struct rn_monitor *monitor = rn_monitor_of(self);
    if (monitor->notify == NULL &&
        (monitor->room == NULL || is_closed(self))) {
        return;
    }
    RN_SAVE_EXCEPTION()
    if (!rn_monitor_forked(monitor) &&
        PyErr_ResourceWarning(self, 1, "unclosed %R", self) < 0) {
        PyErr_WriteUnraisable(self);
    }
    if (close_monitor(self) < 0) {
        PyErr_WriteUnraisable(self);
    }
    RN_RESTORE_EXCEPTION()
}

/* What no finalizer closed, as in a type that no Python class extends.  The
 * object may not be referred to any more.
 */
static void
close_dying(struct rn_monitor *monitor)
{
    struct rn_notify *notify = monitor->notify;
    struct rn_fail fail;
    if (notify != NULL) {
        monitor->notify = NULL;
        RN_DETACH()
        (void)rn_notify_close(notify, &fail);
        RN_ATTACH()
    }
}

/* No one is inside a method any more: they would hold a reference. */
static void
monitor_dealloc(PyObject *self)
{
    struct rn_monitor *monitor = rn_monitor_of(self);
    PyTypeObject *type = Py_TYPE(self);
    int forked = rn_monitor_forked(monitor);
    PyObject_GC_UnTrack(self);
    close_dying(monitor);
    (void)monitor_clear(self);
    if (monitor->channel != NULL) {
        if (forked) {
            rn_channel_forked(monitor->channel);
        }
        rn_channel_free(monitor->channel);
    }
    rn_space_unref(monitor->space);
    PyMem_Free(monitor->gatherers.limits);
    if (monitor->gate != NULL) {
        PyThread_free_lock(monitor->gate);
    }
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

static PyMethodDef monitor_methods[] = {
    {"__reduce__", monitor_reduce, METH_NOARGS,
     PyDoc_STR("__reduce__($self, /)\n--\n\nHelper for pickle: refuses.")},
    {"poll", rn_monitor_poll, METH_NOARGS,
     PyDoc_STR("poll($self, /)\n--\n\n"
               "The next change, or None when nothing is queued. Never "
               "blocks.")},
    {"get", (PyCFunction)(void (*)(void))rn_monitor_get,
     METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("get($self, /, timeout=None)\n--\n\n"
               "The next change; waits for it up to timeout seconds (None: "
               "for ever).\n\n"
               "Raises:\n"
               "    WaitTimeout: A TimeoutError: no change came in time.\n"
               "    MonitorClosed: Closed, and everything queued was taken.\n"
               "    InvalidParameter: timeout is negative, NaN or above "
               "1e9.")},
    {"drain", (PyCFunction)(void (*)(void))rn_monitor_drain,
     METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("drain($self, /, max=None)\n--\n\n"
               "A list of what is queued, at most max; may be empty. Never "
               "blocks.")},
    {"batch", (PyCFunction)(void (*)(void))rn_monitor_batch,
     METH_VARARGS | METH_KEYWORDS,
     PyDoc_STR("batch($self, /, max=65536, timeout=0)\n--\n\n"
               "What is queued, at most max, as one RouteBatch: no object "
               "per change.\n\n"
               "With a timeout in seconds (None: for ever) it waits for the "
               "first change;\nempty when none came in time. 0 never "
               "blocks.\n\n"
               "Raises:\n"
               "    MonitorClosed: Closed, everything taken, and it would "
               "have to wait.\n"
               "    InvalidParameter: max is negative, or timeout is "
               "negative, NaN or\n"
               "        above 1e9.")},
    {"_gather_enter", rn_monitor_gather_enter, METH_O,
     PyDoc_STR("_gather_enter($self, max, /)\n--\n\n"
               "Until _gather_leave(max) a batch of max is due, whoever "
               "asks.")},
    {"_gather_leave", rn_monitor_gather_leave, METH_O,
     PyDoc_STR("_gather_leave($self, max, /)\n--\n\n"
               "Undo one _gather_enter(max).")},
    {"_gather", rn_monitor_gather, METH_O,
     PyDoc_STR("_gather($self, max, /)\n--\n\n"
               "None: a batch of max, or of less that somebody entered, is "
               "due. Else (sequence, time_ns) of the "
               "newest\nchange, and _wait(True, ...) waits for more.")},
    {"_wait", rn_monitor_wait, METH_VARARGS,
     PyDoc_STR("_wait($self, gathered, seconds, /)\n--\n\n"
               "Until something is queued, or has gathered; may end early.")},
    {"_gather_object", rn_monitor_gather_object, METH_NOARGS,
     PyDoc_STR("_gather_object($self, /)\n--\n\n"
               "The descriptor or handle that is set once enough has "
               "gathered.")},
    {"fileno", rn_monitor_fileno, METH_NOARGS,
     PyDoc_STR("fileno($self, /)\n--\n\n"
               "A descriptor that is readable exactly while something is "
               "queued, and\nonce the monitor is closed. Not to be read "
               "from. Linux.\n\nWhen what is queued behind a full queue "
               "cancels out, it stays readable\nuntil poll() or drain() has "
               "found nothing.")},
    {"close", monitor_close, METH_NOARGS,
     PyDoc_STR("close($self, /)\n--\n\n"
               "End the notifications and wake every waiter. Idempotent, "
               "from any thread.\n\nWhat is queued can still be taken.")},
    {"resync", rn_monitor_resync, METH_NOARGS,
     PyDoc_STR("resync($self, /)\n--\n\n"
               "Compare with the system now; returns when the difference is "
               "queued.")},
    {"_snapshot", rn_monitor_snapshot, METH_NOARGS,
     PyDoc_STR("_snapshot($self, /)\n--\n\n"
               "(list of RouteChange, the sequence it is current to).")},
    {"_feed", rn_monitor_feed, METH_O,
     PyDoc_STR("_feed($self, records, /)\n--\n\n"
               "Queue recorded changes; return how many of them fitted.")},
    {"_feed_end", rn_monitor_feed_end, METH_O,
     PyDoc_STR("_feed_end($self, failure, /)\n--\n\n"
               "No more comes; whoever waits gets failure, if not None.")},
    {"_feed_fork", rn_monitor_feed_fork, METH_NOARGS,
     PyDoc_STR("_feed_fork($self, /)\n--\n\n"
               "This is a forked child: nobody feeds it here.")},
    {"_quieten", monitor_quieten, METH_NOARGS,
     PyDoc_STR("_quieten($self, /)\n--\n\n"
               "The interpreter ends: close() wakes nobody any more.")},
    {"__enter__", monitor_enter, METH_NOARGS,
     PyDoc_STR("__enter__($self, /)\n--\n\nThe monitor itself.")},
    {"__exit__", monitor_exit, METH_VARARGS,
     PyDoc_STR("__exit__($self, /, *args)\n--\n\nClose it.")},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef monitor_getset[] = {
    {"closed", monitor_closed, NULL,
     PyDoc_STR("Do the notifications go on no more?"), NULL},
    {"_ended", monitor_ended, NULL,
     PyDoc_STR("Is all queued that will ever be? Later than closed, which is "
               "true while\nclose() still waits for the system."),
     NULL},
    {"context", monitor_context, NULL, PyDoc_STR("As given to open it."),
     NULL},
    {"filter", monitor_filter, NULL, PyDoc_STR("As given to open it."), NULL},
    {"stats", rn_monitor_stats, NULL, PyDoc_STR("A MonitorStats."), NULL},
    {"wait_handle", rn_monitor_wait_handle, NULL,
     PyDoc_STR("Windows: a HANDLE that is set exactly while something is "
               "queued."),
     NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(
    monitor_doc,
    "Monitor(family=0, *, initial_notification=False, snapshot=False, "
    "context=None, filter=None, capacity=16384, markers=False, "
    "rcvbuf=16777216, ringbuf=None, netns_fd=-1, netns_path=None, "
    "program=None, room=None, names={})\n--\n\n"
    "A registration for route changes and the queue they wait in.");

static PyType_Slot monitor_slots[] = {
    {Py_tp_doc, (void *)monitor_doc},
    {Py_tp_new, monitor_new},
    {Py_tp_init, rn_monitor_init},
    {Py_tp_finalize, monitor_finalize},
    {Py_tp_dealloc, monitor_dealloc},
    {Py_tp_traverse, monitor_traverse},
    {Py_tp_clear, monitor_clear},
    {Py_tp_repr, monitor_repr},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, rn_monitor_next},
    {Py_tp_methods, monitor_methods},
    {Py_tp_getset, monitor_getset},
    {0, NULL},
};

PyType_Spec rn_monitor_spec = {
    .name = "routenotify._routenotify.Monitor",
    .basicsize = sizeof(struct rn_monitor_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = monitor_slots,
};
