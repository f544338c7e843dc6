/* test_filter.c - filters against judges that do it the long way: prefix sets
 * prefix by prefix, and the kernel's decision on real message bytes against
 * rn_filter_interest(); bytes that are no filter.
 */
/* sources: rn_filter.c rn_filter_build.c rn_filter_prefix.c rn_filter_interest.c rn_linux_bpf.c rn_rtnl.c */
/* sanitizers: address */
#define _GNU_SOURCE
#include "rn_filter.h"

#include <string.h>
#include <time.h>

#include "filter_kernel.h"
#include "rn_check.h"

long rn_alloc_fail_at;
long rn_alloc_calls;

static uint64_t seed;

static uint32_t
any(uint32_t below)
{
    return rn_check_below(&seed, below);
}

static struct rn_filter *
random_filter(void)
{
    static struct bytes bytes;
    const char *why;

    bytes.size = 0;
    put_tree(&bytes, 3);
    struct rn_filter *filter = rn_filter_new(bytes.at, bytes.size, &why);
    CHECK(filter != NULL);
    return filter;
}

static unsigned decisions[2];

static void
check_frames(const struct rn_filter *filter, int count)
{
    struct pipe pipe;

    if (!attach(&pipe, filter)) {
        CHECK(rn_filter_family(filter, 0, 0, 4) == 1);
        CHECK(rn_filter_family(filter, 0, 0, 6) == 1);
        return;
    }
    for (int i = 0; i < count; i++) {
        struct frame frame;
        random_frame(&frame);
        int wanted = expected(filter, &frame);
        int passed = passes(&pipe, &frame, frame.header.nlmsg_len);
        if (wanted >= 0) {
            CHECK_EQ(wanted, passed);
            decisions[passed]++;
        }
    }
    close(pipe.in);
    close(pipe.out);
}

static void
test_kernel_decides_the_same(void)
{
    for (int i = 0; i < RN_ROUNDS(3000, 600); i++) {
        struct rn_filter *filter = random_filter();
        check_frames(filter, 40);
        rn_filter_unref(filter);
    }
    CHECK(decisions[0] > 1000 && decisions[1] > 1000);
}

/* A route that ends every dump unseen must be known of, whoever wants it. */
static void
test_oversized_message_passes(void)
{
    static uint8_t bytes[RN_OVERSIZED + 64];
    const uint32_t one = 1;
    const uint32_t table = 77;
    struct bytes filter_bytes = {.size = 0};
    struct pipe pipe;
    const char *why;

    put_op(&filter_bytes, 't', one);
    put(&filter_bytes, &table, sizeof(table));
    struct rn_filter *filter =
        rn_filter_new(filter_bytes.at, filter_bytes.size, &why);
    CHECK(filter && attach(&pipe, filter));
    struct frame *frame = (void *)bytes;
    frame->header.nlmsg_type = RTM_NEWROUTE;
    frame->route.rtm_family = AF_INET;
    frame->route.rtm_table = 254;
    CHECK(!passes(&pipe, bytes, 128));
    CHECK(passes(&pipe, bytes, sizeof(bytes)));
    close(pipe.in);
    close(pipe.out);
    rn_filter_unref(filter);
}

/* ---- what is not the kernel's ---- */

/* Bits of a prefix, one by one. */
static int
covers(const uint8_t outer[18], const uint8_t inner[18])
{
    if (outer[0] != inner[0] || outer[1] > inner[1]) {
        return 0;
    }
    for (int bit = 0; bit < outer[1]; bit++) {
        if ((outer[2 + bit / 8] ^ inner[2 + bit / 8]) & 0x80 >> bit % 8) {
            return 0;
        }
    }
    return 1;
}

static int
says(char op, const uint8_t member[18], const uint8_t route[18])
{
    return op == '='   ? memcmp(member, route, 18) == 0
           : op == '<' ? covers(member, route)
                       : covers(route, member);
}

static void
check_set(char op, const struct bytes *bytes, const uint8_t route[18])
{
    struct rn_record record = {
        .ip_version = route[0], .prefix_length = route[1], .type = RN_ADD};
    const char *why;
    struct rn_filter *filter = rn_filter_new(bytes->at, bytes->size, &why);
    int wanted = 0;

    CHECK(filter != NULL);
    memcpy(record.destination, route + 2, 16);
    for (size_t at = 5; at < bytes->size; at += 18) {
        wanted |= says(op, bytes->at + at, route);
    }
    CHECK_EQ(wanted, rn_filter_match(filter, &record));
    rn_filter_unref(filter);
}

static void
test_prefix_sets(void)
{
    static struct bytes bytes;

    for (int i = 0; i < RN_ROUNDS(200000, 20000); i++) {
        uint8_t route[18];
        char op = "=<>"[any(3)];
        bytes.size = 0;
        put_prefixes(&bytes, op, any(12));
        random_prefix(route);
        check_set(op, &bytes, route);
    }
}

/* Would a route to this address be wanted, whatever its length? */
static int
any_length_matches(const struct rn_filter *filter, struct rn_record row)
{
    const int bits = row.ip_version == 4 ? 32 : 128;
    uint8_t cleared[16];

    for (int length = 0; length <= bits; length++) {
        memcpy(cleared, row.destination, 16);
        clear_beyond(cleared, length, bits);
        row.prefix_length = (uint8_t)length;
        if (!memcmp(cleared, row.destination, 16) &&
            rn_filter_has_row(filter, &row)) {
            return 1;
        }
    }
    return 0;
}

/* What matches is never dropped before it is looked at, nor what shares an
 * address with it: with those the kernel's dump counts.
 */
static void
test_interest_errs_to_one_side(void)
{
    for (int i = 0; i < RN_ROUNDS(20000, 4000); i++) {
        struct rn_filter *filter = random_filter();
        for (int n = 0; n < 20; n++) {
            uint8_t route[18];
            random_prefix(route);
            struct rn_record record = {.ip_version = route[0],
                                       .prefix_length = route[1],
                                       .table = random_table(),
                                       .interface_index = any(4),
                                       .protocol = (uint16_t)any(4),
                                       .route_type = (uint8_t)any(4),
                                       .fields = RN_HAS_ATTRIBUTES,
                                       .type = (uint8_t)any(3)};
            memcpy(record.destination, route + 2, 16);
            const struct rn_filter_key key = {record.ip_version, record.table,
                                              record.destination};
            int wanted = rn_filter_interest(filter, &key);
            int64_t only = rn_filter_only_table(filter);
            CHECK(wanted || !any_length_matches(filter, record));
            CHECK(only < 0 || !wanted || record.table == only);
        }
        rn_filter_unref(filter);
    }
}

/* Any bytes give a filter or a reason; the sanitizer sees every step. */
static void
test_damaged_bytes(void)
{
    static struct bytes bytes;
    unsigned refused = 0;

    for (int i = 0; i < RN_ROUNDS(100000, 20000); i++) {
        const char *why = NULL;
        bytes.size = 0;
        put_tree(&bytes, 3);
        size_t size = any(4) ? bytes.size : any((uint32_t)bytes.size + 1);
        uint8_t *copy = malloc(size ? size : 1);
        CHECK(copy != NULL);
        memcpy(copy, bytes.at, size);
        for (uint32_t n = size ? any(4) : 0; n; n--) {
            copy[any((uint32_t)size)] = (uint8_t)any(256);
        }
        struct rn_filter *filter = rn_filter_new(copy, size, &why);
        CHECK((filter == NULL) == (why != NULL));
        refused += filter == NULL;
        rn_filter_unref(filter);
        free(copy);
    }
    CHECK(refused > 1000);
}

static void
test_nesting_is_bounded(void)
{
    uint8_t bytes[RN_FILTER_DEPTH + 8];
    const char *why;

    memset(bytes, '!', sizeof(bytes));
    CHECK(rn_filter_new(bytes, sizeof(bytes), &why) == NULL);
    CHECK(strstr(why, "nested") != NULL);
}

static void
test_memory_runs_out(void)
{
    static struct bytes bytes;

    bytes.size = 0;
    put_op(&bytes, '&', 3);
    put_numbers(&bytes, 't', 3);
    put_prefixes(&bytes, '<', 3);
    put_numbers(&bytes, 'p', 3);
    for (long at = 1;; at++) {
        const char *why = "";
        rn_alloc_calls = 0;
        rn_alloc_fail_at = at;
        struct rn_filter *filter = rn_filter_new(bytes.at, bytes.size, &why);
        rn_alloc_fail_at = 0;
        if (filter) {
            CHECK(at > 6);
            rn_filter_unref(filter);
            return;
        }
        CHECK(why == NULL);
    }
}

int
main(void)
{
    seed = rn_check_seed((uint64_t)time(NULL));
    test_kernel_decides_the_same();
    test_oversized_message_passes();
    test_prefix_sets();
    test_interest_errs_to_one_side();
    test_damaged_bytes();
    test_nesting_is_bounded();
    test_memory_runs_out();
    return 0;
}
