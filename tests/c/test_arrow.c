/* test_arrow.c - what consumers of the Arrow C data interface may do: read,
 * move children out, release in any order and on another thread, or not at all
 * beyond release; and memory that runs out at every single allocation.
 */
/* sources: rn_arrow.c rn_columns.c rn_text.c */
#define _GNU_SOURCE
#include "rn_arrow.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

#include "rn_alloc.h"
#include "rn_check.h"
#include "rn_text.h"

long rn_alloc_fail_at;
long rn_alloc_calls;

#define ROWS 1500 /* three parts of rn_columns.c, the last not full */

static struct rn_record records[ROWS];
static uint64_t seed;

static void
fill_records(void)
{
    static const uint8_t versions[3] = {0, 4, 6};
    static const uint8_t types[7] = {0, 1, 2, 3, 16, 17, 18};
    for (size_t i = 0; i < ROWS; i++) {
        uint64_t bytes[16];
        for (size_t j = 0; j < 16; j++) {
            bytes[j] = rn_check_below(&seed, 3) ? rn_check_random(&seed) : 0;
        }
        memcpy(&records[i], bytes, sizeof(bytes));
        records[i].type = types[rn_check_below(&seed, 7)];
        records[i].ip_version = versions[rn_check_below(&seed, 3)];
        records[i].next_hop_version = versions[rn_check_below(&seed, 3)];
        records[i].prefix_length = (uint8_t)rn_check_below(&seed, 33);
        records[i].source_length = (uint8_t)rn_check_below(&seed, 33);
    }
}

static struct rn_span
span(size_t first, ptrdiff_t step, size_t count)
{
    return (struct rn_span){
        .first = (const char *)&records[first],
        .stride = step * (ptrdiff_t)sizeof(struct rn_record),
        .count = count,
    };
}

/* ---- reading, as a consumer does ---- */

static int
is_valid(const struct rn_arrow_array *array, size_t row)
{
    const uint8_t *bits = array->buffers[0];
    return bits == NULL || (bits[row / 8] >> (row % 8) & 1) != 0;
}

static void
check_text(const struct rn_arrow_array *array, size_t row, const char *want)
{
    const int32_t *offsets = array->buffers[1];
    const char *text = array->buffers[2];
    size_t length = (size_t)(offsets[row + 1] - offsets[row]);

    CHECK_EQ(want != NULL, is_valid(array, row));
    CHECK_EQ(want == NULL ? 0 : strlen(want), length);
    CHECK(length == 0 || memcmp(text + offsets[row], want, length) == 0);
}

static const struct rn_arrow_array *
column(const struct rn_arrow_array *array, const char *name)
{
    for (size_t i = 0; i < RN_COLUMNS; i++) {
        if (strcmp(rn_columns[i].name, name) == 0) {
            return array->children[i];
        }
    }
    CHECK(!"there is such a column");
    return NULL;
}

static void
check_name(const struct rn_arrow_array *array, const char *name, size_t row,
           const char *want)
{
    const struct rn_arrow_array *numbers = column(array, name);
    const int8_t *values = numbers->buffers[1];

    CHECK_EQ(want != NULL, is_valid(numbers, row));
    if (want != NULL) {
        CHECK(values[row] >= 0 && values[row] < numbers->dictionary->length);
        check_text(numbers->dictionary, (size_t)values[row], want);
    }
}

static void
check_number(const struct rn_arrow_array *array, const char *name, size_t row,
             const void *want, size_t size)
{
    const struct rn_arrow_array *numbers = column(array, name);
    const char *values = numbers->buffers[1];

    CHECK_EQ(want != NULL, is_valid(numbers, row));
    CHECK(want == NULL || memcmp(values + row * size, want, size) == 0);
}

static void
check_row(const struct rn_arrow_array *array, size_t row,
          const struct rn_record *record)
{
    char text[RN_TEXT_SIZE];
    int route = record->ip_version != 0;
    int said = (record->fields & RN_HAS_ATTRIBUTES) != 0;
    int table = said && (record->fields & RN_HAS_NO_TABLE) == 0;
    uint16_t weight = (uint16_t)(record->weight + 1);

    check_number(array, "sequence", row, &record->sequence, 8);
    check_number(array, "time_ns", row, &record->time_ns, 8);
    check_number(array, "prefix_length", row,
                 route ? &record->prefix_length : NULL, 1);
    check_number(array, "destination_bytes", row,
                 route ? record->destination : NULL, 16);
    check_number(array, "interface_index", row,
                 record->interface_index ? &record->interface_index : NULL, 4);
    check_number(array, "interface_luid", row,
                 record->interface_luid ? &record->interface_luid : NULL, 8);
    check_number(array, "metric", row, said ? &record->metric : NULL, 4);
    check_number(array, "protocol", row, said ? &record->protocol : NULL, 2);
    check_number(array, "weight", row, table ? &weight : NULL, 2);
    check_number(array, "table", row, table ? &record->table : NULL, 4);
    check_name(array, "type", row, rn_type_name(record->type));
    check_name(array, "cause", row, rn_cause_name(record->cause));
    check_name(array, "family", row,
               !route                    ? NULL
               : record->ip_version == 4 ? "inet"
                                         : "inet6");
    const char *name = rn_route_type_name(record->route_type);
    check_name(array, "route_type", row,
               !table         ? NULL
               : name == NULL ? "unknown"
                              : name);
    if (route) {
        rn_text_prefix(record->ip_version, record->destination,
                       record->prefix_length, text);
    }
    check_text(column(array, "destination"), row, route ? text : NULL);
    if (record->next_hop_version != 0) {
        rn_text_address(record->next_hop_version, record->next_hop, text);
    }
    check_text(column(array, "next_hop"), row,
               record->next_hop_version != 0 ? text : NULL);
}

static void
check_nulls(const struct rn_arrow_array *array)
{
    for (size_t i = 0; i < RN_COLUMNS; i++) {
        const struct rn_arrow_array *child = array->children[i];
        int64_t nulls = 0;
        for (size_t row = 0; row < (size_t)array->length; row++) {
            nulls += !is_valid(child, row);
        }
        CHECK_EQ(array->length, child->length);
        CHECK_EQ(nulls, child->null_count);
        CHECK(nulls == 0 || rn_columns[i].rule != RN_NULL_NEVER);
    }
}

static void
check_array(const struct rn_arrow_array *array, const struct rn_span *rows)
{
    CHECK_EQ(rows->count, array->length);
    CHECK_EQ(RN_COLUMNS, array->n_children);
    for (size_t i = 0; i < rows->count; i++) {
        check_row(array, i,
                  (const void *)(rows->first + (ptrdiff_t)i * rows->stride));
    }
    check_nulls(array);
}

/* ---- tests ---- */

static void
test_rows(void)
{
    const struct rn_span spans[] = {
        span(0, 1, ROWS),
        span(0, 1, 0),
        span(7, 1, 1),
        span(3, 3, ROWS / 3 - 1),
        span(9, 1, 512),
        span(0, 2, 513),
        span(ROWS - 1, -1, ROWS),
        span(ROWS - 1, -7, ROWS / 7),
    };
    for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++) {
        struct rn_arrow_array array;
        CHECK_EQ(0, rn_arrow_array_export(&spans[i], &array));
        check_array(&array, &spans[i]);
        array.release(&array);
        CHECK(array.release == NULL);
    }
}

static void
test_schema_describes_the_array(void)
{
    struct rn_arrow_schema schema;
    struct rn_arrow_array array;
    struct rn_span rows = span(0, 1, 100);
    CHECK_EQ(0, rn_arrow_schema_export(&schema));
    CHECK_EQ(0, rn_arrow_array_export(&rows, &array));
    CHECK_EQ(schema.n_children, array.n_children);
    CHECK(strcmp(schema.format, "+s") == 0);
    for (size_t i = 0; i < RN_COLUMNS; i++) {
        const struct rn_arrow_schema *field = schema.children[i];
        const struct rn_arrow_array *child = array.children[i];
        CHECK_EQ(strcmp(field->format, "u") == 0 ? 3 : 2, child->n_buffers);
        CHECK_EQ(field->dictionary != NULL, child->dictionary != NULL);
        CHECK(child->null_count == 0 || field->flags == 2);
    }
    schema.release(&schema);
    array.release(&array);
}

static struct rn_arrow_array moved[RN_COLUMNS];

static void *
release_moved(void *unused)
{
    (void)unused;
    for (size_t i = RN_COLUMNS; i-- > 0;) {
        moved[i].release(&moved[i]);
    }
    return NULL;
}

/* A consumer that keeps every other column, and lets another thread free it. */
static void
test_children_moved_out(void)
{
    struct rn_arrow_array array;
    struct rn_span rows = span(0, 1, ROWS);
    pthread_t thread;
    CHECK_EQ(0, rn_arrow_array_export(&rows, &array));
    for (size_t i = 0; i < RN_COLUMNS; i++) {
        moved[i] = *array.children[i];
        array.children[i]->release = NULL;
    }
    array.release(&array);
    CHECK_EQ(ROWS, moved[0].length);
    CHECK_EQ(8, moved[1].dictionary->length);
    check_text(moved[1].dictionary, 1, "ADD");
    CHECK_EQ(0, pthread_create(&thread, NULL, release_moved, NULL));
    CHECK_EQ(0, pthread_join(thread, NULL));
}

static void
test_schema_fields_moved_out(void)
{
    struct rn_arrow_schema schema;
    struct rn_arrow_schema field;
    CHECK_EQ(0, rn_arrow_schema_export(&schema));
    field = *schema.children[1];
    schema.children[1]->release = NULL;
    schema.release(&schema);
    CHECK(strcmp(field.name, "type") == 0);
    CHECK(strcmp(field.dictionary->format, "u") == 0);
    field.release(&field);
}

static void
test_stream_gives_one_array(void)
{
    struct rn_arrow_stream stream;
    struct rn_arrow_schema schema;
    struct rn_arrow_array array;
    struct rn_span rows = span(0, 1, 20);
    CHECK_EQ(0, rn_arrow_stream_export(&rows, &stream));
    CHECK_EQ(0, stream.get_schema(&stream, &schema));
    schema.release(&schema);
    CHECK_EQ(0, stream.get_next(&stream, &array));
    check_array(&array, &rows);
    struct rn_arrow_array end;
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(0, stream.get_next(&stream, &end));
        CHECK(end.release == NULL);
    }
    stream.release(&stream);
    CHECK(stream.release == NULL);
    check_array(&array, &rows); /* outlives its stream */
    array.release(&array);

    CHECK_EQ(0, rn_arrow_stream_export(&rows, &stream));
    stream.release(&stream); /* nobody asked it */
}

/* Every allocation fails once; the sanitizer says whether all was freed. */
static void
test_memory_runs_out(void)
{
    struct rn_span rows = span(0, 1, 1000);
    struct rn_arrow_schema schema;
    struct rn_arrow_stream stream;
    int failed = 1;
    long at = 0;
    while (failed) {
        rn_alloc_calls = 0;
        rn_alloc_fail_at = ++at;
        failed = rn_arrow_stream_export(&rows, &stream);
        CHECK_EQ(failed ? RN_COLUMNS_NO_MEMORY : 0, failed);
        CHECK_EQ(failed != 0, stream.release == NULL);
    }
    CHECK(at > 3 * RN_COLUMNS);
    rn_alloc_calls = 0;
    rn_alloc_fail_at = 1;
    CHECK(stream.get_schema(&stream, &schema) != 0);
    CHECK(schema.release == NULL);
    CHECK(strlen(stream.get_last_error(&stream)) > 0);
    rn_alloc_fail_at = 0;
    stream.release(&stream);
    for (at = 1, failed = 1; failed; at++) {
        rn_alloc_calls = 0;
        rn_alloc_fail_at = at;
        failed = rn_arrow_schema_export(&schema);
        CHECK_EQ(failed != 0, schema.release == NULL);
    }
    rn_alloc_fail_at = 0;
    schema.release(&schema);
}

int
main(void)
{
    seed = rn_check_seed((uint64_t)time(NULL));
    fill_records();
    test_rows();
    test_schema_describes_the_array();
    test_children_moved_out();
    test_schema_fields_moved_out();
    test_stream_gives_one_array();
    test_memory_runs_out();
    return 0;
}
