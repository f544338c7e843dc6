"""Routes of a real Windows, changed through iphlpapi itself; needs elevation.

On the loopback interface. The tests here take documentation prefixes (RFC 5737,
RFC 3849) and those of benchmarks (RFC 2544), so that no traffic of the machine is
touched. Rows are made with the system's own InitializeIpForwardEntry, so the layout
here is the one of doublelab.
"""

from __future__ import annotations

import contextlib
import ctypes
import ipaddress
import subprocess
import sys
from ctypes import wintypes
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "inside"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import rnlab
from doublelab import Row, Sockaddr

import routenotify

LOOPBACK_INDEX = 1  # always, on every Windows


def elevated() -> bool:
    """Whether this process may change routes."""
    return bool(ctypes.windll.shell32.IsUserAnAdmin())


class Iphlpapi:
    """The functions that change routes."""

    def __init__(self) -> None:
        """Load it; refuses the double."""
        self.dll = ctypes.WinDLL("iphlpapi.dll")
        assert not hasattr(self.dll, "rnd_fire"), "this is the double"

    def _call(self, name: str, row: Row) -> None:
        code = getattr(self.dll, name)(ctypes.byref(row))
        if code != 0:
            raise ctypes.WinError(code)

    def row(self, destination: str, via: str | None = None, **members: int) -> Row:
        """A row on the loopback interface."""
        network = ipaddress.ip_network(destination)
        unspecified = "0.0.0.0" if network.version == 4 else "::"
        made = Row()
        self.dll.InitializeIpForwardEntry(ctypes.byref(made))
        made.InterfaceIndex = LOOPBACK_INDEX
        made.Destination = Sockaddr.of(str(network.network_address))
        made.PrefixLength = network.prefixlen
        made.NextHop = Sockaddr.of(via or unspecified)
        made.Metric = 0
        made.Protocol = 3
        for name, value in members.items():
            setattr(made, name, value)
        return made

    def create(self, row: Row) -> None:
        """CreateIpForwardEntry2."""
        self._call("CreateIpForwardEntry2", row)

    def set(self, row: Row) -> None:
        """SetIpForwardEntry2."""
        self._call("SetIpForwardEntry2", row)

    def delete(self, row: Row) -> None:
        """DeleteIpForwardEntry2."""
        self._call("DeleteIpForwardEntry2", row)

    def alias(self, index: int) -> str:
        """The interface's name as the user sees it."""
        luid = ctypes.c_uint64()
        name = ctypes.create_unicode_buffer(257)
        code = self.dll.ConvertInterfaceIndexToLuid(
            wintypes.ULONG(index), ctypes.byref(luid)
        ) or self.dll.ConvertInterfaceLuidToAlias(ctypes.byref(luid), name, 257)
        if code != 0:
            raise ctypes.WinError(code)
        return name.value


class WindowsSystem:
    """What tests/contract/conftest.py promises of a system."""

    interface_index = LOOPBACK_INDEX
    source = "127.0.0.1"

    def __init__(self) -> None:
        """With nothing of its own in the table yet."""
        self._api = Iphlpapi()
        self._routes: dict[str, Row] = {}
        self._made = 0
        self.interface = self._api.alias(LOOPBACK_INDEX)

    def add(self, destination: str, via: str | None = None) -> None:
        """Add a route through the interface."""
        row = self._api.row(destination, via)
        self._api.create(row)
        self._routes[destination] = row
        self._made += 1

    def add_many(self, destinations: list[str]) -> None:
        """Add routes through the interface as fast as they can be."""
        for destination in destinations:
            self.add(destination)

    def change(self, destination: str) -> None:
        """Change an attribute, and no part of the key."""
        self._routes[destination].Metric += 1
        self._api.set(self._routes[destination])
        self._made += 1

    def remove(self, destination: str) -> None:
        """Remove it."""
        self._api.delete(self._routes.pop(destination))
        self._made += 1

    def settle(self, *monitors: routenotify.RouteMonitor) -> None:
        """Wait until all changes, each told once, have come to the monitors.

        They were opened before the first change: Windows tells of a change some
        time after it was made, also of one that the table shows already.
        """
        for monitor in monitors:
            rnlab.wait_for(
                lambda monitor=monitor: monitor.stats.received >= self._made,
                10,
                f"{self._made} notifications",
            )

    def clear(self) -> None:
        """Remove what is left."""
        for row in self._routes.values():
            with contextlib.suppress(OSError):
                self._api.delete(row)
        self._routes.clear()


def powershell(command: str) -> str:
    """Run a command as an administrator would type it."""
    done = subprocess.run(
        ["powershell.exe", "-NoProfile", "-NonInteractive", "-Command", command],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout
