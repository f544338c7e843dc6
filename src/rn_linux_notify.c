/* rn_linux_notify.c - registrations: one source per namespace, shared and
 * counted; commands to its reader; what a fork leaves behind.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "rn_alloc.h"
#include "rn_linux.h"

#define STACK (256u * 1024)

/* How often a wait asks whether it is to go on. */
#define PATIENCE_NS 50000000

/* Every source and registration of the process, for sharing and for fork.
 * Held only for moving pointers and while a source is made.
 */
static pthread_mutex_t registry = PTHREAD_MUTEX_INITIALIZER;
static struct rn_source *sources;
static struct rn_notify *notifies;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

static void
before_fork(void)
{
    pthread_mutex_lock(&registry);
}

static void
after_fork_in_parent(void)
{
    pthread_mutex_unlock(&registry);
}

static void
close_all(struct rn_source *source)
{
    int *const fds[] = {&source->event_fd, &source->request_fd,
                        &source->command_fd, &source->watch_fd};

    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
        if (*fds[i] >= 0) {
            close(*fds[i]);
        }
        *fds[i] = -1;
    }
    if (source->ringbuf) {
        rn_linux_ringbuf_close(source->ringbuf);
    }
}

/* The child has no reader: it gives back its copies of the descriptors, so
 * that closing in the parent really closes, and starts with no source.
 */
static void
after_fork_in_child(void)
{
    for (struct rn_source *s = sources; s; s = s->next) {
        close_all(s);
        s->forked = 1;
    }
    for (struct rn_notify *n = notifies; n; n = n->next_open) {
        rn_linux_unwatch(n);
        n->forked = 1;
    }
    sources = NULL;
    notifies = NULL;
    pthread_mutex_unlock(&registry);
}

static void
watch_forks(void)
{
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

static void
source_free(struct rn_source *source)
{
    close_all(source);
    rn_linux_commands_free(source);
    rn_mirror_free(source->mirror);
    rn_linux_receive_free(source->receive);
    rn_linux_ringbuf_free(source->ringbuf);
    rn_linux_links_free(source->links);
    rn_linux_interests_free(source->interests);
    pthread_mutex_destroy(&source->lock);
    pthread_cond_destroy(&source->answered);
    free(source);
}

static int
source_memory(struct rn_source *source, struct rn_fail *fail)
{
    source->mirror = rn_mirror_new(rn_linux_emit, source);
    source->receive = rn_linux_receive_new();
    source->links = rn_linux_links_new();
    source->interests = rn_linux_interests_new();
    if (!source->mirror || !source->receive || !source->links ||
        !source->interests) {
        return rn_linux_fail_as(fail, ENOMEM, "malloc");
    }
    return 0;
}

/* Most of a socket's buffer is the kernel's own overhead, and it is taken as it
 * is needed: a ring buffer is there from the start.
 */
#define RING_SHARE 2
#define RING_ENOUGH (64u << 20)
/* Who asks for a small buffer gets it. */
#define RING_RCVBUF (1u << 20)

/* Unasked, a program for a filter has the socket to itself: it drops more than a
 * ring buffer saves.
 */
static int
wants_ringbuf(const struct rn_config *config)
{
    return config->ringbuf == RN_RINGBUF_YES ||
           (config->ringbuf == RN_RINGBUF_IF_ALLOWED && !config->filter &&
            config->rcvbuf >= RING_RCVBUF && rn_linux_may_try());
}

/* A bound socket, its messages in a ring buffer if that is wanted. */
static int
source_event_socket(struct rn_source *source, const struct rn_config *config,
                    struct rn_fail *fail)
{
    const uint32_t size = config->rcvbuf / RING_SHARE;

    source->event_fd =
        rn_linux_bound_socket(config->netns_fd, config->rcvbuf, fail);
    if (source->event_fd < 0 || !wants_ringbuf(config)) {
        return source->event_fd;
    }
    source->ringbuf = rn_linux_ringbuf_new(
        source->event_fd, size < RING_ENOUGH ? size : RING_ENOUGH, fail);
    if (source->ringbuf || config->ringbuf == RN_RINGBUF_YES) {
        return source->ringbuf ? 0 : -1;
    }
    close(source->event_fd);
    source->event_fd =
        rn_linux_bound_socket(config->netns_fd, config->rcvbuf, fail);
    return source->event_fd;
}

static int
source_sockets(struct rn_source *source, const struct rn_config *config,
               struct rn_fail *fail)
{
    source->command_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (source->command_fd < 0) {
        return rn_linux_fail(fail, "eventfd");
    }
    source->watch_fd = epoll_create1(EPOLL_CLOEXEC);
    if (source->watch_fd < 0) {
        return rn_linux_fail(fail, "epoll_create1");
    }
    /* Before the groups are joined it is settled which way the messages go; and
     * subscribe first, dump second.
     */
    if (source_event_socket(source, config, fail) < 0 ||
        rn_linux_join_groups(source->event_fd, fail) < 0) {
        return -1;
    }
    if (rn_linux_interest_start(source, config->filter) < 0) {
        return rn_linux_fail_as(fail, ENOMEM, "malloc");
    }
    rn_store_release(&source->rcvbuf, /* read by rn_notify_stats */
                     rn_linux_rcvbuf(source->event_fd, config->rcvbuf));
    source->request_fd = rn_linux_request_socket(config->netns_fd, fail);
    return source->request_fd < 0 ? -1 : 0;
}

/* The reader takes no signals: they are the interpreter's. */
static int
source_start(struct rn_source *source, struct rn_fail *fail)
{
    pthread_attr_t attributes;
    sigset_t all;
    sigset_t before;

    sigfillset(&all);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error =
        pthread_create(&source->thread, &attributes, rn_linux_reader, source);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return error ? rn_linux_fail_as(fail, error, "pthread_create") : 0;
}

/* Waited for by the clock that nobody sets. */
static void
init_answered(struct rn_source *source)
{
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&source->answered, &attributes);
    pthread_condattr_destroy(&attributes);
}

static struct rn_source *
source_new(const struct rn_config *config, struct rn_fail *fail)
{
    struct rn_source *source = rn_alloc_zero(1, sizeof(*source));

    if (!source) {
        rn_linux_fail_as(fail, ENOMEM, "malloc");
        return NULL;
    }
    source->event_fd = source->request_fd = -1;
    source->command_fd = source->watch_fd = -1;
    pthread_mutex_init(&source->lock, NULL);
    init_answered(source);
    if (source_memory(source, fail) < 0 ||
        source_sockets(source, config, fail) < 0 ||
        source_start(source, fail) < 0) {
        source_free(source);
        return NULL;
    }
    return source;
}

/* May they share a reader? */
static int
source_suits(const struct rn_source *source, const struct rn_config *config)
{
    return config->ringbuf == RN_RINGBUF_IF_ALLOWED ||
           (config->ringbuf == RN_RINGBUF_YES) == (source->ringbuf != NULL);
}

/* A user more of the namespace's source; registry held. */
static struct rn_source *
source_get(const struct rn_config *config, struct rn_fail *fail)
{
    struct rn_source *source = sources;
    dev_t dev;
    ino_t ino;

    if (rn_linux_namespace(config->netns_fd, &dev, &ino, fail) < 0) {
        return NULL;
    }
    while (source &&
           (source->dev != dev || source->ino != ino ||
            rn_load_acquire(&source->dead) || !source_suits(source, config))) {
        source = source->next;
    }
    if (!source) {
        source = source_new(config, fail);
        if (!source) {
            return NULL;
        }
        source->dev = dev;
        source->ino = ino;
        source->next = sources;
        sources = source;
    }
    source->users++;
    return source;
}

static void
post(struct rn_source *source, struct rn_command *command)
{
    const uint64_t one = 1;
    struct rn_command **end = &source->first_command;

    pthread_mutex_lock(&source->lock);
    while (*end) {
        end = &(*end)->next;
    }
    *end = command;
    pthread_mutex_unlock(&source->lock);
    while (write(source->command_fd, &one, sizeof(one)) < 0 &&
           errno == EINTR) { /* or nobody would answer */
    }
}

/* However long it takes. */
static void
ask(struct rn_source *source, struct rn_command *command)
{
    post(source, command);
    pthread_mutex_lock(&source->lock);
    while (!command->answered) {
        pthread_cond_wait(&source->answered, &source->lock);
    }
    pthread_mutex_unlock(&source->lock);
}

/* Until something was answered, maybe something else, or some time passed. */
static void
wait_a_while(struct rn_source *source)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += PATIENCE_NS;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    pthread_cond_timedwait(&source->answered, &source->lock, &until);
}

/* Return: 0 answered; -1 abandoned, and the reader's alone. */
static int
ask_patiently(struct rn_source *source, struct rn_command *command,
              const struct rn_patience *patience)
{
    pthread_mutex_lock(&source->lock);
    while (!command->answered) {
        wait_a_while(source);
        if (command->answered) {
            break;
        }
        pthread_mutex_unlock(&source->lock);
        int over = patience->over(patience->self);
        if (source->forked) { /* meanwhile, by this very thread */
            return -1;
        }
        pthread_mutex_lock(&source->lock);
        if (over && !command->answered) {
            command->abandoned = 1;
            break;
        }
    }
    int abandoned = command->abandoned;
    pthread_mutex_unlock(&source->lock);
    return abandoned ? -1 : 0;
}

static void
notify_list(struct rn_notify *notify)
{
    notify->next_open = notifies;
    notifies = notify;
}

static void
notify_unlist(struct rn_notify *notify)
{
    struct rn_notify **link = &notifies;

    while (*link && *link != notify) {
        link = &(*link)->next_open;
    }
    if (*link) {
        *link = notify->next_open;
    }
}

/* A user less, and notify, unless it is NULL; the last one ends the reader. */
static void
source_put(struct rn_source *source, struct rn_notify *notify)
{
    struct rn_source **link = &sources;
    struct rn_command stop = {.kind = RN_COMMAND_STOP};

    pthread_mutex_lock(&registry);
    if (notify) {
        notify_unlist(notify);
    }
    int last = --source->users == 0;
    while (last && *link != source) {
        link = &(*link)->next;
    }
    if (last) {
        *link = source->next;
    }
    pthread_mutex_unlock(&registry);
    if (last) {
        ask(source, &stop);
        pthread_join(source->thread, NULL);
        source_free(source);
    }
}

static int
notify_attach(struct rn_notify *notify, struct rn_fail *fail)
{
    struct rn_command command = {
        .kind = RN_COMMAND_ATTACH, .notify = notify, .families = 4};

    pthread_mutex_lock(&registry);
    notify->source = source_get(&notify->config, fail);
    if (notify->source) {
        notify_list(notify);
    }
    pthread_mutex_unlock(&registry);
    if (!notify->source) {
        return -1;
    }
    ask(notify->source, &command);
    if (command.result < 0) {
        *fail = command.fail;
        source_put(notify->source, notify);
    }
    return command.result;
}

int
rn_notify_open(const struct rn_config *config, const struct rn_sink *sink,
               struct rn_notify **out, struct rn_fail *fail)
{
    struct rn_notify *notify = rn_alloc_zero(1, sizeof(*notify));

    *out = NULL;
    if (!notify) {
        return rn_linux_fail_as(fail, ENOMEM, "malloc");
    }
    pthread_once(&fork_once, watch_forks);
    notify->config = *config;
    notify->sink = *sink;
    notify->watch_fd = notify->watch_directory = notify->watch_process = -1;
    (void)rn_filter_ref(notify->config.filter);
    if (rn_linux_watch(notify, fail) < 0 || notify_attach(notify, fail) < 0) {
        rn_linux_unwatch(notify);
        rn_filter_unref(notify->config.filter);
        free(notify);
        return -1;
    }
    notify->config.netns_path = NULL; /* borrowed until here */
    *out = notify;
    return 0;
}

int
rn_notify_close(struct rn_notify *notify, struct rn_fail *fail)
{
    struct rn_command command = {.kind = RN_COMMAND_DETACH, .notify = notify};

    (void)fail; /* nothing can fail here; Windows has a call that can */
    if (!notify->forked) {
        ask(notify->source, &command);
        source_put(notify->source, notify);
    }
    rn_linux_unwatch(notify);
    rn_filter_unref(notify->config.filter);
    free(notify);
    return 0;
}

int
rn_notify_ask(struct rn_notify *notify, enum rn_question question,
              uint64_t (*at)(void *self), struct rn_asked **out,
              struct rn_fail *fail)
{
    struct rn_asked *asked = rn_alloc_zero(1, sizeof(*asked));

    *out = asked;
    if (!asked) {
        return rn_linux_fail_as(fail, ENOMEM, "malloc");
    }
    asked->command.kind =
        question == RN_ASK_SNAPSHOT ? RN_COMMAND_SNAPSHOT : RN_COMMAND_RESYNC;
    asked->command.notify = notify;
    asked->command.at = at;
    asked->command.families = 4;
    asked->source = notify->source;
    pthread_mutex_lock(&registry);
    asked->source->users++; /* it outlives the registration if need be */
    pthread_mutex_unlock(&registry);
    post(asked->source, &asked->command);
    return 0;
}

int
rn_asked_wait(struct rn_asked *asked, const struct rn_patience *patience,
              struct rn_answer *out, struct rn_fail *fail)
{
    struct rn_source *source = asked->source;
    int result = ask_patiently(source, &asked->command, patience);

    if (result < 0) {
        *fail = (struct rn_fail){.code = RN_ERROR_CANCELLED, .call = "wait"};
    } else {
        result = asked->command.result;
        *fail = asked->command.fail;
        *out = asked->command.answer;
        free(asked);
    }
    if (!source->forked) {
        source_put(source, NULL);
    }
    return result;
}

void
rn_notify_stats(struct rn_notify *notify, struct rn_provider_stats *out)
{
    struct rn_source *source = notify->source;

    memset(out, 0, sizeof(*out));
    out->overruns = rn_count_read(&source->overruns);
    if (!notify->forked) {
        out->kernel_drops = source->ringbuf
                                ? rn_linux_ringbuf_lost(source->ringbuf)
                                : rn_linux_drops(source->event_fd);
    }
    out->resyncs = rn_count_read(&source->resyncs);
    out->synthesised = rn_count_read(&source->synthesised);
    out->malformed = rn_count_read(&source->malformed);
    out->foreign = rn_count_read(&source->foreign);
    out->rcvbuf = rn_load_relaxed(&source->rcvbuf);
    out->ringbuf =
        source->ringbuf ? rn_linux_ringbuf_size(source->ringbuf) : 0;
    out->rows = rn_load_relaxed(&source->rows);
}

int
rn_forked(const struct rn_notify *notify)
{
    return notify->forked;
}

void
rn_rows_free(struct rn_rows *rows)
{
    free(rows);
}
