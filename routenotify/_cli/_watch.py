"""`routenotify watch`: print each change as it happens."""

from __future__ import annotations

import argparse
import collections
import contextlib
import math
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator

from routenotify import MonitorStats, RouteChange, RouteMonitor
from routenotify._cli._deadline import remaining
from routenotify._cli._format import text_of
from routenotify._cli._options import (
    Commands,
    add_family,
    add_filter,
    add_json,
    add_limits,
    add_netns,
    command,
    netns_of,
)
from routenotify._cli._signals import terminating_as_ctrl_c
from routenotify._cli._words import filter_of

_SLICE = 3600.0  # seconds of one wait; poll() takes no more than 24 days

_EXAMPLES = """\
examples:
  routenotify watch --family inet6
  routenotify watch 10.0.0.0/8 dev eth0 proto bgp
  routenotify watch --json | jq -r 'select(.type == "DELETE") | .destination'
  routenotify watch --count 1 --duration 30     wait for one change, or 30 s
"""


def add_watch(commands: Commands) -> None:
    """Add `watch` to the program's commands."""
    parser = command(commands, "watch", "print each change", _EXAMPLES)
    parser.description = (
        "Print each change of a route as it happens, one line each, until Ctrl-C."
    )
    parser.set_defaults(run=watch)
    add_filter(parser)
    add_family(parser)
    add_json(parser, "one JSON object per line")
    add_netns(parser)
    add_limits(parser, "lines")
    parser.add_argument(
        "--date", action="store_true", help="print the date before the time"
    )
    parser.add_argument(
        "--initial",
        action="store_true",
        help="first print an INITIAL line: the registration is in place",
    )


def watch(arguments: argparse.Namespace) -> int:
    """Print changes until --count, --duration, Ctrl-C or SIGTERM ends it."""
    to_text = text_of(arguments, sys.stdout)
    started = time.monotonic()
    seen: collections.Counter[str] = collections.Counter()
    with (
        terminating_as_ctrl_c(),
        RouteMonitor(
            arguments.family,
            initial_notification=arguments.initial,
            filter=filter_of(arguments.filter),
            **netns_of(arguments),
        ) as monitor,
    ):
        if sys.stderr.isatty():
            print("watching routes; Ctrl-C ends it", file=sys.stderr, flush=True)
        try:
            for change in _changes(monitor, arguments.duration):
                seen[change.type.name] += 1
                print(to_text(change), flush=True)
                if seen.total() == arguments.count:
                    break
        except KeyboardInterrupt:
            summary = _summary(seen, time.monotonic() - started, monitor.stats)
            start = "\n" if sys.stderr.isatty() else ""  # after the echoed ^C
            print(start + summary, file=sys.stderr)
    return 0


def _changes(monitor: RouteMonitor, duration: float | None) -> Iterator[RouteChange]:
    """Yield what happens within duration seconds, or for ever if None."""
    with _waiter(monitor) as wait:
        for left in remaining(duration):
            change = monitor.poll()
            if change is None:
                try:
                    change = wait(min(left, _SLICE))
                except TimeoutError:
                    continue
            yield change


@contextlib.contextmanager
def _waiter(monitor: RouteMonitor) -> Iterator[Callable[[float], RouteChange]]:
    """Give what waits, at most some seconds, for a change.

    Where the system can watch stdout too, the wait ends with BrokenPipeError
    as soon as its reader is gone, not only at the next change.
    """
    try:
        out = sys.stdout.fileno()
        poller = select.poll()
    except (OSError, AttributeError):  # no descriptor; no poll() on Windows
        yield monitor.get
        return
    poller.register(monitor.fileno(), select.POLLIN)
    poller.register(out, 0)

    with _signals_as_input() as signals:
        poller.register(signals, select.POLLIN)

        def wait(seconds: float) -> RouteChange:
            ready = [fd for fd, _ in poller.poll(math.ceil(seconds * 1000))]
            if out in ready:
                raise BrokenPipeError
            if signals in ready:
                os.read(signals, 512)
            return monitor.get(timeout=0)

        yield wait


@contextlib.contextmanager
def _signals_as_input() -> Iterator[int]:
    """Give a descriptor that is readable when a signal has come.

    A Ctrl-C just before poll() sleeps has been noted but not yet acted upon,
    and would not be until the next change wakes it; this wakes it.
    """
    signals, wake = os.pipe()
    os.set_blocking(wake, False)
    before = signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    try:
        yield signals
    finally:
        signal.set_wakeup_fd(before)
        os.close(signals)
        os.close(wake)


def _summary(
    seen: collections.Counter[str], seconds: float, stats: MonitorStats
) -> str:
    kinds = ", ".join(f"{count} {name}" for name, count in sorted(seen.items()))
    told = f"changes: {seen.total()} in {seconds:.1f} s"
    if kinds:
        told += f" ({kinds})"
    if stats.conflated:
        told += f", {stats.conflated} merged into others"
    if stats.overruns:
        told += f", {stats.overruns} overruns repaired"
    return told
