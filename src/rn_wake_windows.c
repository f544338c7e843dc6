/* rn_wake_windows.c - the wake-up of rn_wake.h on a manual-reset event. */
#include "rn_wake.h"

#include <errno.h>

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

static HANDLE
event_of(const struct rn_wake *wake)
{
    return (HANDLE)wake->object;
}

const char rn_wake_call[] = "CreateEvent";

int
rn_wake_init(struct rn_wake *wake)
{
    HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL);

    if (event == NULL) {
        return -1;
    }
    wake->object = (intptr_t)event;
    /* The producer may have looked already: an exchange sees what it saw. */
    (void)rn_exchange(&wake->state, RN_WAKE_OFF);
    return 0;
}

void
rn_wake_destroy(struct rn_wake *wake)
{
    (void)CloseHandle(event_of(wake));
}

void
rn_wake_clear(struct rn_wake *wake, int in_flight)
{
    if (in_flight) {
        (void)WaitForSingleObject(event_of(wake), 1);
    }
    (void)ResetEvent(event_of(wake));
}

void
rn_wake_set(struct rn_wake *wake)
{
    (void)SetEvent(event_of(wake));
}

const char rn_wake_wait_call[] = "WaitForSingleObject";

/* Ctrl-C does not end it: the caller waits in slices and looks in between. */
int
rn_wake_wait(struct rn_wake *wake, int timeout_ms)
{
    DWORD limit = timeout_ms < 0 ? INFINITE : (DWORD)timeout_ms;
    DWORD result = WaitForSingleObject(event_of(wake), limit);

    if (result == WAIT_FAILED) {
        errno = EBADF; /* the one reason there is */
        return RN_WAKE_FAILED;
    }
    return result == WAIT_OBJECT_0;
}
