/* alloc_switch.c - the switch of rn_alloc.h inside an extension built with
 * ROUTENOTIFY_TEST_ALLOC=1, where the replay harness finds it by name.
 */
#include "../../src/rn_alloc.h"

#define VISIBLE __attribute__((visibility("default")))

VISIBLE long rn_alloc_fail_at;
VISIBLE long rn_alloc_calls;
