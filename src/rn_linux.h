/* rn_linux.h - what the files of the Linux provider share.
 *
 *   rn_linux_socket.c    netlink sockets in a namespace, errno to Win32 codes
 *   rn_linux_receive.c   what came on the event socket: check the sender, dispatch
 *   rn_linux_ringbuf.c   its messages through a BPF ring buffer
 *   rn_linux_ringbuf_bpf.c  the program that puts them there, and bpf(2)
 *   rn_linux_links.c     what is known of devices: which RTM_NEWLINK is news
 *   rn_linux_news.c      what a message means: mirror, triggers
 *   rn_linux_compare.c   barrier, dump, barrier, difference: a state machine
 *   rn_linux_large.c     routes that are too large for any dump
 *   rn_linux_interest.c  which part of the table the filters need
 *   rn_linux_bpf.c       filters as a program for the event socket
 *   rn_linux_deliver.c   from the mirror to the subscribers' sinks
 *   rn_linux_command.c   what other threads ask of the reader
 *   rn_linux_reader.c    the reader thread: its poll loop
 *   rn_linux_notify.c    rn_notify_*: sources, registrations, commands
 *   rn_linux_vanish.c    noticing that a watched namespace is gone
 *   rn_linux_request.c   one question and its answers on a request socket
 *   rn_linux_query.c     rn_table_get, rn_entry_get, rn_best_route
 *   rn_linux_interface.c rn_interface_name, rn_interface_index
 */
#ifndef RN_LINUX_H
#define RN_LINUX_H

#include <pthread.h>
#include <stdint.h>
#include <sys/types.h>

#include "rn_atomic.h"
#include "rn_filter.h"
#include "rn_mirror.h"
#include "rn_rtnl.h"

/* rn_linux_socket.c */

/* Fill *fail from errno; -1, so that callers can return it. */
int
rn_linux_fail(struct rn_fail *fail, const char *call);

/* rn_linux_fail_as - the same for an errno value that is at hand. */
int
rn_linux_fail_as(struct rn_fail *fail, int os_error, const char *call);

/* A NETLINK_ROUTE socket in the namespace (-1: the caller's).  The calling
 * thread stays where it is: another thread enters the namespace for it.
 */
int
rn_linux_socket(int netns_fd, struct rn_fail *fail);

/* rn_linux_request_socket - for requests and dumps: strict checking, and read
 * once with a large buffer, because the kernel sizes the parts of a dump by
 * the largest read it has seen (net/netlink/af_netlink.c, max_recvmsg_len).
 */
int
rn_linux_request_socket(int netns_fd, struct rn_fail *fail);

/* rn_linux_event_socket - rcvbuf set first, then the groups joined. */
int
rn_linux_event_socket(int netns_fd, uint32_t rcvbuf, struct rn_fail *fail);

/* Its halves, for who has something to do in between. */
int
rn_linux_bound_socket(int netns_fd, uint32_t rcvbuf, struct rn_fail *fail);

int
rn_linux_join_groups(int fd, struct rn_fail *fail);

/* May calls be tried that may be forbidden?  Where calls are filtered, as in many
 * a service, a forbidden one may end the process.
 */
int
rn_linux_may_try(void);

/* Set the receive buffer, as far as the system lets us: asked for more it never
 * becomes less.  Return: the effective size.
 */
uint32_t
rn_linux_rcvbuf(int fd, uint32_t bytes);

/* Messages the kernel dropped on this socket since it was made. */
uint32_t
rn_linux_drops(int fd);

/* Which namespace: device and inode of its file. */
int
rn_linux_namespace(int netns_fd, dev_t *dev, ino_t *ino, struct rn_fail *fail);

/* More than the largest message of a route: its hops are an attribute, which has
 * at most 64 KiB, and all else is short.  Parts of a dump have at most 32 KiB.
 */
#define RN_DATAGRAM (65536u + 1024u)

/* Bytes of a message above which no dump may have room for the route. */
#define RN_OVERSIZED 30720u

/* rn_linux_source: one namespace, its reader thread, mirror, subscribers. */

enum rn_compare_state {
    RN_COMPARE_IDLE,
    RN_COMPARE_BARRIER, /* until the kernel has finished what it announced */
    RN_COMPARE_DUMP,
    RN_COMPARE_AFTER, /* barrier behind the dump */
    RN_COMPARE_EMPTY, /* until the event socket has been read empty */
};

/* Owned by the reader thread. */
struct rn_compare {
    enum rn_compare_state state;
    unsigned wanted;   /* families to compare: bit 0 IPv4, bit 1 IPv6 */
    unsigned fresh;    /* of these: a trigger came since their last dump */
    unsigned lost;     /* of these: news were lost, or resync() asks */
    unsigned losing;   /* of these: being compared */
    unsigned marked;   /* of these: RESYNC markers are due */
    int marking;       /* RESYNC_BEGIN is out, RESYNC_END is not */
    int family;        /* 4 or 6, being compared, or that was last */
    uint32_t sequence; /* nlmsg_seq of the request under way */
    unsigned parts;    /* datagrams of the dump */
    int failed;        /* the dump is worthless */
    int64_t begun_ns;  /* CLOCK_MONOTONIC */
    struct {
        unsigned attempts; /* since the last that left no doubt */
        int64_t not_before_ns;
    } pace[2];  /* IPv4, IPv6: one that is noisy does not hold up the other */
    int narrow; /* the dump was asked for one table only */
};

/* Owned by the reader thread: the one known route that no dump can show. */
struct rn_large {
    uint8_t destination[16];
    uint32_t table;
    uint32_t metric;
    uint32_t hops;  /* it has, 0: there is none */
    uint32_t shown; /* as many a dump could show */
    uint8_t prefix_length;
    uint8_t tos;
    uint8_t others; /* there has been another one at the same time */
};

struct rn_command;
struct rn_receive;
struct rn_ringbuf;
struct rn_links;
struct rn_interests;

struct rn_source {
    /* The registry's, under its mutex. */
    struct rn_source *next;
    dev_t dev;
    ino_t ino;
    unsigned users;

    /* Shared: the command queue. */
    pthread_mutex_t lock;
    pthread_cond_t answered;
    struct rn_command *first_command; /* under lock */
    int command_fd;                   /* eventfd: the queue is not empty */

    /* The reader's own, from here on, but for the counters. */
    pthread_t thread;
    int event_fd;
    struct rn_ringbuf *ringbuf; /* where its messages are; NULL: its queue */
    int request_fd;
    int watch_fd; /* epoll of the subscribers' watch_fd */
    struct rn_mirror *mirror;
    struct rn_notify *subscribers;
    struct rn_receive *receive;
    struct rn_links *links;
    struct rn_interests *interests;
    struct rn_compare compare;
    struct rn_large large[2]; /* IPv4, IPv6 */
    int64_t now_ns;           /* CLOCK_REALTIME of the batch being read */
    unsigned read;            /* datagrams of this turn */
    int read_all;             /* the turn found nothing more */
    int64_t pause_ns;         /* the last pause for more to gather, 0: none */
    int64_t rate_since_ns;    /* CLOCK_MONOTONIC: rate_read counts from here */
    unsigned rate_read;
    int rate_high;    /* in the last piece of time that was looked at */
    int overrun;      /* ENOBUFS came, the queue has not been empty since */
    int bare_objects; /* a route named a nexthop object and no hop of it */
    int loaded;       /* the first table is in */
    int stop;
    int64_t retell_ns;     /* when stale sinks are told again, 0: none is */
    unsigned retellings;   /* in a row */
    struct rn_fail failed; /* what ended the reader; code 0: nothing */

    int forked; /* set in the child of a fork: there is no reader */

    rn_count overruns;
    rn_count resyncs;
    rn_count synthesised;
    rn_count malformed;
    rn_count foreign;
    rn_atomic_u32 rcvbuf;
    rn_atomic_u32 rows;
    rn_atomic_u32 dead; /* the reader has failed: no new users */
};

struct rn_notify {
    struct rn_source *source;
    struct rn_notify *next; /* the reader's list */
    struct rn_sink sink;
    struct rn_config config;
    int stale;         /* its sink lost pending state: send the table again */
    int watch_process; /* pidfd of whom the namespace is named by, -1 */
    int watch_fd;      /* inotify of the namespace's name, -1 */
    int watch_directory;         /* where the name is, -1 */
    char watch_name[256];        /* what in its directory */
    int forked;                  /* set in the child of a fork */
    struct rn_notify *next_open; /* the registry's list, under its mutex */
};

enum rn_command_kind {
    RN_COMMAND_ATTACH,
    RN_COMMAND_DETACH,
    RN_COMMAND_SNAPSHOT,
    RN_COMMAND_RESYNC,
    RN_COMMAND_STOP,
};

/* The asker's until it is posted and again once it is answered; in between the
 * reader's, which frees it instead of giving it back when it was abandoned.
 */
struct rn_command {
    struct rn_command *next;
    enum rn_command_kind kind;
    struct rn_notify *notify; /* closed after it, never before its answer */
    uint64_t (*at)(void *self);
    struct rn_answer answer;
    struct rn_fail fail;
    unsigned families; /* still to be compared, 4: not looked at yet; the
                        * reader's own */
    unsigned begun;    /* of these: a dump began since; reader's own */
    unsigned doubts;   /* comparisons since that left some; reader's own */
    int result;
    int answered;  /* under lock */
    int abandoned; /* under lock: a struct rn_asked nobody waits for */
};

struct rn_asked {
    struct rn_command command; /* first: the reader frees it by that */
    struct rn_source *source;  /* held */
};

/* rn_linux_reader.c: the thread of a source. */
void *
rn_linux_reader(void *source);

/* rn_linux_socket.c: CLOCK_REALTIME and CLOCK_MONOTONIC, in nanoseconds. */
int64_t
rn_linux_wall_ns(void);
int64_t
rn_linux_steady_ns(void);

/* rn_linux_interest.c */
struct rn_interests *
rn_linux_interests_new(void);

void
rn_linux_interests_free(struct rn_interests *interests);

/* What the first subscriber wants, before the first dump; -1: no memory. */
int
rn_linux_interest_start(struct rn_source *source, struct rn_filter *filter);

/* One subscriber more.  Return: 0 the mirror has what its filter needs, 1 not
 * before both families have been compared, -1 no memory.
 */
int
rn_linux_interest_add(struct rn_source *source, struct rn_filter *filter);

/* They have been. */
void
rn_linux_interest_settled(struct rn_source *source,
                          const struct rn_filter *filter);

/* One less: the mirror forgets what is wanted no more. */
void
rn_linux_interest_drop(struct rn_source *source,
                       const struct rn_filter *filter);

/* Has the mirror to know rows with this key? */
int
rn_linux_wants(const struct rn_source *source,
               const struct rn_filter_key *key);

/* The only table that is wanted, -1: there is more than one. */
int64_t
rn_linux_only_table(const struct rn_source *source);

static inline int
rn_linux_wants_entry(const struct rn_source *source,
                     const struct rn_entry *entry)
{
    const struct rn_filter_key key = {entry->ip_version, entry->table,
                                      entry->destination};

    return rn_linux_wants(source, &key);
}

/* rn_linux_bpf.c */

/* A program that lets pass what any of the filters (NULL: everything) can want.
 * Return: its length; 0: there is nothing to drop, or it would not fit.
 */
size_t
rn_linux_bpf(struct rn_filter *const *filters, size_t count,
             struct rn_instruction out[RN_PROGRAM_MAX]);

/* rn_linux_deliver.c */

/* Deliver a record to every subscriber, stamped with the batch's time. */
void
rn_linux_emit(void *source, struct rn_record *record);

/* A marker, or INITIAL: to every subscriber, to one. */
void
rn_linux_mark(struct rn_source *source, enum rn_type type, int cause);

void
rn_linux_mark_one(struct rn_notify *notify, enum rn_type type, int cause);

/* rn_linux_leave - notify, if it still is a subscriber, is none any more: nothing
 * is emitted to it, and what it alone wanted is forgotten.
 */
void
rn_linux_leave(struct rn_source *source, struct rn_notify *notify);

/* The table as it is, to one. */
void
rn_linux_tell_table(struct rn_notify *notify, int cause);

/* Wake the consumers; note whose sink had to drop what was pending. */
void
rn_linux_flush(struct rn_source *source);

/* Those are told the whole table again when its time has come: at once would
 * cost a walk of the table per batch as long as memory is short.
 */
void
rn_linux_retell(struct rn_source *source);

/* Milliseconds until then, -1: nobody waits for it. */
int
rn_linux_retell_timeout(const struct rn_source *source);

/* rn_linux_command.c */

/* Carry out what was asked; what has to wait stays in the queue. */
void
rn_linux_commands(struct rn_source *source);

/* The reader has ended: free what nobody waits for any more. */
void
rn_linux_commands_free(struct rn_source *source);

/* The dump of one family (a bit) begins. */
void
rn_linux_begun(struct rn_source *source, unsigned family);

/* A comparison of one family (a bit) is over; `left` destinations are still
 * unsure.  Lets in what waited for it.
 */
void
rn_linux_compared(struct rn_source *source, unsigned family, size_t left);

/* rn_linux_ringbuf_bpf.c: descriptors, or -1 with *fail */

/* A ring of `size` bytes, a power of two. */
int
rn_linux_bpf_ring(uint32_t size, struct rn_fail *fail);

/* A map of one value, which can be mapped. */
int
rn_linux_bpf_value(uint32_t size, struct rn_fail *fail);

/* The socket filter that copies messages into the ring and lets none through;
 * the value's beginning is RN_RINGBUF_CONGESTED and RN_RINGBUF_LOST.
 */
#define RN_RINGBUF_CONGESTED 0 /* u32, not 0: take nothing */
#define RN_RINGBUF_LOST 8      /* u64, how many were not taken */
#define RN_RINGBUF_PREFIX 8    /* u32 length and u32 port before a message */
int
rn_linux_bpf_copier(int map_fd, int control_fd, struct rn_fail *fail);

/* rn_linux_ringbuf.c */
struct rn_ringbuf;

/* What came: where it lies until the next look or take, and whose it is. */
struct rn_datagram {
    const unsigned char *at;
    uint32_t size;
    uint32_t sender; /* port, 0: the kernel */
};

/* Let a bound socket's messages go through a ring of about `wanted` bytes.
 * Return: NULL with *fail if it may not be or is not known here; the socket is of
 * no more use then, for it may have the program already.
 */
struct rn_ringbuf *
rn_linux_ringbuf_new(int socket_fd, uint32_t wanted, struct rn_fail *fail);

/* Only the descriptors, as a forked child may. */
void
rn_linux_ringbuf_close(struct rn_ringbuf *ring);

void
rn_linux_ringbuf_free(struct rn_ringbuf *ring);

/* To be polled in place of the socket. */
int
rn_linux_ringbuf_fd(const struct rn_ringbuf *ring);

/* Bytes. */
uint32_t
rn_linux_ringbuf_size(const struct rn_ringbuf *ring);

/* Messages that found no room.  Context: any thread. */
uint64_t
rn_linux_ringbuf_lost(const struct rn_ringbuf *ring);

/* The next ones, up to `room`; they stay.  Context, here and below: the reader. */
size_t
rn_linux_ringbuf_peek(struct rn_ringbuf *ring, struct rn_datagram *out,
                      size_t room);

/* Give back the room of those that were peeked at. */
void
rn_linux_ringbuf_take(struct rn_ringbuf *ring);

/* Is none there, not even half written? */
int
rn_linux_ringbuf_empty(const struct rn_ringbuf *ring);

/* Does it take nothing more?  To be asked after it was found empty, too, before
 * waiting for something.
 */
int
rn_linux_ringbuf_congested(struct rn_ringbuf *ring);

/* Now that it is empty, let it take messages again.  Those that it drops still
 * are of changes made before: a comparison that begins now sees them.
 */
void
rn_linux_ringbuf_resume(struct rn_ringbuf *ring);

/* rn_linux_receive.c */
struct rn_receive *
rn_linux_receive_new(void);

void
rn_linux_receive_free(struct rn_receive *receive);

/* One batch of what came on the event socket.  Return: 2 a full one, 1 read
 * less, 0 the queue is empty, -1 *fail tells why the socket is of no more use.
 */
int
rn_linux_receive(struct rn_source *source, struct rn_fail *fail);

/* What is readable when something came. */
int
rn_linux_receive_fd(const struct rn_source *source);

/* How many bytes of socket buffer would hold as many changes as there is room
 * for.
 */
uint64_t
rn_linux_receive_room(struct rn_source *source);

/* Scratch for parsing and for reading answers; the reader's own. */
struct rn_route_message *
rn_linux_scratch(struct rn_source *source, unsigned char **datagram);

/* rn_linux_links.c */
struct rn_links *
rn_linux_links_new(void);

void
rn_linux_links_free(struct rn_links *links);

/* The device is gone, or what is known of it may be old: any NEWLINK is news. */
void
rn_linux_links_forget(struct rn_links *links, uint32_t index);

void
rn_linux_links_forget_all(struct rn_links *links);

/* What a NEWLINK changes of what routes depend on: a set of RN_LINK_*, or -1:
 * no memory.
 */
#define RN_LINK_MOVED 1   /* set down or up, carrier lost or back */
#define RN_LINK_RESIZED 2 /* another MTU */
#define RN_LINK_LOST 4    /* with RN_LINK_MOVED: it can do less than before */
int
rn_linux_links_told(struct rn_links *links,
                    const struct rn_link_message *message);

/* Forget devices of whose carrier a route says something else: the index of one,
 * 0 if there is none.
 */
uint32_t
rn_linux_links_doubt(struct rn_links *links, const struct rn_entry *entry);

/* rn_linux_news.c */
/* One message of the kernel: apply it, note triggers. */
void
rn_linux_news(struct rn_source *source, const struct nlmsghdr *header,
              size_t size, struct rn_route_message *scratch);

/* The same of a route message that is parsed already, and was `size` bytes. */
void
rn_linux_route_news(struct rn_source *source,
                    const struct rn_route_message *message, size_t size);

/* The routes of a device may have changed with its carrier. */
void
rn_linux_carrier_news(struct rn_source *source, uint32_t index);

/* Messages were lost or not understood. */
void
rn_linux_news_lost(struct rn_source *source);

/* rn_linux_large.c */

/* What a message of this size says of routes that are too large for a dump. */
void
rn_linux_large_news(struct rn_source *source,
                    const struct rn_route_message *message, size_t size);

/* Is there one in this family: may its dumps end too early? */
int
rn_linux_large_alive(const struct rn_source *source, int ip_version);

/* rn_linux_compare.c */

/* Ask for a comparison of the families (bits); lost: news may be missing, so the
 * dump is all there is to go by, and RESYNC markers are due.
 */
void
rn_linux_want(struct rn_source *source, unsigned families, int lost);

/* Begin if something is wanted and its time has come. */
void
rn_linux_compare_step(struct rn_source *source);

/* The request socket is readable. */
void
rn_linux_compare_read(struct rn_source *source);

/* The event socket has been read empty. */
void
rn_linux_compare_empty(struct rn_source *source);

/* Milliseconds until the next step is due, -1: nothing is waiting for time. */
int
rn_linux_compare_timeout(const struct rn_source *source);

/* rn_linux_vanish.c */

/* Make what tells that the name or process is gone that the namespace was given
 * by.
 */
int
rn_linux_watch(struct rn_notify *notify, struct rn_fail *fail);

void
rn_linux_unwatch(struct rn_notify *notify);

/* The reader's: have it looked at, or no longer. */
int
rn_linux_watch_attach(struct rn_source *source, struct rn_notify *notify,
                      struct rn_fail *fail);

void
rn_linux_watch_detach(struct rn_source *source, struct rn_notify *notify);

/* The reader's: source->watch_fd is readable. */
void
rn_linux_watch_read(struct rn_source *source);

/* rn_linux_request.c */

/* One request and its answers; `each` gets every message that is not an end
 * or an error, and stops the reading with a nonzero result.  Return: that
 * result, 0 at the end, or -1 with *fail (and *interrupted if the dump was).
 * Context: any thread; blocks as long as the kernel does.
 */
struct rn_exchange {
    int fd;
    void *request; /* begins with a struct nlmsghdr without length */
    size_t size;
    const char *call; /* for *fail: the sending, and what it answers */
    const char *read_call;
    int (*each)(void *self, struct nlmsghdr *header);
    void *self;
    int interrupted; /* NLM_F_DUMP_INTR was seen */
    unsigned parts;  /* datagrams that came */
};
int
rn_linux_exchange(struct rn_exchange *exchange, struct rn_fail *fail);

/* A message to parse into, with room for all hops; NULL: memory ran out.  It is
 * freed in one piece.
 */
struct rn_route_message *
rn_linux_message_new(void);

/* A row of a parsed message: hop `at` of it (0 if it has none). */
void
rn_linux_row(const struct rn_route_message *message, uint32_t at,
             struct rn_route *out);

/* What an entry tells beside itself.  Routes that name just an object change
 * with it in silence.  Return: as rn_linux_links_doubt().
 */
static inline uint32_t
rn_linux_note_entry(struct rn_source *source, const struct rn_entry *entry)
{
    source->bare_objects |= entry->nexthop_id && !entry->hop_count;
    return rn_linux_links_doubt(source->links, entry);
}

/* NLM_F_* flags of a NEWROUTE as the mirror names them. */
static inline int
rn_linux_place(uint16_t nl_flags)
{
    return (nl_flags & 0x200 ? RN_PLACE_EXCL : 0) |
           (nl_flags & 0x400 ? RN_PLACE_CREATE : 0) |
           (nl_flags & 0x100 ? RN_PLACE_REPLACE : 0) |
           (nl_flags & 0x800 ? RN_PLACE_APPEND : 0);
}

#endif
