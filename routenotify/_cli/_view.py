"""What `top` knows at a moment, and how that looks: lines of styled words.

The lines are the same on a live screen and, without their styles, in --once;
nothing here knows where they go.
"""

from __future__ import annotations

import collections
import dataclasses
import time
from collections.abc import Callable, Iterable
from typing import Any

from routenotify import MonitorStats
from routenotify._cli._meter import Busy, Counts, Kind, Meter, summed

Span = tuple[str, str]  # text, style: words that rich knows
Line = list[Span]

SPAN = 300  # seconds of the graph, once it runs that long
ORDERS = ("changes", "flaps", "adds", "deletes", "time")
_RANKED = 200  # destinations that are kept for the screen
_RANK_AGE = 1.0  # seconds that the ranking is kept: it looks at all of them
_SIDE = 30  # columns of the right part
_BOTH = 76  # columns from which on there is one
_BLOCKS = "▁▂▃▄▅▆▇█"

_BY: dict[str, Callable[[Kind], str]] = {
    "interface": lambda kind: kind.interface,
    "protocol": lambda kind: kind.protocol,
    "table": lambda kind: kind.table,
    "family": lambda kind: kind.family,
}


@dataclasses.dataclass
class Moment:
    """Everything a screen shows."""

    seconds: float  # since counting began
    rates: list[int]  # changes of each second, the newest last
    rate: float  # changes a second, lately
    totals: Counts
    merged: int
    forgotten: int
    stats: MonitorStats
    sums: dict[str, dict[str, Counts]]  # by the names of _BY, then by theirs
    busiest: list[Busy]
    time_ns: int

    @property
    def peak(self) -> int:
        """The busiest second of the graph."""
        return max(self.rates, default=0)

    def to_dict(self) -> dict[str, Any]:
        """Return what --json prints; docs/json.md has the keys."""
        stats = ("queued", "high_water", "capacity", "conflated", "overruns")
        more = ("kernel_drops", "resyncs", "rows", "rcvbuf", "ringbuf")
        return {
            "seconds": round(self.seconds, 3),
            "rate": round(self.rate, 1),
            "rates": self.rates,
            **_members(self.totals),
            "merged": self.merged,
            **{name: getattr(self.stats, name) for name in (*stats, *more)},
            **{
                f"by_{by}": {name: _members(counts) for name, counts in sums.items()}
                for by, sums in self.sums.items()
            },
            "destinations": [
                {
                    "destination": busy.destination,
                    "table": busy.table,
                    **_members(busy.counts),
                    "flaps": busy.flaps,
                    "time_ns": busy.last_ns,
                }
                for busy in self.busiest
            ],
        }


def _members(counts: Counts) -> dict[str, int]:
    return {
        "changes": counts.total,
        "adds": counts.adds,
        "deletes": counts.deletes,
        "parameters": counts.changes,
    }


class Observer:
    """Looks at a meter now and then."""

    def __init__(self, meter: Meter, order: str) -> None:
        """Begin now; order is one of ORDERS."""
        self._meter = meter
        self.order = order
        self._began = time.monotonic()
        self._seconds: collections.deque[int] = collections.deque([0], maxlen=SPAN)
        self._bin = 0  # which second the last of them is
        self._recent: collections.deque[tuple[float, int]] = collections.deque()
        self._ranked: tuple[float, str, list[Busy]] = (-_RANK_AGE, "", [])

    def count(self, taken: int) -> None:
        """Note that taken changes came just now."""
        now = time.monotonic() - self._began
        while self._bin < int(now):
            self._seconds.append(0)
            self._bin += 1
        self._seconds[-1] += taken
        self._recent.append((now, taken))
        while now - self._recent[0][0] > 1.0 and len(self._recent) > 1:
            self._recent.popleft()

    def look(self, stats: MonitorStats) -> Moment:
        """Return what is known now."""
        now = time.monotonic()
        kinds = self._meter.kinds()
        ranked, order, busiest = self._ranked
        if now - ranked >= _RANK_AGE or order != self.order:
            busiest = self._meter.busiest(_RANKED, self.order)
            self._ranked = now, self.order, busiest
        sums = {by: summed(kinds, of) for by, of in _BY.items()}
        return Moment(
            now - self._began,
            list(self._seconds),
            self._rate(),
            _total(sums["family"].values()),
            self._meter.tally.merged,
            self._meter.tally.forgotten,
            stats,
            sums,
            busiest,
            time.time_ns(),
        )

    def _rate(self) -> float:
        """Changes a second, over the last second or what there is of it."""
        if len(self._recent) < 2:
            return 0.0
        span = self._recent[-1][0] - self._recent[0][0]
        came = sum(taken for _, taken in self._recent) - self._recent[0][1]
        return came / span if span else 0.0


def _total(counts: Iterable[Counts]) -> Counts:
    total = Counts()
    for each in counts:
        total = total.plus(each)
    return total


# ---- lines ----


def lines(
    moment: Moment, title: str, order: str, size: tuple[int, int], *, blocks: bool
) -> list[Line]:
    """Return a screen.

    Args:
        moment: what to show.
        title: what is watched.
        order: how the destinations are sorted.
        size: columns and lines; the least that is filled is 60 by 18.
        blocks: whether block characters can be written; if not, "#" is.
    """
    width, height = max(size[0], 60), max(size[1], 18)
    graph = max(3, min(8, (height - 12) // 3))
    top = [
        _heading(moment, title, order, width),
        _rates(moment),
        *_graph(moment, width, graph, blocks=blocks),
        _queue(moment),
        _kernel(moment),
        [],
    ]
    rows = height - len(top)
    if width < _BOTH:
        return [*top, *_destinations(moment, order, width, rows)]
    left = width - _SIDE - 2
    body = zip(
        _destinations(moment, order, left, rows),
        _sides(moment, rows),
        strict=True,
    )
    return [*top, *([*own, *_padding(own, left + 2), *side] for own, side in body)]


def text(screen: Iterable[Line]) -> str:
    """Return lines without their styles."""
    return "\n".join("".join(span[0] for span in line).rstrip() for line in screen)


def _length(line: Line) -> int:
    return sum(len(span[0]) for span in line)


def _padding(line: Line, width: int) -> Line:
    return [(" " * max(0, width - _length(line)), "")]


def _number(value: float) -> str:
    return f"{value:,.0f}"


def _heading(moment: Moment, title: str, order: str, width: int) -> Line:
    minutes, seconds = divmod(int(moment.seconds), 60)
    line = [("routenotify top", "bold"), (f"  {title}", "")]
    right = f"{minutes // 60}:{minutes % 60:02}:{seconds:02}  by {order}"
    return [*line, *_padding(line, width - len(right)), (right, "dim")]


def _rates(moment: Moment) -> Line:
    totals = moment.totals
    return [
        (f"{_number(moment.rate)}/s", "bold cyan"),
        (f"  peak {_number(moment.peak)}/s   ", ""),
        (f"{_number(totals.total)} changes: ", ""),
        (f"{_number(totals.adds)} ADD", "green"),
        ("  ", ""),
        (f"{_number(totals.deletes)} DELETE", "red"),
        ("  ", ""),
        (f"{_number(totals.changes)} PARAMETER", "yellow"),
    ]


def _queue(moment: Moment) -> Line:
    stats = moment.stats
    return [
        (f"queue {_number(stats.queued)} of {_number(stats.capacity)}", ""),
        (f" (most {_number(stats.high_water)})", "dim"),
        ("   ", ""),
        _alarm(f"conflated {_number(stats.conflated)}", stats.conflated),
        ("   ", ""),
        _alarm(f"overruns {_number(stats.overruns)}", stats.overruns),
        ("   ", ""),
        _alarm(f"dropped {_number(stats.kernel_drops)}", stats.kernel_drops),
    ]


def _alarm(words: str, count: int) -> Span:
    return (words, "bold red" if count else "")


def _kernel(moment: Moment) -> Line:
    stats = moment.stats
    words = [f"resyncs {_number(stats.resyncs)}"]
    if stats.rows:
        words.append(f"table {_number(stats.rows)} rows")
    if stats.ringbuf:
        words.append(f"ring buffer {_number(stats.ringbuf / 1024)} KiB")
    elif stats.rcvbuf:
        words.append(f"buffer {_number(stats.rcvbuf / 1024)} KiB")
    if moment.forgotten:
        words.append(f"{_number(moment.forgotten)} quiet destinations forgotten")
    return [("   ".join(words), "dim")]


def _graph(moment: Moment, width: int, height: int, *, blocks: bool) -> list[Line]:
    """The rate of the last minutes, the newest at the right."""
    label = len(_number(moment.peak)) + 3
    columns = width - label
    per = -(-len(moment.rates) // columns)  # seconds of one column
    bins = _binned(moment.rates, per)[-columns:]
    most = max(bins, default=0) or 1
    lines: list[Line] = []
    for row in range(height, 0, -1):
        mark = f"{_number(moment.peak)}/s" if row == height else ""
        cells = "".join(_cell(value / most * height - row, blocks) for value in bins)
        lines.append([(f"{mark:>{label - 1}} ", "dim"), (cells.rjust(columns), "cyan")])
    ago = _ago(min(columns * per, SPAN) * 10**9) + " ago"
    axis = f"{'0':>{label - 2}}  {ago:<{columns - 3}}now"
    return [*lines, [(axis, "dim")]]


def _binned(rates: list[int], per: int) -> list[float]:
    """Mean rates of `per` seconds each, aligned to the newest."""
    if per == 1:
        return list(rates)
    first = len(rates) % per
    groups = [rates[:first]] if first else []
    groups += [rates[at : at + per] for at in range(first, len(rates), per)]
    return [sum(group) / len(group) for group in groups]


def _cell(above: float, blocks: bool) -> str:
    """The character of a cell; above: how far the bar passes its upper edge."""
    if above <= -1:
        return " "
    if not blocks:
        return "#" if above >= -0.5 else "."
    return _BLOCKS[min(7, max(0, round((above + 1) * 8) - 1))]


def _destinations(moment: Moment, order: str, width: int, rows: int) -> list[Line]:
    """The ranking, `rows` lines with its heading."""
    columns = _columns(moment, width)
    heading = [
        (title, "bold underline" if title == order else "bold")
        for title, _, _ in columns
    ]
    shown = [
        [(value(busy), "") for _, _, value in columns]
        for busy in moment.busiest[: rows - 1]
    ]
    widths = [size for _, size, _ in columns]
    table = [_row(cells, widths) for cells in [heading, *shown]]
    return table + [[] for _ in range(rows - len(table))]


Column = tuple[str, int, Callable[[Busy], str]]


def _columns(moment: Moment, width: int) -> list[Column]:
    """The columns that fit; what is left goes to the destination."""
    found: list[Column] = [
        ("flaps", 8, lambda busy: _number(busy.flaps)),
        ("changes", 9, lambda busy: _number(busy.counts.total)),
        ("time", 6, lambda busy: _ago(moment.time_ns - busy.last_ns)),
        ("adds", 8, lambda busy: _number(busy.counts.adds)),
        ("deletes", 8, lambda busy: _number(busy.counts.deletes)),
        ("table", 8, lambda busy: busy.table),
    ]
    name = max((len(busy.destination) for busy in moment.busiest), default=18)
    left = width - min(max(name, 18), width - 20)
    taken = []
    for column in found:
        if left >= column[1] + 1:
            taken.append(column)
            left -= column[1] + 1
    name = width - sum(size + 1 for _, size, _ in taken)
    own: Column = ("destination", name, lambda busy: busy.destination)
    return [own, *taken]


def _row(cells: Line, widths: list[int]) -> Line:
    """The first one to the left, the others to the right of their columns."""
    (first, style), *others = cells
    line = [(f"{_short(first, widths[0]):<{widths[0]}}", style)]
    for (word, style), size in zip(others, widths[1:], strict=True):
        line += [(" " * (size + 1 - len(word)), ""), (word, style)]
    return line


def _short(word: str, width: int) -> str:
    return word if len(word) <= width else f"{word[: width - 1]}~"


def _ago(nanoseconds: int) -> str:
    seconds = max(0, nanoseconds) // 10**9
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s" if seconds else "now"


def _sides(moment: Moment, rows: int) -> list[Line]:
    """The sums by interface, protocol, table and family, one below the other."""
    room = rows
    lines: list[Line] = []
    for number, (by, sums) in enumerate(moment.sums.items()):
        share = max(2, (room - len(lines)) // (len(moment.sums) - number)) - 1
        lines.append(_row([(by, "bold"), ("changes", "bold")], [_SIDE - 13, 12]))
        shown = list(sums.items())
        if len(shown) > share:
            shown = shown[: share - 1]
            rest = _total(counts for _, counts in list(sums.items())[share - 1 :])
            shown.append((f"{len(sums) - share + 1} others", rest))
        for name, counts in shown:
            cells = [(name, ""), (_number(counts.total), "")]
            lines.append(_row(cells, [_SIDE - 13, 12]))
    return (lines + [[] for _ in range(rows)])[:rows]
