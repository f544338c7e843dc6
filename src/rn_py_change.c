/* rn_py_change.c - RouteChange and Route: immutable rows, decoded on demand.
 *
 * Neither takes part in garbage collection.  They hold their type and a space:
 * that of a recording has a dict, but of names, which lead to no row.
 */
#include "rn_py_row.h"

#include <string.h>

/* ---- shared by both types ---- */

static void
row_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    rn_space_unref(rn_row_data(self)->space);
    PyObject_Free(self);
    Py_DECREF(type);
}

/* Compares `size` bytes from the row on; only a type's own kind is equal. */
static PyObject *
compare_bytes(PyObject *self, PyObject *other, int operation, size_t size)
{
    if ((operation != Py_EQ && operation != Py_NE) ||
        Py_TYPE(self) != Py_TYPE(other)) {
        return Py_NewRef(Py_NotImplemented);
    }
    int equal =
        memcmp(&rn_row_data(self)->row, &rn_row_data(other)->row, size) == 0;
    return PyBool_FromLong(equal == (operation == Py_EQ));
}

static PyObject *
raw_bytes(PyObject *self, void *size)
{
    return PyBytes_FromStringAndSize((const char *)&rn_row_data(self)->row,
                                     (Py_ssize_t)(uintptr_t)size);
}

/* __reduce__: the type called with its raw bytes.  A namespace cannot go with
 * them: the row that another process makes of them is of its caller's own.
 */
static PyObject *
reduce_bytes(PyObject *self, size_t size)
{
    return Py_BuildValue("(O(N))", (PyObject *)Py_TYPE(self),
                         raw_bytes(self, (void *)(uintptr_t)size));
}

/* type(raw): exactly `size` bytes, copied to `out`.  0, or -1 with ValueError
 * or TypeError.
 */
static int
parse_raw(PyObject *args, PyObject *kwargs, const char *name, void *out,
          size_t size)
{
    Py_buffer raw;
    if (kwargs != NULL && PyDict_Size(kwargs) != 0) {
        PyErr_Format(PyExc_TypeError, "%s takes no keyword arguments", name);
        return -1;
    }
    if (!PyArg_ParseTuple(args, "y*", &raw)) {
        return -1;
    }
    int fits = raw.len == (Py_ssize_t)size;
    if (fits) {
        memcpy(out, raw.buf, size);
    } else {
        PyErr_Format(PyExc_ValueError, "%s(raw): %zu bytes expected, got %zd",
                     name, size, raw.len);
    }
    PyBuffer_Release(&raw);
    return fits ? 0 : -1;
}

static PyObject *
complete_method(PyObject *self, PyObject *unused)
{
    (void)unused;
    return rn_complete(PyType_GetModuleState(Py_TYPE(self)), self);
}

#define COMPLETE_DOC                                                     \
    "complete($self, /)\n--\n\n"                                         \
    "The whole Route as the system has it now (GetIpForwardEntry2).\n\n" \
    "Raises:\n"                                                          \
    "    RouteNotFound: The system no longer has it.\n"                  \
    "    RouteNotifyError: The system refused."

/* ---- RouteChange ---- */

static PyObject *
change_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    struct rn_record row;
    if (parse_raw(args, kwargs, "RouteChange", &row, sizeof(row)) < 0 ||
        rn_row_check(&row) < 0) {
        return NULL;
    }
    return rn_change_new(type, &row, NULL);
}

static PyObject *
change_get_type(PyObject *self, void *closure)
{
    (void)closure;
    struct rn_state *state = PyType_GetModuleState(Py_TYPE(self));
    unsigned type = rn_row_data(self)->row.type;
    PyObject *member = type <= RN_RESYNC_END
                           ? state->held[RN_HELD_CHANGE_TYPE_0 + type]
                           : NULL;
    return member != NULL ? Py_NewRef(member) : PyLong_FromLong((long)type);
}

static PyObject *
change_get_type_name(PyObject *self, void *closure)
{
    (void)closure;
    return PyUnicode_FromString(rn_type_name(rn_row_data(self)->row.type));
}

static PyObject *
change_get_cause(PyObject *self, void *closure)
{
    (void)closure;
    return PyUnicode_InternFromString(
        rn_cause_name(rn_row_data(self)->row.cause));
}

static PyObject *
change_repr(PyObject *self)
{
    char text[RN_ROW_TEXT_SIZE];
    const struct rn_record *row = &rn_row_data(self)->row;
    rn_row_text(row, text);
    return PyUnicode_FromFormat(
        "<RouteChange %s%s%s cause %s #%llu>", rn_type_name(row->type),
        text[0] == '\0' ? "" : " ", text, rn_cause_name(row->cause),
        (unsigned long long)row->sequence);
}

static Py_hash_t
change_hash(PyObject *self)
{
    return rn_bytes_hash(&rn_row_data(self)->row, sizeof(struct rn_record));
}

static PyObject *
change_compare(PyObject *self, PyObject *other, int operation)
{
    return compare_bytes(self, other, operation, sizeof(struct rn_record));
}

static PyObject *
change_reduce(PyObject *self, PyObject *unused)
{
    (void)unused;
    return reduce_bytes(self, sizeof(struct rn_record));
}

/* Rows that the facade derives from a monitor's are of its system, too. */
static PyObject *
change_with(PyObject *self, PyObject *args)
{
    struct rn_record row;
    if (parse_raw(args, NULL, "RouteChange", &row, sizeof(row)) < 0 ||
        rn_row_check(&row) < 0) {
        return NULL;
    }
    return rn_change_new(Py_TYPE(self), &row, rn_row_data(self)->space);
}

static PyObject *
change_to_dict(PyObject *self, PyObject *unused)
{
    (void)unused;
    static const struct rn_dict_entry entries[] = {
        {"type", change_get_type_name, NULL},
        {"destination", rn_text_of_destination, NULL},
        {"next_hop", rn_text_of_next_hop, NULL},
        {"interface", rn_get_interface, NULL},
        {"interface_index", rn_get_number,
         RN_MEMBER(rn_record, interface_index, RN_RULE_NONZERO)},
        {"family", rn_text_of_family, NULL},
        {"table", rn_get_number, RN_MEMBER(rn_record, table, RN_RULE_TABLE)},
        {"protocol", rn_get_number,
         RN_MEMBER(rn_record, protocol, RN_RULE_SAID)},
        {"metric", rn_get_number, RN_MEMBER(rn_record, metric, RN_RULE_SAID)},
        {"route_type", rn_text_of_route_type, NULL},
        {"cause", change_get_cause, NULL},
        {"sequence", rn_get_number,
         RN_MEMBER(rn_record, sequence, RN_RULE_PLAIN)},
        {"merged", rn_get_number, RN_MEMBER(rn_record, merged, RN_RULE_PLAIN)},
        {"time_ns", rn_get_number,
         RN_MEMBER(rn_record, time_ns, RN_RULE_PLAIN)},
        {NULL, NULL, NULL},
    };
    return rn_dict_of(self, entries);
}

static PyGetSetDef change_getset[] = {
    RN_ROW_GETTERS,
    {"type", change_get_type, NULL, PyDoc_STR("The ChangeType."), NULL},
    {"cause", change_get_cause, NULL,
     PyDoc_STR("Why: \"system\", \"resync\", \"link-down\", ..."), NULL},
    RN_NUMBER("sequence", rn_record, sequence, RN_RULE_PLAIN,
              "Position in the monitor's stream, from 1."),
    RN_NUMBER("merged", rn_record, merged, RN_RULE_PLAIN,
              "How many changes this one stands for."),
    RN_NUMBER("time_ns", rn_record, time_ns, RN_RULE_PLAIN,
              "Wall clock of reception, nanoseconds since 1970."),
    {"raw", raw_bytes, NULL,
     PyDoc_STR("The record's 128 bytes, in this machine's byte order."),
     (void *)(uintptr_t)sizeof(struct rn_record)},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef change_methods[] = {
    {"complete", complete_method, METH_NOARGS, PyDoc_STR(COMPLETE_DOC)},
    {"to_dict", change_to_dict, METH_NOARGS,
     PyDoc_STR("to_dict($self, /)\n--\n\n"
               "What json.dumps() takes: names and addresses as strings, "
               "unknown as None.")},
    {"_with", change_with, METH_VARARGS,
     PyDoc_STR("_with($self, raw, /)\n--\n\n"
               "A RouteChange of other bytes, of the same system.")},
    RN_COPY_METHODS,
    {"__reduce__", change_reduce, METH_NOARGS,
     PyDoc_STR("__reduce__($self, /)\n--\n\nHelper for pickle.")},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(change_doc,
             "RouteChange(raw, /)\n--\n\n"
             "One change of one route, as a monitor delivers it.\n\n"
             "Immutable and hashable; equal when every byte is. What the "
             "system did not say is None.");

static PyType_Slot change_slots[] = {
    {Py_tp_doc, (void *)change_doc},
    {Py_tp_new, change_new},
    {Py_tp_dealloc, row_dealloc},
    {Py_tp_repr, change_repr},
    {Py_tp_hash, change_hash},
    {Py_tp_richcompare, change_compare},
    {Py_tp_methods, change_methods},
    {Py_tp_getset, change_getset},
    {0, NULL},
};

PyType_Spec rn_change_spec = {
    .name = "routenotify.RouteChange",
    .basicsize = sizeof(struct rn_row_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = change_slots,
};

/* ---- Route ---- */

static_assert(sizeof(struct rn_route) == 264, "no padding: compared as bytes");

static PyObject *
route_make(PyTypeObject *type, const struct rn_route *route,
           struct rn_space *space)
{
    struct rn_route_object *self = PyObject_New(struct rn_route_object, type);
    if (self == NULL) {
        return NULL;
    }
    self->data.space = rn_space_ref(space);
    self->data.route = *route;
    return (PyObject *)self;
}

PyObject *
rn_route_new(struct rn_state *state, const struct rn_route *route,
             struct rn_space *space)
{
    return route_make((PyTypeObject *)state->held[RN_HELD_ROUTE_TYPE], route,
                      space);
}

static PyObject *
route_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    struct rn_route route;
    if (parse_raw(args, kwargs, "Route", &route, sizeof(route)) < 0 ||
        rn_row_check(&route.row) < 0) {
        return NULL;
    }
    return route_make(type, &route, NULL);
}

/* RTAX_* of linux/rtnetlink.h, named as iproute2 does. */
static const char *const metric_names[RN_METRICS] = {
    NULL,         "lock",     "mtu",
    "window",     "rtt",      "rttvar",
    "ssthresh",   "cwnd",     "advmss",
    "reordering", "hoplimit", "initcwnd",
    "features",   "rto_min",  "initrwnd",
    "quickack",   NULL,       "fastopen_no_cookie",
};

static PyObject *
route_get_metrics(PyObject *self, void *closure)
{
    (void)closure;
    const struct rn_route *route = &rn_route_data(self)->route;
    PyObject *dict = PyDict_New();
    for (unsigned i = 0; dict != NULL && i < RN_METRICS; i++) {
        if ((route->metrics_mask & (1u << i)) == 0 ||
            metric_names[i] == NULL) {
            continue;
        }
        PyObject *value = PyLong_FromUnsignedLong(route->metrics[i]);
        if (value == NULL ||
            PyDict_SetItemString(dict, metric_names[i], value) < 0) {
            Py_CLEAR(dict);
        }
        Py_XDECREF(value);
    }
    return dict;
}

static PyObject *
route_get_congestion(PyObject *self, void *closure)
{
    (void)closure;
    const char *name = rn_route_data(self)->route.congestion;
    size_t length = 0;
    while (length < sizeof(rn_route_data(self)->route.congestion) &&
           name[length] != '\0') {
        length++;
    }
    if (length == 0) {
        return Py_NewRef(Py_None);
    }
    return PyUnicode_DecodeUTF8(name, (Py_ssize_t)length, "replace");
}

static PyObject *
route_repr(PyObject *self)
{
    char text[RN_ROW_TEXT_SIZE];
    rn_row_text(&rn_row_data(self)->row, text);
    return PyUnicode_FromFormat("<Route %s>", text);
}

static Py_hash_t
route_hash(PyObject *self)
{
    return rn_bytes_hash(&rn_row_data(self)->row, sizeof(struct rn_route));
}

static PyObject *
route_compare(PyObject *self, PyObject *other, int operation)
{
    return compare_bytes(self, other, operation, sizeof(struct rn_route));
}

static PyObject *
route_reduce(PyObject *self, PyObject *unused)
{
    (void)unused;
    return reduce_bytes(self, sizeof(struct rn_route));
}

static PyObject *
route_to_dict(PyObject *self, PyObject *unused)
{
    (void)unused;
    static const struct rn_dict_entry entries[] = {
        {"destination", rn_text_of_destination, NULL},
        {"next_hop", rn_text_of_next_hop, NULL},
        {"interface", rn_get_interface, NULL},
        {"interface_index", rn_get_number,
         RN_MEMBER(rn_record, interface_index, RN_RULE_NONZERO)},
        {"family", rn_text_of_family, NULL},
        {"table", rn_get_number, RN_MEMBER(rn_record, table, RN_RULE_TABLE)},
        {"protocol", rn_get_number,
         RN_MEMBER(rn_record, protocol, RN_RULE_SAID)},
        {"metric", rn_get_number, RN_MEMBER(rn_record, metric, RN_RULE_SAID)},
        {"route_type", rn_text_of_route_type, NULL},
        {"preferred_source", rn_text_of_preferred_source, NULL},
        {"source", rn_text_of_source, NULL},
        {"scope", rn_get_number, RN_MEMBER(rn_record, scope, RN_RULE_TABLE)},
        {"tos", rn_get_number, RN_MEMBER(rn_record, tos, RN_RULE_TABLE)},
        {"mtu", rn_get_number, RN_MEMBER(rn_record, mtu, RN_RULE_NONZERO)},
        {"weight", rn_get_weight, NULL},
        {"nexthop_id", rn_get_number,
         RN_MEMBER(rn_record, nexthop_id, RN_RULE_NONZERO)},
        {"flags", rn_get_number, RN_MEMBER(rn_record, flags, RN_RULE_PLAIN)},
        {"preference", rn_get_preference, NULL},
        {"metrics", route_get_metrics, NULL},
        {NULL, NULL, NULL},
    };
    return rn_dict_of(self, entries);
}

#define TRUTH(name, doc)                             \
    {                                                \
        #name, rn_get_truth, NULL, PyDoc_STR(doc),   \
            RN_MEMBER(rn_route, name, RN_RULE_PLAIN) \
    }

static PyGetSetDef route_getset[] = {
    RN_ROW_GETTERS,
    RN_NUMBER("expires_ns", rn_route, expires_ns, RN_RULE_NONZERO,
              "Time left in nanoseconds; None: for ever, or not said."),
    RN_NUMBER("valid_lifetime", rn_route, valid_lifetime, RN_RULE_KNOWN,
              "Seconds; None: for ever."),
    RN_NUMBER("preferred_lifetime", rn_route, preferred_lifetime,
              RN_RULE_KNOWN, "Seconds; None: for ever."),
    RN_NUMBER("age", rn_route, age, RN_RULE_PLAIN,
              "Seconds since it was made or changed; 0 when not said."),
    RN_NUMBER("origin", rn_route, origin, RN_RULE_KNOWN,
              "NL_ROUTE_ORIGIN: 0 manual, 2 DHCP, ...; None: not said."),
    RN_NUMBER("realms", rn_route, realms, RN_RULE_NONZERO,
              "Linux: from realm << 16 | to realm, or None."),
    RN_NUMBER("route_flags", rn_route, route_flags, RN_RULE_PLAIN,
              "Linux: RTM_F_* of the entry."),
    {"metrics", route_get_metrics, NULL,
     PyDoc_STR("Linux: {\"mtu\": ..., \"advmss\": ...}, what was said."),
     NULL},
    RN_NUMBER("effective_metric", rn_route, effective_metric, RN_RULE_KNOWN,
              "The metric with the interface's added, or None."),
    {"congestion", route_get_congestion, NULL,
     PyDoc_STR("Linux: congestion control algorithm, or None."), NULL},
    RN_NUMBER("encap_type", rn_route, encap_type, RN_RULE_NONZERO,
              "Linux: LWTUNNEL_ENCAP_* of the next hop, or None."),
    RN_NUMBER("site_prefix_length", rn_route, site_prefix_length,
              RN_RULE_PLAIN, "Windows: SitePrefixLength; Linux: 0."),
    TRUTH(loopback, "Does the route lead to this computer?"),
    TRUTH(autoconfigure, "Windows: AutoconfigureAddress."),
    TRUTH(publish, "Windows: is it announced to others?"),
    TRUTH(immortal, "Windows: does it live for ever?"),
    {"raw", raw_bytes, NULL,
     PyDoc_STR("The route's 264 bytes, in this machine's byte order."),
     (void *)(uintptr_t)sizeof(struct rn_route)},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef route_methods[] = {
    {"complete", complete_method, METH_NOARGS, PyDoc_STR(COMPLETE_DOC)},
    {"to_dict", route_to_dict, METH_NOARGS,
     PyDoc_STR("to_dict($self, /)\n--\n\n"
               "What json.dumps() takes: addresses as strings, unknown as "
               "None.")},
    RN_COPY_METHODS,
    {"__reduce__", route_reduce, METH_NOARGS,
     PyDoc_STR("__reduce__($self, /)\n--\n\nHelper for pickle.")},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(route_doc,
             "Route(raw, /)\n--\n\n"
             "A complete entry of the table (MIB_IPFORWARD_ROW2 and what "
             "Linux adds).\n\nImmutable and hashable.");

static PyType_Slot route_slots[] = {
    {Py_tp_doc, (void *)route_doc},
    {Py_tp_new, route_new},
    {Py_tp_dealloc, row_dealloc},
    {Py_tp_repr, route_repr},
    {Py_tp_hash, route_hash},
    {Py_tp_richcompare, route_compare},
    {Py_tp_methods, route_methods},
    {Py_tp_getset, route_getset},
    {0, NULL},
};

PyType_Spec rn_route_spec = {
    .name = "routenotify.Route",
    .basicsize = sizeof(struct rn_route_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = route_slots,
};
