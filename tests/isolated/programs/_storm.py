"""A namespace of the program's own, and route changes in it at full speed."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import tempfile
from collections.abc import Iterator

import rnlab

from routenotify import RouteMonitor


def prepare() -> rnlab.Namespace:
    """Leave for a private namespace with a link v0; before the first thread."""
    rnlab.isolate()
    namespace = rnlab.Namespace.current()
    namespace.veth("v0", "192.0.2.1/24")
    return namespace


def lines(verb: str, count: int, block: int = 10) -> list[str]:
    """`count` routes, each its own, for Namespace.batch."""
    return [
        f"route {verb} {block}.{i >> 16}.{i >> 8 & 255}.{i & 255}/32 dev v0"
        for i in range(count)
    ]


def endless(routes: int = 2000, *, flapping: bool = False) -> int:
    """Add and remove routes for as long as this process lives; a process id.

    Flapping: each is removed before the next is added.
    """
    changes = lines("add", routes), lines("del", routes)
    one_by_one = itertools.chain(*zip(*changes, strict=True))
    with tempfile.NamedTemporaryFile("w", suffix=".batch", delete=False) as file:
        for line in one_by_one if flapping else itertools.chain(*changes):
            file.write(f"{line}\n")
    script = (
        f"trap 'rm {file.name}; exit' TERM; exec >/dev/null 2>&1\n"
        f"while kill -0 {os.getpid()} && ip -batch {file.name}; do :; done\n"
        f"rm {file.name}"
    )
    # Not subprocess: this interpreter may end before, and would warn of it.
    return os.posix_spawnp("sh", ["sh", "-c", script], os.environ)


def wait(monitor: RouteMonitor) -> None:
    """Until a monitor has heard of it."""
    rnlab.wait_for(lambda: monitor.stats.received > 500, 60, "a storm")


@contextlib.contextmanager
def storm(routes: int = 2000, *, flapping: bool = False) -> Iterator[None]:
    """Add and remove routes for as long as the block runs.

    Raises:
        RuntimeError: it ended before the block did.
    """
    process = endless(routes, flapping=flapping)
    try:
        yield
    finally:
        ended, _ = os.waitpid(process, os.WNOHANG)
        if not ended:
            os.kill(process, signal.SIGTERM)
            os.waitpid(process, 0)
    if ended:
        raise RuntimeError("the storm was over too early: `ip -batch` fails")
