/* rn_windows_ledger.c - the rows one registration has been told of. */
#include "rn_windows_ledger.h"

#include <string.h>

#include "rn_alloc.h"

#define FIRST_CAPACITY 256u

/* Hashed as bytes, so without padding. */
struct key {
    uint64_t luid;
    uint8_t destination[16];
    uint8_t next_hop[16];
    uint8_t ip_version;
    uint8_t prefix_length;
    uint8_t next_hop_version;
    uint8_t zero;
    uint32_t index; /* the one last said; of the key without a LUID only */
};
static_assert(sizeof(struct key) == 48, "no padding in a key");

struct rn_ledger_row {
    struct key key;
    uint32_t attributes; /* 0: not known */
    uint32_t touched;    /* epoch of the last notification */
    uint32_t seen;       /* epoch of the last dump that had it */
    uint32_t alive;
};
static_assert(sizeof(struct rn_ledger_row) == 64, "one cache line a row");

static void
key_of(const struct rn_record *record, struct key *out)
{
    memset(out, 0, sizeof *out);
    out->luid = record->interface_luid;
    memcpy(out->destination, record->destination, 16);
    memcpy(out->next_hop, record->next_hop, 16);
    out->index = record->interface_index;
    out->ip_version = record->ip_version;
    out->prefix_length = record->prefix_length;
    out->next_hop_version = record->next_hop_version;
}

static void
record_of(const struct rn_ledger_row *row, uint8_t type, struct rn_record *out)
{
    memset(out, 0, sizeof *out);
    out->type = type;
    out->merged = 1;
    out->interface_luid = row->key.luid;
    memcpy(out->destination, row->key.destination, 16);
    memcpy(out->next_hop, row->key.next_hop, 16);
    out->interface_index = row->key.index;
    out->ip_version = row->key.ip_version;
    out->prefix_length = row->key.prefix_length;
    out->next_hop_version = row->key.next_hop_version;
}

/* As rn_key_index(). */
static int
same_key(const struct key *a, const struct key *b)
{
    return memcmp(a, b, offsetof(struct key, index)) == 0 &&
           (a->luid != 0 || a->index == b->index);
}

static uint32_t
hash_of(const struct key *key)
{
    uint64_t words[sizeof *key / 8] = {0};
    uint64_t hash = 0;

    memcpy(words, key,
           key->luid != 0 ? offsetof(struct key, index) : sizeof *key);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        hash = (hash ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
    }
    return (uint32_t)(hash >> 32);
}

/* The slot that names the key's row, or the free one where it would go. */
static uint32_t *
slot_of(struct rn_ledger *ledger, const struct key *key)
{
    uint32_t mask = ledger->capacity * 2 - 1;
    uint32_t at = hash_of(key) & mask;

    while (ledger->slots[at] != 0 &&
           !same_key(&ledger->rows[ledger->slots[at] - 1].key, key)) {
        at = (at + 1) & mask;
    }
    return &ledger->slots[at];
}

static void
reindex(struct rn_ledger *ledger)
{
    memset(ledger->slots, 0, ledger->capacity * 2 * sizeof *ledger->slots);
    for (uint32_t i = 0; i < ledger->count; i++) {
        *slot_of(ledger, &ledger->rows[i].key) = i + 1;
    }
}

static void
drop_dead(struct rn_ledger *ledger)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < ledger->count; i++) {
        if (ledger->rows[i].alive) {
            ledger->rows[kept++] = ledger->rows[i];
        }
    }
    ledger->count = kept;
    reindex(ledger);
}

static int
grow(struct rn_ledger *ledger)
{
    uint32_t capacity =
        ledger->capacity != 0 ? ledger->capacity * 2 : FIRST_CAPACITY;
    uint32_t *slots = rn_alloc_zero((size_t)capacity * 2, sizeof *slots);
    struct rn_ledger_row *rows =
        rn_realloc(ledger->rows, capacity * sizeof *rows);

    if (rows != NULL) {
        ledger->rows = rows;
    }
    if (rows == NULL || slots == NULL) {
        free(slots);
        return -1;
    }
    free(ledger->slots);
    ledger->slots = slots;
    ledger->capacity = capacity;
    reindex(ledger);
    return 0;
}

static int
make_room(struct rn_ledger *ledger)
{
    if (ledger->count < ledger->capacity) {
        return 0;
    }
    if (!ledger->comparing && ledger->alive <= ledger->count / 2 &&
        ledger->count != 0) {
        drop_dead(ledger);
        return 0;
    }
    return grow(ledger);
}

/* The row of the key, dead if it is new; NULL when memory ran out. */
static struct rn_ledger_row *
row_of(struct rn_ledger *ledger, const struct rn_record *record)
{
    struct rn_ledger_row *row;
    struct key key;
    uint32_t *slot;

    key_of(record, &key);
    if (ledger->capacity != 0 && *(slot = slot_of(ledger, &key)) != 0) {
        row = &ledger->rows[*slot - 1];
        row->key.index = key.index;
        return row;
    }
    if (make_room(ledger) < 0) {
        ledger->broken = 1;
        return NULL;
    }
    row = &ledger->rows[ledger->count];
    memset(row, 0, sizeof *row);
    row->key = key;
    *slot_of(ledger, &key) = ++ledger->count;
    return row;
}

static void
set_alive(struct rn_ledger *ledger, struct rn_ledger_row *row, int alive)
{
    ledger->alive += (uint32_t)alive - row->alive;
    row->alive = (uint32_t)alive;
}

void
rn_ledger_clear(struct rn_ledger *ledger)
{
    free(ledger->rows);
    free(ledger->slots);
    memset(ledger, 0, sizeof *ledger);
}

void
rn_ledger_note(struct rn_ledger *ledger, const struct rn_record *record)
{
    struct rn_ledger_row *row = row_of(ledger, record);

    if (row == NULL) {
        return;
    }
    row->touched = ledger->epoch;
    row->attributes = 0; /* a notification does not tell them */
    set_alive(ledger, row, record->type != RN_DELETE);
}

void
rn_ledger_begin(struct rn_ledger *ledger)
{
    ledger->epoch++;
    ledger->comparing = 1;
    ledger->broken = 0;
}

int
rn_ledger_dumped(struct rn_ledger *ledger, const struct rn_record *record,
                 uint32_t attributes)
{
    struct rn_ledger_row *row = row_of(ledger, record);
    uint32_t before;

    if (row == NULL || row->touched == ledger->epoch) {
        return -1;
    }
    row->seen = ledger->epoch;
    before = row->attributes;
    row->attributes = attributes;
    if (!row->alive) {
        set_alive(ledger, row, 1);
        return RN_ADD;
    }
    return before != 0 && before != attributes ? RN_PARAMETER : -1;
}

int
rn_ledger_sweep(struct rn_ledger *ledger, uint32_t *cursor, uint32_t steps,
                struct rn_record *out)
{
    while (*cursor < ledger->count && steps-- != 0) {
        struct rn_ledger_row *row = &ledger->rows[(*cursor)++];

        if (row->alive && row->seen != ledger->epoch &&
            row->touched != ledger->epoch) {
            set_alive(ledger, row, 0);
            record_of(row, RN_DELETE, out);
            return 1;
        }
    }
    return *cursor < ledger->count ? -1 : 0;
}

void
rn_ledger_end(struct rn_ledger *ledger)
{
    ledger->comparing = 0;
}

void
rn_ledger_copy(const struct rn_ledger *ledger, struct rn_record *out)
{
    for (uint32_t i = 0; i < ledger->count; i++) {
        if (ledger->rows[i].alive) {
            record_of(&ledger->rows[i], RN_ADD, out);
            out++->cause = RN_CAUSE_SNAPSHOT;
        }
    }
}
