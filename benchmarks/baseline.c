/* baseline.c - the cheapest reader there is: receive, count, throw away.
 *
 * What the library is measured against.  It joins the route groups, takes
 * --count messages by recv() or recvmmsg() and parses nothing.  One line
 * "ready" on standard output, then one JSON object with what it cost.
 *
 *   baseline recv --count 400000
 *   baseline recvmmsg --count 400000
 *   baseline recv --count 5000 --stamps FILE      when each recv() returned
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

#define BUFFER (64 << 10) /* of a lone recv() */
#define SLOT (4 << 10) /* of one message of recvmmsg(); routes are < 1 KiB */
#define SLOTS 64
#define IDLE_LIMIT 2      /* seconds without a message: the flood is over */
#define PATIENCE 30       /* seconds to wait for the first message */
#define RCVBUF (16 << 20) /* the library's default */

struct options {
    const char *mode;
    const char *stamps;
    uint64_t count;
    int core; /* -1: wherever the scheduler likes */
};

struct tally {
    uint64_t messages;
    uint64_t overruns; /* times the kernel said ENOBUFS */
    int64_t first_ns;  /* CLOCK_MONOTONIC after the first */
    int64_t *stamps;   /* after each recv(), or NULL */
};

static void
parse_options(struct options *o, int argc, char **argv)
{
    static const struct option known[] = {
        {"count", required_argument, NULL, 'n'},
        {"core", required_argument, NULL, 'c'},
        {"stamps", required_argument, NULL, 's'},
        {NULL, 0, NULL, 0},
    };
    int letter;
    while ((letter = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (letter == 'n') {
            o->count = strtoull(optarg, NULL, 10);
        } else if (letter == 'c') {
            o->core = atoi(optarg);
        } else if (letter == 's') {
            o->stamps = optarg;
        } else {
            exit(2);
        }
    }
    o->mode = optind + 1 == argc ? argv[optind] : "";
    if (o->count == 0 ||
        (strcmp(o->mode, "recv") != 0 && strcmp(o->mode, "recvmmsg") != 0)) {
        fprintf(stderr, "usage: baseline recv|recvmmsg --count N "
                        "[--core N] [--stamps FILE]\n");
        exit(2);
    }
}

static void
join(int fd, int group)
{
    if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group,
                   sizeof group) != 0) {
        die("baseline", "NETLINK_ADD_MEMBERSHIP");
    }
}

static void
set_timeout(int fd, int limit_s)
{
    struct timeval limit = {.tv_sec = limit_s};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
}

static int
open_socket(void)
{
    int size = RCVBUF;
    struct sockaddr_nl self = {.nl_family = AF_NETLINK};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0 || bind(fd, (struct sockaddr *)&self, sizeof self) != 0) {
        die("baseline", "socket");
    }
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) != 0) {
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    }
    join(fd, RTNLGRP_IPV4_ROUTE);
    join(fd, RTNLGRP_IPV6_ROUTE);
    set_timeout(fd, PATIENCE);
    return fd;
}

/* After a failed receive: nonzero if there is nothing more to wait for. */
static int
is_over(struct tally *tally)
{
    if (errno == ENOBUFS) {
        tally->overruns++;
        return 0;
    }
    if (errno == EINTR) {
        return 0;
    }
    if (errno != EAGAIN) {
        die("baseline", "receive");
    }
    return 1;
}

static void
run_recv(int fd, const struct options *o, struct tally *tally)
{
    static char buffer[BUFFER];
    while (tally->messages < o->count) {
        if (recv(fd, buffer, sizeof buffer, 0) < 0) {
            if (is_over(tally)) {
                return;
            }
            continue;
        }
        if (tally->stamps != NULL) {
            tally->stamps[tally->messages] = now_ns();
        }
        if (tally->messages++ == 0) {
            tally->first_ns = now_ns();
            set_timeout(fd, IDLE_LIMIT);
        }
    }
}

static void
run_recvmmsg(int fd, const struct options *o, struct tally *tally)
{
    static char buffers[SLOTS][SLOT];
    struct iovec parts[SLOTS];
    struct mmsghdr slots[SLOTS] = {0};
    for (size_t i = 0; i < SLOTS; i++) {
        parts[i] = (struct iovec){buffers[i], SLOT};
        slots[i].msg_hdr.msg_iov = &parts[i];
        slots[i].msg_hdr.msg_iovlen = 1;
    }
    while (tally->messages < o->count) {
        int got = recvmmsg(fd, slots, SLOTS, MSG_WAITFORONE, NULL);
        if (got < 0) {
            if (is_over(tally)) {
                return;
            }
            continue;
        }
        if (tally->messages == 0) {
            tally->first_ns = now_ns();
            set_timeout(fd, IDLE_LIMIT);
        }
        tally->messages += (uint64_t)got;
    }
}

static uint32_t
kernel_drops(int fd)
{
    uint32_t info[SK_MEMINFO_VARS] = {0};
    socklen_t size = sizeof info;
    if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &size) != 0) {
        die("baseline", "SO_MEMINFO");
    }
    return info[SK_MEMINFO_DROPS];
}

static void
print_report(int fd, const struct tally *tally, const struct rusage *before)
{
    struct rusage after;
    getrusage(RUSAGE_SELF, &after);
    printf("{\"messages\": %llu, \"drops\": %u, \"overruns\": %llu, "
           "\"seconds\": %.6f, \"cpu_user\": %.6f, \"cpu_system\": %.6f}\n",
           (unsigned long long)tally->messages, kernel_drops(fd),
           (unsigned long long)tally->overruns,
           (double)(now_ns() - tally->first_ns) / 1e9,
           seconds(after.ru_utime) - seconds(before->ru_utime),
           seconds(after.ru_stime) - seconds(before->ru_stime));
}

int
main(int argc, char **argv)
{
    struct options o = {.core = -1};
    struct tally tally = {0};
    struct rusage before;
    parse_options(&o, argc, argv);
    pin(o.core);
    int fd = open_socket();
    if (o.stamps != NULL) {
        tally.stamps = calloc(o.count, sizeof *tally.stamps);
        if (tally.stamps == NULL) {
            die("baseline", "calloc");
        }
    }
    puts("ready");
    fflush(stdout);
    getrusage(RUSAGE_SELF, &before);
    if (strcmp(o.mode, "recv") == 0) {
        run_recv(fd, &o, &tally);
    } else {
        run_recvmmsg(fd, &o, &tally);
    }
    print_report(fd, &tally, &before);
    if (o.stamps != NULL) {
        write_stamps(o.stamps, tally.stamps, tally.messages);
    }
    free(tally.stamps);
    close(fd);
    return 0;
}
