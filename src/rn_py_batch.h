/* rn_py_batch.h - what a RouteBatch holds, for the files of the type.
 *
 * rn_py_batch.c is the type, rn_py_block.c has its memory, rn_py_arrow.c gives
 * it to whoever speaks Arrow.
 */
#ifndef RN_PY_BATCH_H
#define RN_PY_BATCH_H

#include "rn_py.h"

/* Constant once made: any thread may read it, attached or not. */
struct rn_batch {
    PyObject *owner;   /* whose block it is; NULL: this object's own */
    void *block;       /* if it is its own: of rn_block_new */
    size_t size;       /* of the block, in bytes */
    const char *first; /* row; in the block */
    Py_ssize_t count;  /* rows; the shape of a buffer */
    Py_ssize_t stride; /* bytes to the next row; the stride of a buffer */
    struct rn_space *space;
};

struct rn_batch_object {
    PyObject_HEAD struct rn_batch data;
};

static inline struct rn_batch *
rn_batch_of(PyObject *self)
{
    return &((struct rn_batch_object *)self)->data;
}

/* Methods of the other files. */
PyObject *
rn_batch_arrow_schema(PyObject *self, PyObject *unused);
PyObject *
rn_batch_arrow_array(PyObject *self, PyObject *args, PyObject *kwargs);
PyObject *
rn_batch_arrow_stream(PyObject *self, PyObject *args, PyObject *kwargs);

#endif
