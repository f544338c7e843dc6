/* rn_unsupported.c - the provider of systems that have none: the module can be
 * imported, and every call says that the platform is not supported.
 */
#include "rn_netio.h"

static int
unsupported(struct rn_fail *fail, const char *call)
{
    fail->code = RN_ERROR_NOT_SUPPORTED;
    fail->os_error = 0;
    fail->call = call;
    return -1;
}

int
rn_notify_open(const struct rn_config *config, const struct rn_sink *sink,
               struct rn_notify **out, struct rn_fail *fail)
{
    (void)config;
    (void)sink;
    *out = NULL;
    return unsupported(fail, "NotifyRouteChange2");
}

int
rn_notify_close(struct rn_notify *notify, struct rn_fail *fail)
{
    (void)notify;
    return unsupported(fail, "CancelMibChangeNotify2");
}

int
rn_notify_ask(struct rn_notify *notify, enum rn_question question,
              uint64_t (*at)(void *self), struct rn_asked **out,
              struct rn_fail *fail)
{
    (void)notify;
    (void)at;
    *out = NULL;
    return unsupported(fail,
                       question == RN_ASK_SNAPSHOT ? "snapshot" : "resync");
}

int
rn_asked_wait(struct rn_asked *asked, const struct rn_patience *patience,
              struct rn_answer *out, struct rn_fail *fail)
{
    (void)asked;
    (void)patience;
    (void)out;
    return unsupported(fail, "wait");
}

void
rn_notify_stats(struct rn_notify *notify, struct rn_provider_stats *out)
{
    (void)notify;
    *out = (struct rn_provider_stats){0};
}

int
rn_table_get(int family, int netns_fd, struct rn_table **out,
             struct rn_fail *fail)
{
    (void)family;
    (void)netns_fd;
    *out = NULL;
    return unsupported(fail, "GetIpForwardTable2");
}

int
rn_entry_get(const struct rn_record *row, int netns_fd, struct rn_route *out,
             struct rn_fail *fail)
{
    (void)row;
    (void)netns_fd;
    (void)out;
    return unsupported(fail, "GetIpForwardEntry2");
}

int
rn_best_route(int ip_version, const uint8_t *address,
              const uint8_t *source_address, uint32_t interface_index,
              int netns_fd, struct rn_route *out, uint8_t best_source[16],
              struct rn_fail *fail)
{
    (void)ip_version;
    (void)address;
    (void)source_address;
    (void)interface_index;
    (void)netns_fd;
    (void)out;
    (void)best_source;
    return unsupported(fail, "GetBestRoute2");
}

int
rn_interface_name(uint64_t luid, uint32_t index, int names_fd, char *name,
                  size_t size, struct rn_fail *fail)
{
    (void)luid;
    (void)index;
    (void)names_fd;
    (void)name;
    (void)size;
    return unsupported(fail, "ConvertInterfaceLuidToAlias");
}

int
rn_interface_index(const char *name, int names_fd, uint32_t *index,
                   struct rn_fail *fail)
{
    (void)name;
    (void)names_fd;
    (void)index;
    return unsupported(fail, "ConvertInterfaceAliasToLuid");
}

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
    (void)table; /* there never is one */
}

void
rn_rows_free(struct rn_rows *rows)
{
    (void)rows; /* there never is one */
}

int
rn_forked(const struct rn_notify *notify)
{
    (void)notify;
    return 0;
}
