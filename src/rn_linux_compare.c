/* rn_linux_compare.c - the mirror against the kernel, without ever waiting.
 *
 *   IDLE --due--> BARRIER --answer--> DUMP --done--> AFTER --answer--> EMPTY
 *     ^                                                                  |
 *     +----------------- event socket read empty: decide ---------------+
 *
 * The event socket goes on being read and applied in every state.  The first
 * barrier (an RTM_GETLINK, which takes the RTNL lock) is answered when the
 * kernel has finished what the trigger announced; the second one when every
 * message older than the dump's last part is in the event socket's queue.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "rn_linux.h"

#define MS 1000000ll
/* After a comparison that left doubt: 5 ms, 10, 20 ... at most this. */
#define BACKOFF_FIRST (5 * MS)
#define BACKOFF_MAX (2000 * MS)

static unsigned
family_bit(const struct rn_compare *compare)
{
    return compare->family == 6 ? 2u : 1u;
}

void
rn_linux_want(struct rn_source *source, unsigned families, int lost)
{
    source->compare.wanted |= families;
    source->compare.fresh |= families;
    source->compare.lost |= lost ? families : 0;
    if (lost && source->loaded) {
        source->compare.marked |= families;
    }
}

static int64_t
due_ns(const struct rn_compare *compare, int family, int64_t now)
{
    const unsigned at = family == 6;
    const int64_t due = compare->pace[at].not_before_ns;

    if (!(compare->wanted & 1u << at)) {
        return INT64_MAX;
    }
    return due < now ? now : due;
}

/* What is due first; of both the one that was not compared last. */
static int
next_family(const struct rn_compare *compare, int64_t now)
{
    const int last = compare->family == 4 ? 4 : 6;
    const int other = last == 4 ? 6 : 4;

    return due_ns(compare, other, now) <= due_ns(compare, last, now) ? other
                                                                     : last;
}

int
rn_linux_compare_timeout(const struct rn_source *source)
{
    const struct rn_compare *compare = &source->compare;

    if (compare->state != RN_COMPARE_IDLE || !compare->wanted) {
        return -1;
    }
    int64_t now = rn_linux_steady_ns();
    int64_t left = due_ns(compare, next_family(compare, now), now) - now;
    return left <= 0 ? 0 : (int)(left / MS) + 1;
}

static int
send_request(struct rn_source *source, void *request, size_t size)
{
    struct nlmsghdr header;

    memcpy(&header, request, sizeof(header));
    header.nlmsg_len = (uint32_t)size;
    header.nlmsg_seq = ++source->compare.sequence;
    memcpy(request, &header, sizeof(header));
    return send(source->request_fd, request, size, 0) < 0 ? -1 : 0;
}

static int
send_barrier(struct rn_source *source)
{
    struct {
        struct nlmsghdr header;
        struct ifinfomsg link;
    } request = {
        .header = {.nlmsg_type = RTM_GETLINK, .nlmsg_flags = NLM_F_REQUEST},
        .link = {.ifi_index = 1},
    };

    return send_request(source, &request, sizeof(request));
}

struct dump_request {
    struct nlmsghdr header;
    struct rtmsg route;
    struct rtattr attribute; /* and the rest only for one table alone */
    uint32_t table;
};

static int
send_dump(struct rn_source *source)
{
    const int64_t table = rn_linux_only_table(source);
    struct dump_request request = {
        .header = {.nlmsg_type = RTM_GETROUTE,
                   .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
        .route = {.rtm_family =
                      source->compare.family == 6 ? AF_INET6 : AF_INET},
        .attribute = {RTA_LENGTH(sizeof(uint32_t)), RTA_TABLE},
        .table = (uint32_t)table,
    };

    source->compare.narrow = table >= 0;
    return send_request(source, &request,
                        source->compare.narrow
                            ? sizeof(request)
                            : offsetof(struct dump_request, attribute));
}

/* At most half of the time goes into comparing, but for the first table. */
static void
rest(struct rn_source *source)
{
    struct rn_compare *compare = &source->compare;
    int64_t now = rn_linux_steady_ns();
    int64_t until = now + (now - compare->begun_ns);

    for (int i = 0; i < 2 && source->loaded; i++) {
        if (compare->pace[i].not_before_ns < until) {
            compare->pace[i].not_before_ns = until;
        }
    }
}

/* Try this family again later: each time later, up to BACKOFF_MAX. */
static void
back_off(struct rn_source *source)
{
    struct rn_compare *compare = &source->compare;
    const unsigned at = compare->family == 6;
    unsigned attempts = compare->pace[at].attempts++;
    int64_t wait = BACKOFF_FIRST << (attempts < 9 ? attempts : 9);

    compare->pace[at].not_before_ns =
        rn_linux_steady_ns() + (wait < BACKOFF_MAX ? wait : BACKOFF_MAX);
    rest(source);
}

/* The comparison under way is worth nothing; want it again. */
static void
give_up(struct rn_source *source)
{
    struct rn_compare *compare = &source->compare;

    if (compare->state != RN_COMPARE_IDLE) {
        rn_mirror_abandon(source->mirror, compare->family);
    }
    compare->state = RN_COMPARE_IDLE;
    compare->wanted |= family_bit(compare);
    compare->fresh |= family_bit(compare);
    compare->lost |= compare->losing;
    compare->losing = 0;
    back_off(source);
    rn_linux_compared(source, family_bit(compare), SIZE_MAX);
}

static void
mark_begin(struct rn_source *source)
{
    struct rn_compare *compare = &source->compare;

    if (compare->marked && !compare->marking) {
        compare->marking = 1;
        rn_linux_mark(source, RN_RESYNC_BEGIN, RN_CAUSE_RESYNC);
    }
}

/* The end is told when nothing is in doubt any more. */
static void
mark_end(struct rn_source *source)
{
    struct rn_compare *compare = &source->compare;

    if (compare->marking && !compare->wanted) {
        compare->marking = 0;
        compare->marked = 0;
        rn_linux_mark(source, RN_RESYNC_END, RN_CAUSE_RESYNC);
    }
}

/* News from here on count as newer than the dump.  The barrier comes after: a
 * change that was told before has been made when that is answered.  The other
 * way round, the kernel tells of an IPv4 route's end before it takes it out,
 * and one that is not quite gone was found in the dump.
 */
static void
begin(struct rn_source *source)
{
    struct rn_compare *compare = &source->compare;
    unsigned bit = family_bit(compare);

    compare->wanted &= ~bit; /* triggers from here on want another one */
    rn_linux_begun(source, bit);
    compare->losing = compare->lost & bit;
    rn_mirror_begin(source->mirror, compare->family, !(compare->fresh & bit),
                    compare->losing != 0);
    compare->fresh &= ~bit;
    compare->lost &= ~bit;
    compare->state = RN_COMPARE_BARRIER;
}

void
rn_linux_compare_step(struct rn_source *source)
{
    struct rn_compare *compare = &source->compare;

    /* After an overrun everything is dropped until the queue is empty. */
    if (compare->state != RN_COMPARE_IDLE || !compare->wanted ||
        source->overrun || rn_linux_compare_timeout(source) > 0) {
        return;
    }
    compare->begun_ns = rn_linux_steady_ns();
    compare->family = next_family(compare, compare->begun_ns);
    compare->failed = 0;
    compare->parts = 0;
    mark_begin(source);
    begin(source);
    if (send_barrier(source) < 0) {
        give_up(source);
    }
}

static void
begin_dump(struct rn_source *source)
{
    source->compare.state = RN_COMPARE_DUMP;
    if (send_dump(source) < 0) {
        give_up(source);
    }
}

static void
end_dump(struct rn_source *source)
{
    source->compare.state = RN_COMPARE_AFTER;
    if (source->compare.failed || send_barrier(source) < 0) {
        give_up(source);
    }
}

/* The NEWLINK that would resolve a doubt may have been read before this part of
 * the dump, so one more look is had.  The device is unknown from now on and
 * raises no second one.
 */
static void
note(struct rn_source *source, const struct rn_entry *entry)
{
    uint32_t doubted = rn_linux_note_entry(source, entry);

    if (doubted) {
        rn_linux_carrier_news(source, doubted);
    }
}

static void
dumped(struct rn_source *source, const struct nlmsghdr *header,
       struct rn_route_message *scratch)
{
    struct rn_compare *compare = &source->compare;
    enum rn_parse parsed = rn_rtnl_route(header, header->nlmsg_len, scratch);

    if (parsed == RN_PARSE_MALFORMED) {
        rn_count_add(&source->malformed, 1);
        compare->failed = 1;
    } else if (parsed == RN_PARSE_OK &&
               rn_linux_wants_entry(source, &scratch->entry)) {
        note(source, &scratch->entry);
        compare->failed |=
            rn_mirror_dumped(source->mirror, &scratch->entry) != 0;
    }
}

/* One answer on the request socket. */
static void
answer(struct rn_source *source, const struct nlmsghdr *header,
       struct rn_route_message *scratch)
{
    struct rn_compare *compare = &source->compare;
    int code = 0;

    if (header->nlmsg_seq != compare->sequence) {
        return; /* of a request that was given up */
    }
    if ((header->nlmsg_type == NLMSG_DONE ||
         header->nlmsg_type == NLMSG_ERROR) &&
        header->nlmsg_len >= NLMSG_HDRLEN + sizeof(code)) {
        memcpy(&code, NLMSG_DATA(header), sizeof(code));
    }
    if (compare->state == RN_COMPARE_BARRIER) {
        begin_dump(source);
    } else if (compare->state == RN_COMPARE_AFTER) {
        compare->state = RN_COMPARE_EMPTY;
    } else if (compare->state == RN_COMPARE_DUMP) {
        compare->failed |= (header->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
        if (header->nlmsg_type == NLMSG_DONE ||
            header->nlmsg_type == NLMSG_ERROR) {
            /* A table that is not there is empty. */
            compare->failed |= code && !(compare->narrow && code == -ENOENT);
            end_dump(source);
        } else {
            dumped(source, header, scratch);
        }
    }
}

static void
read_failed(struct rn_source *source, int error)
{
    if (error != EAGAIN && error != EINTR) {
        give_up(source);
    }
}

void
rn_linux_compare_read(struct rn_source *source)
{
    unsigned char *at;
    struct rn_route_message *scratch = rn_linux_scratch(source, &at);
    struct iovec vector = {at, RN_DATAGRAM};
    struct sockaddr_nl sender;
    struct msghdr message = {.msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_name = &sender,
                             .msg_namelen = sizeof(sender)};
    ssize_t n = recvmsg(source->request_fd, &message, 0);

    if (n < 0) {
        read_failed(source, errno);
        return;
    }
    if (sender.nl_pid != 0) {
        rn_count_add(&source->foreign, 1);
        return;
    }
    source->compare.failed |= (message.msg_flags & MSG_TRUNC) != 0;
    source->compare.parts += source->compare.state == RN_COMPARE_DUMP;
    const struct nlmsghdr *header = (struct nlmsghdr *)(void *)at;
    for (unsigned left = (unsigned)n; NLMSG_OK(header, left);
         header = NLMSG_NEXT(header, left)) {
        answer(source, header, scratch);
    }
}

/* May what the dump lacks be deleted?  IPv4 never loses an untouched prefix;
 * IPv6 does, if prefixes come and go between the parts of a dump, be it in
 * silence: then a trigger came meanwhile.  The last part of every dump is the
 * end message alone.  What is untouched nobody knows when messages were lost.
 */
static int
dump_exact(const struct rn_source *source)
{
    const struct rn_compare *compare = &source->compare;
    const unsigned bit = family_bit(compare);

    if (rn_linux_large_alive(source, compare->family) || compare->lost & bit) {
        return 0;
    }
    return compare->family == 4 || compare->parts <= 2 ||
           (rn_mirror_touched(source->mirror, 6) == 0 &&
            !(compare->fresh & bit));
}

void
rn_linux_compare_empty(struct rn_source *source)
{
    struct rn_compare *compare = &source->compare;
    unsigned bit = family_bit(compare);

    if (compare->state != RN_COMPARE_EMPTY) {
        return;
    }
    source->now_ns = rn_linux_wall_ns();
    compare->state = RN_COMPARE_IDLE;
    rn_count_add(&source->resyncs, 1);
    size_t left = rn_mirror_finish(source->mirror, compare->family,
                                   dump_exact(source), !source->loaded);
    const int blind = rn_linux_large_alive(source, compare->family);
    if (left && !blind) {
        compare->wanted |= bit;
        compare->lost |= compare->losing;
        compare->fresh |= left == SIZE_MAX ? bit : 0;
        back_off(source);
    } else {
        compare->pace[compare->family == 6].attempts = 0;
        rest(source);
    }
    mark_end(source);
    /* Behind such a route nothing can be made sure. */
    rn_linux_compared(source, bit, blind ? 0 : left);
}
