"""Records as the native layer lays them out, for tests without a system."""

from __future__ import annotations

import ipaddress
import struct
from typing import Any

import routenotify

RECORD = struct.Struct("=QqQ16s16s16s16s6I2H12B")
NAMES = (
    *("sequence", "time_ns", "interface_luid"),
    *("destination", "next_hop", "source", "prefsrc"),
    *("interface_index", "table", "metric", "nexthop_id", "merged", "mtu"),
    *("protocol", "ordinal"),
    *("type", "ip_version", "prefix_length", "source_length", "next_hop_version"),
    *("route_type", "scope", "tos", "cause", "flags", "fields", "weight"),
)
DEFAULTS = {
    "sequence": 17,
    "time_ns": 1_700_000_000_123_456_789,
    "interface_index": 3,
    "table": 254,
    "merged": 1,
    "protocol": 3,
    "type": 1,
    "route_type": 1,
    "fields": 1,
}


def record(
    prefix: str = "198.51.100.0/24", /, via: str | None = None, **fields: Any
) -> bytes:
    """The 128 bytes of a row; fields by the names of struct rn_record."""
    network = ipaddress.ip_network(prefix)
    values: dict[str, Any] = dict.fromkeys(NAMES, 0)
    values |= dict.fromkeys(("destination", "next_hop", "source", "prefsrc"), b"")
    values |= DEFAULTS
    values["destination"] = network.network_address.packed
    values["ip_version"] = network.version
    values["prefix_length"] = network.prefixlen
    if via is not None:
        values["next_hop"] = ipaddress.ip_address(via).packed
        values["next_hop_version"] = ipaddress.ip_address(via).version
    values |= fields
    return RECORD.pack(*values.values())


def change(*args: Any, **fields: Any) -> routenotify.RouteChange:
    """A RouteChange of `record(...)`."""
    return routenotify.RouteChange(record(*args, **fields))


ROUTE_REST = struct.Struct("=Q6I18III16sHBBBBBB")
ROUTE_NAMES = (
    *("expires_ns", "valid_lifetime", "preferred_lifetime", "age", "origin"),
    *("realms", "route_flags", "metrics", "metrics_mask", "effective_metric"),
    *("congestion", "encap_type", "site_prefix_length"),
    *("loopback", "autoconfigure", "publish", "immortal", "reserved"),
)


def route(*args: Any, rest: dict[str, Any] | None = None, **fields: Any) -> bytes:
    """The 264 bytes of a Route; rest by the names of struct rn_route."""
    values: dict[str, Any] = dict.fromkeys(ROUTE_NAMES, 0)
    values |= {"metrics": (0,) * 18, "congestion": b""} | (rest or {})
    flat: list[Any] = []
    for value in values.values():
        flat.extend(value if isinstance(value, tuple) else (value,))
    return record(*args, **fields) + ROUTE_REST.pack(*flat)
