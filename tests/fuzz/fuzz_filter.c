/* fuzz_filter.c - libFuzzer: any bytes as a filter, which the kernel runs.
 *
 * The first byte says how many of the bytes behind it choose route messages;
 * the rest are the filter.  Bytes that are no filter must be refused with a
 * reason, or for lack of memory without one.  Of a filter, the kernel must
 * take the program, and decide about each message as rn_filter_interest().
 */
/* sources: rn_filter.c rn_filter_build.c rn_filter_prefix.c */
/* sources: rn_filter_interest.c rn_linux_bpf.c rn_rtnl.c */
#define _GNU_SOURCE
#include "../c/filter_kernel.h"

#define MESSAGES 16

long rn_alloc_fail_at;
long rn_alloc_calls;

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t *choice;
static const uint8_t *choices_end;

static uint32_t
any(uint32_t below)
{
    return choice < choices_end ? *choice++ % below : 0;
}

/* At first memory may run out where any() says; then it is there. */
static struct rn_filter *
new_filter(const uint8_t *bytes, size_t size)
{
    struct rn_filter *filter;
    const char *why = "";

    rn_alloc_calls = 0;
    rn_alloc_fail_at = (long)any(8); /* 0: it does not */
    filter = rn_filter_new(bytes, size, &why);
    if (!filter && !why) {
        CHECK(rn_alloc_fail_at > 0);
    }
    if (!filter) {
        rn_alloc_fail_at = 0;
        filter = rn_filter_new(bytes, size, &why);
    }
    rn_alloc_fail_at = 0;
    CHECK(!filter == (why != NULL));
    return filter;
}

static void
check_messages(const struct rn_filter *filter)
{
    struct pipe pipe;

    if (!attach(&pipe, filter)) {
        return; /* it wants everything, or is too long: C decides */
    }
    for (int i = 0; i < MESSAGES && choice < choices_end; i++) {
        struct frame frame;
        random_frame(&frame);
        int wanted = expected(filter, &frame);
        int passed = passes(&pipe, &frame, frame.header.nlmsg_len);
        CHECK(wanted < 0 || wanted == passed);
    }
    close(pipe.in);
    close(pipe.out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rn_filter *filter;
    size_t choices;

    if (size < 1) {
        return 0;
    }
    choices = data[0] < size - 1 ? data[0] : size - 1;
    choice = data + 1;
    choices_end = choice + choices;
    filter = new_filter(choices_end, size - 1 - choices);
    if (filter) {
        CHECK(rn_filter_same(filter, filter));
        check_messages(filter);
        rn_filter_unref(filter);
    }
    return 0;
}
