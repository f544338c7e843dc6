/* table.c - the double's routing table and the questions about it. */
#include "double.h"

#include <stdlib.h>
#include <string.h>

#define TABLE_MAX 262144u
#define MAGIC 0x726e6474u

static struct {
    MIB_IPFORWARD_ROW2 row;
    int type;
    int armed;
} during; /* what changes while a table is on its way to the caller */

static DWORD delay_ms; /* that a table takes to come */

static MIB_IPFORWARD_ROW2 *rows;
static uint32_t count;
static uint32_t room;

static const struct {
    uint64_t luid;
    NET_IFINDEX index;
    ULONG metric;
    const WCHAR *alias;
} interfaces[] = {
    {RND_LUID_1, RND_INDEX_1, 25, L"Ethernet 2"},
    {RND_LUID_2, RND_INDEX_2, 50,
     L"\x0141\x0105"
     L"cze \x7f51\x7edc \xd83d\xde80"},
};
#define INTERFACES (sizeof interfaces / sizeof interfaces[0])

/* The index into interfaces, or INTERFACES.  A LUID wins over an index. */
static size_t
interface_of(uint64_t luid, NET_IFINDEX index)
{
    size_t i = 0;

    while (i < INTERFACES && !(luid != 0 ? interfaces[i].luid == luid
                                         : interfaces[i].index == index)) {
        i++;
    }
    return i;
}

/* Byte for byte, scope ids included. */
static int
same_address(const SOCKADDR_INET *a, const SOCKADDR_INET *b)
{
    if (a->si_family != b->si_family) {
        return 0;
    }
    if (a->si_family == AF_INET) {
        return memcmp(&a->Ipv4.sin_addr, &b->Ipv4.sin_addr, 4) == 0;
    }
    return memcmp(&a->Ipv6.sin6_addr, &b->Ipv6.sin6_addr, 16) == 0 &&
           a->Ipv6.sin6_scope_id == b->Ipv6.sin6_scope_id;
}

static int
same_route(const MIB_IPFORWARD_ROW2 *a, const MIB_IPFORWARD_ROW2 *b)
{
    return a->DestinationPrefix.PrefixLength ==
               b->DestinationPrefix.PrefixLength &&
           same_address(&a->DestinationPrefix.Prefix,
                        &b->DestinationPrefix.Prefix) &&
           same_address(&a->NextHop, &b->NextHop) &&
           interface_of(a->InterfaceLuid.Value, a->InterfaceIndex) ==
               interface_of(b->InterfaceLuid.Value, b->InterfaceIndex);
}

static MIB_IPFORWARD_ROW2 *
find(const MIB_IPFORWARD_ROW2 *row)
{
    for (uint32_t i = 0; i < count; i++) {
        if (same_route(&rows[i], row)) {
            return &rows[i];
        }
    }
    return NULL;
}

static int
append(const MIB_IPFORWARD_ROW2 *row)
{
    if (count == room) {
        uint32_t more = room != 0 ? room * 2 : 64;
        MIB_IPFORWARD_ROW2 *grown = realloc(rows, more * sizeof *rows);

        if (grown == NULL || more > TABLE_MAX) {
            return 0;
        }
        rows = grown;
        room = more;
    }
    rows[count++] = *row;
    return 1;
}

int
rnd_table_apply(const MIB_IPFORWARD_ROW2 *row, MIB_NOTIFICATION_TYPE type)
{
    MIB_IPFORWARD_ROW2 *old = find(row);

    if (type == MibAddInstance) {
        return old == NULL && append(row);
    }
    if (old == NULL) {
        return 0;
    }
    *old = type == MibDeleteInstance ? rows[--count] : *row;
    return 1;
}

DWORD WINAPI
GetIpForwardTable2(ADDRESS_FAMILY family, MIB_IPFORWARD_TABLE2 **table)
{
    DWORD code = rnd_injected(RND_TABLE);
    uint32_t *memory;
    MIB_IPFORWARD_TABLE2 *copy;

    if (code != 0) {
        return code;
    }
    if (table == NULL ||
        (family != AF_UNSPEC && family != AF_INET && family != AF_INET6)) {
        return ERROR_INVALID_PARAMETER;
    }
    EnterCriticalSection(&rnd_lock);
    memory = malloc(16 + sizeof *copy + count * sizeof rows[0]);
    memory[0] = MAGIC;
    copy = (void *)(memory + 4);
    copy->NumEntries = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (family == AF_UNSPEC ||
            family == rows[i].DestinationPrefix.Prefix.si_family) {
            copy->Table[copy->NumEntries++] = rows[i];
        }
    }
    rnd_counts.tables++;
    LeaveCriticalSection(&rnd_lock);
    Sleep(delay_ms);
    if (during.armed) {
        during.armed = 0;
        (void)rnd_change(&during.row, during.type);
    }
    if (copy->NumEntries == 0 && rnd_is_mode(RND_NO_TABLE)) {
        FreeMibTable(copy);
        return ERROR_NOT_FOUND;
    }
    *table = copy;
    return NO_ERROR;
}

static int
is_ours(const uint32_t *memory)
{
    return memory[0] == MAGIC;
}

VOID WINAPI
FreeMibTable(VOID *memory)
{
    uint32_t *start = memory;

    if (start == NULL) {
        return;
    }
    start -= 4;
    if (is_ours(start)) {
        start[0] = 0;
        free(start);
        EnterCriticalSection(&rnd_lock);
        rnd_counts.tables--;
        LeaveCriticalSection(&rnd_lock);
    } else { /* from a function that is forwarded to Wine's own */
        VOID(WINAPI * real)(VOID *);
        FARPROC found =
            GetProcAddress(GetModuleHandleW(L"iphlpreal.dll"), "FreeMibTable");

        memcpy(&real, &found, sizeof real);
        real(memory);
    }
}

static int
is_family(const SOCKADDR_INET *address)
{
    return address->si_family == AF_INET || address->si_family == AF_INET6;
}

DWORD WINAPI
GetIpForwardEntry2(MIB_IPFORWARD_ROW2 *row)
{
    DWORD code = rnd_injected(RND_ENTRY);
    const MIB_IPFORWARD_ROW2 *found;

    if (code != 0) {
        return code;
    }
    if (row == NULL || !is_family(&row->DestinationPrefix.Prefix) ||
        !is_family(&row->NextHop) ||
        (row->InterfaceLuid.Value == 0 && row->InterfaceIndex == 0)) {
        return ERROR_INVALID_PARAMETER;
    }
    if (interface_of(row->InterfaceLuid.Value, row->InterfaceIndex) ==
        INTERFACES) {
        return ERROR_FILE_NOT_FOUND;
    }
    EnterCriticalSection(&rnd_lock);
    found = find(row);
    if (found != NULL) {
        *row = *found;
    }
    LeaveCriticalSection(&rnd_lock);
    return found != NULL ? NO_ERROR : ERROR_NOT_FOUND;
}

static int
covers(const MIB_IPFORWARD_ROW2 *row, const SOCKADDR_INET *address)
{
    const SOCKADDR_INET *prefix = &row->DestinationPrefix.Prefix;
    unsigned length = row->DestinationPrefix.PrefixLength;
    const uint8_t *a, *b;

    if (prefix->si_family != address->si_family) {
        return 0;
    }
    a = prefix->si_family == AF_INET ? (const void *)&prefix->Ipv4.sin_addr
                                     : (const void *)&prefix->Ipv6.sin6_addr;
    b = prefix->si_family == AF_INET ? (const void *)&address->Ipv4.sin_addr
                                     : (const void *)&address->Ipv6.sin6_addr;
    return memcmp(a, b, length / 8) == 0 &&
           (length % 8 == 0 ||
            ((a[length / 8] ^ b[length / 8]) >> (8 - length % 8)) == 0);
}

DWORD WINAPI
GetBestRoute2(NET_LUID *luid, NET_IFINDEX index, const SOCKADDR_INET *source,
              const SOCKADDR_INET *destination, ULONG options,
              MIB_IPFORWARD_ROW2 *route, SOCKADDR_INET *best_source)
{
    DWORD code = rnd_injected(RND_BEST);
    const MIB_IPFORWARD_ROW2 *best = NULL;
    uint64_t id = luid != NULL ? luid->Value : 0;

    (void)options;
    if (code != 0) {
        return code;
    }
    if (destination == NULL || route == NULL || best_source == NULL ||
        !is_family(destination)) {
        return ERROR_INVALID_PARAMETER;
    }
    EnterCriticalSection(&rnd_lock);
    for (uint32_t i = 0; i < count; i++) {
        if (covers(&rows[i], destination) &&
            ((id == 0 && index == 0) ||
             interface_of(id, index) ==
                 interface_of(rows[i].InterfaceLuid.Value, 0)) &&
            (best == NULL || rows[i].DestinationPrefix.PrefixLength >
                                 best->DestinationPrefix.PrefixLength)) {
            best = &rows[i];
        }
    }
    if (best != NULL) {
        *route = *best;
        memset(best_source, 0, sizeof *best_source);
        best_source->si_family = destination->si_family;
        if (source != NULL) {
            *best_source = *source;
        } else if (destination->si_family == AF_INET) {
            best_source->Ipv4.sin_addr.s_addr = __builtin_bswap32(0xC0000201);
        }
    }
    LeaveCriticalSection(&rnd_lock);
    return best != NULL ? NO_ERROR : ERROR_NETWORK_UNREACHABLE;
}

DWORD WINAPI
GetIpInterfaceEntry(MIB_IPINTERFACE_ROW *row)
{
    DWORD code = rnd_injected(RND_METRIC);
    size_t at;

    if (code != 0) {
        return code;
    }
    at = interface_of(row->InterfaceLuid.Value, row->InterfaceIndex);
    if (at == INTERFACES) {
        return ERROR_FILE_NOT_FOUND;
    }
    row->Metric = interfaces[at].metric;
    return NO_ERROR;
}

DWORD WINAPI
ConvertInterfaceLuidToAlias(const NET_LUID *luid, WCHAR *alias, SIZE_T length)
{
    DWORD code = rnd_injected(RND_ALIAS);
    size_t at;

    if (code != 0) {
        return code;
    }
    if (luid == NULL || alias == NULL) {
        return ERROR_INVALID_PARAMETER;
    }
    at = luid->Value != 0 ? interface_of(luid->Value, 0) : INTERFACES;
    if (at == INTERFACES) {
        return ERROR_FILE_NOT_FOUND;
    }
    if (wcslen(interfaces[at].alias) >= length) {
        return ERROR_NOT_ENOUGH_MEMORY;
    }
    wcscpy(alias, interfaces[at].alias);
    return NO_ERROR;
}

DWORD WINAPI
ConvertInterfaceIndexToLuid(NET_IFINDEX index, NET_LUID *luid)
{
    DWORD code = rnd_injected(RND_LUID);
    size_t at = index != 0 ? interface_of(0, index) : INTERFACES;

    if (code != 0) {
        return code;
    }
    if (at == INTERFACES) {
        luid->Value = 0;
        return ERROR_FILE_NOT_FOUND;
    }
    luid->Value = interfaces[at].luid;
    return NO_ERROR;
}

/* Windows says 87, not "not found", of an alias that no interface has. */
DWORD WINAPI
ConvertInterfaceAliasToLuid(const WCHAR *alias, NET_LUID *luid)
{
    for (size_t i = 0; i < INTERFACES; i++) {
        if (wcscmp(interfaces[i].alias, alias) == 0) {
            luid->Value = interfaces[i].luid;
            return NO_ERROR;
        }
    }
    return ERROR_INVALID_PARAMETER;
}

DWORD WINAPI
ConvertInterfaceLuidToIndex(const NET_LUID *luid, NET_IFINDEX *index)
{
    size_t at = interface_of(luid->Value, 0);

    if (at == INTERFACES) {
        return ERROR_FILE_NOT_FOUND;
    }
    *index = interfaces[at].index;
    return NO_ERROR;
}

/* Control. */

/* Replace the table without telling anybody. */
__declspec(dllexport) void WINAPI
    rnd_table_set(const MIB_IPFORWARD_ROW2 *from, uint32_t n)
{
    EnterCriticalSection(&rnd_lock);
    count = 0;
    for (uint32_t i = 0; i < n; i++) {
        (void)append(&from[i]);
    }
    LeaveCriticalSection(&rnd_lock);
}

/* Change the table, and notify, in the middle of the next GetIpForwardTable2:
 * what it returns is old by then.
 */
__declspec(dllexport) void WINAPI
    rnd_change_during_table(const MIB_IPFORWARD_ROW2 *row, int type)
{
    during.row = *row;
    during.type = type;
    during.armed = 1;
}

/* GetIpForwardTable2 takes so long from now on. */
__declspec(dllexport) void WINAPI rnd_table_delay(DWORD ms)
{
    delay_ms = ms;
}

/* Change the table without telling anybody. */
__declspec(dllexport) int WINAPI
    rnd_table_change(const MIB_IPFORWARD_ROW2 *row, int type)
{
    int applied;

    EnterCriticalSection(&rnd_lock);
    applied = rnd_table_apply(row, (MIB_NOTIFICATION_TYPE)type);
    LeaveCriticalSection(&rnd_lock);
    return applied;
}
