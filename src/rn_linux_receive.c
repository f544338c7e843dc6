/* rn_linux_receive.c - the event socket: many datagrams a call, only from the
 * kernel, cut into messages.
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

struct rn_receive {
    struct mmsghdr messages[BATCH];
    struct iovec vectors[BATCH];
    struct sockaddr_nl senders[BATCH];
    unsigned char *slots;
    struct rn_entry expected[BATCH]; /* keys of the routes in the batch */
    struct rn_route_message scratch;
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
    }
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
datagram(struct rn_source *source, size_t i)
{
    struct rn_receive *r = source->receive;
    const struct mmsghdr *message = &r->messages[i];

    /* Only the kernel has port 0: anybody may send to a netlink socket. */
    if (message->msg_hdr.msg_namelen != sizeof(r->senders[i]) ||
        r->senders[i].nl_pid != 0) {
        rn_count_add(&source->foreign, 1);
        return;
    }
    if (message->msg_hdr.msg_flags & MSG_TRUNC) {
        rn_count_add(&source->malformed, 1);
        rn_linux_news_lost(source);
        return;
    }
    cut(source, r->slots + i * SLOT, message->msg_len);
}

/* Nothing was read: empty, full, interrupted, or broken. */
static int
nothing(struct rn_source *source, struct rn_fail *fail)
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

/* Every route message of the kernel's is a datagram of its own, so a look at the
 * first message of each is a look at all.
 */
static void
look_ahead(struct rn_source *source, size_t count)
{
    struct rn_receive *r = source->receive;
    size_t found = 0;

    for (size_t i = 0; i < count; i++) {
        const void *at = r->slots + i * SLOT;
        size_t size = r->messages[i].msg_len;
        found += rn_rtnl_glance(at, size, &r->expected[found]) == RN_PARSE_OK;
    }
    rn_mirror_expect(source->mirror, r->expected, found);
}

int
rn_linux_receive(struct rn_source *source, struct rn_fail *fail)
{
    struct rn_receive *r = source->receive;

    for (size_t i = 0; i < BATCH; i++) {
        r->messages[i].msg_hdr.msg_namelen = sizeof(r->senders[i]);
    }
    int count =
        recvmmsg(source->event_fd, r->messages, BATCH, MSG_DONTWAIT, NULL);
    if (count <= 0) {
        return nothing(source, fail);
    }
    source->now_ns = rn_linux_wall_ns();
    source->read += (unsigned)count;
    if (count > 1) {
        look_ahead(source, (size_t)count);
    }
    for (size_t i = 0; i < (size_t)count; i++) {
        datagram(source, i);
    }
    return 1;
}
