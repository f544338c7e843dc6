/* rn_py_filter.c - Filter: a RouteFilter compiled for the provider.
 *
 * Takes no part in garbage collection: it holds no Python object but its type,
 * which outlives it.  Immutable.
 */
#include "rn_py.h"

#include <string.h>

struct filter_object {
    PyObject_HEAD struct rn_filter *filter;
};

struct rn_filter *
rn_filter_of(PyObject *object)
{
    return ((struct filter_object *)object)->filter;
}

static PyObject *
filter_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"program", NULL};
    struct rn_state *state = rn_state_of(type);
    const char *bytes;
    Py_ssize_t size;
    const char *why;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "y#:Filter", names, &bytes,
                                     &size)) {
        return NULL;
    }
    struct filter_object *self = PyObject_New(struct filter_object, type);
    if (self == NULL) {
        return NULL;
    }
    self->filter = rn_filter_new(bytes, (size_t)size, &why);
    if (self->filter == NULL) {
        Py_DECREF(self);
        return why == NULL
                   ? PyErr_NoMemory()
                   : rn_raise_parameter(state, "RouteFilter", "%s", why);
    }
    return (PyObject *)self;
}

static void
filter_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    rn_filter_unref(rn_filter_of(self));
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyObject *
filter_matches(PyObject *self, PyObject *row)
{
    struct rn_state *state = rn_state_of(Py_TYPE(self));
    const struct rn_filter *filter = rn_filter_of(self);

    if ((PyObject *)Py_TYPE(row) == state->held[RN_HELD_CHANGE_TYPE]) {
        const struct rn_record *record = &rn_row_data(row)->row;
        return PyBool_FromLong(record->type > RN_DELETE ||
                               rn_filter_match(filter, record));
    }
    if ((PyObject *)Py_TYPE(row) == state->held[RN_HELD_ROUTE_TYPE]) {
        return PyBool_FromLong(
            rn_filter_has_row(filter, &rn_row_data(row)->row));
    }
    PyErr_Format(PyExc_TypeError,
                 "matches(row): RouteChange or Route expected, got %R", row);
    return NULL;
}

static PyObject *
filter_get_program(PyObject *self, void *closure)
{
    (void)closure;
    struct rn_instruction *program =
        PyMem_Malloc(RN_PROGRAM_MAX * sizeof(*program));
    if (program == NULL) {
        return PyErr_NoMemory();
    }
    size_t count = rn_filter_program(rn_filter_of(self), program);
    PyObject *bytes = PyBytes_FromStringAndSize(
        (const char *)program, (Py_ssize_t)(count * sizeof(*program)));
    PyMem_Free(program);
    return bytes;
}

static PyObject *
list_of_terms(const struct rn_filter *filter, const uint8_t *used)
{
    PyObject *list = PyList_New(0);
    for (uint32_t i = 0; list != NULL && i < filter->count; i++) {
        const struct rn_filter_node *node = &filter->nodes[i];
        if (node->op == RN_FILTER_ALL || node->op == RN_FILTER_ANY ||
            node->op == RN_FILTER_NOT) {
            continue;
        }
        PyObject *bits = PyLong_FromLong(used[i] | node->in_kernel << 2);
        if (bits == NULL || PyList_Append(list, bits) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(bits);
    }
    return list;
}

static PyObject *
filter_get_in_kernel(PyObject *self, void *closure)
{
    (void)closure;
    const struct rn_filter *filter = rn_filter_of(self);
    uint8_t *used = PyMem_Calloc(filter->count, 1);
    if (used == NULL) {
        return PyErr_NoMemory();
    }
    rn_filter_used(filter, used);
    PyObject *list = list_of_terms(filter, used);
    PyMem_Free(used);
    return list;
}

static PyObject *
filter_get_families(PyObject *self, void *closure)
{
    (void)closure;
    const struct rn_filter *filter = rn_filter_of(self);
    return Py_BuildValue("(ii)", rn_filter_family(filter, 0, 0, 4),
                         rn_filter_family(filter, 0, 0, 6));
}

static PyGetSetDef filter_getset[] = {
    {"program", filter_get_program, NULL,
     PyDoc_STR("What the kernel would run: struct sock_filter, one after "
               "another; empty: nothing."),
     NULL},
    {"in_kernel", filter_get_in_kernel, NULL,
     PyDoc_STR("Bits of each term in order: 1, 2: it decides for IPv4, IPv6; "
               "4: it could."),
     NULL},
    {"families", filter_get_families, NULL,
     PyDoc_STR("What the kernel knows of all IPv4, all IPv6 routes: 0: none "
               "matches, 1:\nany may, -1: that depends on the route."),
     NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef filter_methods[] = {
    {"matches", filter_matches, METH_O,
     PyDoc_STR("matches($self, row, /)\n--\n\n"
               "Would a monitor deliver this RouteChange, or this Route if it "
               "changed?")},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(filter_doc, "Filter(program)\n--\n\n"
                         "A compiled filter; routenotify.RouteFilter makes "
                         "them.");

static PyType_Slot filter_slots[] = {
    {Py_tp_doc, (void *)filter_doc}, {Py_tp_new, filter_new},
    {Py_tp_dealloc, filter_dealloc}, {Py_tp_methods, filter_methods},
    {Py_tp_getset, filter_getset},   {0, NULL},
};

PyType_Spec rn_filter_spec = {
    .name = "routenotify._routenotify.Filter",
    .basicsize = sizeof(struct filter_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = filter_slots,
};
