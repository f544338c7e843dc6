"""The table as a picture; needs matplotlib."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks._table import Measure, Missing

PANELS = (
    ("cpu", "CPU per change, µs (less is better)"),
    ("rate", "changes a second (more is better)"),
    ("latency", "latency, median, µs (less is better)"),
    ("p99", "latency, p99, µs (less is better)"),
)
OURS = "routenotify"


class NoPlotError(Exception):
    """There is nothing to draw with, or nothing to draw."""


def bars(measures: Iterable[Measure | Missing], chart: str) -> dict[str, list[float]]:
    """The figures of one panel, by who they are of; ours first.

    Args:
        measures: as for the table.
        chart: which panel; see `PANELS`.
    """
    found: dict[str, list[float]] = {}
    for measure in measures:
        if isinstance(measure, Measure) and measure.chart == chart and measure.other:
            found.setdefault(OURS, measure.ours)
            found[measure.other_name] = measure.other
    return found


def _panel(axes: Any, title: str, figures: dict[str, list[float]]) -> None:
    names = list(figures)[::-1]
    medians = [statistics.median(figures[name]) for name in names]
    below = [m - min(figures[n]) for n, m in zip(names, medians, strict=True)]
    above = [max(figures[n]) - m for n, m in zip(names, medians, strict=True)]
    colours = ["tab:orange" if name == OURS else "tab:blue" for name in names]
    axes.barh(names, medians, color=colours, xerr=[below, above], capsize=3)
    axes.set_xscale("log")
    axes.set_xlim(left=min(medians) / 3)
    axes.set_title(title, fontsize=10)
    for place, median in enumerate(medians):
        axes.annotate(f" {median:,.4g}", (median, place), va="bottom", fontsize=8)


def draw(measures: Sequence[Measure | Missing], machine: str, file: str) -> None:
    """Write the picture: medians as bars, least and most as whiskers.

    Args:
        measures: as for the table.
        machine: where they were taken, for the foot of the picture.
        file: its name; the ending says the format.

    Raises:
        NoPlotError: matplotlib is missing, or the peers were not measured.
    """
    try:
        from matplotlib.figure import (  # type: ignore[import-not-found,unused-ignore]
            Figure,
        )
    except ImportError as error:
        raise NoPlotError("--plot needs matplotlib: pip install matplotlib") from error
    panels = [(title, bars(measures, chart)) for chart, title in PANELS]
    panels = [panel for panel in panels if panel[1]]
    if not panels:
        raise NoPlotError("--plot draws the peers: let --only have them")
    figure = Figure(figsize=(8, 2.4 * len(panels)))
    rows = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
    for axes, (title, figures) in zip(rows, panels, strict=True):
        _panel(axes, title, figures)
    figure.supxlabel(machine, fontsize=8)
    figure.tight_layout()
    figure.savefig(file, dpi=120)
