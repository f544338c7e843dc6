/* inject.c - changes routes of this network namespace at full speed.
 *
 * A batch of requests goes out in one sendmsg.  Without NLM_F_ACK the kernel
 * answers only what it refuses, so nothing has to be read while all is well.
 * One JSON object on standard output says what was done and what it cost.
 *
 *   inject --oif 3 --count 200000 --ops ad            add all, delete all
 *   inject --oif 3 --first fd00::/64 --ops ar         IPv6, add, replace
 *   inject --oif 3 --count 5000 --batch 1 --pace 1000 --stamps FILE
 *   inject --oif 3 --script FILE                      what the file says
 *
 * A script is an array of struct change.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

#define BATCH_MAX 1024
#define REQUEST_MAX 96 /* header, rtmsg, two IPv6 addresses, four numbers */

#ifndef NETLINK_CAP_ACK
#define NETLINK_CAP_ACK 10
#endif

struct change {
    uint8_t op;     /* a, d or r */
    uint8_t family; /* AF_INET, AF_INET6 */
    uint8_t length;
    uint8_t protocol; /* RTPROT_*; of a deletion: 0, any */
    uint8_t address[16];
};

struct options {
    const struct change *script; /* count of them, or NULL */
    uint8_t first[16];           /* the first destination, network order */
    uint8_t via[16];             /* the gateway, if has_via */
    const char *ops; /* one letter a pass: a(dd), d(elete), r(eplace) */
    const char *stamps;
    double pace; /* changes a second; 0: as fast as they are taken */
    uint32_t count;
    uint32_t batch; /* requests in one sendmsg */
    uint32_t table;
    uint32_t metric; /* 0: as the kernel likes; a deletion then fits any */
    uint32_t oif;
    int family;
    int core; /* -1: wherever the scheduler likes */
    uint8_t length;
    uint8_t has_via;
};

struct tally {
    uint64_t sent;
    uint64_t refused;
    int first_errno;  /* of the first refusal */
    int64_t *stamps;  /* CLOCK_MONOTONIC just before each sendmsg, or NULL */
    uint64_t stamped; /* how many of them are filled */
    int64_t started;  /* the pace counts from here */
};

static void
usage(const char *complaint)
{
    fprintf(stderr,
            "inject: %s\n"
            "usage: inject --oif INDEX|NAME [--count N] [--ops LETTERS]\n"
            "    [--first PREFIX/LENGTH] [--via ADDRESS] [--table N] "
            "[--metric N]\n"
            "    [--batch N] [--pace PER_SECOND] [--core N] "
            "[--stamps FILE] [--script FILE]\n",
            complaint);
    exit(2);
}

static void
parse_address(const char *text, int family, uint8_t out[16])
{
    if (inet_pton(family, text, out) != 1) {
        usage("not an address of that family");
    }
}

static void
parse_first(struct options *o, const char *text)
{
    char address[INET6_ADDRSTRLEN] = "";
    unsigned length = 0;
    if (sscanf(text, "%45[^/]/%u", address, &length) != 2) {
        usage("--first wants PREFIX/LENGTH");
    }
    o->family = strchr(address, ':') != NULL ? AF_INET6 : AF_INET;
    if (length < 1 || length > (o->family == AF_INET ? 32u : 128u)) {
        usage("prefix length out of range");
    }
    o->length = (uint8_t)length;
    parse_address(address, o->family, o->first);
}

static uint32_t
parse_number(const char *text, uint32_t least, uint32_t most)
{
    char *end = NULL;
    unsigned long long value = strtoull(text, &end, 10);
    if (*text == '\0' || *end != '\0' || value < least || value > most) {
        usage("a number is missing or out of range");
    }
    return (uint32_t)value;
}

static uint32_t
parse_oif(const char *text)
{
    uint32_t index = if_nametoindex(text);
    return index != 0 ? index : parse_number(text, 1, INT32_MAX);
}

/* The file's changes, to be done once; never given back. */
static void
read_script(struct options *o, const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
        die("inject", path);
    }
    size_t count = (size_t)ftell(file) / sizeof *o->script;
    struct change *script = calloc(count, sizeof *script);
    rewind(file);
    if (script == NULL || count == 0 ||
        fread(script, sizeof *script, count, file) != count) {
        die("inject", path);
    }
    fclose(file);
    o->script = script;
    o->count = (uint32_t)count;
    o->ops = "a";
}

static const struct option LONG_OPTIONS[] = {
    {"oif", required_argument, NULL, 'o'},
    {"count", required_argument, NULL, 'n'},
    {"ops", required_argument, NULL, 'p'},
    {"first", required_argument, NULL, 'f'},
    {"via", required_argument, NULL, 'v'},
    {"table", required_argument, NULL, 't'},
    {"metric", required_argument, NULL, 'm'},
    {"batch", required_argument, NULL, 'b'},
    {"pace", required_argument, NULL, 'r'},
    {"core", required_argument, NULL, 'c'},
    {"stamps", required_argument, NULL, 's'},
    {"script", required_argument, NULL, 'i'},
    {NULL, 0, NULL, 0},
};

static void
parse_option(struct options *o, int letter, const char *value,
             const char **via)
{
    switch (letter) {
    case 'o':
        o->oif = parse_oif(value);
        break;
    case 'n':
        o->count = parse_number(value, 1, 1u << 30);
        break;
    case 'p':
        o->ops = value;
        break;
    case 'f':
        parse_first(o, value);
        break;
    case 'v':
        *via = value; /* its family is known only after --first */
        break;
    case 't':
        o->table = parse_number(value, 1, UINT32_MAX);
        break;
    case 'm':
        o->metric = parse_number(value, 0, UINT32_MAX);
        break;
    case 'b':
        o->batch = parse_number(value, 1, BATCH_MAX);
        break;
    case 'r':
        o->pace = parse_number(value, 1, 1u << 30);
        break;
    case 'c':
        o->core = (int)parse_number(value, 0, CPU_SETSIZE - 1);
        break;
    case 's':
        o->stamps = value;
        break;
    case 'i':
        read_script(o, value);
        break;
    default:
        usage("unknown option");
    }
}

static void
parse_options(struct options *o, int argc, char **argv)
{
    const char *via = NULL;
    int letter;
    parse_first(o, "20.0.0.0/32");
    while ((letter = getopt_long(argc, argv, "", LONG_OPTIONS, NULL)) != -1) {
        parse_option(o, letter, optarg, &via);
    }
    if (optind != argc || o->oif == 0) {
        usage("--oif is needed, and nothing but options");
    }
    if (*o->ops == '\0' || strspn(o->ops, "adr") != strlen(o->ops)) {
        usage("--ops takes the letters a, d and r");
    }
    if (via != NULL) {
        parse_address(via, o->family, o->via);
        o->has_via = 1;
    }
}

/* The first destination plus `step` prefixes of the same length. */
static void
destination(const struct options *o, uint32_t step, uint8_t out[16])
{
    size_t end = (o->length + 7u) / 8u; /* bytes the prefix reaches into */
    uint64_t carry = (uint64_t)step << (end * 8u - o->length);
    memcpy(out, o->first, 16);
    while (carry != 0 && end-- > 0) {
        carry += out[end];
        out[end] = (uint8_t)carry;
        carry >>= 8;
    }
}

static void
put_attribute(struct nlmsghdr *header, uint16_t type, const void *value,
              size_t size)
{
    struct rtattr *attribute =
        (struct rtattr *)((char *)header + NLMSG_ALIGN(header->nlmsg_len));
    attribute->rta_type = type;
    attribute->rta_len = (uint16_t)RTA_LENGTH(size);
    memcpy(RTA_DATA(attribute), value, size);
    header->nlmsg_len =
        NLMSG_ALIGN(header->nlmsg_len) + (uint32_t)RTA_SPACE(size);
}

/* What is to be done: as the script says, or by pass and step.  The protocol
 * alternates with the pass, because the kernel answers a replacement by an
 * equal route with silence.
 */
static struct change
change_at(const struct options *o, size_t pass, uint32_t step)
{
    if (o->script != NULL) {
        return o->script[step];
    }
    struct change change = {
        .op = (uint8_t)o->ops[pass],
        .family = (uint8_t)o->family,
        .length = o->length,
        .protocol = pass % 2 == 0 ? RTPROT_STATIC : RTPROT_BOOT,
    };
    destination(o, step, change.address);
    return change;
}

static void
put_header(struct nlmsghdr *header, const struct options *o,
           const struct change *change)
{
    struct rtmsg *route = NLMSG_DATA(header);
    uint8_t op = change->op;
    header->nlmsg_len = NLMSG_LENGTH(sizeof *route);
    header->nlmsg_type = op == 'd' ? RTM_DELROUTE : RTM_NEWROUTE;
    header->nlmsg_flags = NLM_F_REQUEST;
    if (op != 'd') {
        header->nlmsg_flags |= NLM_F_CREATE;
        header->nlmsg_flags |= op == 'r' ? NLM_F_REPLACE : NLM_F_EXCL;
        route->rtm_protocol = change->protocol;
    }
    route->rtm_family = change->family;
    route->rtm_dst_len = change->length;
    route->rtm_table = o->table < 256 ? (uint8_t)o->table : RT_TABLE_COMPAT;
    route->rtm_scope = op == 'd'    ? RT_SCOPE_NOWHERE
                       : o->has_via ? RT_SCOPE_UNIVERSE
                                    : RT_SCOPE_LINK;
    route->rtm_type = op == 'd' ? RTN_UNSPEC : RTN_UNICAST;
}

static size_t
put_request(void *at, const struct options *o, size_t pass, uint32_t step)
{
    struct nlmsghdr *header = at;
    const struct change change = change_at(o, pass, step);
    size_t size = change.family == AF_INET ? 4 : 16;
    memset(at, 0, REQUEST_MAX);
    put_header(header, o, &change);
    put_attribute(header, RTA_DST, change.address, size);
    put_attribute(header, RTA_OIF, &o->oif, sizeof o->oif);
    put_attribute(header, RTA_TABLE, &o->table, sizeof o->table);
    if (o->metric != 0) {
        put_attribute(header, RTA_PRIORITY, &o->metric, sizeof o->metric);
    }
    if (o->has_via) {
        put_attribute(header, RTA_GATEWAY, o->via, size);
    }
    return header->nlmsg_len;
}

/* Count the refusals that wait; without any this is one EAGAIN. */
static void
read_refusals(int fd, struct tally *tally)
{
    _Alignas(struct nlmsghdr) char buffer[4096];
    ssize_t got;
    while ((got = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT)) > 0) {
        struct nlmsghdr *header = (struct nlmsghdr *)buffer;
        struct nlmsgerr *answer = NLMSG_DATA(header);
        if (header->nlmsg_type != NLMSG_ERROR || answer->error == 0) {
            continue;
        }
        tally->refused++;
        if (tally->first_errno == 0) {
            tally->first_errno = -answer->error;
        }
    }
    if (got < 0 && errno != EAGAIN) {
        die("inject", "recv");
    }
}

static void
keep_pace(const struct options *o, const struct tally *tally)
{
    if (o->pace == 0) {
        return;
    }
    int64_t due =
        tally->started + (int64_t)((double)tally->sent / o->pace * 1e9);
    struct timespec at = {due / 1000000000, due % 1000000000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) ==
           EINTR) {
    }
}

static void
send_batch(int fd, const struct options *o, struct tally *tally, size_t pass,
           uint32_t from)
{
    static _Alignas(struct nlmsghdr) char buffer[BATCH_MAX * REQUEST_MAX];
    uint32_t left = o->count - from;
    uint32_t requests = left < o->batch ? left : o->batch;
    size_t length = 0;
    for (uint32_t i = 0; i < requests; i++) {
        length += put_request(buffer + length, o, pass, from + i);
    }
    keep_pace(o, tally);
    if (tally->stamps != NULL) {
        tally->stamps[tally->stamped++] = now_ns();
    }
    if (send(fd, buffer, length, 0) != (ssize_t)length) {
        die("inject", "send");
    }
    tally->sent += requests;
    read_refusals(fd, tally);
}

static int
open_socket(void)
{
    int one = 1, size = 4 << 20;
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0) {
        die("inject", "socket");
    }
    /* Refusals then quote a header only, so a whole batch of them fits. */
    setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (connect(fd, (struct sockaddr *)&kernel, sizeof kernel) != 0) {
        die("inject", "connect");
    }
    return fd;
}

static void
print_report(const struct tally *tally, int64_t took_ns)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("{\"count\": %llu, \"refused\": %llu, \"first_error\": \"%s\", "
           "\"seconds\": %.6f, \"cpu_user\": %.6f, \"cpu_system\": %.6f}\n",
           (unsigned long long)tally->sent, (unsigned long long)tally->refused,
           tally->refused != 0 ? strerror(tally->first_errno) : "",
           (double)took_ns / 1e9, seconds(usage.ru_utime),
           seconds(usage.ru_stime));
}

int
main(int argc, char **argv)
{
    struct options o = {
        .ops = "ad", .count = 1000, .batch = 256, .table = 254, .core = -1};
    struct tally tally = {0};
    parse_options(&o, argc, argv);
    pin(o.core);
    int fd = open_socket();
    size_t passes = strlen(o.ops);
    if (o.stamps != NULL) {
        tally.stamps = calloc(passes * o.count, sizeof *tally.stamps);
        if (tally.stamps == NULL) {
            die("inject", "calloc");
        }
    }
    tally.started = now_ns();
    for (size_t pass = 0; pass < passes; pass++) {
        for (uint32_t from = 0; from < o.count; from += o.batch) {
            send_batch(fd, &o, &tally, pass, from);
        }
    }
    print_report(&tally, now_ns() - tally.started);
    if (o.stamps != NULL) {
        write_stamps(o.stamps, tally.stamps, tally.stamped);
    }
    free(tally.stamps);
    close(fd);
    return tally.refused != 0;
}
