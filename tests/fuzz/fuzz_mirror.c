/* fuzz_mirror.c - libFuzzer: any history of news and dumps, against a model.
 *
 * Input bytes choose steps: news of few routes (so that they collide), whole
 * comparisons, memory that runs out.  The model is what a consumer has: a set
 * of rows by key, changed by nothing but the records that the mirror emits.
 * After each step it must equal the mirror's own rows; an ADD of a row that is
 * there, a DELETE or PARAMETER of one that is not, is a crash.  After an exact
 * comparison without news, both must equal the dump.
 */
/* sources: rn_mirror.c rn_compare.c rn_entry.c rn_list.c rn_pool.c */
/* sources: rn_rows.c rn_store.c */
#include "rn_mirror.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rn_alloc.h"

#define STEPS 300
#define ROWS 4096
#define HOPS 3
#define KNOWN 16
#define DUMPED 64

long rn_alloc_fail_at;
long rn_alloc_calls;

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "broken: %s\n", what);
        abort();
    }
}

/* ROUTENOTIFY_FUZZ_TRACE in the environment: say what an input does. */
static bool tracing;

static void
trace_entry(const char *verb, const struct rn_entry *entry, int place)
{
    if (!tracing) {
        return;
    }
    fprintf(stderr,
            "%s IPv%d %d/%d from %d/%d tos %d metric %u table %u proto %d "
            "type %d nhid %u mtu %u other %u src %d scope %d pref %d",
            verb, entry->ip_version, entry->destination[0],
            entry->prefix_length, entry->source[0], entry->source_length,
            entry->tos, entry->metric, entry->table, entry->protocol,
            entry->route_type, entry->nexthop_id, entry->mtu, entry->other,
            entry->prefsrc[0], entry->scope, entry->preference);
    for (uint32_t i = 0; i < entry->hop_count; i++) {
        const struct rn_hop *hop = &entry->hops[i];

        fprintf(stderr, ", hop v%d via %d dev %u encap %u realms %u %#x *%d",
                hop->gateway_version, hop->gateway[0], hop->if_index,
                hop->encap, hop->realms, hop->flags, hop->weight);
    }
    fprintf(stderr, " place %#x\n", (unsigned)place);
}

static void
trace(const char *verb, unsigned a, unsigned b)
{
    if (tracing) {
        fprintf(stderr, "%s %u %u\n", verb, a, b);
    }
}

/* ---- the model ---- */

struct row {
    struct rn_record record;
    uint32_t hash;  /* of the key's parts that vary most, to compare first */
    unsigned visit; /* the check that met it last */
};

static struct row rows[ROWS];
static size_t row_count;

static bool
same_identity(const struct rn_record *a, const struct rn_record *b)
{
    return a->ip_version == b->ip_version && a->table == b->table &&
           a->prefix_length == b->prefix_length &&
           a->source_length == b->source_length && a->tos == b->tos &&
           a->metric == b->metric &&
           a->interface_index == b->interface_index &&
           a->next_hop_version == b->next_hop_version &&
           memcmp(a->destination, b->destination, 16) == 0 &&
           memcmp(a->source, b->source, 16) == 0 &&
           memcmp(a->next_hop, b->next_hop, 16) == 0;
}

static uint32_t
key_hash(const struct rn_record *record)
{
    const uint8_t parts[] = {
        record->destination[0],
        record->next_hop[0],
        record->next_hop_version,
        (uint8_t)record->ordinal,
        (uint8_t)record->metric,
        (uint8_t)record->table,
        record->source_length,
        record->ip_version,
        (uint8_t)record->interface_index,
    };
    uint32_t hash = 0;

    for (size_t i = 0; i < sizeof(parts); i++) {
        hash = hash * 31 + parts[i];
    }
    return hash;
}

static struct row *
row_of(const struct rn_record *record)
{
    const uint32_t hash = key_hash(record);

    for (size_t i = 0; i < row_count; i++) {
        if (rows[i].hash == hash &&
            rows[i].record.ordinal == record->ordinal &&
            same_identity(&rows[i].record, record)) {
            return &rows[i];
        }
    }
    return NULL;
}

/* What a row says, without what belongs to the change. */
static struct rn_record
content(const struct rn_record *record)
{
    struct rn_record row = *record;

    row.type = row.cause = 0;
    row.sequence = 0; /* of a PARAMETER: what the row was */
    return row;
}

/* What the row was is told if that differs from what it is, and only then. */
static bool
told_rightly(const struct rn_record *row, const struct rn_record *record)
{
    if (rn_was_said(record)) {
        return row->protocol == rn_was_protocol(record) &&
               row->route_type == rn_was_route_type(record);
    }
    return row->protocol == record->protocol &&
           row->route_type == record->route_type;
}

static void
row_add(const struct rn_record *record)
{
    require(row_count < ROWS, "fewer rows than the model holds");
    rows[row_count].hash = key_hash(record);
    rows[row_count].visit = 0;
    rows[row_count++].record = content(record);
}

static void
on_emit(void *self, struct rn_record *record)
{
    struct row *row = row_of(record);

    (void)self;
    require((record->sequence == 0 || rn_was_said(record)) &&
                record->time_ns == 0,
            "not stamped");
    switch (record->type) {
    case RN_ADD:
        require(row == NULL, "ADD of a row that is there");
        row_add(record);
        break;
    case RN_PARAMETER:
        require(row != NULL, "PARAMETER of a row that is not there");
        require(told_rightly(&row->record, record), "what the row was");
        row->record = content(record);
        break;
    case RN_DELETE:
        require(row != NULL, "DELETE of a row that is not there");
        *row = rows[--row_count];
        break;
    default:
        require(false, "type of a change");
    }
}

static unsigned visit;
static size_t visited;

static void
on_row(void *self, struct rn_record *record)
{
    struct row *row = row_of(record);

    (void)self;
    require(row != NULL, "the mirror has a row that was never announced");
    require(row->visit != visit, "two rows of the mirror have one key");
    require(memcmp(&row->record, record, sizeof(*record)) == 0,
            "a row differs from what was announced");
    row->visit = visit;
    visited++;
}

static void
check_model(const struct rn_mirror *mirror)
{
    visit++;
    visited = 0;
    rn_mirror_each(mirror, 0, on_row, NULL);
    require(visited == row_count, "a row is gone without DELETE");
    require(rn_mirror_rows(mirror, 0) == row_count, "number of rows");
    require(rn_mirror_rows(mirror, 4) + rn_mirror_rows(mirror, 6) == row_count,
            "rows of the families");
}

static void
on_silent_row(void *self, struct rn_record *record)
{
    (void)self;
    row_add(record);
}

/* ---- from bytes to entries ---- */

struct input {
    const uint8_t *data;
    size_t left;
};

static unsigned
next(struct input *input)
{
    if (input->left == 0) {
        return 0;
    }
    input->left--;
    return *input->data++;
}

/* An entry that owns its hops. */
struct item {
    struct rn_entry entry;
    struct rn_hop hops[HOPS];
};

static struct item known[KNOWN]; /* what came lately: to delete, to dump */
static size_t known_count;

/* gateway: 0 none, 1 and 2 of the family, 3 IPv6 in both. */
static void
make_hop(struct rn_hop *hop, int ip_version, unsigned bits, unsigned weight)
{
    static const uint8_t flags[] = {0, RN_FLAG_DEAD, RN_FLAG_ONLINK,
                                    RN_FLAG_LINKDOWN};
    const unsigned gateway = bits & 3;

    memset(hop, 0, sizeof(*hop));
    if (gateway != 0) {
        hop->gateway_version = (uint8_t)(gateway == 3 ? 6 : ip_version);
        hop->gateway[0] = (uint8_t)gateway;
        hop->gateway[hop->gateway_version == 4 ? 3 : 15] = 1;
    }
    hop->if_index = bits >> 2 & 3;
    hop->encap = bits >> 4 & 1;
    hop->realms = bits >> 5 & 1;
    hop->flags = flags[bits >> 6 & 3];
    hop->weight = (uint8_t)weight;
}

static void
make_key(struct rn_entry *entry, unsigned bits)
{
    entry->ip_version = bits & 1 ? 6 : 4;
    entry->prefix_length = (uint8_t)(bits >> 1 & 3 ? 8 : 0);
    entry->destination[0] = (uint8_t)(bits >> 1 & 3);
    entry->metric = bits >> 3 & 1;
    entry->table = 254 + (bits >> 4 & 1);
    if (entry->ip_version == 4) {
        entry->tos = (uint8_t)(bits >> 5 & 1);
    } else if (bits >> 5 & 1) {
        entry->source_length = (uint8_t)(16 + (bits >> 6 & 1));
        entry->source[0] = 0x20;
    }
}

static void
make_attributes(struct rn_entry *entry, unsigned bits, unsigned more)
{
    static const uint8_t protocols[] = {3, 4, 9, 42};
    static const uint8_t types[] = {1, 1, 1, 6};
    static const uint8_t preferences[] = {0, 0, 1, 3};

    entry->protocol = protocols[bits & 3];
    entry->route_type = types[bits >> 2 & 3];
    entry->nexthop_id = bits >> 4 & 1 ? 1 + (bits >> 5 & 1) : 0;
    entry->mtu = bits >> 6 & 1 ? 1400 : 0;
    entry->other = bits >> 7 & 1;
    entry->prefsrc[0] = more & 1;
    entry->scope = (uint8_t)(more >> 5 & 1 ? 253 : 0);
    if (entry->ip_version == 6) {
        entry->preference = preferences[more >> 1 & 3];
    }
}

static void
remember(const struct item *item)
{
    struct item *place = &known[known_count++ % KNOWN];

    *place = *item;
    place->entry.hops = place->hops;
}

/* One of those that came lately, or a new one. */
static struct item
take_item(struct input *input)
{
    const unsigned choice = next(input);
    struct item item = {0};

    if (choice < 128 && known_count != 0) {
        const size_t count = known_count < KNOWN ? known_count : KNOWN;

        return known[choice % count];
    }
    make_key(&item.entry, next(input));
    const unsigned bits = next(input);
    const unsigned more = next(input);
    make_attributes(&item.entry, bits, more);
    item.entry.hop_count = more >> 3 & 3;
    for (uint32_t i = 0; i < item.entry.hop_count; i++) {
        const unsigned weight = item.entry.hop_count > 1 ? more >> 6 & 3 : 0;

        make_hop(&item.hops[i], item.entry.ip_version, next(input), weight);
    }
    remember(&item);
    return item;
}

/* ---- comparisons ---- */

struct comparison {
    bool running;
    bool failed; /* memory ran out, or too much for the model */
    size_t count;
    struct item dumped[DUMPED];
};

static struct comparison comparisons[2];

static struct comparison *
comparison_of(int ip_version)
{
    return &comparisons[ip_version == 6];
}

static bool
same_item(const struct item *a, const struct item *b)
{
    struct rn_entry x = a->entry;
    struct rn_entry y = b->entry;

    x.hops = y.hops = NULL;
    return memcmp(&x, &y, sizeof(x)) == 0 &&
           memcmp(a->hops, b->hops, sizeof(a->hops)) == 0;
}

/* IPv4 cannot hold two equal entries, but its dumps repeat some. */
static bool
repeated(const struct comparison *comparison, size_t at)
{
    for (size_t i = 0; i < at; i++) {
        if (same_item(&comparison->dumped[i], &comparison->dumped[at])) {
            return comparison->dumped[at].entry.ip_version == 4;
        }
    }
    return false;
}

/* The row that hop number `hop` of a dumped entry is, but for its ordinal. */
static struct rn_record
record_of(const struct item *item, uint32_t hop)
{
    const struct rn_entry *entry = &item->entry;
    struct rn_record row = {
        .table = entry->table,
        .metric = entry->metric,
        .nexthop_id = entry->nexthop_id,
        .mtu = entry->mtu,
        .protocol = entry->protocol,
        .ip_version = entry->ip_version,
        .prefix_length = entry->prefix_length,
        .source_length = entry->source_length,
        .route_type = entry->route_type,
        .scope = entry->scope,
        .tos = entry->tos,
        .fields =
            (uint8_t)((unsigned)entry->preference << RN_PREFERENCE_SHIFT) |
            RN_HAS_ATTRIBUTES,
    };

    memcpy(row.destination, entry->destination, 16);
    memcpy(row.source, entry->source, 16);
    memcpy(row.prefsrc, entry->prefsrc, 16);
    if (hop < entry->hop_count) {
        row.interface_index = item->hops[hop].if_index;
        row.next_hop_version = item->hops[hop].gateway_version;
        row.flags = item->hops[hop].flags;
        row.weight = item->hops[hop].weight;
        memcpy(row.next_hop, item->hops[hop].gateway, 16);
    }
    return row;
}

/* Tick one row off that says what the dump said. */
static void
tick_off(const struct rn_record *wanted)
{
    for (size_t i = 0; i < row_count; i++) {
        struct rn_record row = rows[i].record;

        row.ordinal = wanted->ordinal;
        if (rows[i].visit != visit && memcmp(&row, wanted, sizeof(row)) == 0) {
            rows[i].visit = visit;
            return;
        }
    }
    require(false, "a row of the dump is not in the mirror");
}

/* After an exact comparison: the rows are the dump's.  Next to several
 * siblings other entries may be hidden in it, and stay.
 */
static void
check_dump(const struct rn_mirror *mirror, int ip_version)
{
    const struct comparison *comparison = comparison_of(ip_version);
    bool hidden = false;
    size_t count = 0;

    visit++;
    for (size_t i = 0; i < comparison->count; i++) {
        const struct item *item = &comparison->dumped[i];
        const uint32_t hops = item->entry.hop_count;

        hidden = hidden || (ip_version == 6 && hops > 1);
        for (uint32_t hop = 0; hop < (hops ? hops : 1); hop++) {
            const struct rn_record row = record_of(item, hop);

            if (!repeated(comparison, i)) {
                tick_off(&row);
                count++;
            }
        }
    }
    require(hidden || rn_mirror_rows(mirror, ip_version) == count,
            "the mirror has a row that the dump has not");
}

/* ---- steps ---- */

/* As all news are that come by recvmmsg(): only the table must not show it. */
static void
expect_half(const struct rn_mirror *mirror, struct rn_entry *entry)
{
    if (entry->protocol % 2 == 0) { /* some of one key, and some not */
        rn_mirror_expect(mirror, &entry, 1);
    }
}

static void
step_added(struct rn_mirror *mirror, struct input *input)
{
    static const int places[] = {
        RN_PLACE_EXCL | RN_PLACE_CREATE,    RN_PLACE_CREATE,
        RN_PLACE_CREATE | RN_PLACE_APPEND,  RN_PLACE_REPLACE,
        RN_PLACE_REPLACE | RN_PLACE_CREATE, 0,
    };
    const struct item item = take_item(input);
    struct rn_entry entry = item.entry;

    const int place = places[next(input) % 6];

    entry.hops = item.hops;
    expect_half(mirror, &entry);
    trace_entry("added", &entry, place);
    rn_mirror_added(mirror, &entry, place);
}

static void
step_deleted(struct rn_mirror *mirror, struct input *input)
{
    const struct item item = take_item(input);
    struct rn_entry entry = item.entry;

    entry.hops = item.hops;
    expect_half(mirror, &entry);
    trace_entry("deleted", &entry, 0);
    rn_mirror_deleted(mirror, &entry);
}

static void
step_link_removed(struct rn_mirror *mirror, struct input *input)
{
    const unsigned if_index = next(input) & 3;

    trace("link removed", if_index, 0);
    rn_mirror_link_removed(mirror, if_index);
}

static void
step_begin(struct rn_mirror *mirror, struct input *input)
{
    const unsigned bits = next(input);
    const int ip_version = bits & 1 ? 6 : 4;
    struct comparison *comparison = comparison_of(ip_version);

    if (!comparison->running) {
        trace("begin", bits & 1 ? 6 : 4, bits >> 1 & 1);
        rn_mirror_begin(mirror, ip_version, bits >> 1 & 1, bits >> 2 & 1);
        comparison->running = true;
        comparison->failed = false;
        comparison->count = 0;
    }
}

static void
step_dumped(struct rn_mirror *mirror, struct input *input)
{
    struct item item = take_item(input);
    struct comparison *comparison = comparison_of(item.entry.ip_version);

    if (!comparison->running) {
        return;
    }
    item.entry.hops = item.hops;
    trace_entry("dumped", &item.entry, 0);
    if (rn_mirror_dumped(mirror, &item.entry) & RN_NEED_MEMORY) {
        rn_mirror_abandon(mirror, item.entry.ip_version);
        comparison->running = false;
    } else if (comparison->count == DUMPED) {
        comparison->failed = true;
    } else {
        item.entry.hops = NULL;
        comparison->dumped[comparison->count++] = item;
    }
}

static void
step_finish(struct rn_mirror *mirror, struct input *input)
{
    const unsigned bits = next(input);
    const int ip_version = bits & 1 ? 6 : 4;
    const bool exact = (bits & 6) != 0;
    const bool silent = bits > 250;
    struct comparison *comparison = comparison_of(ip_version);
    const bool quiet = rn_mirror_touched(mirror, ip_version) == 0;

    if (!comparison->running) {
        return;
    }
    trace("finish, exact", (unsigned)ip_version, exact);
    const size_t left = rn_mirror_finish(mirror, ip_version, exact, silent);
    comparison->running = false;
    if (silent) {
        row_count = 0;
        rn_mirror_each(mirror, 0, on_silent_row, NULL);
    }
    if (exact && quiet) {
        require(left == 0, "nothing moved, yet something is unsure");
    }
    if (exact && quiet && !comparison->failed) {
        check_dump(mirror, ip_version);
    }
}

static void
step_abandon(struct rn_mirror *mirror, struct input *input)
{
    const int ip_version = next(input) & 1 ? 6 : 4;

    if (comparison_of(ip_version)->running) {
        trace("abandon", (unsigned)ip_version, 0);
        rn_mirror_abandon(mirror, ip_version);
        comparison_of(ip_version)->running = false;
    }
}

static void
step_suspect(struct rn_mirror *mirror, struct input *input)
{
    const unsigned bits = next(input);
    const struct rn_suspect suspect = {
        .cause = (uint8_t)(bits & 7),
        .ip_version = (uint8_t)(bits >> 3 & 1 ? bits >> 2 & 2 : 4),
        .if_index = bits >> 4 & 3,
        .nexthop_id = bits >> 6 & 1,
        .address = {(uint8_t)(bits >> 7 & 1)},
    };

    rn_mirror_suspect(mirror, &suspect);
}

static void
step(struct rn_mirror *mirror, struct input *input)
{
    const unsigned kind = next(input);

    switch (kind & 15) {
    case 6:
    case 7:
    case 8:
        step_deleted(mirror, input);
        break;
    case 9:
        step_link_removed(mirror, input);
        break;
    case 10:
        step_begin(mirror, input);
        break;
    case 11:
    case 12:
        step_dumped(mirror, input);
        break;
    case 13:
        step_finish(mirror, input);
        break;
    case 14:
        step_abandon(mirror, input);
        break;
    case 15:
        step_suspect(mirror, input);
        break;
    default:
        step_added(mirror, input);
    }
}

/* One step in eight has only that much memory as another byte says. */
static void
step_with_memory(struct rn_mirror *mirror, struct input *input)
{
    const bool scarce = input->left != 0 && (*input->data >> 4 & 7) == 7;

    rn_alloc_calls = 0;
    rn_alloc_fail_at = 0;
    step(mirror, input);
    if (scarce) {
        rn_alloc_calls = 0;
        rn_alloc_fail_at = 1 + (long)(next(input) & 7);
        trace("memory for allocations", (unsigned)rn_alloc_fail_at - 1, 0);
        step(mirror, input);
        rn_alloc_fail_at = 0;
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    struct rn_mirror *mirror;

    tracing = getenv("ROUTENOTIFY_FUZZ_TRACE") != NULL;
    rn_alloc_fail_at = 0;
    row_count = known_count = 0;
    memset(comparisons, 0, sizeof(comparisons));
    mirror = rn_mirror_new(on_emit, NULL);
    require(mirror != NULL, "memory");
    for (int i = 0; i < STEPS && input.left != 0; i++) {
        step_with_memory(mirror, &input);
        check_model(mirror);
    }
    rn_mirror_free(mirror);
    return 0;
}
