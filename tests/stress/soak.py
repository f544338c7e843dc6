"""An hour at 100 000 changes a second: nothing lost, nothing grows.

    PYTHONPATH=tests:tests/replay python tests/stress/soak.py [--minutes 60]

Needs root or user namespaces; works in a namespace of its own. Prints a line every
ten seconds; exits with 1 when a change was lost or merged, when memory or descriptors
grew after the first tenth of the time, or when the rate was not reached.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import socket
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

import rnlab
from replaylab import rtnl_send

import routenotify

ROUTES = 1000  # of a block, which comes and goes
BEAT = 10.0  # seconds between two lines
MIB = 1 << 20
ENOUGH = 3  # looks at memory and descriptors, in which growth would show
FLAT = 2 * MIB  # what the resident size may move by


def inject(rate: int, seconds: float, told: Connection) -> None:
    """Make changes at a steady rate once told to; say how many there were."""
    gateway = socket.inet_aton("10.1.0.2")
    blocks = [
        b"".join(
            rtnl_send.message(
                action,
                bytes((20, 0, at >> 8, at & 255)),
                32,
                gateway=gateway if action == "add" else None,
            )
            for at in range(ROUTES)
        )
        for action in ("add", "del")
    ]
    sent = 0
    with socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE
    ) as kernel:
        kernel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
        told.recv()
        begun = time.monotonic()
        while time.monotonic() - begun < seconds:
            for block in blocks:
                kernel.send(block)
            sent += 2 * ROUTES
            ahead = sent / rate - (time.monotonic() - begun)
            if ahead > 0:
                time.sleep(ahead)  # the rate, not a synchronisation
    told.send(sent)


def resident() -> int:
    """Bytes of memory that are in use."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def descriptors() -> int:
    """How many are open."""
    return len(os.listdir("/proc/self/fd"))


def watch(seconds: float, rate: int) -> list[str]:
    """Take all changes; what was wrong."""
    context = multiprocessing.get_context("fork")
    result, told = context.Pipe()
    injector = context.Process(target=inject, args=(rate, seconds, told))
    injector.start()  # before there is a thread
    told.close()
    taken = 0
    sizes: list[int] = []
    opened: list[int] = []
    sent = -1
    with routenotify.RouteMonitor(rcvbuf=256 << 20, capacity=1 << 17) as monitor:
        result.send("go")
        begun = beat = time.monotonic()
        while sent < 0 or monitor.stats.queued:
            taken += len(monitor.batch(None, 0.2))
            if sent < 0 and result.poll():
                sent = result.recv()
            if time.monotonic() >= beat + BEAT:
                beat = time.monotonic()
                sizes.append(resident())
                opened.append(descriptors())
                stats = monitor.stats
                print(
                    f"{beat - begun:6.0f} s  {taken:12d} taken"
                    f"  {sizes[-1] / MIB:7.1f} MiB  {opened[-1]} descriptors"
                    f"  {stats.conflated} merged  {stats.overruns} overruns",
                    flush=True,
                )
        while len(rest := monitor.batch(None, 1)):
            taken += len(rest)
        stats = monitor.stats
    injector.join()
    reached = sent / (time.monotonic() - begun)
    print(f"{sent} sent, {taken} taken, {reached:.0f} a second, {stats}")
    wrong = []
    if taken != sent:
        wrong.append(f"{sent - taken} changes lost")
    if stats.conflated or stats.overruns or stats.kernel_drops:
        wrong.append("changes merged, or the kernel's buffer overran")
    if reached < 0.95 * rate:
        wrong.append(f"only {reached:.0f} changes a second")
    return wrong + growth(sizes, opened)


def growth(sizes: list[int], opened: list[int]) -> list[str]:
    """What was wrong with memory and descriptors after the first tenth."""
    if len(sizes) < ENOUGH:
        return [f"{len(sizes)} looks at memory and descriptors judge nothing"]
    settled = len(sizes) // 10
    wrong = []
    if max(sizes[settled:]) - sizes[settled] > FLAT:
        wrong.append(f"memory grew: {[size // 1024 for size in sizes]} KiB")
    if len(set(opened[settled:])) > 1:
        wrong.append(f"descriptors: {opened}")
    return wrong


def main() -> int:
    """Run; 0 if all was flat and nothing was lost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=int, default=100_000, help="changes a second")
    options = parser.parse_args()
    rnlab.isolate()
    namespace = rnlab.Namespace.current()
    namespace.veth("v0", "10.1.0.1/24")
    wrong = watch(options.minutes * 60, options.rate)
    namespace.close()
    print("FAILED: " + "; ".join(wrong) if wrong else "nothing lost, all flat")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
