/* rn_linux_socket.c - what is asked of the system beside messages: netlink
 * sockets in a namespace, clocks; errno to Win32 codes.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "rn_linux.h"

/* Newer than the headers of Linux 3.10, with which wheels may be built. */
#define WIRE_GET_STRICT_CHK 12
#define WIRE_SO_MEMINFO 55
#define WIRE_MEMINFO_DROPS 8
#define WIRE_MEMINFO_VARS 9

static const unsigned groups[] = {
    1,  /* LINK */ 5,         /* IPV4_IFADDR */ 7,   /* IPV4_ROUTE */
    9,  /* IPV6_IFADDR */ 11, /* IPV6_ROUTE */ 12,   /* IPV6_IFINFO */
    18, /* IPV6_PREFIX */ 24, /* IPV4_NETCONF */ 25, /* IPV6_NETCONF */
    32,                                              /* NEXTHOP */
};

static uint32_t
code_of(int os_error)
{
    switch (os_error) {
    case ENOMEM:
    case ENOBUFS:
        return RN_ERROR_NOT_ENOUGH_MEMORY;
    case EACCES:
    case EPERM:
        return RN_ERROR_ACCESS_DENIED;
    case ENOENT:
        return RN_ERROR_FILE_NOT_FOUND;
    case EBADF:
        return RN_ERROR_INVALID_HANDLE;
    case EINVAL:
        return RN_ERROR_INVALID_PARAMETER;
    case ESRCH:
    case ENODEV:
    case ENETUNREACH:
    case EHOSTUNREACH:
        return RN_ERROR_NOT_FOUND;
    case EAFNOSUPPORT:
    case EOPNOTSUPP:
    case EPROTONOSUPPORT:
        return RN_ERROR_NOT_SUPPORTED;
    case EMFILE:
    case ENFILE:
        return 4; /* ERROR_TOO_MANY_OPEN_FILES */
    case ETIMEDOUT:
        return RN_ERROR_TIMEOUT;
    default:
        return 31; /* ERROR_GEN_FAILURE */
    }
}

int
rn_linux_fail_as(struct rn_fail *fail, int os_error, const char *call)
{
    fail->code = code_of(os_error);
    fail->os_error = os_error;
    fail->call = call;
    return -1;
}

int
rn_linux_fail(struct rn_fail *fail, const char *call)
{
    return rn_linux_fail_as(fail, errno, call);
}

static int
socket_here(struct rn_fail *fail)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
                    NETLINK_ROUTE);

    return fd < 0 ? rn_linux_fail(fail, "socket(AF_NETLINK)") : fd;
}

/* To enter the namespace that one is in asks for a privilege, too. */
static int
is_own_namespace(int netns_fd)
{
    struct rn_fail ignored;
    dev_t dev[2];
    ino_t ino[2];

    return rn_linux_namespace(netns_fd, &dev[0], &ino[0], &ignored) == 0 &&
           rn_linux_namespace(-1, &dev[1], &ino[1], &ignored) == 0 &&
           dev[0] == dev[1] && ino[0] == ino[1];
}

/* A namespace belongs to a thread; this one ends with its errand. */
struct errand {
    int netns_fd;
    int fd;
    struct rn_fail *fail;
};

static void *
errand_run(void *argument)
{
    struct errand *errand = argument;

    errand->fd = setns(errand->netns_fd, CLONE_NEWNET) < 0
                     ? rn_linux_fail(errand->fail, "setns(CLONE_NEWNET)")
                     : socket_here(errand->fail);
    return NULL;
}

int
rn_linux_socket(int netns_fd, struct rn_fail *fail)
{
    struct errand errand = {netns_fd, -1, fail};
    pthread_t thread;

    if (netns_fd < 0 || is_own_namespace(netns_fd)) {
        return socket_here(fail);
    }
    int error = pthread_create(&thread, NULL, errand_run, &errand);
    if (error) {
        return rn_linux_fail_as(fail, error, "pthread_create");
    }
    pthread_join(thread, NULL);
    return errand.fd;
}

static int
take_any(void *self, struct nlmsghdr *header)
{
    (void)self;
    (void)header;
    return 1;
}

/* One small exchange, whose answer is read with a large buffer. */
static int
prime(int fd, struct rn_fail *fail)
{
    struct {
        struct nlmsghdr header;
        struct ifinfomsg link;
    } request = {
        .header = {.nlmsg_type = RTM_GETLINK, .nlmsg_flags = NLM_F_REQUEST},
        .link = {.ifi_index = 1},
    };
    struct rn_exchange exchange = {
        .fd = fd,
        .request = &request,
        .size = sizeof(request),
        .call = "send(RTM_GETLINK)",
        .read_call = "recv(RTM_GETLINK)",
        .each = take_any,
    };

    return rn_linux_exchange(&exchange, fail) < 0 ? -1 : 0;
}

int
rn_linux_request_socket(int netns_fd, struct rn_fail *fail)
{
    const int on = 1;
    int fd = rn_linux_socket(netns_fd, fail);

    if (fd < 0) {
        return -1;
    }
    /* Before Linux 4.20 there is no strict checking, and no need of it. */
    (void)setsockopt(fd, SOL_NETLINK, WIRE_GET_STRICT_CHK, &on, sizeof(on));
    if (prime(fd, fail) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static uint32_t
buffer_of(int fd)
{
    int size = 0;
    socklen_t length = sizeof(size);

    return getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, &length) < 0
               ? 0
               : (uint32_t)size;
}

/* What the kernel grants without a privilege (net.core.rmem_max limits it) may
 * be less than the socket got with one: it is found out on another socket.
 */
static void
set_without_force(int fd, int size)
{
    struct rn_fail ignored;
    const uint32_t now = buffer_of(fd);
    const int smaller = (uint32_t)size <= now / 2; /* the kernel doubles it */
    int scratch = smaller ? -1 : socket_here(&ignored);

    if (scratch >= 0) {
        (void)setsockopt(scratch, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    }
    if (smaller || (scratch >= 0 && buffer_of(scratch) > now)) {
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    }
    if (scratch >= 0) {
        close(scratch);
    }
}

uint32_t
rn_linux_rcvbuf(int fd, uint32_t bytes)
{
    int size = bytes > INT32_MAX / 2 ? INT32_MAX / 2 : (int)bytes;

    /* FORCE wants CAP_NET_ADMIN. */
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0) {
        set_without_force(fd, size);
    }
    return buffer_of(fd);
}

int
rn_linux_join_groups(int fd, struct rn_fail *fail)
{
    for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
        /* A kernel without nexthop objects has no such group: fine. */
        if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i],
                       sizeof(groups[i])) < 0 &&
            errno != EINVAL) {
            return rn_linux_fail(fail, "setsockopt(NETLINK_ADD_MEMBERSHIP)");
        }
    }
    return 0;
}

int
rn_linux_bound_socket(int netns_fd, uint32_t rcvbuf, struct rn_fail *fail)
{
    struct sockaddr_nl local = {.nl_family = AF_NETLINK};
    int fd = rn_linux_socket(netns_fd, fail);

    if (fd < 0) {
        return -1;
    }
    (void)rn_linux_rcvbuf(fd, rcvbuf);
    if (bind(fd, (struct sockaddr *)&local, sizeof(local)) < 0) {
        rn_linux_fail(fail, "bind(AF_NETLINK)");
        close(fd);
        return -1;
    }
    return fd;
}

int
rn_linux_event_socket(int netns_fd, uint32_t rcvbuf, struct rn_fail *fail)
{
    int fd = rn_linux_bound_socket(netns_fd, rcvbuf, fail);

    if (fd >= 0 && rn_linux_join_groups(fd, fail) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

uint32_t
rn_linux_drops(int fd)
{
    uint32_t info[WIRE_MEMINFO_VARS] = {0};
    socklen_t length = sizeof(info);

    if (getsockopt(fd, SOL_SOCKET, WIRE_SO_MEMINFO, info, &length) < 0) {
        return 0; /* before Linux 4.12 */
    }
    return info[WIRE_MEMINFO_DROPS];
}

/* Of the calling thread; /proc/thread-self came with Linux 3.17. */
static int
stat_own_namespace(struct stat *info)
{
    char path[64];

    if (stat("/proc/thread-self/ns/net", info) == 0) {
        return 0;
    }
    long thread = (syscall)(SYS_gettid); /* cannot fail: nor in tests/faults */
    (void)snprintf(path, sizeof(path), "/proc/self/task/%ld/ns/net", thread);
    return stat(path, info);
}

int
rn_linux_namespace(int netns_fd, dev_t *dev, ino_t *ino, struct rn_fail *fail)
{
    struct stat info;

    if (netns_fd >= 0 && fstat(netns_fd, &info) < 0) {
        return rn_linux_fail(fail, "fstat(netns)");
    }
    if (netns_fd < 0 && stat_own_namespace(&info) < 0) {
        return rn_linux_fail(
            fail, "stat(/proc/self/task/TID/ns/net), which needs a mounted "
                  "/proc");
    }
    *dev = info.st_dev;
    *ino = info.st_ino;
    return 0;
}

int
rn_linux_may_try(void)
{
    char text[4096];
    int fd = open("/proc/thread-self/status", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

    if (fd >= 0) {
        close(fd);
    }
    text[length < 0 ? 0 : length] = '\0';
    return strstr(text, "\nSeccomp:\t0\n") != NULL;
}

static int64_t
read_clock(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t
rn_linux_wall_ns(void)
{
    return read_clock(CLOCK_REALTIME);
}

int64_t
rn_linux_steady_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}
