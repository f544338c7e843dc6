/* plant.c - a slowdown on purpose, to see that counts.py finds it.
 *
 * Linked with -Wl,--wrap=FUNCTION for each function here, whose callers then
 * waste a few dozen instructions before they get the real one.
 */
#include "rn_channel.h"
#include "rn_mirror.h"
#include "rn_ring.h"
#include "rn_rtnl.h"

#define WASTED 16 /* turns of a loop of four instructions or so */

#define PLANT(result, function, parameters, arguments) \
    result __real_##function parameters;               \
    result __wrap_##function parameters;               \
    result __wrap_##function parameters                \
    {                                                  \
        for (volatile int i = 0; i < WASTED; i++) {    \
        }                                              \
        return __real_##function arguments;            \
    }

PLANT(enum rn_parse, rn_rtnl_route,
      (const struct nlmsghdr *header, size_t size,
       struct rn_route_message *out),
      (header, size, out))
PLANT(int, rn_mirror_added,
      (struct rn_mirror * mirror, const struct rn_entry *entry, int place),
      (mirror, entry, place))
PLANT(int, rn_mirror_dumped,
      (struct rn_mirror * mirror, const struct rn_entry *entry),
      (mirror, entry))
PLANT(int, rn_ring_push, (struct rn_ring * ring, const void *slot),
      (ring, slot))
PLANT(void, rn_channel_emit, (void *channel, const struct rn_record *record),
      (channel, record))
