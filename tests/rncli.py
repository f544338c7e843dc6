"""The command line as a user has it: a process, pipes and terminals."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import rnlab

_SPEC = find_spec("routenotify")  # not imported: it may be for another Python
assert _SPEC is not None
assert _SPEC.origin is not None
PACKAGE = Path(_SPEC.origin).parent


def words(*arguments: str) -> list[str]:
    """Return the command line of `python -m routenotify ARGUMENTS`."""
    return [sys.executable, "-P", "-m", "routenotify", *arguments]


def environment(**changes: str) -> dict[str, str]:
    """Return an environment in which the package under test is found."""
    kept = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    return {**kept, "PYTHONPATH": str(PACKAGE.parent), "TERM": "xterm", **changes}


def run(
    netns: rnlab.Namespace, *arguments: str, **changes: str
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end inside netns."""
    with netns.entered():
        return subprocess.run(
            words(*arguments),
            capture_output=True,
            text=True,
            timeout=60,
            env=environment(**changes),
        )


class Running:
    """A command that goes on while the test does something.

    stdout is a pipe or a terminal; so is stderr.  `setsid -c` makes a
    terminal the controlling one, so that a Ctrl-C typed there is a signal.
    """

    def __init__(
        self,
        netns: rnlab.Namespace,
        *arguments: str,
        terminal: bool = False,
        error_terminal: bool = False,
        before: Iterable[str] = (),
        **changes: str,
    ) -> None:
        """Start it; before: words in front of its own, such as `nohup`."""
        if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
            # Inherited from a shell's background job; children must not.
            signal.signal(signal.SIGINT, signal.default_int_handler)
        self._out, out = pty.openpty() if terminal else os.pipe()
        self._err, err = pty.openpty() if error_terminal else os.pipe()
        leader = ["setsid", "-c"] if terminal else []
        self.process = netns.popen(
            [*leader, *before, *words(*arguments)],
            stdin=out if terminal else subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env=environment(**changes),
        )
        os.close(out)
        os.close(err)
        self._pending = {self._out: b"", self._err: b""}
        self._open = {self._out, self._err}

    def line(self, deadline: float = 10.0) -> str:
        """Return the next line of stdout, without its end."""
        return self._line(self._out, deadline)

    def error_line(self, deadline: float = 10.0) -> str:
        """Return the next line of stderr, without its end."""
        return self._line(self._err, deadline)

    def json(self) -> dict[str, Any]:
        """Return the object on the next line of stdout."""
        value: dict[str, Any] = json.loads(self.line())
        return value

    def type(self, keys: bytes) -> None:
        """Type on the terminal."""
        os.write(self._out, keys)

    def hang_up(self) -> None:
        """Close our end of stdout."""
        self._open.discard(self._out)
        os.close(self._out)

    def finish(self, deadline: float = 10.0) -> tuple[int, str, str]:
        """Wait for the end; return the status and what was not read yet."""
        status = self.process.wait(deadline)
        rest = [self._rest(fd) for fd in (self._out, self._err)]
        return status, rest[0], rest[1]

    def _line(self, fd: int, deadline: float) -> str:
        end = time.monotonic() + deadline
        while b"\n" not in self._pending[fd]:
            ready, _, _ = select.select([fd], [], [], max(0, end - time.monotonic()))
            more = self._read(fd) if ready else b""
            if not more:
                raise AssertionError(f"no line; so far {self._pending!r}")
            self._pending[fd] += more
        line, _, self._pending[fd] = self._pending[fd].partition(b"\n")
        return line.decode().rstrip("\r")

    def _rest(self, fd: int) -> str:
        if fd not in self._open:
            return ""
        while more := self._read(fd):
            self._pending[fd] += more
        self._open.discard(fd)
        os.close(fd)
        return self._pending[fd].decode()

    @staticmethod
    def _read(fd: int) -> bytes:
        try:
            return os.read(fd, 1 << 16)
        except OSError:  # EIO: the last user of the terminal is gone
            return b""
