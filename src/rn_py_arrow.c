/* rn_py_arrow.c - RouteBatch's Arrow PyCapsules, made without any library.
 *
 * A capsule nobody takes anything out of releases it when it dies; one that was
 * emptied has release NULL and is only freed.
 */
#include "rn_py_batch.h"

#include "rn_arrow.h"

#define SCHEMA "arrow_schema"
#define ARRAY "arrow_array"
#define STREAM "arrow_array_stream"

/* ---- death of a capsule ---- */

#define DESTROY(type, name)                                       \
    struct type *exported = PyCapsule_GetPointer(capsule, name);  \
    if (exported == NULL) {                                       \
        PyErr_WriteUnraisable(capsule); /* somebody renamed it */ \
        return;                                                   \
    }                                                             \
    if (exported->release != NULL) {                              \
        exported->release(exported);                              \
    }                                                             \
    PyMem_Free(exported)

static void
destroy_schema(PyObject *capsule)
{
    DESTROY(rn_arrow_schema, SCHEMA);
}

static void
destroy_array(PyObject *capsule)
{
    DESTROY(rn_arrow_array, ARRAY);
}

static void
destroy_stream(PyObject *capsule)
{
    DESTROY(rn_arrow_stream, STREAM);
}

/* An empty structure in a capsule: *exported, to be filled. */
static PyObject *
new_capsule(const char *name, size_t size, PyCapsule_Destructor destroy,
            void **exported)
{
    *exported = PyMem_Calloc(1, size);
    if (*exported == NULL) {
        return PyErr_NoMemory();
    }
    PyObject *capsule = PyCapsule_New(*exported, name, destroy);
    if (capsule == NULL) {
        PyMem_Free(*exported);
    }
    return capsule;
}

/* ---- what is in it ---- */

static PyObject *
raise_failed(int failed)
{
    if (failed == RN_COLUMNS_TOO_LONG) {
        PyErr_SetString(PyExc_OverflowError,
                        "the addresses of this batch are more than 2 GiB of "
                        "text: take a slice of it");
        return NULL;
    }
    return PyErr_NoMemory();
}

static struct rn_span
rows_of(PyObject *self)
{
    const struct rn_batch *batch = rn_batch_of(self);
    return (struct rn_span){.first = batch->first,
                            .stride = batch->stride,
                            .count = (size_t)batch->count};
}

static PyObject *
schema_capsule(void)
{
    void *schema;
    PyObject *capsule = new_capsule(SCHEMA, sizeof(struct rn_arrow_schema),
                                    destroy_schema, &schema);
    if (capsule == NULL) {
        return NULL;
    }
    int failed = rn_arrow_schema_export(schema);
    if (failed) {
        Py_DECREF(capsule);
        return raise_failed(failed);
    }
    return capsule;
}

static PyObject *
array_capsule(PyObject *self)
{
    void *array;
    struct rn_span rows = rows_of(self);
    PyObject *capsule = new_capsule(ARRAY, sizeof(struct rn_arrow_array),
                                    destroy_array, &array);
    if (capsule == NULL) {
        return NULL;
    }
    int failed;
    RN_DETACH()
    failed = rn_arrow_array_export(&rows, array);
    RN_ATTACH()
    if (failed) {
        Py_DECREF(capsule);
        return raise_failed(failed);
    }
    return capsule;
}

static PyObject *
stream_capsule(PyObject *self)
{
    void *stream;
    struct rn_span rows = rows_of(self);
    PyObject *capsule = new_capsule(STREAM, sizeof(struct rn_arrow_stream),
                                    destroy_stream, &stream);
    if (capsule == NULL) {
        return NULL;
    }
    int failed;
    RN_DETACH()
    failed = rn_arrow_stream_export(&rows, stream);
    RN_ATTACH()
    if (failed) {
        Py_DECREF(capsule);
        return raise_failed(failed);
    }
    return capsule;
}

/* requested_schema may be refused, and is: consumers convert as well as this
 * could.  0, or -1: it is none.
 */
static int
parse_requested(PyObject *args, PyObject *kwargs, const char *format)
{
    static char *names[] = {"requested_schema", NULL};
    PyObject *requested = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, format, names,
                                     &requested)) {
        return -1;
    }
    if (requested != Py_None && !PyCapsule_IsValid(requested, SCHEMA)) {
        PyErr_Format(PyExc_TypeError,
                     "requested_schema=%R is neither None nor a capsule of "
                     "an Arrow schema",
                     requested);
        return -1;
    }
    return 0;
}

PyObject *
rn_batch_arrow_schema(PyObject *self, PyObject *unused)
{
    (void)self;
    (void)unused;
    return schema_capsule();
}

PyObject *
rn_batch_arrow_array(PyObject *self, PyObject *args, PyObject *kwargs)
{
    if (parse_requested(args, kwargs, "|O:__arrow_c_array__") < 0) {
        return NULL;
    }
    PyObject *schema = schema_capsule();
    PyObject *array = schema == NULL ? NULL : array_capsule(self);
    if (array == NULL) {
        Py_XDECREF(schema);
        return NULL;
    }
    return Py_BuildValue("(NN)", schema, array);
}

PyObject *
rn_batch_arrow_stream(PyObject *self, PyObject *args, PyObject *kwargs)
{
    if (parse_requested(args, kwargs, "|O:__arrow_c_stream__") < 0) {
        return NULL;
    }
    return stream_capsule(self);
}
