"""What the numbers of linux/rtnetlink.h and nldef.h are called."""

from __future__ import annotations

import sys
from typing import Final

#: RTPROT_*, as iproute2 names them: who made a route. A number without a name is
#: shown as it is.
PROTOCOLS: Final = {
    0: "unspec",
    1: "redirect",
    2: "kernel",
    3: "boot",
    4: "static",
    8: "gated",
    9: "ra",
    10: "mrt",
    11: "zebra",
    12: "bird",
    13: "dnrouted",
    14: "xorp",
    15: "ntk",
    16: "dhcp",
    17: "mrouted",
    18: "keepalived",
    42: "babel",
    84: "ovn",
    99: "openr",
    186: "bgp",
    187: "isis",
    188: "ospf",
    189: "rip",
    192: "eigrp",
}
#: NL_ROUTE_PROTOCOL of Windows: other numbers for the same question.
_WINDOWS_PROTOCOLS: Final = {
    1: "other",
    2: "local",
    3: "netmgmt",
    4: "icmp",
    5: "egp",
    6: "ggp",
    7: "hello",
    8: "rip",
    9: "isis",
    10: "esis",
    11: "cisco",
    12: "bbn",
    13: "ospf",
    14: "bgp",
    15: "idpr",
    16: "eigrp",
    17: "dvmrp",
    18: "rpl",
    19: "dhcp",
    10002: "autostatic",
    10006: "static",
    10007: "static-non-dod",
}
#: Those of the table of the system that this runs on.
OWN_PROTOCOLS: Final = _WINDOWS_PROTOCOLS if sys.platform == "win32" else PROTOCOLS
#: RT_TABLE_*: the routing tables every system has.
TABLES: Final = {253: "default", 254: "main", 255: "local"}
