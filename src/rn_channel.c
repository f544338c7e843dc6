/* rn_channel.c - ring, spill map, wake-up and counters of one monitor.
 *
 * The spill flag: while it is 0 the ring belongs to the producer and the map
 * is empty; while it is 1 the producer leaves the ring alone and everything
 * goes to the map, under the lock.  Hence the ring is always older than the
 * map, and the consumer, once it has emptied the ring, may under the lock
 * stand in for the producer and move the oldest of the map into the ring.
 */
#include "rn_channel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rn_atomic.h"
#include "rn_lock.h"
#include "rn_ring.h"
#include "rn_spill.h"
#include "rn_wake.h"

/* Records moved per refill: what the producer may have to wait for, and what
 * later changes can no longer merge into.
 */
#define REFILL 256u

static_assert(RN_CHANNEL_NO_WAIT == RN_WAKE_FAILED, "passed on as it is");

struct rn_channel {
    struct rn_ring ring; /* has its own lines */

    /* Seldom written, read by both sides on every call. */
    _Alignas(RN_LINE) rn_atomic_u32 spilling; /* written under the lock */
    rn_atomic_u32 ended;                      /* release: code, call stand */
    rn_atomic_u32 end_claimed; /* 1: somebody writes code and call */
    uint32_t end_code;
    const char *end_call;
    struct rn_channel_config config; /* constant */
    int choosy;                      /* constant: family or filter is set */
    void *memory;                    /* constant: what malloc returned */

    /* The producer's. */
    _Alignas(RN_LINE) rn_count sequence; /* of the last record accepted */
    rn_count filtered;
    rn_count high_water;
    rn_count spill_lost;
    rn_count marked; /* an ADD up to this sequence is not cancelled: the one
                      * at the last snapshot or repetition's end */
    int unflushed;   /* something was queued since the last flush */
    int lost;        /* rn_channel_lost has something to say */
    uint64_t taken;  /* delivered, at the last rn_channel_asleep */

    /* The consumer's. */
    _Alignas(RN_LINE) rn_count delivered;

    /* Both, by exchange. */
    _Alignas(RN_LINE) struct rn_wake wake;
    struct rn_wake gathered; /* OFF until a consumer lets changes gather */
    rn_atomic_u32 enough;    /* how many; the consumer's, read when ARMED */
    int can_gather;          /* the consumer's: gathered has its object */

    /* Under the lock; the counters are read without. */
    _Alignas(RN_LINE) struct rn_lock lock;
    struct rn_spill spill;
    rn_count spilled; /* entries of the map */
    rn_count conflated;
};

static uint32_t
round_up(uint32_t capacity)
{
    uint32_t power = 2;

    while (power < capacity) {
        power *= 2;
    }
    return power;
}

/* Struct and slots in one piece, from a line's start. */
static struct rn_channel *
new_memory(uint32_t capacity)
{
    size_t size = sizeof(struct rn_channel) + (size_t)capacity * RN_SLOT;
    char *memory = malloc(size + RN_LINE);
    struct rn_channel *channel;

    if (memory == NULL) {
        return NULL;
    }
    channel = (void *)(memory + RN_LINE - (uintptr_t)memory % RN_LINE);
    memset(channel, 0, sizeof(*channel));
    channel->memory = memory;
    rn_ring_init(&channel->ring, channel + 1, capacity, 0);
    return channel;
}

struct rn_channel *
rn_channel_new(const struct rn_channel_config *config)
{
    struct rn_channel *channel;

    if (config->capacity > RN_RING_MAX) {
        errno = ENOMEM;
        return NULL;
    }
    channel = new_memory(round_up(config->capacity));
    if (channel == NULL) {
        return NULL;
    }
    if (rn_wake_init(&channel->wake) != 0) {
        free(channel->memory);
        return NULL;
    }
    channel->config = *config;
    channel->choosy = config->family || config->filter;
    (void)rn_filter_ref(config->filter);
    rn_spill_init(&channel->spill);
    rn_lock_init(&channel->lock);
    return channel;
}

const char *
rn_channel_failed(void)
{
    return errno == ENOMEM ? "malloc" : rn_wake_call;
}

/* The producer, which the fork did not bring here, may have been within a call
 * that makes, moves or frees the map's memory: then its pointers are to what is
 * freed already.  No order of stores could tell, so the map's memory is left.
 */
void
rn_channel_forked(struct rn_channel *channel)
{
    rn_spill_init(&channel->spill);
}

/* Takes no lock: in a forked child its holder may not exist. */
void
rn_channel_free(struct rn_channel *channel)
{
    rn_wake_destroy(&channel->wake);
    if (channel->can_gather) {
        rn_wake_destroy(&channel->gathered);
    }
    rn_spill_clear(&channel->spill);
    rn_lock_destroy(&channel->lock);
    rn_filter_unref(channel->config.filter);
    free(channel->memory);
}

/* Is this channel's consumer to see the record, whatever the filter? */
static int
wanted(const struct rn_channel *channel, const struct rn_record *record)
{
    if (record->type >= RN_FIRST_MARKER) {
        /* "Forget all, the table follows" is no option: see RN_CAUSE_MEMORY. */
        return channel->config.markers || record->cause == RN_CAUSE_MEMORY;
    }
    return channel->config.family == 0 || record->type == RN_INITIAL ||
           record->ip_version == channel->config.family;
}

/* Only a recording says how many changes a record stands for. */
static void
stamp(struct rn_record *record, uint64_t sequence)
{
    record->sequence = sequence;
    if (record->merged == 0) {
        record->merged = 1;
    }
}

/* Return: 0, or -1: full. */
static int
push(struct rn_channel *channel, const struct rn_record *record,
     uint64_t sequence)
{
    struct rn_record *slot = rn_ring_claim(&channel->ring);

    if (slot == NULL) {
        return -1;
    }
    *slot = *record;
    stamp(slot, sequence);
    rn_ring_publish(&channel->ring);
    return 0;
}

/* For statistics only: exact when nothing moves. */
static uint64_t
queued(struct rn_channel *channel)
{
    return rn_count_read(&channel->spilled) + rn_ring_count(&channel->ring);
}

static void
note_high_water(struct rn_channel *channel)
{
    uint64_t now = queued(channel);

    if (now > rn_count_read(&channel->high_water)) {
        rn_count_set(&channel->high_water, now);
    }
}

/* Under the lock: make the flag say what the map holds. */
static void
note_spilled(struct rn_channel *channel)
{
    uint32_t count = channel->spill.count;

    rn_count_set(&channel->spilled, count);
    /* Pairs with the acquires of the flag.  Set: who sees it sees all that
     * went into the ring before.  Cleared: the producer that sees it sees the
     * ring as the consumer's refill left it, tail and head_seen.
     */
    rn_store_release(&channel->spilling, count != 0);
}

/* Under the lock. */
static void
put(struct rn_channel *channel, const struct rn_record *record)
{
    int conflated =
        rn_spill_put(&channel->spill, record, rn_count_read(&channel->marked));

    if (conflated < 0) {
        rn_count_add(&channel->conflated, (uint64_t)channel->spill.count + 1);
        rn_count_add(&channel->spill_lost, 1);
        rn_spill_clear(&channel->spill);
        channel->lost = 1;
    } else if (conflated > 0) {
        rn_count_add(&channel->conflated, (uint64_t)conflated);
    }
    note_spilled(channel);
    note_high_water(channel);
}

/* The ring was full, or the map is in use (or was a moment ago: then this
 * record is alone in it, and no less in order).
 */
static void
spill(struct rn_channel *channel, const struct rn_record *record,
      uint64_t sequence)
{
    struct rn_record stamped = *record;

    stamp(&stamped, sequence);
    rn_lock_take(&channel->lock);
    put(channel, &stamped);
    rn_lock_drop(&channel->lock);
}

static inline void
accept_record(struct rn_channel *channel, const struct rn_record *record)
{
    uint64_t sequence = rn_count_add(&channel->sequence, 1);

    channel->unflushed = 1;
    /* Pairs with note_spilled: on 0 the ring is this thread's again. */
    if (rn_load_acquire(&channel->spilling) != 0 ||
        push(channel, record, sequence) != 0) {
        spill(channel, record, sequence);
    }
}

/* Apart, so that the common way saves no registers for it. */
RN_NOINLINE static void
emit_wanted(struct rn_channel *channel, const struct rn_record *record)
{
    struct rn_record scratch;

    if (!wanted(channel, record)) {
        record = NULL;
    } else if (channel->config.filter && record->type < RN_INITIAL) {
        record = rn_filter_change(channel->config.filter, record, &scratch);
    }
    if (record) {
        accept_record(channel, record);
    } else {
        rn_count_add(&channel->filtered, 1);
    }
}

void
rn_channel_emit(void *self, const struct rn_record *record)
{
    struct rn_channel *channel = self;

    if (channel->choosy || record->type >= RN_INITIAL) {
        emit_wanted(channel, record);
    } else {
        accept_record(channel, record);
    }
}

/* Flag before ring: a refill fills the ring before it clears the flag, so what
 * is moved between the two looks is not missed.
 */
static int
nonempty(struct rn_channel *channel)
{
    return rn_load_acquire(&channel->spilling) != 0 ||
           rn_ring_count(&channel->ring) != 0;
}

/* Any number will do once the ring is full. */
static int
enough_or_ended(void *self)
{
    struct rn_channel *channel = self;

    return rn_load_acquire(&channel->spilling) != 0 ||
           rn_ring_count(&channel->ring) >=
               rn_load_relaxed(&channel->enough) ||
           rn_load_acquire(&channel->ended) != 0;
}

/* The look at the word is a read-modify-write for the reason that
 * rn_wake_signal has; on ARMED it pairs with the consumer's exchange, so enough
 * is what was armed.
 */
static void
signal_gathered(struct rn_channel *channel)
{
    if (rn_fetch_add(&channel->gathered.state, 0) == RN_WAKE_ARMED &&
        enough_or_ended(channel)) {
        rn_wake_signal(&channel->gathered);
    }
}

void
rn_channel_flush(void *self)
{
    struct rn_channel *channel = self;

    if (!channel->unflushed) {
        return;
    }
    channel->unflushed = 0;
    /* A consumer that took it all already needs no telling. */
    if (nonempty(channel)) {
        note_high_water(channel);
        rn_wake_signal(&channel->wake);
        signal_gathered(channel);
    }
}

/* By the provider, or by the consumer's close on any thread. */
void
rn_channel_end(void *self, uint32_t code, const char *call)
{
    struct rn_channel *channel = self;

    if (rn_exchange(&channel->end_claimed, 1) != 0) {
        return;
    }
    channel->end_code = code;
    channel->end_call = call;
    /* Pairs with rn_channel_ended. */
    rn_store_release(&channel->ended, 1);
    rn_wake_signal(&channel->wake);
    rn_wake_signal(&channel->gathered); /* OFF: nobody lets changes gather */
}

uint32_t
rn_channel_room(struct rn_channel *channel)
{
    if (rn_load_acquire(&channel->spilling) != 0) {
        return 0;
    }
    return channel->ring.mask + 1 - rn_ring_count(&channel->ring);
}

int
rn_channel_lost(void *self)
{
    struct rn_channel *channel = self;
    int lost = channel->lost;

    channel->lost = 0;
    return lost;
}

uint64_t
rn_channel_mark(void *self)
{
    struct rn_channel *channel = self;
    uint64_t sequence = rn_count_read(&channel->sequence);

    if (sequence > rn_count_read(&channel->marked)) {
        rn_count_set(&channel->marked, sequence);
    }
    return sequence;
}

void
rn_channel_repeat(void *self, int begins)
{
    struct rn_channel *channel = self;

    rn_count_set(&channel->marked,
                 begins ? UINT64_MAX : rn_count_read(&channel->sequence));
}

int
rn_channel_asleep(void *self)
{
    struct rn_channel *channel = self;
    uint64_t taken = rn_count_read(&channel->delivered);
    int none = taken == channel->taken;

    channel->taken = taken;
    return none && nonempty(channel) &&
           rn_load_relaxed(&channel->gathered.state) != RN_WAKE_ARMED;
}

void
rn_channel_keep(const struct rn_channel *channel, struct rn_rows *rows)
{
    if (channel->config.filter) {
        rn_filter_keep(channel->config.filter, rows);
    }
}

/* Consumer, which has found the ring empty: move the oldest of the map into it.
 * Return: whether the ring holds anything now.
 */
static int
refill(struct rn_channel *channel)
{
    /* Pairs with note_spilled: a look at the ring from here on sees all that
     * is older than the map.
     */
    if (rn_load_acquire(&channel->spilling) == 0) {
        return 0;
    }
    rn_lock_take(&channel->lock);
    /* Set under the lock: the producer waits there, and the ring is ours. */
    if (rn_load_relaxed(&channel->spilling) != 0) {
        for (uint32_t moved = 0; moved < REFILL; moved++) {
            struct rn_record *slot = rn_ring_claim(&channel->ring);

            if (slot == NULL || !rn_spill_pop(&channel->spill, slot)) {
                break;
            }
            rn_ring_publish(&channel->ring);
        }
        note_spilled(channel);
    }
    rn_lock_drop(&channel->lock);
    return rn_ring_count(&channel->ring) != 0;
}

uint32_t
rn_channel_peek(struct rn_channel *channel, const struct rn_record **out,
                uint32_t max)
{
    const void *slots;
    uint32_t count = rn_ring_peek(&channel->ring, &slots, max);

    if (count == 0 && max != 0 && refill(channel)) {
        count = rn_ring_peek(&channel->ring, &slots, max);
    }
    *out = slots;
    return count;
}

void
rn_channel_release(struct rn_channel *channel, uint32_t count)
{
    rn_ring_release(&channel->ring, count);
    rn_count_add(&channel->delivered, count);
}

uint32_t
rn_channel_take(struct rn_channel *channel, struct rn_record *out,
                uint32_t max)
{
    uint32_t taken = rn_ring_take(&channel->ring, out, max);

    while (taken < max && refill(channel)) {
        taken += rn_ring_take(&channel->ring, out + taken, max - taken);
    }
    rn_count_add(&channel->delivered, taken);
    return taken;
}

int
rn_channel_pending(struct rn_channel *channel)
{
    return nonempty(channel);
}

static int
nonempty_or_ended(void *self)
{
    struct rn_channel *channel = self;

    return nonempty(channel) || rn_load_acquire(&channel->ended) != 0;
}

/* Of a set object only this makes a clear one.  So it stays set, until the
 * consumer looks, when the producer cancels the last of the map: were it to
 * clear the object itself, it could do so after the consumer set it anew.
 */
int
rn_channel_settle(struct rn_channel *channel)
{
    return rn_wake_settle(&channel->wake, nonempty_or_ended, channel);
}

int
rn_channel_wait(struct rn_channel *channel, int timeout_ms)
{
    return rn_wake_wait(&channel->wake, timeout_ms);
}

void
rn_channel_wait_failed(struct rn_fail *fail)
{
    fail->code =
        errno == EBADF ? RN_ERROR_INVALID_HANDLE : RN_ERROR_NOT_ENOUGH_MEMORY;
    fail->os_error = errno;
    fail->call = rn_wake_wait_call;
}

intptr_t
rn_channel_object(struct rn_channel *channel)
{
    return channel->wake.object;
}

int
rn_channel_gather(struct rn_channel *channel, uint64_t max)
{
    uint32_t half = (channel->ring.mask + 1) / 2;
    uint32_t enough = max < half ? (uint32_t)max : half;

    if (!channel->can_gather && rn_wake_init(&channel->gathered) != 0) {
        return -1;
    }
    channel->can_gather = 1;
    /* Published by the exchange in rn_wake_settle. */
    rn_store_release(&channel->enough, enough);
    return rn_wake_settle(&channel->gathered, enough_or_ended, channel) != 0;
}

int
rn_channel_gather_wait(struct rn_channel *channel, int timeout_ms)
{
    return rn_wake_wait(&channel->gathered, timeout_ms);
}

intptr_t
rn_channel_gather_object(struct rn_channel *channel)
{
    return channel->can_gather ? channel->gathered.object : -1;
}

int
rn_channel_newest(struct rn_channel *channel, uint64_t *sequence,
                  int64_t *time_ns)
{
    const struct rn_record *newest = rn_ring_last(&channel->ring);

    if (newest == NULL) {
        return 0;
    }
    *sequence = newest->sequence;
    *time_ns = newest->time_ns;
    return 1;
}

int
rn_channel_ended(struct rn_channel *channel, uint32_t *code, const char **call)
{
    /* Pairs with rn_channel_end: its reason before the flag. */
    if (rn_load_acquire(&channel->ended) == 0) {
        return 0;
    }
    *code = channel->end_code;
    *call = channel->end_call;
    return 1;
}

void
rn_channel_get_stats(struct rn_channel *channel, struct rn_channel_stats *out)
{
    *out = (struct rn_channel_stats){
        .delivered = rn_count_read(&channel->delivered),
        .filtered = rn_count_read(&channel->filtered),
        .conflated = rn_count_read(&channel->conflated),
        .queued = queued(channel),
        .high_water = rn_count_read(&channel->high_water),
        .spill_lost = rn_count_read(&channel->spill_lost),
        .capacity = channel->ring.mask + 1,
    };
    out->received = rn_count_read(&channel->sequence) + out->filtered;
    if (out->high_water < out->queued) {
        out->high_water = out->queued;
    }
}
