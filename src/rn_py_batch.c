/* rn_py_batch.c - RouteBatch: many changes as one read-only block of records.
 *
 * The block is made of 128-byte records as they lay in the ring; objects are
 * made of them only when a row is asked for.  A slice refers to the batch whose
 * block it looks into.  Like the rows, batches take no part in garbage
 * collection: such a reference leads to a batch that has none of its own.
 */
#include "rn_py_batch.h"

#include <string.h>

#include "rn_py_row.h"

#define RECORD ((Py_ssize_t)sizeof(struct rn_record))
#define COUNT_MAX                              \
    (PY_SSIZE_T_MAX / RECORD < INT32_MAX       \
         ? (uint64_t)(PY_SSIZE_T_MAX / RECORD) \
         : (uint64_t)INT32_MAX)

static inline const struct rn_record *
row_at(const struct rn_batch *batch, Py_ssize_t index)
{
    return (const void *)(batch->first + index * batch->stride);
}

/* One row after the other without a gap? */
static int
is_contiguous(const struct rn_batch *batch)
{
    return batch->stride == RECORD || batch->count < 2;
}

/* ---- life and death ---- */

/* An object without rows: the caller gives it some. */
static PyObject *
batch_alloc(PyTypeObject *type, struct rn_space *space)
{
    struct rn_batch_object *self = PyObject_New(struct rn_batch_object, type);
    if (self == NULL) {
        return NULL;
    }
    self->data =
        (struct rn_batch){.stride = RECORD, .space = rn_space_ref(space)};
    return (PyObject *)self;
}

/* With a block of its own for count rows, which are to be written yet. */
static PyObject *
batch_with_block(PyTypeObject *type, struct rn_space *space, size_t count)
{
    PyObject *self = batch_alloc(type, space);
    if (self == NULL) {
        return NULL;
    }
    struct rn_batch *batch = rn_batch_of(self);
    batch->size = count * sizeof(struct rn_record);
    batch->block = rn_block_new(PyType_GetModuleState(type), batch->size);
    if (batch->block == NULL) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    batch->first = batch->block;
    batch->count = (Py_ssize_t)count;
    return self;
}

static PyTypeObject *
batch_type(struct rn_state *state)
{
    return (PyTypeObject *)state->held[RN_HELD_BATCH_TYPE];
}

static void
batch_dealloc(PyObject *self)
{
    struct rn_batch *batch = rn_batch_of(self);
    PyTypeObject *type = Py_TYPE(self);
    Py_XDECREF(batch->owner);
    rn_block_free(PyType_GetModuleState(type), batch->block, batch->size);
    rn_space_unref(batch->space);
    PyObject_Free(self);
    Py_DECREF(type);
}

PyObject *
rn_batch_empty(struct rn_state *state, struct rn_space *space)
{
    return batch_with_block(batch_type(state), space, 0);
}

PyObject *
rn_batch_take(struct rn_state *state, struct rn_channel *channel, uint64_t max,
              struct rn_space *space)
{
    struct rn_channel_stats stats;
    rn_channel_get_stats(channel, &stats);
    uint64_t count = stats.queued < max ? stats.queued : max;
    if (count == 0) {
        return NULL;
    }
    if (count > COUNT_MAX) {
        count = COUNT_MAX;
    }
    PyObject *self = batch_with_block(batch_type(state), space, (size_t)count);
    if (self == NULL) {
        return NULL;
    }
    /* Maybe fewer: changes that wait behind a full ring may cancel each other
     * until they are taken.
     */
    struct rn_batch *batch = rn_batch_of(self);
    batch->count =
        (Py_ssize_t)rn_channel_take(channel, batch->block, (uint32_t)count);
    if (batch->count == 0) {
        Py_CLEAR(self);
    }
    return self;
}

/* 0, or -1 with ValueError. */
static int
check_rows(const struct rn_batch *batch)
{
    for (Py_ssize_t i = 0; i < batch->count; i++) {
        if (rn_row_check(row_at(batch, i)) < 0) {
            PyErr_Format(PyExc_ValueError,
                         "RouteBatch(raw): the bytes from %zd on are no "
                         "record of a row",
                         i * RECORD);
            return -1;
        }
    }
    return 0;
}

static PyObject *
batch_of_bytes(PyTypeObject *type, const Py_buffer *raw)
{
    if (raw->len % RECORD != 0) {
        return PyErr_Format(PyExc_ValueError,
                            "RouteBatch(raw): a multiple of %zd bytes "
                            "expected, got %zd",
                            RECORD, raw->len);
    }
    PyObject *self = batch_with_block(type, NULL, (size_t)(raw->len / RECORD));
    if (self == NULL) {
        return NULL;
    }
    if (raw->len != 0) {
        memcpy(rn_batch_of(self)->block, raw->buf, (size_t)raw->len);
    }
    if (check_rows(rn_batch_of(self)) < 0) {
        Py_CLEAR(self);
    }
    return self;
}

static PyObject *
batch_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    Py_buffer raw;
    if (kwargs != NULL && PyDict_Size(kwargs) != 0) {
        PyErr_SetString(PyExc_TypeError,
                        "RouteBatch takes no keyword arguments");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "y*:RouteBatch", &raw)) {
        return NULL;
    }
    PyObject *batch = batch_of_bytes(type, &raw);
    PyBuffer_Release(&raw);
    return batch;
}

/* ---- a sequence ---- */

static Py_ssize_t
batch_length(PyObject *self)
{
    return rn_batch_of(self)->count;
}

/* Also ends an iteration, by its IndexError. */
static PyObject *
batch_item(PyObject *self, Py_ssize_t index)
{
    const struct rn_batch *batch = rn_batch_of(self);
    if (index < 0 || index >= batch->count) {
        PyErr_SetString(PyExc_IndexError, "RouteBatch index out of range");
        return NULL;
    }
    struct rn_state *state = PyType_GetModuleState(Py_TYPE(self));
    return rn_change_new((PyTypeObject *)state->held[RN_HELD_CHANGE_TYPE],
                         row_at(batch, index), batch->space);
}

static PyObject *
batch_slice(PyObject *self, PyObject *slice)
{
    struct rn_batch *batch = rn_batch_of(self);
    Py_ssize_t start, stop, step;
    if (PySlice_Unpack(slice, &start, &stop, &step) < 0) {
        return NULL;
    }
    Py_ssize_t count =
        PySlice_AdjustIndices(batch->count, &start, &stop, step);
    PyObject *result = batch_alloc(Py_TYPE(self), batch->space);
    if (result == NULL) {
        return NULL;
    }
    struct rn_batch *part = rn_batch_of(result);
    part->owner = Py_NewRef(batch->owner == NULL ? self : batch->owner);
    part->first = batch->first;
    part->count = count;
    if (count > 0) {
        part->first += start * batch->stride;
    }
    /* With fewer than two rows the step may be too large to multiply by. */
    if (count > 1) {
        part->stride = batch->stride * step;
    }
    return result;
}

static PyObject *
batch_subscript(PyObject *self, PyObject *key)
{
    if (PySlice_Check(key)) {
        return batch_slice(self, key);
    }
    if (!PyIndex_Check(key)) {
        PyErr_Format(PyExc_TypeError,
                     "RouteBatch indices must be integers or slices, not %S",
                     (PyObject *)Py_TYPE(key));
        return NULL;
    }
    Py_ssize_t index = PyNumber_AsSsize_t(key, PyExc_IndexError);
    if (index == -1 && PyErr_Occurred()) {
        return NULL;
    }
    return batch_item(self, index < 0 ? index + batch_length(self) : index);
}

static int
same_rows(const struct rn_batch *one, const struct rn_batch *other)
{
    if (one->count != other->count) {
        return 0;
    }
    if (is_contiguous(one) && is_contiguous(other)) {
        return memcmp(one->first, other->first,
                      (size_t)(one->count * RECORD)) == 0;
    }
    for (Py_ssize_t i = 0; i < one->count; i++) {
        if (memcmp(row_at(one, i), row_at(other, i), (size_t)RECORD) != 0) {
            return 0;
        }
    }
    return 1;
}

static PyObject *
batch_compare(PyObject *self, PyObject *other, int operation)
{
    if ((operation != Py_EQ && operation != Py_NE) ||
        Py_TYPE(self) != Py_TYPE(other)) {
        return Py_NewRef(Py_NotImplemented);
    }
    int equal = same_rows(rn_batch_of(self), rn_batch_of(other));
    return PyBool_FromLong(equal == (operation == Py_EQ));
}

static PyObject *
batch_repr(PyObject *self)
{
    const struct rn_batch *batch = rn_batch_of(self);
    if (batch->count == 0) {
        return PyUnicode_FromString("<RouteBatch of 0 changes>");
    }
    unsigned long long first = row_at(batch, 0)->sequence;
    unsigned long long last = row_at(batch, batch->count - 1)->sequence;
    if (batch->count == 1) {
        return PyUnicode_FromFormat("<RouteBatch of 1 change #%llu>", first);
    }
    return PyUnicode_FromFormat("<RouteBatch of %zd changes #%llu..#%llu>",
                                batch->count, first, last);
}

static PyObject *
batch_reduce(PyObject *self, PyObject *unused)
{
    (void)unused;
    return Py_BuildValue("(O(N))", (PyObject *)Py_TYPE(self),
                         PyBytes_FromObject(self));
}

/* ---- a buffer ---- */

/* PEP 3118: struct rn_record member by member, native order, no padding.  Names
 * as RouteChange has them, but where the number in the record is another.
 */
static char record_format[] = "T{=Q:sequence:q:time_ns:Q:interface_luid:"
                              "(16)B:destination:(16)B:next_hop:(16)B:source:"
                              "(16)B:preferred_source:"
                              "I:interface_index:I:table:I:metric:"
                              "I:nexthop_id:I:merged:I:mtu:"
                              "H:protocol:H:ordinal:"
                              "B:type:B:ip_version:B:prefix_length:"
                              "B:source_length:B:next_hop_version:"
                              "B:route_type:B:scope:B:tos:B:cause:B:flags:"
                              "B:fields:B:weight_less_one:}";

/* What the consumer asks for and cannot have, or NULL. */
static const char *
refusal(const struct rn_batch *batch, int flags)
{
    const int contiguous =
        PyBUF_C_CONTIGUOUS | PyBUF_F_CONTIGUOUS | PyBUF_ANY_CONTIGUOUS;
    if ((flags & PyBUF_WRITABLE) != 0) {
        return "a RouteBatch is read-only";
    }
    if (!is_contiguous(batch) &&
        ((flags & PyBUF_STRIDES) != PyBUF_STRIDES ||
         (flags & contiguous & ~PyBUF_STRIDES) != 0)) {
        return "a slice with a step has gaps between its rows; "
               "RouteBatch(bytes(it)) has none";
    }
    return NULL;
}

static int
batch_getbuffer(PyObject *self, Py_buffer *view, int flags)
{
    struct rn_batch *batch = rn_batch_of(self);
    const char *refused = refusal(batch, flags);
    if (refused != NULL) {
        view->obj = NULL;
        PyErr_SetString(PyExc_BufferError, refused);
        return -1;
    }
    *view = (Py_buffer){
        .buf = (void *)(uintptr_t)batch->first,
        .obj = Py_NewRef(self),
        .len = batch->count * RECORD,
        .itemsize = RECORD,
        .readonly = 1,
        .ndim = 1,
        .format = (flags & PyBUF_FORMAT) != 0 ? record_format : NULL,
        .shape = (flags & PyBUF_ND) != 0 ? &batch->count : NULL,
        .strides =
            (flags & PyBUF_STRIDES) == PyBUF_STRIDES ? &batch->stride : NULL,
    };
    return 0;
}

/* PEP 688 for 3.11, which type checkers and typing_extensions go by; from 3.12
 * on the interpreter has one of its own in this place.
 */
static PyObject *
batch_buffer(PyObject *self, PyObject *flags)
{
    (void)flags;
    return PyMemoryView_FromObject(self);
}

static PyObject *
batch_to_numpy(PyObject *self, PyObject *unused)
{
    (void)unused;
    PyObject *numpy = PyImport_ImportModule("numpy");
    if (numpy == NULL) {
        if (PyErr_ExceptionMatches(PyExc_ModuleNotFoundError)) {
            PyErr_SetString(PyExc_ModuleNotFoundError,
                            "RouteBatch.to_numpy() needs the package numpy, "
                            "which is not installed");
        }
        return NULL;
    }
    PyObject *array = PyObject_CallMethod(numpy, "asarray", "O", self);
    Py_DECREF(numpy);
    return array;
}

/* ---- the type ---- */

static PyMethodDef batch_methods[] = {
    {"to_numpy", batch_to_numpy, METH_NOARGS,
     PyDoc_STR("to_numpy($self, /)\n--\n\n"
               "A structured array over the same memory, read-only.\n\n"
               "Raises:\n"
               "    ModuleNotFoundError: numpy is not installed.")},
    {"__arrow_c_schema__", rn_batch_arrow_schema, METH_NOARGS,
     PyDoc_STR("__arrow_c_schema__($self, /)\n--\n\n"
               "The columns, as a capsule of the Arrow C data interface.")},
    {"__arrow_c_array__", (PyCFunction)(void (*)(void))rn_batch_arrow_array,
     METH_VARARGS | METH_KEYWORDS,
     PyDoc_STR("__arrow_c_array__($self, /, requested_schema=None)\n--\n\n"
               "Columns and rows, for pyarrow.record_batch() and the like. "
               "The rows are\ncopied; requested_schema is not obeyed.")},
    {"__arrow_c_stream__", (PyCFunction)(void (*)(void))rn_batch_arrow_stream,
     METH_VARARGS | METH_KEYWORDS,
     PyDoc_STR("__arrow_c_stream__($self, /, requested_schema=None)\n--\n\n"
               "The same as a stream of one array, for polars.DataFrame(), "
               "pyarrow.table(),\nduckdb and others.")},
    {"__buffer__", batch_buffer, METH_O,
     PyDoc_STR("__buffer__($self, flags, /)\n--\n\n"
               "A memoryview; for memoryview() itself.")},
    RN_COPY_METHODS,
    {"__reduce__", batch_reduce, METH_NOARGS,
     PyDoc_STR("__reduce__($self, /)\n--\n\nHelper for pickle.")},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(
    batch_doc,
    "RouteBatch(raw, /)\n--\n\n"
    "Many changes in one read-only block of 128-byte records.\n\n"
    "A sequence of RouteChange, each made when it is asked for; slices share "
    "the\nmemory, which lives as long as anything looks at it. A buffer "
    "(PEP 3118), of\nwhich numpy.asarray() makes a structured array. Fields, "
    "in this machine's byte\norder; addresses in network order, IPv4 in the "
    "first 4 bytes:\n\n"
    "    sequence           u64  position in the monitor's stream, from 1\n"
    "    time_ns            i64  wall clock of reception, ns since 1970\n"
    "    interface_luid     u64  Windows: NET_LUID; 0: not said\n"
    "    destination        16 bytes\n"
    "    next_hop           16 bytes; see next_hop_version\n"
    "    source             16 bytes: IPv6 source prefix\n"
    "    preferred_source   16 bytes; zero: none\n"
    "    interface_index    u32  0: none\n"
    "    table              u32  254 main, 255 local\n"
    "    metric             u32  the lowest wins\n"
    "    nexthop_id         u32  0: none\n"
    "    merged             u32  changes this one stands for, from 1\n"
    "    mtu                u32  bytes; 0: none\n"
    "    protocol           u16  RTPROT_*\n"
    "    ordinal            u16  tells rows apart that are equal in all else\n"
    "    type               u8   ChangeType\n"
    "    ip_version         u8   4 or 6; 0 in a marker\n"
    "    prefix_length      u8   bits\n"
    "    source_length      u8   bits\n"
    "    next_hop_version   u8   4 or 6; 0: on-link\n"
    "    route_type         u8   RouteType\n"
    "    scope              u8   RT_SCOPE_*\n"
    "    tos                u8\n"
    "    cause              u8   docs/batches.md has the numbers\n"
    "    flags              u8   RTNH_F_*\n"
    "    fields             u8   bit 0: table, metric, protocol, route_type,\n"
    "                            scope, tos and weight were said;\n"
    "                            bit 3: of these only metric, protocol;\n"
    "                            bits 4-5: router preference (RFC 4191)\n"
    "    weight_less_one    u8   weight of the next hop minus one");

static PyType_Slot batch_slots[] = {
    {Py_tp_doc, (void *)batch_doc},
    {Py_tp_new, batch_new},
    {Py_tp_dealloc, batch_dealloc},
    {Py_tp_repr, batch_repr},
    {Py_tp_richcompare, batch_compare},
    {Py_tp_iter, PySeqIter_New},
    {Py_sq_length, batch_length},
    {Py_sq_item, batch_item},
    {Py_mp_length, batch_length},
    {Py_mp_subscript, batch_subscript},
    {Py_bf_getbuffer, batch_getbuffer},
    {Py_tp_methods, batch_methods},
    {0, NULL},
};

PyType_Spec rn_batch_spec = {
    .name = "routenotify.RouteBatch",
    .basicsize = sizeof(struct rn_batch_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = batch_slots,
};
