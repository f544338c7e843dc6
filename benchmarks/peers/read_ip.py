"""`ip monitor route` through a pipe: read its lines, and count.

CPU is that of `ip` alone: what it costs to read its text comes on top.
Prints "ready", then one JSON object once --count lines came, or two seconds
after standard input said that the flood is over.
"""

import argparse
import array
import json
import os
import resource
import select
import subprocess
import sys
import time
from typing import Any

IDLE = 2.0
ROUTE_GROUPS = 0x40 | 0x400


def _joined(pid: int) -> bool:
    """Whether the process listens to route changes by now."""
    with open("/proc/net/netlink") as table:
        return any(
            fields[2] == str(pid) and int(fields[3], 16) & ROUTE_GROUPS
            for fields in map(str.split, table)
        )


def _read(pipe: int, count: int, stamps: "array.array[int] | None") -> dict[str, Any]:
    seen, first, last = 0, 0, 0
    waiting = [pipe, sys.stdin.fileno()]
    while seen < count:
        over = len(waiting) == 1
        ready, _, _ = select.select(waiting, [], [], IDLE if over else None)
        if over and not ready:
            break
        if pipe not in ready:
            waiting.remove(sys.stdin.fileno())
            continue
        lines = os.read(pipe, 1 << 16).count(b"\n")
        last = time.monotonic_ns()
        first = first or last
        seen += lines
        if stamps is not None:
            stamps.extend([last] * lines)
    return {"messages": seen, "seconds": (last - first) / 1e9}


def main() -> None:
    """Read as the command line says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--stamps")
    options = parser.parse_args()
    stamps = array.array("q") if options.stamps else None
    process = subprocess.Popen(
        ["ip", "-oneline", "monitor", "route"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    while not _joined(process.pid):
        if process.poll() is not None:
            raise SystemExit(f"ip monitor: {process.stderr.read()!r}")
        time.sleep(0.01)
    print("ready", flush=True)
    report = _read(process.stdout.fileno(), options.count, stamps)
    process.kill()
    complaint = process.communicate()[1].decode().strip().splitlines()
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    report["cpu_user"], report["cpu_system"] = usage.ru_utime, usage.ru_stime
    report["error"] = complaint[0] if complaint else ""
    print(json.dumps(report))
    if stamps is not None:
        with open(options.stamps, "wb") as file:
            stamps.tofile(file)


if __name__ == "__main__":
    main()
