/* rn_weaken.h - makes the release stores to one word relaxed, test builds only.
 *
 * Included ahead of every file (-include) with RN_WEAKEN set to the word's
 * name as a string: proves that ThreadSanitizer sees what the order is for.
 */
#ifndef RN_WEAKEN_H
#define RN_WEAKEN_H

#include <string.h>

#include "rn_atomic.h"

#define rn_store_release(a, v)                                           \
    (strstr(#a, RN_WEAKEN) != NULL                                       \
         ? __atomic_store_n(&(a)->word, (uint32_t)(v), __ATOMIC_RELAXED) \
         : __atomic_store_n(&(a)->word, (uint32_t)(v), __ATOMIC_RELEASE))

#endif
