/* rn_windows_compare.c - the system's table against what was told of it. */
#include "rn_windows_notify.h"

#include <string.h>

#include "rn_alloc.h"
#include "rn_windows_row.h"

/* Rows handled under one hold of the producer lock: some microseconds, which a
 * notification may have to spin for.
 */
#define CHUNK 64u

struct comparison {
    MIB_IPFORWARD_TABLE2 *table; /* NULL: no route */
    uint8_t cause;
    uint8_t silent;
};

/* What was told before is void: the sink had to drop some of it. */
static int
is_fresh(const struct comparison *c)
{
    return c->cause == RN_CAUSE_MEMORY;
}

static void
emit_found(struct rn_notify *n, const struct comparison *c,
           struct rn_record *record, uint8_t type)
{
    if (c->silent || !n->open) {
        return;
    }
    record->type = type;
    record->cause = is_fresh(c) ? RN_CAUSE_RESYNC : c->cause;
    record->time_ns = rn_stamp_ns();
    n->sink.emit(n->sink.self, record);
    rn_count_add(&n->synthesised, 1);
}

static void
emit_marker(struct rn_notify *n, const struct comparison *c, uint8_t type)
{
    if (!c->silent && n->open) {
        rn_emit_mark(n, type, c->cause);
    }
}

static void
compare_row(struct rn_notify *n, const struct comparison *c,
            const MIB_IPFORWARD_ROW2 *row)
{
    struct rn_record record;
    int type;

    if (rn_windows_record(row, &record) < 0) {
        rn_count_add(&n->malformed, 1);
        return;
    }
    type = rn_ledger_dumped(&n->ledger, &record, rn_windows_attributes(row));
    if (type >= 0) {
        emit_found(n, c, &record, (uint8_t)type);
    }
}

static void
compare_table(struct rn_notify *n, const struct comparison *c)
{
    uint32_t count = c->table != NULL ? c->table->NumEntries : 0;

    for (uint32_t at = 0; at < count;) {
        uint32_t end = count - at > CHUNK ? at + CHUNK : count;

        rn_lock_producer(n);
        while (at < end) {
            compare_row(n, c, &c->table->Table[at++]);
        }
        rn_unlock_producer(n);
    }
}

static void
sweep(struct rn_notify *n, const struct comparison *c)
{
    struct rn_record record;
    uint32_t cursor = 0;
    int found;

    do {
        rn_lock_producer(n);
        found = rn_ledger_sweep(&n->ledger, &cursor, CHUNK, &record);
        if (found > 0) {
            emit_found(n, c, &record, RN_DELETE);
        }
        rn_unlock_producer(n);
    } while (found != 0);
}

/* A row that a ledger without a whole table lacks may have been told before:
 * when no ledger was kept, or when there was no memory to note it.
 */
static void
say_repeat(struct rn_notify *n, const struct comparison *c, int begins)
{
    if (!n->known && !c->silent && n->open && n->sink.repeat != NULL) {
        n->sink.repeat(n->sink.self, begins);
    }
}

static void
begin(struct rn_notify *n, const struct comparison *c)
{
    struct rn_ledger old = {0};

    rn_lock_producer(n);
    n->known = n->known && !n->ledger.broken;
    say_repeat(n, c, 1);
    if (is_fresh(c)) {
        n->retelling = 0;
        old = n->ledger;
        memset(&n->ledger, 0, sizeof n->ledger);
    }
    n->tracking = 1;
    rn_ledger_begin(&n->ledger);
    if (n->open) {
        rn_emit_initial(n);
    }
    if (c->cause != RN_CAUSE_SNAPSHOT) {
        emit_marker(n, c, RN_RESYNC_BEGIN);
    }
    rn_unlock_producer(n);
    rn_ledger_clear(&old); /* freeing many pages takes long */
}

/* In vain are those that failed, and those that the sink lost something of. */
static void
end_retelling(struct rn_notify *n, DWORD code)
{
    if (code != NO_ERROR) {
        rn_tell_later(n);
    } else if (!n->retelling) {
        n->retellings = 0;
    }
}

/* Return: the Win32 code the comparison ends with. */
static DWORD
finish(struct rn_notify *n, const struct comparison *c, DWORD code)
{
    rn_lock_producer(n);
    rn_ledger_end(&n->ledger);
    say_repeat(n, c, 0);
    if (code == NO_ERROR && n->ledger.broken) {
        code = RN_ERROR_NOT_ENOUGH_MEMORY;
    }
    emit_marker(
        n, c, c->cause == RN_CAUSE_SNAPSHOT ? RN_SNAPSHOT_END : RN_RESYNC_END);
    if (n->open) {
        rn_flush(n);
        if (is_fresh(c)) {
            end_retelling(n, code);
        }
    }
    rn_unlock_producer(n);
    n->known = code == NO_ERROR || (n->known && !is_fresh(c));
    return code;
}

/* The table is read after begin(): what changes from then on is noted as
 * touched, and what changed before is in it.
 */
int
rn_compare(struct rn_notify *n, uint8_t cause, int silent,
           struct rn_fail *fail)
{
    static const char call[] = "GetIpForwardTable2";
    struct comparison c = {NULL, cause, silent != 0};
    DWORD code;

    if (n->api->get_ip_forward_table2 == NULL) {
        return rn_windows_fail(fail, ERROR_PROC_NOT_FOUND, call);
    }
    (void)rn_exchange(&n->busy, 1);
    begin(n, &c);
    code = rn_windows_table(n->api, n->family, &c.table);
    if (code == NO_ERROR) {
        compare_table(n, &c);
        sweep(n, &c);
        rn_windows_table_free(n->api, c.table);
    }
    code = finish(n, &c, code);
    (void)rn_exchange(&n->busy, 0);
    return code == NO_ERROR ? 0 : rn_windows_fail(fail, code, call);
}

void CALLBACK
rn_retell(PTP_CALLBACK_INSTANCE instance, void *notify, PTP_TIMER timer)
{
    struct rn_notify *n = notify;
    struct rn_fail ignored;

    (void)instance;
    (void)timer;
    AcquireSRWLockExclusive(&n->comparing);
    rn_count_add(&n->resyncs, 1);
    (void)rn_compare(n, RN_CAUSE_MEMORY, 0, &ignored);
    ReleaseSRWLockExclusive(&n->comparing);
}

/* One attempt to copy the ledger at one point of the stream.  Its pages are made
 * before the lock is taken: under it a callback waits for nothing but the copy.
 * Return: 1 done, 0 *room is too small and now has what is needed, -1 no memory,
 * here or for a row since the ledger was whole.
 */
static int
copy_ledger(struct rn_notify *n, uint64_t (*at)(void *self), uint32_t *room,
            struct rn_answer *out)
{
    size_t size = sizeof(struct rn_rows) + *room * sizeof(struct rn_record);
    struct rn_rows *rows = rn_alloc(size);
    int broken, fits;

    if (rows == NULL) {
        return -1;
    }
    memset(rows, 0, size);
    rn_lock_producer(n);
    broken = n->ledger.broken;
    fits = n->ledger.alive <= *room;
    if (fits) {
        rows->count = n->ledger.alive;
        rn_ledger_copy(&n->ledger, rows->rows);
        out->sequence = at(n->sink.self);
    }
    *room = n->ledger.alive + n->ledger.alive / 8 + 64;
    rn_unlock_producer(n);
    if (broken || !fits) {
        free(rows);
        return broken ? -1 : 0;
    }
    out->rows = rows;
    return 1;
}

static int
copy_rows(struct rn_notify *n, uint64_t (*at)(void *self),
          struct rn_answer *out, struct rn_fail *fail)
{
    uint32_t room = 64;
    int done;

    (void)rn_exchange(&n->busy, 1);
    do {
        done = copy_ledger(n, at, &room, out);
    } while (done == 0);
    (void)rn_exchange(&n->busy, 0);
    return done > 0 ? 0
                    : rn_windows_fail(fail, RN_ERROR_NOT_ENOUGH_MEMORY,
                                      "GetIpForwardTable2");
}

static int
is_whole(struct rn_notify *n)
{
    int broken;

    rn_lock_producer(n);
    broken = n->ledger.broken;
    rn_unlock_producer(n);
    return n->known && !broken;
}

/* The first one learns the table from the system; later ones hand out what the
 * stream has told since, if there was memory to note it.
 */
static int
snapshot(struct rn_notify *notify, uint64_t (*at)(void *self),
         struct rn_answer *out, struct rn_fail *fail)
{
    int rc = 0;

    AcquireSRWLockExclusive(&notify->comparing);
    if (!is_whole(notify)) {
        rc = rn_compare(notify, RN_CAUSE_SNAPSHOT, 1, fail);
    }
    if (rc == 0) {
        rc = copy_rows(notify, at, out, fail);
    }
    ReleaseSRWLockExclusive(&notify->comparing);
    return rc;
}

/* Without a snapshot before it there is nothing to compare with: then the whole
 * table is told.
 */
static int
resync(struct rn_notify *notify, struct rn_fail *fail)
{
    int rc;

    AcquireSRWLockExclusive(&notify->comparing);
    rn_count_add(&notify->resyncs, 1);
    rc = rn_compare(notify, RN_CAUSE_RESYNC, 0, fail);
    ReleaseSRWLockExclusive(&notify->comparing);
    return rc;
}

struct rn_asked {
    struct rn_answer answer;
};

/* rn_notify_ask - see rn_netio.h.  Here the asker's thread finds the answer. */
int
rn_notify_ask(struct rn_notify *notify, enum rn_question question,
              uint64_t (*at)(void *self), struct rn_asked **out,
              struct rn_fail *fail)
{
    struct rn_asked *asked = rn_alloc_zero(1, sizeof *asked);
    int rc;

    *out = NULL;
    if (asked == NULL) {
        return rn_windows_fail(fail, RN_ERROR_NOT_ENOUGH_MEMORY, "malloc");
    }
    rc = question == RN_ASK_SNAPSHOT
             ? snapshot(notify, at, &asked->answer, fail)
             : resync(notify, fail);
    if (rc < 0) {
        free(asked);
        return rc;
    }
    *out = asked;
    return 0;
}

int
rn_asked_wait(struct rn_asked *asked, const struct rn_patience *patience,
              struct rn_answer *out, struct rn_fail *fail)
{
    (void)patience; /* it is answered */
    (void)fail;
    *out = asked->answer;
    free(asked);
    return 0;
}
