/* rn_channel.h - from a provider to one consumer: ring, spill map, wake-up.
 *
 * The producer side (emit, flush, end) runs on the provider's thread, one call
 * at a time; the consumer side on Python threads, one call at a time (the GIL,
 * or the monitor's critical section where there is none).  Knows no Python.
 *
 * A full ring spills: changes go to a map keyed by row, later ones merge into
 * it, and stay out of the ring until the consumer has emptied ring and map, so
 * that order by row is kept and pending memory is bounded by distinct rows.
 */
#ifndef RN_CHANNEL_H
#define RN_CHANNEL_H

#include "rn_filter.h"
#include "rn_netio.h"

struct rn_channel;

struct rn_channel_config {
    uint32_t capacity; /* slots asked for; rounded up to a power of two */
    int family;        /* 0 both, 4, 6 */
    int markers;       /* pass markers on */
    struct rn_filter *filter; /* NULL: everything; the channel takes its own
                               * reference */
};

struct rn_channel_stats {
    uint64_t received;   /* records offered to this channel */
    uint64_t delivered;  /* taken by the consumer */
    uint64_t filtered;   /* refused: family, filter, markers nobody asked */
    uint64_t conflated;  /* merged away, cancelled out, or dropped when
                          * memory for the spill map ran out */
    uint64_t queued;     /* pending now: received = filtered + conflated
                          * + queued + delivered */
    uint64_t high_water; /* most that was pending at any flush or spill */
    uint64_t spill_lost; /* times memory for the spill map ran out */
    uint32_t capacity;
};

/* NULL when memory or descriptors run out (errno on Linux says which). */
struct rn_channel *
rn_channel_new(const struct rn_channel_config *config);

/* rn_channel_failed - what errno says of a failed rn_channel_new or
 * rn_channel_gather: the name of the call.
 */
const char *
rn_channel_failed(void);

/* rn_channel_forked - in a forked child, before rn_channel_free: the copy of a
 * channel whose producer may have been at work at the fork.
 */
void
rn_channel_forked(struct rn_channel *channel);

/* Only when neither side can call any more. */
void
rn_channel_free(struct rn_channel *channel);

/* Producer side.  Emit, flush, end, lost, repeat and asleep make a struct rn_sink;
 * only end may come from another thread, that of a consumer which closes.
 */
void
rn_channel_emit(void *channel, const struct rn_record *record);
void
rn_channel_flush(void *channel);
void
rn_channel_end(void *channel, uint32_t code, const char *call);

/* rn_channel_room - producer: how many records fit for sure before the ring is
 * full and changes merge.
 */
uint32_t
rn_channel_room(struct rn_channel *channel);

/* rn_channel_lost - producer: spill memory ran out and pending state was
 * dropped since the last call; the provider must send the whole table again
 * (as a resync).  Return: nonzero once.
 */
int
rn_channel_lost(void *channel);

/* rn_channel_mark - producer (the `at` of rn_notify_ask): note the current
 * sequence as a snapshot's; pending ADD and DELETE no longer cancel across it.
 * Return: that sequence.
 */
uint64_t
rn_channel_mark(void *channel);

/* rn_channel_repeat - producer: from begins=1 to 0 rows come that the consumer
 * may have; a pending ADD among them and a later DELETE do not cancel.
 */
void
rn_channel_repeat(void *channel, int begins);

/* rn_channel_asleep - producer: something is queued, no consumer waits for it to
 * become enough, and none has taken anything since the last call.
 */
int
rn_channel_asleep(void *channel);

/* rn_channel_keep - drop what the filter refuses from the rows of a snapshot.
 */
void
rn_channel_keep(const struct rn_channel *channel, struct rn_rows *rows);

/* Consumer side. */

/* rn_channel_take - up to max records, oldest first.  Never blocks beyond the
 * spill map's short lock, which only a spilling producer shares.
 */
uint32_t
rn_channel_take(struct rn_channel *channel, struct rn_record *out,
                uint32_t max);

/* rn_channel_peek - like rn_ring_peek, but refills from the spill map: the
 * oldest records in place until rn_channel_release.  For making objects
 * without a copy between.
 */
uint32_t
rn_channel_peek(struct rn_channel *channel, const struct rn_record **out,
                uint32_t max);
void
rn_channel_release(struct rn_channel *channel, uint32_t count);

/* Nonzero: something is queued.  A hint off the consumer's turn. */
int
rn_channel_pending(struct rn_channel *channel);

/* rn_channel_settle - call before a wait, and after every take once a file
 * descriptor was handed out: see rn_wake_settle.  Return: something is queued
 * or the stream has ended.
 */
int
rn_channel_settle(struct rn_channel *channel);

/* rn_channel_wait - off the consumer's turn (no GIL).  Counts as a waiter:
 * rn_channel_end and close wake it.
 * Return: 1 woken, 0 time out, -1 signal, RN_CHANNEL_NO_WAIT: see
 * rn_channel_wait_failed.
 */
#define RN_CHANNEL_NO_WAIT (-2)
int
rn_channel_wait(struct rn_channel *channel, int timeout_ms);

/* rn_channel_wait_failed - what errno says of such a wait: the object cannot be
 * waited for, since somebody closed it or the system allows no wait.
 */
void
rn_channel_wait_failed(struct rn_fail *fail);

/* The waitable object: eventfd or HANDLE. */
intptr_t
rn_channel_object(struct rn_channel *channel);

/* rn_channel_gather - call before a wait that lets changes gather: have a second
 * object set once max of them are queued, or half of what the queue holds
 * before it merges, or the stream has ended.  Leaves the first object alone.
 * Only the last call's max counts: who has several consumers gives their least.
 * Return: 1 it is so now, 0 not yet, -1 no descriptor for the object (errno).
 */
int
rn_channel_gather(struct rn_channel *channel, uint64_t max);

/* As rn_channel_wait and rn_channel_object, for that second object; the latter
 * is -1, and there is nothing to wait for, before the first rn_channel_gather.
 */
int
rn_channel_gather_wait(struct rn_channel *channel, int timeout_ms);
intptr_t
rn_channel_gather_object(struct rn_channel *channel);

/* rn_channel_newest - which record was queued last and when it was received.
 * Return: 0 the ring is empty.
 */
int
rn_channel_newest(struct rn_channel *channel, uint64_t *sequence,
                  int64_t *time_ns);

/* Ended by the provider (rn_channel_end) or by the consumer's close: nonzero,
 * and if by the provider *code and *call say why.
 */
int
rn_channel_ended(struct rn_channel *channel, uint32_t *code,
                 const char **call);

void
rn_channel_get_stats(struct rn_channel *channel, struct rn_channel_stats *out);

#endif
