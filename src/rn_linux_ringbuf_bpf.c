/* rn_linux_ringbuf_bpf.c - the program that copies an event socket's messages
 * into a ring buffer, and bpf(2), with which it and its maps are made.
 *
 * Extended BPF, as instructions: no compiler is needed where it runs.  See
 * rn_linux_ringbuf.c for what it is good for.
 */
#define _GNU_SOURCE
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rn_linux.h"

/* linux/bpf.h: newer than the headers with which wheels may be built. */
#define WIRE_MAP_CREATE 0
#define WIRE_PROG_LOAD 5
#define WIRE_MAP_ARRAY 2
#define WIRE_MAP_RINGBUF 27
#define WIRE_MAP_MMAPABLE (1u << 10)
#define WIRE_SOCKET_FILTER 1
#define WIRE_PSEUDO_MAP_FD 1
#define WIRE_PSEUDO_MAP_VALUE 2
#define WIRE_SKB_LOAD_BYTES 26
#define WIRE_PROBE_READ_KERNEL 113
#define WIRE_RINGBUF_RESERVE 131
#define WIRE_RINGBUF_SUBMIT 132
#define WIRE_FORCE_WAKEUP 2

#ifndef SYS_bpf
#if defined(__x86_64__) && !defined(__ILP32__)
#define SYS_bpf 321
#elif defined(__i386__)
#define SYS_bpf 357
#elif defined(__arm__)
#define SYS_bpf 386
#elif defined(__powerpc64__)
#define SYS_bpf 361
#elif defined(__s390x__)
#define SYS_bpf 351
#elif defined(__aarch64__) || defined(__riscv) || defined(__loongarch__)
#define SYS_bpf 280
#else
#define SYS_bpf (-1) /* ENOSYS */
#endif
#endif

struct wire_map {
    uint32_t type;
    uint32_t key_size;
    uint32_t value_size;
    uint32_t max_entries;
    uint32_t flags;
    uint32_t inner_map_fd;
    uint32_t numa_node;
    char name[16]; /* for who looks, with bpftool */
};

struct wire_program {
    uint32_t type;
    uint32_t count;
    _Alignas(8) uint64_t instructions;
    uint64_t license;
    uint32_t log_level;
    uint32_t log_size;
    uint64_t log;
    uint32_t kernel_version;
    uint32_t flags;
    char name[16];
};

/* union bpf_attr: what is used of it, and zeros as far as some old one went. */
union wire_attributes {
    uint8_t all[72];
    struct wire_map map;
    struct wire_program program;
};

static int
call_bpf(int command, union wire_attributes *attributes, const char *call,
         struct rn_fail *fail)
{
    long fd = syscall(SYS_bpf, command, attributes, sizeof(*attributes));

    return fd < 0 ? rn_linux_fail(fail, call) : (int)fd;
}

int
rn_linux_bpf_ring(uint32_t size, struct rn_fail *fail)
{
    union wire_attributes attributes = {.all = {0}};

    attributes.map = (struct wire_map){
        .type = WIRE_MAP_RINGBUF, .max_entries = size, .name = "routenotify"};
    return call_bpf(WIRE_MAP_CREATE, &attributes,
                    "bpf(BPF_MAP_CREATE, BPF_MAP_TYPE_RINGBUF)", fail);
}

int
rn_linux_bpf_value(uint32_t size, struct rn_fail *fail)
{
    union wire_attributes attributes = {.all = {0}};

    attributes.map = (struct wire_map){.type = WIRE_MAP_ARRAY,
                                       .key_size = 4,
                                       .value_size = size,
                                       .max_entries = 1,
                                       .flags = WIRE_MAP_MMAPABLE,
                                       .name = "routenotify"};
    return call_bpf(WIRE_MAP_CREATE, &attributes,
                    "bpf(BPF_MAP_CREATE, BPF_MAP_TYPE_ARRAY)", fail);
}

/* ---- instructions ---- */

struct instruction {
    uint8_t code;
    uint8_t registers; /* destination, and source in the other half */
    int16_t offset;
    int32_t value;
};
static_assert(sizeof(struct instruction) == 8, "struct bpf_insn");

enum { R0, R1, R2, R3, R4, R5, MESSAGE, LENGTH, RECORD, CONTROL, FRAME };

#define SET_VALUE 0xb7 /* to = value */
#define SET 0xbf       /* to = from */
#define ADD_VALUE 0x07 /* to += value */
#define LOAD_32 0x61   /* to = memory at from + offset */
#define STORE_32 0x63  /* memory at to + offset = from */
#define STORE_VALUE 0x62
#define STORE_VALUE_64 0x7a
#define COUNT_64 0xdb    /* memory at to + offset += from, atomically */
#define EXCHANGE_32 0xc3 /* swapped with from, a full barrier; Linux 5.12 */
#define EXCHANGE 0xe1    /* its value */
#define LOAD_MAP 0x18    /* takes two */
#define IF_EQUAL 0x15    /* to == value */
#define IF_UNEQUAL 0x55
#define IF_ABOVE 0x25 /* to > value, unsigned */
#define CALL 0x85
#define EXIT 0x95

#define PROGRAM_MAX 160
#define JUMPS_MAX 8

/* Room for a port on the program's stack. */
#define SENDER (-8)

/* Offset of sk_buff.cb, which begins with netlink_skb_parms, and of its portid
 * in there (include/linux/netlink.h).  Where it is another one, a message to
 * ourselves shows it.
 */
#define PORT_AT ((sizeof(void *) == 8 ? 40 : 24) + 12)

struct program {
    struct instruction all[PROGRAM_MAX];
    int count;
    int full[JUMPS_MAX]; /* jumps to the end for what found no room */
    int full_count;
};

static int
add(struct program *p, unsigned code, unsigned to, unsigned from, int offset,
    int value)
{
    uint8_t registers = (uint8_t)(to | from << 4);

    if (*(const uint8_t *)&(const uint16_t){1} == 0) { /* big-endian */
        registers = (uint8_t)(to << 4 | from);
    }
    p->all[p->count] =
        (struct instruction){(uint8_t)code, registers, (int16_t)offset, value};
    return p->count++;
}

static void
load_map(struct program *p, unsigned to, unsigned kind, int fd)
{
    add(p, LOAD_MAP, to, kind, 0, fd);
    add(p, 0, 0, 0, 0, 0);
}

/* A jump made before goes to the next instruction. */
static void
land(struct program *p, int jump)
{
    p->all[jump].offset = (int16_t)(p->count - jump - 1);
}

static void
give_up(struct program *p)
{
    add(p, SET_VALUE, R0, 0, 0, 0); /* the queue shall not have it */
    add(p, EXIT, 0, 0, 0, 0);
}

/* A message from user space has the sender's port there, the kernel's has 0. */
static void
read_sender(struct program *p)
{
    add(p, STORE_VALUE, FRAME, 0, SENDER, 0);
    add(p, SET, R1, FRAME, 0, 0);
    add(p, ADD_VALUE, R1, 0, 0, SENDER);
    add(p, SET_VALUE, R2, 0, 0, 4);
    add(p, SET, R3, MESSAGE, 0, 0);
    add(p, ADD_VALUE, R3, 0, 0, (int)PORT_AT);
    add(p, CALL, 0, 0, 0, WIRE_PROBE_READ_KERNEL);
}

/* The message into a record with room for `size` bytes, if it is no larger: what
 * is reserved must be a constant.
 */
static void
copy_up_to(struct program *p, int map_fd, int size)
{
    int larger = add(p, IF_ABOVE, LENGTH, 0, 0, size);

    load_map(p, R1, WIRE_PSEUDO_MAP_FD, map_fd);
    add(p, SET_VALUE, R2, 0, 0, size + RN_RINGBUF_PREFIX);
    add(p, SET_VALUE, R3, 0, 0, 0);
    add(p, CALL, 0, 0, 0, WIRE_RINGBUF_RESERVE);
    p->full[p->full_count++] = add(p, IF_EQUAL, R0, 0, 0, 0);
    add(p, SET, RECORD, R0, 0, 0);
    add(p, STORE_32, RECORD, LENGTH, 0, 0);
    add(p, LOAD_32, R1, FRAME, SENDER, 0);
    add(p, STORE_32, RECORD, R1, 4, 0);
    add(p, SET, R1, MESSAGE, 0, 0);
    add(p, SET_VALUE, R2, 0, 0, 0);
    add(p, SET, R3, RECORD, 0, 0);
    add(p, ADD_VALUE, R3, 0, 0, RN_RINGBUF_PREFIX);
    add(p, SET, R4, LENGTH, 0, 0);
    add(p, CALL, 0, 0, 0, WIRE_SKB_LOAD_BYTES);
    add(p, SET, R1, RECORD, 0, 0);
    add(p, SET_VALUE, R2, 0, 0, 0); /* wake the reader if it has read all */
    add(p, CALL, 0, 0, 0, WIRE_RINGBUF_SUBMIT);
    give_up(p);
    land(p, larger);
}

/* No room: from now on nothing is taken.  The reader, which looks whether it is
 * so when it has read everything, may have done both just now: an empty record
 * wakes it, unless the ring is full even now, and then it will look later.
 */
static void
congest(struct program *p, int map_fd)
{
    for (int i = 0; i < p->full_count; i++) {
        land(p, p->full[i]);
    }
    add(p, SET_VALUE, R1, 0, 0, 1);
    add(p, EXCHANGE_32, CONTROL, R1, RN_RINGBUF_CONGESTED, EXCHANGE);
    int already = add(p, IF_UNEQUAL, R1, 0, 0, 0);
    load_map(p, R1, WIRE_PSEUDO_MAP_FD, map_fd);
    add(p, SET_VALUE, R2, 0, 0, RN_RINGBUF_PREFIX);
    add(p, SET_VALUE, R3, 0, 0, 0);
    add(p, CALL, 0, 0, 0, WIRE_RINGBUF_RESERVE);
    int still_full = add(p, IF_EQUAL, R0, 0, 0, 0);
    add(p, STORE_VALUE_64, R0, 0, 0, 0);
    add(p, SET, R1, R0, 0, 0);
    add(p, SET_VALUE, R2, 0, 0, WIRE_FORCE_WAKEUP);
    add(p, CALL, 0, 0, 0, WIRE_RINGBUF_SUBMIT);
    land(p, already);
    land(p, still_full);
}

static void
write_program(struct program *p, int map_fd, int control_fd)
{
    /* With what stands before it a usual message of IPv4 takes two cache lines;
     * the last one is the largest there is.
     */
    static const int sizes[] = {112, 240, 1008, 8176, RN_DATAGRAM};

    add(p, SET, MESSAGE, R1, 0, 0);
    add(p, LOAD_32, LENGTH, R1, 0, 0); /* __sk_buff.len */
    load_map(p, CONTROL, WIRE_PSEUDO_MAP_VALUE, control_fd);
    add(p, LOAD_32, R1, CONTROL, RN_RINGBUF_CONGESTED, 0);
    int congested = add(p, IF_UNEQUAL, R1, 0, 0, 0);
    int nothing = add(p, IF_EQUAL, LENGTH, 0, 0, 0);
    read_sender(p);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        copy_up_to(p, map_fd, sizes[i]);
    }
    congest(p, map_fd);
    land(p, congested);
    add(p, SET_VALUE, R1, 0, 0, 1);
    add(p, COUNT_64, CONTROL, R1, RN_RINGBUF_LOST, 0);
    land(p, nothing);
    give_up(p);
}

int
rn_linux_bpf_copier(int map_fd, int control_fd, struct rn_fail *fail)
{
    union wire_attributes attributes = {.all = {0}};
    struct program p = {.count = 0};

    write_program(&p, map_fd, control_fd);
    /* Reading the kernel's memory is for programs that the GPL goes with, and
     * the MIT licence does.
     */
    attributes.program =
        (struct wire_program){.type = WIRE_SOCKET_FILTER,
                              .count = (uint32_t)p.count,
                              .instructions = (uintptr_t)p.all,
                              .license = (uintptr_t) "Dual MIT/GPL",
                              .name = "routenotify"};
    return call_bpf(WIRE_PROG_LOAD, &attributes,
                    "bpf(BPF_PROG_LOAD, BPF_PROG_TYPE_SOCKET_FILTER)", fail);
}
