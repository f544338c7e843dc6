/* rn_linux_reader.c - the reader thread: one poll loop. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include "rn_linux.h"

/* Batches read before commands and answers get their turn, and before the
 * consumers are woken: on one core each wake-up ends the reader's time slice.
 */
#define BATCHES_A_TURN 16
#define BATCHES_A_FLUSH 8

/* A turn that found this many datagrams is followed by a pause: at such a rate
 * more are there by then, and reading and waking for a hundred costs hardly
 * more than for one.  So is a turn while that many came within RATE_NS: a
 * steady stream is found one by one.  A change that comes alone is never
 * delayed.
 */
#define BUSY 8
#define RATE_NS 1000000
#define PAUSE_WANTED 512 /* datagrams that should be there after it */
#define PAUSE_MIN_NS 100000
#define PAUSE_MAX_NS 1000000
/* The pause must not fill the buffer: a million changes/s need 0.8 MiB, of twice
 * what was asked for.
 */
#define PAUSE_RCVBUF (1u << 20)

/* Who takes nothing at all for a pause does without haste: so much longer may the
 * next one be, if the buffer is as much larger and the last turn came to its end.
 */
#define PAUSE_ASLEEP 4

static void
fail(struct rn_source *source, const struct rn_fail *why)
{
    source->failed = *why;
    rn_store_release(&source->dead, 1); /* a hint for source_get */
    source->compare.wanted = 0;
    source->compare.state = RN_COMPARE_IDLE;
    source->overrun = 0;
    for (struct rn_notify *n = source->subscribers; n; n = n->next) {
        n->sink.end(n->sink.self, why->code, why->call);
    }
    rn_linux_commands(source); /* those that wait for the first table, too */
}

/* The queue is empty: from here on the kernel queues again. */
static void
empty(struct rn_source *source)
{
    if (source->overrun) {
        source->overrun = 0;
        rn_linux_news_lost(source);
    }
    rn_linux_compare_empty(source);
}

static void
read_events(struct rn_source *source)
{
    struct rn_fail why;
    int more = 1;

    source->read = 0;
    for (int i = 0; more > 0 && i < BATCHES_A_TURN; i++) {
        more = rn_linux_receive(source, &why);
        if (more == 0) {
            empty(source);
        }
        /* Less than a batch is the last: consumers need not wait until that is
         * sure.
         */
        if (more < 2 || i % BATCHES_A_FLUSH == BATCHES_A_FLUSH - 1) {
            rn_linux_flush(source);
        }
    }
    source->read_all = more == 0;
    if (more < 0) {
        fail(source, &why);
    }
}

static void
clear(int fd)
{
    uint64_t value;

    (void)!read(fd, &value, sizeof(value));
}

/* Does no consumer take anything?  Each is asked, for its answer counts from the
 * last time.
 */
static int
all_asleep(struct rn_source *source)
{
    int asleep = 1;

    for (struct rn_notify *n = source->subscribers; n; n = n->next) {
        asleep &= n->sink.asleep && n->sink.asleep(n->sink.self);
    }
    return asleep && source->read_all &&
           rn_linux_receive_room(source) >= PAUSE_ASLEEP * PAUSE_RCVBUF;
}

/* The pause after which the wanted number should be there, by the number that
 * came during the last one.
 */
static int64_t
next_pause(struct rn_source *source)
{
    int64_t times = all_asleep(source) ? PAUSE_ASLEEP : 1;
    int64_t last = source->pause_ns ? source->pause_ns : PAUSE_MIN_NS;
    int64_t next = last * times * PAUSE_WANTED / source->read;

    if (next < PAUSE_MIN_NS) {
        return PAUSE_MIN_NS;
    }
    return next < times * PAUSE_MAX_NS ? next : times * PAUSE_MAX_NS;
}

/* Have that many come of late?  A silence before the turn counts as well. */
static int
rate_is_high(struct rn_source *source)
{
    int64_t now = rn_linux_steady_ns();
    int64_t length = now - source->rate_since_ns;

    source->rate_read += source->read;
    if (length >= RATE_NS) {
        source->rate_high =
            (int64_t)source->rate_read * RATE_NS >= BUSY * length;
        source->rate_since_ns = now;
        source->rate_read = 0;
    }
    return source->rate_high;
}

/* Is it still to be found out that nothing more is queued?  A turn may end just
 * when it has read the last message: no news will say so.
 */
static int
awaits_empty(const struct rn_source *source)
{
    return source->compare.state == RN_COMPARE_EMPTY || source->overrun;
}

/* A ring buffer that takes no more says so nowhere else: before waiting for news
 * it must have been found empty.
 */
static int
awaits_look(const struct rn_source *source)
{
    return awaits_empty(source) ||
           (source->ringbuf && !source->read_all && !source->failed.code);
}

/* Only what cannot wait ends a pause. */
static void
pause_reading(struct rn_source *source)
{
    struct pollfd fds[2] = {
        {.fd = source->command_fd, .events = POLLIN},
        {.fd = source->request_fd, .events = POLLIN},
    };

    int busy = source->read && (rate_is_high(source) || source->read >= BUSY);

    if (!busy || awaits_empty(source) ||
        rn_linux_receive_room(source) < PAUSE_RCVBUF) {
        source->pause_ns = 0;
        source->read = 0;
        return;
    }
    source->pause_ns = next_pause(source);
    const struct timespec length = {0, source->pause_ns};
    (void)ppoll(fds, 2, &length, NULL);
    source->read = 0;
}

/* Of two timeouts of poll() the earlier. */
static int
earlier(int one, int other)
{
    if (one < 0 || other < 0) {
        return one < 0 ? other : one;
    }
    return one < other ? one : other;
}

static int
timeout(const struct rn_source *source)
{
    return awaits_look(source) ? 0
                               : earlier(rn_linux_compare_timeout(source),
                                         rn_linux_retell_timeout(source));
}

static void
turn(struct rn_source *source)
{
    const int failed = source->failed.code != 0;
    struct pollfd fds[4] = {
        {.fd = source->command_fd, .events = POLLIN},
        {.fd = failed ? -1 : rn_linux_receive_fd(source), .events = POLLIN},
        {.fd = failed ? -1 : source->request_fd, .events = POLLIN},
        {.fd = source->watch_fd, .events = POLLIN},
    };

    pause_reading(source);
    if (poll(fds, 4, timeout(source)) < 0 && errno != EINTR) {
        struct rn_fail why;
        rn_linux_fail(&why, "poll");
        fail(source, &why);
        return;
    }
    if (fds[0].revents) {
        clear(source->command_fd);
        rn_linux_commands(source);
    }
    if (fds[1].revents || awaits_look(source)) {
        read_events(source);
    }
    if (fds[2].revents) {
        rn_linux_compare_read(source);
    }
    if (fds[3].revents) {
        rn_linux_watch_read(source);
    }
    rn_linux_compare_step(source);
    rn_linux_retell(source);
}

void *
rn_linux_reader(void *self)
{
    struct rn_source *source = self;

    rn_linux_want(source, 3, 0);
    rn_linux_compare_step(source);
    while (!source->stop) {
        turn(source);
    }
    return NULL;
}
