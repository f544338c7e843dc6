/* rn_linux_interface.c - the names of interfaces, in any namespace. */
#define _GNU_SOURCE
#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>

#include "rn_linux.h"

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

int
rn_interface_index(const char *name, int names_fd, uint32_t *index,
                   struct rn_fail *fail)
{
    struct ifreq request = {0};

    if (strlen(name) >= IF_NAMESIZE) {
        return rn_linux_fail_as(fail, ENODEV, "if_nametoindex");
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
