/* rn_linux_ringbuf.c - the event socket's messages through a BPF ring buffer,
 * bpf(2), instead of its queue: a program on the socket copies each into memory
 * that is mapped here, and drops it.  No system call then receives it, and the
 * kernel neither queues nor frees it.
 *
 * The kernel's side is run by whoever changes a route, the other one by the
 * reader.  Everything goes this way, so the order stays.  When the ring is full
 * the program takes nothing more until the ring has been read empty: what the
 * kernel does with a full queue, and repaired the same way.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rn_alloc.h"
#include "rn_linux.h"

#define WIRE_SO_ATTACH_BPF 50

/* The largest message must fit, and this is some of them. */
#define RING_MIN (256u << 10)
#define RING_MAX (1u << 30)

/* What stands before each record, and its length's upper bits. */
#define RECORD_HEADER 8u
#define RECORD_BUSY (1u << 31)
#define RECORD_DISCARDED (1u << 30)

/* Shared with the program, which has it in a map of one element. */
struct control {
    rn_atomic_u32 congested; /* nothing is taken; cleared by the reader */
    uint32_t reserved;
    rn_count lost; /* messages; the program's */
};
static_assert(offsetof(struct control, congested) == RN_RINGBUF_CONGESTED &&
                  offsetof(struct control, lost) == RN_RINGBUF_LOST,
              "the program's offsets");

/* How a record begins; the message follows. */
struct record {
    uint32_t length;
    uint32_t sender; /* port, 0: the kernel */
};
static_assert(sizeof(struct record) == RN_RINGBUF_PREFIX, "the program's");

struct rn_ringbuf {
    int map_fd;
    int control_fd;
    int program_fd;
    uint32_t size; /* a power of two */
    size_t page;
    struct control *control;
    /* Two mappings: ours to write, and the kernel's, which has its position in
     * its first page, then the ring twice: no record is in two pieces.
     */
    rn_atomic_word *consumer;
    unsigned char *kernels;
    unsigned long at;   /* what the reader has taken; its own */
    unsigned long seen; /* and looked at */
};

static uint32_t
size_for(uint32_t wanted)
{
    uint32_t size = RING_MIN;

    while (size < wanted && size < RING_MAX) {
        size *= 2;
    }
    return size;
}

static void *
map_memory(int fd, size_t length, int protection, off_t offset,
           struct rn_fail *fail)
{
    void *memory = mmap(NULL, length, protection, MAP_SHARED, fd, offset);

    if (memory == MAP_FAILED) {
        rn_linux_fail(fail, "mmap(BPF_MAP_TYPE_RINGBUF)");
        return NULL;
    }
    /* A child has no reader, and would keep the memory for nothing. */
    (void)madvise(memory, length, MADV_DONTFORK);
    return memory;
}

static int
make_maps(struct rn_ringbuf *ring, struct rn_fail *fail)
{
    const int both = PROT_READ | PROT_WRITE;

    ring->map_fd = rn_linux_bpf_ring(ring->size, fail);
    if (ring->map_fd < 0) {
        return -1;
    }
    ring->control_fd = rn_linux_bpf_value(sizeof(struct control), fail);
    if (ring->control_fd < 0) {
        return -1;
    }
    ring->control = map_memory(ring->control_fd, ring->page, both, 0, fail);
    if (!ring->control) {
        return -1;
    }
    ring->consumer = map_memory(ring->map_fd, ring->page, both, 0, fail);
    if (!ring->consumer) {
        return -1;
    }
    ring->kernels =
        map_memory(ring->map_fd, ring->page + 2 * (size_t)ring->size,
                   PROT_READ, (off_t)ring->page, fail);
    return ring->kernels ? 0 : -1;
}

/* A message to ourselves: is it in the ring, with our port as its sender?  Where
 * the port lies in the kernel's memory is no promise of the kernel's.
 */
static int
try_out(struct rn_ringbuf *ring, int socket_fd, struct rn_fail *fail)
{
    struct sockaddr_nl own;
    socklen_t length = sizeof(own);
    struct nlmsghdr message = {.nlmsg_len = sizeof(message),
                               .nlmsg_type = NLMSG_NOOP};
    struct rn_datagram datagram;

    if (getsockname(socket_fd, (struct sockaddr *)&own, &length) < 0) {
        return rn_linux_fail(fail, "getsockname(AF_NETLINK)");
    }
    if (sendto(socket_fd, &message, sizeof(message), 0,
               (struct sockaddr *)&own, sizeof(own)) < 0) {
        return rn_linux_fail(fail, "sendto(AF_NETLINK)");
    }
    if (rn_linux_ringbuf_peek(ring, &datagram, 1) != 1 ||
        datagram.sender != own.nl_pid || datagram.size != sizeof(message) ||
        memcmp(datagram.at, &message, sizeof(message)) != 0) {
        return rn_linux_fail_as(fail, EOPNOTSUPP, "setsockopt(SO_ATTACH_BPF)");
    }
    rn_linux_ringbuf_take(ring);
    return 0;
}

static int
attach(struct rn_ringbuf *ring, int socket_fd, struct rn_fail *fail)
{
    ring->program_fd =
        rn_linux_bpf_copier(ring->map_fd, ring->control_fd, fail);
    if (ring->program_fd < 0) {
        return -1;
    }
    if (setsockopt(socket_fd, SOL_SOCKET, WIRE_SO_ATTACH_BPF,
                   &ring->program_fd, sizeof(ring->program_fd)) < 0) {
        return rn_linux_fail(fail, "setsockopt(SO_ATTACH_BPF)");
    }
    return try_out(ring, socket_fd, fail);
}

struct rn_ringbuf *
rn_linux_ringbuf_new(int socket_fd, uint32_t wanted, struct rn_fail *fail)
{
    struct rn_ringbuf *ring = rn_alloc_zero(1, sizeof(*ring));

    if (!ring) {
        rn_linux_fail_as(fail, ENOMEM, "malloc");
        return NULL;
    }
    ring->map_fd = ring->control_fd = ring->program_fd = -1;
    ring->size = size_for(wanted);
    ring->page = (size_t)sysconf(_SC_PAGESIZE);
    if (make_maps(ring, fail) < 0 || attach(ring, socket_fd, fail) < 0) {
        rn_linux_ringbuf_free(ring);
        return NULL;
    }
    return ring;
}

void
rn_linux_ringbuf_close(struct rn_ringbuf *ring)
{
    int *const fds[] = {&ring->map_fd, &ring->control_fd, &ring->program_fd};

    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
        if (*fds[i] >= 0) {
            close(*fds[i]);
        }
        *fds[i] = -1;
    }
}

void
rn_linux_ringbuf_free(struct rn_ringbuf *ring)
{
    if (!ring) {
        return;
    }
    rn_linux_ringbuf_close(ring);
    if (ring->kernels) {
        munmap(ring->kernels, ring->page + 2 * (size_t)ring->size);
    }
    if (ring->consumer) {
        munmap(ring->consumer, ring->page);
    }
    if (ring->control) {
        munmap(ring->control, ring->page);
    }
    free(ring);
}

int
rn_linux_ringbuf_fd(const struct rn_ringbuf *ring)
{
    return ring->map_fd;
}

uint32_t
rn_linux_ringbuf_size(const struct rn_ringbuf *ring)
{
    return ring->size;
}

uint64_t
rn_linux_ringbuf_lost(const struct rn_ringbuf *ring)
{
    return rn_count_read(&ring->control->lost);
}

/* Pairs with the kernel's release when it reserves a record. */
static unsigned long
produced(const struct rn_ringbuf *ring)
{
    return rn_word_load_acquire((rn_atomic_word *)(void *)ring->kernels);
}

size_t
rn_linux_ringbuf_peek(struct rn_ringbuf *ring, struct rn_datagram *out,
                      size_t room)
{
    unsigned char *records = ring->kernels + ring->page;
    const unsigned long end = produced(ring);
    size_t count = 0;

    ring->seen = ring->at;
    while (ring->seen != end && count < room) {
        unsigned char *at = records + (ring->seen & (ring->size - 1));
        /* Pairs with the kernel's exchange when it commits. */
        uint32_t length = rn_load_acquire((rn_atomic_u32 *)(void *)at);
        if (length & RECORD_BUSY) {
            break;
        }
        const struct record *record = (void *)(at + RECORD_HEADER);
        if (!(length & RECORD_DISCARDED) && record->length) {
            out[count++] =
                (struct rn_datagram){(const unsigned char *)(record + 1),
                                     record->length, record->sender};
        }
        length &= ~RECORD_DISCARDED;
        ring->seen += (length + RECORD_HEADER + 7) & ~7ul;
    }
    if (!count && ring->seen != ring->at) { /* only what says nothing */
        rn_linux_ringbuf_take(ring);
    }
    return count;
}

void
rn_linux_ringbuf_take(struct rn_ringbuf *ring)
{
    ring->at = ring->seen;
    /* Our reads of the records are before; pairs with the kernel's acquire when
     * it looks for room.
     */
    rn_word_store_release(ring->consumer, ring->at);
}

int
rn_linux_ringbuf_empty(const struct rn_ringbuf *ring)
{
    return produced(ring) == ring->at;
}

/* A full barrier: what we have taken is to be seen before.  Pairs with the
 * program's exchange, after which it looks for room once more.
 */
int
rn_linux_ringbuf_congested(struct rn_ringbuf *ring)
{
    return rn_fetch_add(&ring->control->congested, 0) != 0;
}

void
rn_linux_ringbuf_resume(struct rn_ringbuf *ring)
{
    (void)rn_exchange(&ring->control->congested, 0);
}
