"""The kernel's route table as `ip -j` tells it: the reader we compare with.

Shares no code with the library under test.
"""

import ipaddress
import json
import subprocess
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import rnlab

from replaylab import hidden
from replaylab.row import Row, Table


def _route_wins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # "encap ip" repeats keys of the route: "dst" and "src" after them, but
    # "tos" before, and as a number where the route's own is text.
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key != "tos" or isinstance(value, str):
            found.setdefault(key, value)
    return found


def _json(*argv: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        ["ip", "-j", *argv], capture_output=True, text=True, check=True, timeout=120
    )
    text = done.stdout.strip()
    if not text:
        return []
    found = json.loads(text, object_pairs_hook=_route_wins)
    return [item for item in found if item]


def prefix(text: str, family: int) -> str:
    """A prefix in one spelling."""
    if text == "default":
        return "0.0.0.0/0" if family == 4 else "::/0"
    if family == 4 and "/" in text:
        return text
    return str(ipaddress.ip_network(text, strict=False))


@lru_cache(maxsize=100_000)
def _address(text: str) -> str:
    return str(ipaddress.ip_address(text))


def links() -> list[dict[str, Any]]:
    """`ip -j link` of the calling thread's namespace."""
    return _json("link")


def _metric(route: dict[str, Any], name: str) -> int:
    for group in route.get("metrics", []):
        if name in group:
            return int(group[name])
    return 0


def _gateway(hop: dict[str, Any]) -> str:
    if "via" in hop:
        return _address(hop["via"]["host"])
    return _address(hop["gateway"]) if "gateway" in hop else ""


def _index(hop: dict[str, Any], indices: dict[str, int]) -> int:
    name = hop.get("dev")
    if name is None:
        return 0
    if name in indices:
        return indices[name]
    # ip prints a device it cannot name as "if" and the index.
    return int(name[2:]) if name[:2] == "if" and name[2:].isdigit() else -1


def _hops(route: dict[str, Any]) -> list[dict[str, Any]]:
    if "nexthops" in route:
        return list(route["nexthops"])
    return [route]


def _entry_rows(
    route: dict[str, Any], family: int, indices: dict[str, int]
) -> Iterable[Row]:
    hops = _hops(route)
    for hop in hops:
        flags = hop.get("flags", [])
        yield Row(
            family=family,
            route_type=int(route["type"]),
            table=int(route["table"]),
            destination=prefix(route["dst"], family),
            source=prefix(route["from"], 6) if "from" in route else "",
            tos=int(route.get("tos", "0"), 0),
            metric=int(route.get("metric", 0)),
            next_hop=_gateway(hop),
            interface_index=_index(hop, indices),
            protocol=int(route["protocol"]),
            scope=int(route["scope"]) if family == 4 else 0,
            prefsrc=str(route.get("prefsrc", "")),
            mtu=_metric(route, "mtu"),
            nexthop_id=int(route.get("nhid", 0)),
            weight=int(hop.get("weight", 1)) - 1 if len(hops) > 1 else 0,
            onlink="onlink" in flags,
            preference=str(route.get("pref", "medium")) if family == 6 else "",
            state=" ".join(flag for flag in ("dead", "linkdown") if flag in flags),
        )


def read_table(family: int = 0) -> Table:
    """Every row of all tables in the calling thread's namespace.

    Args:
        family: 4, 6, or 0 for both.
    """
    indices = {link["ifname"]: int(link["ifindex"]) for link in links()}
    rows: Table = Counter()
    for version in (4, 6):
        if family in (0, version):
            argv = ("-d", "-N", f"-{version}", "route", "show", "table", "all")
            for route in _json(*argv):
                rows.update(_entry_rows(route, version, indices))
    return rows


def names() -> dict[int, str]:
    """Device names by index."""
    return {int(link["ifindex"]): str(link["ifname"]) for link in links()}


def links_settled() -> bool:
    """Has the kernel acted on every change of a carrier?"""
    return rnlab.acted_on_carriers(links())


def compare(
    table: Table, replica: Table, *, state: bool, whole: Table | None = None
) -> tuple[Table, Table]:
    """What the dump has more, and what the replica has more.

    Args:
        table: the dump, as far as the consumer asked for it.
        replica: what a consumer made of snapshot and changes.
        state: compare the run-time flags too (level 3).
        whole: the dump, all of it; None: it is `table`.
    """
    whole = table if whole is None else whole
    if not state:
        table, replica = without_state(table), without_state(replica)
    missing, extra = table - replica, replica - table
    if extra:
        extra -= hidden.rows(whole, extra, names())
    return missing, extra


def without_state(table: Table) -> Table:
    """The same rows, run-time flags ignored."""
    found: Table = Counter()
    for row, count in table.items():
        found[row.still()] += count
    return found
