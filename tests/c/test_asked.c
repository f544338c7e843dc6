/* test_asked.c - questions to a real source whose askers lose patience: the
 * reader is held where it takes a snapshot, so what is abandoned is certain.
 */
/* sources: rn_linux_bpf.c rn_linux_command.c rn_linux_compare.c rn_linux_deliver.c rn_linux_interest.c rn_linux_interface.c rn_linux_large.c rn_linux_links.c rn_linux_news.c rn_linux_notify.c rn_linux_reader.c rn_linux_receive.c rn_linux_request.c rn_linux_ringbuf.c rn_linux_ringbuf_bpf.c rn_linux_socket.c rn_linux_vanish.c  rn_filter.c rn_filter_build.c rn_filter_interest.c rn_filter_prefix.c rn_mirror.c rn_compare.c rn_rows.c rn_entry.c rn_list.c rn_store.c rn_pool.c rn_rtnl.c rn_forget.c */
#define _GNU_SOURCE
#include <pthread.h>
#include <semaphore.h>
#include <string.h>
#include <unistd.h>

#include "rn_check.h"
#include "rn_netio.h"

long rn_alloc_fail_at;
long rn_alloc_calls;

/* A sink that only says where a snapshot was taken, and may hold it up. */
struct place {
    sem_t reached;
    sem_t leave;
    int hold;
};

static void
place_emit(void *self, const struct rn_record *record)
{
    (void)self;
    (void)record;
}

static void
place_flush(void *self)
{
    (void)self;
}

static void
place_end(void *self, uint32_t code, const char *call)
{
    (void)self;
    (void)code;
    (void)call;
    CHECK(!"ended");
}

static uint64_t
place_at(void *self)
{
    struct place *place = self;

    if (place->hold) {
        place->hold = 0;
        CHECK(sem_post(&place->reached) == 0);
        CHECK(sem_wait(&place->leave) == 0);
    }
    return 42;
}

static struct rn_notify *
open_at(struct place *place)
{
    const struct rn_config config = {.rcvbuf = 1 << 20, .netns_fd = -1};
    const struct rn_sink sink = {.self = place,
                                 .emit = place_emit,
                                 .flush = place_flush,
                                 .end = place_end};
    struct rn_notify *notify;
    struct rn_fail fail;

    memset(place, 0, sizeof(*place));
    CHECK(sem_init(&place->reached, 0, 0) == 0);
    CHECK(sem_init(&place->leave, 0, 0) == 0);
    CHECK_EQ(0, rn_notify_open(&config, &sink, &notify, &fail));
    return notify;
}

static struct rn_asked *
ask(struct rn_notify *notify, enum rn_question question)
{
    struct rn_asked *asked;
    struct rn_fail fail;

    CHECK_EQ(0, rn_notify_ask(notify, question, place_at, &asked, &fail));
    return asked;
}

/* Over after so many times. */
static int
count_down(void *self)
{
    int *left = self;

    return (*left)-- <= 0;
}

/* Return: the code of the failure, 0 it was answered. */
static uint32_t
await(struct rn_asked *asked, int times)
{
    struct rn_patience patience = {count_down, &times};
    struct rn_answer answer = {NULL, 0};
    struct rn_fail fail;
    int failed = rn_asked_wait(asked, &patience, &answer, &fail);

    if (!failed && answer.rows) {
        CHECK_EQ(42, answer.sequence);
    }
    rn_rows_free(answer.rows);
    return failed ? fail.code : 0;
}

static void *
close_it(void *notify)
{
    struct rn_fail fail;

    CHECK_EQ(0, rn_notify_close(notify, &fail));
    return NULL;
}

/* One in the reader's hands, the others in its queue: all are given up, the
 * registration is closed behind them, and nothing of them stays.
 */
static void
test_abandoned(int beside)
{
    struct place place;
    struct place other;
    struct rn_notify *notify = open_at(&place);
    struct rn_notify *second = beside ? open_at(&other) : NULL;
    pthread_t closer;

    place.hold = 1;
    struct rn_asked *held = ask(notify, RN_ASK_SNAPSHOT);
    CHECK(sem_wait(&place.reached) == 0);
    struct rn_asked *resync = ask(notify, RN_ASK_RESYNC);
    struct rn_asked *snapshot = ask(notify, RN_ASK_SNAPSHOT);
    CHECK_EQ(RN_ERROR_CANCELLED, await(resync, 1));
    CHECK_EQ(RN_ERROR_CANCELLED, await(held, 0));
    CHECK_EQ(RN_ERROR_CANCELLED, await(snapshot, 0));
    CHECK(pthread_create(&closer, NULL, close_it, notify) == 0);
    CHECK(sem_post(&place.leave) == 0);
    CHECK(pthread_join(closer, NULL) == 0);
    if (second) {
        CHECK_EQ(0, await(ask(second, RN_ASK_SNAPSHOT), 1000));
        CHECK_EQ(0, await(ask(second, RN_ASK_RESYNC), 1000));
        close_it(second);
    }
}

/* A question outlives the registration it was put to. */
static void
test_closed_before_the_answer(void)
{
    struct place place;
    struct rn_notify *notify = open_at(&place);

    place.hold = 1;
    struct rn_asked *snapshot = ask(notify, RN_ASK_SNAPSHOT);
    CHECK(sem_wait(&place.reached) == 0);
    CHECK(sem_post(&place.leave) == 0);
    struct rn_asked *resync = ask(notify, RN_ASK_RESYNC);
    close_it(notify);
    CHECK_EQ(0, await(snapshot, 1000));
    CHECK_EQ(0, await(resync, 1000));
}

struct asker {
    struct rn_notify *notify;
    uint64_t seed;
};

/* Each answer may come just when patience is over. */
static void *
ask_often(void *arg)
{
    struct asker *asker = arg;

    for (int i = 0; i < RN_ROUNDS(300, 60); i++) {
        int which = (int)rn_check_below(&asker->seed, 2);
        uint32_t code =
            await(ask(asker->notify, which ? RN_ASK_SNAPSHOT : RN_ASK_RESYNC),
                  (int)rn_check_below(&asker->seed, 3));
        CHECK(code == 0 || code == RN_ERROR_CANCELLED);
    }
    return NULL;
}

static void
test_many_askers(uint64_t seed)
{
    enum { ASKERS = 4 };
    struct place place;
    struct rn_notify *notify = open_at(&place);
    struct asker askers[ASKERS];
    pthread_t threads[ASKERS];

    for (int i = 0; i < ASKERS; i++) {
        askers[i] = (struct asker){notify, rn_check_random(&seed)};
        CHECK(pthread_create(&threads[i], NULL, ask_often, &askers[i]) == 0);
    }
    for (int i = 0; i < ASKERS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    close_it(notify);
}

int
main(void)
{
    uint64_t seed = rn_check_seed((uint64_t)getpid());

    test_abandoned(0);
    test_abandoned(1);
    test_closed_before_the_answer();
    test_many_askers(seed);
    return 0;
}
