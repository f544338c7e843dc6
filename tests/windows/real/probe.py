"""What only a real Windows can tell; prints it. Run it elevated.

python tests/windows/real/probe.py

See docs/windows.md, "What only a real Windows can settle".
"""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from ctypes import wintypes
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import realsystem
from doublelab import CALLBACK, Row

NETS = ["198.51.100.0/24", "2001:db8:77::/48"]


def main() -> None:
    """Register by ctypes, change routes, print raw rows."""
    api = realsystem.Iphlpapi()
    rows: list[tuple[int, bytes | None, int]] = []
    running = overlaps = 0
    lock = threading.Lock()

    def call(_context: int | None, row: int | None, kind: int) -> None:
        nonlocal running, overlaps
        with lock:
            running += 1
            overlaps += running > 1
        raw = ctypes.string_at(row, ctypes.sizeof(Row)) if row else None
        rows.append((kind, raw, threading.get_native_id()))
        with lock:
            running -= 1

    callback = CALLBACK(call)
    handle = wintypes.HANDLE()
    code = api.dll.NotifyRouteChange2(0, callback, None, True, ctypes.byref(handle))
    try:
        _observe(api, code, rows)
    finally:
        print("CancelMibChangeNotify2:", api.dll.CancelMibChangeNotify2(handle))
    print("overlapping calls:", overlaps)


def _observe(
    api: realsystem.Iphlpapi, code: int, rows: list[tuple[int, bytes | None, int]]
) -> None:
    before = len(rows)
    print("Windows", sys.getwindowsversion()[:3], "NotifyRouteChange2:", code)
    print("initial call before the return:", before == 1)
    if before:
        print(
            "initial call on the caller's thread:",
            rows[0][2] == threading.get_native_id(),
        )
    for net in NETS:
        made = api.row(net, Metric=7)
        api.create(made)
        try:
            made.Metric = 9
            api.set(made)
        finally:
            api.delete(made)
        print(
            "completing a deleted row:", api.dll.GetIpForwardEntry2(ctypes.byref(made))
        )
        made.InterfaceLuid = 0
        made.InterfaceIndex = 0x7FFFFF
        code = api.dll.GetIpForwardEntry2(ctypes.byref(made))
        print("completing on an unknown interface:", code)
    time.sleep(2)  # what comes late is shown too
    for kind, raw, thread in rows[before:]:
        print(kind, thread, raw.hex() if raw else None)


if __name__ == "__main__":
    main()
