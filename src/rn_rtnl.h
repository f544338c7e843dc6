/* rn_rtnl.h - rtnetlink messages to plain structs: pure, bounds-checked.
 *
 * No system call, no state, no allocation.  Knows the wire, not the table:
 * what a message does to the table is rn_mirror's business.
 */
#ifndef RN_RTNL_H
#define RN_RTNL_H

#include "rn_route.h"

struct nlmsghdr;

/* A datagram has at most 64 KiB; the smallest hop (rtnexthop) has 8 bytes. */
#define RN_HOPS_MAX 8192

enum rn_parse {
    RN_PARSE_OK = 0,
    RN_PARSE_IGNORED = 1,   /* well-formed, none of ours: cloned, mcast, ... */
    RN_PARSE_LARGE = 2,     /* RTA_MULTIPATH, and not room for RN_HOPS_MAX */
    RN_PARSE_MALFORMED = -1 /* never trusted: the caller counts and resyncs */
};

/* A route message: one entry with its hops, which go where the caller says; he
 * sets hops and room once and parses into it again and again.
 * Not initialised: hops from entry.hop_count on, metrics without metrics_mask.
 */
struct rn_route_message {
    struct rn_entry entry; /* entry.hops is hops */
    uint16_t nl_type;      /* RTM_NEWROUTE or RTM_DELROUTE */
    uint16_t nl_flags;     /* nlmsg_flags, all of them */
    uint32_t rtm_flags;
    uint32_t realms; /* RTA_FLOW of the entry; hops have their own */
    uint32_t metrics[RN_METRICS];
    uint32_t metrics_mask; /* bit n: metrics[n] was said; 0: metrics unset */
    char congestion[16];   /* RTAX_CC_ALGO (not in the mask); empty: none */
    uint16_t encap_type;   /* of the first hop */
    uint64_t expires_ns;   /* time left; 0: for ever, 1: has expired */
    struct rn_hop *hops;
    uint32_t room; /* hops there: RN_HOPS_MAX, or 1 for whoever can do with
                    * RN_PARSE_LARGE */
};

/* rn_rtnl_route - parse one RTM_NEWROUTE / RTM_DELROUTE.
 * header and its nlmsg_len bytes must lie inside `size` readable bytes; the
 * function checks that itself.  Ignored: families other than AF_INET and
 * AF_INET6, RTM_F_CLONED (most answers to RTM_GETROUTE are), other types.
 *
 * - Destination and source are as the kernel said them: bits beyond the prefix
 *   length are not cleared, a length without its address is malformed.
 * - One hop without RTA_MULTIPATH if a device or a gateway is named (IPv6
 *   blackholes name lo), else none: blackhole and its kin, RTA_NH_ID alone.
 *   RTA_MULTIPATH wins over both; without any hop it is malformed.
 * - An RTA_VIA of another family than IPv4 and IPv6 is a hop without gateway.
 * - RTA_ENCAP is hashed without the packet counters of seg6local.
 *
 * Context: any thread, never blocks.  On anything but RN_PARSE_OK the contents
 * of *out are unspecified.  This holds for all functions here.
 * Source: rtnetlink(7); net/ipv4/fib_semantics.c fib_dump_info(),
 * net/ipv6/route.c rt6_fill_node() of Linux.
 */
enum rn_parse
rn_rtnl_route(const struct nlmsghdr *header, size_t size,
              struct rn_route_message *out);

/* RTM_NEWLINK / RTM_DELLINK with ifi_family AF_UNSPEC (others: ignored, but
 * AF_INET6 NEWLINK is reported with family 6: it stands for router state).
 * A bridge's or IPv6's DELLINK does not mean that the device is gone.
 */
struct rn_link_message {
    uint16_t nl_type;
    uint8_t family; /* 0, or 6 for device state of IPv6 */
    uint32_t index;
    uint32_t flags; /* IFF_* */
    uint32_t mtu;   /* 0: not said */
    char name[16];  /* may be empty */
};
enum rn_parse
rn_rtnl_link(const struct nlmsghdr *header, size_t size,
             struct rn_link_message *out);

/* RTM_NEWADDR / RTM_DELADDR of IPv4 and IPv6. */
struct rn_address_message {
    uint16_t nl_type;
    uint8_t ip_version;
    uint8_t prefix_length;
    uint32_t index;
    uint8_t local[16]; /* IFA_LOCAL, else IFA_ADDRESS, else zero */
};
enum rn_parse
rn_rtnl_address(const struct nlmsghdr *header, size_t size,
                struct rn_address_message *out);

/* RTM_NEWNEXTHOP / RTM_DELNEXTHOP; one without NHA_ID is malformed. */
struct rn_nexthop_message {
    uint16_t nl_type;
    uint16_t nl_flags;
    uint32_t id;
};
enum rn_parse
rn_rtnl_nexthop(const struct nlmsghdr *header, size_t size,
                struct rn_nexthop_message *out);

/* RTM_NEWNETCONF: which family, and whether the attribute
 * NETCONFA_IGNORE_ROUTES_WITH_LINKDOWN (6) is in it.
 */
struct rn_netconf_message {
    uint8_t ip_version;
    uint8_t ignore_linkdown; /* 1: the attribute is there */
};
enum rn_parse
rn_rtnl_netconf(const struct nlmsghdr *header, size_t size,
                struct rn_netconf_message *out);

#endif
