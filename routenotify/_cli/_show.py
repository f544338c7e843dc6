"""What the demo shows: changes, a burst, and the two tables compared."""

from __future__ import annotations

import contextlib
import socket
import sys
import time
from collections import Counter as Multiset
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import routenotify
from routenotify._cli import _churn as churn
from routenotify._cli._format import Columns, HasDict, wants_colour

_PATIENCE = 30.0  # seconds for the monitor to catch up, however slow the machine
_CHUNK = 500  # routes changed between two looks at the monitor
_BLINK = 0.1  # seconds between two states of the counter line
_IDENTITY = (
    *("destination", "next_hop", "interface_index", "table"),
    *("metric", "protocol", "route_type"),
)

Row = tuple[Any, ...]


def _row(item: HasDict) -> Row:
    """Return what a person would call the same route."""
    values = item.to_dict()
    return tuple(values[name] for name in _IDENTITY)


class Follower:
    """Replays what a monitor delivers, with nothing but a dictionary."""

    def __init__(self, monitor: routenotify.RouteMonitor) -> None:
        self._monitor = monitor
        self._table: dict[Any, routenotify.RouteChange] = {}

    def take(self) -> list[routenotify.RouteChange]:
        """Apply what is queued, and return it; never waits."""
        changes = self._monitor.drain()
        for change in changes:
            self._apply(change)
        return changes

    def catch_up(
        self,
    ) -> tuple[list[routenotify.RouteChange], Multiset[Row]]:
        """Apply changes until the table equals the kernel's.

        Returns:
            The changes, and what still differs after 30 seconds: rows of the
            kernel's table that are missing (above 0) or too many (below 0).
        """
        changes = self.take()
        end = time.monotonic() + _PATIENCE
        while True:
            difference = Multiset(map(_row, routenotify.routes()))
            difference.subtract(map(_row, self._table.values()))
            difference = Multiset(
                {row: count for row, count in difference.items() if count}
            )
            left = end - time.monotonic()
            if not difference or left <= 0:
                return changes, difference
            with contextlib.suppress(TimeoutError):
                changes.append(self._monitor.get(timeout=min(left, 1.0)))
                self._apply(changes[-1])
            changes += self.take()

    def __len__(self) -> int:
        return len(self._table)

    def _apply(self, change: routenotify.RouteChange) -> None:
        if change.type == routenotify.ChangeType.DELETE:
            self._table.pop(change.key, None)
        else:
            self._table[change.key] = change


class Counter:
    """The line that counts, in place on a terminal.

    Only the demo's own routes count: a link that came up gets rows of the
    kernel's in its own time.
    """

    def __init__(self, goal: int) -> None:
        """Begin; goal is how many changes will be made."""
        self._goal = goal
        self._made = 0
        self._delivered = 0
        self._live = sys.stdout.isatty()
        self._started = self._shown = time.monotonic()

    def show(self, made: int, changes: Iterable[routenotify.RouteChange]) -> None:
        """Count what was made, and what was delivered of it."""
        self._made += made
        self._delivered += sum(change.protocol == churn.PROTOCOL for change in changes)
        now = time.monotonic()
        if self._live and now - self._shown > _BLINK:
            self._shown = now
            print(f"made {self._made} of {self._goal}", end="\r", flush=True)

    def close(self, merged: int) -> None:
        """Print the whole line; merged changes were not delivered singly."""
        seconds = time.monotonic() - self._started
        lost = self._made - self._delivered - merged
        words = [f"made {self._made}", f"delivered {self._delivered}"]
        if merged:
            words.append(f"merged {merged}")
        words += [f"lost {lost}", f"{self._made / seconds:.0f} changes/s"]
        print("  ".join(words))


class Show:
    """The demo, run inside its namespace."""

    def __init__(self, burst: int) -> None:
        """Prepare; burst is how many routes the second part adds."""
        self._burst_size = burst
        self._columns = Columns(colour=wants_colour(sys.stdout))
        self._churn = churn.Churn()
        self._differs = False

    def run(self) -> int:
        """Show everything; return 0 if every comparison held, else 1."""
        print("A private network namespace: no route of this machine is touched.")
        first, second = self._prepare()
        with routenotify.RouteMonitor(snapshot=True) as monitor:
            follower = Follower(monitor)
            self._check(follower.catch_up()[1])
            for title, requests in self._steps(first, second):
                self._step(follower, title, requests)
            self._bring_back(follower, first)
            self._burst(follower, monitor, first)
        self._churn.close()
        return 1 if self._differs else 0

    def _prepare(self) -> tuple[churn.Hop, churn.Hop]:
        """Make the links; return two next hops to route by."""
        with contextlib.suppress(OSError):  # no IPv6 here
            # Without link-local addresses, which come up in their own time.
            Path("/proc/sys/net/ipv6/conf/default/addr_gen_mode").write_text("1")
        loopback = socket.if_nametoindex("lo")
        self._churn.send([churn.link_state(loopback, up=True)])
        try:
            self._churn.send([churn.veth("left", "right")])
        except OSError:  # a kernel without veth
            return churn.Hop(None, loopback), churn.Hop(None, loopback)
        left, right = map(socket.if_nametoindex, ("left", "right"))
        self._churn.send(churn.link_state(index, up=True) for index in (right, left))
        self._churn.send([churn.address(left, "10.0.0.1/24")])
        return churn.Hop("10.0.0.2", left), churn.Hop("10.0.0.3", left)

    def _steps(
        self, first: churn.Hop, second: churn.Hop
    ) -> Iterator[tuple[str, list[churn.Request]]]:
        """Yield what is shown one by one."""
        one, two = "198.51.100.0/24", "203.0.113.0/24"
        yield "a route is added", [churn.add(one, first)]
        if first != second:
            yield "it is replaced", [churn.replace(one, second)]
            yield "another one has two next hops", [churn.add(two, first, second)]
        # Two steps: a step is over when the tables are equal, which they would
        # be before the first change of a pair has come.
        yield "a blackhole is added", [churn.add("192.0.2.0/24")]
        yield "the blackhole is deleted", [churn.delete("192.0.2.0/24")]
        if Path("/proc/net/if_inet6").exists():
            on_link = churn.Hop(None, first.interface)
            yield "an IPv6 route is added", [churn.add("2001:db8::/48", on_link)]
        yield "the first route is deleted", [churn.delete(one)]
        yield (
            "the link goes down: the kernel drops IPv4 routes without saying so",
            [churn.link_state(first.interface, up=False)],
        )

    def _step(
        self, follower: Follower, title: str, requests: list[churn.Request]
    ) -> None:
        print(f"\n# {title}")
        self._churn.send(requests)
        changes, difference = follower.catch_up()
        for change in changes:
            print(self._columns.change(change), flush=True)
        self._check(difference)

    def _bring_back(self, follower: Follower, hop: churn.Hop) -> None:
        """Have the link up again, with its addresses; shown to nobody."""
        self._churn.send([churn.link_state(hop.interface, up=True)])
        self._check(follower.catch_up()[1])

    def _burst(
        self,
        follower: Follower,
        monitor: routenotify.RouteMonitor,
        hop: churn.Hop,
    ) -> None:
        """Add many routes, delete three quarters of them, at full speed."""
        size = self._burst_size
        gone = size - size // 4
        print(f"\n# {size} routes are added, {gone} of them deleted, at full speed")
        changes = [churn.add(_prefix(i), hop) for i in range(size)]
        changes += [churn.delete(_prefix(i), hop) for i in range(gone)]
        before = monitor.stats.conflated
        counter = Counter(len(changes))
        for chunk in _chunks(changes):
            self._churn.send(chunk)
            counter.show(len(chunk), follower.take())
        late, difference = follower.catch_up()
        counter.show(0, late)
        counter.close(monitor.stats.conflated - before)
        self._check(difference)
        verdict = "DIFFERENT" if difference else "equal"
        rows = len(routenotify.routes())
        print(f"replayed table {len(follower)} rows, kernel's {rows} rows: {verdict}")

    def _check(self, difference: Multiset[Row]) -> None:
        for row, count in difference.items():
            self._differs = True
            kind = "missing" if count > 0 else "too many"
            print(f"DIFFERENT: {kind}: {row}", file=sys.stderr)


def _prefix(number: int) -> str:
    """A /32 of 20.0.0.0/8: one of 16 million."""
    high, middle, low = number >> 16, number >> 8 & 255, number & 255
    return f"20.{high & 255}.{middle}.{low}/32"


def _chunks(requests: Iterable[churn.Request]) -> Iterator[list[churn.Request]]:
    iterator = iter(requests)
    while chunk := list(islice(iterator, _CHUNK)):
        yield chunk
