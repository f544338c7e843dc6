/* double.h - a strict iphlpapi for tests: what its files share.
 *
 * Stands in system32 of a throw-away Wine prefix under the real name; every
 * function that is not here is forwarded to Wine's own.  Never shipped.  Tests
 * steer it through the rnd_* functions, with ctypes, in the same process.
 */
#ifndef RND_DOUBLE_H
#define RND_DOUBLE_H

#include <winsock2.h>
#include <ws2ipdef.h>
#include <windows.h>
#include <iphlpapi.h>
#include <netioapi.h>
#include <stdint.h>

/* rnd_mode: how the system behaves from now on. */
enum {
    RND_PAGES = 1,   /* every row on a page of its own, then no access */
    RND_OVERLAP = 2, /* do not serialise the calls of a registration */
    RND_INITIAL_WORKER =
        4,                 /* initial call on another thread than the caller's,
                             * before NotifyRouteChange2 returns */
    RND_INITIAL_LATE = 8,  /* initial call on another thread, some time after
                             * NotifyRouteChange2 has returned */
    RND_FRESH_THREAD = 16, /* a new thread for every call */
    RND_NULL_HANDLE = 32,  /* succeed with a NULL handle, as Wine's stub */
    RND_CLOCK = 64,        /* time every call: rnd_cbtime */
    RND_EARLY = 128,       /* a change on another thread while
                             * NotifyRouteChange2 has not yet returned */
    RND_NO_TABLE = 256,    /* a table without rows is ERROR_NOT_FOUND */
};

/* rnd_inject: which function fails. */
enum {
    RND_NOTIFY,
    RND_CANCEL,
    RND_TABLE,
    RND_ENTRY,
    RND_BEST,
    RND_ALIAS,
    RND_LUID,
    RND_METRIC,
    RND_APIS
};

struct rnd_stats {
    uint64_t called;         /* calls made */
    uint64_t initial;        /* of them, initial ones */
    uint32_t live;           /* registrations open */
    uint32_t opened;         /* ever */
    uint32_t self_cancels;   /* cancel inside the callback: Windows hangs */
    uint32_t double_cancels; /* cancel of what was cancelled */
    uint32_t bad_cancels;    /* of NULL or of what never was */
    uint32_t touched;        /* rows written to after their call */
    uint32_t tables;         /* tables handed out and not freed */
    uint32_t bad_frees;
    uint32_t overlaps; /* calls begun while another was running */
};

extern CRITICAL_SECTION rnd_lock; /* everything below */
extern struct rnd_stats rnd_counts;

/* Whether the mode, one of those above, is on. */
int
rnd_is_mode(uint32_t bit);

/* The error to return instead of doing anything, or 0. */
DWORD
rnd_injected(int api);

/* Deliver a change to every registration of its family; any thread. */
void
rnd_deliver(const MIB_IPFORWARD_ROW2 *row, MIB_NOTIFICATION_TYPE type);

/* Change the table and deliver it, as one.  0: it did not apply. */
int WINAPI
rnd_change(const MIB_IPFORWARD_ROW2 *row, int type);

/* Change the table; caller holds rnd_lock.  0: it did not apply. */
int
rnd_table_apply(const MIB_IPFORWARD_ROW2 *row, MIB_NOTIFICATION_TYPE type);

/* The n-th row of a series: n is in the destination address. */
void
rnd_row(uint32_t n, int family, MIB_IPFORWARD_ROW2 *out);

#define RND_LUID_1 ((uint64_t)6 << 48 | (uint64_t)1 << 24)
#define RND_LUID_2 ((uint64_t)71 << 48 | (uint64_t)2 << 24)
#define RND_INDEX_1 7
#define RND_INDEX_2 12

#endif
