/* rn_arrow.h - records as an Arrow struct array, by the C data interface.
 *
 * The three structures are that interface's ABI (arrow.apache.org, "The Arrow C
 * data interface"): member names are its, ours are the names of the types.
 * What is exported owns its memory: plain malloc, released by plain C, on
 * whatever thread the consumer likes; it refers neither to the records nor to
 * Python.
 */
#ifndef RN_ARROW_H
#define RN_ARROW_H

#include <stdint.h>

#include "rn_columns.h"

struct rn_arrow_schema {
    const char *format;
    const char *name;
    const char *metadata;
    int64_t flags;
    int64_t n_children;
    struct rn_arrow_schema **children;
    struct rn_arrow_schema *dictionary;
    void (*release)(struct rn_arrow_schema *); /* NULL: released, or moved */
    void *private_data;
};

struct rn_arrow_array {
    int64_t length;
    int64_t null_count;
    int64_t offset;
    int64_t n_buffers;
    int64_t n_children;
    const void **buffers;
    struct rn_arrow_array **children;
    struct rn_arrow_array *dictionary;
    void (*release)(struct rn_arrow_array *);
    void *private_data;
};

struct rn_arrow_stream {
    int (*get_schema)(struct rn_arrow_stream *, struct rn_arrow_schema *out);
    int (*get_next)(struct rn_arrow_stream *, struct rn_arrow_array *out);
    const char *(*get_last_error)(struct rn_arrow_stream *);
    void (*release)(struct rn_arrow_stream *);
    void *private_data;
};

/* All: 0, or an RN_COLUMNS_* of rn_columns.h and *out is released; none
 * blocks; any thread.
 */

/* rn_arrow_schema_export - a struct of the columns of rn_columns.h. */
int
rn_arrow_schema_export(struct rn_arrow_schema *out);

/* rn_arrow_array_export - the rows, converted now. */
int
rn_arrow_array_export(const struct rn_span *rows, struct rn_arrow_array *out);

/* rn_arrow_stream_export - likewise, as a stream of one array. */
int
rn_arrow_stream_export(const struct rn_span *rows,
                       struct rn_arrow_stream *out);

#endif
