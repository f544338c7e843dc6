/* rn_py_tally.c - Tally: rn_tally.h for the commands that show a flood. */
#include "rn_py.h"

#include <stddef.h>
#include <string.h>

#include "rn_tally.h"

#define LIMIT 500000
#define LIMIT_MAX (1 << 26)
#define TOP_MAX 10000

struct tally_object {
    PyObject_HEAD struct rn_tally tally;
};

static struct rn_tally *
tally_of(PyObject *self)
{
    return &((struct tally_object *)self)->tally;
}

static PyObject *
tally_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"limit", NULL};
    long limit = LIMIT;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$l:Tally", names,
                                     &limit)) {
        return NULL;
    }
    if (limit < 2 || limit > LIMIT_MAX) {
        return PyErr_Format(PyExc_ValueError,
                            "Tally(limit=%ld): 2 to %d expected", limit,
                            LIMIT_MAX);
    }
    PyObject *self = PyType_GenericAlloc(type, 0);
    if (self != NULL) {
        rn_tally_init(tally_of(self), (uint32_t)limit);
    }
    return self;
}

static void
tally_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    rn_tally_clear(tally_of(self));
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static PyObject *
tally_add(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"records", "now_ns", NULL};
    Py_buffer records;
    long long now_ns = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "y*|L:add", names, &records,
                                     &now_ns)) {
        return NULL;
    }
    size_t length = (size_t)records.len;
    int failed = 0;
    if (length % sizeof(struct rn_record) == 0) {
        RN_BEGIN_TURN(self)
        failed = rn_tally_add(tally_of(self), records.buf,
                              length / sizeof(struct rn_record), now_ns);
        RN_END_TURN()
    }
    PyBuffer_Release(&records);
    if (length % sizeof(struct rn_record) != 0) {
        return PyErr_Format(PyExc_ValueError,
                            "Tally.add: %zu bytes are no whole number of "
                            "records of %zu bytes",
                            length, sizeof(struct rn_record));
    }
    return failed ? PyErr_NoMemory() : Py_NewRef(Py_None);
}

/* ---- what was counted ---- */

static PyObject *
kind_object(const struct rn_tally_entry *entry)
{
    return Py_BuildValue("(BIHIKKK)", entry->key.ip_version, entry->key.table,
                         entry->key.protocol, entry->key.interface_index,
                         entry->counts[RN_ADD], entry->counts[RN_DELETE],
                         entry->counts[RN_PARAMETER]);
}

/* Append a new reference, which is consumed.  0, or -1 with an exception. */
static int
append(PyObject *list, PyObject *item)
{
    int failed = item == NULL ? -1 : PyList_Append(list, item);
    Py_XDECREF(item);
    return failed;
}

static PyObject *
tally_kinds(PyObject *self, PyObject *unused)
{
    (void)unused;
    PyObject *list = PyList_New(0);
    int failed = list == NULL;
    RN_BEGIN_TURN(self)
    const struct rn_tally_map *map = &tally_of(self)->kinds;
    for (uint32_t i = 0; !failed && i < map->used; i++) {
        failed = append(list, kind_object(&map->entries[i]));
    }
    RN_END_TURN()
    if (failed) {
        Py_CLEAR(list);
    }
    return list;
}

static PyObject *
destination_object(const struct rn_tally_entry *entry)
{
    char text[RN_TEXT_SIZE];
    int length = rn_text_prefix(entry->key.ip_version, entry->key.destination,
                                entry->key.prefix_length, text);
    return Py_BuildValue("(s#IKKKKL)", text, (Py_ssize_t)length,
                         entry->key.table, entry->counts[RN_ADD],
                         entry->counts[RN_DELETE], entry->counts[RN_PARAMETER],
                         rn_tally_flaps(entry), entry->last_ns);
}

static int
parse_order(const char *name, enum rn_tally_order *order)
{
    static const char *const names[RN_TALLY_ORDERS] = {
        "changes", "flaps", "adds", "deletes", "time"};
    for (int i = 0; i < RN_TALLY_ORDERS; i++) {
        if (strcmp(name, names[i]) == 0) {
            *order = (enum rn_tally_order)i;
            return 0;
        }
    }
    PyErr_Format(PyExc_ValueError,
                 "Tally.top(order='%s'): changes, flaps, adds, deletes or "
                 "time expected",
                 name);
    return -1;
}

/* In the object's turn: the entries are read while they stand still. */
static PyObject *
top_list(const struct rn_tally *tally, enum rn_tally_order order,
         const struct rn_tally_entry **found, size_t count)
{
    PyObject *list = PyList_New(0);
    count = rn_tally_top(tally, order, count, found);
    for (size_t i = 0; list != NULL && i < count; i++) {
        if (append(list, destination_object(found[i])) < 0) {
            Py_CLEAR(list);
        }
    }
    return list;
}

static PyObject *
tally_top(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"count", "order", NULL};
    Py_ssize_t count;
    const char *name = "changes";
    enum rn_tally_order order;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "n|s:top", names, &count,
                                     &name) ||
        parse_order(name, &order) < 0) {
        return NULL;
    }
    if (count < 0 || count > TOP_MAX) {
        return PyErr_Format(PyExc_ValueError,
                            "Tally.top(count=%zd): 0 to %d expected", count,
                            TOP_MAX);
    }
    const struct rn_tally_entry **found =
        PyMem_Calloc((size_t)count + 1, sizeof(*found));
    if (found == NULL) {
        return PyErr_NoMemory();
    }
    PyObject *list;
    RN_BEGIN_TURN(self)
    list = top_list(tally_of(self), order, found, (size_t)count);
    RN_END_TURN()
    PyMem_Free((void *)found);
    return list;
}

static PyObject *
tally_clear(PyObject *self, PyObject *unused)
{
    (void)unused;
    RN_BEGIN_TURN(self)
    rn_tally_clear(tally_of(self));
    RN_END_TURN()
    return Py_NewRef(Py_None);
}

static PyObject *
tally_delays(PyObject *self, void *closure)
{
    (void)closure;
    PyObject *list = PyList_New(0);
    int failed = list == NULL;
    RN_BEGIN_TURN(self)
    const struct rn_tally *tally = tally_of(self);
    for (size_t i = 0; !failed && i < RN_TALLY_BOUNDS; i++) {
        failed =
            append(list, Py_BuildValue("(LK)", rn_tally_bounds_ns[i],
                                       (unsigned long long)tally->delays[i]));
    }
    if (!failed) {
        failed = append(
            list,
            Py_BuildValue("(OK)", Py_None,
                          (unsigned long long)tally->delays[RN_TALLY_BOUNDS]));
    }
    RN_END_TURN()
    if (failed) {
        Py_CLEAR(list);
    }
    return list;
}

static PyObject *
tally_number(PyObject *self, void *closure)
{
    const char *base = (const char *)tally_of(self);
    uint64_t number;
    RN_BEGIN_TURN(self)
    number = *(const uint64_t *)(const void *)(base + (uintptr_t)closure);
    RN_END_TURN()
    return PyLong_FromUnsignedLongLong(number);
}

static PyObject *
tally_destinations(PyObject *self, void *closure)
{
    (void)closure;
    uint32_t used;
    RN_BEGIN_TURN(self)
    used = tally_of(self)->destinations.used;
    RN_END_TURN()
    return PyLong_FromUnsignedLong(used);
}

#define TALLY_NUMBER(name, doc)                     \
    {                                               \
        #name, tally_number, NULL, PyDoc_STR(doc),  \
            (void *)offsetof(struct rn_tally, name) \
    }

static PyGetSetDef tally_getset[] = {
    {"destinations", tally_destinations, NULL,
     PyDoc_STR("How many destinations are told apart now."), NULL},
    TALLY_NUMBER(forgotten, "Destinations dropped at the limit."),
    TALLY_NUMBER(merged, "Changes that others stand for."),
    TALLY_NUMBER(delay_sum_ns, "Sum of all delays in nanoseconds."),
    {"delays", tally_delays, NULL,
     PyDoc_STR("(upper bound in nanoseconds or None, count) of the delays."),
     NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef tally_methods[] = {
    {"add", (PyCFunction)(void (*)(void))tally_add,
     METH_VARARGS | METH_KEYWORDS,
     PyDoc_STR("add($self, /, records, now_ns=0)\n--\n\n"
               "Count records: any buffer of them.")},
    {"kinds", tally_kinds, METH_NOARGS,
     PyDoc_STR("kinds($self, /)\n--\n\n"
               "(ip_version, table, protocol, interface_index, adds, deletes, "
               "parameters) of each.")},
    {"top", (PyCFunction)(void (*)(void))tally_top,
     METH_VARARGS | METH_KEYWORDS,
     PyDoc_STR("top($self, /, count, order='changes')\n--\n\n"
               "(destination, table, adds, deletes, parameters, flaps, "
               "last_ns) of the first.")},
    {"clear", tally_clear, METH_NOARGS,
     PyDoc_STR("clear($self, /)\n--\n\nForget all.")},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(tally_doc, "Tally(*, limit=500000)\n--\n\n"
                        "Counts changes by destination and by kind, without "
                        "an object per change.");

static PyType_Slot tally_slots[] = {
    {Py_tp_doc, (void *)tally_doc}, {Py_tp_new, tally_new},
    {Py_tp_dealloc, tally_dealloc}, {Py_tp_methods, tally_methods},
    {Py_tp_getset, tally_getset},   {0, NULL},
};

PyType_Spec rn_tally_spec = {
    .name = "routenotify._routenotify.Tally",
    .basicsize = sizeof(struct tally_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = tally_slots,
};
