/* rn_windows_notify.c - registrations with NotifyRouteChange2. */
#include "rn_windows_notify.h"

#include <stdlib.h>
#include <string.h>

#include "rn_windows_row.h"

/* 1 ms in units of 100 ns, and how often it is doubled at most. */
#define RETELL_TICKS INT64_C(10000)
#define RETELL_MOST 10u

/* Registrations that a failed cancel left to the system, of the process. */
static rn_atomic_u32 leaked;

void
rn_lock_producer(struct rn_notify *n)
{
    if (rn_exchange(&n->producer, 1) == 0) {
        return;
    }
    /* Met a comparison of ours, or another callback? */
    if (rn_load_acquire(&n->busy) == 0) {
        (void)rn_fetch_add(&n->overlaps, 1);
    }
    do {
        (void)SwitchToThread();
    } while (rn_exchange(&n->producer, 1) != 0);
}

void
rn_unlock_producer(struct rn_notify *n)
{
    rn_store_release(&n->producer, 0);
}

int64_t
rn_stamp_ns(void)
{
    FILETIME time; /* 100 ns since 1601 */
    uint64_t ticks;

    GetSystemTimePreciseAsFileTime(&time);
    ticks = (uint64_t)time.dwHighDateTime << 32 | time.dwLowDateTime;
    return ((int64_t)ticks - INT64_C(116444736000000000)) * 100;
}

void
rn_emit_mark(struct rn_notify *n, uint8_t type, uint8_t cause)
{
    struct rn_record record;

    memset(&record, 0, sizeof record);
    record.type = type;
    record.cause = cause;
    record.merged = 1;
    record.time_ns = rn_stamp_ns();
    n->sink.emit(n->sink.self, &record);
}

void
rn_emit_initial(struct rn_notify *n)
{
    if (n->owes_initial) {
        n->owes_initial = 0;
        rn_emit_mark(n, RN_INITIAL, RN_CAUSE_SYSTEM);
    }
}

void
rn_tell_later(struct rn_notify *n)
{
    unsigned doubled =
        n->retellings < RETELL_MOST ? n->retellings : RETELL_MOST;
    int64_t ticks = -(RETELL_TICKS << doubled); /* negative: from now on */
    FILETIME due = {(DWORD)ticks, (DWORD)(ticks >> 32)};

    if (!n->retelling) {
        n->retelling = 1;
        n->retellings++;
        SetThreadpoolTimer(n->retell, &due, 0, 0);
    }
}

void
rn_flush(struct rn_notify *n)
{
    n->sink.flush(n->sink.self);
    /* Reading the table takes long, and not on this thread: it may be the
     * system's.  Setting the timer does not wait.
     */
    if (n->retell != NULL && n->sink.lost(n->sink.self)) {
        rn_tell_later(n);
    }
}

static void
emit_change(struct rn_notify *n, const MIB_IPFORWARD_ROW2 *row, uint8_t type)
{
    struct rn_record record;

    if (row == NULL || type > RN_DELETE ||
        rn_windows_record(row, &record) < 0) {
        rn_count_add(&n->malformed, 1);
        return;
    }
    record.type = type;
    record.time_ns = rn_stamp_ns();
    if (n->tracking) {
        rn_ledger_note(&n->ledger, &record);
    }
    n->sink.emit(n->sink.self, &record);
}

/* What the system calls.  Context: a thread of the system's, or the one that is
 * in rn_notify_open; the row is gone after the return.
 */
static void WINAPI
notification(void *context, MIB_IPFORWARD_ROW2 *row,
             MIB_NOTIFICATION_TYPE type)
{
    struct rn_notify *n = context;

    rn_lock_producer(n);
    if (n->open) {
        rn_emit_initial(n);
        if (type != MibInitialNotification) {
            emit_change(n, row, (uint8_t)type);
        }
        rn_flush(n);
    }
    rn_unlock_producer(n);
}

static struct rn_notify *
make(const struct rn_config *config, const struct rn_sink *sink,
     const struct rn_windows_api *api, ADDRESS_FAMILY family)
{
    struct rn_notify *n = calloc(1, sizeof *n);

    if (n == NULL) {
        return NULL;
    }
    n->sink = *sink;
    n->api = api;
    n->family = family;
    n->open = 1;
    n->owes_initial = config->initial != 0;
    InitializeSRWLock(&n->comparing);
    if (sink->lost != NULL) {
        n->retell = CreateThreadpoolTimer(rn_retell, n, NULL);
        if (n->retell == NULL) {
            free(n);
            return NULL;
        }
    }
    return n;
}

/* No timer runs any more, or will, and a callback would find it silent. */
static void
strip(struct rn_notify *n)
{
    if (n->retell != NULL) {
        CloseThreadpoolTimer(n->retell);
    }
    rn_ledger_clear(&n->ledger);
}

/* No callback runs any more, or will. */
static void
unmake(struct rn_notify *n)
{
    strip(n);
    free(n);
}

static int
register_notify(struct rn_notify *n, BOOLEAN initial, struct rn_fail *fail)
{
    HANDLE handle = NULL;
    DWORD code = n->api->notify_route_change2(n->family, notification, n,
                                              initial, &handle);

    if (code != NO_ERROR) {
        return rn_windows_fail(fail, code, "NotifyRouteChange2");
    }
    /* Some implementations are stubs: nothing would ever come. */
    if (handle == NULL) {
        return rn_windows_fail(fail, RN_ERROR_NOT_SUPPORTED,
                               "NotifyRouteChange2 (it gave no handle)");
    }
    n->handle = handle;
    return 0;
}

static int
first_table(struct rn_notify *n, struct rn_fail *fail)
{
    int rc;

    AcquireSRWLockExclusive(&n->comparing);
    rc = rn_compare(n, RN_CAUSE_SNAPSHOT, 0, fail);
    ReleaseSRWLockExclusive(&n->comparing);
    return rc;
}

/* rn_notify_open - see rn_netio.h.  The registration is complete before the
 * system is asked: it may call back before it returns, on this very thread.
 */
int
rn_notify_open(const struct rn_config *config, const struct rn_sink *sink,
               struct rn_notify **out, struct rn_fail *fail)
{
    const struct rn_windows_api *api;
    struct rn_fail ignored;
    struct rn_notify *n;
    ADDRESS_FAMILY family;

    *out = NULL;
    if (rn_windows_family(config->family, &family) < 0) {
        return rn_windows_fail(fail, RN_ERROR_INVALID_PARAMETER,
                               "NotifyRouteChange2 (AddressFamily)");
    }
    if (config->netns_fd >= 0) {
        return rn_windows_fail(fail, RN_ERROR_NOT_SUPPORTED, "netns");
    }
    if (config->ringbuf == RN_RINGBUF_YES) {
        return rn_windows_fail(fail, RN_ERROR_NOT_SUPPORTED, "ringbuf");
    }
    api = rn_windows_api_get(fail);
    if (api == NULL) {
        return -1;
    }
    n = make(config, sink, api, family);
    if (n == NULL) {
        return rn_windows_fail(fail, RN_ERROR_NOT_ENOUGH_MEMORY,
                               "NotifyRouteChange2");
    }
    if (register_notify(n, config->initial != 0, fail) < 0) {
        unmake(n);
        return -1;
    }
    if (config->snapshot && first_table(n, fail) < 0) {
        (void)rn_notify_close(n, &ignored);
        return -1;
    }
    *out = n;
    return 0;
}

/* After it returns the sink is not called again, whatever still runs. */
static void
silence(struct rn_notify *n)
{
    rn_lock_producer(n);
    n->open = 0;
    rn_unlock_producer(n);
    if (n->retell != NULL) {
        /* It is set under the lock by who sees open: never from here on. */
        SetThreadpoolTimer(n->retell, NULL, 0, 0);
        WaitForThreadpoolTimerCallbacks(n->retell, TRUE);
    }
}

/* rn_notify_close - see rn_netio.h.  No snapshot or resync of the same
 * registration runs meanwhile.  A failed cancel may leave the system calling:
 * the registration then stays, silent, but nothing it refers to.
 */
int
rn_notify_close(struct rn_notify *notify, struct rn_fail *fail)
{
    DWORD code = notify->api->cancel_mib_change_notify2(notify->handle);

    silence(notify);
    if (code != NO_ERROR) {
        (void)rn_fetch_add(&leaked, 1);
        strip(notify);
        return rn_windows_fail(fail, code, "CancelMibChangeNotify2");
    }
    unmake(notify);
    return 0;
}

void
rn_notify_stats(struct rn_notify *notify, struct rn_provider_stats *out)
{
    memset(out, 0, sizeof *out);
    out->resyncs = rn_count_read(&notify->resyncs);
    out->synthesised = rn_count_read(&notify->synthesised);
    out->malformed = rn_count_read(&notify->malformed);
    out->overlaps = rn_load_acquire(&notify->overlaps);
    out->leaked = rn_load_acquire(&leaked);
}

/* rn_forked - Windows has no fork. */
int
rn_forked(const struct rn_notify *notify)
{
    (void)notify;
    return 0;
}
