"""`routenotify top`: what changes now, as a full screen or once as text."""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from routenotify import RouteMonitor
from routenotify._cli import _view
from routenotify._cli._deadline import remaining
from routenotify._cli._keys import Keys, Stops, keys, stops
from routenotify._cli._meter import CAPACITY, Meter
from routenotify._cli._options import (
    Commands,
    add_family,
    add_filter,
    add_json,
    add_netns,
    command,
    netns_of,
    seconds,
)
from routenotify._cli._signals import terminating_as_ctrl_c
from routenotify._cli._words import GRAMMAR, filter_of
from routenotify._errors import ERROR_NOT_SUPPORTED, make_error
from routenotify._netns import opened_netns

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.segment import Segment

_FRAME = 0.2  # seconds
_TAKE = 0.05  # seconds: 10 000 changes at 200 000 a second, a sixth of the queue
_HELP = "q quit   p pause   s sort   f filter   r begin anew"
_FAMILIES = {
    socket.AF_UNSPEC: "IPv4 and IPv6",
    socket.AF_INET: "IPv4",
    socket.AF_INET6: "IPv6",
}

_EXAMPLES = """\
examples:
  routenotify top                               q ends it, s sorts, f filters
  routenotify top --family inet --sort flaps
  routenotify top 10.0.0.0/8 dev eth0 proto bgp
  routenotify top --once --interval 60          text, after a minute
  routenotify top --once --json | jq -r '.destinations[0].destination'
"""


def add_top(commands: Commands) -> None:
    """Add `top` to the program's commands."""
    parser = command(commands, "top", "show what changes now", _EXAMPLES)
    parser.description = (
        "Show what changes now, as a live screen: the rate of the last minutes,\n"
        "the busiest destinations, and sums by interface, protocol, table and\n"
        "family.  The live screen needs rich: pip install 'routenotify[cli]'."
    )
    parser.set_defaults(run=top)
    add_filter(parser)
    add_family(parser)
    add_netns(parser)
    parser.add_argument(
        "--sort",
        choices=("changes", "flaps", "adds", "deletes", "time"),
        metavar="{changes,flaps,adds,deletes,time}",
        default="changes",
        help="first show destinations with the most of this (default: changes)",
    )
    parser.add_argument(
        "--once", action="store_true", help="print one screen as text, and end"
    )
    parser.add_argument(
        "--interval",
        type=seconds,
        metavar="SECONDS",
        default=5.0,
        help="with --once: how long to count (default: 5)",
    )
    add_json(parser, "one JSON object; means --once")


def top(arguments: argparse.Namespace) -> int:
    """Show what changes, until q, Ctrl-C, SIGTERM or SIGHUP; or once.

    Raises:
        RouteNotifyError: the live view needs a library that is not installed.
    """
    netns = netns_of(arguments)
    title = _FAMILIES[arguments.family]
    if netns:
        title += f", namespace {netns['netns']}"

    def opened(words: list[str]) -> RouteMonitor:
        return RouteMonitor(
            arguments.family, capacity=CAPACITY, filter=filter_of(words), **netns
        )

    with terminating_as_ctrl_c(), opened_netns(netns.get("netns"), "top") as space:
        meter = Meter(space.fd)
        if arguments.once or arguments.json:
            with opened(arguments.filter) as monitor:
                return _once(
                    arguments, monitor, meter, _titled(title, arguments.filter)
                )
        _live(Live(opened, meter, title, arguments))
    return 0


def _live(live: Live) -> None:
    """Show live until it has ended; its terminal is given back meanwhile."""
    with (
        contextlib.closing(live),
        contextlib.suppress(KeyboardInterrupt),
        stops() as stop,
    ):
        while not live.ended:
            with _console() as screen, keys() as typed:
                live.run(screen, typed, stop)
            stop.obey()


def _titled(title: str, words: list[str]) -> str:
    return f"{title}: {' '.join(words)}" if words else title


def _once(
    arguments: argparse.Namespace, monitor: RouteMonitor, meter: Meter, title: str
) -> int:
    observer = _view.Observer(meter, arguments.sort)
    with contextlib.suppress(KeyboardInterrupt):  # what there is will do
        for left in remaining(arguments.interval):
            observer.count(meter.take(monitor))
            time.sleep(min(left, _TAKE))
    observer.count(meter.take(monitor))
    moment = observer.look(monitor.stats)
    if arguments.json:
        print(json.dumps(moment.to_dict()))
        return 0
    size = shutil.get_terminal_size((100, 40))
    screen = _view.lines(
        moment, title, arguments.sort, (size.columns, size.lines - 1), blocks=_blocks()
    )
    print(_view.text(screen))
    return 0


def _blocks() -> bool:
    """Whether stdout can have block characters."""
    try:
        "▁█".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


class Live:
    """The live screen: counts always, draws five times a second."""

    def __init__(
        self,
        opened: Callable[[list[str]], RouteMonitor],
        meter: Meter,
        title: str,
        arguments: argparse.Namespace,
    ) -> None:
        """Begin counting.

        Args:
            opened: opens a monitor whose filter is as typed.
            meter: counts what it delivers.
            title: what is watched.
            arguments: `filter` and `sort` to begin with.
        """
        self._opened = opened
        self._words: list[str] = arguments.filter
        self._monitor = opened(self._words)
        self._meter = meter
        self._title = title
        self._observer = _view.Observer(meter, arguments.sort)
        self._paused = False
        self.ended = False  # q was pressed
        self._typing: str | None = None  # a filter, as far as it is typed
        self._complaint = ""
        self._moment = self._observer.look(self._monitor.stats)

    def close(self) -> None:
        """End the notifications."""
        self._monitor.close()

    def run(self, screen: RichScreen, typed: Keys, stop: Stops) -> None:
        """Draw until q, or until the terminal is to be given back."""
        frame = time.monotonic()
        while not (self.ended or stop.asked()):
            self._observer.count(self._meter.take(self._monitor))
            now = time.monotonic()
            if now >= frame:
                self._draw(screen)
                frame = max(frame + _FRAME, now)
            for key in typed.read(_TAKE):
                self._press(key)
                frame = now

    def _draw(self, screen: RichScreen) -> None:
        if not self._paused:
            self._moment = self._observer.look(self._monitor.stats)
        width, height = screen.size
        body = _view.lines(
            self._moment,
            _titled(self._title, self._words),
            self._observer.order,
            (width, height - 1),
            blocks=_blocks(),
        )
        screen.show([*body[: height - 1], self._foot()])

    def _foot(self) -> _view.Line:
        if self._typing is not None:
            return [(f"filter: {self._typing}_", "bold"), (f"   {GRAMMAR}", "dim")]
        words: _view.Line = [(_HELP, "dim")]
        if self._paused:
            words += [("   ", ""), ("PAUSED: still counting", "bold yellow")]
        if self._monitor.closed:
            words += [("   ", ""), ("ENDED: the namespace is gone", "bold red")]
        if self._complaint:
            words += [("   ", ""), (self._complaint, "bold red")]
        return words

    def _press(self, key: str) -> None:
        self._complaint = ""
        if self._typing is not None:
            self._type(self._typing, key)
        elif key in "qQ":
            self.ended = True
        elif key in "pP ":
            self._paused = not self._paused
        elif key in "fF":
            self._typing = " ".join(self._words)
        elif key in "sS":
            step = 1 if key == "s" else -1
            at = _view.ORDERS.index(self._observer.order) + step
            self._observer.order = _view.ORDERS[at % len(_view.ORDERS)]
        elif key in "rR":
            self._begin()

    def _type(self, typed: str, key: str) -> None:
        """Take one key of a filter."""
        if key in "\r\n":
            self._typing = None
            self._filter(typed.split())
        elif key == "\033":
            self._typing = None
        elif key in "\b\177":
            self._typing = typed[:-1]
        elif key == "\025":  # Ctrl-U
            self._typing = ""
        elif key.isprintable():
            self._typing = typed + key

    def _filter(self, words: list[str]) -> None:
        """Go on with another filter; a wrong one is told, and changes nothing."""
        try:
            monitor = self._opened(words)
        except (OSError, TypeError) as error:
            self._complaint = str(error)
            return
        self._monitor.close()
        self._monitor, self._words = monitor, words
        self._begin()

    def _begin(self) -> None:
        self._meter.tally.clear()
        self._observer = _view.Observer(self._meter, self._observer.order)


class RichScreen:
    """The terminal's alternate screen, drawn by rich."""

    def __init__(self, console: Console, screen: Any) -> None:
        """screen: of console.screen()."""
        self._console = console
        self._screen = screen

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines."""
        columns, lines = self._console.size
        return columns, lines

    def show(self, lines: Iterable[_view.Line]) -> None:
        """Draw lines in the place of what was there."""
        from rich.control import Control

        with self._console:  # one write
            self._console.control(Control.home())
            self._screen.update(_Lines(lines))


class _Lines:
    """Lines, as rich draws them."""

    def __init__(self, lines: Iterable[_view.Line]) -> None:
        self._lines = list(lines)

    def __rich_console__(
        self, console: Console, _: ConsoleOptions
    ) -> Iterator[Segment]:
        from rich.segment import Segment

        for number, line in enumerate(self._lines):
            if number:
                yield Segment.line()
            for text, style in line:
                yield Segment(text, console.get_style(style) if style else None)


@contextlib.contextmanager
def _console() -> Iterator[RichScreen]:
    """Give the live screen.

    Raises:
        RouteNotifyError: stdout is no terminal, or rich is not installed.
    """
    try:
        from rich.console import Console
    except ModuleNotFoundError:
        raise make_error(
            ERROR_NOT_SUPPORTED,
            "top",
            "the live view needs rich: pip install 'routenotify[cli]'; "
            "`routenotify top --once` does not",
        ) from None
    if not sys.stdout.isatty():
        raise make_error(
            ERROR_NOT_SUPPORTED,
            "top",
            "the live view needs a terminal; `routenotify top --once` does not",
        )
    console = Console()
    with console.screen(hide_cursor=True) as screen:
        yield RichScreen(console, screen)
