/* rn_wake_pipe.c - the object of rn_wake.h where there is neither an eventfd nor
 * an event, a pipe: recordings are replayed on such systems, too.
 */
#include "rn_wake.h"

#include <fcntl.h>
#include <unistd.h>

const char rn_wake_call[] = "pipe";

static int
prepare(int fd)
{
    return fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ||
                   fcntl(fd, F_SETFL, O_NONBLOCK) < 0
               ? -1
               : 0;
}

int
rn_wake_init(struct rn_wake *wake)
{
    int ends[2];

    if (pipe(ends) < 0) {
        return -1;
    }
    wake->object = ends[0];
    wake->setter = ends[1];
    if (prepare(ends[0]) < 0 || prepare(ends[1]) < 0) {
        rn_wake_destroy(wake);
        return -1;
    }
    /* The producer may have looked already: an exchange sees what it saw. */
    (void)rn_exchange(&wake->state, RN_WAKE_OFF);
    return 0;
}
