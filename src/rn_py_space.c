/* rn_py_space.c - a counted network namespace: whom a row's names belong to.
 *
 * That of a recording is none of this system's: it has names of its own.
 * Counted atomically, not by the GIL: rows of one monitor die on any thread.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* dup3 */
#endif
#include "rn_py.h"

#include <stdlib.h>

#include "rn_atomic.h"

#ifdef RN_HAVE_NETNS
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <unistd.h>

#ifndef SIOCGSKNS /* newer than the headers with which wheels may be built */
#define SIOCGSKNS 0x894C
#endif
#endif

struct rn_space {
    rn_atomic_u32 references;
    rn_atomic_u32 gone; /* the namespace was removed: nobody is to be asked */
    int fd;             /* -1: a recording's */
    int names_fd; /* what names are asked through: to get there takes long */
    PyObject *names; /* a recording's: a dict, name by interface index */
};

#ifdef RN_HAVE_NETNS
/* From the kernel, for a descriptor opened by a path keeps the file system there
 * busy; before Linux 4.9, or without CAP_NET_ADMIN, it is such a one.
 */
static int
copy_descriptor(int names_fd, int netns_fd, struct rn_fail *fail)
{
    int copy = ioctl(names_fd, SIOCGSKNS);
    if (copy >= 0) {
        return copy;
    }
    copy = fcntl(netns_fd, F_DUPFD_CLOEXEC, 3);
    if (copy < 0) {
        fail->code = errno == EBADF ? RN_ERROR_INVALID_HANDLE
                                    : RN_ERROR_NOT_ENOUGH_MEMORY;
        fail->os_error = errno;
        fail->call = "fcntl(F_DUPFD_CLOEXEC)";
    }
    return copy;
}

static void
close_descriptors(struct rn_space *space)
{
    if (space->fd >= 0) {
        (void)close(space->fd);
    }
    if (space->names_fd >= 0) {
        (void)close(space->names_fd);
    }
}

static int
open_descriptors(struct rn_space *space, int netns_fd, struct rn_fail *fail)
{
    RN_DETACH()
    space->names_fd = rn_names_open(netns_fd, fail);
    RN_ATTACH()
    if (space->names_fd >= 0) {
        space->fd = copy_descriptor(space->names_fd, netns_fd, fail);
    }
    return space->fd < 0 ? -1 : 0;
}

/* The numbers stay taken: whoever is about to use them finds nothing there, and
 * not what somebody else has opened meanwhile.
 */
static void
let_go(const struct rn_space *space)
{
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (nothing >= 0) {
        (void)dup3(nothing, space->fd, O_CLOEXEC);
        (void)dup3(nothing, space->names_fd, O_CLOEXEC);
        (void)close(nothing);
    }
}
#else
static void
let_go(const struct rn_space *space)
{
    (void)space;
}

static void
close_descriptors(struct rn_space *space)
{
    (void)space;
}

static int
open_descriptors(struct rn_space *space, int netns_fd, struct rn_fail *fail)
{
    (void)space;
    (void)netns_fd;
    fail->code = RN_ERROR_NOT_SUPPORTED;
    fail->os_error = 0;
    fail->call = "netns";
    return -1;
}
#endif

static struct rn_space *
make_space(PyObject *names)
{
    struct rn_space *space = malloc(sizeof(*space));
    if (space == NULL) {
        (void)PyErr_NoMemory();
        return NULL;
    }
    rn_store_release(&space->references, 1);
    rn_store_release(&space->gone, 0);
    space->fd = -1;
    space->names_fd = -1;
    space->names = Py_XNewRef(names);
    return space;
}

struct rn_space *
rn_space_new(struct rn_state *state, int netns_fd)
{
    struct rn_fail fail;
    struct rn_space *space = make_space(NULL);
    if (space != NULL && open_descriptors(space, netns_fd, &fail) < 0) {
        (void)rn_raise(state, &fail);
        rn_space_unref(space);
        return NULL;
    }
    return space;
}

struct rn_space *
rn_space_recorded(PyObject *names)
{
    return make_space(names);
}

struct rn_space *
rn_space_ref(struct rn_space *space)
{
    if (space != NULL) {
        (void)rn_fetch_add(&space->references, 1);
    }
    return space;
}

/* The count's full barriers order every use before the close. */
void
rn_space_unref(struct rn_space *space)
{
    if (space == NULL || rn_fetch_add(&space->references, UINT32_MAX) != 1) {
        return;
    }
    close_descriptors(space);
    Py_XDECREF(space->names);
    free(space);
}

void
rn_space_removed(struct rn_space *space)
{
    if (space != NULL && space->fd >= 0 && rn_exchange(&space->gone, 1) == 0) {
        let_go(space);
    }
}

int
rn_space_is_gone(struct rn_space *space)
{
    return space != NULL && rn_load_acquire(&space->gone) != 0;
}

PyObject *
rn_space_names(const struct rn_space *space)
{
    return space == NULL ? NULL : space->names;
}

int
rn_space_fd(const struct rn_space *space)
{
    return space == NULL ? -1 : space->fd;
}

int
rn_space_names_fd(const struct rn_space *space)
{
    return space == NULL ? -1 : space->names_fd;
}
