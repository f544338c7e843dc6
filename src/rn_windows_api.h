/* rn_windows_api.h - iphlpapi as found at run time, and the layout it uses.
 *
 * The Windows files' only door to the system's headers.  Types come from the
 * SDK's netioapi.h; every size and offset that is relied on is asserted here,
 * so a header that disagrees fails the build on any of x64, x86 and arm64.
 */
#ifndef RN_WINDOWS_API_H
#define RN_WINDOWS_API_H

#include <winsock2.h>
#include <ws2ipdef.h>
#include <windows.h>
#include <iphlpapi.h>
#include <netioapi.h>

#include "rn_netio.h"

#define RN_AT(type, member, offset) \
    static_assert(offsetof(type, member) == (offset), "netioapi.h layout")
#define RN_SIZE(type, size) \
    static_assert(sizeof(type) == (size), "netioapi.h layout")

RN_SIZE(SOCKADDR_INET, 28);
RN_AT(SOCKADDR_INET, si_family, 0);
RN_AT(SOCKADDR_INET, Ipv4.sin_addr, 4);
RN_AT(SOCKADDR_INET, Ipv6.sin6_addr, 8);
RN_AT(SOCKADDR_INET, Ipv6.sin6_scope_id, 24);
RN_SIZE(IP_ADDRESS_PREFIX, 32);
RN_AT(IP_ADDRESS_PREFIX, PrefixLength, 28);
RN_SIZE(NET_LUID, 8);
RN_SIZE(MIB_IPFORWARD_ROW2, 104);
RN_AT(MIB_IPFORWARD_ROW2, InterfaceLuid, 0);
RN_AT(MIB_IPFORWARD_ROW2, InterfaceIndex, 8);
RN_AT(MIB_IPFORWARD_ROW2, DestinationPrefix, 12);
RN_AT(MIB_IPFORWARD_ROW2, DestinationPrefix.PrefixLength, 40);
RN_AT(MIB_IPFORWARD_ROW2, NextHop, 44);
RN_AT(MIB_IPFORWARD_ROW2, SitePrefixLength, 72);
RN_AT(MIB_IPFORWARD_ROW2, ValidLifetime, 76);
RN_AT(MIB_IPFORWARD_ROW2, PreferredLifetime, 80);
RN_AT(MIB_IPFORWARD_ROW2, Metric, 84);
RN_AT(MIB_IPFORWARD_ROW2, Protocol, 88);
RN_AT(MIB_IPFORWARD_ROW2, Loopback, 92);
RN_AT(MIB_IPFORWARD_ROW2, AutoconfigureAddress, 93);
RN_AT(MIB_IPFORWARD_ROW2, Publish, 94);
RN_AT(MIB_IPFORWARD_ROW2, Immortal, 95);
RN_AT(MIB_IPFORWARD_ROW2, Age, 96);
RN_AT(MIB_IPFORWARD_ROW2, Origin, 100);
RN_AT(MIB_IPFORWARD_TABLE2, NumEntries, 0);
RN_AT(MIB_IPFORWARD_TABLE2, Table, 8);
static_assert(MibParameterNotification == (int)RN_PARAMETER &&
                  MibAddInstance == (int)RN_ADD &&
                  MibDeleteInstance == (int)RN_DELETE &&
                  MibInitialNotification == (int)RN_INITIAL,
              "MIB_NOTIFICATION_TYPE");
static_assert(AF_UNSPEC == 0 && AF_INET == 2 && AF_INET6 == 23, "families");

/* The functions used, under the names of rn_windows_api.c's table.  WINAPI
 * matters: on x86 it is part of the type, of the callback's too.  The first two
 * are always there; any other is NULL on a system without it.
 */
struct rn_windows_api {
    DWORD(WINAPI *notify_route_change2)
    (ADDRESS_FAMILY family, PIPFORWARD_CHANGE_CALLBACK callback, void *context,
     BOOLEAN initial, HANDLE *handle);
    DWORD(WINAPI *cancel_mib_change_notify2)(HANDLE handle);
    DWORD(WINAPI *get_ip_forward_table2)
    (ADDRESS_FAMILY family, MIB_IPFORWARD_TABLE2 **table);
    DWORD(WINAPI *get_ip_forward_entry2)(MIB_IPFORWARD_ROW2 *row);
    DWORD(WINAPI *get_best_route2)
    (NET_LUID *luid, NET_IFINDEX index, const SOCKADDR_INET *source,
     const SOCKADDR_INET *destination, ULONG sort_options,
     MIB_IPFORWARD_ROW2 *best_route, SOCKADDR_INET *best_source);
    DWORD(WINAPI *get_ip_interface_entry)(MIB_IPINTERFACE_ROW *row);
    DWORD(WINAPI *luid_to_alias)
    (const NET_LUID *luid, WCHAR *alias, SIZE_T length);
    DWORD(WINAPI *index_to_luid)(NET_IFINDEX index, NET_LUID *luid);
    DWORD(WINAPI *alias_to_luid)(const WCHAR *alias, NET_LUID *luid);
    DWORD(WINAPI *name_to_luid)(const WCHAR *name, NET_LUID *luid);
    DWORD(WINAPI *luid_to_index)(const NET_LUID *luid, NET_IFINDEX *index);
    void(WINAPI *free_mib_table)(void *memory);
};

/* rn_windows_api_get - the functions, looked up at the first call.
 * From System32 only: a DLL of that name planted beside the program or the
 * extension is not looked at.  Also pins this module, so that a host that
 * unloads Python cannot pull the callback from under the system.
 * Context: any thread, not under the loader lock; may block.
 * Return: the table, or NULL with *fail filled.
 */
const struct rn_windows_api *
rn_windows_api_get(struct rn_fail *fail);

/* rn_windows_table - GetIpForwardTable2, whose ERROR_NOT_FOUND means that there
 * is no route: that is no error here.  The function must be there.
 * Return: a Win32 code; at NO_ERROR *out, NULL for no route, is freed by
 * rn_windows_table_free.
 */
DWORD
rn_windows_table(const struct rn_windows_api *functions, ADDRESS_FAMILY family,
                 MIB_IPFORWARD_TABLE2 **out);
void
rn_windows_table_free(const struct rn_windows_api *functions,
                      MIB_IPFORWARD_TABLE2 *table);

/* rn_windows_fail - fill *fail.  Return: -1, for `return rn_windows_fail(...)`. */
int
rn_windows_fail(struct rn_fail *fail, uint32_t code, const char *call);

/* rn_windows_family - 0, 4, 6 to AF_*.  Return: 0, or -1 for any other. */
int
rn_windows_family(int family, ADDRESS_FAMILY *out);

#endif
