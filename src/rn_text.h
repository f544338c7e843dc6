/* rn_text.h - addresses, prefixes and enumerations as text.  Pure. */
#ifndef RN_TEXT_H
#define RN_TEXT_H

#include <stdint.h>

#define RN_TEXT_SIZE 52 /* the longest IPv6 prefix and its end */

/* rn_text_address - as ipaddress and iproute2 write it, and a 0.  Return:
 * length.
 */
int
rn_text_address(int ip_version, const uint8_t *bytes, char out[RN_TEXT_SIZE]);
int
rn_text_prefix(int ip_version, const uint8_t *bytes, int length,
               char out[RN_TEXT_SIZE]);

/* Never NULL; a number that has no name is "unknown". */
const char *
rn_cause_name(unsigned cause);
const char *
rn_type_name(unsigned type);
/* By what rn_preference says, 0 to 2. */
const char *
rn_preference_name(unsigned preference);
/* NULL for a number iproute2 has no name for. */
const char *
rn_route_type_name(unsigned route_type);

#endif
