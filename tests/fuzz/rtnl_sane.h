/* rtnl_sane.h - what holds for every route message that parsed, whatever came.
 *
 * Shared by the fuzzer and tests/c/test_rtnl.c.  Reads all that the parser
 * says it wrote, so that AddressSanitizer and MemorySanitizer see it too.
 */
#ifndef RTNL_SANE_H
#define RTNL_SANE_H

#include <stdbool.h>
#include <string.h>

#include "rn_rtnl.h"

static inline bool
rtnl_hop_sane(const struct rn_hop *hop)
{
    static const uint8_t zero[16];

    if (hop->reserved != 0) {
        return false;
    }
    switch (hop->gateway_version) {
    case 0:
        return memcmp(hop->gateway, zero, 16) == 0;
    case 4:
        return memcmp(hop->gateway + 4, zero, 12) == 0;
    default:
        return hop->gateway_version == 6;
    }
}

static inline bool
rtnl_hops_sane(const struct rn_route_message *message)
{
    const struct rn_entry *entry = &message->entry;

    if (entry->hops != message->hops || entry->hop_count > RN_HOPS_MAX ||
        (entry->hop_count == 1 && entry->hops[0].weight != 0)) {
        return false;
    }
    for (uint32_t i = 0; i < entry->hop_count; i++) {
        if (!rtnl_hop_sane(&entry->hops[i])) {
            return false;
        }
    }
    return true;
}

/* Beyond the four bytes of an IPv4 address there is nothing. */
static inline bool
rtnl_addresses_sane(const struct rn_entry *entry)
{
    static const uint8_t zero[16];

    return entry->ip_version == 6 ||
           (memcmp(entry->destination + 4, zero, 12) == 0 &&
            memcmp(entry->prefsrc + 4, zero, 12) == 0 &&
            memcmp(entry->source, zero, 16) == 0);
}

/* The mask names what there is, and `other` is 0 exactly without any. */
static inline bool
rtnl_metrics_sane(const struct rn_route_message *message)
{
    const uint32_t mtu = UINT32_C(1) << 2;
    bool any = (message->metrics_mask & ~mtu) != 0;

    if (message->metrics_mask >> RN_METRICS != 0 ||
        message->congestion[15] != '\0') {
        return false;
    }
    for (unsigned i = 0; i < RN_METRICS && message->metrics_mask != 0; i++) {
        if ((message->metrics_mask >> i & 1) == 0 &&
            message->metrics[i] != 0) {
            return false;
        }
    }
    any = any || message->congestion[0] != '\0' || message->realms != 0;
    return any == (message->entry.other != 0);
}

static inline bool
rtnl_sane(const struct rn_route_message *message)
{
    const struct rn_entry *entry = &message->entry;
    const unsigned bits = entry->ip_version == 4 ? 32 : 128;

    return (entry->ip_version == 4 || entry->ip_version == 6) &&
           entry->prefix_length <= bits &&
           entry->source_length <= (entry->ip_version == 6 ? 128 : 0) &&
           entry->preference <= 3 && rtnl_addresses_sane(entry) &&
           rtnl_hops_sane(message) && rtnl_metrics_sane(message);
}

/* With room for one hop the same comes out, unless the message tells hops in
 * RTA_MULTIPATH.
 */
static inline bool
rtnl_small_sane(const struct nlmsghdr *header, size_t size,
                const struct rn_route_message *parsed)
{
    struct rn_hop hop;
    struct rn_route_message small = {.hops = &hop, .room = 1};
    enum rn_parse result = rn_rtnl_route(header, size, &small);

    if (result != RN_PARSE_OK) {
        return result == RN_PARSE_LARGE && parsed->entry.hop_count != 0;
    }
    small.entry.hops = parsed->entry.hops;
    return memcmp(&small.entry, &parsed->entry, sizeof(small.entry)) == 0 &&
           memcmp(&hop, parsed->hops, small.entry.hop_count * sizeof(hop)) ==
               0;
}

#endif
