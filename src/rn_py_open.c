/* rn_py_open.c - Monitor.__init__: arguments, channel, registration.
 *
 * Everything that can fail happens before the first member of the monitor is
 * set; what a failed open made, it unmakes.
 */
#include "rn_py_monitor.h"

#include <errno.h>

#define RN_CAPACITY 16384
#define RN_CAPACITY_MAX (1 << 24)
#define RN_RCVBUF (16 << 20)

struct options {
    struct rn_config config;
    long capacity;
    PyObject *context;
    PyObject *filter;
    PyObject *room;
    PyObject *names;
};

/* An int between least and most.  0, or -1 with an exception that names it. */
static int
parse_count(struct rn_state *state, PyObject *object, const char *name,
            long least, long most, long *out)
{
    if (!PyLong_Check(object) || PyBool_Check(object)) {
        PyErr_Format(PyExc_TypeError,
                     "RouteMonitor(%s=%R): an int expected, got %S", name,
                     object, (PyObject *)Py_TYPE(object));
        return -1;
    }
    int overflow;
    long long value = PyLong_AsLongLongAndOverflow(object, &overflow);
    if (overflow != 0 || value < least || value > most) {
        (void)rn_raise_parameter(state, "RouteMonitor",
                                 "%s=%R is not between %ld and %ld", name,
                                 object, least, most);
        return -1;
    }
    *out = (long)value;
    return 0;
}

/* program: the filter compiled for this monitor, or None.  The filter itself is
 * only kept to be shown.
 */
static int
parse_program(struct rn_state *state, PyObject *program,
              struct options *options)
{
    if (program == Py_None && options->filter != Py_None) {
        PyErr_Format(PyExc_TypeError, "RouteMonitor(filter=%R): None expected",
                     options->filter);
        return -1;
    }
    if (program == Py_None) {
        return 0;
    }
    if ((PyObject *)Py_TYPE(program) != state->held[RN_HELD_FILTER_TYPE]) {
        PyErr_Format(PyExc_TypeError,
                     "Monitor(program=%R): Filter or None expected", program);
        return -1;
    }
    options->config.filter = rn_filter_of(program);
    return 0;
}

/* None: if it may be.  0, or -1 with an exception. */
static int
parse_ringbuf(PyObject *ringbuf, struct options *options)
{
    if (ringbuf != Py_None && !PyBool_Check(ringbuf)) {
        PyErr_Format(PyExc_TypeError,
                     "RouteMonitor(ringbuf=%R): True, False or None expected, "
                     "got %S",
                     ringbuf, (PyObject *)Py_TYPE(ringbuf));
        return -1;
    }
    options->config.ringbuf = ringbuf == Py_None   ? RN_RINGBUF_IF_ALLOWED
                              : ringbuf == Py_True ? RN_RINGBUF_YES
                                                   : RN_RINGBUF_NO;
    return 0;
}

/* Bytes that are a name, or None.  0, or -1 with an exception. */
static int
parse_path(PyObject *path, struct options *options)
{
    char *text = NULL;
    if (path != Py_None && PyBytes_AsStringAndSize(path, &text, NULL) < 0) {
        return -1;
    }
    options->config.netns_path = text;
    return 0;
}

static int
parse_options(struct rn_state *state, PyObject *args, PyObject *kwargs,
              struct options *options)
{
    static char *names[] = {"family",     "initial_notification",
                            "snapshot",   "context",
                            "filter",     "capacity",
                            "markers",    "rcvbuf",
                            "ringbuf",    "netns_fd",
                            "netns_path", "program",
                            "room",       "names",
                            NULL};
    PyObject *program = Py_None;
    PyObject *path = Py_None;
    PyObject *family = state->held[RN_HELD_AF_UNSPEC];
    PyObject *capacity = NULL;
    PyObject *rcvbuf = NULL;
    PyObject *ringbuf = Py_None;
    long rcvbuf_bytes = RN_RCVBUF;
    *options = (struct options){.capacity = RN_CAPACITY,
                                .config.netns_fd = -1,
                                .context = Py_None,
                                .filter = Py_None,
                                .room = Py_None,
                                .names = NULL};
    struct rn_config *config = &options->config;
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "|O$ppOOOpOOiOOOO!:RouteMonitor", names, &family,
            &config->initial, &config->snapshot, &options->context,
            &options->filter, &capacity, &config->markers, &rcvbuf, &ringbuf,
            &config->netns_fd, &path, &program, &options->room, &PyDict_Type,
            &options->names) ||
        rn_family_parse(state, family, "RouteMonitor", "family",
                        &config->family) < 0 ||
        parse_ringbuf(ringbuf, options) < 0 || parse_path(path, options) < 0 ||
        parse_program(state, program, options) < 0) {
        return -1;
    }
    if ((capacity != NULL &&
         parse_count(state, capacity, "capacity", 2, RN_CAPACITY_MAX,
                     &options->capacity) < 0) ||
        (rcvbuf != NULL && parse_count(state, rcvbuf, "rcvbuf", 1, INT32_MAX,
                                       &rcvbuf_bytes) < 0)) {
        return -1;
    }
    config->rcvbuf = (uint32_t)rcvbuf_bytes;
    return 0;
}

/* What an open makes before it may publish any of it. */
struct opened {
    struct rn_channel *channel;
    struct rn_notify *notify;
    struct rn_space *space;
};

static void
open_undo(struct opened *opened)
{
    if (opened->channel != NULL) {
        rn_channel_free(opened->channel);
    }
    rn_space_unref(opened->space);
}

static int
open_channel(struct rn_state *state, const struct options *options,
             struct opened *opened)
{
    struct rn_channel_config config = {
        .capacity = (uint32_t)options->capacity,
        .family = options->config.family,
        .markers = options->config.markers,
        .filter = options->config.filter,
    };
    errno = 0;
    opened->channel = rn_channel_new(&config);
    if (opened->channel == NULL) {
        struct rn_fail fail = {RN_ERROR_NOT_ENOUGH_MEMORY, errno,
                               rn_channel_failed()};
        (void)rn_raise(state, &fail);
        return -1;
    }
    return 0;
}

/* Delivery into the channel may begin before it returns. */
static int
open_notify(struct rn_state *state, const struct options *options,
            struct opened *opened)
{
    struct rn_sink sink = {
        .self = opened->channel,
        .emit = rn_channel_emit,
        .flush = rn_channel_flush,
        .end = rn_channel_end,
        .lost = rn_channel_lost,
        .repeat = rn_channel_repeat,
        .asleep = rn_channel_asleep,
    };
    struct rn_config config = options->config;
    config.netns_fd = rn_space_fd(opened->space);
    struct rn_fail fail;
    int failed;
    RN_DETACH()
    failed = rn_notify_open(&config, &sink, &opened->notify, &fail);
    RN_ATTACH()
    if (failed) {
        (void)rn_raise(state, &fail);
        return -1;
    }
    return 0;
}

static int
open_all(struct rn_state *state, const struct options *options,
         struct opened *opened)
{
    if (options->names != NULL) {
        opened->space = rn_space_recorded(options->names);
    } else if (options->config.netns_fd >= 0) {
        opened->space = rn_space_new(state, options->config.netns_fd);
    }
    if (PyErr_Occurred() || open_channel(state, options, opened) < 0) {
        return -1;
    }
    return options->room != Py_None ? 0 : open_notify(state, options, opened);
}

/* NEW to OPENING, so that of two threads in __init__ one opens. */
static int
claim(PyObject *self)
{
    struct rn_monitor *monitor = rn_monitor_of(self);
    int claimed = 0;
    RN_BEGIN_TURN(self)
    if (monitor->phase == RN_PHASE_NEW) {
        monitor->phase = RN_PHASE_OPENING;
        claimed = 1;
    }
    RN_END_TURN()
    if (!claimed) {
        PyErr_SetString(PyExc_RuntimeError,
                        "a monitor is opened once: make another one");
        return -1;
    }
    return 0;
}

static void
publish(PyObject *self, const struct options *options,
        const struct opened *opened)
{
    struct rn_monitor *monitor = rn_monitor_of(self);
    RN_BEGIN_TURN(self)
    monitor->channel = opened->channel;
    monitor->notify = opened->notify;
    monitor->space = opened->space;
    monitor->context = Py_NewRef(options->context);
    monitor->filter = Py_NewRef(options->filter);
    monitor->room = options->room == Py_None ? NULL : Py_NewRef(options->room);
    monitor->phase = RN_PHASE_OPEN;
    RN_END_TURN()
}

int
rn_monitor_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    struct rn_monitor *monitor = rn_monitor_of(self);
    struct options options;
    struct opened opened = {NULL, NULL, NULL};
    if (parse_options(monitor->state, args, kwargs, &options) < 0 ||
        claim(self) < 0) {
        return -1;
    }
    if (open_all(monitor->state, &options, &opened) < 0) {
        open_undo(&opened);
        RN_BEGIN_TURN(self)
        monitor->phase = RN_PHASE_NEW;
        RN_END_TURN()
        return -1;
    }
    publish(self, &options, &opened);
    return 0;
}
