"""Interpreters with a GIL of their own watch at the same time, in threads."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path

import _storm
import rnlab

try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters

from routenotify import RouteMonitor

COUNT = 4
SCRIPT = """
import routenotify
with routenotify.RouteMonitor(snapshot=True, markers=True) as monitor:
    for change in monitor:
        if change.type == routenotify.ChangeType.SNAPSHOT_END:
            break
    open(READY, "w").close()
    while str(monitor.get(30).destination) != "198.51.100.0/24":
        pass
    assert isinstance(monitor.snapshot(), routenotify.Snapshot)
    left_open = routenotify.RouteMonitor()
"""


def run(script: str, failures: list[object]) -> None:
    """Run the script in an interpreter of its own; what it raises is a failure."""
    # All in one thread: 3.11 hangs when another one destroys the interpreter.
    interpreter = interpreters.create()
    try:
        failure = interpreters.run_string(interpreter, script)
    except Exception as error:  # noqa: BLE001 - 3.11 raises instead
        failure = error
    interpreters.destroy(interpreter)
    if failure is not None:
        failures.append(failure)


def main() -> None:
    """Run it; the main interpreter watches as well, and goes on watching."""
    namespace = _storm.prepare()
    failures: list[object] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        RouteMonitor() as monitor,
        _storm.storm(200),
    ):
        ready = [Path(folder) / str(i) for i in range(COUNT)]
        threads = [
            threading.Thread(
                target=run,
                args=(f"READY = {str(path)!r}\n{SCRIPT}", failures),
            )
            for path in ready
        ]
        for thread in threads:
            thread.start()
        rnlab.wait_for(
            lambda: failures or all(path.exists() for path in ready),
            30,
            "every interpreter watching",
        )
        namespace.ip("route add 198.51.100.0/24 dev v0")
        for thread in threads:
            thread.join(40)
            assert not thread.is_alive()
        assert not failures, failures
        while str(monitor.get(10).destination) != "198.51.100.0/24":
            pass


main()
print("end")
