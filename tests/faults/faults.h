/* faults.h - every allocation and system call of the C files, made to fail when
 * a test says so; included ahead of each of them (ROUTENOTIFY_TEST_FAULTS=1).
 *
 * A call becomes a site: it is in a list from the moment the extension is
 * loaded, counts how often it was reached and how often it failed, and blocks of
 * memory that were not given back are counted too.  faultlab.py reads all that.
 */
#ifndef RN_FAULTS_H
#define RN_FAULTS_H

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#define link link_of_unistd_h /* a name that our files use otherwise */
#include <unistd.h>
#undef link
#include <wchar.h>
#undef _GNU_SOURCE /* each file asks for it by itself, or does not */

#include "../../src/rn_alloc.h"

struct rn_fault_site {
    const char *call;
    const char *file;
    const char *function; /* NULL: never reached */
    int line;
    int error;       /* what errno becomes */
    unsigned passes; /* calls that still succeed */
    unsigned left;   /* calls that fail after them */
    unsigned reached;
    unsigned failed;
};

/* rn_fault - does this one fail?  Then errno is set.  Any thread. */
int
rn_fault(struct rn_fault_site *site);

/* rn_fault_made - count a block that is new, or NULL. */
void *
rn_fault_made(void *block, int is_new);

void
rn_fault_free(void *block);

#define RN_SITE(name, otherwise, call)                                    \
    __extension__({                                                       \
        static struct rn_fault_site rn_site_ = {                          \
            name, __FILE__, NULL, __LINE__, 0, 0, 0, 0, 0};               \
        static struct rn_fault_site *const rn_listed_                     \
            __attribute__((section("rn_fault_sites"), used)) = &rn_site_; \
        rn_listed_->function = __func__;                                  \
        rn_fault(rn_listed_) ? (otherwise) : (call);                      \
    })
#define RN_CALL(name, ...) RN_SITE(#name, -1, name(__VA_ARGS__))
#define RN_BLOCK(name, ...) \
    RN_SITE("malloc", NULL, rn_fault_made(name(__VA_ARGS__), 1))
#define RN_GROWN(name, old, size)                        \
    RN_SITE("malloc", NULL, __extension__({              \
                const int rn_new_ = (old) == NULL;       \
                rn_fault_made(name(old, size), rn_new_); \
            }))

/* What fails tells it by what it returns, by errno, or by both.  Not here:
 * fstatat(), for which thousands of events would have to be lost.
 */
#define socket(...) RN_CALL(socket, __VA_ARGS__)
#define setns(...) RN_CALL(setns, __VA_ARGS__)
#define bind(...) RN_CALL(bind, __VA_ARGS__)
#define setsockopt(...) RN_CALL(setsockopt, __VA_ARGS__)
#define getsockopt(...) RN_CALL(getsockopt, __VA_ARGS__)
#define getsockname(...) RN_CALL(getsockname, __VA_ARGS__)
#define send(...) RN_CALL(send, __VA_ARGS__)
#define sendto(...) RN_CALL(sendto, __VA_ARGS__)
#define recv(...) RN_CALL(recv, __VA_ARGS__)
#define recvfrom(...) RN_CALL(recvfrom, __VA_ARGS__)
#define recvmsg(...) RN_CALL(recvmsg, __VA_ARGS__)
#define recvmmsg(...) RN_CALL(recvmmsg, __VA_ARGS__)
#define poll(...) RN_CALL(poll, __VA_ARGS__)
#define ppoll(...) RN_CALL(ppoll, __VA_ARGS__)
#define eventfd(...) RN_CALL(eventfd, __VA_ARGS__)
#define epoll_create1(...) RN_CALL(epoll_create1, __VA_ARGS__)
#define epoll_ctl(...) RN_CALL(epoll_ctl, __VA_ARGS__)
#define epoll_wait(...) RN_CALL(epoll_wait, __VA_ARGS__)
#define inotify_init1(...) RN_CALL(inotify_init1, __VA_ARGS__)
#define inotify_add_watch(...) RN_CALL(inotify_add_watch, __VA_ARGS__)
#define syscall(...) RN_CALL(syscall, __VA_ARGS__)
#define stat(...) RN_CALL(stat, __VA_ARGS__)
#define fstat(...) RN_CALL(fstat, __VA_ARGS__)
#define open(...) RN_CALL(open, __VA_ARGS__)
#define read(...) RN_CALL(read, __VA_ARGS__)
#define write(...) RN_CALL(write, __VA_ARGS__)
#define fcntl(...) RN_CALL(fcntl, __VA_ARGS__)
#define ioctl(...) RN_CALL(ioctl, __VA_ARGS__)
#define if_indextoname(...) \
    RN_SITE("if_indextoname", NULL, if_indextoname(__VA_ARGS__))
#define pthread_create(...) \
    RN_SITE("pthread_create", errno, pthread_create(__VA_ARGS__))

#define malloc(size) RN_BLOCK(malloc, size)
#define calloc(count, size) RN_BLOCK(calloc, count, size)
#define realloc(old, size) RN_GROWN(realloc, old, size)
#define strdup(text) RN_BLOCK(strdup, text)
#define strndup(text, size) RN_BLOCK(strndup, text, size)
#define mmap(...) RN_SITE("mmap", MAP_FAILED, mmap(__VA_ARGS__))
#define free(block) rn_fault_free(block)
#define rn_alloc(size) RN_BLOCK(rn_alloc, size)
#define rn_alloc_zero(count, size) RN_BLOCK(rn_alloc_zero, count, size)
#define rn_realloc(old, size) RN_GROWN(rn_realloc, old, size)

#endif
