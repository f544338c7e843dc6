/* rn_text.c - addresses and enumerations as text.  Pure; knows no Python.
 *
 * Digits are put by hand: a column of a million addresses takes a second with
 * printf.
 */
#include "rn_text.h"

#include <stddef.h>
#include <string.h>

#include "rn_netio.h"

static const char *const cause_names[RN_CAUSE_COUNT] = {
    [RN_CAUSE_SYSTEM] = "system",
    [RN_CAUSE_SNAPSHOT] = "snapshot",
    [RN_CAUSE_RESYNC] = "resync",
    [RN_CAUSE_REPLACED] = "replaced",
    [RN_CAUSE_LINK_DOWN] = "link-down",
    [RN_CAUSE_LINK_REMOVED] = "link-removed",
    [RN_CAUSE_LINK_CHANGED] = "link-changed",
    [RN_CAUSE_ADDRESS_REMOVED] = "address-removed",
    [RN_CAUSE_ADDRESS_ADDED] = "address-added",
    [RN_CAUSE_NEXTHOP_REMOVED] = "nexthop-removed",
    [RN_CAUSE_NEXTHOP_CHANGED] = "nexthop-changed",
    [RN_CAUSE_CONFIG_CHANGED] = "config-changed",
    [RN_CAUSE_MEMORY] = "memory",
    [RN_CAUSE_FILTER] = "filter",
};

static const char *const type_names[RN_RESYNC_END + 1] = {
    [RN_PARAMETER] = "PARAMETER",
    [RN_ADD] = "ADD",
    [RN_DELETE] = "DELETE",
    [RN_INITIAL] = "INITIAL",
    [RN_SNAPSHOT_END] = "SNAPSHOT_END",
    [RN_RESYNC_BEGIN] = "RESYNC_BEGIN",
    [RN_RESYNC_END] = "RESYNC_END",
};

/* RTN_* of linux/rtnetlink.h, named as iproute2 does. */
static const char *const route_type_names[] = {
    "unspec",   "unicast",   "local",     "broadcast",
    "anycast",  "multicast", "blackhole", "unreachable",
    "prohibit", "throw",     "nat",       "xresolve",
};

const char *
rn_cause_name(unsigned cause)
{
    return cause < RN_CAUSE_COUNT ? cause_names[cause] : "unknown";
}

const char *
rn_type_name(unsigned type)
{
    if (type > RN_RESYNC_END || type_names[type] == NULL) {
        return "unknown";
    }
    return type_names[type];
}

const char *
rn_route_type_name(unsigned route_type)
{
    size_t count = sizeof(route_type_names) / sizeof(route_type_names[0]);
    return route_type < count ? route_type_names[route_type] : NULL;
}

const char *
rn_preference_name(unsigned preference)
{
    static const char *const names[] = {"low", "medium", "high"};
    return preference < sizeof(names) / sizeof(names[0]) ? names[preference]
                                                         : "unknown";
}

/* The longest run of zero groups, the first of equals; shorter than two is
 * none (RFC 5952).  Return: its length, *start where.
 */
static int
zero_run(const unsigned groups[8], int *start)
{
    int best = 1;
    for (int i = 0; i < 8; i++) {
        int end = i;
        while (end < 8 && groups[end] == 0) {
            end++;
        }
        if (end - i > best) {
            best = end - i;
            *start = i;
        }
        i = end;
    }
    return best > 1 ? best : 0;
}

/* Decimal, at most three digits.  Return: behind the last. */
static char *
put_number(char *at, unsigned value)
{
    if (value >= 100) {
        *at++ = (char)('0' + value / 100);
    }
    if (value >= 10) {
        *at++ = (char)('0' + value / 10 % 10);
    }
    *at++ = (char)('0' + value % 10);
    return at;
}

/* Hexadecimal, at most four digits. */
static char *
put_group(char *at, unsigned value)
{
    int shift = 12;
    while (shift > 0 && value >> shift == 0) {
        shift -= 4;
    }
    for (; shift >= 0; shift -= 4) {
        *at++ = "0123456789abcdef"[(value >> shift) & 15];
    }
    return at;
}

static char *
put_ipv4(char *at, const uint8_t *bytes)
{
    for (int i = 0; i < 4; i++) {
        if (i != 0) {
            *at++ = '.';
        }
        at = put_number(at, bytes[i]);
    }
    return at;
}

static char *
put_ipv6(char *at, const uint8_t *bytes)
{
    unsigned groups[8];
    for (int i = 0; i < 8; i++) {
        groups[i] = ((unsigned)bytes[2 * i] << 8) | bytes[2 * i + 1];
    }
    int start = 8;
    int run = zero_run(groups, &start);
    if (start == 0 && run == 5 && groups[5] == 0xffff) {
        static const char mapped[] = "::ffff:";
        memcpy(at, mapped, sizeof(mapped) - 1);
        return put_ipv4(at + sizeof(mapped) - 1, bytes + 12);
    }
    for (int i = 0; i < 8; i++) {
        if (i == start) {
            *at++ = ':';
            *at++ = ':';
            i += run - 1;
            continue;
        }
        if (i != 0 && i != start + run) {
            *at++ = ':';
        }
        at = put_group(at, groups[i]);
    }
    return at;
}

static char *
put_address(char *at, int ip_version, const uint8_t *bytes)
{
    return ip_version == 4 ? put_ipv4(at, bytes) : put_ipv6(at, bytes);
}

int
rn_text_address(int ip_version, const uint8_t *bytes, char out[RN_TEXT_SIZE])
{
    char *end = put_address(out, ip_version, bytes);
    *end = '\0';
    return (int)(end - out);
}

int
rn_text_prefix(int ip_version, const uint8_t *bytes, int length,
               char out[RN_TEXT_SIZE])
{
    char *end = put_address(out, ip_version, bytes);
    *end++ = '/';
    end = put_number(end, (unsigned)length);
    *end = '\0';
    return (int)(end - out);
}
