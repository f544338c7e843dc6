/* test_ringbuf.c - the program on an event socket and the ring buffer it fills, by
 * messages to the socket itself: each arrives whole and in order, whatever its
 * size; a full ring takes nothing, says so and wakes the reader.
 */
/* needs: ringbuf */
/* sources: rn_linux_ringbuf.c rn_linux_ringbuf_bpf.c rn_linux_socket.c rn_linux_request.c */
/* sanitizers: address */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/netlink.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rn_check.h"
#include "rn_linux.h"

long rn_alloc_fail_at;
long rn_alloc_calls;

#define RING (256u << 10)
#define SMALL 112 /* the largest message of the smallest class */
#define RECORD 128
#define HELD (RING / RECORD - 1) /* never the last byte */

struct lab {
    int fd;
    uint32_t port;
    struct rn_ringbuf *ring;
};

static void
lab_open(struct lab *lab)
{
    const int room = 1 << 20; /* sending wants room as well */
    struct sockaddr_nl own = {.nl_family = AF_NETLINK};
    socklen_t length = sizeof(own);
    struct rn_fail fail = {.code = 0};

    lab->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    CHECK(lab->fd >= 0);
    CHECK(bind(lab->fd, (struct sockaddr *)&own, sizeof(own)) == 0);
    CHECK(getsockname(lab->fd, (struct sockaddr *)&own, &length) == 0);
    CHECK(setsockopt(lab->fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)) ==
          0);
    lab->port = own.nl_pid;
    lab->ring = rn_linux_ringbuf_new(lab->fd, 1, &fail);
    if (!lab->ring) {
        fprintf(stderr, "%s: %s\n", fail.call, strerror(fail.os_error));
        exit(1);
    }
    CHECK_EQ(RING, rn_linux_ringbuf_size(lab->ring));
}

static void
lab_close(struct lab *lab)
{
    rn_linux_ringbuf_free(lab->ring);
    close(lab->fd);
}

/* A message of this size, all of it made of `seed`. */
static void
lab_send(struct lab *lab, uint32_t size, unsigned char seed)
{
    static _Alignas(8) unsigned char bytes[RN_DATAGRAM];
    struct sockaddr_nl own = {.nl_family = AF_NETLINK, .nl_pid = lab->port};

    memset(bytes, seed, size);
    CHECK(sendto(lab->fd, bytes, size, 0, (struct sockaddr *)&own,
                 sizeof(own)) == (ssize_t)size);
}

static void
check_message(const struct lab *lab, const struct rn_datagram *datagram,
              uint32_t size, unsigned char seed)
{
    CHECK_EQ(size, datagram->size);
    CHECK_EQ(lab->port, datagram->sender);
    for (uint32_t i = 0; i < size; i++) {
        CHECK_EQ(seed, datagram->at[i]);
    }
}

/* The next one is this; it is taken. */
static void
check_next(struct lab *lab, uint32_t size, unsigned char seed)
{
    struct rn_datagram datagram;

    CHECK_EQ(1, rn_linux_ringbuf_peek(lab->ring, &datagram, 1));
    check_message(lab, &datagram, size, seed);
    rn_linux_ringbuf_take(lab->ring);
}

static void
check_nothing(struct lab *lab)
{
    struct rn_datagram datagram;

    CHECK_EQ(0, rn_linux_ringbuf_peek(lab->ring, &datagram, 1));
    CHECK(rn_linux_ringbuf_empty(lab->ring));
}

static int
readable(const struct lab *lab)
{
    struct pollfd fd = {rn_linux_ringbuf_fd(lab->ring), POLLIN, 0};

    CHECK(poll(&fd, 1, 0) >= 0);
    return (fd.revents & POLLIN) != 0;
}

/* Both sides of each step from one size of record to the next. */
static void
test_every_size_arrives_whole(void)
{
    static const uint32_t sizes[] = {112, 240, 1008, 8176, 65536};
    struct lab lab;

    lab_open(&lab);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (uint32_t size = sizes[i] - 2; size <= sizes[i] + 2; size++) {
            lab_send(&lab, size, (unsigned char)size);
            check_next(&lab, size, (unsigned char)size);
        }
    }
    for (uint32_t size = 1; size < 300; size++) {
        lab_send(&lab, size, (unsigned char)(size * 7));
        check_next(&lab, size, (unsigned char)(size * 7));
    }
    CHECK_EQ(0, rn_linux_ringbuf_lost(lab.ring));
    lab_close(&lab);
}

/* Many times around the ring, with any number waiting, of random sizes. */
static void
test_order_is_kept_around_the_end(uint64_t seed)
{
    struct rn_datagram found[16];
    struct lab lab;
    unsigned sent = 0;
    unsigned taken = 0;

    lab_open(&lab);
    while (taken < (unsigned)RN_ROUNDS(20000, 4000)) {
        for (uint32_t n = rn_check_below(&seed, 9); n > 0; n--, sent++) {
            lab_send(&lab, 16 + sent % 5 * 300, (unsigned char)sent);
        }
        size_t room = 1 + rn_check_below(&seed, 16);
        size_t count = rn_linux_ringbuf_peek(lab.ring, found, room);
        for (size_t i = 0; i < count; i++, taken++) {
            check_message(&lab, &found[i], 16 + taken % 5 * 300,
                          (unsigned char)taken);
        }
        rn_linux_ringbuf_take(lab.ring);
        while (sent - taken > 100) {
            check_next(&lab, 16 + taken % 5 * 300, (unsigned char)taken);
            taken++;
        }
    }
    CHECK_EQ(0, rn_linux_ringbuf_lost(lab.ring));
    lab_close(&lab);
}

/* What was peeked at stays until it is taken. */
static void
test_peeking_takes_nothing(void)
{
    struct rn_datagram found[4];
    struct lab lab;

    lab_open(&lab);
    CHECK(!readable(&lab));
    lab_send(&lab, 40, 1);
    lab_send(&lab, 50, 2);
    CHECK(readable(&lab));
    CHECK_EQ(2, rn_linux_ringbuf_peek(lab.ring, found, 4));
    CHECK(!rn_linux_ringbuf_empty(lab.ring));
    check_next(&lab, 40, 1);
    check_next(&lab, 50, 2);
    check_nothing(&lab);
    CHECK(!readable(&lab));
    lab_close(&lab);
}

/* Nothing more until it is told to resume, so that no gap is without a notice. */
static void
test_full_ring_takes_nothing_until_it_resumes(void)
{
    struct lab lab;

    lab_open(&lab);
    for (unsigned i = 0; i < HELD + 5; i++) {
        CHECK_EQ(i > HELD, rn_linux_ringbuf_congested(lab.ring));
        lab_send(&lab, SMALL, (unsigned char)i);
    }
    CHECK_EQ(5, rn_linux_ringbuf_lost(lab.ring));
    for (unsigned i = 0; i < HELD; i++) {
        check_next(&lab, SMALL, (unsigned char)i);
        lab_send(&lab, SMALL, 255); /* although there is room now */
    }
    check_nothing(&lab);
    CHECK_EQ(5 + HELD, rn_linux_ringbuf_lost(lab.ring));
    CHECK(rn_linux_ringbuf_congested(lab.ring));

    rn_linux_ringbuf_resume(lab.ring);

    CHECK(!rn_linux_ringbuf_congested(lab.ring));
    lab_send(&lab, SMALL, 3);
    check_next(&lab, SMALL, 3);
    CHECK_EQ(5 + HELD, rn_linux_ringbuf_lost(lab.ring));
    lab_close(&lab);
}

/* The reader may have looked between the moment that found no room and the one
 * that said so: an empty record wakes it, and is not taken for a message.
 */
static void
test_loss_beside_free_room_wakes_the_reader(void)
{
    struct lab lab;

    lab_open(&lab);
    for (unsigned i = 0; i < 3; i++) {
        lab_send(&lab, 65536, (unsigned char)i); /* the fourth has no room */
    }
    lab_send(&lab, 65536, 3);
    CHECK(rn_linux_ringbuf_congested(lab.ring));
    for (unsigned i = 0; i < 3; i++) {
        check_next(&lab, 65536, (unsigned char)i);
    }
    CHECK(readable(&lab));
    check_nothing(&lab);
    CHECK(!readable(&lab));
    rn_linux_ringbuf_resume(lab.ring);
    lab_send(&lab, 65536, 4);
    check_next(&lab, 65536, 4);
    lab_close(&lab);
}

/* Nothing of it goes into the socket's queue. */
static void
test_queue_stays_empty(void)
{
    struct lab lab;
    char byte;

    lab_open(&lab);
    lab_send(&lab, 40, 1);
    CHECK(recv(lab.fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
    lab_close(&lab);
}

int
main(void)
{
    test_every_size_arrives_whole();
    test_order_is_kept_around_the_end(rn_check_seed((uint64_t)getpid()));
    test_peeking_takes_nothing();
    test_full_ring_takes_nothing_until_it_resumes();
    test_loss_beside_free_room_wakes_the_reader();
    test_queue_stays_empty();
    return 0;
}
