"""What the live view costs beside a storm, in a real terminal."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import tempfile
import time
from pathlib import Path

import rncli
import rnterm

from benchmarks._lab import Lab
from benchmarks._measures import Lines, cpu_us
from benchmarks._table import BARE, Bar, Measure, Missing

RATE = 200_000
"""Changes a second; the injector is asked for as many, and may reach fewer."""

FRAME = 205
"""Milliseconds that a frame may take: five a second, and the last is cut off."""

PACED = ("--pace", str(RATE), "--batch", "64")

_HOME = b"\033[H"  # where each frame begins


def top(lab: Lab, runs: int, count: int) -> Lines:
    """CPU of `routenotify top`, its frames, and what its monitor merged.

    Beside it the bare loop at the same pace: what receiving so many messages costs
    on this machine, with nothing counted and nothing drawn.
    """
    if shutil.which("tmux") is None or importlib.util.find_spec("rich") is None:
        yield Missing("top", "apt install tmux; pip install rich")
        return
    name = f"`top` at {RATE:,} changes/s"
    share = Measure(f"{name}, CPU", "% of a core", BARE, Bar(25, "ours"))
    rate = Measure(f"{name}, reached", "/s", "")
    frames = Measure(f"{name}, time of a frame", "ms", "", Bar(FRAME, "ours"))
    merged = Measure(f"{name}, conflated", "", "", Bar(0, "ours"))
    for _ in range(runs):
        bare = lab.flood(lab.baseline("recv", 2 * count), count, *PACED)
        share.other.append(100 * RATE * cpu_us(bare, 2 * count) / 1e6)
        with tempfile.TemporaryDirectory() as folder:
            _watch(lab, count, Path(folder), (share, rate, frames, merged))
    yield from (share, rate, frames, merged)


def _watch(lab: Lab, count: int, folder: Path, measures: tuple[Measure, ...]) -> None:
    share, rate, frames, merged = measures
    words = lab.pinned(rncli.words("top"))
    with rnterm.Terminal(lab.namespace, folder, words) as terminal:
        terminal.until(lambda screen: "q quit" in screen, "the live view")
        drawn = folder / "drawn"
        terminal.record(drawn)
        process = terminal.pid()
        cpu, began = _cpu(process), time.monotonic()
        report = lab.inject("--count", str(count), *PACED)
        took = time.monotonic() - began
        reached = report["count"] / report["seconds"]
        # As if the injector had kept up: what a change costs does not fall.
        used = (_cpu(process) - cpu) / took * max(1, RATE / reached)
        share.ours.append(100 * used)
        frames.ours.append(1000 * took / max(1, drawn.read_bytes().count(_HOME)))
        rate.ours.append(reached)
        said = f"{2 * count:,} changes"
        screen = terminal.until(lambda screen: said in screen, said)
        found = re.search(r"conflated ([\d,]+)", screen)
        assert found
        merged.ours.append(int(found[1].replace(",", "")))


def _cpu(process: int) -> float:
    """Seconds of processor time so far, of all threads."""
    words = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
