/* rn_route.h - a route as one message says it: an entry with its next hops.
 *
 * The language between the parser and the mirror.  Pointer-free apart from
 * the hops, which the maker of the entry owns.
 */
#ifndef RN_ROUTE_H
#define RN_ROUTE_H

#include "rn_netio.h"

struct rn_hop {
    uint8_t gateway[16];     /* network order; IPv4 in the first 4 bytes */
    uint32_t if_index;       /* 0: none */
    uint32_t encap;          /* hash of RTA_ENCAP_TYPE + RTA_ENCAP, 0: none */
    uint32_t realms;         /* RTA_FLOW of the hop, 0: none */
    uint8_t gateway_version; /* 0: no gateway, 4, 6 */
    uint8_t flags;           /* RTNH_F_* (RN_FLAG_*) */
    uint8_t weight;          /* weight - 1 (rtnh_hops); 0 for a lone hop */
    uint8_t reserved;
};

struct rn_entry {
    uint8_t destination[16];
    uint8_t source[16];  /* IPv6 source prefix */
    uint8_t prefsrc[16]; /* zero: none */
    uint32_t table;      /* RTA_TABLE, else rtm_table */
    uint32_t metric;     /* RTA_PRIORITY, 0 when missing */
    uint32_t nexthop_id; /* RTA_NH_ID, 0: none */
    uint32_t mtu;        /* RTAX_MTU, 0: none */
    uint32_t other;      /* hash of the other attributes that make two
                              * entries different: metrics but mtu, the lock
                              * mask, congestion control, realms */
    uint32_t hop_count;  /* 0: blackhole and its kin, or nexthop_id alone */
    uint32_t hash;       /* of its key, by rn_mirror_expect; 0: not known */
    uint32_t reserved;   /* no padding: entries are compared bytewise */
    const struct rn_hop *hops;
    uint8_t ip_version; /* 4 or 6 */
    uint8_t prefix_length;
    uint8_t source_length;
    uint8_t tos;
    uint8_t protocol;
    uint8_t scope;
    uint8_t route_type; /* RTN_* */
    uint8_t preference; /* RTA_PREF: 0 medium, 1 high, 3 low */
};

#endif
