/* test_channel.c - the channel on one thread: what is delivered converges to
 * the producer's table at any pace and capacity, counters add up, the
 * waitable object tells the truth, memory may run out.
 */
/* sources: rn_channel.c rn_filter.c rn_filter_prefix.c rn_ring.c rn_spill.c rn_wake.c rn_wake_linux.c rn_wake_posix.c */
#define _GNU_SOURCE
#include "rn_channel.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "rn_alloc.h"
#include "rn_check.h"
#include "rn_check_table.h"
#include "rn_ring.h"

long rn_alloc_fail_at;
long rn_alloc_calls;

static struct rn_channel *
new_channel(uint32_t capacity)
{
    struct rn_channel_config config = {.capacity = capacity, .markers = 1};
    struct rn_channel *channel = rn_channel_new(&config);

    CHECK(channel != NULL);
    return channel;
}

static void
emit(struct rn_channel *channel, uint8_t type, uint32_t row)
{
    struct rn_record record = row_change(type, row, 1);

    rn_channel_emit(channel, &record);
}

static struct rn_channel_stats
stats_of(struct rn_channel *channel)
{
    struct rn_channel_stats stats;

    rn_channel_get_stats(channel, &stats);
    CHECK_EQ(stats.received, stats.filtered + stats.conflated + stats.queued +
                                 stats.delivered);
    CHECK(stats.queued <= stats.high_water);
    CHECK_EQ(stats.queued != 0, rn_channel_pending(channel) != 0);
    return stats;
}

static void
test_capacity_is_rounded_up(void)
{
    static const uint32_t asked[] = {0, 1, 2, 3, 64, 65, 16384};
    static const uint32_t given[] = {2, 2, 2, 4, 64, 128, 16384};

    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        struct rn_channel *channel = new_channel(asked[i]);
        CHECK_EQ(given[i], stats_of(channel).capacity);
        rn_channel_free(channel);
    }
}

static void
test_no_memory_or_descriptor_left(void)
{
    struct rn_channel_config config = {.capacity = RN_RING_MAX + 1};
    struct rlimit old;
    struct rlimit none;

    CHECK(rn_channel_new(&config) == NULL);
    CHECK_EQ(ENOMEM, errno);
    config.capacity = 4;
    CHECK(getrlimit(RLIMIT_NOFILE, &old) == 0);
    none = old;
    none.rlim_cur = 0;
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    CHECK(rn_channel_new(&config) == NULL);
    CHECK_EQ(EMFILE, errno);
    CHECK(setrlimit(RLIMIT_NOFILE, &old) == 0);
}

/* Accepted records are numbered without gaps, the refused ones not at all. */
static void
check_filter(int family, int markers, const char *expected)
{
    struct rn_channel_config config = {
        .capacity = 64, .family = family, .markers = markers};
    struct rn_channel *channel = rn_channel_new(&config);
    struct rn_record in = row_change(RN_ADD, 1, 1);
    struct rn_record out[8];
    char got[9] = "";

    in.merged = 3; /* a recording may say so, a provider says nothing */
    in.ip_version = 4;
    rn_channel_emit(channel, &in);
    in.ip_version = 6;
    rn_channel_emit(channel, &in);
    emit(channel, RN_INITIAL, 0);
    emit(channel, RN_SNAPSHOT_END, 0);
    uint32_t count = rn_channel_take(channel, out, 8);
    for (uint32_t i = 0; i < count; i++) {
        got[i] = out[i].type == RN_INITIAL        ? 'i'
                 : out[i].type == RN_SNAPSHOT_END ? 'm'
                 : out[i].ip_version == 4         ? '4'
                                                  : '6';
        CHECK_EQ(i + 1, out[i].sequence);
        CHECK_EQ(out[i].type < RN_INITIAL ? 3 : 1, out[i].merged);
    }
    CHECK(strcmp(expected, got) == 0);
    CHECK_EQ(4 - count, stats_of(channel).filtered);
    CHECK_EQ(4, stats_of(channel).received);
    rn_channel_free(channel);
}

static void
test_filter(void)
{
    check_filter(0, 1, "46im");
    check_filter(0, 0, "46i");
    check_filter(4, 1, "4im");
    check_filter(6, 0, "6i");
}

/* What a changed row was is for the filter only. */
static void
test_what_a_row_was_stays_inside(void)
{
    struct rn_channel *channel = new_channel(4);
    struct rn_record record = row_change(RN_PARAMETER, 1, 1);

    rn_was_set(&record, 4, 1);
    rn_channel_emit(channel, &record);
    CHECK_EQ(1, rn_channel_take(channel, &record, 1));
    CHECK_EQ(1, record.merged);
    CHECK_EQ(1, record.sequence);
    rn_channel_free(channel);
}

/* Also to a consumer that asked for no markers: its table is void. */
static void
test_forget_all_is_always_said(void)
{
    struct rn_channel_config config = {.capacity = 4};
    struct rn_channel *channel = rn_channel_new(&config);
    struct rn_record begin = {.type = RN_RESYNC_BEGIN};
    struct rn_record out[4];

    begin.cause = RN_CAUSE_RESYNC;
    rn_channel_emit(channel, &begin);
    begin.cause = RN_CAUSE_MEMORY;
    rn_channel_emit(channel, &begin);
    CHECK_EQ(1, rn_channel_take(channel, out, 4));
    CHECK_EQ(RN_CAUSE_MEMORY, out[0].cause);
    CHECK_EQ(1, stats_of(channel).filtered);
    rn_channel_free(channel);
}

/* Ring first, then the map, and the ring again: one order throughout. */
static void
test_order_through_the_map(void)
{
    struct rn_channel *channel = new_channel(2);
    const struct rn_record *peeked;
    struct rn_record out[8];

    for (uint32_t row = 0; row < 5; row++) {
        emit(channel, RN_ADD, row);
    }
    CHECK_EQ(5, stats_of(channel).queued);
    CHECK_EQ(1, rn_channel_peek(channel, &peeked, 1));
    CHECK_EQ(1, peeked->sequence);
    rn_channel_release(channel, 1);
    emit(channel, RN_ADD, 5); /* there is room, but the map is older */
    emit(channel, RN_PARAMETER, 3);
    CHECK_EQ(1, rn_channel_take(channel, out, 1));
    CHECK_EQ(2, out[0].sequence);
    CHECK_EQ(4, rn_channel_take(channel, out, 8));
    CHECK_EQ(3, out[0].sequence);
    CHECK_EQ(5, out[1].sequence);
    CHECK_EQ(6, out[2].sequence);
    CHECK_EQ(7, out[3].sequence);
    CHECK_EQ(2, out[3].merged);
    CHECK_EQ(0, rn_channel_take(channel, out, 8));
    emit(channel, RN_ADD, 9);
    CHECK_EQ(1, rn_channel_peek(channel, &peeked, 8));
    CHECK_EQ(8, peeked->sequence);
    rn_channel_release(channel, 1);
    CHECK_EQ(7, stats_of(channel).delivered);
    CHECK_EQ(1, stats_of(channel).conflated);
    CHECK_EQ(5, stats_of(channel).high_water);
    rn_channel_free(channel);
}

/* Cancelled to nothing: nothing is queued, and nobody is told otherwise. */
static void
test_map_cancelled_to_nothing(void)
{
    struct rn_channel *channel = new_channel(2);
    struct rn_record out[4];

    emit(channel, RN_ADD, 0);
    emit(channel, RN_ADD, 1);
    emit(channel, RN_ADD, 2);
    emit(channel, RN_DELETE, 2);
    CHECK_EQ(2, stats_of(channel).conflated);
    CHECK_EQ(2, rn_channel_take(channel, out, 4));
    CHECK(!rn_channel_settle(channel));
    CHECK(rn_channel_wait(channel, 0) == 0);
    emit(channel, RN_ADD, 3);
    CHECK_EQ(1, rn_channel_take(channel, out, 4));
    CHECK_EQ(5, out[0].sequence);
    rn_channel_free(channel);
}

static void
test_mark(void)
{
    struct rn_channel *channel = new_channel(2);
    struct rn_record out[4];

    for (uint32_t row = 0; row < 3; row++) {
        emit(channel, RN_ADD, row);
    }
    CHECK_EQ(3, rn_channel_mark(channel));
    emit(channel, RN_DELETE, 2); /* was in the snapshot: must be said */
    emit(channel, RN_ADD, 3);
    emit(channel, RN_DELETE, 3);
    CHECK_EQ(3, rn_channel_take(channel, out, 4));
    CHECK_EQ(RN_DELETE, out[2].type);
    CHECK_EQ(4, out[2].sequence);
    rn_channel_free(channel);
}

/* What is told again is no news: an ADD of it does not cancel its DELETE. */
static void
test_repeat(void)
{
    struct rn_channel *channel = new_channel(2);
    struct rn_record out[8];

    emit(channel, RN_ADD, 0);
    emit(channel, RN_ADD, 1);
    rn_channel_repeat(channel, 1);
    emit(channel, RN_ADD, 0);
    CHECK_EQ(3, rn_channel_mark(channel)); /* of a snapshot meanwhile */
    emit(channel, RN_ADD, 1);
    emit(channel, RN_DELETE, 1);
    rn_channel_repeat(channel, 0);
    emit(channel, RN_DELETE, 0);
    emit(channel, RN_ADD, 2); /* news again */
    emit(channel, RN_DELETE, 2);
    CHECK_EQ(4, rn_channel_take(channel, out, 8));
    CHECK_EQ(RN_DELETE, out[2].type);
    CHECK_EQ(5, out[2].sequence);
    CHECK_EQ(RN_DELETE, out[3].type);
    CHECK_EQ(6, out[3].sequence);
    rn_channel_free(channel);
}

static void
check_ended(struct rn_channel *channel, uint32_t code, const char *call)
{
    uint32_t got_code = 99;
    const char *got_call = "none";

    CHECK(rn_channel_ended(channel, &got_code, &got_call));
    CHECK_EQ(code, got_code);
    CHECK(call == got_call);
}

static void
test_end(void)
{
    static const char *call = "recvmmsg";
    struct rn_channel *channel = new_channel(2);
    struct rn_record out[4];
    uint32_t code;
    const char *other;

    CHECK(!rn_channel_settle(channel));
    CHECK(!rn_channel_ended(channel, &code, &other));
    emit(channel, RN_ADD, 1);
    rn_channel_end(channel, 6, call);
    rn_channel_end(channel, 0, NULL); /* the first reason stays */
    check_ended(channel, 6, call);
    CHECK(rn_channel_wait(channel, 0) == 1);
    CHECK_EQ(1, rn_channel_take(channel, out, 4));
    CHECK_EQ(0, rn_channel_take(channel, out, 4));
    CHECK(rn_channel_settle(channel)); /* set for ever */
    CHECK(rn_channel_wait(channel, 0) == 1);
    rn_channel_free(channel);

    channel = new_channel(2);
    rn_channel_end(channel, 0, NULL);
    check_ended(channel, 0, NULL);
    CHECK(rn_channel_settle(channel)); /* also when first asked after it */
    CHECK(rn_channel_wait(channel, 0) == 1);
    rn_channel_free(channel);
}

/* The last of the map cancels out: the object stays set until the consumer
 * looks, and is clear from then on.
 */
static void
test_cancelled_out_wakes_once(void)
{
    struct rn_channel *channel = new_channel(2);
    struct rn_record out[4];

    for (uint32_t row = 1; row <= 3; row++) {
        emit(channel, RN_ADD, row);
    }
    CHECK(rn_channel_settle(channel));
    CHECK_EQ(2, rn_channel_take(channel, out, 2)); /* no more: the map stays */
    CHECK(rn_channel_settle(channel));
    emit(channel, RN_DELETE, 3);
    rn_channel_flush(channel);
    CHECK(!rn_channel_pending(channel));
    CHECK(rn_channel_wait(channel, 0) == 1);
    CHECK(!rn_channel_settle(channel));
    CHECK(rn_channel_wait(channel, 0) == 0);
    rn_channel_free(channel);
}

/* A flush with nothing new leaves the object alone. */
static void
test_flush_only_after_something(void)
{
    struct rn_channel *channel = new_channel(4);
    struct rn_record marker = {.type = RN_RESYNC_END};
    struct rn_record out[4];

    CHECK(!rn_channel_settle(channel));
    emit(channel, RN_ADD, 1);
    CHECK(rn_channel_wait(channel, 0) == 0);
    rn_channel_flush(channel);
    CHECK(rn_channel_wait(channel, 0) == 1);
    CHECK_EQ(1, rn_channel_take(channel, out, 4));
    CHECK(!rn_channel_settle(channel));
    rn_channel_flush(channel);
    CHECK(rn_channel_wait(channel, 0) == 0);
    rn_channel_emit(channel, &marker);
    CHECK_EQ(1, rn_channel_take(channel, out, 4));
    rn_channel_flush(channel); /* taken before it was announced */
    CHECK(rn_channel_wait(channel, 0) == 0);
    rn_channel_free(channel);
}

/* Take some, one way or the other, into the consumer's table. */
static uint32_t
take_some(struct rn_channel *channel, struct consumer *consumer, uint32_t max,
          int in_place)
{
    struct rn_record out[64];
    const struct rn_record *records = out;
    uint32_t count = in_place ? rn_channel_peek(channel, &records, max)
                              : rn_channel_take(channel, out, max);

    for (uint32_t i = 0; i < count; i++) {
        consumer_apply(consumer, &records[i]);
    }
    if (in_place) {
        rn_channel_release(channel, count);
    }
    return count;
}

struct play {
    struct rn_channel *channel;
    struct table truth;
    struct consumer consumer;
    uint64_t seed;
};

/* None to a few changes, now and then a marker, and their flush. */
static void
produce(struct play *play, uint32_t rows)
{
    for (uint32_t n = rn_check_below(&play->seed, 20); n > 0; n--) {
        struct rn_record record =
            table_change(&play->truth, &play->seed, rows);
        rn_channel_emit(play->channel, &record);
        if (rn_channel_lost(play->channel)) {
            table_send_all(&play->truth, rn_channel_emit, play->channel);
        }
        stats_of(play->channel);
    }
    if (rn_check_below(&play->seed, 30) == 0) {
        emit(play->channel, RN_RESYNC_END, 0);
    }
    rn_channel_flush(play->channel);
}

/* The object is readable exactly if something is queued. */
static void
check_object(struct play *play)
{
    int pending = rn_channel_settle(play->channel);

    CHECK_EQ(pending, stats_of(play->channel).queued != 0);
    CHECK_EQ(pending, rn_channel_wait(play->channel, 0));
}

static void
drain(struct play *play)
{
    while (take_some(play->channel, &play->consumer, 64, 0) != 0) {
    }
    CHECK(table_equal(&play->truth, &play->consumer.table));
    CHECK_EQ(0, stats_of(play->channel).queued);
    CHECK(stats_of(play->channel).conflated >= play->consumer.merged_away);
}

/* A history: the consumer is at times fast, at times asleep. */
static void
check_play(uint64_t seed, uint32_t capacity, uint32_t rows, uint32_t steps)
{
    static struct play play;
    struct rn_channel *channel = new_channel(capacity);
    uint32_t pace = 0;

    memset(&play, 0, sizeof(play));
    play.channel = channel;
    play.seed = seed;
    for (uint32_t step = 0; step < steps; step++) {
        if (step % 64 == 0) {
            pace = rn_check_below(&play.seed, 4);
        }
        produce(&play, rows);
        if (pace != 0) {
            take_some(channel, &play.consumer,
                      rn_check_below(&play.seed, 16 * pace), (int)(step & 1));
        }
        check_object(&play);
        if (rn_check_below(&play.seed, 100) == 0) {
            drain(&play);
        }
    }
    drain(&play);
    rn_channel_free(channel);
}

/* Pending is bounded by rows, whatever the number of changes; a sleeper wakes
 * to the exact table.
 */
static void
test_sleeping_consumer(uint64_t seed, uint32_t changes)
{
    static struct play play;
    struct rn_channel *channel = new_channel(16);

    memset(&play, 0, sizeof(play));
    play.channel = channel;
    for (uint32_t i = 0; i < changes; i++) {
        struct rn_record record = table_change(&play.truth, &seed, TABLE_ROWS);
        rn_channel_emit(channel, &record);
    }
    CHECK(stats_of(channel).queued <= 16 + TABLE_ROWS);
    CHECK_EQ(changes, stats_of(channel).received);
    drain(&play);
    rn_channel_free(channel);
}

/* A snapshot taken at a random moment, with what comes after it applied, is
 * the table: merging has not eaten what its owner needs.
 */
static void
check_snapshot(uint64_t seed, uint32_t capacity)
{
    static struct table truth;
    static struct consumer late;
    struct rn_channel *channel = new_channel(capacity);
    struct rn_record out[64];
    uint64_t marked = 0;
    uint32_t count;

    memset(&truth, 0, sizeof(truth));
    memset(&late, 0, sizeof(late));
    late.lenient = 1; /* a row that came and went meanwhile is only deleted */
    for (uint32_t i = 0, at = rn_check_below(&seed, 60); i < 60; i++) {
        if (i == at) {
            marked = rn_channel_mark(channel);
            late.table = truth;
        }
        struct rn_record record = table_change(&truth, &seed, 6);
        rn_channel_emit(channel, &record);
    }
    while ((count = rn_channel_take(channel, out, 64)) != 0) {
        for (uint32_t i = 0; i < count; i++) {
            if (out[i].sequence > marked) {
                consumer_apply(&late, &out[i]);
            }
        }
    }
    CHECK(table_equal(&truth, &late.table));
    rn_channel_free(channel);
}

/* Memory runs out at a random allocation, again and again; the whole table is
 * sent once more, also when that fails too, and in the end it is exact.
 */
static void
check_memory_runs_out(uint64_t seed, uint32_t capacity, long allowed)
{
    static struct play play;
    struct rn_channel *channel = new_channel(capacity);

    memset(&play, 0, sizeof(play));
    play.channel = channel;
    play.seed = seed;
    play.consumer.lenient = 1;
    rn_alloc_calls = 0;
    rn_alloc_fail_at = allowed + 1;
    for (uint32_t step = 0; step < 40; step++) {
        produce(&play, TABLE_ROWS);
        if (step % 8 == 7) {
            take_some(channel, &play.consumer, 3, (int)(step & 8));
        }
    }
    rn_alloc_fail_at = 0;
    if (rn_channel_lost(channel)) { /* also the table sent last did not fit */
        table_send_all(&play.truth, rn_channel_emit, channel);
    }
    CHECK(!rn_channel_lost(channel));
    while (take_some(channel, &play.consumer, 64, 0) != 0) {
    }
    CHECK(table_equal(&play.truth, &play.consumer.table));
    stats_of(channel);
    rn_channel_free(channel);
}

static void
test_memory_runs_out(uint64_t seed)
{
    struct rn_channel *channel = new_channel(2);
    struct rn_record out[4];

    rn_alloc_calls = 0;
    rn_alloc_fail_at = 1;
    for (uint32_t row = 0; row < 3; row++) {
        emit(channel, RN_ADD, row);
    }
    CHECK(rn_channel_lost(channel));
    CHECK(!rn_channel_lost(channel)); /* said once */
    CHECK_EQ(1, stats_of(channel).spill_lost);
    CHECK_EQ(1, stats_of(channel).conflated);
    CHECK_EQ(2, rn_channel_take(channel, out, 4)); /* the ring stays */
    emit(channel, RN_ADD, 4);
    CHECK_EQ(1, rn_channel_take(channel, out, 4)); /* and goes on */
    rn_alloc_fail_at = 0;
    rn_channel_free(channel);
    for (long allowed = 0; allowed < 12; allowed++) {
        for (uint32_t capacity = 2; capacity <= 32; capacity *= 4) {
            check_memory_runs_out(rn_check_random(&seed), capacity, allowed);
        }
    }
}

static void
check_newest(struct rn_channel *channel, uint64_t expected)
{
    uint64_t sequence = 0;
    int64_t time_ns;

    CHECK_EQ(expected != 0, rn_channel_newest(channel, &sequence, &time_ns));
    CHECK_EQ(expected, sequence);
}

/* The second object: due at max, at half the ring, in the spill, at the end;
 * the first one stays exact meanwhile.
 */
static void
test_gather(void)
{
    struct rn_channel *channel = new_channel(8);
    struct rn_record out[16];

    check_newest(channel, 0);
    CHECK_EQ(0, rn_channel_gather(channel, 2));
    CHECK_EQ(0, rn_channel_settle(channel));
    emit(channel, RN_ADD, 1);
    rn_channel_flush(channel);
    check_newest(channel, 1);
    CHECK_EQ(0, rn_channel_gather_wait(channel, 0));
    CHECK_EQ(1, rn_channel_wait(channel, 0));
    emit(channel, RN_ADD, 2);
    rn_channel_flush(channel);
    CHECK_EQ(1, rn_channel_gather_wait(channel, 0));
    CHECK_EQ(1, rn_channel_gather(channel, 2));
    CHECK_EQ(0, rn_channel_gather(channel, 3));
    CHECK_EQ(0, rn_channel_gather_wait(channel, 0));
    for (uint32_t row = 3; row <= 4; row++) {
        emit(channel, RN_ADD, row);
    }
    check_newest(channel, 4);
    CHECK_EQ(1, rn_channel_gather(channel, UINT64_MAX)); /* half of 8 */
    for (uint32_t row = 5; row <= 10; row++) {
        emit(channel, RN_ADD, row);
    }
    CHECK_EQ(8, rn_channel_take(channel, out, 8));
    CHECK_EQ(1, rn_channel_gather(channel, UINT64_MAX)); /* 2 are spilled */
    CHECK_EQ(2, rn_channel_take(channel, out, 16));
    check_newest(channel, 0);
    CHECK_EQ(0, rn_channel_gather(channel, 1));
    rn_channel_end(channel, 0, NULL);
    CHECK_EQ(1, rn_channel_gather_wait(channel, 0));
    CHECK_EQ(1, rn_channel_gather(channel, 1));
    rn_channel_free(channel);
}

/* Asleep: something is there, nothing has been taken since it was asked last,
 * and nobody waits for more.
 */
static void
test_asleep(void)
{
    struct rn_channel *channel = new_channel(8);
    struct rn_record out[16];

    CHECK_EQ(0, rn_channel_asleep(channel)); /* nothing is there */
    emit(channel, RN_ADD, 1);
    CHECK_EQ(1, rn_channel_asleep(channel));
    emit(channel, RN_ADD, 2);
    CHECK_EQ(1, rn_channel_take(channel, out, 1));
    CHECK_EQ(0, rn_channel_asleep(channel)); /* something was taken */
    CHECK_EQ(1, rn_channel_asleep(channel));
    CHECK_EQ(0, rn_channel_gather(channel, 2));
    CHECK_EQ(0, rn_channel_asleep(channel)); /* it waits for a second one */
    emit(channel, RN_ADD, 3);
    rn_channel_flush(channel);
    CHECK_EQ(1, rn_channel_asleep(channel)); /* that came and is left there */
    for (uint32_t row = 4; row <= 10; row++) {
        emit(channel, RN_ADD, row);
    }
    CHECK_EQ(8, rn_channel_take(channel, out, 8));
    CHECK_EQ(0, rn_channel_asleep(channel));
    CHECK_EQ(1, rn_channel_asleep(channel)); /* what is spilled counts, too */
    CHECK_EQ(1, rn_channel_take(channel, out, 16));
    rn_channel_free(channel);
}

int
main(void)
{
    uint64_t seed = rn_check_seed((uint64_t)getpid());

    test_capacity_is_rounded_up();
    test_no_memory_or_descriptor_left();
    test_filter();
    test_what_a_row_was_stays_inside();
    test_forget_all_is_always_said();
    test_order_through_the_map();
    test_map_cancelled_to_nothing();
    test_mark();
    test_repeat();
    test_end();
    test_cancelled_out_wakes_once();
    test_flush_only_after_something();
    test_gather();
    test_asleep();
    for (uint32_t capacity = 2; capacity <= 256; capacity *= 2) {
        for (uint32_t rows = 1; rows <= TABLE_ROWS; rows *= 8) {
            check_play(rn_check_random(&seed), capacity, rows,
                       RN_ROUNDS(2000, 300));
        }
    }
    for (int i = 0; i < RN_ROUNDS(20000, 2000); i++) {
        check_snapshot(rn_check_random(&seed), 2u << (i & 3));
    }
    test_sleeping_consumer(seed, RN_ROUNDS(2000000, 200000));
    test_memory_runs_out(seed);
    return 0;
}
