/* rn_arrow.c - the columns of a batch behind the Arrow C data interface.
 *
 * A consumer may move a child out of its parent (copy the structure, set
 * release to NULL in the original) and release both later, in any order, on any
 * thread.  So each child owns its own buffers, and shares nothing.
 */
#include "rn_arrow.h"

#include <errno.h>
#include <string.h>

#include "rn_alloc.h"

#define NULLABLE 2 /* ARROW_FLAG_NULLABLE */

/* ---- schema ---- */

/* A leaf: all it points to is constant, but a dictionary. */
static void
release_field(struct rn_arrow_schema *field)
{
    if (field->dictionary != NULL) {
        if (field->dictionary->release != NULL) {
            field->dictionary->release(field->dictionary);
        }
        free(field->dictionary);
    }
    field->release = NULL;
}

static int
export_field(const struct rn_column *column, struct rn_arrow_schema *out)
{
    *out = (struct rn_arrow_schema){
        .format = column->format,
        .name = column->name,
        .flags = column->rule != RN_NULL_NEVER ? NULLABLE : 0,
        .release = release_field,
    };
    if (column->names != 0) {
        out->dictionary = rn_alloc(sizeof(*out->dictionary));
        if (out->dictionary == NULL) {
            out->release = NULL;
            return RN_COLUMNS_NO_MEMORY;
        }
        *out->dictionary = (struct rn_arrow_schema){
            .format = "u", .name = "", .release = release_field};
    }
    return 0;
}

/* The private data of a struct: its children and the list of them. */
struct fields {
    struct rn_arrow_schema field[RN_COLUMNS];
    struct rn_arrow_schema *list[RN_COLUMNS];
};

static void
release_schema(struct rn_arrow_schema *schema)
{
    struct fields *fields = schema->private_data;
    for (size_t i = 0; i < RN_COLUMNS; i++) {
        if (fields->field[i].release != NULL) {
            fields->field[i].release(&fields->field[i]);
        }
    }
    free(fields);
    schema->release = NULL;
}

int
rn_arrow_schema_export(struct rn_arrow_schema *out)
{
    struct fields *fields = rn_alloc_zero(1, sizeof(*fields));
    out->release = NULL;
    if (fields == NULL) {
        return RN_COLUMNS_NO_MEMORY;
    }
    *out = (struct rn_arrow_schema){
        .format = "+s",
        .name = "",
        .n_children = RN_COLUMNS,
        .children = fields->list,
        .release = release_schema,
        .private_data = fields,
    };
    for (size_t i = 0; i < RN_COLUMNS; i++) {
        fields->list[i] = &fields->field[i];
        int failed = export_field(&rn_columns[i], &fields->field[i]);
        if (failed) {
            release_schema(out);
            return failed;
        }
    }
    return 0;
}

/* ---- array ---- */

/* The private data of a column. */
struct leaf {
    struct rn_cells cells;
    const void *buffers[3];
    struct rn_arrow_array dictionary; /* released unless there is one */
};

static void
release_leaf(struct rn_arrow_array *array)
{
    struct leaf *leaf = array->private_data;
    if (leaf->dictionary.release != NULL) {
        leaf->dictionary.release(&leaf->dictionary);
    }
    rn_cells_free(&leaf->cells);
    free(leaf);
    array->release = NULL;
}

/* Takes the cells over, also on failure. */
static int
export_leaf(struct rn_cells *cells, size_t count, struct rn_arrow_array *out)
{
    struct leaf *leaf = rn_alloc_zero(1, sizeof(*leaf));
    out->release = NULL;
    if (leaf == NULL) {
        rn_cells_free(cells);
        return RN_COLUMNS_NO_MEMORY;
    }
    leaf->cells = *cells;
    *cells = (struct rn_cells){0};
    leaf->buffers[0] = leaf->cells.nulls == 0 ? NULL : leaf->cells.valid;
    leaf->buffers[1] = leaf->cells.values;
    leaf->buffers[2] = leaf->cells.text;
    *out = (struct rn_arrow_array){
        .length = (int64_t)count,
        .null_count = (int64_t)leaf->cells.nulls,
        .n_buffers = leaf->cells.text != NULL ? 3 : 2,
        .buffers = leaf->buffers,
        .release = release_leaf,
        .private_data = leaf,
    };
    return 0;
}

static int
export_names(const struct rn_column *column, struct rn_arrow_array *array)
{
    struct leaf *leaf = array->private_data;
    struct rn_cells cells;
    int failed = rn_columns_names(column, &cells);
    if (!failed) {
        failed = export_leaf(&cells, column->names, &leaf->dictionary);
    }
    if (!failed) {
        array->dictionary = &leaf->dictionary;
    }
    return failed;
}

/* The private data of the struct. */
struct leaves {
    struct rn_arrow_array leaf[RN_COLUMNS];
    struct rn_arrow_array *list[RN_COLUMNS];
    const void *no_nulls; /* its only buffer: a validity bitmap, NULL */
};

static void
release_leaves(struct rn_arrow_array *array)
{
    struct leaves *leaves = array->private_data;
    for (size_t i = 0; i < RN_COLUMNS; i++) {
        if (leaves->leaf[i].release != NULL) {
            leaves->leaf[i].release(&leaves->leaf[i]);
        }
    }
    free(leaves);
    array->release = NULL;
}

/* Takes all the cells over, also on failure. */
static int
export_leaves(struct rn_cells cells[RN_COLUMNS], size_t count,
              struct leaves *leaves)
{
    int failed = 0;
    for (size_t i = 0; i < RN_COLUMNS; i++) {
        leaves->list[i] = &leaves->leaf[i];
        if (failed) {
            rn_cells_free(&cells[i]);
            continue;
        }
        failed = export_leaf(&cells[i], count, &leaves->leaf[i]);
        if (!failed && rn_columns[i].names != 0) {
            failed = export_names(&rn_columns[i], &leaves->leaf[i]);
        }
    }
    return failed;
}

int
rn_arrow_array_export(const struct rn_span *rows, struct rn_arrow_array *out)
{
    struct rn_cells cells[RN_COLUMNS];
    struct leaves *leaves = rn_alloc_zero(1, sizeof(*leaves));
    out->release = NULL;
    if (leaves == NULL) {
        return RN_COLUMNS_NO_MEMORY;
    }
    int failed = rn_columns_fill(rows, cells);
    if (!failed) {
        failed = export_leaves(cells, rows->count, leaves);
    }
    *out = (struct rn_arrow_array){
        .length = (int64_t)rows->count,
        .n_buffers = 1,
        .n_children = RN_COLUMNS,
        .buffers = &leaves->no_nulls,
        .children = leaves->list,
        .release = release_leaves,
        .private_data = leaves,
    };
    if (failed) {
        release_leaves(out);
    }
    return failed;
}

/* ---- stream ---- */

/* Its private data is the array, released once it has been given away. */

static int
stream_get_schema(struct rn_arrow_stream *stream, struct rn_arrow_schema *out)
{
    (void)stream;
    return rn_arrow_schema_export(out) ? ENOMEM : 0;
}

static int
stream_get_next(struct rn_arrow_stream *stream, struct rn_arrow_array *out)
{
    struct rn_arrow_array *array = stream->private_data;
    *out = *array;
    array->release = NULL; /* moved; the next one is the end */
    return 0;
}

static const char *
stream_get_last_error(struct rn_arrow_stream *stream)
{
    (void)stream;
    return "memory ran out"; /* nothing else fails */
}

static void
stream_release(struct rn_arrow_stream *stream)
{
    struct rn_arrow_array *array = stream->private_data;
    if (array->release != NULL) {
        array->release(array);
    }
    free(array);
    stream->release = NULL;
}

int
rn_arrow_stream_export(const struct rn_span *rows, struct rn_arrow_stream *out)
{
    struct rn_arrow_array *array = rn_alloc(sizeof(*array));
    out->release = NULL;
    if (array == NULL) {
        return RN_COLUMNS_NO_MEMORY;
    }
    int failed = rn_arrow_array_export(rows, array);
    if (failed) {
        free(array);
        return failed;
    }
    *out = (struct rn_arrow_stream){
        .get_schema = stream_get_schema,
        .get_next = stream_get_next,
        .get_last_error = stream_get_last_error,
        .release = stream_release,
        .private_data = array,
    };
    return 0;
}
