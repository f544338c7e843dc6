/* rn_py.h - what the files of the extension module share.
 *
 * Every file that includes this one runs on Python threads only; no provider
 * thread ever enters them.  Nothing here is per process: what Python objects
 * the module needs hang on its state, one per interpreter.
 *
 * Context of every function below, unless it says otherwise: a Python thread
 * that is attached to its interpreter (holds the GIL where there is one); none
 * blocks.  Failure is NULL or -1 with a Python exception set.
 */
#ifndef RN_PY_H
#define RN_PY_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "rn_atomic.h"
#include "rn_channel.h"
#include "rn_netio.h"
#include "rn_text.h"

/* Python objects the module holds.  Set once in its exec slot, constant after
 * that, so they need no lock.
 */
enum rn_held {
    RN_HELD_MONITOR_TYPE,
    RN_HELD_CHANGE_TYPE,
    RN_HELD_ROUTE_TYPE,
    RN_HELD_BATCH_TYPE,
    RN_HELD_STATS_TYPE,
    RN_HELD_FILTER_TYPE,
    RN_HELD_IPV4_ADDRESS, /* classes of ipaddress */
    RN_HELD_IPV6_ADDRESS,
    RN_HELD_IPV4_NETWORK,
    RN_HELD_IPV6_NETWORK,
    RN_HELD_AF_UNSPEC, /* members of socket.AddressFamily */
    RN_HELD_AF_INET,
    RN_HELD_AF_INET6,
    RN_HELD_MAKE_ERROR, /* routenotify._errors.make_error */
    RN_HELD_CLOSED_ERROR,
    RN_HELD_MONOTONIC_NS,  /* time.monotonic_ns */
    RN_HELD_CHANGE_TYPE_0, /* members of ChangeType, by number */
    RN_HELD_ROUTE_TYPE_0 = RN_HELD_CHANGE_TYPE_0 + RN_RESYNC_END + 1,
    RN_HELD_COUNT = RN_HELD_ROUTE_TYPE_0 + 12
};

/* rn_py_block.c's: blocks that wait for the next batch. */
#define RN_SPARES 8 /* of 64 KiB, 128 KiB, ... 8 MiB */
struct rn_spares {
    void *memory[RN_SPARES]; /* of PyMem_Malloc, or NULL */
    rn_atomic_u32 busy;      /* 1: a thread is at them */
};

struct rn_state {
    PyObject *held[RN_HELD_COUNT];
    struct rn_spares spares;
};

/* Where there is no GIL the consumer's side of a channel is taken in turns by
 * the monitor's critical section; with a GIL it is that.  Statements: code
 * between them must not return.
 */
#ifdef Py_GIL_DISABLED
#define RN_BEGIN_TURN(self) Py_BEGIN_CRITICAL_SECTION(self);
#define RN_END_TURN() Py_END_CRITICAL_SECTION();
#else
#define RN_BEGIN_TURN(self) \
    {                       \
        (void)(self);
#define RN_END_TURN() }
#endif

/* Between the two other Python threads run and this one may block.  Statements
 * too; with parentheses, for clang-format's sake.
 */
#define RN_DETACH() Py_BEGIN_ALLOW_THREADS
#define RN_ATTACH() Py_END_ALLOW_THREADS

extern struct PyModuleDef rn_module_def;
extern PyType_Spec rn_monitor_spec;
extern PyType_Spec rn_change_spec;
extern PyType_Spec rn_route_spec;
extern PyType_Spec rn_tally_spec;
extern PyType_Spec rn_batch_spec;
extern PyType_Spec rn_filter_spec;
extern PyStructSequence_Desc rn_stats_desc;

/* rn_state_of - the module's state from one of its types or a subclass.
 * Return: borrowed, never NULL for such a type.
 */
struct rn_state *
rn_state_of(PyTypeObject *type);

static inline struct rn_state *
rn_module_state(PyObject *module)
{
    return PyModule_GetState(module);
}

/* ---- rn_py_space.c: the network namespace a row belongs to ---- */

/* Counted; NULL everywhere stands for the namespace of the caller. */
struct rn_space;

/* rn_space_new - a copy of the descriptor netns_fd; the caller keeps its own.
 */
struct rn_space *
rn_space_new(struct rn_state *state, int netns_fd);
/* rn_space_recorded - that of a recording, in which names, a dict, tells the
 * interfaces' names by their index.
 */
struct rn_space *
rn_space_recorded(PyObject *names);
/* Borrowed; NULL: not a recording's, the system is to be asked. */
PyObject *
rn_space_names(const struct rn_space *space);
struct rn_space *
rn_space_ref(struct rn_space *space);
void
rn_space_unref(struct rn_space *space);
/* The namespace was removed: it is not kept alive, its rows have no names. */
void
rn_space_removed(struct rn_space *space);
int
rn_space_is_gone(struct rn_space *space);
/* For the provider calls: -1 for NULL. */
int
rn_space_fd(const struct rn_space *space);
int
rn_space_names_fd(const struct rn_space *space);

/* ---- rn_py_change.c: RouteChange and Route ---- */

/* The C data of both types begins alike, so they share their getters.  Reach
 * it through rn_row_data() only: where it lies in the object may change.
 */
struct rn_row_data {
    struct rn_space *space;
    struct rn_record row;
};
struct rn_route_data {
    struct rn_space *space;
    struct rn_route route;
};
static_assert(offsetof(struct rn_row_data, row) ==
                  offsetof(struct rn_route_data, route),
              "RouteChange and Route share their getters");
static_assert(offsetof(struct rn_route, row) == 0, "likewise");

struct rn_row_object {
    PyObject_HEAD struct rn_row_data data;
};
struct rn_route_object {
    PyObject_HEAD struct rn_route_data data;
};
static_assert(offsetof(struct rn_row_object, data) ==
                  offsetof(struct rn_route_object, data),
              "likewise");

static inline struct rn_row_data *
rn_row_data(PyObject *self)
{
    return &((struct rn_row_object *)self)->data;
}

static inline struct rn_route_data *
rn_route_data(PyObject *self)
{
    return &((struct rn_route_object *)self)->data;
}

/* rn_change_new - a RouteChange with a copy of record.  Runs no Python code
 * and no garbage collection: a record peeked from a ring stays valid.
 */
static inline PyObject *
rn_change_new(PyTypeObject *type, const struct rn_record *record,
              struct rn_space *space)
{
    struct rn_row_object *self = PyObject_New(struct rn_row_object, type);
    if (self == NULL) {
        return NULL;
    }
    self->data.space = space == NULL ? NULL : rn_space_ref(space);
    self->data.row = *record;
    return (PyObject *)self;
}

PyObject *
rn_route_new(struct rn_state *state, const struct rn_route *route,
             struct rn_space *space);

/* rn_address_object - an ipaddress address from 4 or 16 bytes. */
PyObject *
rn_address_object(struct rn_state *state, int ip_version,
                  const uint8_t *bytes);

/* ---- rn_py_block.c: memory for the records of batches ---- */

/* rn_block_new - size bytes, to be freed with the same size.
 * Return: NULL without an exception when memory runs out.
 */
void *
rn_block_new(struct rn_state *state, size_t size);
/* NULL is fine. */
void
rn_block_free(struct rn_state *state, void *memory, size_t size);
/* rn_block_clear - at the module's end: keep nothing.  NULL is fine. */
void
rn_block_clear(struct rn_state *state);

/* ---- rn_py_batch.c: RouteBatch ---- */

/* rn_batch_take - a RouteBatch of what the channel has queued, at most max; the
 * channel's consumer only.  Runs no Python code and no garbage collection.
 * Return: NULL without an exception when nothing is queued; with one, memory
 * ran out and nothing was taken.
 */
PyObject *
rn_batch_take(struct rn_state *state, struct rn_channel *channel, uint64_t max,
              struct rn_space *space);
PyObject *
rn_batch_empty(struct rn_state *state, struct rn_space *space);

/* ---- rn_py_query.c: one-shot questions to the system ---- */

extern PyMethodDef rn_query_methods[];

/* rn_complete - the Route of a row as the system has it now.  Detaches; may
 * block as long as the system does.
 */
PyObject *
rn_complete(struct rn_state *state, PyObject *row);

/* rn_interface_object - the name of an interface, or None when the system
 * knows none.  Detaches.
 */
PyObject *
rn_interface_object(uint64_t luid, uint32_t index, struct rn_space *space);

/* rn_family_parse - AF_UNSPEC, AF_INET or AF_INET6 to 0, 4, 6 in *family.
 * The exception names call and argument as the caller knows them.
 */
int
rn_family_parse(struct rn_state *state, PyObject *object, const char *call,
                const char *name, int *family);

/* ---- rn_py_filter.c: a compiled RouteFilter ---- */

/* rn_filter_of - the compiled filter in a _routenotify.Filter: borrowed. */
struct rn_filter *
rn_filter_of(PyObject *object);

/* ---- rn_py_error.c: what failed, as a Python exception ---- */

/* All set an exception and return NULL, for `return rn_raise...(...)`. */
PyObject *
rn_raise(struct rn_state *state, const struct rn_fail *fail);
/* format: of PyUnicode_FromFormat, says which argument and why. */
PyObject *
rn_raise_parameter(struct rn_state *state, const char *call,
                   const char *format, ...);
PyObject *
rn_raise_code(struct rn_state *state, uint32_t code, const char *call,
              const char *format, ...);
PyObject *
rn_raise_closed(struct rn_state *state, uint32_t code, const char *call,
                const char *why);

extern PyMethodDef rn_error_methods[];

#endif
