"""Where measuring happens: C programs, a namespace, a reader and a flood."""

from __future__ import annotations

import array
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import _build, _sockets
from benchmarks._peers import Peer
from benchmarks._table import Missing

ROOT = _build.HERE.parent
sys.path.insert(0, str(ROOT / "tests"))

import rnlab  # noqa: E402  the tests' namespaces serve here too

LIMIT = 300
"""Seconds after which a reader or an injector counts as stuck."""

ROOM = 512 << 20
"""Bytes of receive buffer that lose nothing: 832 for a small route."""

IPV6 = ("--first", "fd00:0:0:1::/64")
"""The injector's options for changing IPv6 routes."""

Report = dict[str, Any]
Forbidden = rnlab.ForbiddenError
allows_ringbuf = rnlab.allows_ringbuf


class LostError(Exception):
    """A reader lost changes where none may be lost."""


class Lab:
    """Built programs and one network namespace with a device to route to.

    Args:
        folder: for the programs and the stamps; the caller removes it.

    Attributes:
        peers: other readers, for who compares with them.
        prefixes: a file of real ones, or why there is none.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.peers: list[Peer | Missing] = []
        self.prefixes: Path | Missing = Missing("full table", "nobody asked for it")
        for program in ("inject", "baseline"):
            _build.build(folder / program, [_build.HERE / f"{program}.c"])
        _build.build(
            folder / "ringbuf",
            [
                _build.HERE / "ringbuf.c",
                *sorted(_build.SOURCES.glob("rn_linux_ringbuf*.c")),
                *(
                    _build.SOURCES / f"rn_linux_{name}.c"
                    for name in ("socket", "request")
                ),
            ],
        )

    def enter(self) -> None:
        """Leave the machine's network, whatever was wanted from there.

        Raises:
            Forbidden: the system does not allow it.
        """
        rnlab.isolate()
        self.namespace = rnlab.Namespace.current()
        self.oif = self.namespace.veth("bench0", "10.77.0.1/24", "fd77::1/64")
        cores = sorted(os.sched_getaffinity(0))
        # One core for the kernel's side, one for the reader's, when there are two.
        self._cores = (cores[0], cores[1]) if len(cores) > 1 else (cores[0], cores[0])

    def pinned(self, command: Sequence[str]) -> list[str]:
        """The command on the readers' core."""
        return ["taskset", "-c", str(self._cores[1]), *command]

    def elsewhere(self, command: Sequence[str]) -> list[str]:
        """The command on the other core, if there is one."""
        return ["taskset", "-c", str(self._cores[0]), *command]

    def baseline(self, mode: str, count: int, *options: str) -> list[str]:
        """The command of a C reader; mode is "recv" or "recvmmsg"."""
        program = str(self.folder / "baseline")
        return self.pinned([program, mode, "--count", str(count), *options])

    def ring(self, count: int) -> list[str]:
        """The command of a C reader of a BPF ring buffer."""
        return self.pinned([str(self.folder / "ringbuf"), "--count", str(count)])

    def ours(self, mode: str, count: int, *options: str) -> list[str]:
        """The command of a Python reader; see `benchmarks._reader`."""
        program = [sys.executable, "-m", "benchmarks._reader", mode]
        return self.pinned([*program, "--count", str(count), *options])

    def flood(
        self, reader: list[str], count: int, *options: str, room: int = 0
    ) -> Report:
        """Start a reader, add and delete `count` routes, return its report.

        In it, as "injector", is the report of who changed them.

        Args:
            reader: a command such as `ours` gives.
            count: routes; twice as many changes.
            options: further ones of the injector.
            room: bytes of receive buffer to give the reader; 0: its own choice.
        """
        with self.reading(reader) as process:
            if room:
                _sockets.give_room(process.pid, room)
            injector = self.inject("--count", str(count), *options)
            return {**finish(process), "injector": injector}

    def queue_up(self, reader: list[str], count: int, rounds: int) -> Report:
        """Let a reader take `count` queued routes' changes, so many times."""
        with self.reading(reader) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            for _ in range(rounds):
                self.inject("--count", str(count))
                process.stdin.write("queued\n")
                process.stdin.flush()
                if process.stdout.readline() != "taken\n":
                    raise RuntimeError(f"{reader}: {process.communicate()[1]}")
            return finish(process)

    @contextlib.contextmanager
    def reading(self, reader: list[str]) -> Iterator[subprocess.Popen[str]]:
        """A reader that has said that it is ready; `finish` gives its report.

        Raises:
            RuntimeError: it ended instead.
        """
        with _running(reader) as process:
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                raise RuntimeError(f"{reader}: {process.communicate()[1]}")
            yield process

    def latencies(
        self, reader: list[str], count: int, pace: int, *, room: int = 0
    ) -> list[float]:
        """Microseconds from just before a change to its return in the reader.

        Args:
            reader: a command such as `ours` gives.
            count: routes, each added and deleted.
            pace: changes a second.
            room: see `flood`.

        Raises:
            LostError: the reader did not see every change.
        """
        sent, seen = self.folder / "sent", self.folder / "seen"
        self.flood(
            [*reader, "--stamps", str(seen)],
            count,
            *("--batch", "1", "--pace", str(pace), "--stamps", str(sent)),
            room=room,
        )
        earlier, afters = _stamps(sent), _stamps(seen)
        if len(earlier) != len(afters):
            raise LostError(f"{reader} saw {len(afters)} of {len(earlier)} changes")
        pairs = zip(earlier, afters, strict=True)
        return [(after - before) / 1000 for before, after in pairs]

    @contextlib.contextmanager
    def table(self, count: int) -> Iterator[None]:
        """That many routes more in the namespace, for the block."""
        options = ("--first", "60.0.0.0/32", "--count", str(count))
        self.inject(*options, "--ops", "a")
        try:
            yield
        finally:
            self.inject(*options, "--ops", "d")

    def inject(self, *options: str) -> Report:
        """Change routes; see inject.c.

        Raises:
            RuntimeError: the kernel refused some.
        """
        done = subprocess.run(
            [
                *(str(self.folder / "inject"), "--oif", str(self.oif)),
                *("--ops", "ad", "--core", str(self._cores[0]), *options),
            ],
            check=False,
            capture_output=True,
            text=True,
            timeout=LIMIT,
        )
        if done.returncode != 0:
            raise RuntimeError(f"inject: {done.stderr}{done.stdout}")
        report: Report = json.loads(done.stdout)
        return report


def finish(process: subprocess.Popen[str]) -> Report:
    """Tell a reader that the flood is over, and return its report.

    Raises:
        RuntimeError: it failed.
    """
    printed, errors = process.communicate("over\n", timeout=LIMIT)
    if process.returncode != 0:
        raise RuntimeError(f"{process.args!r}: {errors}")
    report: Report = json.loads(printed)
    return report


@contextlib.contextmanager
def lab() -> Iterator[Lab]:
    """A laboratory; its files go with the block, its namespace with the process."""
    with tempfile.TemporaryDirectory(prefix="routenotify-bench-") as folder:
        yield Lab(Path(folder))


@contextlib.contextmanager
def _running(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        with process:
            yield process
    finally:
        if process.poll() is None:
            process.kill()


def _stamps(path: Path) -> array.array[int]:
    stamps = array.array("q")
    stamps.frombytes(path.read_bytes())
    return stamps
