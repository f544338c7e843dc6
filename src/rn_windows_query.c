/* rn_windows_query.c - one-shot questions: table, entry, best route, alias.
 *
 * Context of every function: a caller's thread, never a callback; may block as
 * long as the system does.
 */
#include "rn_windows_row.h"

#include <stdlib.h>
#include <string.h>

/* Windows has compartments, not namespaces, and no handle for them here. */
static int
refuse_netns(int netns_fd, const char *call, struct rn_fail *fail)
{
    return netns_fd < 0 ? 0
                        : rn_windows_fail(fail, RN_ERROR_NOT_SUPPORTED, call);
}

/* The functions, or NULL when `member` of them is not to be had. */
static const struct rn_windows_api *
need(size_t member, const char *call, int netns_fd, struct rn_fail *fail)
{
    const struct rn_windows_api *api;
    FARPROC found;

    if (refuse_netns(netns_fd, call, fail) < 0) {
        return NULL;
    }
    api = rn_windows_api_get(fail);
    if (api == NULL) {
        return NULL;
    }
    memcpy(&found, (const char *)api + member, sizeof found);
    if (found == NULL) {
        rn_windows_fail(fail, ERROR_PROC_NOT_FOUND, call);
        return NULL;
    }
    return api;
}

#define NEED(member, call, netns_fd, fail) \
    need(offsetof(struct rn_windows_api, member), call, netns_fd, fail)

/* Interface metrics, asked for once per run of rows on one interface. */
struct metric_cache {
    const struct rn_windows_api *api;
    uint64_t luid;
    uint32_t index;
    ADDRESS_FAMILY family;
    int filled;
    uint32_t metric; /* RN_UNKNOWN32: the system does not say */
};

static uint32_t
interface_metric(struct metric_cache *cache, const MIB_IPFORWARD_ROW2 *row)
{
    MIB_IPINTERFACE_ROW interface_row;

    if (cache->api->get_ip_interface_entry == NULL) {
        return RN_UNKNOWN32;
    }
    if (cache->filled && cache->luid == row->InterfaceLuid.Value &&
        cache->index == row->InterfaceIndex &&
        cache->family == row->DestinationPrefix.Prefix.si_family) {
        return cache->metric;
    }
    cache->filled = 1;
    cache->luid = row->InterfaceLuid.Value;
    cache->index = row->InterfaceIndex;
    cache->family = row->DestinationPrefix.Prefix.si_family;
    memset(&interface_row, 0, sizeof interface_row);
    interface_row.Family = cache->family;
    interface_row.InterfaceLuid = row->InterfaceLuid;
    interface_row.InterfaceIndex = row->InterfaceIndex;
    cache->metric =
        cache->api->get_ip_interface_entry(&interface_row) == NO_ERROR
            ? interface_row.Metric
            : RN_UNKNOWN32;
    return cache->metric;
}

/* Return: as rn_windows_route. */
static int
fill_route(struct metric_cache *cache, const MIB_IPFORWARD_ROW2 *row,
           struct rn_route *out)
{
    uint32_t metric;

    if (rn_windows_route(row, out) < 0) {
        return -1;
    }
    metric = interface_metric(cache, row);
    if (metric != RN_UNKNOWN32) {
        out->effective_metric = out->row.metric + metric;
    }
    return 0;
}

/* Rows of a family that does not exist are left out. */
static struct rn_table *
copy_table(const struct rn_windows_api *api, const MIB_IPFORWARD_TABLE2 *from)
{
    struct metric_cache cache = {.api = api};
    ULONG count = from != NULL ? from->NumEntries : 0;
    struct rn_table *table =
        malloc(sizeof *table + (size_t)count * sizeof table->routes[0]);

    if (table == NULL) {
        return NULL;
    }
    table->count = 0;
    for (ULONG i = 0; i < count; i++) {
        if (fill_route(&cache, &from->Table[i],
                       &table->routes[table->count]) == 0) {
            table->count++;
        }
    }
    return table;
}

int
rn_table_get(int family, int netns_fd, struct rn_table **out,
             struct rn_fail *fail)
{
    static const char call[] = "GetIpForwardTable2";
    const struct rn_windows_api *api;
    MIB_IPFORWARD_TABLE2 *table;
    ADDRESS_FAMILY system_family;
    DWORD code;

    *out = NULL;
    if (rn_windows_family(family, &system_family) < 0) {
        return rn_windows_fail(fail, RN_ERROR_INVALID_PARAMETER, call);
    }
    api = NEED(get_ip_forward_table2, call, netns_fd, fail);
    if (api == NULL) {
        return -1;
    }
    code = rn_windows_table(api, system_family, &table);
    if (code == NO_ERROR) {
        *out = copy_table(api, table);
        rn_windows_table_free(api, table);
        code = *out != NULL ? NO_ERROR : RN_ERROR_NOT_ENOUGH_MEMORY;
    }
    return code == NO_ERROR ? 0 : rn_windows_fail(fail, code, call);
}

static int
same_key(const struct rn_record *a, const struct rn_record *b)
{
    return a->ip_version == b->ip_version &&
           a->prefix_length == b->prefix_length &&
           a->next_hop_version == b->next_hop_version &&
           memcmp(a->destination, b->destination, 16) == 0 &&
           memcmp(a->next_hop, b->next_hop, 16) == 0 &&
           (a->interface_luid != 0 && b->interface_luid != 0
                ? a->interface_luid == b->interface_luid
                : a->interface_index == b->interface_index);
}

/* Records carry no scope ids, which may be part of the system's key: what the
 * exact question does not find is looked for in the table.
 */
static DWORD
search_table(const struct rn_windows_api *api, const struct rn_record *record,
             MIB_IPFORWARD_ROW2 *out)
{
    MIB_IPFORWARD_TABLE2 *table;
    struct rn_record found;
    DWORD code = RN_ERROR_NOT_FOUND;

    if (api->get_ip_forward_table2 == NULL ||
        rn_windows_table(api, AF_INET6, &table) != NO_ERROR || table == NULL) {
        return code;
    }
    for (ULONG i = 0; i < table->NumEntries && code != NO_ERROR; i++) {
        if (rn_windows_record(&table->Table[i], &found) == 0 &&
            same_key(&found, record)) {
            *out = table->Table[i];
            code = NO_ERROR;
        }
    }
    rn_windows_table_free(api, table);
    return code;
}

static int
is_link_local(const struct rn_record *record)
{
    return record->ip_version == 6 &&
           ((record->next_hop[0] == 0xfe && record->next_hop[1] >> 6 == 2) ||
            (record->destination[0] == 0xfe &&
             record->destination[1] >> 6 == 2) ||
            record->destination[0] == 0xff);
}

/* rn_entry_get - see rn_netio.h.  An interface that is gone (2) means the same
 * as a route that is gone: the usual race after an ADD.
 */
int
rn_entry_get(const struct rn_record *row, int netns_fd, struct rn_route *out,
             struct rn_fail *fail)
{
    static const char call[] = "GetIpForwardEntry2";
    const struct rn_windows_api *api =
        NEED(get_ip_forward_entry2, call, netns_fd, fail);
    struct metric_cache cache = {.api = api};
    MIB_IPFORWARD_ROW2 entry;
    DWORD code;

    if (api == NULL) {
        return -1;
    }
    rn_windows_request(row, &entry);
    code = api->get_ip_forward_entry2(&entry);
    if (code == RN_ERROR_NOT_FOUND && is_link_local(row)) {
        code = search_table(api, row, &entry);
    }
    if (code == RN_ERROR_FILE_NOT_FOUND ||
        (code == NO_ERROR && fill_route(&cache, &entry, out) < 0)) {
        code = RN_ERROR_NOT_FOUND;
    }
    return code == NO_ERROR ? 0 : rn_windows_fail(fail, code, call);
}

int
rn_best_route(int ip_version, const uint8_t *address,
              const uint8_t *source_address, uint32_t interface_index,
              int netns_fd, struct rn_route *out, uint8_t best_source[16],
              struct rn_fail *fail)
{
    static const char call[] = "GetBestRoute2";
    const struct rn_windows_api *api =
        NEED(get_best_route2, call, netns_fd, fail);
    struct metric_cache cache = {.api = api};
    SOCKADDR_INET source, destination, best;
    MIB_IPFORWARD_ROW2 row;
    DWORD code;

    if (api == NULL) {
        return -1;
    }
    rn_windows_address(ip_version, address, &destination);
    if (source_address != NULL) {
        rn_windows_address(ip_version, source_address, &source);
    }
    memset(&row, 0, sizeof row);
    memset(&best, 0, sizeof best);
    code = api->get_best_route2(NULL, interface_index,
                                source_address != NULL ? &source : NULL,
                                &destination, 0, &row, &best);
    if (code == NO_ERROR && fill_route(&cache, &row, out) < 0) {
        code = RN_ERROR_NOT_FOUND;
    }
    if (code != NO_ERROR) {
        return rn_windows_fail(fail, code, call);
    }
    (void)rn_windows_bytes(&best, best_source);
    return 0;
}

static DWORD
find_luid(const struct rn_windows_api *api, uint32_t index, NET_LUID *luid)
{
    return api->index_to_luid != NULL ? api->index_to_luid(index, luid)
                                      : RN_ERROR_NOT_FOUND;
}

/* rn_interface_name - see rn_netio.h.  The alias can be renamed by the user at
 * any time, so it is not kept.
 */
int
rn_interface_name(uint64_t luid, uint32_t index, int names_fd, char *name,
                  size_t size, struct rn_fail *fail)
{
    static const char call[] = "ConvertInterfaceLuidToAlias";
    const struct rn_windows_api *api =
        NEED(luid_to_alias, call, names_fd, fail);
    WCHAR alias[IF_MAX_STRING_SIZE + 1];
    NET_LUID id;
    DWORD code = NO_ERROR;

    if (api == NULL) {
        return -1;
    }
    id.Value = luid;
    if (luid == 0) {
        code = find_luid(api, index, &id);
    }
    if (code == NO_ERROR) {
        code = api->luid_to_alias(&id, alias, IF_MAX_STRING_SIZE + 1);
    }
    if (code == NO_ERROR && WideCharToMultiByte(CP_UTF8, 0, alias, -1, name,
                                                (int)size, NULL, NULL) == 0) {
        code = GetLastError();
    }
    return code == NO_ERROR ? 0 : rn_windows_fail(fail, code, call);
}

/* By the user's alias, else by the interface's own name. */
int
rn_interface_index(const char *name, int names_fd, uint32_t *index,
                   struct rn_fail *fail)
{
    static const char call[] = "ConvertInterfaceAliasToLuid";
    const struct rn_windows_api *api =
        NEED(alias_to_luid, call, names_fd, fail);
    WCHAR wide[IF_MAX_STRING_SIZE + 1];
    NET_IFINDEX found;
    NET_LUID luid;
    DWORD code;

    if (api == NULL) {
        return -1;
    }
    if (MultiByteToWideChar(CP_UTF8, 0, name, -1, wide,
                            IF_MAX_STRING_SIZE + 1) == 0) {
        return rn_windows_fail(fail, RN_ERROR_NOT_FOUND, call);
    }
    code = api->alias_to_luid(wide, &luid);
    if (code != NO_ERROR && api->name_to_luid != NULL) {
        code = api->name_to_luid(wide, &luid);
    }
    /* Each call has its own word for a name that no interface has. */
    if (code != NO_ERROR || api->luid_to_index == NULL ||
        api->luid_to_index(&luid, &found) != NO_ERROR) {
        return rn_windows_fail(fail, RN_ERROR_NOT_FOUND, call);
    }
    *index = found;
    return 0;
}

/* rn_filter_program - Windows has nothing to give a filter to. */
size_t
rn_filter_program(const struct rn_filter *filter,
                  struct rn_instruction out[RN_PROGRAM_MAX])
{
    (void)filter;
    (void)out;
    return 0;
}

void
rn_table_free(struct rn_table *table)
{
    free(table);
}

void
rn_rows_free(struct rn_rows *rows)
{
    free(rows);
}
