/* test_spill.c - the spill map alone: the merge table in full, what replaying
 * its output gives, order, keys, and memory that runs out or is given back.
 */
/* sources: rn_spill.c */
#define _GNU_SOURCE
#include "rn_spill.h"

#include <string.h>
#include <unistd.h>

#include "rn_alloc.h"
#include "rn_check.h"

long rn_alloc_fail_at;
long rn_alloc_calls;

/* The calls of rn_alloc.h from here on that succeed; -1: all. */
static void
allow_allocations(long count)
{
    rn_alloc_calls = 0;
    rn_alloc_fail_at = count + 1;
}

static struct rn_record
change(uint8_t type, uint32_t row, uint64_t sequence)
{
    struct rn_record record = {
        .sequence = sequence,
        .time_ns = (int64_t)sequence * 7,
        .table = 254,
        .metric = row % 3,
        .interface_index = 2 + row % 5,
        .protocol = (uint16_t)(sequence * 3), /* an attribute, not the key */
        .merged = 1,
        .type = type,
        .ip_version = 4,
        .prefix_length = 32,
        .cause = (uint8_t)(sequence % RN_CAUSE_COUNT),
    };

    if (type >= RN_INITIAL) {
        return (struct rn_record){
            .sequence = sequence, .merged = 1, .type = type};
    }
    memcpy(record.destination, &row, sizeof(row));
    return record;
}

/* The merge table once more, as docs/design.md prints it.  GONE_OR_DELETE: by
 * whether a snapshot lies between.
 */
enum { GONE_OR_DELETE = 99 };
static const struct {
    uint8_t pending, coming, result;
} documented[] = {
    {RN_ADD, RN_ADD, RN_ADD},
    {RN_ADD, RN_PARAMETER, RN_ADD},
    {RN_ADD, RN_DELETE, GONE_OR_DELETE},
    {RN_PARAMETER, RN_ADD, RN_PARAMETER},
    {RN_PARAMETER, RN_PARAMETER, RN_PARAMETER},
    {RN_PARAMETER, RN_DELETE, RN_DELETE},
    {RN_DELETE, RN_ADD, RN_PARAMETER},
    {RN_DELETE, RN_PARAMETER, RN_PARAMETER},
    {RN_DELETE, RN_DELETE, RN_DELETE},
};

static uint8_t
look_up(uint8_t pending, uint8_t coming)
{
    for (size_t i = 0; i < sizeof(documented) / sizeof(documented[0]); i++) {
        if (documented[i].pending == pending &&
            documented[i].coming == coming) {
            return documented[i].result;
        }
    }
    exit(1);
}

/* What one row's entry should be: the naive model. */
struct model {
    int present;
    uint8_t type;
    uint64_t first;
    uint32_t merged;
};

/* Return: as rn_spill_put. */
static int
model_put(struct model *model, uint8_t type, uint64_t sequence,
          uint64_t marked)
{
    uint8_t result;

    if (!model->present) {
        *model = (struct model){1, type, sequence, 1};
        return 0;
    }
    result = look_up(model->type, type);
    if (result == GONE_OR_DELETE && model->first > marked) {
        model->present = 0;
        return 2;
    }
    model->type = result == GONE_OR_DELETE ? RN_DELETE : result;
    model->merged++;
    return 1;
}

/* One row, the types given by the digits of code in base 3, a snapshot after
 * change number mark_at (0: before all).
 */
static void
check_history(uint32_t length, uint32_t code, uint32_t mark_at)
{
    struct rn_spill spill;
    struct rn_record out;
    struct rn_record last = {0};
    struct model model = {0};

    rn_spill_init(&spill);
    for (uint32_t i = 1; i <= length; i++, code /= 3) {
        /* Until it is taken there is no mark. */
        uint64_t marked = i > mark_at ? mark_at : 0;
        last = change((uint8_t)(code % 3), 7, i);
        CHECK_EQ(model_put(&model, last.type, i, marked),
                 rn_spill_put(&spill, &last, marked));
    }
    CHECK_EQ(model.present, spill.count);
    CHECK_EQ(model.present, rn_spill_pop(&spill, &out));
    if (model.present) {
        CHECK_EQ(model.type, out.type);
        CHECK_EQ(model.merged, out.merged);
        /* All but these two is the newest change's: sequence, cause, row. */
        last.type = model.type;
        last.merged = model.merged;
        CHECK(memcmp(&last, &out, sizeof(out)) == 0);
    }
    CHECK(spill.entries == NULL && spill.slots == NULL);
}

/* Every history of up to five changes of one row, every place of a mark. */
static void
test_merge_table(void)
{
    uint32_t codes = 1;

    for (uint32_t length = 1; length <= 5; length++) {
        codes *= 3;
        for (uint32_t code = 0; code < codes; code++) {
            for (uint32_t mark_at = 0; mark_at <= length; mark_at++) {
                check_history(length, code, mark_at);
            }
        }
    }
}

/* Replaying what is left of a possible history gives what replaying all of it
 * gives: to a consumer from the start, and to one from the snapshot.
 */
static void
check_replay(int row_at_start, uint32_t length, uint32_t code,
             uint32_t mark_at)
{
    struct rn_spill spill;
    struct rn_record record;
    int exists = row_at_start;
    int at_mark = row_at_start;
    int seen = row_at_start;
    int seen_from_mark;

    rn_spill_init(&spill);
    for (uint32_t i = 1; i <= length; i++, code /= 2) {
        /* The row is there: change or delete it; it is not: add it. */
        uint8_t type = exists ? (code & 1 ? RN_PARAMETER : RN_DELETE) : RN_ADD;
        record = change(type, 7, i);
        CHECK(rn_spill_put(&spill, &record, i > mark_at ? mark_at : 0) >= 0);
        exists = type != RN_DELETE;
        at_mark = i == mark_at ? exists : at_mark;
    }
    seen_from_mark = at_mark;
    while (rn_spill_pop(&spill, &record)) {
        seen = record.type != RN_DELETE;
        seen_from_mark = record.sequence > mark_at ? seen : seen_from_mark;
    }
    CHECK_EQ(exists, seen);
    CHECK_EQ(exists, seen_from_mark);
}

static void
test_replay_of_one_row(void)
{
    for (uint32_t length = 1; length <= 8; length++) {
        for (uint32_t code = 0; code < 1u << length; code++) {
            for (uint32_t mark_at = 0; mark_at <= length; mark_at++) {
                check_replay(0, length, code, mark_at);
                check_replay(1, length, code, mark_at);
            }
        }
    }
}

static void
test_markers_keep_their_place(void)
{
    static const uint8_t types[] = {RN_INITIAL,    RN_ADD,
                                    RN_RESYNC_END, RN_INITIAL,
                                    RN_RESYNC_END, RN_SNAPSHOT_END};
    struct rn_spill spill;
    struct rn_record record;

    rn_spill_init(&spill);
    for (uint32_t i = 0; i < sizeof(types); i++) {
        record = change(types[i], 1, i + 1);
        CHECK_EQ(0, rn_spill_put(&spill, &record, 0));
    }
    record = change(RN_PARAMETER, 1, 7);
    CHECK_EQ(1, rn_spill_put(&spill, &record, 0));
    for (uint32_t i = 0; i < sizeof(types); i++) {
        if (types[i] != RN_ADD) {
            CHECK_EQ(1, rn_spill_pop(&spill, &record));
            CHECK_EQ(types[i], record.type);
            CHECK_EQ(i + 1, record.sequence);
        }
    }
    CHECK_EQ(1, rn_spill_pop(&spill, &record));
    CHECK_EQ(RN_ADD, record.type);
    CHECK_EQ(7, record.sequence);
    CHECK_EQ(0, rn_spill_pop(&spill, &record));
}

/* Bytes of a record that are part of the key, by offset. */
static int
in_key(size_t offset)
{
#define WITHIN(member)                               \
    (offset >= offsetof(struct rn_record, member) && \
     offset < offsetof(struct rn_record, member) +   \
                  sizeof(((struct rn_record *)0)->member))
    return WITHIN(ip_version) || WITHIN(table) || WITHIN(destination) ||
           WITHIN(prefix_length) || WITHIN(source) || WITHIN(source_length) ||
           WITHIN(tos) || WITHIN(metric) || WITHIN(next_hop_version) ||
           WITHIN(next_hop) || WITHIN(interface_index) ||
           WITHIN(interface_luid) || WITHIN(ordinal);
#undef WITHIN
}

/* With a LUID the interface's index, which Windows may change, names nothing;
 * the newest is told.
 */
static void
test_key_with_a_luid(void)
{
    struct rn_record record = change(RN_PARAMETER, 3, 1);
    struct rn_spill spill;

    rn_spill_init(&spill);
    record.interface_luid = UINT64_C(6) << 48;
    CHECK_EQ(0, rn_spill_put(&spill, &record, 0));
    record.interface_index++;
    CHECK_EQ(1, rn_spill_put(&spill, &record, 0));
    record.interface_luid++;
    CHECK_EQ(0, rn_spill_put(&spill, &record, 0));
    CHECK_EQ(1, rn_spill_pop(&spill, &record));
    CHECK_EQ(2 + 3 + 1, record.interface_index);
    rn_spill_clear(&spill);
}

/* Two records that differ in one byte are one row exactly if it is not in the
 * key.
 */
static void
test_key(void)
{
    for (size_t offset = 0; offset < sizeof(struct rn_record); offset++) {
        struct rn_spill spill;
        struct rn_record record = change(RN_PARAMETER, 3, 1);
        uint8_t bytes[sizeof(record)];

        if (offset == offsetof(struct rn_record, type)) {
            continue;
        }
        rn_spill_init(&spill);
        CHECK_EQ(0, rn_spill_put(&spill, &record, 0));
        memcpy(bytes, &record, sizeof(record));
        bytes[offset] ^= 0x40;
        memcpy(&record, bytes, sizeof(record));
        CHECK_EQ(in_key(offset) ? 0 : 1, rn_spill_put(&spill, &record, 0));
        rn_spill_clear(&spill);
    }
}

#define ROWS 5000u

/* Many rows, grown and shrunk, against an array that holds the same. */
struct many {
    struct rn_spill spill;
    struct model rows[ROWS];
    uint64_t newest[ROWS]; /* sequence, if present */
    uint32_t markers;      /* pending */
    uint64_t sequence;
    uint64_t popped; /* sequence of the last one taken out */
    uint64_t marked;
};

static void
many_put(struct many *many, uint32_t row, uint8_t type)
{
    struct rn_record record = change(type, row, ++many->sequence);

    CHECK_EQ(model_put(&many->rows[row], type, record.sequence, many->marked),
             rn_spill_put(&many->spill, &record, many->marked));
    many->newest[row] = record.sequence;
}

static void
many_put_marker(struct many *many)
{
    struct rn_record record = change(RN_RESYNC_END, 0, ++many->sequence);

    CHECK_EQ(0, rn_spill_put(&many->spill, &record, many->marked));
    many->markers++;
}

static void
many_pop_row(struct many *many, const struct rn_record *record)
{
    uint32_t row;

    memcpy(&row, record->destination, sizeof(row));
    CHECK(many->rows[row].present);
    CHECK_EQ(many->rows[row].type, record->type);
    CHECK_EQ(many->rows[row].merged, record->merged);
    CHECK_EQ(many->newest[row], record->sequence);
    many->rows[row].present = 0;
}

static void
many_pop(struct many *many)
{
    struct rn_record record;

    if (!rn_spill_pop(&many->spill, &record)) {
        CHECK_EQ(0, many->markers);
        for (uint32_t row = 0; row < ROWS; row++) {
            CHECK(!many->rows[row].present);
        }
        return;
    }
    CHECK(record.sequence > many->popped);
    many->popped = record.sequence;
    if (record.type == RN_RESYNC_END) {
        CHECK(many->markers-- > 0);
    } else {
        many_pop_row(many, &record);
    }
}

static void
test_many_rows(uint64_t seed, uint32_t steps)
{
    static struct many many;
    uint32_t rows = 1;

    memset(&many, 0, sizeof(many));
    rn_spill_init(&many.spill);
    for (uint32_t i = 0; i < steps; i++) {
        if (i % 4096 == 0) {
            rows = 1 + rn_check_below(&seed, ROWS);
        }
        /* In turn mostly put and mostly pop, so that it grows and shrinks. */
        if (rn_check_below(&seed, 100) < ((i >> 14) & 1 ? 30 : 80)) {
            many_put(&many, rn_check_below(&seed, rows),
                     (uint8_t)rn_check_below(&seed, 3));
        } else {
            many_pop(&many);
        }
        if (rn_check_below(&seed, 50) == 0) {
            many.marked = many.sequence;
            many_put_marker(&many);
        }
        CHECK(many.spill.count <= many.spill.room);
        CHECK(many.spill.room <= 64 ||
              many.spill.count >= many.spill.room / 4);
    }
    while (many.spill.count != 0) {
        many_pop(&many);
    }
    many_pop(&many);
}

/* Popping the newest by hand is not possible; cancelling is the only way an
 * entry leaves from the middle, or the map empties on the producer's side.
 */
static void
test_cancelled_to_nothing(void)
{
    struct rn_spill spill;
    struct rn_record record;

    rn_spill_init(&spill);
    for (uint32_t i = 0; i < 1000; i++) {
        record = change(RN_ADD, i, i + 1);
        CHECK_EQ(0, rn_spill_put(&spill, &record, 0));
    }
    for (uint32_t i = 0; i < 1000; i++) {
        uint32_t row = i * 7 % 1000;
        record = change(RN_DELETE, row, 2000 + i);
        CHECK_EQ(2, rn_spill_put(&spill, &record, 0));
    }
    CHECK_EQ(0, spill.count);
    CHECK(spill.entries == NULL && spill.slots == NULL);
}

/* Let allocation number allowed + 1 and all later ones fail: what was put
 * before is all there and in order, and the map works on afterwards.
 */
static void
check_failure(long allowed, uint32_t rows)
{
    struct rn_spill spill;
    struct rn_record record;
    uint32_t put = 0;

    rn_spill_init(&spill);
    allow_allocations(allowed);
    for (; put < rows; put++) {
        record = change(RN_ADD, put, put + 1);
        if (rn_spill_put(&spill, &record, 0) != 0) {
            break;
        }
    }
    CHECK(put < rows);
    CHECK_EQ(put, spill.count);
    if (put > 0) { /* merging needs no memory */
        record = change(RN_PARAMETER, 0, rows + 1);
        CHECK_EQ(1, rn_spill_put(&spill, &record, 0));
        for (uint32_t i = 1; i < put; i++) {
            CHECK_EQ(1, rn_spill_pop(&spill, &record));
            CHECK_EQ(i + 1, record.sequence);
        }
        CHECK_EQ(1, rn_spill_pop(&spill, &record));
        CHECK_EQ(rows + 1, record.sequence);
    }
    CHECK_EQ(0, spill.count);
    allow_allocations(-1);
    record = change(RN_ADD, 1, 1);
    CHECK_EQ(0, rn_spill_put(&spill, &record, 0));
    rn_spill_clear(&spill);
}

static void
test_memory_runs_out(void)
{
    struct rn_spill spill;
    struct rn_record record;

    allow_allocations(-1);
    rn_spill_init(&spill);
    for (uint32_t i = 0; i < 3000; i++) {
        record = change(RN_ADD, i, i + 1);
        CHECK_EQ(0, rn_spill_put(&spill, &record, 0));
    }
    rn_spill_clear(&spill);
    CHECK(rn_alloc_calls >= 14); /* two for each size from 64 to 4096 */
    for (long allowed = rn_alloc_calls - 1; allowed >= 0; allowed--) {
        check_failure(allowed, 3000);
    }
}

int
main(void)
{
    uint64_t seed = rn_check_seed((uint64_t)getpid());

    test_merge_table();
    test_replay_of_one_row();
    test_markers_keep_their_place();
    test_key();
    test_key_with_a_luid();
    test_many_rows(seed, RN_ROUNDS(1000000, 200000));
    test_cancelled_to_nothing();
    test_memory_runs_out();
    return 0;
}
