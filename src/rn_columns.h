/* rn_columns.h - records as columns: the table that a batch is.
 *
 * One list of columns: the name of each, its type in the words of the Arrow C
 * data interface, and how its cells are made.  Knows neither Python nor Arrow's
 * structures: rn_arrow.c wraps the buffers that are filled here.
 */
#ifndef RN_COLUMNS_H
#define RN_COLUMNS_H

#include "rn_netio.h"

/* Records at equal distances, backwards if negative; borrowed. */
struct rn_span {
    const char *first;
    ptrdiff_t stride; /* bytes */
    size_t count;
};

/* The buffers of one column, as Arrow lays them out; of malloc. */
struct rn_cells {
    uint8_t *valid; /* a bit per row, set: not null; NULL: no row is */
    size_t nulls;
    void *values; /* numbers; of text: int32_t offsets, one more than rows */
    char *text;   /* NULL: the column is not of text */
    size_t used;  /* bytes of text */
    size_t room;
};

struct rn_column;

/* Cells of the rows from `from` to `to`, which follow those filled before.
 * Return: 0 or an RN_COLUMNS_* below.
 */
typedef int
rn_fill_fn(const struct rn_column *column, struct rn_cells *cells,
           const struct rn_span *rows, size_t from, size_t to);

enum rn_null_rule {
    RN_NULL_NEVER,
    RN_NULL_MARKER,       /* where there is no route */
    RN_NULL_UNSAID,       /* unless the record has RN_HAS_ATTRIBUTES */
    RN_NULL_UNSAID_TABLE, /* and when it has RN_HAS_NO_TABLE */
    RN_NULL_ZERO,         /* when the number is 0 */
    RN_NULL_OWN,          /* the fill says */
};

struct rn_column {
    const char *name;
    const char *format; /* of a cell; of names: of the number of one */
    rn_fill_fn *fill;
    enum rn_null_rule rule;
    uint16_t offset; /* in the record, of what is copied */
    uint16_t size;   /* of a value in bytes; of text: 0 */
    /* Text of the record and its length; -1: null. */
    int (*text)(const struct rn_record *record, char *out);
    /* Number of the name, from 0; -1: null. */
    int (*number)(const struct rn_record *record);
    unsigned names; /* how many; 0: this column is none of names */
    const char *(*name_of)(unsigned number);
};

#define RN_COLUMNS 26
extern const struct rn_column rn_columns[RN_COLUMNS];

#define RN_COLUMNS_NO_MEMORY (-1)
#define RN_COLUMNS_TOO_LONG (-2) /* text of more than 2 GiB */

/* rn_columns_fill - the cells of every column.
 * Context: any thread; the records must not change meanwhile.
 * Return: 0, or an RN_COLUMNS_* and cells is empty.
 */
int
rn_columns_fill(const struct rn_span *rows, struct rn_cells cells[RN_COLUMNS]);

/* rn_columns_names - the names of a column as a column of text. */
int
rn_columns_names(const struct rn_column *column, struct rn_cells *cells);

void
rn_cells_free(struct rn_cells *cells);

#endif
