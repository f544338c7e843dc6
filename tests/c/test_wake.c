/* test_wake.c - the wake-up alone: readable exactly when it should be, and no
 * wake-up lost between threads that go to sleep after every step.
 */
/* sources: rn_wake.c rn_wake_linux.c rn_wake_posix.c */
#define _GNU_SOURCE
#include "rn_wake.h"

#ifndef SETTER /* what a write sets it by */
#define SETTER(wake) ((int)(wake).object)
#endif

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include "rn_check.h"

/* Longer than any scheduling delay: a wait that lasts this long was lost. */
#define LOST_MS 5000

/* The simplest queue: how much was put in, how much was taken out. */
struct queue {
    struct rn_wake wake;
    rn_atomic_u32 put;
    uint32_t taken; /* the consumer's */
};

static int
queue_nonempty(void *self)
{
    struct queue *queue = self;

    return rn_load_acquire(&queue->put) != queue->taken;
}

static void
queue_init(struct queue *queue)
{
    memset(queue, 0, sizeof(*queue));
    CHECK(rn_wake_init(&queue->wake) == 0);
}

/* Producer's thread, the only writer of put. */
static void
queue_put(struct queue *queue)
{
    rn_store_release(&queue->put, rn_load_relaxed(&queue->put) + 1);
    rn_wake_signal(&queue->wake);
}

static int
settle(struct queue *queue)
{
    return rn_wake_settle(&queue->wake, queue_nonempty, queue);
}

static int
readable(struct queue *queue)
{
    return rn_wake_wait(&queue->wake, 0);
}

/* OFF costs the producer nothing: the object is not even set. */
static void
test_off_until_settled(void)
{
    struct queue queue;

    queue_init(&queue);
    queue_put(&queue);
    CHECK(!readable(&queue));
    CHECK_EQ(RN_WAKE_OFF, rn_load_relaxed(&queue.wake.state));
    CHECK(settle(&queue));
    CHECK(readable(&queue));
    rn_wake_destroy(&queue.wake);
}

static void
test_readable_exactly_while_queued(void)
{
    struct queue queue;

    queue_init(&queue);
    CHECK(!settle(&queue));
    CHECK(!readable(&queue));
    for (int i = 0; i < 100; i++) {
        queue_put(&queue);
        CHECK(readable(&queue));
        queue_put(&queue);
        queue.taken++;
        CHECK(settle(&queue));
        CHECK(readable(&queue));
        queue.taken++;
        CHECK(!settle(&queue));
        CHECK(!readable(&queue));
        CHECK(!settle(&queue)); /* again changes nothing */
        CHECK(!readable(&queue));
    }
    rn_wake_destroy(&queue.wake);
}

/* A producer whose records were taken before it signalled wakes in vain; the
 * next settle puts that right.
 */
static void
test_late_signal_is_cleared(void)
{
    struct queue queue;

    queue_init(&queue);
    CHECK(!settle(&queue));
    rn_wake_signal(&queue.wake);
    CHECK(readable(&queue));
    CHECK(!settle(&queue));
    CHECK(!readable(&queue));
    rn_wake_destroy(&queue.wake);
}

/* Somebody else's write (a forked child's, say) must not make a busy loop. */
static void
test_foreign_write_is_cleared(void)
{
    struct queue queue;
    uint64_t one = 1;

    queue_init(&queue);
    CHECK(!settle(&queue));
    CHECK(write(SETTER(queue.wake), &one, 8) == 8);
    CHECK(readable(&queue));
    CHECK(!settle(&queue));
    CHECK(!readable(&queue));
    queue_put(&queue);
    CHECK(readable(&queue));
    rn_wake_destroy(&queue.wake);
}

static void
on_alarm(int number)
{
    (void)number;
}

static void
test_signal_interrupts_wait(void)
{
    struct sigaction action = {.sa_handler = on_alarm};
    struct itimerval soon = {.it_value = {.tv_usec = 1000},
                             .it_interval = {.tv_usec = 1000}};
    struct itimerval off = {0};
    struct queue queue;

    queue_init(&queue);
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    CHECK(setitimer(ITIMER_REAL, &soon, NULL) == 0);
    CHECK(rn_wake_wait(&queue.wake, LOST_MS) == -1);
    CHECK(setitimer(ITIMER_REAL, &off, NULL) == 0);
    rn_wake_destroy(&queue.wake);
}

/* Taken for a wake-up it would be waited for again at once, for ever. */
static void
test_closed_object_is_no_wake_up(void)
{
    struct queue queue;

    queue_init(&queue);
    rn_wake_destroy(&queue.wake);
    CHECK_EQ(RN_WAKE_FAILED, rn_wake_wait(&queue.wake, LOST_MS));
    CHECK_EQ(EBADF, errno);
}

static void
test_no_descriptors_left(void)
{
    struct rlimit old;
    struct rlimit none;
    struct rn_wake wake;

    CHECK(getrlimit(RLIMIT_NOFILE, &old) == 0);
    none = old;
    none.rlim_cur = 0;
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    CHECK(rn_wake_init(&wake) == -1);
    CHECK_EQ(EMFILE, errno);
    CHECK(setrlimit(RLIMIT_NOFILE, &old) == 0);
}

/* Take one from the queue, asleep if there is none. */
static void
take(struct queue *queue)
{
    while (!queue_nonempty(queue)) {
        if (!settle(queue)) {
            /* 0 is a time out: what was put did not wake. */
            CHECK(rn_wake_wait(&queue->wake, LOST_MS) != 0);
        }
    }
    queue->taken++;
}

struct table {
    struct queue ping;
    struct queue pong;
    uint32_t rounds;
};

static void *
answer(void *arg)
{
    struct table *table = arg;

    for (uint32_t i = 0; i < table->rounds; i++) {
        take(&table->ping);
        queue_put(&table->pong);
    }
    return NULL;
}

/* Each side puts one and goes to sleep until the other has: nothing else ever
 * comes to make up for a wake-up that is lost.
 */
static void
test_ping_pong(uint32_t rounds)
{
    struct table table = {.rounds = rounds};
    pthread_t other;

    queue_init(&table.ping);
    queue_init(&table.pong);
    CHECK(pthread_create(&other, NULL, answer, &table) == 0);
    for (uint32_t i = 0; i < rounds; i++) {
        queue_put(&table.ping);
        take(&table.pong);
    }
    CHECK(pthread_join(other, NULL) == 0);
    rn_wake_destroy(&table.ping.wake);
    rn_wake_destroy(&table.pong.wake);
}

struct duel {
    struct queue queue;
    rn_atomic_u32 go; /* the round both are in */
    uint32_t rounds;
    uint64_t seed;
};

static void
spin(uint32_t turns)
{
    for (volatile uint32_t i = 0; i < turns; i++) {
    }
}

static void *
put_in_each_round(void *arg)
{
    struct duel *duel = arg;
    uint64_t state = duel->seed;

    for (uint32_t i = 1; i <= duel->rounds; i++) {
        for (int turn = 0; rn_load_acquire(&duel->go) != i; turn++) {
            if (turn > 1000) {
                sched_yield(); /* one of us has lost its processor */
            }
        }
        spin(rn_check_below(&state, 400));
        queue_put(&duel->queue);
    }
    return NULL;
}

/* Put and settle start together, a random moment apart, so that each step of
 * the one meets each step of the other; the producer is idle after every put.
 */
static void
test_put_against_settle(uint32_t rounds, uint64_t seed)
{
    struct duel duel = {.rounds = rounds, .seed = seed ^ UINT64_C(0xabcdef00)};
    pthread_t other;

    queue_init(&duel.queue);
    CHECK(pthread_create(&other, NULL, put_in_each_round, &duel) == 0);
    for (uint32_t i = 1; i <= rounds; i++) {
        rn_store_release(&duel.go, i);
        spin(rn_check_below(&seed, 400));
        while (!settle(&duel.queue)) {
            CHECK(rn_wake_wait(&duel.queue.wake, LOST_MS) != 0);
        }
        CHECK(queue_nonempty(&duel.queue));
        duel.queue.taken++;
    }
    CHECK(pthread_join(other, NULL) == 0);
    rn_wake_destroy(&duel.queue.wake);
}

int
main(void)
{
    uint64_t seed = rn_check_seed((uint64_t)getpid());

    test_off_until_settled();
    test_readable_exactly_while_queued();
    test_late_signal_is_cleared();
    test_foreign_write_is_cleared();
    test_signal_interrupts_wait();
    test_closed_object_is_no_wake_up();
    test_no_descriptors_left();
    test_put_against_settle(RN_ROUNDS(500000, 50000), seed);
    test_ping_pong(RN_ROUNDS(1000000, 50000));
    return 0;
}
