/* rn_wake_posix.c - what the wake-up of rn_wake.h does with a descriptor, an
 * eventfd (rn_wake_linux.c) or a pipe (rn_wake_pipe.c).
 */
#include "rn_wake.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

void
rn_wake_destroy(struct rn_wake *wake)
{
    (void)close((int)wake->object);
    if (wake->setter != wake->object) {
        (void)close((int)wake->setter);
    }
}

void
rn_wake_set(struct rn_wake *wake)
{
    const uint64_t one = 1; /* an eventfd takes no less */

    /* It cannot be full: there is at most one write per read. */
    while (write((int)wake->setter, &one, sizeof(one)) < 0 && errno == EINTR) {
    }
}

void
rn_wake_clear(struct rn_wake *wake, int in_flight)
{
    uint64_t words[8]; /* one is ours; a forked child may have added some */

    if (read((int)wake->object, words, sizeof(words)) < 0 && in_flight &&
        errno == EAGAIN && rn_wake_wait(wake, 1) == 1) {
        (void)!read((int)wake->object, words, sizeof(words));
    }
}

const char rn_wake_wait_call[] = "poll";

/* poll() also returns when there is nothing to wait for: taken for a wake-up
 * that would be a loop at full speed.
 */
int
rn_wake_wait(struct rn_wake *wake, int timeout_ms)
{
    struct pollfd item = {.fd = (int)wake->object, .events = POLLIN};
    int ready = poll(&item, 1, timeout_ms);

    if (ready < 0) {
        return errno == EINTR ? -1 : RN_WAKE_FAILED;
    }
    if (ready > 0 && (item.revents & POLLIN) == 0) {
        errno = item.revents & POLLNVAL ? EBADF : EIO;
        return RN_WAKE_FAILED;
    }
    return ready;
}
