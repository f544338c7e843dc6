/* rn_linux_receive.c - what came on the event socket: many datagrams at once,
 * from its queue or out of a ring buffer, only from the kernel, cut into
 * messages, route messages parsed before any is applied.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "rn_alloc.h"
#include "rn_linux.h"

/* Every multicast message is a datagram of its own, most of them below 128
 * bytes.  Each slot has room for the largest: pages that no message reaches are
 * never touched.  The odd bytes keep the beginnings of the slots from falling
 * into the same few sets of the cache.
 */
#define BATCH 64
#define SLOT (RN_DATAGRAM + 192u)

/* A change takes 832 bytes of a socket's buffer and 128 of a ring buffer. */
#define RING_WORTH 6

/* What a datagram is if it is what most are: one route message, of one hop. */
struct ahead {
    struct rn_route_message message;
    struct rn_hop hop;
    int parsed; /* it is */
};

struct rn_receive {
    struct mmsghdr messages[BATCH];
    struct iovec vectors[BATCH];
    struct sockaddr_nl senders[BATCH];
    unsigned char *slots;
    struct rn_datagram datagrams[BATCH]; /* in the slots or the ring buffer */
    struct ahead ahead[BATCH];
    struct rn_route_message scratch; /* for all others */
    struct rn_hop hops[RN_HOPS_MAX]; /* of scratch */
};

struct rn_receive *
rn_linux_receive_new(void)
{
    struct rn_receive *r = rn_alloc_zero(1, sizeof(*r));

    if (!r) {
        return NULL;
    }
    r->slots = rn_alloc((size_t)BATCH * SLOT);
    if (!r->slots) {
        rn_linux_receive_free(r);
        return NULL;
    }
    for (size_t i = 0; i < BATCH; i++) {
        r->vectors[i] = (struct iovec){r->slots + i * SLOT, RN_DATAGRAM};
        r->messages[i].msg_hdr.msg_iov = &r->vectors[i];
        r->messages[i].msg_hdr.msg_iovlen = 1;
        r->messages[i].msg_hdr.msg_name = &r->senders[i];
        r->ahead[i].message.hops = &r->ahead[i].hop;
        r->ahead[i].message.room = 1;
    }
    r->scratch.hops = r->hops;
    r->scratch.room = RN_HOPS_MAX;
    return r;
}

void
rn_linux_receive_free(struct rn_receive *r)
{
    if (r) {
        free(r->slots);
        free(r);
    }
}

/* Between two batches the slots are free for others. */
struct rn_route_message *
rn_linux_scratch(struct rn_source *source, unsigned char **datagram)
{
    *datagram = source->receive->slots;
    return &source->receive->scratch;
}

static void
cut(struct rn_source *source, const unsigned char *at, size_t left)
{
    struct nlmsghdr header;

    while (left >= sizeof(header)) {
        memcpy(&header, at, sizeof(header));
        if (header.nlmsg_len < sizeof(header) || header.nlmsg_len > left) {
            break;
        }
        /* Slots are aligned to 4, and so is every message in a datagram. */
        rn_linux_news(source, (const struct nlmsghdr *)(const void *)at,
                      header.nlmsg_len, &source->receive->scratch);
        size_t step = NLMSG_ALIGN(header.nlmsg_len);
        if (step >= left) {
            return;
        }
        at += step;
        left -= step;
    }
    rn_count_add(&source->malformed, 1);
    rn_linux_news_lost(source);
}

static void
apply(struct rn_source *source, size_t i)
{
    const struct rn_receive *r = source->receive;
    const struct rn_datagram *datagram = &r->datagrams[i];

    /* Only the kernel has port 0: anybody may send to a netlink socket. */
    if (datagram->sender != 0) {
        rn_count_add(&source->foreign, 1);
    } else if (datagram->size > RN_DATAGRAM) {
        rn_count_add(&source->malformed, 1);
        rn_linux_news_lost(source);
    } else if (r->ahead[i].parsed) {
        rn_linux_route_news(source, &r->ahead[i].message, datagram->size);
    } else {
        cut(source, datagram->at, datagram->size);
    }
}

/* Parsed early, and whoever sent it: what may be applied is decided later. */
static int
parse_ahead(struct ahead *ahead, const struct rn_datagram *datagram)
{
    const struct nlmsghdr *header = (const void *)datagram->at;

    return datagram->size <= RN_DATAGRAM &&
           rn_rtnl_route(header, datagram->size, &ahead->message) ==
               RN_PARSE_OK &&
           header->nlmsg_len == datagram->size;
}

static void
look_ahead(struct rn_source *source, size_t count)
{
    struct rn_receive *r = source->receive;
    struct rn_entry *expected[BATCH];
    size_t found = 0;

    for (size_t i = 0; i < count; i++) {
        struct ahead *ahead = &r->ahead[i];
        ahead->parsed = parse_ahead(ahead, &r->datagrams[i]);
        if (ahead->parsed) {
            expected[found++] = &ahead->message.entry;
        }
    }
    rn_mirror_expect(source->mirror, expected, found);
}

/* What `count` datagrams say. */
static void
apply_all(struct rn_source *source, size_t count)
{
    source->now_ns = rn_linux_wall_ns();
    source->read += (unsigned)count;
    look_ahead(source, count);
    for (size_t i = 0; i < count; i++) {
        apply(source, i);
    }
}

/* Nothing was read: empty, full, interrupted, or broken. */
static int
nothing_queued(struct rn_source *source, struct rn_fail *fail)
{
    switch (errno) {
    case EAGAIN:
        return 0;
    case EINTR:
        return 1;
    case ENOBUFS:
        /* Told before the older messages that are still queued; the kernel
         * drops everything until the queue has been read empty.
         */
        rn_count_add(&source->overruns, 1);
        source->overrun = 1;
        return 1;
    default:
        return rn_linux_fail(fail, "recvmmsg(AF_NETLINK)");
    }
}

static void
note_datagram(struct rn_receive *r, size_t i)
{
    const struct mmsghdr *message = &r->messages[i];
    const int addressed = message->msg_hdr.msg_namelen == sizeof(*r->senders);
    const int whole = !(message->msg_hdr.msg_flags & MSG_TRUNC);

    r->datagrams[i] = (struct rn_datagram){
        .at = r->slots + i * SLOT,
        .size = whole ? message->msg_len : UINT32_MAX,
        .sender = addressed ? r->senders[i].nl_pid : UINT32_MAX,
    };
}

static int
receive_queued(struct rn_source *source, struct rn_fail *fail)
{
    struct rn_receive *r = source->receive;

    for (size_t i = 0; i < BATCH; i++) {
        r->messages[i].msg_hdr.msg_namelen = sizeof(r->senders[i]);
    }
    int count =
        recvmmsg(source->event_fd, r->messages, BATCH, MSG_DONTWAIT, NULL);
    if (count <= 0) {
        return nothing_queued(source, fail);
    }
    for (size_t i = 0; i < (size_t)count; i++) {
        note_datagram(r, i);
    }
    apply_all(source, (size_t)count);
    return count < BATCH ? 1 : 2;
}

/* A message that is being written now counts as there. */
static int
nothing_in_ring(struct rn_source *source)
{
    if (!rn_linux_ringbuf_empty(source->ringbuf)) {
        return 1;
    }
    if (rn_linux_ringbuf_congested(source->ringbuf)) {
        rn_count_add(&source->overruns, 1);
        source->overrun = 1;
        rn_linux_ringbuf_resume(source->ringbuf);
    }
    return 0;
}

static int
receive_from_ring(struct rn_source *source)
{
    struct rn_ringbuf *ring = source->ringbuf;
    size_t count =
        rn_linux_ringbuf_peek(ring, source->receive->datagrams, BATCH);

    if (!count) {
        return nothing_in_ring(source);
    }
    apply_all(source, count);
    rn_linux_ringbuf_take(ring);
    return count < BATCH ? 1 : 2;
}

int
rn_linux_receive(struct rn_source *source, struct rn_fail *fail)
{
    return source->ringbuf ? receive_from_ring(source)
                           : receive_queued(source, fail);
}

int
rn_linux_receive_fd(const struct rn_source *source)
{
    return source->ringbuf ? rn_linux_ringbuf_fd(source->ringbuf)
                           : source->event_fd;
}

uint64_t
rn_linux_receive_room(struct rn_source *source)
{
    return source->ringbuf
               ? RING_WORTH * (uint64_t)rn_linux_ringbuf_size(source->ringbuf)
               : rn_load_relaxed(&source->rcvbuf);
}
