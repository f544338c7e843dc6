"""How far a long job is: a bar on stderr, if somebody sits in front of it."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, Final, Protocol, TextIO, TypeVar

T = TypeVar("T")

_SHOW_AFTER: Final = 1.0  # seconds; a shorter job needs no bar
_EVERY: Final = 0.1  # seconds between two looks of the bar
_WIDTH: Final = 30


class Bar(Protocol):
    """What a job tells how far it is."""

    def update(self, done: int) -> None:
        """So much is done now, of the total."""


class _NoBar:
    """Nobody would see one."""

    def update(self, done: int) -> None:
        """Nothing."""


class _LateBar:
    """Made of a job that turns out to be long, and drawn now and then."""

    def __init__(self, title: str, total: int, out: TextIO) -> None:
        self._title = title
        self._total = total
        self._out = out
        self._next = time.monotonic() + _SHOW_AFTER
        self._drawing: _Plain | _Rich | None = None

    def update(self, done: int) -> None:
        """Draw it, if it is time."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _EVERY
        if self._drawing is None:
            self._drawing = _make_drawing(self._title, self._total, self._out)
        self._drawing.draw(min(done, self._total))

    def end(self) -> None:
        """Take it away."""
        if self._drawing is not None:
            self._drawing.erase()


class _Plain:
    """One line that is written over again and again."""

    def __init__(self, title: str, total: int, out: TextIO) -> None:
        self._title = title
        self._total = total
        self._out = out
        self._last = ""

    def draw(self, done: int) -> None:
        filled = _WIDTH * done // self._total
        bar = "#" * filled + "-" * (_WIDTH - filled)
        self._last = f"{self._title} [{bar}] {100 * done // self._total:3d} %"
        self._out.write(f"\r{self._last}")
        self._out.flush()

    def erase(self) -> None:
        self._out.write("\r" + " " * len(self._last) + "\r")
        self._out.flush()


class _Rich:
    """The bar of the library rich, with the time that is left."""

    def __init__(self, title: str, total: int, out: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress: Any = Progress(
            TextColumn("{task.description}"),
            BarColumn(_WIDTH),
            TextColumn("{task.percentage:3.0f} %"),
            TimeRemainingColumn(),
            console=Console(file=out),
            transient=True,
            auto_refresh=False,  # no thread
            redirect_stdout=False,  # the lines go where they were sent
            redirect_stderr=False,
        )
        self._task = self._progress.add_task(title, total=total)
        self._progress.start()

    def draw(self, done: int) -> None:
        self._progress.update(self._task, completed=done, refresh=True)

    def erase(self) -> None:
        self._progress.stop()


def _make_drawing(title: str, total: int, out: TextIO) -> _Plain | _Rich:
    try:
        return _Rich(title, total, out)
    except ImportError:
        return _Plain(title, total, out)


def waited(title: str, work: Callable[[], T]) -> T:
    """Do a job that cannot tell how far it is, and show how long it takes.

    Only on stderr, only if that is a terminal, once it has taken a second.

    Args:
        title: what is done, a few words.
        work: does it; on another thread if somebody watches.
    """
    out = sys.stderr
    if not out.isatty():
        return work()
    started = time.monotonic()
    told = ""
    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(work)
        while not job.done():
            wait((job,), timeout=_EVERY if told else _SHOW_AFTER)
            if not job.done():
                told = f"{title}: {time.monotonic() - started:.1f} s"
                out.write(f"\r{told}")
                out.flush()
    out.write("\r" + " " * len(told) + "\r" if told else "")
    return job.result()


@contextlib.contextmanager
def progress(title: str, total: int) -> Iterator[Bar]:
    """Show how far a job is while inside, once it has taken a second.

    Only on stderr, only if that is a terminal and stdout is not printing lines
    to one.

    Args:
        title: what is done, a few words.
        total: what `update` will count up to; 0: unknown, no bar.
    """
    if total <= 0 or not sys.stderr.isatty():
        yield _NoBar()
        return
    bar = _LateBar(title, total, sys.stderr)
    try:
        yield bar
    finally:
        bar.end()
