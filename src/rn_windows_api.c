/* rn_windows_api.c - find iphlpapi's functions in System32, once. */
#include "rn_windows_api.h"

#include <string.h>

/* No import table entry: the module must load where iphlpapi lacks one of
 * these (then the call says so), and must not follow the search path.
 */
static const struct {
    const char *name;
    size_t offset;
    int required;
} wanted[] = {
    {"NotifyRouteChange2",
     offsetof(struct rn_windows_api, notify_route_change2), 1},
    {"CancelMibChangeNotify2",
     offsetof(struct rn_windows_api, cancel_mib_change_notify2), 1},
    {"GetIpForwardTable2",
     offsetof(struct rn_windows_api, get_ip_forward_table2), 0},
    {"GetIpForwardEntry2",
     offsetof(struct rn_windows_api, get_ip_forward_entry2), 0},
    {"GetBestRoute2", offsetof(struct rn_windows_api, get_best_route2), 0},
    {"GetIpInterfaceEntry",
     offsetof(struct rn_windows_api, get_ip_interface_entry), 0},
    {"ConvertInterfaceLuidToAlias",
     offsetof(struct rn_windows_api, luid_to_alias), 0},
    {"ConvertInterfaceIndexToLuid",
     offsetof(struct rn_windows_api, index_to_luid), 0},
    {"ConvertInterfaceAliasToLuid",
     offsetof(struct rn_windows_api, alias_to_luid), 0},
    {"ConvertInterfaceNameToLuidW",
     offsetof(struct rn_windows_api, name_to_luid), 0},
    {"ConvertInterfaceLuidToIndex",
     offsetof(struct rn_windows_api, luid_to_index), 0},
    {"FreeMibTable", offsetof(struct rn_windows_api, free_mib_table), 1},
};

static struct rn_windows_api api; /* written once, under `once` */
static INIT_ONCE once = INIT_ONCE_STATIC_INIT;

int
rn_windows_fail(struct rn_fail *fail, uint32_t code, const char *call)
{
    fail->code = code;
    fail->os_error = 0;
    fail->call = call;
    return -1;
}

int
rn_windows_family(int family, ADDRESS_FAMILY *out)
{
    if (family != 0 && family != 4 && family != 6) {
        return -1;
    }
    *out = family == 0 ? AF_UNSPEC : family == 4 ? AF_INET : AF_INET6;
    return 0;
}

/* Every pointer has the size of a FARPROC; memcpy converts without a cast that
 * compilers rightly warn about.
 */
static int
resolve(HMODULE module, struct rn_fail *fail)
{
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        FARPROC found = GetProcAddress(module, wanted[i].name);

        if (found == NULL && wanted[i].required) {
            return rn_windows_fail(fail, ERROR_PROC_NOT_FOUND, wanted[i].name);
        }
        memcpy((char *)&api + wanted[i].offset, &found, sizeof found);
    }
    return 0;
}

static void
pin_this_module(void)
{
    HMODULE self;

    /* Failing to pin is no reason to refuse service. */
    (void)GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_PIN |
                                 GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS,
                             (LPCWSTR)(void *)&api, &self);
}

static BOOL CALLBACK
load(INIT_ONCE *unused, void *fail, void **context)
{
    HMODULE module =
        LoadLibraryExW(L"iphlpapi.dll", NULL, LOAD_LIBRARY_SEARCH_SYSTEM32);

    (void)unused;
    (void)context;
    if (module == NULL) {
        rn_windows_fail(fail, GetLastError(), "LoadLibraryEx(iphlpapi.dll)");
        return FALSE;
    }
    if (resolve(module, fail) < 0) {
        FreeLibrary(module);
        return FALSE;
    }
    pin_this_module();
    return TRUE;
}

const struct rn_windows_api *
rn_windows_api_get(struct rn_fail *fail)
{
    /* A failure is not remembered: the next call tries again. */
    return InitOnceExecuteOnce(&once, load, fail, NULL) ? &api : NULL;
}

DWORD
rn_windows_table(const struct rn_windows_api *functions, ADDRESS_FAMILY family,
                 MIB_IPFORWARD_TABLE2 **out)
{
    MIB_IPFORWARD_TABLE2 *table = NULL;
    DWORD code = functions->get_ip_forward_table2(family, &table);

    *out = code == NO_ERROR ? table : NULL;
    return code == RN_ERROR_NOT_FOUND ? NO_ERROR : code;
}

void
rn_windows_table_free(const struct rn_windows_api *functions,
                      MIB_IPFORWARD_TABLE2 *table)
{
    if (table != NULL) {
        functions->free_mib_table(table);
    }
}
