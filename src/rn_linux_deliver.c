/* rn_linux_deliver.c - from the mirror to the subscribers' sinks. */
#include "rn_linux.h"

/* A sink without memory is told the table again after 1 ms, 2, 4 ... 1 s. */
#define RETELL_NS INT64_C(1000000)
#define RETELL_SHIFT 10u

/* What a comparison finds may be nothing new: rows that the mirror gets to know
 * because somebody is about to subscribe who wants them.
 */
static int
concerns(const struct rn_notify *notify, const struct rn_record *row)
{
    const struct rn_filter_key key = {row->ip_version, row->table,
                                      row->destination};

    return !notify->config.filter ||
           rn_filter_interest(notify->config.filter, &key);
}

void
rn_linux_emit(void *self, struct rn_record *record)
{
    struct rn_source *source = self;
    const int found = record->cause != RN_CAUSE_SYSTEM;
    int told = 0;

    record->time_ns = source->now_ns;
    for (struct rn_notify *n = source->subscribers; n; n = n->next) {
        if (!found || concerns(n, record)) {
            n->sink.emit(n->sink.self, record);
            told = 1;
        }
    }
    if (found && told) {
        rn_count_add(&source->synthesised, 1);
    }
}

void
rn_linux_leave(struct rn_source *source, struct rn_notify *notify)
{
    struct rn_notify **link = &source->subscribers;

    while (*link && *link != notify) {
        link = &(*link)->next;
    }
    if (*link) {
        *link = notify->next;
        rn_linux_watch_detach(source, notify);
        rn_linux_interest_drop(source, notify->config.filter);
    }
}

void
rn_linux_mark_one(struct rn_notify *notify, enum rn_type type, int cause)
{
    const struct rn_record record = {
        .type = (uint8_t)type,
        .cause = (uint8_t)cause,
        .time_ns = notify->source->now_ns,
    };

    notify->sink.emit(notify->sink.self, &record);
}

void
rn_linux_mark(struct rn_source *source, enum rn_type type, int cause)
{
    source->now_ns = rn_linux_wall_ns();
    for (struct rn_notify *n = source->subscribers; n; n = n->next) {
        rn_linux_mark_one(n, type, cause);
    }
}

/* The table for one subscriber. */
struct telling {
    struct rn_notify *notify;
    int cause;
};

static void
tell_row(void *self, struct rn_record *record)
{
    struct telling *telling = self;

    record->type = RN_ADD;
    record->cause = (uint8_t)telling->cause;
    record->time_ns = telling->notify->source->now_ns;
    telling->notify->sink.emit(telling->notify->sink.self, record);
}

void
rn_linux_tell_table(struct rn_notify *notify, int cause)
{
    struct telling telling = {notify, cause};

    rn_mirror_each(notify->source->mirror, notify->config.family, tell_row,
                   &telling);
}

/* Wake its consumer; did the sink drop what was pending? */
static void
flush_one(struct rn_notify *notify)
{
    notify->sink.flush(notify->sink.self);
    if (notify->sink.lost && notify->sink.lost(notify->sink.self)) {
        notify->stale = 1;
    }
}

/* Its sink dropped what was pending: begin its table again. */
static void
tell_again(struct rn_notify *notify)
{
    notify->stale = 0;
    rn_linux_mark_one(notify, RN_RESYNC_BEGIN, RN_CAUSE_MEMORY);
    rn_linux_tell_table(notify, RN_CAUSE_RESYNC);
    rn_linux_mark_one(notify, RN_RESYNC_END, RN_CAUSE_MEMORY);
    flush_one(notify);
}

/* If a sink is stale its time to be told comes, and later each time. */
static void
plan_retelling(struct rn_source *source)
{
    const struct rn_notify *n = source->subscribers;

    while (n && !n->stale) {
        n = n->next;
    }
    if (!n) {
        source->retell_ns = 0;
        source->retellings = 0;
    } else if (!source->retell_ns) {
        source->retell_ns =
            rn_linux_steady_ns() + (RETELL_NS << source->retellings);
        source->retellings += source->retellings < RETELL_SHIFT;
    }
}

void
rn_linux_flush(struct rn_source *source)
{
    rn_store_release(&source->rows, /* a statistic */
                     (uint32_t)rn_mirror_rows(source->mirror, 0));
    for (struct rn_notify *n = source->subscribers; n; n = n->next) {
        flush_one(n);
    }
    plan_retelling(source);
}

int
rn_linux_retell_timeout(const struct rn_source *source)
{
    if (!source->retell_ns) {
        return -1;
    }
    int64_t left = source->retell_ns - rn_linux_steady_ns();
    return left <= 0 ? 0 : (int)(left / RETELL_NS) + 1;
}

void
rn_linux_retell(struct rn_source *source)
{
    if (rn_linux_retell_timeout(source) != 0) {
        return;
    }
    source->retell_ns = 0;
    source->now_ns = rn_linux_wall_ns();
    for (struct rn_notify *n = source->subscribers; n; n = n->next) {
        if (n->stale) {
            tell_again(n);
        }
    }
    plan_retelling(source);
}
