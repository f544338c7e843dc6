"""Keys as they are typed, one by one, without waiting for Enter; and Ctrl-Z."""

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


class Stops(Protocol):
    """The user's wish that the program stop for now (Ctrl-Z)."""

    def asked(self) -> bool:
        """Whether the terminal is to be given back, and taken anew later."""

    def obey(self) -> None:
        """Stop if that was asked for; return when the shell says to go on."""


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

    class _NoStops:
        def asked(self) -> bool:
            return False

        def obey(self) -> None: ...

    @contextlib.contextmanager
    def stops() -> Iterator[Stops]:
        """Give the wishes to stop: a console has none."""
        yield _NoStops()

else:
    import os
    import select
    import signal
    import termios
    import threading
    import tty
    from types import FrameType

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
        if sys.stdin is None or not sys.stdin.isatty():
            yield _Terminal(-1)
            return
        fd = sys.stdin.fileno()
        before = termios.tcgetattr(fd)
        tty.setcbreak(fd)
        try:
            yield _Terminal(fd)
        finally:
            with contextlib.suppress(termios.error):  # the terminal has gone
                termios.tcsetattr(fd, termios.TCSADRAIN, before)

    class _Stops:
        def __init__(self) -> None:
            self._stop = False
            self._went_on = False

        def note(self, number: int, _: FrameType | None) -> None:
            if number == signal.SIGTSTP:
                self._stop = True
            else:  # SIGCONT, also after a SIGSTOP that nobody can see coming
                self._went_on = True

        def asked(self) -> bool:
            return self._stop or self._went_on

        def obey(self) -> None:
            if self._stop:
                handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
                # To this thread: so it has stopped before the call returns.
                signal.pthread_kill(threading.get_ident(), signal.SIGTSTP)
                signal.signal(signal.SIGTSTP, handler)
            self._stop = self._went_on = False

    @contextlib.contextmanager
    def stops() -> Iterator[Stops]:
        """Give the wishes to stop, which from here on wait until they are obeyed.

        Where SIGTSTP is ignored there are none: nobody could say to go on.
        """
        if signal.getsignal(signal.SIGTSTP) == signal.SIG_IGN:
            yield _Stops()
            return
        wishes = _Stops()
        numbers = (signal.SIGTSTP, signal.SIGCONT)
        before = [signal.signal(number, wishes.note) for number in numbers]
        try:
            yield wishes
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)
