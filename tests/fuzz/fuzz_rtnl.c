/* fuzz_rtnl.c - libFuzzer: any bytes, by every parser of rn_rtnl.c.
 *
 * The real file is included, so one command builds it (see README.md).  An
 * input is one message; it is tried as it came and with its nlmsg_len set to
 * its size, or hardly any mutation that changes the size would get further
 * than the first check.
 */
#include "rn_rtnl.c"

#include "rtnl_sane.h"

#include <stdio.h>
#include <stdlib.h>

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "broken: %s\n", what);
        abort();
    }
}

static void
try_route(const struct nlmsghdr *header, size_t size)
{
    static struct rn_hop hops[2][RN_HOPS_MAX];
    static struct rn_route_message first = {.hops = hops[0],
                                            .room = RN_HOPS_MAX};
    static struct rn_route_message second = {.hops = hops[1],
                                             .room = RN_HOPS_MAX};

    if (rn_rtnl_route(header, size, &first) != RN_PARSE_OK) {
        return;
    }
    require(rtnl_sane(&first), "what holds for every route message");
    require(rn_rtnl_route(header, size, &second) == RN_PARSE_OK, "twice");
    second.entry.hops = first.entry.hops;
    require(memcmp(&first.entry, &second.entry, sizeof(first.entry)) == 0,
            "the same bytes give the same entry");
    require(rtnl_small_sane(header, size, &first), "room for one hop");
}

static void
try_others(const struct nlmsghdr *header, size_t size)
{
    struct rn_link_message link;
    struct rn_address_message address;
    struct rn_nexthop_message nexthop;
    struct rn_netconf_message netconf;

    if (rn_rtnl_link(header, size, &link) == RN_PARSE_OK) {
        require(memchr(link.name, '\0', sizeof(link.name)) != NULL, "name");
        require(link.family == 0 || link.family == 6, "family of a link");
    }
    if (rn_rtnl_address(header, size, &address) == RN_PARSE_OK) {
        require(address.prefix_length <= (address.ip_version == 4 ? 32 : 128),
                "prefix length of an address");
    }
    if (rn_rtnl_nexthop(header, size, &nexthop) == RN_PARSE_OK) {
        require(nexthop.nl_type == WIRE_RTM_NEWNEXTHOP ||
                    nexthop.nl_type == WIRE_RTM_DELNEXTHOP,
                "type of a nexthop");
    }
    if (rn_rtnl_netconf(header, size, &netconf) == RN_PARSE_OK) {
        require(netconf.ignore_linkdown <= 1, "attribute of a netconf");
    }
}

static void
try_all(const void *bytes, size_t size)
{
    try_route(bytes, size);
    try_others(bytes, size);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint32_t length = (uint32_t)size;
    uint8_t *copy;

    try_all(data, size);
    if (size < sizeof(length)) {
        return 0;
    }
    copy = malloc(size); /* exactly, so that ASan sees a step beyond */
    require(copy != NULL, "memory");
    memcpy(copy, data, size);
    memcpy(copy, &length, sizeof(length));
    try_all(copy, size);
    free(copy);
    return 0;
}
