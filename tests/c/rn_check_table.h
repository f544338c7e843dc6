/* rn_check_table.h - the naive models of the channel tests: a table that
 * changes at random, and a consumer that replays into one of its own.
 */
#ifndef RN_CHECK_TABLE_H
#define RN_CHECK_TABLE_H

#include <string.h>

#include "rn_check.h"
#include "rn_netio.h"

#define TABLE_ROWS 512u

struct table {
    uint32_t values[TABLE_ROWS]; /* an attribute of the row; 0: no such row */
    uint32_t last_value;
};

struct consumer {
    struct table table;
    uint64_t sequence;    /* of the last record */
    uint64_t merged_away; /* sum of merged - 1 */
    int lenient;          /* it may be told what it knows already */
};

static inline struct rn_record
row_change(uint8_t type, uint32_t row, uint32_t value)
{
    struct rn_record record = {.type = type};

    if (type < RN_INITIAL) {
        record.ip_version = 4;
        record.prefix_length = 32;
        record.table = 254;
        record.mtu = value;
        memcpy(record.destination, &row, sizeof(row));
    }
    return record;
}

/* A possible change of a random one of the first `rows` rows. */
static inline struct rn_record
table_change(struct table *table, uint64_t *seed, uint32_t rows)
{
    uint32_t row = rn_check_below(seed, rows);
    uint8_t type = RN_ADD;

    if (table->values[row] != 0) {
        type = rn_check_below(seed, 2) ? RN_PARAMETER : RN_DELETE;
    }
    table->values[row] = type == RN_DELETE ? 0 : ++table->last_value;
    return row_change(type, row, table->values[row]);
}

/* As a provider does when rn_channel_lost says so. */
static inline void
table_send_all(const struct table *table,
               void (*emit)(void *, const struct rn_record *), void *sink)
{
    struct rn_record record = {.type = RN_RESYNC_BEGIN,
                               .cause = RN_CAUSE_MEMORY};

    emit(sink, &record);
    for (uint32_t row = 0; row < TABLE_ROWS; row++) {
        if (table->values[row] != 0) {
            record = row_change(RN_ADD, row, table->values[row]);
            emit(sink, &record);
        }
    }
    record = (struct rn_record){.type = RN_RESYNC_END};
    emit(sink, &record);
}

static inline int
table_equal(const struct table *a, const struct table *b)
{
    return memcmp(a->values, b->values, sizeof(a->values)) == 0;
}

static inline void
consumer_apply(struct consumer *consumer, const struct rn_record *record)
{
    uint32_t row;

    CHECK(record->sequence > consumer->sequence);
    consumer->sequence = record->sequence;
    CHECK(record->merged >= 1);
    consumer->merged_away += record->merged - 1;
    if (record->type == RN_RESYNC_BEGIN && record->cause == RN_CAUSE_MEMORY) {
        memset(&consumer->table, 0, sizeof(consumer->table));
    }
    if (record->type >= RN_INITIAL) {
        return;
    }
    memcpy(&row, record->destination, sizeof(row));
    CHECK(row < TABLE_ROWS);
    if (!consumer->lenient) {
        CHECK_EQ(record->type != RN_ADD, consumer->table.values[row] != 0);
    }
    consumer->table.values[row] = record->type == RN_DELETE ? 0 : record->mtu;
}

#endif
