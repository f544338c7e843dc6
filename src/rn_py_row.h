/* rn_py_row.h - the getters RouteChange and Route have in common.
 *
 * A getter's closure says where its member lies and when it is None, so most
 * attributes are one line of a table.
 */
#ifndef RN_PY_ROW_H
#define RN_PY_ROW_H

#include "rn_py.h"

/* When a member reads as None. */
enum rn_rule {
    RN_RULE_PLAIN,   /* never */
    RN_RULE_SAID,    /* unless the row has RN_HAS_ATTRIBUTES */
    RN_RULE_TABLE,   /* and when it has RN_HAS_NO_TABLE */
    RN_RULE_NONZERO, /* when 0 */
    RN_RULE_KNOWN,   /* when RN_UNKNOWN32 */
};

/* offset (16 bits), size in bytes (8 bits), rule (8 bits) of a member of
 * struct rn_route, or of struct rn_record that begins it.
 */
#define RN_MEMBER(type, member, rule)                                 \
    ((void *)(uintptr_t)(offsetof(struct type, member) |              \
                         (sizeof(((struct type *)0)->member) << 16) | \
                         ((size_t)(rule) << 24)))
#define RN_NUMBER(name, type, member, rule, doc)   \
    {                                              \
        name, rn_get_number, NULL, PyDoc_STR(doc), \
            RN_MEMBER(type, member, rule)          \
    }

PyObject *
rn_get_number(PyObject *self, void *closure);
PyObject *
rn_get_truth(PyObject *self, void *closure);
PyObject *
rn_get_destination(PyObject *self, void *closure);
PyObject *
rn_get_source(PyObject *self, void *closure);
PyObject *
rn_get_next_hop(PyObject *self, void *closure);
PyObject *
rn_get_preferred_source(PyObject *self, void *closure);
PyObject *
rn_get_interface(PyObject *self, void *closure);
PyObject *
rn_get_family(PyObject *self, void *closure);
PyObject *
rn_get_route_type(PyObject *self, void *closure);
PyObject *
rn_get_weight(PyObject *self, void *closure);
PyObject *
rn_get_preference(PyObject *self, void *closure);
PyObject *
rn_get_key(PyObject *self, void *closure);

#define RN_ROW_GETTERS                                                       \
    {"destination", rn_get_destination, NULL,                                \
     PyDoc_STR("The prefix, as an ipaddress network; None in a marker."),    \
     NULL},                                                                  \
        {"next_hop", rn_get_next_hop, NULL,                                  \
         PyDoc_STR("The gateway, as an ipaddress address; None: on-link."),  \
         NULL},                                                              \
        {"interface", rn_get_interface, NULL,                                \
         PyDoc_STR("The interface's name, asked of the system now; None "    \
                   "when it knows none."),                                   \
         NULL},                                                              \
        RN_NUMBER("interface_index", rn_record, interface_index,             \
                  RN_RULE_NONZERO, "The interface's number, or None."),      \
        RN_NUMBER("interface_luid", rn_record, interface_luid,               \
                  RN_RULE_NONZERO, "Windows: NET_LUID. Linux: None."),       \
        {"family", rn_get_family, NULL,                                      \
         PyDoc_STR("AF_INET or AF_INET6; AF_UNSPEC in a marker."), NULL},    \
        RN_NUMBER("metric", rn_record, metric, RN_RULE_SAID,                 \
                  "Priority: the lowest wins; None when not said."),         \
        RN_NUMBER("protocol", rn_record, protocol, RN_RULE_SAID,             \
                  "Who made the route (RTPROT_*, MIB_IPPROTO_*), or None."), \
        RN_NUMBER("table", rn_record, table, RN_RULE_TABLE,                  \
                  "Routing table (254 main, 255 local), or None."),          \
        {"route_type", rn_get_route_type, NULL,                              \
         PyDoc_STR("A RouteType, an int unknown to it, or None."), NULL},    \
        {"source", rn_get_source, NULL,                                      \
         PyDoc_STR("IPv6 source prefix of the route, or None."), NULL},      \
        {"preferred_source", rn_get_preferred_source, NULL,                  \
         PyDoc_STR("The address to send from, or None."), NULL},             \
        RN_NUMBER("tos", rn_record, tos, RN_RULE_TABLE,                      \
                  "Type of service the route is for, or None."),             \
        RN_NUMBER("scope", rn_record, scope, RN_RULE_TABLE,                  \
                  "RT_SCOPE_*: 0 universe, 253 link, 254 host; or None."),   \
        RN_NUMBER("mtu", rn_record, mtu, RN_RULE_NONZERO,                    \
                  "The route's MTU in bytes, or None."),                     \
        {"weight", rn_get_weight, NULL,                                      \
         PyDoc_STR("Weight of the next hop, from 1; None when not said."),   \
         NULL},                                                              \
        RN_NUMBER("nexthop_id", rn_record, nexthop_id, RN_RULE_NONZERO,      \
                  "Id of the nexthop object, or None."),                     \
        RN_NUMBER("flags", rn_record, flags, RN_RULE_PLAIN,                  \
                  "RTNH_F_*: 1 dead, 4 onlink, 8 offload, 16 linkdown."),    \
        {"preference", rn_get_preference, NULL,                              \
         PyDoc_STR("Router preference (RFC 4191): \"low\", \"medium\" or "   \
                   "\"high\"; None for IPv4 or when not said."),             \
         NULL},                                                              \
        RN_NUMBER("ordinal", rn_record, ordinal, RN_RULE_PLAIN,              \
                  "Tells rows apart that are equal in all else."),           \
    {                                                                        \
        "key", rn_get_key, NULL,                                             \
            PyDoc_STR("What identifies the row, usable as a dictionary's "   \
                      "key; () in a marker."),                               \
            NULL                                                             \
    }

/* Immutable: a copy is the object itself.  By __reduce__ it would be one of the
 * same bytes, but of the caller's namespace.
 */
PyObject *
rn_copy_self(PyObject *self, PyObject *unused);

#define RN_COPY_METHODS                                                \
    {"__copy__", rn_copy_self, METH_NOARGS,                            \
     PyDoc_STR("__copy__($self, /)\n--\n\nItself: it is immutable.")}, \
    {                                                                  \
        "__deepcopy__", rn_copy_self, METH_O,                          \
            PyDoc_STR("__deepcopy__($self, memo, /)\n--\n\n"           \
                      "Itself: it is immutable.")                      \
    }

/* An entry of to_dict(). */
struct rn_dict_entry {
    const char *name;
    getter get;
    void *closure;
};

/* As to_dict() writes them: text instead of objects. */
PyObject *
rn_text_of_destination(PyObject *self, void *closure);
PyObject *
rn_text_of_next_hop(PyObject *self, void *closure);
PyObject *
rn_text_of_source(PyObject *self, void *closure);
PyObject *
rn_text_of_preferred_source(PyObject *self, void *closure);
PyObject *
rn_text_of_family(PyObject *self, void *closure);
PyObject *
rn_text_of_route_type(PyObject *self, void *closure);

/* rn_dict_of - {name: get(self)} of a table that ends with a NULL name. */
PyObject *
rn_dict_of(PyObject *self, const struct rn_dict_entry *entries);

/* rn_row_text - "10.0.0.0/8 via 192.0.2.1 dev 3 table 254 metric 0" into out,
 * for repr().
 */
#define RN_ROW_TEXT_SIZE 192
void
rn_row_text(const struct rn_record *row, char out[RN_ROW_TEXT_SIZE]);

/* rn_row_check - may these bytes, from whoever, become a row?  0, or -1 with
 * ValueError.
 */
int
rn_row_check(const struct rn_record *row);

/* rn_bytes_hash - of `size` bytes, a multiple of 8; never -1. */
Py_hash_t
rn_bytes_hash(const void *bytes, size_t size);

#endif
