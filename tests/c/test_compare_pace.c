/* test_compare_pace.c - how often the system is compared with, by a clock that
 * the test sets: the socket's other end and the mirror are played here.
 */
/* sources: rn_rtnl.c */
/* sanitizers: address */
#include "rn_check.h"

#include "../../src/rn_linux_compare.c"

#include <unistd.h>

#define DOZEN 12

static int64_t clock_ns = 1000 * MS;
static size_t finish_left;
static uint32_t
    doubted; /* a device of whose carrier a row says something else */
static unsigned carrier_news;
static unsigned marks;
static unsigned finished;

int64_t
rn_linux_steady_ns(void)
{
    return clock_ns;
}

int64_t
rn_linux_wall_ns(void)
{
    return clock_ns;
}

void
rn_linux_mark(struct rn_source *source, enum rn_type type, int cause)
{
    (void)source, (void)cause;
    marks += type == RN_RESYNC_BEGIN ? 1 : 0x100;
}

void
rn_linux_begun(struct rn_source *source, unsigned family)
{
    (void)source, (void)family;
}

void
rn_linux_compared(struct rn_source *source, unsigned family, size_t left)
{
    (void)source, (void)family, (void)left;
    finished++;
}

int64_t
rn_linux_only_table(const struct rn_source *source)
{
    (void)source;
    return -1;
}

int
rn_linux_wants(const struct rn_source *source, const struct rn_filter_key *key)
{
    (void)source, (void)key;
    return 1;
}

struct rn_route_message *
rn_linux_scratch(struct rn_source *source, unsigned char **datagram)
{
    static struct rn_hop hops[RN_HOPS_MAX];
    static struct rn_route_message scratch = {.hops = hops,
                                              .room = RN_HOPS_MAX};
    static unsigned char memory[RN_DATAGRAM];

    (void)source;
    *datagram = memory;
    return &scratch;
}

void
rn_mirror_begin(struct rn_mirror *mirror, int ip_version, int again, int lost)
{
    (void)mirror, (void)ip_version, (void)again, (void)lost;
}

int
rn_mirror_dumped(struct rn_mirror *mirror, const struct rn_entry *entry)
{
    (void)mirror, (void)entry;
    return 0;
}

size_t
rn_mirror_finish(struct rn_mirror *mirror, int ip_version, int exact,
                 int silent)
{
    (void)mirror, (void)ip_version, (void)exact, (void)silent;
    return finish_left;
}

void
rn_mirror_abandon(struct rn_mirror *mirror, int ip_version)
{
    (void)mirror, (void)ip_version;
}

size_t
rn_mirror_touched(const struct rn_mirror *mirror, int ip_version)
{
    (void)mirror, (void)ip_version;
    return 0;
}

int
rn_linux_large_alive(const struct rn_source *source, int ip_version)
{
    (void)source, (void)ip_version;
    return 0;
}

uint32_t
rn_linux_links_doubt(struct rn_links *links, const struct rn_entry *entry)
{
    (void)links, (void)entry;
    return doubted;
}

void
rn_linux_carrier_news(struct rn_source *source, uint32_t index)
{
    (void)source;
    CHECK_EQ(doubted, index);
    carrier_news++;
}

static int kernel_fd;

static void
open_source(struct rn_source *source)
{
    int pair[2];

    memset(source, 0, sizeof(*source));
    CHECK_EQ(0, socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
    source->request_fd = pair[0];
    source->loaded = 1;
    kernel_fd = pair[1];
    marks = finished = 0;
}

static void
close_source(struct rn_source *source)
{
    close(source->request_fd);
    close(kernel_fd);
}

/* The kernel's answer to the request that was sent; an end if it was a dump. */
static void
answered(struct rn_source *source, uint16_t flags)
{
    char request[256];
    struct {
        struct nlmsghdr header;
        int code;
    } reply = {.header = {.nlmsg_len = sizeof(reply),
                          .nlmsg_type = NLMSG_DONE,
                          .nlmsg_flags = flags,
                          .nlmsg_seq = source->compare.sequence}};

    CHECK(recv(kernel_fd, request, sizeof(request), MSG_DONTWAIT) > 0);
    answer(source, &reply.header, NULL);
}

/* Begun by the next step, which is due; it takes so long, and leaves doubt. */
static void
compare_for(struct rn_source *source, int64_t length, size_t left)
{
    rn_linux_compare_step(source);
    CHECK_EQ(RN_COMPARE_BARRIER, source->compare.state);
    answered(source, 0);
    answered(source, 0);
    answered(source, 0);
    CHECK_EQ(RN_COMPARE_EMPTY, source->compare.state);
    clock_ns += length;
    finish_left = left;
    rn_linux_compare_empty(source);
    CHECK_EQ(RN_COMPARE_IDLE, source->compare.state);
}

/* Nothing begins before so much time has gone, whatever comes meanwhile. */
static void
waits(struct rn_source *source, int64_t length)
{
    clock_ns += length - 1;
    rn_linux_want(source, 1, 1);
    rn_linux_compare_step(source);
    CHECK_EQ(RN_COMPARE_IDLE, source->compare.state);
    CHECK_EQ(1, rn_linux_compare_timeout(source));
    clock_ns++;
    CHECK_EQ(0, rn_linux_compare_timeout(source));
}

/* 5 ms later, then 10, up to 2 s, but not before as long as it took; and the
 * same again after one that left none.
 */
static void
test_doubt(void)
{
    static const int64_t ms[DOZEN] = {8,   10,  20,   40,   80,   160,
                                      320, 640, 1280, 2000, 2000, 2000};
    struct rn_source source;

    open_source(&source);
    rn_linux_want(&source, 1, 1);
    for (int turn = 0; turn < 2; turn++) {
        for (unsigned i = 0; i < DOZEN; i++) {
            compare_for(&source, 8 * MS, 1);
            CHECK_EQ(i + 1, source.compare.pace[0].attempts);
            waits(&source, ms[i] * MS);
        }
        compare_for(&source, 30 * MS, 0);
        CHECK_EQ(0, source.compare.pace[0].attempts);
        waits(&source, 30 * MS);
    }
    CHECK_EQ(2 * (DOZEN + 1), source.resyncs.value);
    close_source(&source);
}

/* A dump that failed, or could not be asked for, is tried later in the same
 * way, and nobody is told an end.
 */
static void
test_failure(void)
{
    struct rn_source source;

    open_source(&source);
    rn_linux_want(&source, 1, 1);
    rn_linux_compare_step(&source);
    answered(&source, 0);
    source.compare.failed = 1; /* NLM_F_DUMP_INTR, or no memory */
    answered(&source, 0);
    CHECK_EQ(RN_COMPARE_IDLE, source.compare.state);
    waits(&source, 5 * MS);
    close(kernel_fd);
    kernel_fd = -1;
    rn_linux_compare_step(&source);
    CHECK_EQ(RN_COMPARE_IDLE, source.compare.state);
    waits(&source, 10 * MS);
    CHECK_EQ(2, source.compare.pace[0].attempts);
    CHECK_EQ(2, finished);
    CHECK_EQ(1, marks);
    CHECK_EQ(0, source.resyncs.value);
    close_source(&source);
}

/* Overruns without an end, for ten minutes: at most half of them goes into
 * comparing, however long one takes.
 */
static void
test_storm(void)
{
    struct rn_source source;
    uint64_t state = rn_check_seed((uint64_t)time(NULL));
    const int64_t begun = clock_ns;
    int64_t comparing = 0;

    open_source(&source);
    while (clock_ns - begun < 600000 * MS) {
        rn_linux_want(&source, 3, 1);
        while (rn_linux_compare_timeout(&source) > 0) {
            rn_linux_compare_step(&source);
            CHECK_EQ(RN_COMPARE_IDLE, source.compare.state);
            clock_ns += MS / 2;
        }
        size_t left = rn_check_below(&state, 3);
        int64_t length = (1 + rn_check_below(&state, 500)) * (int64_t)MS;
        compare_for(&source, length, left);
        comparing += length;
    }
    CHECK(source.resyncs.value > 100);
    CHECK(2 * comparing <= clock_ns - begun + 500 * MS);
    close_source(&source);
}

/* Asked for by news of both families: the markers lie around all of it. */
static void
test_markers(void)
{
    struct rn_source source;

    open_source(&source);
    rn_linux_want(&source, 3, 1);
    compare_for(&source, MS, 1);
    clock_ns += 5 * MS;
    compare_for(&source, MS, 0);
    clock_ns += MS;
    CHECK_EQ(1, marks);
    CHECK_EQ(1, source.compare.wanted);
    compare_for(&source, MS, 0);
    CHECK_EQ(0x101, marks);
    CHECK_EQ(-1, rn_linux_compare_timeout(&source));
    close_source(&source);
}

/* A family that always leaves doubt does not keep the other one waiting, nor
 * does a good comparison of that shorten its own waiting.
 */
static void
test_noise(void)
{
    struct rn_source source;

    open_source(&source);
    rn_linux_want(&source, 1, 0);
    for (unsigned i = 1; i <= DOZEN; i++) {
        compare_for(&source, MS, 1);
        CHECK_EQ(4, source.compare.family);
        rn_linux_want(&source, 2, 0);
        clock_ns += MS;
        compare_for(&source, MS, 0);
        CHECK_EQ(6, source.compare.family);
        CHECK_EQ(i, source.compare.pace[0].attempts);
        clock_ns += 2000 * MS;
    }
    close_source(&source);
}

/* The NEWLINK of a doubt that a dump raises may have been read already. */
static void
test_carrier(void)
{
    struct rn_source source;
    unsigned char *memory;
    struct {
        struct nlmsghdr header;
        struct rtmsg route;
    } row = {
        .header = {.nlmsg_len = sizeof(row), .nlmsg_type = RTM_NEWROUTE},
        .route = {.rtm_family = AF_INET,
                  .rtm_table = RT_TABLE_MAIN,
                  .rtm_type = RTN_UNICAST},
    };

    open_source(&source);
    for (doubted = 0; doubted < 2; doubted++) {
        carrier_news = 0;
        dumped(&source, &row.header, rn_linux_scratch(&source, &memory));
        CHECK_EQ(doubted, carrier_news);
    }
    doubted = 0;
    close_source(&source);
}

int
main(void)
{
    test_doubt();
    test_noise();
    test_failure();
    test_storm();
    test_markers();
    test_carrier();
    return 0;
}
