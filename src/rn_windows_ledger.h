/* rn_windows_ledger.h - the rows one registration has been told of.
 *
 * Windows keeps no table for us, so what a comparison with the system must be
 * held against is noted here: 64 bytes per route, and only for registrations
 * that asked for a snapshot or a resync.  No lock of its own: the producer lock
 * of rn_windows_notify.c covers every call.
 *
 * A comparison runs in steps with notifications between them: begin, dumped
 * (per row of GetIpForwardTable2), sweep until it returns 0, end.  What a
 * notification touches after begin stays as the notification said: it may be
 * newer than the table that was read, and if it is older, the notification of
 * the newer change is still to come.
 */
#ifndef RN_WINDOWS_LEDGER_H
#define RN_WINDOWS_LEDGER_H

#include "rn_netio.h"

struct rn_ledger_row; /* one route; rn_windows_ledger.c */

struct rn_ledger {
    struct rn_ledger_row *rows;
    uint32_t *slots; /* hash index into rows, 1-based, 0: free */
    uint32_t count;  /* rows used, dead ones too */
    uint32_t alive;
    uint32_t capacity; /* of rows; slots has twice as many */
    uint32_t epoch;    /* counts comparisons */
    int comparing;     /* rows keep their place */
    int broken;        /* memory ran out since begin: rows may be missing */
};

/* All zero is an empty ledger. */
void
rn_ledger_clear(struct rn_ledger *ledger);

/* rn_ledger_note - a notification: ADD, PARAMETER or DELETE of the row.  When
 * memory runs out the row is not noted and the comparison under way may tell
 * too much of it; the next one puts that right, since a row too few here is
 * only told again and a row too many only deleted again.
 */
void
rn_ledger_note(struct rn_ledger *ledger, const struct rn_record *record);

void
rn_ledger_begin(struct rn_ledger *ledger);

/* rn_ledger_dumped - the system has this row; attributes: see
 * rn_windows_attributes.  Return: what must be told, RN_ADD or RN_PARAMETER,
 * or -1: nothing.
 */
int
rn_ledger_dumped(struct rn_ledger *ledger, const struct rn_record *record,
                 uint32_t attributes);

/* rn_ledger_sweep - look at up to `steps` rows from *cursor on for one that the
 * system no longer has, and make *out its DELETE.
 * Return: 1 found, 0 all rows seen, -1 steps used up; *cursor moves on.
 */
int
rn_ledger_sweep(struct rn_ledger *ledger, uint32_t *cursor, uint32_t steps,
                struct rn_record *out);

void
rn_ledger_end(struct rn_ledger *ledger);

/* rn_ledger_copy - every row as RN_ADD, cause SNAPSHOT.  out has room for ledger->alive. */
void
rn_ledger_copy(const struct rn_ledger *ledger, struct rn_record *out);

#endif
