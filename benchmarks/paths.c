/* paths.c - the hot paths by themselves: fixed input, no kernel, no Python.
 *
 *   paths PATH [--count ROUTES] [--rounds N]
 *
 * Prints one JSON object: how many items went through and the nanoseconds of
 * CPU that each took.  benchmarks/counts.py runs it under callgrind instead and
 * counts the instructions inside measured().
 */
#define _GNU_SOURCE
#include <getopt.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "bench.h"
#include "rn_channel.h"
#include "rn_mirror.h"
#include "rn_ring.h"
#include "rn_rtnl.h"

#define MESSAGE 256 /* bytes; the largest here has about 200 */
#define HOPS 4
#define BATCH 64 /* messages that rn_linux_receive.c reads at once */

enum shape { IPV4, IPV6, MULTIPATH };

struct input {
    uint32_t count;
    uint32_t rounds;
    unsigned char *messages; /* count of MESSAGE bytes, RTM_NEWROUTE */
    struct rn_entry *entries;
    struct rn_hop *hops; /* one an entry */
};

struct path {
    const char *name;
    enum shape shape;
    uint64_t (*work)(const struct input *input); /* items done */
};

static struct rn_hop hops[RN_HOPS_MAX];
static struct rn_route_message scratch = {.hops = hops, .room = RN_HOPS_MAX};
static struct rn_route_message ahead[BATCH];
static struct rn_hop ahead_hops[BATCH];
static uint64_t emitted;

static void
put(struct nlmsghdr *header, uint16_t type, const void *value, size_t size)
{
    struct rtattr *attribute =
        (struct rtattr *)((char *)header + NLMSG_ALIGN(header->nlmsg_len));

    attribute->rta_type = type;
    attribute->rta_len = (uint16_t)RTA_LENGTH(size);
    memcpy(RTA_DATA(attribute), value, size);
    header->nlmsg_len =
        NLMSG_ALIGN(header->nlmsg_len) + (uint32_t)RTA_SPACE(size);
}

static void
put_number(struct nlmsghdr *header, uint16_t type, uint32_t value)
{
    put(header, type, &value, sizeof(value));
}

static void
put_metrics(struct nlmsghdr *header)
{
    struct {
        struct rtattr head;
        uint32_t mtu;
    } metrics = {{RTA_LENGTH(4), RTAX_MTU}, 1400};

    put(header, RTA_METRICS, &metrics, sizeof(metrics));
}

static void
put_hops(struct nlmsghdr *header)
{
    struct {
        struct rtnexthop head;
        struct rtattr attribute;
        uint8_t gateway[4];
    } hops[HOPS];

    memset(hops, 0, sizeof(hops));
    for (int i = 0; i < HOPS; i++) {
        hops[i].head.rtnh_len = sizeof(hops[i]);
        hops[i].head.rtnh_ifindex = 3;
        hops[i].attribute.rta_type = RTA_GATEWAY;
        hops[i].attribute.rta_len = RTA_LENGTH(4);
        hops[i].gateway[3] = (uint8_t)(i + 1);
    }
    put(header, RTA_MULTIPATH, hops, sizeof(hops));
}

/* As the kernel says it: net/ipv4/fib_semantics.c, net/ipv6/route.c. */
static void
make_message(void *at, enum shape shape, uint32_t number)
{
    struct nlmsghdr *header = at;
    struct rtmsg *route = NLMSG_DATA(header);
    const struct rta_cacheinfo cache = {0};
    const uint8_t preference = 0;
    uint8_t address[16] = {shape == IPV6 ? 0xfd : 20};

    header->nlmsg_len = NLMSG_LENGTH(sizeof(*route));
    header->nlmsg_type = RTM_NEWROUTE;
    header->nlmsg_flags = NLM_F_CREATE | NLM_F_EXCL;
    *route = (struct rtmsg){
        .rtm_family = shape == IPV6 ? AF_INET6 : AF_INET,
        .rtm_dst_len = shape == IPV6 ? 48 : 32,
        .rtm_table = RT_TABLE_MAIN,
        .rtm_protocol = RTPROT_STATIC,
        .rtm_type = RTN_UNICAST,
    };
    address[shape == IPV6 ? 3 : 1] = (uint8_t)(number >> 16);
    address[shape == IPV6 ? 4 : 2] = (uint8_t)(number >> 8);
    address[shape == IPV6 ? 5 : 3] = (uint8_t)number;
    put_number(header, RTA_TABLE, RT_TABLE_MAIN);
    put(header, RTA_DST, address, shape == IPV6 ? 16 : 4);
    if (shape == MULTIPATH) {
        put_metrics(header);
        put_hops(header);
        return;
    }
    if (shape == IPV6) {
        put_number(header, RTA_PRIORITY, 1024);
    }
    put_number(header, RTA_OIF, 3);
    if (shape == IPV6) {
        put(header, RTA_CACHEINFO, &cache, sizeof(cache));
        put(header, RTA_PREF, &preference, 1);
    }
}

static const struct nlmsghdr *
message(const struct input *input, uint32_t number)
{
    return (const struct nlmsghdr *)(const void *)(input->messages +
                                                   (size_t)number * MESSAGE);
}

static void
parse(const struct input *input, uint32_t number, struct rn_route_message *out)
{
    const struct nlmsghdr *header = message(input, number);

    if (rn_rtnl_route(header, header->nlmsg_len, out) != RN_PARSE_OK) {
        die("paths", "a message of its own did not parse");
    }
}

static void
make_input(struct input *input, enum shape shape)
{
    input->messages = calloc(input->count, MESSAGE);
    input->entries = calloc(input->count, sizeof(*input->entries));
    input->hops = calloc(input->count, sizeof(*input->hops));
    if (!input->messages || !input->entries || !input->hops) {
        die("paths", "calloc");
    }
    for (uint32_t i = 0; i < input->count; i++) {
        make_message(input->messages + (size_t)i * MESSAGE, shape, i);
        parse(input, i, &scratch);
        input->hops[i] = scratch.hops[0];
        input->entries[i] = scratch.entry;
        input->entries[i].hops = &input->hops[i];
    }
}

static void
free_input(struct input *input)
{
    free(input->messages);
    free(input->entries);
    free(input->hops);
}

static void
count_record(void *self, struct rn_record *record)
{
    (void)self;
    (void)record;
    emitted++;
}

static struct rn_mirror *
new_mirror(void)
{
    struct rn_mirror *mirror = rn_mirror_new(count_record, NULL);

    if (!mirror) {
        die("paths", "rn_mirror_new");
    }
    return mirror;
}

static struct rn_channel *
new_channel(uint32_t capacity)
{
    const struct rn_channel_config config = {.capacity = capacity};
    struct rn_channel *channel = rn_channel_new(&config);

    if (!channel) {
        die("paths", "rn_channel_new");
    }
    return channel;
}

static uint64_t
parse_all(const struct input *input)
{
    for (uint32_t i = 0; i < input->count; i++) {
        parse(input, i, &scratch);
    }
    return input->count;
}

static uint64_t
mirror_churn(const struct input *input)
{
    struct rn_mirror *mirror = new_mirror();
    uint32_t i;

    for (i = 0; i < input->count; i++) {
        rn_mirror_added(mirror, &input->entries[i],
                        RN_PLACE_CREATE | RN_PLACE_EXCL);
    }
    for (i = 0; i < input->count; i++) {
        struct rn_entry other = input->entries[i];
        other.protocol = RTPROT_BOOT;
        rn_mirror_added(mirror, &other, RN_PLACE_CREATE | RN_PLACE_REPLACE);
        input->entries[i].protocol = other.protocol;
    }
    for (i = 0; i < input->count; i++) {
        rn_mirror_deleted(mirror, &input->entries[i]);
        input->entries[i].protocol = RTPROT_STATIC;
    }
    rn_mirror_free(mirror);
    return 3 * (uint64_t)input->count;
}

/* A dump that is held against the table: two thirds of it are known. */
static uint64_t
mirror_compare(const struct input *input)
{
    struct rn_mirror *mirror = new_mirror();
    const int family = input->entries[0].ip_version;
    uint32_t i;

    for (i = 0; i < input->count; i++) {
        if (i % 3 != 0) {
            rn_mirror_added(mirror, &input->entries[i], RN_PLACE_CREATE);
        }
    }
    rn_mirror_begin(mirror, family, 0, 0);
    for (i = 0; i < input->count; i++) {
        rn_mirror_dumped(mirror, &input->entries[i]);
    }
    rn_mirror_finish(mirror, family, 1, 0);
    rn_mirror_free(mirror);
    return input->count;
}

static uint64_t
ring_through(const struct input *input)
{
    static struct rn_ring ring;
    static unsigned char slots[1024 * RN_SLOT];
    static struct rn_record out[256];
    struct rn_record record = {.type = RN_ADD, .ip_version = 4};

    rn_ring_init(&ring, slots, 1024, 0);
    for (uint32_t i = 0; i < input->count; i++) {
        record.sequence = i;
        rn_ring_push(&ring, &record);
        if (i % 256 == 255) {
            rn_ring_take(&ring, out, 256);
        }
    }
    return input->count;
}

static void
take_all(struct rn_channel *channel)
{
    const struct rn_record *records;
    uint32_t count;

    while ((count = rn_channel_peek(channel, &records, 256)) != 0) {
        rn_channel_release(channel, count);
    }
}

static void
emit_all(const struct input *input, struct rn_channel *channel,
         uint32_t before_taking)
{
    struct rn_record record = {.ip_version = 4, .prefix_length = 32};

    for (uint32_t i = 0; i < input->count; i++) {
        uint32_t row = i / 2; /* each is added, then deleted */
        record.type = i % 2 == 0 ? RN_ADD : RN_PARAMETER;
        memcpy(record.destination, &row, sizeof(row));
        rn_channel_emit(channel, &record);
        if (i % before_taking == before_taking - 1) {
            rn_channel_flush(channel);
            take_all(channel);
        }
    }
    take_all(channel);
}

static uint64_t
channel_through(const struct input *input)
{
    struct rn_channel *channel = new_channel(1024);

    emit_all(input, channel, 256);
    rn_channel_free(channel);
    return input->count;
}

static uint64_t
channel_spilling(const struct input *input)
{
    struct rn_channel *channel = new_channel(16);

    emit_all(input, channel, 1024);
    rn_channel_free(channel);
    return input->count;
}

/* One batch as rn_linux_receive.c does it: all parsed, then all applied. */
static void
receive_batch(const struct input *input, struct rn_mirror *mirror,
              uint32_t from, int deleting)
{
    struct rn_entry *expected[BATCH];
    uint32_t left = input->count - from;
    uint32_t count = left < BATCH ? left : BATCH;

    for (uint32_t i = 0; i < count; i++) {
        ahead[i].hops = &ahead_hops[i];
        ahead[i].room = 1;
        parse(input, from + i, &ahead[i]);
        expected[i] = &ahead[i].entry;
    }
    rn_mirror_expect(mirror, expected, count);
    for (uint32_t i = 0; i < count; i++) {
        if (deleting) {
            rn_mirror_deleted(mirror, expected[i]);
        } else {
            rn_mirror_added(mirror, expected[i],
                            RN_PLACE_CREATE | RN_PLACE_EXCL);
        }
    }
}

static void
emit_record(void *channel, struct rn_record *record)
{
    rn_channel_emit(channel, record);
}

/* Everything between recvmmsg() and Python. */
static uint64_t
whole_way(const struct input *input)
{
    struct rn_channel *channel = new_channel(1024);
    struct rn_mirror *mirror = rn_mirror_new(emit_record, channel);

    if (!mirror) {
        die("paths", "rn_mirror_new");
    }
    for (int deleting = 0; deleting < 2; deleting++) {
        for (uint32_t from = 0; from < input->count; from += BATCH) {
            receive_batch(input, mirror, from, deleting);
            rn_channel_flush(channel);
            take_all(channel);
        }
    }
    rn_mirror_free(mirror);
    rn_channel_free(channel);
    return 2 * (uint64_t)input->count;
}

static const struct path paths[] = {
    {"parse4", IPV4, parse_all},
    {"parse6", IPV6, parse_all},
    {"parse_multipath", MULTIPATH, parse_all},
    {"mirror4", IPV4, mirror_churn},
    {"mirror6", IPV6, mirror_churn},
    {"compare4", IPV4, mirror_compare},
    {"compare6", IPV6, mirror_compare},
    {"ring", IPV4, ring_through},
    {"drain", IPV4, channel_through},
    {"spill", IPV4, channel_spilling},
    {"whole4", IPV4, whole_way},
    {"whole6", IPV6, whole_way},
};

/* Its name is what callgrind is told to collect in: never inlined. */
__attribute__((noinline)) static uint64_t
measured(const struct path *path, const struct input *input)
{
    uint64_t items = 0;

    for (uint32_t i = 0; i < input->rounds; i++) {
        items += path->work(input);
    }
    return items;
}

static int64_t
cpu_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void
usage(void)
{
    fprintf(stderr, "usage: paths PATH [--count ROUTES] [--rounds N]\n"
                    "paths:");
    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
        fprintf(stderr, " %s", paths[i].name);
    }
    fprintf(stderr, "\n");
    exit(2);
}

static const struct path *
find_path(const char *name)
{
    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
        if (strcmp(paths[i].name, name) == 0) {
            return &paths[i];
        }
    }
    usage();
    return NULL;
}

static const struct path *
parse_options(struct input *input, int argc, char **argv)
{
    static const struct option known[] = {
        {"count", required_argument, NULL, 'n'},
        {"rounds", required_argument, NULL, 'r'},
        {NULL, 0, NULL, 0},
    };
    int letter;

    while ((letter = getopt_long(argc, argv, "", known, NULL)) != -1) {
        uint32_t value = letter == '?' ? 0 : (uint32_t)atoi(optarg);
        if (value == 0 || value > 1u << 24) {
            usage();
        }
        *(letter == 'n' ? &input->count : &input->rounds) = value;
    }
    return find_path(optind + 1 == argc ? argv[optind] : "");
}

int
main(int argc, char **argv)
{
    struct input input = {.count = 4096, .rounds = 1};
    const struct path *path = parse_options(&input, argc, argv);

    make_input(&input, path->shape);
    int64_t start = cpu_ns();
    uint64_t items = measured(path, &input);
    double ns = (double)(cpu_ns() - start) / (double)items;
    printf("{\"path\": \"%s\", \"items\": %llu, \"ns\": %.2f}\n", path->name,
           (unsigned long long)items, ns);
    free_input(&input);
    return 0;
}
