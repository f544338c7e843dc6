/* rn_linux_news.c - what a message of the kernel means: for the mirror, and as
 * a trigger of a comparison where the kernel changes routes without a word.
 */
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "rn_linux.h"

#define BOTH 3u
#define IPV4 1u
#define IPV6 2u

/* Newer than the headers of Linux 3.10, with which wheels may be built. */
#define WIRE_NEWPREFIX 52
#define WIRE_NEWNETCONF 80
#define WIRE_NEWNEXTHOP 104
#define WIRE_DELNEXTHOP 105

static void
suspect(struct rn_source *source, struct rn_suspect what, unsigned families)
{
    if (source->loaded) {
        rn_mirror_suspect(source->mirror, &what);
    }
    rn_linux_want(source, families, 0);
}

/* What is known of the devices may be old too: a flag that went unheard of and
 * comes back would look as if nothing had happened.  So any NEWLINK is news.
 */
void
rn_linux_news_lost(struct rn_source *source)
{
    const struct rn_suspect what = {.cause = RN_CAUSE_RESYNC};

    rn_linux_links_forget_all(source->links);
    if (source->loaded) {
        rn_mirror_suspect(source->mirror, &what);
    }
    rn_linux_want(source, BOTH, 1);
}

/* What the mirror asks for after a piece of news. */
static void
carry_out(struct rn_source *source, int need)
{
    if (need & RN_NEED_MEMORY) {
        rn_linux_news_lost(source);
    }
    if (need & RN_NEED_RESYNC4) {
        rn_linux_want(source, IPV4, 0);
    }
    if (need & RN_NEED_RESYNC6) {
        rn_linux_want(source, IPV6, 0);
    }
}

void
rn_linux_route_news(struct rn_source *source,
                    const struct rn_route_message *message, size_t size)
{
    rn_linux_large_news(source, message, size);
    if (!rn_linux_wants_entry(source, &message->entry)) {
        return;
    }
    (void)rn_linux_note_entry(source, &message->entry);
    carry_out(source,
              message->nl_type == RTM_NEWROUTE
                  ? rn_mirror_added(source->mirror, &message->entry,
                                    rn_linux_place(message->nl_flags))
                  : rn_mirror_deleted(source->mirror, &message->entry));
}

static enum rn_parse
route(struct rn_source *source, const struct nlmsghdr *header, size_t size,
      struct rn_route_message *message)
{
    enum rn_parse parsed = rn_rtnl_route(header, size, message);

    if (parsed == RN_PARSE_OK) {
        rn_linux_route_news(source, message, size);
    }
    return parsed;
}

static void
link_changed(struct rn_source *source, const struct rn_link_message *message)
{
    int what = rn_linux_links_told(source->links, message);

    if (what < 0) {
        rn_linux_news_lost(source);
    } else if (what) {
        suspect(source,
                (struct rn_suspect){.cause =
                                        (uint8_t)(what & RN_LINK_LOST
                                                      ? RN_CAUSE_LINK_DOWN
                                                      : RN_CAUSE_LINK_CHANGED),
                                    .if_index = message->index},
                what & RN_LINK_MOVED ? BOTH : IPV6);
    }
}

void
rn_linux_carrier_news(struct rn_source *source, uint32_t index)
{
    suspect(
        source,
        (struct rn_suspect){.cause = RN_CAUSE_LINK_CHANGED, .if_index = index},
        BOTH);
}

/* The index may be used again at once: its rows go before anything else. */
static void
link_removed(struct rn_source *source, uint32_t index)
{
    rn_linux_links_forget(source->links, index);
    carry_out(source, rn_mirror_link_removed(source->mirror, index));
    suspect(
        source,
        (struct rn_suspect){.cause = RN_CAUSE_LINK_REMOVED, .if_index = index},
        BOTH);
}

static enum rn_parse
link_news(struct rn_source *source, const struct nlmsghdr *header, size_t size)
{
    struct rn_link_message message;
    enum rn_parse parsed = rn_rtnl_link(header, size, &message);

    if (parsed != RN_PARSE_OK) {
        return parsed;
    }
    if (message.family == 6) { /* router state: see linux.md */
        suspect(source,
                (struct rn_suspect){.cause = RN_CAUSE_CONFIG_CHANGED,
                                    .ip_version = 6},
                IPV6);
    } else if (message.nl_type == RTM_DELLINK) {
        link_removed(source, message.index);
    } else {
        link_changed(source, &message);
    }
    return parsed;
}

static enum rn_parse
address_news(struct rn_source *source, const struct nlmsghdr *header,
             size_t size)
{
    struct rn_address_message message;
    enum rn_parse parsed = rn_rtnl_address(header, size, &message);

    if (parsed != RN_PARSE_OK) {
        return parsed;
    }
    int removed = message.nl_type == RTM_DELADDR;
    struct rn_suspect what = {
        .cause = removed ? RN_CAUSE_ADDRESS_REMOVED : RN_CAUSE_ADDRESS_ADDED,
        .ip_version = message.ip_version,
        .if_index = message.index,
    };
    memcpy(what.address, message.local, sizeof(what.address));
    suspect(source, what, message.ip_version == 4 ? IPV4 : IPV6);
    return parsed;
}

/* DELNEXTHOP takes its routes along without a word.  NEWNEXTHOP without flags
 * tells that a group lost a member, likewise.  A replaced object has each of
 * its routes announced again, unless net.ipv4.nexthop_compat_mode is 0: then
 * even their type may change in silence (to blackhole and back).
 */
static int
nexthop_cause(const struct rn_source *source,
              const struct rn_nexthop_message *message)
{
    if (message->nl_type == WIRE_DELNEXTHOP ||
        !(message->nl_flags & (NLM_F_REPLACE | NLM_F_CREATE))) {
        return RN_CAUSE_NEXTHOP_REMOVED;
    }
    return message->nl_flags & NLM_F_REPLACE && source->bare_objects
               ? RN_CAUSE_NEXTHOP_CHANGED
               : RN_CAUSE_SYSTEM;
}

static enum rn_parse
nexthop_news(struct rn_source *source, const struct nlmsghdr *header,
             size_t size)
{
    struct rn_nexthop_message message;
    enum rn_parse parsed = rn_rtnl_nexthop(header, size, &message);

    if (parsed != RN_PARSE_OK) {
        return parsed;
    }
    int cause = nexthop_cause(source, &message);
    if (cause != RN_CAUSE_SYSTEM) {
        suspect(source,
                (struct rn_suspect){.cause = (uint8_t)cause,
                                    .nexthop_id = message.id},
                BOTH);
    }
    return parsed;
}

static enum rn_parse
netconf_news(struct rn_source *source, const struct nlmsghdr *header,
             size_t size)
{
    struct rn_netconf_message message;
    enum rn_parse parsed = rn_rtnl_netconf(header, size, &message);

    if (parsed == RN_PARSE_OK && message.ignore_linkdown) {
        suspect(source,
                (struct rn_suspect){.cause = RN_CAUSE_CONFIG_CHANGED,
                                    .ip_version = message.ip_version},
                message.ip_version == 4 ? IPV4 : IPV6);
    }
    return parsed;
}

static enum rn_parse
dispatch(struct rn_source *source, const struct nlmsghdr *header, size_t size,
         struct rn_route_message *scratch)
{
    switch (header->nlmsg_type) {
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
        return route(source, header, size, scratch);
    case RTM_NEWLINK:
    case RTM_DELLINK:
        return link_news(source, header, size);
    case RTM_NEWADDR:
    case RTM_DELADDR:
        return address_news(source, header, size);
    case WIRE_NEWNEXTHOP:
    case WIRE_DELNEXTHOP:
        return nexthop_news(source, header, size);
    case WIRE_NEWNETCONF:
        return netconf_news(source, header, size);
    case WIRE_NEWPREFIX:
        suspect(source,
                (struct rn_suspect){.cause = RN_CAUSE_CONFIG_CHANGED,
                                    .ip_version = 6},
                IPV6);
        return RN_PARSE_OK;
    case NLMSG_OVERRUN:
        rn_linux_news_lost(source);
        return RN_PARSE_OK;
    default:
        return RN_PARSE_IGNORED;
    }
}

void
rn_linux_news(struct rn_source *source, const struct nlmsghdr *header,
              size_t size, struct rn_route_message *scratch)
{
    if (dispatch(source, header, size, scratch) == RN_PARSE_MALFORMED) {
        rn_count_add(&source->malformed, 1);
        rn_linux_news_lost(source);
    }
}
