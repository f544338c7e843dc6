/* rn_linux_interface.c - the names of interfaces, in any namespace. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <unistd.h>

#include "rn_linux.h"

/* RTM_GETLINK by number, or (index 0) by name. */
struct link_request {
    struct nlmsghdr header;
    struct ifinfomsg link;
    struct rtattr attribute;
    char name[IF_NAMESIZE];
};

/* What the one answer is to be put into. */
static int
take_link(void *self, struct nlmsghdr *header)
{
    return rn_rtnl_link(header, header->nlmsg_len, self) == RN_PARSE_OK ? 1
                                                                        : -1;
}

static int
link_get(int netns_fd, struct link_request *request, size_t size,
         struct rn_link_message *answer, struct rn_fail *fail)
{
    struct rn_exchange exchange = {
        .request = request,
        .size = size,
        .call = "send(RTM_GETLINK)",
        .read_call = "recv(RTM_GETLINK)",
        .each = take_link,
        .self = answer,
    };

    request->header.nlmsg_type = RTM_GETLINK;
    request->header.nlmsg_flags = NLM_F_REQUEST;
    exchange.fd = rn_linux_request_socket(netns_fd, fail);
    if (exchange.fd < 0) {
        return -1;
    }
    int result = rn_linux_exchange(&exchange, fail);
    close(exchange.fd);
    return result < 0 ? -1 : 0;
}

int
rn_interface_name(uint64_t luid, uint32_t index, int netns_fd, char *name,
                  size_t size, struct rn_fail *fail)
{
    struct link_request request = {.link = {.ifi_index = (int)index}};
    struct rn_link_message answer;

    (void)luid; /* Linux has none */
    if (size < IF_NAMESIZE || !index) {
        return rn_linux_fail_as(fail, EINVAL, "if_indextoname");
    }
    if (netns_fd < 0) {
        return if_indextoname(index, name)
                   ? 0
                   : rn_linux_fail(fail, "if_indextoname");
    }
    if (link_get(netns_fd, &request, offsetof(struct link_request, attribute),
                 &answer, fail) < 0) {
        return -1;
    }
    memcpy(name, answer.name, sizeof(answer.name));
    return 0;
}

int
rn_interface_index(const char *name, int netns_fd, uint32_t *index,
                   struct rn_fail *fail)
{
    struct link_request request = {.attribute = {.rta_type = IFLA_IFNAME}};
    struct rn_link_message answer;
    size_t size = strlen(name) + 1;

    if (size > sizeof(request.name)) {
        return rn_linux_fail_as(fail, ENODEV, "if_nametoindex");
    }
    if (netns_fd < 0) {
        *index = if_nametoindex(name);
        return *index ? 0 : rn_linux_fail(fail, "if_nametoindex");
    }
    memcpy(request.name, name, size);
    request.attribute.rta_len = (unsigned short)RTA_LENGTH(size);
    if (link_get(netns_fd, &request,
                 offsetof(struct link_request, name) + RTA_ALIGN(size),
                 &answer, fail) < 0) {
        return -1;
    }
    *index = answer.index;
    return 0;
}
