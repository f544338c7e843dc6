"""The picture that `routenotify plot` makes of a story, with matplotlib."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from routenotify import ChangeType
from routenotify._cli._story import KINDS, Bins, Flap, Story

# Told apart with every kind of colour blindness: M. Okabe and K. Ito, 2008.
_BLUE, _ORANGE, _RED = "#0072B2", "#E69F00", "#D55E00"
_GREY, _LIGHT = "#5A5A5A", "#B8C4CC"
_LOOK: Final = {
    ChangeType.ADD: ("added", _BLUE, ""),
    ChangeType.PARAMETER: ("changed", _ORANGE, "//"),
    ChangeType.DELETE: ("deleted", _RED, ""),
}
_WIDTH, _HEIGHT = 10.0, 9.0  # inches, with so many destinations:
_FEW: Final = 12
_FLAP: Final = 0.2124  # inches more for each further one
_HIGHEST: Final = 500.0  # 55 000 pixels: no PNG may have more than 65 535
_DPI: Final = 110
_LONGEST_LABEL: Final = 40  # characters of a destination


def picture(story: Story, title: str, most: int) -> Figure:
    """Draw a story.

    Args:
        story: what happened.
        title: of the picture.
        most: how many flapping destinations to show.
    """
    ranking = story.ranking(most)
    more = max(0, len(ranking) - _FEW)
    height = min(_HEIGHT + _FLAP * more, _HIGHEST)
    ratios = [3, 2, 0.6 + 0.28 * len(ranking)]
    figure = Figure(figsize=(_WIDTH, height), dpi=_DPI, layout="constrained")
    # A name of a file may have a $, and is no formula then.
    figure.suptitle(title, fontsize=14, fontweight="bold", parse_math=False)
    churn, size, flaps = figure.subplots(3, 1, height_ratios=ratios)
    bins = story.bins()
    times = [
        _clock(story.start_ns + round(number * bins.seconds * 1e9))
        for number in range(len(bins.routes) + 1)
    ]
    _draw_churn(churn, story, bins, times)
    _draw_size(size, bins, times)
    size.sharex(churn)
    _draw_flaps(flaps, ranking)
    return figure


def _clock(time_ns: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(time_ns / 1e9, tz=dt.UTC)


def _time_axis(axes: Any, start: dt.datetime) -> None:
    locator = AutoDateLocator()
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))
    axes.set_xlabel(f"time (UTC), from {start:%Y-%m-%d %H:%M:%S}")


def _legend(axes: Any) -> None:
    """Above the axes, at the right, beside the title."""
    axes.legend(
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        ncols=3,
        frameon=False,
        borderaxespad=0.2,
    )


def _plain(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#DDDDDD", linewidth=0.8)
    axes.set_axisbelow(True)


def _draw_churn(axes: Any, story: Story, bins: Bins, times: list[dt.datetime]) -> None:
    """Added and changed above the line, deleted below it."""
    width = (times[1] - times[0]) * 0.96
    above = [0] * len(bins.routes)
    for kind in KINDS:
        label, colour, hatch = _LOOK[kind]
        counts = bins.counts[kind]
        down = kind == ChangeType.DELETE
        axes.bar(
            times[:-1],
            [-number for number in counts] if down else counts,
            width,
            bottom=None if down else above,
            align="edge",
            color=colour,
            hatch=hatch,
            edgecolor="white",
            linewidth=0,
            label=f"{label}: {story.counts[kind]:,}",
        )
        if not down:
            above = [a + b for a, b in zip(above, counts, strict=True)]
    axes.axhline(0, color=_GREY, linewidth=0.8)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{abs(value):,.0f}"))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel(f"changes in {_duration(bins.seconds)}")
    total = f"{story.counts.total():,} changes in {_duration(story.seconds)}"
    if story.merged:
        total += f", {story.merged:,} merged"
    axes.set_title(total, loc="left")
    _legend(axes)
    axes.use_sticky_edges = False  # of the bars that lie on others
    axes.margins(y=0.08)
    axes.set_xlim(times[0], times[-1])
    _plain(axes)
    axes.tick_params(labelbottom=False)


def _draw_size(axes: Any, bins: Bins, times: list[dt.datetime]) -> None:
    axes.stairs(bins.routes, times, baseline=None, color=_BLUE, linewidth=1.8)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel("routes")
    axes.set_title("Size of the table", loc="left")
    _plain(axes)
    _time_axis(axes, times[0])


def _draw_flaps(axes: Any, ranking: list[Flap]) -> None:
    """Bars of what changed, with the number of returns beside each."""
    axes.set_title("Destinations that flap most", loc="left")
    if not ranking:
        axes.text(0.5, 0.5, "nothing changed", ha="center", transform=axes.transAxes)
        axes.set_axis_off()
        return
    names = [_shortened(flap.destination, flap.table) for flap in ranking]
    rows = range(len(names))
    changes = [flap.changes for flap in ranking]
    flaps = [flap.flaps for flap in ranking]
    bars = axes.barh(rows, changes, 0.7, color=_LIGHT, label="all changes")
    axes.barh(rows, flaps, 0.7, color=_RED, label="came back after it had gone")
    labels = [f"{flap.flaps:,} of {flap.changes:,}" for flap in ranking]
    axes.bar_label(bars, labels, padding=4, fontsize=9)
    axes.set_yticks(rows, names, fontsize=9)
    axes.set_ylim(len(names) - 0.4, -0.6)  # a margin of 5 % is a lot of many
    axes.set_xlabel("changes")
    _legend(axes)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.margins(x=0.12)
    _plain(axes)
    axes.grid(visible=False)


def _shortened(destination: str, table: int | None) -> str:
    name = destination if table in (None, 254) else f"{destination} table {table}"
    return name if len(name) <= _LONGEST_LABEL else name[: _LONGEST_LABEL - 1] + "…"


def _duration(seconds: float) -> str:
    """A length of time in the unit that people would say."""
    for unit, name in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        if seconds >= unit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds * 1000:.3g} ms"
