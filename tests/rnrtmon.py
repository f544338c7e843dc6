"""iproute2's rtmon in a namespace, and what a replay makes of its file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import rnlab

import routenotify

LAST = "203.0.113.255/32"  # of the route that ends what is compared


@contextlib.contextmanager
def running(netns: rnlab.Namespace, path: Path) -> Iterator[None]:
    """Have rtmon write to a file; it is ready when the block begins."""
    rtmon = netns.popen(["rtmon", "file", str(path), "all"])
    rnlab.wait_for(lambda: path.exists() and path.stat().st_size, what="rtmon")
    yield
    rtmon.terminate()


def end(netns: rnlab.Namespace) -> None:
    """Add the route to LAST."""
    netns.ip(f"route add blackhole {LAST}")


def await_record(
    path: str | Path, destination: str, deadline: float = 30.0
) -> list[routenotify.RouteChange]:
    """Wait until a recording tells of a destination, and return what it has."""

    def there() -> list[routenotify.RouteChange] | None:
        try:
            with routenotify.replay(path, capacity=1 << 20) as monitor:
                found = list(monitor)
        except routenotify.RecordingError:
            return None  # is being written
        seen = {str(change.destination) for change in found}
        return found if destination in seen else None

    found = rnlab.wait_for(there, deadline, f"{destination} in {path}")
    assert found is not None
    return found


def replayed(path: Path) -> list[routenotify.RouteChange]:
    """What the file replays, up to the route to LAST."""
    found = await_record(path, LAST)
    while str(found[-1].destination) != LAST:
        found.pop()  # came later
    return found
