/* rn_windows_row.h - MIB_IPFORWARD_ROW2 to our rows and back: pure copies.
 *
 * Two shapes on purpose.  A notification's row is partial by contract, so rows
 * of the stream carry the key alone, whether they come from a notification or
 * from a comparison: one route has one key for whoever replays them.  Rows of a
 * query (struct rn_route) carry everything.
 */
#ifndef RN_WINDOWS_ROW_H
#define RN_WINDOWS_ROW_H

#include "rn_windows_api.h"

/* rn_windows_record - the key of a row; the rest of *out is zeroed.
 * next_hop_version is 0 when the next hop is the unspecified address (on-link).
 * Return: 0, or -1: a family or a prefix length that does not exist.
 */
int
rn_windows_record(const MIB_IPFORWARD_ROW2 *row, struct rn_record *out);

/* rn_windows_route - the whole row; effective_metric is left unknown.
 * Return: as rn_windows_record.
 */
int
rn_windows_route(const MIB_IPFORWARD_ROW2 *row, struct rn_route *out);

/* rn_windows_request - the row to ask GetIpForwardEntry2 with. */
void
rn_windows_request(const struct rn_record *record, MIB_IPFORWARD_ROW2 *out);

/* rn_windows_address - ip_version and network-order bytes to a SOCKADDR_INET. */
void
rn_windows_address(int ip_version, const uint8_t *bytes, SOCKADDR_INET *out);

/* rn_windows_bytes - the reverse.  Return: 4, 6, or 0 for another family. */
uint8_t
rn_windows_bytes(const SOCKADDR_INET *address, uint8_t out[16]);

/* rn_windows_attributes - a hash of what a row says beyond its key and that
 * does not move with the clock.  Return: never 0.
 */
uint32_t
rn_windows_attributes(const MIB_IPFORWARD_ROW2 *row);

#endif
