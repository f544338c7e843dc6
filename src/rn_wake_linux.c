/* rn_wake_linux.c - the object of rn_wake.h: an eventfd. */
#include "rn_wake.h"

#include <sys/eventfd.h>

const char rn_wake_call[] = "eventfd";

int
rn_wake_init(struct rn_wake *wake)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    if (fd < 0) {
        return -1;
    }
    wake->object = fd;
    wake->setter = fd;
    /* The producer may have looked already: an exchange sees what it saw. */
    (void)rn_exchange(&wake->state, RN_WAKE_OFF);
    return 0;
}
