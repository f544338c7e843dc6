"""Keys as they are typed, one by one, without waiting for Enter."""

from __future__ import annotations

import codecs
import contextlib
import sys
import time
from collections.abc import Iterator
from typing import Protocol


class Keys(Protocol):
    """Where typed keys come from."""

    def read(self, timeout: float) -> str:
        """Wait up to timeout seconds; return what was typed, "" if nothing."""


if sys.platform == "win32":
    import msvcrt

    _LOOK = 0.02  # seconds between two looks: the console cannot be waited for

    class _Console:
        def read(self, timeout: float) -> str:
            end = time.monotonic() + timeout
            while not msvcrt.kbhit():
                left = end - time.monotonic()
                if left <= 0:
                    return ""
                time.sleep(min(left, _LOOK))
            typed = ""
            while msvcrt.kbhit():
                key = msvcrt.getwch()
                if key in "\0\xe0":  # an arrow or the like: two characters
                    msvcrt.getwch()
                elif key == "\x03":
                    raise KeyboardInterrupt
                else:
                    typed += key
            return typed

    @contextlib.contextmanager
    def keys() -> Iterator[Keys]:
        """Give the console's keys."""
        yield _Console()

else:
    import os
    import select
    import termios
    import tty

    class _Terminal:
        def __init__(self, fd: int) -> None:
            self._fd = fd
            self._decoder = codecs.getincrementaldecoder("utf-8")("ignore")

        def read(self, timeout: float) -> str:
            if self._fd < 0:  # not a terminal: nobody types
                time.sleep(timeout)
                return ""
            ready, _, _ = select.select([self._fd], [], [], timeout)
            if not ready:
                return ""
            typed = os.read(self._fd, 1024)
            if not typed:  # the terminal has gone
                raise KeyboardInterrupt
            if typed.startswith(b"\033") and len(typed) > 1:
                return ""  # an arrow or the like
            return self._decoder.decode(typed)

    @contextlib.contextmanager
    def keys() -> Iterator[Keys]:
        """Give the keys of the terminal that stdin is, which are not echoed."""
        if not sys.stdin.isatty():
            yield _Terminal(-1)
            return
        fd = sys.stdin.fileno()
        before = termios.tcgetattr(fd)
        tty.setcbreak(fd)
        try:
            yield _Terminal(fd)
        finally:
            termios.tcsetattr(fd, termios.TCSADRAIN, before)
