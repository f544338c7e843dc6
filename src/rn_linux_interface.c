/* rn_linux_interface.c - the names of interfaces, in any namespace. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "rn_linux.h"

/* Newer than the headers of Linux 3.10, with which wheels may be built. */
#define WIRE_ALT_IFNAME 53
#define ALT_NAME_SIZE 128 /* with its NUL */

int
rn_names_open(int netns_fd, struct rn_fail *fail)
{
    return rn_linux_socket(netns_fd, fail);
}

int
rn_interface_name(uint64_t luid, uint32_t index, int names_fd, char *name,
                  size_t size, struct rn_fail *fail)
{
    struct ifreq request = {.ifr_ifindex = (int)index};

    (void)luid; /* Linux has none */
    if (size < IF_NAMESIZE || !index) {
        return rn_linux_fail_as(fail, EINVAL, "if_indextoname");
    }
    if (names_fd < 0) {
        return if_indextoname(index, name)
                   ? 0
                   : rn_linux_fail(fail, "if_indextoname");
    }
    if (ioctl(names_fd, SIOCGIFNAME, &request) < 0) {
        return rn_linux_fail(fail, "ioctl(SIOCGIFNAME)");
    }
    memcpy(name, request.ifr_name, IF_NAMESIZE);
    return 0;
}

static int
take_index(void *self, struct nlmsghdr *header)
{
    uint32_t *index = self;
    struct ifinfomsg link;

    if (header->nlmsg_type != RTM_NEWLINK ||
        header->nlmsg_len < NLMSG_LENGTH(sizeof(link))) {
        return -EBADMSG;
    }
    memcpy(&link, NLMSG_DATA(header), sizeof(link));
    *index = (uint32_t)link.ifi_index;
    return 1;
}

/* Ask for the link that has this alternative name, which ioctl has no room for. */
static int
ask_long(int fd, const char *name, uint32_t *index, struct rn_fail *fail)
{
    const size_t size = strlen(name) + 1;
    struct {
        struct nlmsghdr header;
        struct ifinfomsg link;
        struct rtattr attribute;
        char name[ALT_NAME_SIZE];
    } request = {
        .header = {.nlmsg_type = RTM_GETLINK, .nlmsg_flags = NLM_F_REQUEST},
        .attribute = {.rta_len = (unsigned short)RTA_LENGTH(size),
                      .rta_type = WIRE_ALT_IFNAME},
    };
    struct rn_exchange exchange = {
        .fd = fd,
        .request = &request,
        .size = NLMSG_LENGTH(sizeof(request.link)) + RTA_SPACE(size),
        .call = "send(RTM_GETLINK)",
        .read_call = "recv(RTM_GETLINK)",
        .each = take_index,
        .self = index,
    };

    memcpy(request.name, name, size);
    int result = rn_linux_exchange(&exchange, fail);
    if (result < -1) {
        return rn_linux_fail_as(fail, -result, exchange.read_call);
    }
    return result < 0 ? -1 : 0;
}

/* A name that only an alternative one can be. */
static int
index_of_long(const char *name, int names_fd, uint32_t *index,
              struct rn_fail *fail)
{
    int fd = names_fd;
    int result = -1;

    if (strlen(name) >= ALT_NAME_SIZE) {
        return rn_linux_fail_as(fail, ENODEV, "send(RTM_GETLINK)");
    }
    if (fd < 0) {
        fd = rn_linux_socket(-1, fail);
    }
    if (fd >= 0) {
        result = ask_long(fd, name, index, fail);
    }
    if (fd >= 0 && names_fd < 0) {
        close(fd);
    }
    /* Before Linux 5.5 no name is so long, and the question names nothing. */
    if (result < 0 && fail->os_error == EINVAL) {
        return rn_linux_fail_as(fail, ENODEV, fail->call);
    }
    return result;
}

int
rn_interface_index(const char *name, int names_fd, uint32_t *index,
                   struct rn_fail *fail)
{
    struct ifreq request = {0};

    if (strlen(name) >= IF_NAMESIZE) {
        return index_of_long(name, names_fd, index, fail);
    }
    if (names_fd < 0) {
        *index = if_nametoindex(name);
        return *index ? 0 : rn_linux_fail(fail, "if_nametoindex");
    }
    memcpy(request.ifr_name, name, strlen(name));
    if (ioctl(names_fd, SIOCGIFINDEX, &request) < 0) {
        return rn_linux_fail(fail, "ioctl(SIOCGIFINDEX)");
    }
    *index = (uint32_t)request.ifr_ifindex;
    return 0;
}
