/* rn_columns.c - the columns of a batch, filled from its records.
 *
 * The records are read a few hundred at a time, each column taking its part,
 * so that a row is fetched from memory once and not once per column.
 */
#include "rn_columns.h"

#include <string.h>

#include "rn_alloc.h"
#include "rn_text.h"

#define PART 512         /* rows; 64 KiB of records */
#define FIRST_TEXT 4096u /* bytes */
#define TEXT_MAX ((size_t)INT32_MAX)

static const uint8_t zero[16];

static inline const struct rn_record *
row_at(const struct rn_span *rows, size_t index)
{
    return (const void *)(rows->first + (ptrdiff_t)index * rows->stride);
}

/* ---- null or not ---- */

static inline void
note(struct rn_cells *cells, size_t index, int valid)
{
    if (valid) {
        cells->valid[index / 8] |= (uint8_t)(1u << (index % 8));
    } else {
        cells->nulls++;
    }
}

static int
obeys(enum rn_null_rule rule, const struct rn_record *record,
      const char *value, size_t size)
{
    switch (rule) {
    case RN_NULL_MARKER:
        return record->ip_version != 0;
    case RN_NULL_UNSAID:
        return rn_said(record);
    case RN_NULL_UNSAID_TABLE:
        return rn_said_table(record);
    case RN_NULL_ZERO:
        return memcmp(value, zero, size) != 0;
    default:
        return 1;
    }
}

/* ---- numbers ---- */

static inline void
copy(char *out, const struct rn_span *rows, size_t from, size_t to,
     size_t offset, size_t size)
{
    for (size_t i = from; i < to; i++) {
        memcpy(out + i * size, (const char *)row_at(rows, i) + offset, size);
    }
}

/* The members as they are in the records. */
static int
fill_copy(const struct rn_column *column, struct rn_cells *cells,
          const struct rn_span *rows, size_t from, size_t to)
{
    char *out = cells->values;
    /* One loop per size, in which memcpy is a load and a store. */
    switch (column->size) {
    case 1:
        copy(out, rows, from, to, column->offset, 1);
        break;
    case 2:
        copy(out, rows, from, to, column->offset, 2);
        break;
    case 4:
        copy(out, rows, from, to, column->offset, 4);
        break;
    case 8:
        copy(out, rows, from, to, column->offset, 8);
        break;
    default:
        copy(out, rows, from, to, column->offset, 16);
        break;
    }
    if (column->rule != RN_NULL_NEVER) {
        for (size_t i = from; i < to; i++) {
            note(cells, i,
                 obeys(column->rule, row_at(rows, i), out + i * column->size,
                       column->size));
        }
    }
    return 0;
}

/* From 1, as RouteChange.weight: 256 does not fit the record's byte. */
static int
fill_weight(const struct rn_column *column, struct rn_cells *cells,
            const struct rn_span *rows, size_t from, size_t to)
{
    uint16_t *out = cells->values;
    (void)column;
    for (size_t i = from; i < to; i++) {
        const struct rn_record *record = row_at(rows, i);
        out[i] = (uint16_t)(record->weight + 1u);
        note(cells, i, rn_said_table(record));
    }
    return 0;
}

/* ---- names ---- */

static int
number_of_type(const struct rn_record *record)
{
    unsigned type = record->type;
    if (type <= RN_INITIAL) {
        return (int)type;
    }
    if (type >= RN_FIRST_MARKER && type <= RN_RESYNC_END) {
        return (int)(type - RN_FIRST_MARKER + RN_INITIAL + 1);
    }
    return RN_RESYNC_END - RN_FIRST_MARKER + RN_INITIAL + 2;
}

static const char *
name_of_type(unsigned number)
{
    return rn_type_name(number <= RN_INITIAL
                            ? number
                            : number - RN_INITIAL - 1 + RN_FIRST_MARKER);
}

static int
number_of_family(const struct rn_record *record)
{
    return record->ip_version == 0 ? -1 : record->ip_version == 6;
}

static const char *
name_of_family(unsigned number)
{
    return number == 0 ? "inet" : "inet6";
}

#define ROUTE_TYPES 12 /* that have a name */

static int
number_of_route_type(const struct rn_record *record)
{
    if (!rn_said_table(record)) {
        return -1;
    }
    return record->route_type < ROUTE_TYPES ? record->route_type : ROUTE_TYPES;
}

static const char *
name_of_route_type(unsigned number)
{
    const char *name = rn_route_type_name(number);
    return name != NULL ? name : "unknown";
}

static int
number_of_cause(const struct rn_record *record)
{
    return record->cause < RN_CAUSE_COUNT ? record->cause : RN_CAUSE_COUNT;
}

static int
fill_names(const struct rn_column *column, struct rn_cells *cells,
           const struct rn_span *rows, size_t from, size_t to)
{
    int8_t *out = cells->values;
    for (size_t i = from; i < to; i++) {
        int number = column->number(row_at(rows, i));
        out[i] = (int8_t)(number < 0 ? 0 : number);
        if (column->rule != RN_NULL_NEVER) {
            note(cells, i, number >= 0);
        }
    }
    return 0;
}

/* ---- text ---- */

static int
text_of_destination(const struct rn_record *record, char *out)
{
    if (record->ip_version == 0) {
        return -1;
    }
    return rn_text_prefix(record->ip_version, record->destination,
                          record->prefix_length, out);
}

static int
text_of_next_hop(const struct rn_record *record, char *out)
{
    if (record->next_hop_version == 0) {
        return -1;
    }
    return rn_text_address(record->next_hop_version, record->next_hop, out);
}

static int
text_of_source(const struct rn_record *record, char *out)
{
    if (!rn_has_source(record)) {
        return -1;
    }
    return rn_text_prefix(6, record->source, record->source_length, out);
}

static int
text_of_preferred_source(const struct rn_record *record, char *out)
{
    if (!rn_has_prefsrc(record)) {
        return -1;
    }
    return rn_text_address(record->ip_version, record->prefsrc, out);
}

/* Room for one more text. */
static int
make_room(struct rn_cells *cells)
{
    if (cells->used + RN_TEXT_SIZE > TEXT_MAX) {
        return RN_COLUMNS_TOO_LONG;
    }
    if (cells->used + RN_TEXT_SIZE <= cells->room) {
        return 0;
    }
    size_t room = cells->room == 0 ? FIRST_TEXT : 2 * cells->room;
    char *text = rn_realloc(cells->text, room);
    if (text == NULL) {
        return RN_COLUMNS_NO_MEMORY;
    }
    cells->text = text;
    cells->room = room;
    return 0;
}

static int
fill_text(const struct rn_column *column, struct rn_cells *cells,
          const struct rn_span *rows, size_t from, size_t to)
{
    int32_t *offsets = cells->values;
    for (size_t i = from; i < to; i++) {
        int failed = make_room(cells);
        if (failed) {
            return failed;
        }
        int length = column->text(row_at(rows, i), cells->text + cells->used);
        cells->used += length < 0 ? 0 : (size_t)length;
        offsets[i + 1] = (int32_t)cells->used;
        note(cells, i, length >= 0);
    }
    return 0;
}

/* ---- the columns ---- */

#define COPY(title, format, member, rule)                                     \
    {                                                                         \
        title, format, fill_copy, rule,                                       \
            (uint16_t)offsetof(struct rn_record, member),                     \
            (uint16_t)sizeof(((struct rn_record *)0)->member), NULL, NULL, 0, \
            NULL                                                              \
    }
#define TEXT(title)                                                          \
    {                                                                        \
        #title, "u", fill_text, RN_NULL_OWN, 0, 0, text_of_##title, NULL, 0, \
            NULL                                                             \
    }
#define NAMES(title, rule, number_of, count, name_of)                        \
    {                                                                        \
        #title, "c", fill_names, rule, 0, 1, NULL, number_of, count, name_of \
    }

/* What most people look at first; what one is sometimes glad of after it. */
const struct rn_column rn_columns[RN_COLUMNS] = {
    COPY("time_ns", "tsn:UTC", time_ns, RN_NULL_NEVER),
    NAMES(type, RN_NULL_NEVER, number_of_type, 8, name_of_type),
    NAMES(family, RN_NULL_OWN, number_of_family, 2, name_of_family),
    TEXT(destination),
    COPY("prefix_length", "C", prefix_length, RN_NULL_MARKER),
    TEXT(next_hop),
    COPY("interface_index", "I", interface_index, RN_NULL_ZERO),
    COPY("table", "I", table, RN_NULL_UNSAID_TABLE),
    COPY("protocol", "S", protocol, RN_NULL_UNSAID),
    COPY("metric", "I", metric, RN_NULL_UNSAID),
    NAMES(route_type, RN_NULL_OWN, number_of_route_type, ROUTE_TYPES + 1,
          name_of_route_type),
    NAMES(cause, RN_NULL_NEVER, number_of_cause, RN_CAUSE_COUNT + 1,
          rn_cause_name),
    COPY("sequence", "L", sequence, RN_NULL_NEVER),
    COPY("merged", "I", merged, RN_NULL_NEVER),
    COPY("destination_bytes", "w:16", destination, RN_NULL_MARKER),
    TEXT(source),
    TEXT(preferred_source),
    COPY("scope", "C", scope, RN_NULL_UNSAID_TABLE),
    COPY("tos", "C", tos, RN_NULL_UNSAID_TABLE),
    COPY("mtu", "I", mtu, RN_NULL_ZERO),
    {"weight", "S", fill_weight, RN_NULL_OWN, 0, 2, NULL, NULL, 0, NULL},
    COPY("nexthop_id", "I", nexthop_id, RN_NULL_ZERO),
    COPY("flags", "C", flags, RN_NULL_NEVER),
    NAMES(preference, RN_NULL_OWN, rn_preference, 3, rn_preference_name),
    COPY("ordinal", "S", ordinal, RN_NULL_NEVER),
    COPY("interface_luid", "L", interface_luid, RN_NULL_ZERO),
};

/* ---- all of them ---- */

void
rn_cells_free(struct rn_cells *cells)
{
    free(cells->valid);
    free(cells->values);
    free(cells->text);
    *cells = (struct rn_cells){0};
}

/* Buffers for count rows, none of them empty: not every consumer likes NULL. */
static int
cells_init(struct rn_cells *cells, size_t count, size_t size, int nullable)
{
    int failed = 0;
    *cells = (struct rn_cells){0};
    cells->values = rn_alloc_zero(count + 1, size != 0 ? size : 4);
    if (nullable) {
        cells->valid = rn_alloc_zero(count / 8 + 1, 1);
    }
    if (cells->values == NULL || (nullable && cells->valid == NULL)) {
        failed = RN_COLUMNS_NO_MEMORY;
    } else if (size == 0) {
        failed = make_room(cells);
    }
    if (failed) {
        rn_cells_free(cells);
    }
    return failed;
}

static void
free_all(struct rn_cells cells[RN_COLUMNS])
{
    for (size_t i = 0; i < RN_COLUMNS; i++) {
        rn_cells_free(&cells[i]);
    }
}

static int
init_all(struct rn_cells cells[RN_COLUMNS], size_t count)
{
    for (size_t i = 0; i < RN_COLUMNS; i++) {
        cells[i] = (struct rn_cells){0};
    }
    for (size_t i = 0; i < RN_COLUMNS; i++) {
        int failed = cells_init(&cells[i], count, rn_columns[i].size,
                                rn_columns[i].rule != RN_NULL_NEVER);
        if (failed) {
            return failed;
        }
    }
    return 0;
}

static int
fill_part(const struct rn_span *rows, struct rn_cells cells[RN_COLUMNS],
          size_t from, size_t to)
{
    int failed = 0;
    for (size_t i = 0; i < RN_COLUMNS && !failed; i++) {
        failed = rn_columns[i].fill(&rn_columns[i], &cells[i], rows, from, to);
    }
    return failed;
}

int
rn_columns_fill(const struct rn_span *rows, struct rn_cells cells[RN_COLUMNS])
{
    int failed = init_all(cells, rows->count);
    for (size_t from = 0; from < rows->count && !failed; from += PART) {
        size_t left = rows->count - from;
        failed =
            fill_part(rows, cells, from, from + (left < PART ? left : PART));
    }
    if (failed) {
        free_all(cells);
    }
    return failed;
}

int
rn_columns_names(const struct rn_column *column, struct rn_cells *cells)
{
    int failed = cells_init(cells, column->names, 0, 0);
    for (unsigned i = 0; i < column->names && !failed; i++) {
        failed = make_room(cells);
        if (!failed) {
            const char *name = column->name_of(i);
            size_t length = strlen(name);
            memcpy(cells->text + cells->used, name, length);
            cells->used += length;
            ((int32_t *)cells->values)[i + 1] = (int32_t)cells->used;
        }
    }
    if (failed) {
        rn_cells_free(cells);
    }
    return failed;
}
