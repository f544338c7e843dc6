"""What was measured, and how it is shown."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence
from typing import Any, Literal

BARE = "C loop of recv()"
"""What ours is compared with mostly: nobody who reads messages does less."""


@dataclasses.dataclass(frozen=True)
class Bar:
    """What the project promises of a measure.

    Attributes:
        limit: the largest figure that is within the promise.
        of: "ratio" of ours to the other, or "ours" alone.
        words: how it is shown; made up from the limit if empty.
    """

    limit: float
    of: Literal["ratio", "ours"] = "ratio"
    words: str = ""

    def text(self, unit: str) -> str:
        """The bar in words; unit is that of our own figure."""
        if self.words:
            return self.words
        shown = f"{self.limit:g}"
        return f"<= {shown}x" if self.of == "ratio" else f"<= {shown} {unit}".strip()


@dataclasses.dataclass(frozen=True)
class Missing:
    """Something that was not measured.

    Attributes:
        name: what would have been.
        why: the reason, with the command that changes it.
    """

    name: str
    why: str

    def to_dict(self) -> dict[str, Any]:
        """Everything, for a machine."""
        return {"name": self.name, "not_measured": self.why}


@dataclasses.dataclass(frozen=True)
class Measure:
    """One thing measured in several runs, ours and the other taken in turns.

    Attributes:
        name: what is measured.
        unit: of both columns, such as "us".
        other_name: what ours is compared with.
        bar: the promise, or None.
        chart: the picture's panel it belongs to, or "".
        ours: one figure a run.
        other: one figure a run, in the order of `ours`; may be empty.
    """

    name: str
    unit: str
    other_name: str
    bar: Bar | None = None
    chart: str = ""
    ours: list[float] = dataclasses.field(default_factory=list)
    other: list[float] = dataclasses.field(default_factory=list)

    @property
    def ratios(self) -> list[float]:
        """Ours to other, run by run; only where the other is not zero."""
        pairs = zip(self.ours, self.other, strict=False)
        return [ours / other for ours, other in pairs if other]

    @property
    def met(self) -> bool | None:
        """Whether the median is within the bar; None without one, or no figures."""
        figures = self.ours if self.bar and self.bar.of == "ours" else self.ratios
        if self.bar is None or not figures:
            return None
        return statistics.median(figures) <= self.bar.limit

    def to_dict(self) -> dict[str, Any]:
        """Everything, for a machine."""
        return {**dataclasses.asdict(self), "ratios": self.ratios, "met": self.met}


HEADINGS = (
    *("measure", "ours", "other", "ratio", "min-median-max", "bar", "met"),
    "other is",
)


def _median(figures: Sequence[float], unit: str) -> str:
    if not figures:
        return "-"
    median = statistics.median(figures)
    shown = f"{median:,.0f}" if abs(median) >= 10_000 else f"{median:.4g}"
    return f"{shown} {unit}".strip()


def _range(figures: Sequence[float]) -> str:
    if not figures:
        return "-"
    marks = (min(figures), statistics.median(figures), max(figures))
    digits = 4 if marks[1] < 0.1 and marks[1] else 2
    return "-".join(f"{mark:.{digits}f}" for mark in marks)


def _ratio(ratios: Sequence[float]) -> str:
    if not ratios:
        return "-"
    median = statistics.median(ratios)
    return f"1/{1 / median:.0f}" if 0 < median < 0.1 else f"{median:.2f}x"


def _cells(measure: Measure) -> tuple[str, ...]:
    return (
        measure.name,
        _median(measure.ours, measure.unit),
        _median(measure.other, measure.unit),
        _ratio(measure.ratios),
        _range(measure.ratios or measure.ours),
        measure.bar.text(measure.unit) if measure.bar else "",
        {True: "yes", False: "NO", None: ""}[measure.met],
        measure.other_name,
    )


def render(measures: Sequence[Measure | Missing], *, markdown: bool = False) -> str:
    """The table as text: one line a measure, medians over the runs.

    The column "min-median-max" is of the ratio, or of our own figures where
    there is nothing to divide by.  What was not measured follows the table.

    Args:
        measures: in the order of the lines.
        markdown: with bars between the cells, for a page.
    """
    shown = [_cells(measure) for measure in measures if isinstance(measure, Measure)]
    rows = [HEADINGS, *shown]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, tuple("-" * width for width in widths))
    left, between, right = ("| ", " | ", " |") if markdown else ("", "  ", "")
    lines = [
        left
        + between.join(
            cell.ljust(width) for cell, width in zip(row, widths, strict=True)
        )
        + right
        for row in rows
    ]
    missing = [
        f"not measured: {measure.name}: {measure.why}"
        for measure in measures
        if isinstance(measure, Missing)
    ]
    return "\n".join(line.rstrip() for line in [*lines, *missing])


def unmet(measures: Sequence[Measure | Missing]) -> list[str]:
    """The names of the measures not within their bar, or not measured at all."""
    return [
        measure.name
        for measure in measures
        if isinstance(measure, Missing) or (measure.bar and not measure.met)
    ]
