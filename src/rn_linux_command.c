/* rn_linux_command.c - what other threads ask of the reader, carried out on its
 * own thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rn_alloc.h"
#include "rn_linux.h"

/* Comparisons that may leave doubt while resync() waits for one that does not:
 * then it says that the table does not come to rest.  A subscriber waits for as
 * many, and the first load too, and then begin anyway.
 */
#define PATIENCE 12

static void
abandoned_free(struct rn_command *command)
{
    rn_rows_free(command->answer.rows);
    free(command); /* a struct rn_asked begins with it */
}

/* From here on the command is not the reader's any more. */
static void
answer(struct rn_source *source, struct rn_command *command, int result)
{
    pthread_mutex_lock(&source->lock);
    int abandoned = command->abandoned;
    command->result = result;
    command->answered = 1;
    pthread_cond_broadcast(&source->answered);
    pthread_mutex_unlock(&source->lock);
    if (abandoned) {
        abandoned_free(command);
    }
}

void
rn_linux_commands_free(struct rn_source *source)
{
    while (source->first_command) {
        struct rn_command *command = source->first_command;
        source->first_command = command->next;
        abandoned_free(command);
    }
}

static void
attach(struct rn_source *source, struct rn_command *command)
{
    struct rn_notify *notify = command->notify;
    uint32_t rcvbuf = rn_load_relaxed(&source->rcvbuf);

    if (notify->config.rcvbuf > rcvbuf / 2) { /* the kernel doubles it */
        rcvbuf = rn_linux_rcvbuf(source->event_fd, notify->config.rcvbuf);
        rn_store_release(&source->rcvbuf, rcvbuf); /* a statistic */
    }
    if (rn_linux_watch_attach(source, notify, &command->fail) < 0) {
        rn_linux_interest_drop(source, notify->config.filter);
        answer(source, command, -1);
        return;
    }
    notify->next = source->subscribers;
    source->subscribers = notify;
    source->now_ns = rn_linux_wall_ns();
    if (notify->config.initial) {
        rn_linux_mark_one(notify, RN_INITIAL, RN_CAUSE_SYSTEM);
    }
    if (notify->config.snapshot) {
        rn_linux_tell_table(notify, RN_CAUSE_SNAPSHOT);
        rn_linux_mark_one(notify, RN_SNAPSHOT_END, RN_CAUSE_SNAPSHOT);
    }
    if (source->compare.marking) { /* it will hear the end */
        rn_linux_mark_one(notify, RN_RESYNC_BEGIN, RN_CAUSE_RESYNC);
    }
    rn_linux_flush(source);
    answer(source, command, 0);
}

/* A question is not to wait for what noise before it has put off. */
static void
compare_now(struct rn_source *source, int lost)
{
    rn_linux_want(source, 3, lost);
    memset(source->compare.pace, 0, sizeof(source->compare.pace));
}

/* Its filter may want more of the table than the mirror knows. */
static int
attach_begin(struct rn_source *source, struct rn_command *command)
{
    int more = rn_linux_interest_add(source, command->notify->config.filter);

    if (more < 0) {
        return -1;
    }
    command->families = more ? 3 : 0;
    if (more) {
        compare_now(source, 0);
    }
    return 0;
}

/* Return: 1 done; an answered command is not looked at any more. */
static int
try_attach(struct rn_source *source, struct rn_command *command)
{
    if (command->families & 4 && attach_begin(source, command) < 0) {
        answer(source, command,
               rn_linux_fail_as(&command->fail, ENOMEM, "malloc"));
        return 1;
    }
    if (!source->loaded || (command->families && command->doubts < PATIENCE)) {
        return 0;
    }
    rn_linux_interest_settled(source, command->notify->config.filter);
    attach(source, command);
    return 1;
}

static void
detach(struct rn_source *source, struct rn_command *command)
{
    rn_linux_leave(source, command->notify);
    answer(source, command, 0);
}

static void
snapshot_row(void *self, struct rn_record *record)
{
    struct rn_rows *rows = self;

    rows->rows[rows->count] = *record;
    rows->rows[rows->count].type = RN_ADD;
    rows->rows[rows->count++].cause = RN_CAUSE_SNAPSHOT;
}

static void
snapshot(struct rn_source *source, struct rn_command *command)
{
    int family = command->notify->config.family;
    size_t count = rn_mirror_rows(source->mirror, family);
    struct rn_rows *rows =
        rn_alloc(sizeof(*rows) + count * sizeof(rows->rows[0]));

    if (!rows) {
        answer(source, command,
               rn_linux_fail_as(&command->fail, ENOMEM, "malloc"));
        return;
    }
    rows->count = 0;
    rn_mirror_each(source->mirror, family, snapshot_row, rows);
    command->answer.rows = rows;
    command->answer.sequence = command->at(command->notify->sink.self);
    answer(source, command, 0);
}

/* Done when both families have been compared since it was asked for.  An
 * answered command is its asker's again: it is not looked at any more.
 */
static int
resync(struct rn_source *source, struct rn_command *command)
{
    if (command->families & 4) { /* seen for the first time */
        command->families = 3;
        compare_now(source, 1);
    }
    if (!command->families) {
        answer(source, command, 0);
        return 1;
    }
    if (command->doubts < PATIENCE) {
        return 0;
    }
    answer(source, command,
           rn_linux_fail_as(&command->fail, ETIMEDOUT,
                            "recv(RTM_GETROUTE dump)"));
    return 1;
}

/* May this command be carried out now, and if so do it.  Return: 1 done. */
static int
carry_out(struct rn_source *source, struct rn_command *command)
{
    switch (command->kind) {
    case RN_COMMAND_DETACH:
        detach(source, command);
        return 1;
    case RN_COMMAND_STOP:
        source->stop = 1;
        answer(source, command, 0);
        return 1;
    case RN_COMMAND_ATTACH:
        return try_attach(source, command);
    case RN_COMMAND_SNAPSHOT:
        snapshot(source, command);
        return 1;
    case RN_COMMAND_RESYNC:
        return resync(source, command);
    }
    return 1;
}

/* After the reader has failed every command but the way out fails too. */
static void
refuse(struct rn_source *source, struct rn_command *command)
{
    if (command->kind == RN_COMMAND_DETACH ||
        command->kind == RN_COMMAND_STOP) {
        carry_out(source, command);
        return;
    }
    command->fail = source->failed;
    answer(source, command, -1);
}

/* Answered commands leave the queue before their asker can go away. */
void
rn_linux_commands(struct rn_source *source)
{
    struct rn_command *waiting = NULL;
    struct rn_command **end = &waiting;

    pthread_mutex_lock(&source->lock);
    struct rn_command *command = source->first_command;
    source->first_command = NULL;
    pthread_mutex_unlock(&source->lock);
    while (command) {
        struct rn_command *next = command->next;
        command->next = NULL;
        if (source->failed.code) {
            refuse(source, command);
        } else if (!carry_out(source, command)) {
            *end = command;
            end = &command->next;
        }
        command = next;
    }
    if (waiting) { /* before newer ones */
        pthread_mutex_lock(&source->lock);
        *end = source->first_command;
        source->first_command = waiting;
        pthread_mutex_unlock(&source->lock);
    }
}

void
rn_linux_begun(struct rn_source *source, unsigned family)
{
    pthread_mutex_lock(&source->lock);
    for (struct rn_command *c = source->first_command; c; c = c->next) {
        c->begun |= c->families & 4 ? 0 : family; /* 4: not looked at yet */
    }
    pthread_mutex_unlock(&source->lock);
}

/* Of each family that is still wanted enough was asked for the first table. */
static int
patience_over(const struct rn_compare *compare)
{
    for (unsigned family = 0; family < 2; family++) {
        if (compare->wanted & 1u << family &&
            compare->pace[family].attempts < PATIENCE) {
            return 0;
        }
    }
    return 1;
}

void
rn_linux_compared(struct rn_source *source, unsigned family, size_t left)
{
    struct rn_compare *compare = &source->compare;

    pthread_mutex_lock(&source->lock);
    for (struct rn_command *c = source->first_command; c; c = c->next) {
        const unsigned met = c->families & c->begun & family;
        c->doubts += met && left;
        c->families &= left ? ~0u : ~met;
    }
    pthread_mutex_unlock(&source->lock);
    if (!source->loaded && (patience_over(compare) ||
                            rn_count_read(&source->resyncs) >= 4 * PATIENCE)) {
        source->loaded = 1;
    }
    rn_linux_commands(source);
}
