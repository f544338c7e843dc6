/* test_rtnl_damage.c - recorded messages, cut, lengthened and falsified. */
/* sources: rn_rtnl.c */
/* sanitizers: address */

#include "rtnl_frames.h"

static struct nlmsghdr
header_of(const uint8_t *bytes)
{
    struct nlmsghdr header;

    memcpy(&header, bytes, sizeof(header));
    return header;
}

/* parse_any - by every parser: a reader may hand over the wrong kind. */
static void
parse_any(const uint8_t *bytes, size_t size)
{
    struct rn_link_message link;
    struct rn_address_message address;
    struct rn_nexthop_message nexthop;
    struct rn_netconf_message netconf;
    const struct nlmsghdr *header = (const void *)bytes;

    if (rn_rtnl_route(header, size, &message) == RN_PARSE_OK) {
        CHECK(rtnl_sane(&message));
        CHECK(rtnl_small_sane(header, size, &message));
    }
    if (rn_rtnl_link(header, size, &link) == RN_PARSE_OK) {
        CHECK(memchr(link.name, '\0', sizeof(link.name)) != NULL);
    }
    if (rn_rtnl_address(header, size, &address) == RN_PARSE_OK) {
        CHECK(address.prefix_length <= 128);
    }
    rn_rtnl_nexthop(header, size, &nexthop);
    rn_rtnl_netconf(header, size, &netconf);
}

/* Fixed headers by kind, for where attributes begin. */
static size_t
body_of(const uint8_t *bytes)
{
    switch (header_of(bytes).nlmsg_type) {
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
        return sizeof(struct rtmsg);
    case RTM_NEWLINK:
    case RTM_DELLINK:
        return sizeof(struct ifinfomsg);
    case RTM_NEWNETCONF:
        return 4;
    default:
        return 8;
    }
}

/* ends_between_attributes - is a message cut here still well-formed? */
static bool
ends_between_attributes(const struct frame *frame, size_t length)
{
    size_t at = sizeof(struct nlmsghdr) + body_of(frame->bytes);

    while (at < length) {
        struct rtattr head;

        memcpy(&head, frame->bytes + at, sizeof(head));
        if (length >= at + head.rta_len &&
            length <= at + RTA_ALIGN(head.rta_len)) {
            return true; /* at most its padding is cut off */
        }
        at += RTA_ALIGN(head.rta_len);
    }
    return at == length;
}

static void
test_a_truncated_message_is_never_trusted(void)
{
    for (size_t i = 0; i < frame_count; i++) {
        const struct frame *frame = &frames[i];

        subject = frame->name;
        for (size_t size = 0; size < frame->size; size++) {
            uint8_t *cut = malloc(size ? size : 1);

            CHECK(cut != NULL);
            memcpy(cut, frame->bytes, size);
            SAME(RN_PARSE_MALFORMED & 0xff, parse(cut, size) & 0xff);
            parse_any(cut, size);
            free(cut);
        }
    }
}

static void
test_a_shortened_message_is_whole_attributes_or_malformed(void)
{
    for (size_t i = 0; i < frame_count; i++) {
        const struct frame *frame = &frames[i];

        subject = frame->name;
        for (size_t size = sizeof(struct nlmsghdr); size < frame->size;
             size++) {
            uint8_t *cut = malloc(size);

            CHECK(cut != NULL);
            memcpy(cut, frame->bytes, size);
            set_length(cut, size);
            if (parse(cut, size) == RN_PARSE_OK) {
                CHECK(ends_between_attributes(frame, size));
            }
            parse_any(cut, size);
            free(cut);
        }
    }
}

static void
test_no_damaged_byte_leads_out_of_bounds(void)
{
    for (size_t i = 0; i < frame_count; i++) {
        const struct frame *frame = &frames[i];

        subject = frame->name;
        for (size_t at = 0; at < frame->size; at++) {
            const uint8_t was = frame->bytes[at];

            /* 0, 255 and 14 between, where each step is dear. */
            for (int value = 0; value < 256; value += RN_ROUNDS(1, 17)) {
                frame->bytes[at] = (uint8_t)value;
                parse_any(frame->bytes, frame->size);
            }
            frame->bytes[at] = was;
        }
    }
}

static void
test_bytes_left_over_are_malformed(void)
{
    for (size_t i = 0; i < frame_count; i++) {
        const struct frame *frame = &frames[i];

        if (!is_row(frame)) {
            continue;
        }
        subject = frame->name;
        for (size_t more = 1; more <= 4; more++) {
            uint8_t *longer = calloc(1, frame->size + more);

            CHECK(longer != NULL);
            memcpy(longer, frame->bytes, frame->size);
            SAME(RN_PARSE_OK, parse(longer, frame->size + more));
            set_length(longer, frame->size + more);
            SAME(RN_PARSE_MALFORMED & 0xff,
                 parse(longer, frame->size + more) & 0xff);
            free(longer);
        }
    }
}

/* The message parsed into `message` was parsed into other as well. */
static void
check_same(const struct rn_route_message *other)
{
    struct rn_entry entry = other->entry;

    CHECK(entry.hops == other->hops);
    entry.hops = message.hops;
    SAME(0, memcmp(&message.entry, &entry, sizeof(entry)));
    SAME(message.nl_type, other->nl_type);
    SAME(message.nl_flags, other->nl_flags);
    SAME(message.rtm_flags, other->rtm_flags);
    SAME(message.realms, other->realms);
    SAME(message.metrics_mask, other->metrics_mask);
    SAME(0, memcmp(message.congestion, other->congestion, 16));
    SAME(message.encap_type, other->encap_type);
    SAME(message.expires_ns, other->expires_ns);
    SAME(0, memcmp(message.hops, other->hops,
                   entry.hop_count * sizeof(struct rn_hop)));
    if (message.metrics_mask != 0) {
        SAME(0,
             memcmp(message.metrics, other->metrics, sizeof(message.metrics)));
    }
}

static void
test_nothing_is_left_from_the_message_before(void)
{
    static struct rn_hop other_hops[RN_HOPS_MAX];
    static struct rn_route_message other;

    for (size_t i = 0; i < frame_count; i++) {
        const struct frame *frame = &frames[i];
        const void *bytes = frame->bytes;

        if (!is_row(frame)) {
            continue;
        }
        subject = frame->name;
        memset(&message, 0, sizeof(message));
        memset(&other, 0xff, sizeof(other));
        message.hops = memset(message_hops, 0, sizeof(message_hops));
        other.hops = memset(other_hops, 0xff, sizeof(other_hops));
        message.room = other.room = RN_HOPS_MAX;
        SAME(RN_PARSE_OK, parse(bytes, frame->size));
        SAME(RN_PARSE_OK, rn_rtnl_route(bytes, frame->size, &other));
        check_same(&other);
    }
}

static void
test_any_alignment_will_do(void)
{
    static uint8_t buffer[LARGEST + 4];

    for (size_t i = 0; i < frame_count; i++) {
        const struct frame *frame = &frames[i];

        for (int shift = 1; shift < 4; shift++) {
            memcpy(buffer + shift, frame->bytes, frame->size);
            SAME(is_row(frame),
                 parse(buffer + shift, frame->size) == RN_PARSE_OK);
        }
    }
}

int
main(void)
{
    frames_load();
    test_a_truncated_message_is_never_trusted();
    test_a_shortened_message_is_whole_attributes_or_malformed();
    test_no_damaged_byte_leads_out_of_bounds();
    test_bytes_left_over_are_malformed();
    test_nothing_is_left_from_the_message_before();
    test_any_alignment_will_do();
    frames_free();
    return 0;
}
