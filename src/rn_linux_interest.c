/* rn_linux_interest.c - which part of the table the subscribers' filters need:
 * the rest is dropped by the kernel, and left out of mirror and dumps.
 *
 * Only whole groups are left out (rn_filter_interest), so that the mirror's
 * order within a group stays the kernel's.  What is left out is exactly what
 * the program on the event socket drops: if there is none, nothing is.
 *
 * Context of everything here: the reader, or before there is one.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <string.h>
#include <sys/socket.h>

#include "rn_alloc.h"
#include "rn_linux.h"

struct interest {
    struct rn_filter *filter; /* NULL: everything; a reference of its own */
    unsigned users;
    int settled; /* the rows it asks for have been compared */
};

struct rn_interests {
    struct interest *all;
    size_t count;
    int everything; /* no program: all messages come */
};

struct rn_interests *
rn_linux_interests_new(void)
{
    return rn_alloc_zero(1, sizeof(struct rn_interests));
}

void
rn_linux_interests_free(struct rn_interests *interests)
{
    for (size_t i = 0; interests && i < interests->count; i++) {
        rn_filter_unref(interests->all[i].filter);
    }
    if (interests) {
        free(interests->all);
        free(interests);
    }
}

int
rn_linux_wants(const struct rn_source *source, const struct rn_filter_key *key)
{
    const struct rn_interests *interests = source->interests;

    if (interests->everything) {
        return 1;
    }
    for (size_t i = 0; i < interests->count; i++) {
        if (rn_filter_interest(interests->all[i].filter, key)) {
            return 1;
        }
    }
    return 0;
}

int64_t
rn_linux_only_table(const struct rn_source *source)
{
    const struct rn_interests *interests = source->interests;
    int64_t only = -1;

    for (size_t i = 0; !interests->everything && i < interests->count; i++) {
        int64_t table = rn_filter_only_table(interests->all[i].filter);
        if (table < 0 || (i > 0 && table != only)) {
            return -1;
        }
        only = table;
    }
    return only;
}

/* Return: 0, or -1: the socket has no program. */
static int
attach_program(const struct rn_source *source)
{
    const struct rn_interests *interests = source->interests;
    const size_t count = interests->count;
    struct rn_instruction *program =
        rn_alloc(RN_PROGRAM_MAX * sizeof(*program));
    struct rn_filter **filters = rn_alloc(count * sizeof(struct rn_filter *));
    int failed = -1;

    for (size_t i = 0; filters && i < count; i++) {
        filters[i] = interests->all[i].filter;
    }
    size_t size =
        filters && program ? rn_linux_bpf(filters, count, program) : 0;
    const struct sock_fprog fprog = {.len = (unsigned short)size,
                                     .filter = (void *)program};
    if (size) {
        failed = setsockopt(source->event_fd, SOL_SOCKET, SO_ATTACH_FILTER,
                            &fprog, sizeof(fprog));
    }
    free(filters);
    free(program);
    return failed;
}

/* Give the kernel the program for the interests there are now; it takes the
 * place of the old one in one step.
 */
static void
apply(struct rn_source *source)
{
    const int unused = 0;

    if (source->ringbuf) { /* the socket has its program, which takes all */
        source->interests->everything = 1;
        return;
    }
    source->interests->everything = attach_program(source) < 0;
    if (source->interests->everything) {
        (void)setsockopt(source->event_fd, SOL_SOCKET, SO_DETACH_FILTER,
                         &unused, sizeof(unused));
    }
}

static int
keep(void *self, const struct rn_record *row)
{
    const struct rn_filter_key key = {row->ip_version, row->table,
                                      row->destination};

    return rn_linux_wants(self, &key);
}

static void
forget(struct rn_source *source)
{
    rn_mirror_forget(source->mirror, keep, source);
    rn_store_release(&source->rows, /* a statistic */
                     (uint32_t)rn_mirror_rows(source->mirror, 0));
}

static struct interest *
find(const struct rn_source *source, const struct rn_filter *filter)
{
    const struct rn_interests *list = source->interests;

    for (size_t i = 0; i < list->count; i++) {
        if (rn_filter_same(list->all[i].filter, filter)) {
            return &list->all[i];
        }
    }
    return NULL;
}

static struct interest *
append(struct rn_source *source, struct rn_filter *filter)
{
    struct rn_interests *list = source->interests;
    struct interest *all =
        rn_realloc(list->all, (list->count + 1) * sizeof(*all));

    if (!all) {
        return NULL;
    }
    list->all = all;
    all[list->count] = (struct interest){.filter = rn_filter_ref(filter)};
    return &all[list->count++];
}

int
rn_linux_interest_start(struct rn_source *source, struct rn_filter *filter)
{
    struct interest *first = append(source, filter);

    if (!first) {
        return -1;
    }
    first->settled = 1; /* nobody is let in before the first load */
    apply(source);
    return 0;
}

static int
all_settled(const struct rn_source *source)
{
    const struct rn_interests *list = source->interests;

    for (size_t i = 0; i < list->count; i++) {
        if (!list->all[i].settled) {
            return 0;
        }
    }
    return 1;
}

int
rn_linux_interest_add(struct rn_source *source, struct rn_filter *filter)
{
    struct interest *interest = find(source, filter);
    const int everything = source->interests->everything;
    const int known = all_settled(source) && (interest || everything);

    if (!interest) {
        interest = append(source, filter);
        if (!interest) {
            return -1;
        }
        apply(source);
    }
    interest->users++;
    interest->settled |= known;
    if (everything && !source->interests->everything) {
        forget(source);
    }
    return !known;
}

void
rn_linux_interest_settled(struct rn_source *source,
                          const struct rn_filter *filter)
{
    struct interest *interest = find(source, filter);

    if (interest) {
        interest->settled = 1;
    }
}

/* Without a program (memory ran out) more comes than the mirror has: who wants
 * it later must not be let in before a comparison.
 */
void
rn_linux_interest_drop(struct rn_source *source,
                       const struct rn_filter *filter)
{
    struct rn_interests *list = source->interests;
    const int everything = list->everything;
    struct interest *interest = find(source, filter);

    if (!interest || --interest->users || list->count == 1) {
        return;
    }
    rn_filter_unref(interest->filter);
    *interest = list->all[--list->count];
    apply(source);
    if (!list->everything) {
        forget(source);
    } else if (!everything) {
        list->all[0].settled = 0;
    }
}
