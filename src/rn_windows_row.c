/* rn_windows_row.c - MIB_IPFORWARD_ROW2 to our rows and back: pure copies. */
#include "rn_windows_row.h"

#include <string.h>

uint8_t
rn_windows_bytes(const SOCKADDR_INET *address, uint8_t out[16])
{
    memset(out, 0, 16);
    if (address->si_family == AF_INET) {
        memcpy(out, &address->Ipv4.sin_addr, 4);
        return 4;
    }
    if (address->si_family == AF_INET6) {
        memcpy(out, &address->Ipv6.sin6_addr, 16);
        return 6;
    }
    return 0;
}

void
rn_windows_address(int ip_version, const uint8_t *bytes, SOCKADDR_INET *out)
{
    memset(out, 0, sizeof *out);
    if (ip_version == 4) {
        out->si_family = AF_INET;
        memcpy(&out->Ipv4.sin_addr, bytes, 4);
    } else {
        out->si_family = AF_INET6;
        memcpy(&out->Ipv6.sin6_addr, bytes, 16);
    }
}

int
rn_windows_record(const MIB_IPFORWARD_ROW2 *row, struct rn_record *out)
{
    static const uint8_t none[16];

    memset(out, 0, sizeof *out);
    out->ip_version =
        rn_windows_bytes(&row->DestinationPrefix.Prefix, out->destination);
    out->prefix_length = row->DestinationPrefix.PrefixLength;
    if (out->ip_version == 0 ||
        out->prefix_length > (out->ip_version == 4 ? 32 : 128)) {
        return -1;
    }
    out->next_hop_version = rn_windows_bytes(&row->NextHop, out->next_hop);
    if (memcmp(out->next_hop, none, sizeof none) == 0) {
        out->next_hop_version = 0;
    }
    out->interface_luid = row->InterfaceLuid.Value;
    out->interface_index = row->InterfaceIndex;
    out->merged = 1;
    return 0;
}

int
rn_windows_route(const MIB_IPFORWARD_ROW2 *row, struct rn_route *out)
{
    memset(out, 0, sizeof *out);
    if (rn_windows_record(row, &out->row) < 0) {
        return -1;
    }
    out->row.fields = RN_HAS_ATTRIBUTES | RN_HAS_NO_TABLE;
    out->row.metric = row->Metric;
    out->row.protocol = (uint16_t)row->Protocol;
    out->valid_lifetime = row->ValidLifetime;
    out->preferred_lifetime = row->PreferredLifetime;
    out->age = row->Age;
    out->origin = (uint32_t)row->Origin;
    out->effective_metric = RN_UNKNOWN32;
    out->site_prefix_length = row->SitePrefixLength;
    out->loopback = row->Loopback != 0;
    out->autoconfigure = row->AutoconfigureAddress != 0;
    out->publish = row->Publish != 0;
    out->immortal = row->Immortal != 0;
    return 0;
}

void
rn_windows_request(const struct rn_record *record, MIB_IPFORWARD_ROW2 *out)
{
    memset(out, 0, sizeof *out);
    out->InterfaceLuid.Value = record->interface_luid;
    out->InterfaceIndex = record->interface_index;
    rn_windows_address(record->ip_version, record->destination,
                       &out->DestinationPrefix.Prefix);
    out->DestinationPrefix.PrefixLength = record->prefix_length;
    /* On-link too needs the family, with the unspecified address. */
    rn_windows_address(record->ip_version, record->next_hop, &out->NextHop);
}

static uint32_t
mix(uint32_t hash, uint32_t value)
{
    return (hash ^ value) * 0x01000193u; /* FNV-1a, a word at a time */
}

uint32_t
rn_windows_attributes(const MIB_IPFORWARD_ROW2 *row)
{
    uint32_t hash = 0x811c9dc5u;

    hash = mix(hash, row->Metric);
    hash = mix(hash, (uint32_t)row->Protocol);
    hash = mix(hash, (uint32_t)row->Origin);
    hash = mix(hash, row->SitePrefixLength);
    hash = mix(hash, row->Publish != 0);
    hash = mix(hash, row->Immortal != 0);
    hash = mix(hash, row->Loopback != 0);
    return hash != 0 ? hash : 1;
}
