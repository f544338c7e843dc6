/* rn_linux_query.c - tables, one row completed, the best route: by asking. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rn_alloc.h"
#include "rn_linux.h"

/* Dumps that may be repeated because routes moved meanwhile: of a table, which is
 * told as it is in the end, and for one row, which would be denied.
 */
#define TRIES 5
#define LOOKS 30

#define WIRE_F_LOOKUP_TABLE 0x1000
#define WIRE_F_FIB_MATCH 0x2000 /* Linux 4.14 (IPv4), 5.1 (IPv6) */

struct route_request {
    struct nlmsghdr header;
    struct rtmsg route;
    unsigned char attributes[96];
};

static size_t
request_size(const struct route_request *request)
{
    return request->header.nlmsg_len;
}

static void
request_begin(struct route_request *request, int family, int flags)
{
    memset(request, 0, sizeof(*request));
    request->header.nlmsg_type = RTM_GETROUTE;
    request->header.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
    request->header.nlmsg_len =
        (uint32_t)offsetof(struct route_request, attributes);
    request->route.rtm_family = (unsigned char)family;
}

static void
request_put(struct route_request *request, uint16_t type, const void *data,
            size_t size)
{
    const struct rtattr attribute = {(uint16_t)RTA_LENGTH(size), type};
    unsigned char *at = (unsigned char *)request + request_size(request);

    memcpy(at, &attribute, sizeof(attribute));
    memcpy(at + sizeof(attribute), data, size);
    request->header.nlmsg_len += (uint32_t)RTA_SPACE(size);
}

/* Rows as they come. */
struct gather {
    struct rn_route_message *message;
    struct rn_table *table;
    size_t size;
    size_t group; /* where the rows of the newest group begin */
};

static int
same_group(const struct rn_record *a, const struct rn_record *b)
{
    return a->table == b->table && a->metric == b->metric &&
           a->tos == b->tos && a->prefix_length == b->prefix_length &&
           a->source_length == b->source_length &&
           a->ip_version == b->ip_version &&
           !memcmp(a->destination, b->destination, 16) &&
           !memcmp(a->source, b->source, 16);
}

static int
same_hop(const struct rn_record *a, const struct rn_record *b)
{
    return a->interface_index == b->interface_index &&
           a->next_hop_version == b->next_hop_version &&
           !memcmp(a->next_hop, b->next_hop, 16);
}

/* Rows of a group come one after another: count equals from its begin. */
static void
number_row(struct gather *gather)
{
    struct rn_route *rows = gather->table->routes;
    size_t at = gather->table->count;

    if (!at || !same_group(&rows[gather->group].row, &rows[at].row)) {
        gather->group = at;
    }
    for (size_t i = gather->group; i < at; i++) {
        rows[at].row.ordinal =
            (uint16_t)(rows[at].row.ordinal +
                       same_hop(&rows[i].row, &rows[at].row));
    }
}

static int
room_for_one(struct gather *gather)
{
    if (gather->table && gather->table->count < gather->size) {
        return 0;
    }
    size_t size = gather->size ? gather->size * 2 : 64;
    struct rn_table *table = rn_realloc(
        gather->table, sizeof(*table) + size * sizeof(struct rn_route));
    if (!table) {
        return -1;
    }
    table->count = gather->table ? table->count : 0;
    gather->table = table;
    gather->size = size;
    return 0;
}

static int
gather_rows(void *self, struct nlmsghdr *header)
{
    struct gather *gather = self;
    enum rn_parse parsed =
        rn_rtnl_route(header, header->nlmsg_len, gather->message);
    uint32_t hops = gather->message->entry.hop_count;

    if (parsed != RN_PARSE_OK) {
        return parsed == RN_PARSE_IGNORED ? 0 : -EBADMSG;
    }
    for (uint32_t i = 0; i < (hops ? hops : 1); i++) {
        if (room_for_one(gather) < 0) {
            return -ENOMEM;
        }
        rn_linux_row(gather->message, i,
                     &gather->table->routes[gather->table->count]);
        number_row(gather);
        gather->table->count++;
    }
    return 0;
}

/* A result of gather_rows that ended the reading, as a failure. */
static int
dump_result(int result, struct rn_fail *fail)
{
    const char *call =
        result == -ENOMEM ? "malloc" : "recv(RTM_GETROUTE dump)";

    return result < -1 ? rn_linux_fail_as(fail, -result, call) : result;
}

/* Anything on the event socket since it was last read empty?  A socket that
 * fails counts as silent: there is nothing to wait for on it.
 */
static int
moved(int event_fd)
{
    char byte;
    int news = 0;

    while (recv(event_fd, &byte, 1, MSG_DONTWAIT) >= 0 || errno == ENOBUFS ||
           errno == EINTR) {
        news = 1;
    }
    return news;
}

static int
dump_family(int fd, int family, struct gather *gather, int *interrupted,
            struct rn_fail *fail)
{
    struct route_request request;
    struct rn_exchange exchange = {
        .fd = fd,
        .request = &request,
        .call = "send(RTM_GETROUTE dump)",
        .read_call = "recv(RTM_GETROUTE dump)",
        .each = gather_rows,
        .self = gather,
    };

    request_begin(&request, family, NLM_F_DUMP);
    exchange.size = request_size(&request);
    int result = rn_linux_exchange(&exchange, fail);
    *interrupted |= exchange.interrupted;
    return dump_result(result, fail);
}

/* Dump again while routes move, at most TRIES times: an IPv6 dump may lose
 * rows then.  The last one counts anyway: a table that never rests is still
 * better told than refused, and every row in it was there.
 */
static int
dump_quietly(int fd, int event_fd, int family, struct gather *gather,
             struct rn_fail *fail)
{
    for (int i = 0; i < TRIES; i++) {
        int noise = 0;
        (void)moved(event_fd);
        gather->table->count = 0;
        if ((family != 6 &&
             dump_family(fd, AF_INET, gather, &noise, fail) < 0) ||
            (family != 4 &&
             dump_family(fd, AF_INET6, gather, &noise, fail) < 0)) {
            return -1;
        }
        if (!moved(event_fd) && !noise) {
            return 0;
        }
    }
    return 0;
}

static int
table_read(int family, int netns_fd, struct gather *gather,
           struct rn_fail *fail)
{
    int fd = rn_linux_request_socket(netns_fd, fail);
    int event_fd = -1;
    int result = -1;

    if (fd >= 0) {
        event_fd = rn_linux_event_socket(netns_fd, 1u << 20, fail);
    }
    if (event_fd >= 0) {
        result = dump_quietly(fd, event_fd, family, gather, fail);
        close(event_fd);
    }
    if (fd >= 0) {
        close(fd);
    }
    return result;
}

int
rn_table_get(int family, int netns_fd, struct rn_table **out,
             struct rn_fail *fail)
{
    struct gather gather = {.message = rn_linux_message_new()};
    int result = -1;

    *out = NULL;
    if (!gather.message || room_for_one(&gather) < 0) {
        rn_linux_fail_as(fail, ENOMEM, "malloc");
    } else {
        result = table_read(family, netns_fd, &gather, fail);
    }
    free(gather.message);
    if (result < 0) {
        free(gather.table);
        return -1;
    }
    *out = gather.table;
    return 0;
}

void
rn_table_free(struct rn_table *table)
{
    free(table);
}

/* The one row that is looked for, among those of its group and next hop. */
struct look {
    struct rn_route_message *message;
    const struct rn_record *row;
    struct rn_route *out;
    struct rn_route candidate;
    unsigned likeness; /* of *out; 0: none was found */
    unsigned before;   /* such rows seen */
};

/* What a row made by hand does not say is no difference. */
static int
same_attributes(const struct rn_record *found, const struct rn_record *wanted)
{
    return !(wanted->fields & RN_HAS_ATTRIBUTES) ||
           (found->protocol == wanted->protocol &&
            found->route_type == wanted->route_type &&
            found->scope == wanted->scope &&
            found->nexthop_id == wanted->nexthop_id &&
            found->mtu == wanted->mtu &&
            !memcmp(found->prefsrc, wanted->prefsrc, 16));
}

/* An ordinal is a label, given when the row came; rows that came before it may
 * be gone, or stand behind it.  So it decides only among rows that are alike.
 */
#define LIKENESS_MAX 4u

static unsigned
likeness(const struct look *look)
{
    const struct rn_record *found = &look->candidate.row;

    return 1u + 2u * (unsigned)same_attributes(found, look->row) +
           (look->before == look->row->ordinal);
}

/* Of equally likely ones the last.  Return: 1, no other need be looked at. */
static int
look_at_row(struct look *look)
{
    if (!same_group(&look->candidate.row, look->row) ||
        !same_hop(&look->candidate.row, look->row)) {
        return 0;
    }
    unsigned likely = likeness(look);
    look->before++;
    if (likely >= look->likeness) {
        look->likeness = likely;
        *look->out = look->candidate;
        look->out->row.ordinal = look->row->ordinal;
    }
    return likely == LIKENESS_MAX;
}

static int
look_at(void *self, struct nlmsghdr *header)
{
    struct look *look = self;
    const struct rn_entry *entry = &look->message->entry;
    int found = 0;

    if (rn_rtnl_route(header, header->nlmsg_len, look->message) !=
        RN_PARSE_OK) {
        return 0;
    }
    for (uint32_t i = 0;
         i < (entry->hop_count ? entry->hop_count : 1) && !found; i++) {
        rn_linux_row(look->message, i, &look->candidate);
        found = look_at_row(look);
    }
    return found;
}

static int
address_family(int ip_version)
{
    return ip_version == 6 ? AF_INET6 : AF_INET;
}

static size_t
address_size(int ip_version)
{
    return ip_version == 6 ? 16 : 4;
}

/* The kernel searches by table and device for us; the rest is looked at here.
 * *parts gets how many the answer came in.
 */
static int
entry_read(int fd, struct look *look, unsigned *parts, struct rn_fail *fail)
{
    const struct rn_record *row = look->row;
    struct route_request request;
    struct rn_exchange exchange = {
        .fd = fd,
        .request = &request,
        .call = "send(RTM_GETROUTE dump)",
        .read_call = "recv(RTM_GETROUTE dump)",
        .each = look_at,
        .self = look,
    };

    look->likeness = look->before = 0;
    request_begin(&request, address_family(row->ip_version), NLM_F_DUMP);
    request_put(&request, RTA_TABLE, &row->table, sizeof(row->table));
    if (row->interface_index) {
        request_put(&request, RTA_OIF, &row->interface_index,
                    sizeof(row->interface_index));
    }
    exchange.size = request_size(&request);
    int result = rn_linux_exchange(&exchange, fail);
    *parts = exchange.parts;
    if (result < 0 && (fail->os_error == ENOENT || fail->os_error == ENODEV)) {
        result = 0; /* no such table, no such device: no such route */
    }
    if (result >= 0 && !look->likeness) {
        return rn_linux_fail_as(fail, ESRCH, "GetIpForwardEntry2");
    }
    return result < 0 ? -1 : 0;
}

/* Not there, but an IPv6 dump in several parts may lose rows while others come
 * and go: look again as long as they do, at most LOOKS times.
 */
static int
entry_read_quietly(int fd, int netns_fd, struct look *look,
                   struct rn_fail *fail)
{
    unsigned parts;
    int result = entry_read(fd, look, &parts, fail);
    int event_fd;

    if (result == 0 || fail->os_error != ESRCH || parts < 2 ||
        look->row->ip_version != 6) {
        return result;
    }
    event_fd = rn_linux_event_socket(netns_fd, 1u << 20, fail);
    for (int i = 0; i < LOOKS && event_fd >= 0; i++) {
        (void)moved(event_fd);
        result = entry_read(fd, look, &parts, fail);
        if (result == 0 || fail->os_error != ESRCH || !moved(event_fd)) {
            break;
        }
    }
    if (event_fd >= 0) {
        close(event_fd);
    }
    return result;
}

int
rn_entry_get(const struct rn_record *row, int netns_fd, struct rn_route *out,
             struct rn_fail *fail)
{
    struct look look = {
        .message = rn_linux_message_new(), .row = row, .out = out};
    int result = -1;

    if (!look.message) {
        return rn_linux_fail_as(fail, ENOMEM, "malloc");
    }
    int fd = rn_linux_request_socket(netns_fd, fail);
    if (fd >= 0) {
        result = entry_read_quietly(fd, netns_fd, &look, fail);
        close(fd);
    }
    free(look.message);
    return result;
}

/* One answer to a lookup.  The kernel marks it as a clone of the cache, which
 * the parser would leave out.
 */
static int
take_answer(void *self, struct nlmsghdr *header)
{
    struct rtmsg route;

    memcpy(&route, NLMSG_DATA(header), sizeof(route));
    route.rtm_flags &= ~(unsigned)RTM_F_CLONED;
    memcpy(NLMSG_DATA(header), &route, sizeof(route));
    return rn_rtnl_route(header, header->nlmsg_len, self) == RN_PARSE_OK
               ? 1
               : -EBADMSG;
}

struct lookup {
    int fd;
    int ip_version;
    const uint8_t *address;
    const uint8_t *source;
    uint32_t if_index;
};

static int
look_up(const struct lookup *lookup, unsigned flags,
        struct rn_route_message *message, struct rn_fail *fail)
{
    const size_t size = address_size(lookup->ip_version);
    struct route_request request;
    struct rn_exchange exchange = {
        .fd = lookup->fd,
        .request = &request,
        .call = "send(RTM_GETROUTE)",
        .read_call = "recv(RTM_GETROUTE)",
        .each = take_answer,
        .self = message,
    };

    request_begin(&request, address_family(lookup->ip_version), 0);
    /* IPv6 always tells the table, and refuses to be asked for it. */
    request.route.rtm_flags =
        flags | (lookup->ip_version == 4 ? WIRE_F_LOOKUP_TABLE : 0);
    request.route.rtm_dst_len = (unsigned char)(size * 8);
    request_put(&request, RTA_DST, lookup->address, size);
    if (lookup->source) {
        request.route.rtm_src_len = (unsigned char)(size * 8);
        request_put(&request, RTA_SRC, lookup->source, size);
    }
    if (lookup->if_index) {
        request_put(&request, RTA_OIF, &lookup->if_index,
                    sizeof(lookup->if_index));
    }
    exchange.size = request_size(&request);
    int result = rn_linux_exchange(&exchange, fail);
    if (result < -1) {
        return rn_linux_fail_as(fail, -result, "recv(RTM_GETROUTE)");
    }
    return result < 0 ? -1 : 0;
}

/* The hop of the entry that the lookup took. */
static uint32_t
hop_taken(const struct rn_route_message *entry, const struct rn_hop *taken)
{
    for (uint32_t i = 0; i < entry->entry.hop_count; i++) {
        const struct rn_hop *hop = &entry->entry.hops[i];
        if (hop->if_index == taken->if_index &&
            hop->gateway_version == taken->gateway_version &&
            !memcmp(hop->gateway, taken->gateway, 16)) {
            return i;
        }
    }
    return 0;
}

/* First what packets would do (hop and source), then which entry said so. */
static int
best_read(const struct lookup *lookup, struct rn_route_message *message,
          struct rn_route *out, uint8_t best_source[16], struct rn_fail *fail)
{
    struct rn_hop taken = {.if_index = 0};

    if (look_up(lookup, 0, message, fail) < 0) {
        return -1;
    }
    memcpy(best_source, message->entry.prefsrc, 16);
    if (message->entry.hop_count) {
        taken = message->entry.hops[0];
    }
    if (look_up(lookup, WIRE_F_FIB_MATCH, message, fail) < 0) {
        return -1;
    }
    rn_linux_row(message, hop_taken(message, &taken), out);
    return 0;
}

int
rn_best_route(int ip_version, const uint8_t *address,
              const uint8_t *source_address, uint32_t interface_index,
              int netns_fd, struct rn_route *out, uint8_t best_source[16],
              struct rn_fail *fail)
{
    struct rn_route_message *message = rn_linux_message_new();
    int result = -1;

    if (!message) {
        return rn_linux_fail_as(fail, ENOMEM, "malloc");
    }
    int fd = rn_linux_request_socket(netns_fd, fail);
    if (fd >= 0) {
        const struct lookup lookup = {fd, ip_version, address, source_address,
                                      interface_index};
        result = best_read(&lookup, message, out, best_source, fail);
        close(fd);
    }
    free(message);
    return result;
}
