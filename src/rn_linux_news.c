/* rn_linux_news.c - what a message of the kernel means: for the mirror, and as
 * a trigger of a comparison where the kernel changes routes without a word.
 */
#include <linux/if.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "rn_alloc.h"
#include "rn_linux.h"

#define BOTH 3u
#define IPV4 1u
#define IPV6 2u

/* Newer than the headers of Linux 3.10, with which wheels may be built. */
#define WIRE_NEWPREFIX 52
#define WIRE_NEWNETCONF 80
#define WIRE_NEWNEXTHOP 104
#define WIRE_DELNEXTHOP 105

/* What is kept of a device: a NEWLINK that changes none of it is no trigger. */
struct link {
    uint32_t index;
    uint32_t flags;
    uint32_t mtu;
};

struct rn_links {
    struct link *links; /* by index, ascending */
    size_t count;
    size_t size;
};

struct rn_links *
rn_linux_links_new(void)
{
    return rn_alloc_zero(1, sizeof(struct rn_links));
}

void
rn_linux_links_free(struct rn_links *links)
{
    if (links) {
        free(links->links);
        free(links);
    }
}

/* Where the device is or belongs. */
static size_t
link_position(const struct rn_links *links, uint32_t index)
{
    size_t low = 0;
    size_t high = links->count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (links->links[middle].index < index) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The device, made if it is new (then *known is 0); NULL: no memory. */
static struct link *
link_at(struct rn_links *links, uint32_t index, int *known)
{
    size_t at = link_position(links, index);

    *known = at < links->count && links->links[at].index == index;
    if (*known) {
        return &links->links[at];
    }
    if (links->count == links->size) {
        size_t size = links->size ? links->size * 2 : 16;
        struct link *more = rn_realloc(links->links, size * sizeof(*more));
        if (!more) {
            return NULL;
        }
        links->links = more;
        links->size = size;
    }
    memmove(&links->links[at + 1], &links->links[at],
            (links->count - at) * sizeof(*links->links));
    links->count++;
    links->links[at] = (struct link){.index = index};
    return &links->links[at];
}

static void
link_forget(struct rn_links *links, uint32_t index)
{
    size_t at = link_position(links, index);

    if (at < links->count && links->links[at].index == index) {
        links->count--;
        memmove(&links->links[at], &links->links[at + 1],
                (links->count - at) * sizeof(*links->links));
    }
}

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

    source->links->count = 0;
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
    rn_linux_note_object(source, &message->entry);
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
    const uint32_t watched = IFF_UP | IFF_RUNNING | IFF_LOWER_UP;
    int known;
    struct link *link = link_at(source->links, message->index, &known);
    uint32_t flags = message->flags & watched;

    if (!link) {
        rn_linux_news_lost(source);
        return;
    }
    uint32_t gone = known ? link->flags & ~flags : watched & ~flags;
    int moved = !known || link->flags != flags;
    int resized = known && message->mtu && link->mtu != message->mtu;
    link->flags = flags;
    link->mtu = message->mtu ? message->mtu : link->mtu;
    if (moved || resized) {
        suspect(source,
                (struct rn_suspect){
                    .cause = (uint8_t)(gone ? RN_CAUSE_LINK_DOWN
                                            : RN_CAUSE_LINK_CHANGED),
                    .if_index = message->index},
                moved ? BOTH : IPV6);
    }
}

/* The index may be used again at once: its rows go before anything else. */
static void
link_removed(struct rn_source *source, uint32_t index)
{
    link_forget(source->links, index);
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
