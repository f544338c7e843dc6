/* rn_linux_vanish.c - noticing that a watched namespace is gone.
 *
 * Our own sockets keep a namespace alive, so the kernel never tells: what
 * goes is its name (`ip netns del`) or the process it was named by.  Whoever
 * opened it by one of these is told, and gives the sockets back by closing.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rn_linux.h"

/* Newer than the headers of Linux 3.10, with which wheels may be built. */
#define WIRE_SYS_PIDFD_OPEN 434

#define LINKS 40 /* symbolic links in a row: as many as the kernel follows */

/* Before Linux 5.3 there is no such descriptor: the end stays unnoticed. */
static int
watch_process(struct rn_notify *notify, long pid, struct rn_fail *fail)
{
    notify->watch_process = (int)syscall(WIRE_SYS_PIDFD_OPEN, (pid_t)pid, 0);
    if (notify->watch_process < 0 && errno != ENOSYS) {
        return rn_linux_fail(fail, "pidfd_open");
    }
    return 0;
}

static int
watch_names(struct rn_notify *notify, const char *directory,
            struct rn_fail *fail)
{
    notify->watch_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (notify->watch_fd < 0) {
        return rn_linux_fail(fail, "inotify_init1");
    }
    if (inotify_add_watch(notify->watch_fd, directory,
                          IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF) >= 0) {
        return 0;
    }
    if (errno != EACCES) {
        return rn_linux_fail(fail, "inotify_add_watch");
    }
    rn_linux_unwatch(notify); /* may not be read: is just not watched */
    return 0;
}

static int
watch_directory(struct rn_notify *notify, const char *path,
                struct rn_fail *fail)
{
    const char *slash = strrchr(path, '/');
    char *directory = strndup(path, slash ? (size_t)(slash - path) + 1 : 0);

    if (!directory) {
        return rn_linux_fail_as(fail, ENOMEM, "malloc");
    }
    (void)snprintf(notify->watch_name, sizeof(notify->watch_name), "%s",
                   slash ? slash + 1 : path);
    int failed = watch_names(notify, slash ? directory : ".", fail);
    if (!failed && notify->watch_fd >= 0) {
        notify->watch_directory =
            open(slash ? directory : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
        failed = notify->watch_directory < 0
                     ? rn_linux_fail(fail, "open(directory of netns)")
                     : 0;
    }
    free(directory);
    return failed;
}

/* Gone between the opening and the watching? */
static int
still_there(const struct rn_config *config, struct rn_fail *fail)
{
    struct stat opened;
    struct stat named;

    if (fstat(config->netns_fd, &opened) < 0 ||
        stat(config->netns_path, &named) < 0) {
        return rn_linux_fail(fail, "stat(netns)");
    }
    if (opened.st_ino != named.st_ino || opened.st_dev != named.st_dev) {
        return rn_linux_fail_as(fail, ENOENT, "stat(netns)");
    }
    return 0;
}

/* Put what a symbolic link leads to in its place: 0 if it is none. */
static int
follow(char path[PATH_MAX])
{
    char target[PATH_MAX];
    char *slash = strrchr(path, '/');
    ssize_t length = readlink(path, target, sizeof(target) - 1);

    if (length <= 0) {
        return 0;
    }
    target[length] = '\0';
    char *tail = target[0] == '/' || !slash ? path : slash + 1;
    size_t room = (size_t)(path + PATH_MAX - tail);
    return snprintf(tail, room, "%s", target) < (int)room;
}

/* The process by which the namespace is named, perhaps through links, as those
 * that containers are given below /run/netns; 0: none.
 */
static long
process_of(const char *name)
{
    char path[PATH_MAX];
    char rest;
    long pid;

    (void)snprintf(path, sizeof(path), "%s", name);
    for (int links = 0; links < LINKS; links++) {
        if (sscanf(path, "/proc/%ld/ns/net%c", &pid, &rest) == 1) {
            return pid;
        }
        if (!follow(path)) {
            break;
        }
    }
    return 0;
}

int
rn_linux_watch(struct rn_notify *notify, struct rn_fail *fail)
{
    const struct rn_config *config = &notify->config;
    int failed = 0;

    if (!config->netns_path || config->netns_fd < 0) {
        return 0;
    }
    long pid = process_of(config->netns_path);
    if (pid) {
        failed = watch_process(notify, pid, fail);
    }
    if (!failed && strncmp(config->netns_path, "/proc/", 6) != 0) {
        failed = watch_directory(notify, config->netns_path, fail);
    }
    if (!failed) {
        failed = still_there(config, fail);
    }
    if (failed) {
        rn_linux_unwatch(notify);
    }
    return failed;
}

void
rn_linux_unwatch(struct rn_notify *notify)
{
    if (notify->watch_fd >= 0) {
        close(notify->watch_fd); /* which takes it out of the epoll set too */
    }
    if (notify->watch_directory >= 0) {
        close(notify->watch_directory);
    }
    if (notify->watch_process >= 0) {
        close(notify->watch_process);
    }
    notify->watch_fd = notify->watch_directory = notify->watch_process = -1;
}

int
rn_linux_watch_attach(struct rn_source *source, struct rn_notify *notify,
                      struct rn_fail *fail)
{
    const int fds[] = {notify->watch_fd, notify->watch_process};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = notify};

    for (size_t i = 0; i < 2; i++) {
        if (fds[i] >= 0 &&
            epoll_ctl(source->watch_fd, EPOLL_CTL_ADD, fds[i], &event) < 0) {
            (void)rn_linux_fail(fail, "epoll_ctl");
            rn_linux_watch_detach(source, notify);
            return -1;
        }
    }
    return 0;
}

void
rn_linux_watch_detach(struct rn_source *source, struct rn_notify *notify)
{
    const int fds[] = {notify->watch_fd, notify->watch_process};

    for (size_t i = 0; i < 2; i++) {
        if (fds[i] >= 0) {
            (void)epoll_ctl(source->watch_fd, EPOLL_CTL_DEL, fds[i], NULL);
        }
    }
}

/* News of the directory were lost: does the name stand for the namespace yet? */
static int
name_missing(const struct rn_source *source, const struct rn_notify *notify)
{
    struct stat named;

    if (fstatat(notify->watch_directory, notify->watch_name, &named, 0) < 0) {
        return errno == ENOENT;
    }
    return named.st_dev != source->dev || named.st_ino != source->ino;
}

/* Does one of the directory's news say that the name is gone? */
static int
name_gone(const struct rn_source *source, const struct rn_notify *notify)
{
    _Alignas(struct inotify_event) char buffer[4096];
    ssize_t n = read(notify->watch_fd, buffer, sizeof(buffer));
    const struct inotify_event *event;

    for (ssize_t at = 0; at < n;
         at += (ssize_t)(sizeof(*event) + event->len)) {
        event = (const struct inotify_event *)(void *)(buffer + at);
        if (event->mask & (IN_DELETE_SELF | IN_IGNORED) ||
            (event->len && !strcmp(event->name, notify->watch_name)) ||
            (event->mask & IN_Q_OVERFLOW && name_missing(source, notify))) {
            return 1;
        }
    }
    return 0;
}

static int
process_gone(const struct rn_notify *notify)
{
    struct pollfd process = {.fd = notify->watch_process, .events = POLLIN};

    return notify->watch_process >= 0 && poll(&process, 1, 0) == 1;
}

void
rn_linux_watch_read(struct rn_source *source)
{
    struct epoll_event event;

    if (epoll_wait(source->watch_fd, &event, 1, 0) != 1) {
        return;
    }
    struct rn_notify *notify = event.data.ptr;
    if (process_gone(notify) || name_gone(source, notify)) {
        rn_linux_leave(source, notify);
        notify->sink.end(notify->sink.self, RN_ERROR_FILE_NOT_FOUND,
                         "the network namespace was removed");
    }
}
