/* rn_netio.h - the neutral contract: a row, a sink, a registration.
 *
 * Mirrors netioapi.h under our own prefix.  No operating-system type and no
 * Python type crosses this line: providers implement it, rn_channel.c and the
 * Python types use it.
 */
#ifndef RN_NETIO_H
#define RN_NETIO_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* MIB_NOTIFICATION_TYPE (netioapi.h); markers of our own start at 16. */
enum rn_type {
    RN_PARAMETER = 0,
    RN_ADD = 1,
    RN_DELETE = 2,
    RN_INITIAL = 3,
    RN_SNAPSHOT_END = 16,
    RN_RESYNC_BEGIN = 17,
    RN_RESYNC_END = 18,
};
#define RN_FIRST_MARKER 16

/* Why a row changed.  Python shows these by the names in rn_cause_name(). */
enum rn_cause {
    RN_CAUSE_SYSTEM = 0,   /* the system said so itself */
    RN_CAUSE_SNAPSHOT,     /* row of the first table */
    RN_CAUSE_RESYNC,       /* found by comparing with the system */
    RN_CAUSE_REPLACED,     /* row that a "replace" took away */
    RN_CAUSE_LINK_DOWN,    /* device went down or lost its carrier */
    RN_CAUSE_LINK_REMOVED, /* device deleted or moved away */
    RN_CAUSE_LINK_CHANGED, /* device came up, MTU or flags changed */
    RN_CAUSE_ADDRESS_REMOVED,
    RN_CAUSE_ADDRESS_ADDED,
    RN_CAUSE_NEXTHOP_REMOVED, /* nexthop object deleted or its group shrank */
    RN_CAUSE_NEXTHOP_CHANGED,
    RN_CAUSE_CONFIG_CHANGED, /* a sysctl that changes rows */
    RN_CAUSE_MEMORY,         /* RESYNC_BEGIN: forget all, the table follows */
    RN_CAUSE_FILTER, /* a change made the row match the filter, or cease to */
    RN_CAUSE_COUNT
};

/* Bits of rn_record.fields. */
#define RN_HAS_ATTRIBUTES 0x01u /* metric, protocol, table, ... were said */
#define RN_HAS_NO_TABLE 0x08u /* of these metric and protocol only: Windows */
#define RN_PREFERENCE_SHIFT 4 /* bits 4-5: router preference, RFC 4191 */
#define RN_PREFERENCE_MASK 0x30u

/* Bits of rn_record.flags: RTNH_F_* of linux/rtnetlink.h. */
#define RN_FLAG_DEAD 0x01u
#define RN_FLAG_ONLINK 0x04u
#define RN_FLAG_OFFLOAD 0x08u
#define RN_FLAG_LINKDOWN 0x10u
#define RN_FLAG_UNRESOLVED 0x20u
#define RN_FLAG_TRAP 0x40u

/* One change of one row: what the ring stores and what RouteBatch exports.
 * Addresses are in network order, IPv4 in the first four bytes, the rest zero;
 * everything else is in host order.  Key of a row: ip_version, table,
 * destination/prefix_length, source/source_length, tos, metric,
 * next_hop_version, next_hop, rn_key_index(), interface_luid, ordinal.
 */
struct rn_record {
    uint64_t sequence;       /* stamped by the channel, 1, 2, 3, ... */
    int64_t time_ns;         /* CLOCK_REALTIME of reception */
    uint64_t interface_luid; /* NET_LUID; 0: not said (always on Linux) */
    uint8_t destination[16];
    uint8_t next_hop[16];
    uint8_t source[16];       /* IPv6 source prefix (RTA_SRC) */
    uint8_t prefsrc[16];      /* same family as destination; zero: none */
    uint32_t interface_index; /* 0: none */
    uint32_t table;
    uint32_t metric;
    uint32_t nexthop_id; /* 0: none */
    uint32_t merged;     /* how many changes this one stands for */
    uint32_t mtu;        /* RTAX_MTU; 0: none */
    uint16_t protocol;
    uint16_t ordinal;   /* tells rows of equal identity apart */
    uint8_t type;       /* enum rn_type */
    uint8_t ip_version; /* 4, 6; 0 in a marker or INITIAL */
    uint8_t prefix_length;
    uint8_t source_length;
    uint8_t next_hop_version; /* 0: on-link, 4, 6 */
    uint8_t route_type;       /* RTN_*: 1 unicast, 6 blackhole, ... */
    uint8_t scope;
    uint8_t tos;
    uint8_t cause;  /* enum rn_cause */
    uint8_t flags;  /* RN_FLAG_* */
    uint8_t fields; /* RN_HAS_*, RN_PREFERENCE_* */
    uint8_t weight; /* weight of the hop minus one (rtnh_hops) */
};
static_assert(sizeof(struct rn_record) == 128, "records are 128 bytes");
static_assert(offsetof(struct rn_record, destination) == 24, "layout");
static_assert(offsetof(struct rn_record, interface_index) == 88, "layout");
static_assert(offsetof(struct rn_record, protocol) == 112, "layout");
static_assert(offsetof(struct rn_record, type) == 116, "layout");
static_assert(offsetof(struct rn_record, weight) == 127, "layout");

/* rn_clear - memset(at, 0, size) of what the hot path clears: for these sizes
 * compilers make a string instruction of it, which takes longer to start than
 * these moves do.
 */
static inline void
rn_clear(void *at, size_t size)
{
    unsigned char *bytes = at;

    for (; size >= 32; size -= 32, bytes += 32) {
        memset(bytes, 0, 32);
    }
    memset(bytes, 0, size);
}

/* RN_FETCH - have a cache line fetched while something else is done, to be read
 * (0) or written (1).  GCC drops the calls of a function that does nothing but
 * this, as one without effect: hence the asm.
 */
#ifdef __GNUC__
#define RN_FETCH(address, writing)            \
    do {                                      \
        __builtin_prefetch(address, writing); \
        __asm__ volatile("");                 \
    } while (0)
#else
#define RN_FETCH(address, writing) ((void)(address))
#endif

/* rn_record_fetch - to be read. */
static inline void
rn_record_fetch(const struct rn_record *record)
{
    RN_FETCH(record, 0);
    RN_FETCH((const char *)record + sizeof(*record) / 2, 0);
}

/* rn_said - were metric and protocol said? */
static inline int
rn_said(const struct rn_record *record)
{
    return (record->fields & RN_HAS_ATTRIBUTES) != 0;
}

/* rn_said_table - and all the rest?  Windows has one table, and no types, scopes
 * and preferences of routes.
 */
static inline int
rn_said_table(const struct rn_record *record)
{
    return rn_said(record) && (record->fields & RN_HAS_NO_TABLE) == 0;
}

/* rn_has_source - is the row for packets from an IPv6 source prefix only? */
static inline int
rn_has_source(const struct rn_record *record)
{
    static const uint8_t zero[16];
    return record->ip_version == 6 && (record->source_length != 0 ||
                                       memcmp(record->source, zero, 16) != 0);
}

static inline int
rn_has_prefsrc(const struct rn_record *record)
{
    static const uint8_t zero[16];
    return record->ip_version != 0 && memcmp(record->prefsrc, zero, 16) != 0;
}

/* rn_preference - the router preference of an IPv6 row: 0 low, 1 medium, 2 high;
 * -1: not said.
 */
static inline int
rn_preference(const struct rn_record *record)
{
    /* RFC 4191: 0 medium, 1 high, 3 low; 2 is reserved. */
    static const int8_t numbers[4] = {1, 2, -1, 0};
    if (record->ip_version != 6 || !rn_said_table(record)) {
        return -1;
    }
    return numbers[(record->fields & RN_PREFERENCE_MASK) >>
                   RN_PREFERENCE_SHIFT];
}

/* rn_key_index - the interface's index as part of the key: none beside a LUID,
 * since Windows may give an adapter another one when it is enabled again.
 */
static inline uint32_t
rn_key_index(const struct rn_record *record)
{
    return record->interface_luid != 0 ? 0 : record->interface_index;
}

/* A PARAMETER on its way to a sink tells what the row's protocol and type were
 * if they changed, where the channel will stamp the sequence: its filter may
 * have wanted what the row was.
 */
#define RN_WAS (UINT64_C(1) << 63)

static inline void
rn_was_set(struct rn_record *record, uint8_t protocol, uint8_t route_type)
{
    record->sequence = RN_WAS | (uint64_t)protocol << 8 | route_type;
}

static inline int
rn_was_said(const struct rn_record *record)
{
    return (record->sequence & RN_WAS) != 0;
}

static inline uint16_t
rn_was_protocol(const struct rn_record *record)
{
    return (uint16_t)(record->sequence >> 8);
}

static inline uint8_t
rn_was_route_type(const struct rn_record *record)
{
    return (uint8_t)record->sequence;
}

/* The complete entry: the row plus what only a query of the system gives.
 * Absent members are 0; RN_UNKNOWN32 marks the ones where 0 has a meaning.
 */
#define RN_UNKNOWN32 0xffffffffu
#define RN_METRICS 18 /* RTAX_MAX + 1 slots, index = RTAX_* */
struct rn_route {
    struct rn_record row;
    uint64_t expires_ns;     /* time left; 0: for ever or not said */
    uint32_t valid_lifetime; /* seconds; RN_UNKNOWN32: infinite */
    uint32_t preferred_lifetime;
    uint32_t age;         /* seconds */
    uint32_t origin;      /* NL_ROUTE_ORIGIN; RN_UNKNOWN32: not said */
    uint32_t realms;      /* RTA_FLOW */
    uint32_t route_flags; /* rtm_flags */
    uint32_t metrics[RN_METRICS];
    uint32_t metrics_mask; /* bit n: metrics[n] was said */
    uint32_t
        effective_metric; /* with the interface's; RN_UNKNOWN32: unknown */
    char congestion[16];  /* RTAX_CC_ALGO */
    uint16_t encap_type;  /* LWTUNNEL_ENCAP_*; 0: none */
    uint8_t site_prefix_length;
    uint8_t loopback, autoconfigure, publish, immortal;
    uint8_t reserved;
};

/* Where a provider delivers.  All are called on the provider's thread,
 * one call at a time per sink, and must neither block nor touch Python.
 */
struct rn_sink {
    void *self;
    void (*emit)(void *self, const struct rn_record *record); /* copies it */
    void (*flush)(void *self); /* a batch of emits is over: wake the reader */
    void (*end)(void *self, uint32_t code, const char *call); /* no more */
    /* After a flush; nonzero once: pending state was dropped for want of
     * memory, the provider must send the whole table again.  May be NULL.
     */
    int (*lost)(void *self);
    /* From 1 to 0 rows are told that may have been told before, so that an ADD
     * does not mean that the consumer had no such row.  May be NULL.
     */
    void (*repeat)(void *self, int begins);
    /* Does something wait to be taken, and has nothing been since the last call?
     * Then a delay is noticed by nobody.  May be NULL.
     */
    int (*asleep)(void *self);
};

/* What failed: a Win32 code (on Linux mapped from errno, which is kept too)
 * and the failing system call, a static string.
 */
struct rn_fail {
    uint32_t code;
    int os_error; /* errno on Linux, 0 on Windows */
    const char *call;
};
#define RN_NO_ERROR 0u
#define RN_ERROR_FILE_NOT_FOUND 2u
#define RN_ERROR_ACCESS_DENIED 5u
#define RN_ERROR_INVALID_HANDLE 6u
#define RN_ERROR_NOT_ENOUGH_MEMORY 8u
#define RN_ERROR_INVALID_DATA 13u
#define RN_ERROR_NOT_SUPPORTED 50u
#define RN_ERROR_INVALID_PARAMETER 87u
#define RN_ERROR_NOT_FOUND 1168u
#define RN_ERROR_CANCELLED 1223u
#define RN_ERROR_TIMEOUT 1460u

/* Shall the kernel hand over changes in a BPF ring buffer?  Linux. */
enum rn_ringbuf_wish {
    RN_RINGBUF_IF_ALLOWED, /* and if it is of use */
    RN_RINGBUF_YES,        /* or fail */
    RN_RINGBUF_NO,
};

struct rn_filter;
struct rn_config {
    int family;      /* 0 both, 4 or 6 */
    int initial;     /* one RN_INITIAL record before any change */
    int snapshot;    /* the table as RN_ADD, cause SNAPSHOT, then the end */
    int markers;     /* deliver RN_SNAPSHOT_END and RN_RESYNC_* */
    uint32_t rcvbuf; /* bytes asked for; Linux */
    enum rn_ringbuf_wish ringbuf;
    int netns_fd;             /* -1: the caller's namespace; Linux; borrowed */
    const char *netns_path;   /* its name, to notice that it goes; borrowed */
    struct rn_filter *filter; /* rn_filter.h; NULL: everything; the provider
                               * takes its own reference */
};

struct rn_provider_stats {
    uint64_t overruns;     /* times the kernel reported a full buffer */
    uint64_t kernel_drops; /* messages the kernel dropped, its own count */
    uint64_t resyncs;      /* comparisons with the system that were made */
    uint64_t synthesised;  /* rows delivered that no message announced */
    uint64_t malformed;    /* messages that did not parse */
    uint64_t foreign;      /* messages whose sender was not the kernel */
    uint64_t leaked;       /* registrations a failed cancel left (Windows) */
    uint64_t overlaps;     /* callbacks that met another one (Windows) */
    uint32_t rcvbuf;       /* effective receive buffer in bytes, 0: n/a */
    uint32_t ringbuf;      /* bytes of ring buffer in place of it, 0: none */
    uint32_t rows;         /* rows of the mirror now; Linux */
};

struct rn_notify; /* a registration: the handle of NotifyRouteChange2 */
struct rn_asked;  /* a question put to the stream of a registration */

enum rn_question {
    RN_ASK_SNAPSHOT, /* the table as it stands between two emits to the sink */
    RN_ASK_RESYNC,   /* compare with the system, emit the difference */
};

/* What a snapshot answers: rows, and what `at` said at that very point. */
struct rn_answer {
    struct rn_rows *rows; /* NULL for a resync */
    uint64_t sequence;
};

/* Asked now and then by a wait, on its thread and without a lock: nonzero, and
 * the wait is given up.
 */
struct rn_patience {
    int (*over)(void *self);
    void *self;
};

/* A table that was read: rows in one allocation, freed by rn_table_free. */
struct rn_table {
    size_t count;
    struct rn_route routes[];
};
/* Rows only (what a mirror knows), freed by rn_rows_free. */
struct rn_rows {
    size_t count;
    struct rn_record rows[];
};

/* Every function below: 0, or -1 with *fail filled.  None needs the GIL; all
 * but the ones that say so may block for as long as the system does.
 */

/* rn_notify_open - register sink (NotifyRouteChange2).
 * Delivery may begin before it returns.  On failure *out is NULL.
 */
int
rn_notify_open(const struct rn_config *config, const struct rn_sink *sink,
               struct rn_notify **out, struct rn_fail *fail);

/* rn_notify_close - deregister (CancelMibChangeNotify2).
 * After it returns the sink is not called again.  Consumes the handle, also on
 * failure (then the registration is leaked on purpose and counted).  Never
 * call it from inside a sink.
 */
int
rn_notify_close(struct rn_notify *notify, struct rn_fail *fail);

/* rn_notify_ask - put a question; rn_asked_wait has the answer.  `at` gets the
 * sink's self and is called for a snapshot, at the point it stands for, on
 * whatever thread owns the stream then.  Linux: does not wait for the system.
 * Once it has returned the registration may be closed, answered or not.
 */
int
rn_notify_ask(struct rn_notify *notify, enum rn_question question,
              uint64_t (*at)(void *self), struct rn_asked **out,
              struct rn_fail *fail);

/* rn_asked_wait - the answer, or RN_ERROR_CANCELLED when patience is over.
 * Consumes asked in any case.
 */
int
rn_asked_wait(struct rn_asked *asked, const struct rn_patience *patience,
              struct rn_answer *out, struct rn_fail *fail);

void
rn_notify_stats(struct rn_notify *notify, struct rn_provider_stats *out);

/* rn_table_get - every route of the family (0: both) in the system's tables. */
int
rn_table_get(int family, int netns_fd, struct rn_table **out,
             struct rn_fail *fail);

/* rn_entry_get - complete the row (GetIpForwardEntry2); RN_ERROR_NOT_FOUND when
 * the system no longer has it.
 */
int
rn_entry_get(const struct rn_record *row, int netns_fd, struct rn_route *out,
             struct rn_fail *fail);

/* rn_best_route - the route the system takes to address (GetBestRoute2);
 * source_address may be NULL, interface_index 0.  best_source gets the source
 * address it would use, zero when it says none.
 */
int
rn_best_route(int ip_version, const uint8_t *address,
              const uint8_t *source_address, uint32_t interface_index,
              int netns_fd, struct rn_route *out, uint8_t best_source[16],
              struct rn_fail *fail);

/* rn_names_open - what the next two calls ask a namespace through, for as long
 * as the caller likes; its to close.  Linux only: elsewhere names_fd is -1,
 * which everywhere stands for the caller's own.
 */
int
rn_names_open(int netns_fd, struct rn_fail *fail);

/* rn_interface_name - alias on Windows, device name on Linux, UTF-8. */
int
rn_interface_name(uint64_t luid, uint32_t index, int names_fd, char *name,
                  size_t size, struct rn_fail *fail);

/* rn_interface_index - what rn_interface_name says, backwards.  Windows takes
 * the interface's own name (ethernet_32769) too, Linux alternative names; there
 * names_fd is the caller's alone meanwhile.
 */
int
rn_interface_index(const char *name, int names_fd, uint32_t *index,
                   struct rn_fail *fail);

/* rn_filter_program - what the system itself would run of this filter, as
 * instructions of classic BPF (struct sock_filter).
 * Return: how many, at most RN_PROGRAM_MAX; 0: it runs nothing of it.
 */
#define RN_PROGRAM_MAX 2048
struct rn_instruction {
    uint16_t code;
    uint8_t jump_true;
    uint8_t jump_false;
    uint32_t operand;
};
size_t
rn_filter_program(const struct rn_filter *filter,
                  struct rn_instruction out[RN_PROGRAM_MAX]);

void
rn_table_free(struct rn_table *table);

void
rn_rows_free(struct rn_rows *rows);

/* rn_forked - nonzero in a child whose parent opened notify: the child may only
 * close it, which then frees memory and touches nothing shared.
 */
int
rn_forked(const struct rn_notify *notify);

#endif
