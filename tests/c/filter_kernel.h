/* filter_kernel.h - filters and route messages made of what any() gives, and a
 * socket with the program of a filter: what test_filter.c and the fuzz target
 * both let the kernel decide.  The includer defines any(below) before.
 */
#ifndef FILTER_KERNEL_H
#define FILTER_KERNEL_H

#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rn_check.h"
#include "rn_filter.h"
#include "rn_linux.h"

#ifndef SO_ATTACH_FILTER
#define SO_ATTACH_FILTER 26
#endif

/* From 0 to below - 1, as the includer's source of chance says. */
static uint32_t
any(uint32_t below);

/* ---- filters as bytes ---- */

struct bytes {
    uint8_t at[65536];
    size_t size;
};

static void
put(struct bytes *out, const void *data, size_t size)
{
    CHECK(out->size + size <= sizeof(out->at));
    memcpy(out->at + out->size, data, size);
    out->size += size;
}

static void
put_op(struct bytes *out, char op, uint32_t count)
{
    put(out, &op, 1);
    put(out, &count, sizeof(count));
}

/* Few addresses, so that prefixes meet: 10.b.c.d with small b, c, d. */
static void
random_address(int version, uint8_t out[16])
{
    memset(out, 0, 16);
    out[0] = version == 4 ? 10 : 0xfd;
    out[1] = (uint8_t)any(2);
    out[2] = (uint8_t)(any(4) << 6);
    out[3] = (uint8_t)any(4);
    if (version == 6) {
        out[8] = (uint8_t)(any(2) << 7);
        out[15] = (uint8_t)any(2);
    }
}

static void
clear_beyond(uint8_t address[16], int length, int bits)
{
    for (int bit = length; bit < bits; bit++) {
        address[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
    }
}

static int
random_length(int version)
{
    static const uint8_t v4[] = {0, 1, 8, 9, 15, 16, 17, 18, 24, 31, 32};
    static const uint8_t v6[] = {0, 8, 18, 32, 63, 64, 65, 127, 128};

    return version == 4 ? v4[any(sizeof(v4))] : v6[any(sizeof(v6))];
}

static void
random_prefix(uint8_t out[18])
{
    int version = any(3) ? 4 : 6;
    int length = random_length(version);

    out[0] = (uint8_t)version;
    out[1] = (uint8_t)length;
    random_address(version, out + 2);
    clear_beyond(out + 2, length, version == 4 ? 32 : 128);
}

static void
put_prefixes(struct bytes *out, char op, uint32_t count)
{
    put_op(out, op, count);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t prefix[18];
        random_prefix(prefix);
        put(out, prefix, sizeof(prefix));
    }
}

static uint32_t
random_table(void)
{
    static const uint32_t tables[] = {1,   77,  252,  253,
                                      254, 255, 1000, 0xfffefdfc};

    return tables[any(8)];
}

static void
put_numbers(struct bytes *out, char op, uint32_t count)
{
    put_op(out, op, count);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t number = op == 't' ? random_table() : any(4);
        put(out, &number, sizeof(number));
    }
}

static void
put_tree(struct bytes *out, int depth)
{
    static const char ops[] = "tttiprc===<<<>>>&&||!";
    char op = ops[any((uint32_t)strlen(ops) - (depth ? 0 : 5))];
    uint32_t count = any(20) ? any(4) : 70; /* seldom more than fit */

    if (op == '!') {
        put(out, &op, 1);
        put_tree(out, depth - 1);
    } else if (op == '&' || op == '|') {
        count = any(4);
        put_op(out, op, count);
        for (uint32_t i = 0; i < count; i++) {
            put_tree(out, depth - 1);
        }
    } else if (strchr("=<>", op)) {
        put_prefixes(out, op, count);
    } else {
        put_numbers(out, op, count);
    }
}

/* ---- route messages as bytes ---- */

struct frame {
    struct nlmsghdr header;
    struct rtmsg route;
    uint8_t attributes[256];
};

static void
add_attribute(struct frame *frame, uint16_t type, const void *data,
              size_t size)
{
    struct rtattr head = {(uint16_t)RTA_LENGTH(size), type};
    uint8_t *at = (uint8_t *)frame + frame->header.nlmsg_len;

    memset(at, 0, RTA_SPACE(size));
    memcpy(at, &head, sizeof(head));
    memcpy(at + RTA_LENGTH(0), data, size);
    frame->header.nlmsg_len += (uint32_t)RTA_SPACE(size);
}

static void
add_table(struct frame *frame)
{
    uint32_t table = random_table();

    frame->route.rtm_table = table < 256 ? (uint8_t)table : RT_TABLE_COMPAT;
    if (table >= 256 || any(8)) { /* old kernels leave it out */
        add_attribute(frame, RTA_TABLE, &table, sizeof(table));
    }
}

/* Seldom one that the kernel would not send: it must come through. */
static void
add_damage(struct frame *frame)
{
    static const uint8_t data[16];

    switch (any(24)) {
    case 0:
        frame->route.rtm_dst_len = 40;
        break;
    case 1:
        add_attribute(frame, RTA_DST, data, 3);
        break;
    case 2:
        frame->header.nlmsg_type = RTM_NEWLINK;
        break;
    case 3:
        frame->route.rtm_family = 7;
        break;
    case 4:
        frame->header.nlmsg_len = 20 + any(8);
        break;
    default:
        break;
    }
}

static void
random_frame(struct frame *frame)
{
    int version = any(3) ? 4 : 6;
    uint32_t metric = any(100);
    uint8_t address[16];

    memset(frame, 0, sizeof(*frame));
    frame->header.nlmsg_len = offsetof(struct frame, attributes);
    frame->header.nlmsg_type = any(2) ? RTM_NEWROUTE : RTM_DELROUTE;
    frame->route.rtm_family = version == 4 ? AF_INET : AF_INET6;
    frame->route.rtm_type = RTN_UNICAST;
    frame->route.rtm_dst_len = (uint8_t)random_length(version);
    random_address(version, address);
    clear_beyond(address, frame->route.rtm_dst_len, version == 4 ? 32 : 128);
    if (any(2)) {
        add_attribute(frame, RTA_PRIORITY, &metric, sizeof(metric));
    }
    if (frame->route.rtm_dst_len || any(4) == 0) {
        add_attribute(frame, RTA_DST, address, version == 4 ? 4 : 16);
    }
    add_table(frame);
    add_damage(frame);
}

static struct rn_hop message_hops[RN_HOPS_MAX];
static struct rn_route_message message = {.hops = message_hops,
                                          .room = RN_HOPS_MAX};

/* What must be decided; -1: either will do, for the kernel never sends it (a
 * message that does not parse, or that says its table nowhere).  What is no
 * route goes through.
 */
static int
expected(const struct rn_filter *filter, const struct frame *frame)
{
    const size_t size = frame->header.nlmsg_len;
    enum rn_parse parsed = rn_rtnl_route(&frame->header, size, &message);

    if (parsed != RN_PARSE_OK) {
        return parsed == RN_PARSE_IGNORED ||
                       size < offsetof(struct frame, attributes)
                   ? 1
                   : -1;
    }
    const struct rn_entry *entry = &message.entry;
    const struct rn_filter_key key = {entry->ip_version, entry->table,
                                      entry->destination};
    if (frame->route.rtm_table == RT_TABLE_COMPAT && entry->table == 252) {
        return -1; /* see load_table() */
    }
    return rn_filter_interest(filter, &key);
}

/* ---- the kernel ---- */

struct pipe {
    int in;
    int out;
};

/* Return: 0: there is no program for this filter. */
static int
attach(struct pipe *pipe, const struct rn_filter *filter)
{
    static struct rn_instruction program[RN_PROGRAM_MAX];
    struct sock_fprog fprog = {.filter = (void *)program};
    int fds[2];

    fprog.len = (unsigned short)rn_filter_program(filter, program);
    if (!fprog.len) {
        return 0;
    }
    CHECK(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, fds) == 0);
    CHECK(setsockopt(fds[1], SOL_SOCKET, SO_ATTACH_FILTER, &fprog,
                     sizeof(fprog)) == 0);
    *pipe = (struct pipe){fds[0], fds[1]};
    return 1;
}

static int
passes(const struct pipe *pipe, const void *bytes, size_t size)
{
    static uint8_t buffer[65536];
    ssize_t sent = send(pipe->in, bytes, size, 0);

    CHECK(sent == (ssize_t)size || sent < 0);
    return recv(pipe->out, buffer, sizeof(buffer), 0) >= 0;
}

#endif
