/* checked.hh - the words of rn_atomic.h, the lock of rn_lock.h and an eventfd,
 * as relacy sees them: included ahead of the real files of src/, whose code is
 * then explored under the C11 memory model.
 *
 * A mutant, named on the command line, weakens one thing: "store tail" makes
 * every release store to a word of that name relaxed, "load tail" every acquire
 * load of it; "exchange state" takes an exchange apart into a load and a store,
 * "add state" makes the producer's look a mere load, "lock" takes no lock.
 */
#ifndef CHECKED_HH
#define CHECKED_HH

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <relacy/relacy.hpp>

/* The checker's own are for whole programs, and let memory be reused late. */
#undef malloc
#undef calloc
#undef realloc
#undef free
#undef new
#undef delete

static const char *mutant = "";

static bool
mutated(const char *verb, const char *expression)
{
    size_t length = strlen(verb);

    return strncmp(mutant, verb, length) == 0 && mutant[length] == ' ' &&
           strstr(expression, mutant + length + 1) != NULL;
}

/* --- rn_atomic.h ---------------------------------------------------------- */

#define RN_ATOMIC_H
#define RN_LINE 128
#define RN_NOINLINE
#define _Alignas alignas
#define static_assert(...) extern int layout_differs_in_a_model

/* Zero bytes are a word of value 0, as in the real one; touch() before the
 * threads start, for a word cannot be made while they run.
 */
struct rn_atomic_u32 {
    rl::atomic<uint32_t> *word;
};
struct rn_count {
    uint64_t value; /* relaxed, orders nothing: not worth exploring */
};

static rl::atomic<uint32_t> *words[16];
static unsigned word_count;

static rl::atomic<uint32_t> &
touch(rn_atomic_u32 *a)
{
    if (a->word == NULL) {
        a->word = new rl::atomic<uint32_t>(0u);
        words[word_count++] = a->word;
    }
    return *a->word;
}

static void
forget_words(void)
{
    while (word_count > 0) {
        delete words[--word_count];
    }
}

#define rn_load_relaxed(a) touch(a).load(rl::mo_relaxed, $)
#define rn_load_acquire(a)                                         \
    touch(a).load(mutated("load", #a) ? rl::mo_relaxed   \
                                      : rl::mo_acquire,  \
                  $)
#define rn_store_release(a, v)                                       \
    touch(a).store((v),                                              \
                   mutated("store", #a) ? rl::mo_relaxed   \
                                        : rl::mo_release,  \
                   $)
#define rn_exchange(a, v) exchange_of(touch(a), (v), mutated("exchange", #a))
#define rn_fetch_add(a, v)                                               \
    (mutated("add", #a)                                                  \
         ? touch(a).load(rl::mo_seq_cst, $)                    \
         : touch(a).fetch_add((int)(v), rl::mo_seq_cst, $))

static uint32_t
exchange_of(rl::atomic<uint32_t> &word, uint32_t value, bool apart)
{
    if (!apart) {
        return word.exchange(value, rl::mo_seq_cst, $);
    }
    uint32_t before = word.load(rl::mo_acquire, $);
    word.store(value, rl::mo_release, $);
    return before;
}

static uint64_t
rn_count_read(rn_count *c)
{
    return c->value;
}

static void
rn_count_set(rn_count *c, uint64_t value)
{
    c->value = value;
}

static uint64_t
rn_count_add(rn_count *c, uint64_t n)
{
    return c->value += n;
}

/* --- rn_lock.h ------------------------------------------------------------ */

#define RN_LOCK_H
struct rn_lock {
    rl::mutex *native;
};

static void
rn_lock_init(rn_lock *lock)
{
    lock->native = new rl::mutex;
}

static void
rn_lock_take(rn_lock *lock)
{
    if (strcmp(mutant, "lock") != 0) {
        lock->native->lock($);
    }
}

static void
rn_lock_drop(rn_lock *lock)
{
    if (strcmp(mutant, "lock") != 0) {
        lock->native->unlock($);
    }
}

static void
rn_lock_destroy(rn_lock *lock)
{
    delete lock->native;
}

/* --- records: a slot of the ring is read and written as a whole ------------ */

#define rn_record rn_plain_record
extern "C" {
#include "rn_netio.h"
}
#undef rn_record

#define CAPACITY 2
static rl::var<unsigned> *slots[CAPACITY];
static const char *first_slot; /* NULL: no ring yet */

static rl::var<unsigned> *
slot_of(const void *record)
{
    ptrdiff_t at = (const char *)record - first_slot;

    return first_slot != NULL && at >= 0 && at < CAPACITY * 128
               ? slots[at / 128]
               : NULL;
}

static void
note_read(const void *record)
{
    if (rl::var<unsigned> *slot = slot_of(record)) {
        (void)(*slot)($).load();
    }
}

static void
note_write(const void *record)
{
    if (rl::var<unsigned> *slot = slot_of(record)) {
        (*slot)($).store(1);
    }
}

struct rn_record : rn_plain_record {
    rn_record() = default;

    rn_record(const rn_record &other) : rn_plain_record(other)
    {
        note_read(&other);
    }

    rn_record &
    operator=(const rn_record &other)
    {
        note_read(&other);
        note_write(this);
        rn_plain_record::operator=(other);
        return *this;
    }
};

/* --- the kernel's side of an eventfd --------------------------------------- */

/* relacy has one of its own, which is not to be assigned to. */
#undef errno
static int errno;

static rl::mutex *kernel;
static rl::condition_variable *readable;
static uint64_t counters[2];
static int counter_count;

static int
model_eventfd(unsigned, int)
{
    counters[counter_count] = 0;
    return counter_count++;
}

static ssize_t
model_write(int fd, const void *, size_t size)
{
    kernel->lock($);
    counters[fd]++;
    readable->notify_all($);
    kernel->unlock($);
    return (ssize_t)size;
}

static ssize_t
model_read(int fd, void *, size_t size)
{
    kernel->lock($);
    bool empty = counters[fd] == 0;
    counters[fd] = 0;
    kernel->unlock($);
    errno = EAGAIN;
    return empty ? -1 : (ssize_t)size;
}

/* A time that ends may end at once; -1 is for ever, and relacy calls a thread
 * that nobody will wake a deadlock.
 */
static int
model_poll(struct pollfd *item, nfds_t, int timeout_ms)
{
    const uint64_t &counter = counters[item->fd];

    kernel->lock($);
    while (timeout_ms < 0 && counter == 0) {
        readable->wait(*kernel, $);
    }
    bool ready = counter != 0;
    kernel->unlock($);
    return ready;
}

#define eventfd model_eventfd
#define read model_read
#define write model_write
#define poll(fds, count, timeout) model_poll(fds, count, timeout)
#define close(fd) ((void)(fd), 0)

#endif
