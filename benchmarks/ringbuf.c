/* ringbuf.c - the cheapest reader of a BPF ring buffer: look, count, throw away.
 *
 * baseline.c for messages that the kernel writes into memory, by the library's own
 * program: what is left of our cost when nothing is parsed and nobody is woken.
 * It looks once in a millisecond, as the library does at a high rate.
 *
 *   ringbuf --count 400000
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"
#include "rn_linux.h"

#define SIZE (8u << 20)  /* the library's default */
#define ROOM 64          /* messages of one look */
#define PAUSE_NS 1000000 /* between two looks */
#define PATIENCE 30000   /* looks before the first message */
#define IDLE_LIMIT 2000  /* and in a row without one: the flood is over */

static struct rn_ringbuf *
open_ring(int fd)
{
    const int groups[] = {RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE};
    struct sockaddr_nl self = {.nl_family = AF_NETLINK};
    struct rn_fail fail = {.code = 0};

    if (fd < 0 || bind(fd, (struct sockaddr *)&self, sizeof self) != 0) {
        die("ringbuf", "socket");
    }
    struct rn_ringbuf *ring = rn_linux_ringbuf_new(fd, SIZE, &fail);
    if (ring == NULL) {
        errno = fail.os_error;
        die("ringbuf", fail.call);
    }
    for (size_t i = 0; i < 2; i++) {
        if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i],
                       sizeof groups[i]) != 0) {
            die("ringbuf", "NETLINK_ADD_MEMBERSHIP");
        }
    }
    return ring;
}

/* All that is there now.  Return: how many messages. */
static uint64_t
look(struct rn_ringbuf *ring)
{
    struct rn_datagram found[ROOM];
    uint64_t seen = 0;
    size_t count;

    while ((count = rn_linux_ringbuf_peek(ring, found, ROOM)) != 0) {
        seen += count;
        rn_linux_ringbuf_take(ring);
    }
    return seen;
}

static uint64_t
count_messages(struct rn_ringbuf *ring, uint64_t wanted)
{
    const struct timespec pause = {0, PAUSE_NS};
    uint64_t messages = 0;

    for (int idle = 0;
         messages < wanted && idle < (messages ? IDLE_LIMIT : PATIENCE);) {
        uint64_t seen = look(ring);
        idle = seen != 0 ? 0 : idle + 1;
        messages += seen;
        nanosleep(&pause, NULL);
    }
    return messages;
}

int
main(int argc, char **argv)
{
    struct rusage before;
    struct rusage after;

    if (argc != 3 || strcmp(argv[1], "--count") != 0) {
        fprintf(stderr, "usage: ringbuf --count N\n");
        return 2;
    }
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    struct rn_ringbuf *ring = open_ring(fd);
    puts("ready");
    fflush(stdout);
    getrusage(RUSAGE_SELF, &before);
    uint64_t messages = count_messages(ring, strtoull(argv[2], NULL, 10));
    getrusage(RUSAGE_SELF, &after);
    printf("{\"messages\": %llu, \"drops\": %llu, "
           "\"cpu_user\": %.6f, \"cpu_system\": %.6f}\n",
           (unsigned long long)messages,
           (unsigned long long)rn_linux_ringbuf_lost(ring),
           seconds(after.ru_utime) - seconds(before.ru_utime),
           seconds(after.ru_stime) - seconds(before.ru_stime));
    rn_linux_ringbuf_free(ring);
    close(fd);
    return 0;
}
