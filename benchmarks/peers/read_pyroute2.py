"""pyroute2's IPRoute: `get()` in a loop, and count.

Runs in an environment of its own, where nothing but pyroute2 is installed.
Prints "ready", then one JSON object once --count messages came, or two seconds
after standard input said that the flood is over, or when the library failed.
"""

import argparse
import array
import contextlib
import json
import os
import resource
import signal
import sys
import threading
import time
from typing import Any

from pyroute2 import IPRoute  # type: ignore[import-not-found,unused-ignore]

ROUTE_GROUPS = 0x40 | 0x400  # RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_ROUTE
IDLE = 2.0


class OverError(Exception):
    """Nothing comes any more."""


class Reader:
    """Counts what `get()` returns."""

    def __init__(self, count: int, *, stamped: bool) -> None:
        """Count to count; note when each message came, if stamped."""
        self.count, self.stamped = count, stamped
        self.seen = 0
        self.first = self.last = 0
        self.stamps = array.array("q")
        self.error = ""

    def read(self, ipr: IPRoute) -> None:
        """Until all came, none does, or the library fails."""
        with contextlib.suppress(OverError):
            try:
                while self.seen < self.count:
                    self._note(list(ipr.get()))
            except OSError as error:
                self.error = str(error)

    def _note(self, messages: list[Any]) -> None:
        self.last = time.monotonic_ns()
        self.first = self.first or self.last
        self.seen += len(messages)
        if self.stamped:
            self.stamps.extend([self.last] * len(messages))


def _raise_over(_number: int, _frame: object) -> None:
    raise OverError


def _interrupt_when_over(reader: Reader) -> None:
    sys.stdin.readline()
    before = -1
    while before != reader.seen:
        before = reader.seen
        time.sleep(IDLE)
    os.kill(os.getpid(), signal.SIGUSR1)


def main() -> None:
    """Read as the command line says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--stamps")
    options = parser.parse_args()
    reader = Reader(options.count, stamped=bool(options.stamps))
    signal.signal(signal.SIGUSR1, _raise_over)
    ipr = IPRoute()
    ipr.bind(groups=ROUTE_GROUPS)
    threading.Thread(target=_interrupt_when_over, args=(reader,), daemon=True).start()
    print("ready", flush=True)
    before = resource.getrusage(resource.RUSAGE_SELF)
    reader.read(ipr)
    after = resource.getrusage(resource.RUSAGE_SELF)
    report = {
        "messages": reader.seen,
        "error": reader.error,
        "seconds": (reader.last - reader.first) / 1e9,
        "cpu_user": after.ru_utime - before.ru_utime,
        "cpu_system": after.ru_stime - before.ru_stime,
    }
    print(json.dumps(report), flush=True)
    if options.stamps:
        with open(options.stamps, "wb") as file:
            reader.stamps.tofile(file)
    # Once it has failed it cannot be closed; its threads end with the process.
    os._exit(0)


if __name__ == "__main__":
    main()
