/* rn_py_row.c - the attributes of a row as Python objects, made when asked. */
#include "rn_py_row.h"

#include <stdio.h>
#include <string.h>

static inline PyObject *
none(void)
{
    return Py_NewRef(Py_None); /* Py_RETURN_NONE loses a reference on 3.11
                                * when built with newer headers */
}

static inline const struct rn_record *
row_of(PyObject *self)
{
    return &rn_row_data(self)->row;
}

/* Both types are final, so the type at hand is the module's own. */
static inline struct rn_state *
state_of(PyObject *self)
{
    return PyType_GetModuleState(Py_TYPE(self));
}

static uint64_t
load(const unsigned char *at, unsigned size)
{
    uint64_t u64;
    uint32_t u32;
    uint16_t u16;
    switch (size) {
    case 1:
        return *at;
    case 2:
        memcpy(&u16, at, sizeof(u16));
        return u16;
    case 4:
        memcpy(&u32, at, sizeof(u32));
        return u32;
    default:
        memcpy(&u64, at, sizeof(u64));
        return u64;
    }
}

static uint64_t
load_member(PyObject *self, void *closure)
{
    uintptr_t member = (uintptr_t)closure;
    const unsigned char *base = (const unsigned char *)row_of(self);
    return load(base + (member & 0xffff), (unsigned)(member >> 16) & 0xff);
}

PyObject *
rn_get_number(PyObject *self, void *closure)
{
    uint64_t value = load_member(self, closure);
    enum rn_rule rule = (enum rn_rule)((uintptr_t)closure >> 24);
    if ((rule == RN_RULE_SAID && !rn_said(row_of(self))) ||
        (rule == RN_RULE_TABLE && !rn_said_table(row_of(self))) ||
        (rule == RN_RULE_NONZERO && value == 0) ||
        (rule == RN_RULE_KNOWN && value == RN_UNKNOWN32)) {
        return none();
    }
    return PyLong_FromUnsignedLongLong(value);
}

PyObject *
rn_get_truth(PyObject *self, void *closure)
{
    return PyBool_FromLong(load_member(self, closure) != 0);
}

PyObject *
rn_address_object(struct rn_state *state, int ip_version, const uint8_t *bytes)
{
    PyObject *type = state->held[ip_version == 4 ? RN_HELD_IPV4_ADDRESS
                                                 : RN_HELD_IPV6_ADDRESS];
    return PyObject_CallFunction(type, "y#", (const char *)bytes,
                                 (Py_ssize_t)(ip_version == 4 ? 4 : 16));
}

static PyObject *
network_object(PyObject *self, const uint8_t *bytes, int length)
{
    int ip_version = row_of(self)->ip_version;
    PyObject *type =
        state_of(self)->held[ip_version == 4 ? RN_HELD_IPV4_NETWORK
                                             : RN_HELD_IPV6_NETWORK];
    return PyObject_CallFunction(type, "(y#i)i", (const char *)bytes,
                                 (Py_ssize_t)(ip_version == 4 ? 4 : 16),
                                 length, 0);
}

PyObject *
rn_get_destination(PyObject *self, void *closure)
{
    (void)closure;
    const struct rn_record *row = row_of(self);
    if (row->ip_version == 0) {
        return none();
    }
    return network_object(self, row->destination, row->prefix_length);
}

PyObject *
rn_get_source(PyObject *self, void *closure)
{
    (void)closure;
    const struct rn_record *row = row_of(self);
    if (!rn_has_source(row)) {
        return none();
    }
    return network_object(self, row->source, row->source_length);
}

PyObject *
rn_get_next_hop(PyObject *self, void *closure)
{
    (void)closure;
    const struct rn_record *row = row_of(self);
    if (row->next_hop_version == 0) {
        return none();
    }
    return rn_address_object(state_of(self), row->next_hop_version,
                             row->next_hop);
}

PyObject *
rn_get_preferred_source(PyObject *self, void *closure)
{
    (void)closure;
    const struct rn_record *row = row_of(self);
    if (!rn_has_prefsrc(row)) {
        return none();
    }
    return rn_address_object(state_of(self), row->ip_version, row->prefsrc);
}

PyObject *
rn_get_interface(PyObject *self, void *closure)
{
    (void)closure;
    const struct rn_row_data *data = rn_row_data(self);
    return rn_interface_object(data->row.interface_luid,
                               data->row.interface_index, data->space);
}

PyObject *
rn_get_family(PyObject *self, void *closure)
{
    (void)closure;
    int ip_version = row_of(self)->ip_version;
    enum rn_held held = ip_version == 4   ? RN_HELD_AF_INET
                        : ip_version == 6 ? RN_HELD_AF_INET6
                                          : RN_HELD_AF_UNSPEC;
    return Py_NewRef(state_of(self)->held[held]);
}

PyObject *
rn_get_route_type(PyObject *self, void *closure)
{
    (void)closure;
    const struct rn_record *row = row_of(self);
    if (!rn_said_table(row)) {
        return none();
    }
    if (RN_HELD_ROUTE_TYPE_0 + row->route_type < RN_HELD_COUNT) {
        return Py_NewRef(
            state_of(self)->held[RN_HELD_ROUTE_TYPE_0 + row->route_type]);
    }
    return PyLong_FromLong(row->route_type);
}

PyObject *
rn_get_weight(PyObject *self, void *closure)
{
    (void)closure;
    const struct rn_record *row = row_of(self);
    return rn_said_table(row) ? PyLong_FromLong(row->weight + 1) : none();
}

PyObject *
rn_get_preference(PyObject *self, void *closure)
{
    (void)closure;
    int preference = rn_preference(row_of(self));
    return preference < 0 ? none()
                          : PyUnicode_FromString(
                                rn_preference_name((unsigned)preference));
}

/* An address as text, or None. */
static PyObject *
text_or_none(int ip_version, const uint8_t *bytes)
{
    char text[RN_TEXT_SIZE];
    if (ip_version == 0) {
        return none();
    }
    int length = rn_text_address(ip_version, bytes, text);
    return PyUnicode_FromStringAndSize(text, length);
}

static PyObject *
prefix_text(int ip_version, const uint8_t *bytes, int prefix_length)
{
    char text[RN_TEXT_SIZE];
    int length = rn_text_prefix(ip_version, bytes, prefix_length, text);
    return PyUnicode_FromStringAndSize(text, length);
}

/* Windows' routes differ in more than the metric, and its changes lack one. */
static unsigned
metric_of_key(const struct rn_record *row)
{
    return row->fields & RN_HAS_NO_TABLE ? 0 : (unsigned)row->metric;
}

/* Text instead of ipaddress objects: those cost 20 times as much to make. */
PyObject *
rn_get_key(PyObject *self, void *closure)
{
    (void)closure;
    const struct rn_record *row = row_of(self);
    if (row->ip_version == 0) {
        return PyTuple_New(0);
    }
    PyObject *source = rn_text_of_source(self, NULL);
    /* "N" takes the references over, also when one of them is NULL. */
    return Py_BuildValue(
        "(ikNNiINIKi)", (int)row->ip_version, (unsigned long)row->table,
        prefix_text(row->ip_version, row->destination, row->prefix_length),
        source, (int)row->tos, metric_of_key(row),
        text_or_none(row->next_hop_version, row->next_hop),
        (unsigned)rn_key_index(row), (unsigned long long)row->interface_luid,
        (int)row->ordinal);
}

PyObject *
rn_text_of_destination(PyObject *self, void *closure)
{
    (void)closure;
    const struct rn_record *row = row_of(self);
    if (row->ip_version == 0) {
        return none();
    }
    return prefix_text(row->ip_version, row->destination, row->prefix_length);
}

PyObject *
rn_text_of_next_hop(PyObject *self, void *closure)
{
    (void)closure;
    return text_or_none(row_of(self)->next_hop_version,
                        row_of(self)->next_hop);
}

PyObject *
rn_text_of_source(PyObject *self, void *closure)
{
    (void)closure;
    const struct rn_record *row = row_of(self);
    return rn_has_source(row) ? prefix_text(6, row->source, row->source_length)
                              : none();
}

PyObject *
rn_text_of_preferred_source(PyObject *self, void *closure)
{
    (void)closure;
    const struct rn_record *row = row_of(self);
    return text_or_none(rn_has_prefsrc(row) ? row->ip_version : 0,
                        row->prefsrc);
}

PyObject *
rn_text_of_family(PyObject *self, void *closure)
{
    (void)closure;
    int ip_version = row_of(self)->ip_version;
    if (ip_version == 0) {
        return none();
    }
    return PyUnicode_FromString(ip_version == 4 ? "inet" : "inet6");
}

PyObject *
rn_text_of_route_type(PyObject *self, void *closure)
{
    (void)closure;
    const struct rn_record *row = row_of(self);
    if (!rn_said_table(row)) {
        return none();
    }
    const char *name = rn_route_type_name(row->route_type);
    return name != NULL ? PyUnicode_FromString(name)
                        : PyUnicode_FromFormat("%d", row->route_type);
}

PyObject *
rn_copy_self(PyObject *self, PyObject *unused)
{
    (void)unused;
    return Py_NewRef(self);
}

PyObject *
rn_dict_of(PyObject *self, const struct rn_dict_entry *entries)
{
    PyObject *dict = PyDict_New();
    for (; dict != NULL && entries->name != NULL; entries++) {
        PyObject *value = entries->get(self, entries->closure);
        if (value == NULL ||
            PyDict_SetItemString(dict, entries->name, value) < 0) {
            Py_CLEAR(dict);
        }
        Py_XDECREF(value);
    }
    return dict;
}

void
rn_row_text(const struct rn_record *row, char out[RN_ROW_TEXT_SIZE])
{
    char *end = out + RN_ROW_TEXT_SIZE;
    char *at = out;
    *at = '\0';
    if (row->ip_version == 0) {
        return;
    }
    at += rn_text_prefix(row->ip_version, row->destination, row->prefix_length,
                         at);
    if (row->next_hop_version != 0) {
        at += snprintf(at, (size_t)(end - at), " via ");
        at += rn_text_address(row->next_hop_version, row->next_hop, at);
    }
    if (row->interface_index != 0) {
        at += snprintf(at, (size_t)(end - at), " dev %u",
                       (unsigned)row->interface_index);
    }
    if (rn_said(row)) {
        snprintf(at, (size_t)(end - at), " table %u metric %u",
                 (unsigned)row->table, (unsigned)row->metric);
    }
}

static int
length_fits(int ip_version, int length)
{
    return length <= (ip_version == 4 ? 32 : 128);
}

static int
version_fits(int ip_version)
{
    return ip_version == 0 || ip_version == 4 || ip_version == 6;
}

/* Is every number one that its member may have? */
static int
numbers_fit(const struct rn_record *row)
{
    return strcmp(rn_type_name(row->type), "unknown") != 0 &&
           version_fits(row->ip_version) &&
           version_fits(row->next_hop_version) &&
           length_fits(row->ip_version, row->prefix_length) &&
           length_fits(row->ip_version, row->source_length);
}

int
rn_row_check(const struct rn_record *row)
{
    if (!numbers_fit(row)) {
        PyErr_SetString(PyExc_ValueError,
                        "these bytes are no record of a row");
    } else if (row->type < RN_INITIAL && row->ip_version == 0) {
        PyErr_Format(PyExc_ValueError, "a change of type %d without a row",
                     (int)row->type);
    } else if (row->merged == 0) {
        PyErr_SetString(PyExc_ValueError,
                        "a record that stands for no change: merged is 0");
    } else {
        return 0;
    }
    return -1;
}

Py_hash_t
rn_bytes_hash(const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    uint64_t hash = 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < size; i += 8) {
        hash = (hash ^ load(at + i, 8)) * 0xff51afd7ed558ccdu;
        hash ^= hash >> 32;
    }
    Py_hash_t result = (Py_hash_t)hash;
    return result == -1 ? -2 : result;
}
