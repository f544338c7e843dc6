/* rn_text.h - addresses, prefixes and enumerations as text.  Pure. */
#ifndef RN_TEXT_H
#define RN_TEXT_H

#include <stdint.h>

#define RN_TEXT_SIZE 52 /* the longest IPv6 prefix and its end */

/* rn_text_address - as RFC 5952 has it, and a 0 behind it; an IPv4-mapped address
 * ends as IPv4 does, ::ffff:192.0.2.1.  So does iproute2 write it, and ipaddress
 * from Python 3.13 on; before that its str() has ::ffff:c000:201.  A text does not
 * depend on the Python: it is in keys and in files.
 * Return: its length.
 */
int
rn_text_address(int ip_version, const uint8_t *bytes, char out[RN_TEXT_SIZE]);
/* rn_text_prefix - likewise, with /LENGTH. */
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
