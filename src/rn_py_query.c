/* rn_py_query.c - one-shot questions: the table, one entry, the best route,
 * the name of an interface.
 *
 * Each may block as long as the system does, so each detaches from the
 * interpreter around the provider's call and copies what that call needs.
 */
#include "rn_py.h"

#include <string.h>

int
rn_family_parse(struct rn_state *state, PyObject *object, const char *call,
                const char *name, int *family)
{
    static const struct {
        enum rn_held held;
        int ip_version;
    } known[] = {
        {RN_HELD_AF_UNSPEC, 0}, {RN_HELD_AF_INET, 4}, {RN_HELD_AF_INET6, 6}};
    for (int i = 0; PyLong_Check(object) && !PyBool_Check(object) && i < 3;
         i++) {
        int equal = PyObject_RichCompareBool(
            object, state->held[known[i].held], Py_EQ);
        if (equal < 0) {
            return -1;
        }
        if (equal) {
            *family = known[i].ip_version;
            return 0;
        }
    }
    (void)rn_raise_parameter(
        state, call,
        "%s=%R is none of AF_UNSPEC, AF_INET and AF_INET6 (%S, %S, %S)", name,
        object, state->held[RN_HELD_AF_UNSPEC], state->held[RN_HELD_AF_INET],
        state->held[RN_HELD_AF_INET6]);
    return -1;
}

/* Not by a borrowed reference: the feeder's thread may replace the name. */
static PyObject *
check_family(PyObject *module, PyObject *args)
{
    PyObject *object;
    const char *name;
    const char *call;
    int family;
    if (!PyArg_ParseTuple(args, "Oss:check_family", &object, &name, &call) ||
        rn_family_parse(rn_module_state(module), object, call, name, &family) <
            0) {
        return NULL;
    }
    return Py_NewRef(Py_None);
}

static PyObject *
recorded_name(uint32_t index, PyObject *names)
{
    PyObject *key = PyLong_FromUnsignedLong(index);
    PyObject *name = key == NULL ? NULL : PyObject_GetItem(names, key);
    Py_XDECREF(key);
    if (name == NULL && PyErr_ExceptionMatches(PyExc_KeyError)) {
        PyErr_Clear();
        return Py_NewRef(Py_None);
    }
    return name;
}

PyObject *
rn_interface_object(uint64_t luid, uint32_t index, struct rn_space *space)
{
    char name[1024]; /* Windows: 256 UTF-16 units are at most 768 bytes */
    struct rn_fail fail;
    int failed = -1;
    if (rn_space_names(space) != NULL) {
        return recorded_name(index, rn_space_names(space));
    }
    if ((luid != 0 || index != 0) && !rn_space_is_gone(space)) {
        int fd = rn_space_names_fd(space);
        RN_DETACH()
        failed = rn_interface_name(luid, index, fd, name, sizeof(name), &fail);
        RN_ATTACH()
    }
    if (failed) {
        return Py_NewRef(Py_None);
    }
    return PyUnicode_DecodeUTF8(name, (Py_ssize_t)strlen(name),
                                "surrogateescape");
}

/* What "no such entry" looks like; Windows says 2 for an interface that is
 * gone with its routes.
 */
static PyObject *
raise_query(struct rn_state *state, struct rn_fail *fail)
{
    if (fail->code == RN_ERROR_FILE_NOT_FOUND) {
        fail->code = RN_ERROR_NOT_FOUND;
    }
    return rn_raise(state, fail);
}

PyObject *
rn_complete(struct rn_state *state, PyObject *row)
{
    struct rn_row_data *data = rn_row_data(row);
    struct rn_record record = data->row;
    if (record.ip_version == 0) {
        return rn_raise_parameter(state, "GetIpForwardEntry2",
                                  "%R names no row", row);
    }
    if (rn_space_names(data->space) != NULL) {
        return rn_raise_code(state, RN_ERROR_NOT_SUPPORTED,
                             "GetIpForwardEntry2",
                             "a recording has no system to ask");
    }
    if (rn_space_is_gone(data->space)) {
        return rn_raise_code(state, RN_ERROR_NOT_FOUND, "GetIpForwardEntry2",
                             "the network namespace was removed");
    }
    struct rn_space *space = rn_space_ref(data->space);
    struct rn_route route;
    struct rn_fail fail;
    int failed;
    RN_DETACH()
    failed = rn_entry_get(&record, rn_space_fd(space), &route, &fail);
    RN_ATTACH()
    PyObject *result = failed ? raise_query(state, &fail)
                              : rn_route_new(state, &route, space);
    rn_space_unref(space);
    return result;
}

static PyObject *
complete(PyObject *module, PyObject *row)
{
    struct rn_state *state = rn_module_state(module);
    if ((PyObject *)Py_TYPE(row) != state->held[RN_HELD_CHANGE_TYPE] &&
        (PyObject *)Py_TYPE(row) != state->held[RN_HELD_ROUTE_TYPE]) {
        PyErr_Format(PyExc_TypeError,
                     "complete(row): RouteChange or Route expected, got %R",
                     row);
        return NULL;
    }
    return rn_complete(state, row);
}

/* *space gets NULL for netns_fd -1. */
static int
space_of_fd(struct rn_state *state, int netns_fd, struct rn_space **space)
{
    *space = NULL;
    if (netns_fd < 0) {
        return 0;
    }
    *space = rn_space_new(state, netns_fd);
    return *space == NULL ? -1 : 0;
}

static PyObject *
list_of_table(struct rn_state *state, const struct rn_table *table,
              struct rn_space *space)
{
    PyObject *list = PyList_New((Py_ssize_t)table->count);
    for (size_t i = 0; list != NULL && i < table->count; i++) {
        PyObject *route = rn_route_new(state, &table->routes[i], space);
        if (route == NULL) {
            Py_CLEAR(list);
        } else {
            (void)PyList_SetItem(list, (Py_ssize_t)i, route);
        }
    }
    return list;
}

static PyObject *
table(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"family", "netns_fd", NULL};
    struct rn_state *state = rn_module_state(module);
    PyObject *family_object = state->held[RN_HELD_AF_UNSPEC];
    int netns_fd = -1;
    int family;
    struct rn_space *space;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|Oi:table", names,
                                     &family_object, &netns_fd) ||
        rn_family_parse(state, family_object, "routes", "family", &family) <
            0 ||
        space_of_fd(state, netns_fd, &space) < 0) {
        return NULL;
    }
    struct rn_table *rows = NULL;
    struct rn_fail fail;
    int failed;
    RN_DETACH()
    failed = rn_table_get(family, rn_space_fd(space), &rows, &fail);
    RN_ATTACH()
    PyObject *result =
        failed ? rn_raise(state, &fail) : list_of_table(state, rows, space);
    rn_table_free(rows);
    rn_space_unref(space);
    return result;
}

struct best_question {
    int ip_version;
    uint8_t address[16];
    uint8_t source[16];
    int has_source;
    unsigned interface_index;
};

/* Packed address, 4 or 16 bytes; *ip_version is set, or must match. */
static int
packed_address(const Py_buffer *packed, uint8_t out[16], int *ip_version)
{
    int version = packed->len == 4 ? 4 : packed->len == 16 ? 6 : 0;
    if (version == 0 || (*ip_version != 0 && *ip_version != version)) {
        PyErr_SetString(PyExc_ValueError,
                        "packed addresses of one family expected");
        return -1;
    }
    memset(out, 0, 16);
    memcpy(out, packed->buf, (size_t)packed->len);
    *ip_version = version;
    return 0;
}

static int
best_parse(PyObject *args, PyObject *kwargs, struct best_question *question,
           int *netns_fd)
{
    static char *names[] = {"address", "source", "interface_index", "netns_fd",
                            NULL};
    Py_buffer address;
    Py_buffer source = {.buf = NULL};
    memset(question, 0, sizeof(*question));
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "y*|z*Ii:best_route", names,
                                     &address, &source,
                                     &question->interface_index, netns_fd)) {
        return -1;
    }
    int result =
        packed_address(&address, question->address, &question->ip_version);
    if (result == 0 && source.buf != NULL) {
        question->has_source = 1;
        result =
            packed_address(&source, question->source, &question->ip_version);
    }
    PyBuffer_Release(&address);
    if (source.obj != NULL) {
        PyBuffer_Release(&source);
    }
    return result;
}

/* GetBestRoute2 answers with a row and a source address; here the address is
 * the row's own when the row names none.
 */
static PyObject *
best_result(struct rn_state *state, struct rn_route *route,
            const uint8_t best_source[16], struct rn_space *space)
{
    static const uint8_t zero[16];
    if (memcmp(route->row.prefsrc, zero, 16) == 0) {
        memcpy(route->row.prefsrc, best_source, 16);
    }
    return rn_route_new(state, route, space);
}

static PyObject *
best_route(PyObject *module, PyObject *args, PyObject *kwargs)
{
    struct rn_state *state = rn_module_state(module);
    struct best_question question;
    int netns_fd = -1;
    struct rn_space *space;
    if (best_parse(args, kwargs, &question, &netns_fd) < 0 ||
        space_of_fd(state, netns_fd, &space) < 0) {
        return NULL;
    }
    struct rn_route route;
    uint8_t best_source[16] = {0};
    struct rn_fail fail;
    int failed;
    RN_DETACH()
    failed = rn_best_route(question.ip_version, question.address,
                           question.has_source ? question.source : NULL,
                           question.interface_index, rn_space_fd(space),
                           &route, best_source, &fail);
    RN_ATTACH()
    PyObject *result = failed ? raise_query(state, &fail)
                              : best_result(state, &route, best_source, space);
    rn_space_unref(space);
    return result;
}

static PyObject *
interface_name(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"index", "luid", "netns_fd", NULL};
    struct rn_state *state = rn_module_state(module);
    unsigned index;
    unsigned long long luid = 0;
    int netns_fd = -1;
    struct rn_space *space;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "I|Ki:interface_name",
                                     names, &index, &luid, &netns_fd) ||
        space_of_fd(state, netns_fd, &space) < 0) {
        return NULL;
    }
    PyObject *name = rn_interface_object(luid, index, space);
    rn_space_unref(space);
    return name;
}

static PyObject *
interface_index(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"name", "netns_fd", NULL};
    struct rn_state *state = rn_module_state(module);
    PyObject *name; /* bytes: may hold no NUL */
    int netns_fd = -1;
    struct rn_space *space;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O&|i:interface_index",
                                     names, PyUnicode_FSConverter, &name,
                                     &netns_fd)) {
        return NULL;
    }
    if (space_of_fd(state, netns_fd, &space) < 0) {
        Py_DECREF(name);
        return NULL;
    }
    uint32_t index = 0;
    struct rn_fail fail;
    int failed;
    const char *text = PyBytes_AsString(name);
    RN_DETACH()
    failed = rn_interface_index(text, rn_space_names_fd(space), &index, &fail);
    RN_ATTACH()
    Py_DECREF(name);
    rn_space_unref(space);
    return failed ? raise_query(state, &fail) : PyLong_FromUnsignedLong(index);
}

PyDoc_STRVAR(check_family_doc,
             "check_family($module, family, name, call, /)\n--\n\n"
             "Refuse what is none, in the words of a call that names its "
             "argument otherwise.");
PyDoc_STRVAR(table_doc, "table($module, /, family=0, netns_fd=-1)\n--\n\n"
                        "Every route of the family now, as a list of Route.");
PyDoc_STRVAR(best_route_doc,
             "best_route($module, /, address, source=None, "
             "interface_index=0, netns_fd=-1)\n--\n\n"
             "The Route the system takes to a packed address; its "
             "preferred_source is the\naddress it would send from.");
PyDoc_STRVAR(complete_doc, "complete($module, row, /)\n--\n\n"
                           "The whole Route of a RouteChange or Route, now.");
PyDoc_STRVAR(interface_name_doc,
             "interface_name($module, /, index, luid=0, netns_fd=-1)\n--\n\n"
             "The interface's name now, or None.");

PyDoc_STRVAR(interface_index_doc,
             "interface_index($module, /, name, netns_fd=-1)\n--\n\n"
             "The number of the interface that has this name now.");

PyMethodDef rn_query_methods[] = {
    {"check_family", check_family, METH_VARARGS, check_family_doc},
    {"table", (PyCFunction)(void (*)(void))table, METH_VARARGS | METH_KEYWORDS,
     table_doc},
    {"best_route", (PyCFunction)(void (*)(void))best_route,
     METH_VARARGS | METH_KEYWORDS, best_route_doc},
    {"complete", complete, METH_O, complete_doc},
    {"interface_name", (PyCFunction)(void (*)(void))interface_name,
     METH_VARARGS | METH_KEYWORDS, interface_name_doc},
    {"interface_index", (PyCFunction)(void (*)(void))interface_index,
     METH_VARARGS | METH_KEYWORDS, interface_index_doc},
    {NULL, NULL, 0, NULL},
};
