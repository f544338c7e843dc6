"""The shape both sides are brought into: one row, and a table of rows."""

from collections import Counter
from typing import NamedTuple


class Row(NamedTuple):
    """One row: an entry of the table with one of its next hops."""

    family: int  # 4 or 6
    route_type: int  # RTN_*
    table: int
    destination: str  # prefix
    source: str  # IPv6 source prefix, "" when none
    tos: int
    metric: int
    next_hop: str  # "" when on-link
    interface_index: int
    protocol: int
    scope: int  # IPv4 only, else 0
    prefsrc: str
    mtu: int
    nexthop_id: int
    weight: int  # minus one, as the kernel stores it; 0 for a lone hop, of
    # which some messages tell the weight and some do not
    onlink: bool
    preference: str  # IPv6 only, else ""
    state: str = ""  # run-time flags (level 3): "dead", "linkdown"

    def still(self) -> "Row":
        """The row without its run-time state."""
        return self._replace(state="")

    def line(self) -> str:
        """For people: what is set."""
        pairs = zip(self._fields, self, strict=True)
        return " ".join(f"{name}={value}" for name, value in pairs if value)


Table = Counter[Row]
