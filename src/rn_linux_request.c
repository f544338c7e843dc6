/* rn_linux_request.c - one question to the kernel and its answers; from a
 * parsed message to a complete row.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "rn_alloc.h"
#include "rn_linux.h"

/* An end or an error: its code, a negative errno or 0.  *over: it is one. */
static int
code_of_end(const struct nlmsghdr *header, int *over)
{
    int code = 0;

    *over =
        header->nlmsg_type == NLMSG_DONE || header->nlmsg_type == NLMSG_ERROR;
    if (*over && header->nlmsg_len >= NLMSG_HDRLEN + sizeof(code)) {
        memcpy(&code, NLMSG_DATA(header), sizeof(code));
    }
    return code;
}

/* The messages of one datagram.  *over: nothing more will come. */
static int
answers(struct rn_exchange *exchange, struct nlmsghdr *header, unsigned left,
        int *over, struct rn_fail *fail)
{
    int dump = 0;

    for (; NLMSG_OK(header, left); header = NLMSG_NEXT(header, left)) {
        int code = code_of_end(header, over);
        exchange->interrupted |= header->nlmsg_flags & NLM_F_DUMP_INTR;
        if (*over) {
            return code ? rn_linux_fail_as(fail, -code, exchange->call) : 0;
        }
        dump = header->nlmsg_flags & NLM_F_MULTI;
        int result = exchange->each(exchange->self, header);
        if (result) {
            *over = 1;
            return result;
        }
    }
    *over = !dump;
    return 0;
}

/* One datagram; port 0 is the kernel, anybody else is not listened to. */
static ssize_t
read_answer(const struct rn_exchange *exchange, void *buffer,
            struct rn_fail *fail)
{
    struct pollfd ready = {.fd = exchange->fd, .events = POLLIN};

    for (;;) {
        struct sockaddr_nl sender = {0};
        socklen_t length = sizeof(sender);
        ssize_t n = recvfrom(exchange->fd, buffer, RN_DATAGRAM, 0,
                             (struct sockaddr *)&sender, &length);
        if (n >= 0 && sender.nl_pid == 0) {
            return n;
        }
        if (n < 0 && errno == EAGAIN) {
            (void)poll(&ready, 1, -1);
        } else if (n < 0 && errno != EINTR) {
            return rn_linux_fail(fail, exchange->read_call);
        }
    }
}

int
rn_linux_exchange(struct rn_exchange *exchange, struct rn_fail *fail)
{
    struct nlmsghdr *request = exchange->request;
    void *buffer = rn_alloc(RN_DATAGRAM);
    int result = -1;
    int over = 0;

    exchange->interrupted = 0;
    exchange->parts = 0;
    request->nlmsg_len = (uint32_t)exchange->size;
    if (!buffer) {
        return rn_linux_fail_as(fail, ENOMEM, "malloc");
    }
    if (send(exchange->fd, request, exchange->size, 0) < 0) {
        rn_linux_fail(fail, exchange->call);
        over = 1;
    }
    while (!over) {
        ssize_t n = read_answer(exchange, buffer, fail);
        if (n < 0) { /* whatever came before it is not all */
            result = -1;
            break;
        }
        exchange->parts++;
        result = answers(exchange, buffer, (unsigned)n, &over, fail);
    }
    free(buffer);
    return result;
}

static void
row_fill(const struct rn_entry *entry, const struct rn_hop *hop,
         struct rn_record *row)
{
    memcpy(row->destination, entry->destination, 16);
    memcpy(row->next_hop, hop->gateway, 16);
    memcpy(row->source, entry->source, 16);
    memcpy(row->prefsrc, entry->prefsrc, 16);
    row->interface_index = hop->if_index;
    row->table = entry->table;
    row->metric = entry->metric;
    row->nexthop_id = entry->nexthop_id;
    row->merged = 1;
    row->mtu = entry->mtu;
    row->protocol = entry->protocol;
    row->type = RN_ADD;
    row->ip_version = entry->ip_version;
    row->prefix_length = entry->prefix_length;
    row->source_length = entry->source_length;
    row->next_hop_version = hop->gateway_version;
    row->route_type = entry->route_type;
    row->scope = entry->scope;
    row->tos = entry->tos;
    row->cause = RN_CAUSE_SNAPSHOT;
    row->flags = hop->flags;
    row->fields = (uint8_t)(RN_HAS_ATTRIBUTES | (entry->preference & 3u)
                                                    << RN_PREFERENCE_SHIFT);
    row->weight = entry->hop_count > 1 ? hop->weight : 0;
}

struct rn_route_message *
rn_linux_message_new(void)
{
    struct {
        struct rn_route_message message;
        struct rn_hop hops[RN_HOPS_MAX];
    } *memory = rn_alloc(sizeof(*memory));

    if (!memory) {
        return NULL;
    }
    memory->message.hops = memory->hops;
    memory->message.room = RN_HOPS_MAX;
    return &memory->message;
}

void
rn_linux_row(const struct rn_route_message *message, uint32_t at,
             struct rn_route *out)
{
    static const struct rn_hop none;
    const struct rn_entry *entry = &message->entry;

    memset(out, 0, sizeof(*out));
    row_fill(entry, entry->hop_count ? &entry->hops[at] : &none, &out->row);
    out->expires_ns = message->expires_ns;
    out->valid_lifetime = RN_UNKNOWN32;
    out->preferred_lifetime = RN_UNKNOWN32;
    out->origin = RN_UNKNOWN32;
    out->effective_metric = entry->metric;
    out->realms = entry->hop_count && entry->hops[at].realms
                      ? entry->hops[at].realms
                      : message->realms;
    out->route_flags = message->rtm_flags;
    out->metrics_mask = message->metrics_mask;
    for (unsigned i = 0; i < RN_METRICS; i++) {
        if (message->metrics_mask & 1u << i) {
            out->metrics[i] = message->metrics[i];
        }
    }
    memcpy(out->congestion, message->congestion, sizeof(out->congestion));
    out->encap_type = message->encap_type;
    out->loopback = entry->route_type == RTN_LOCAL;
}
