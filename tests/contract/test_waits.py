"""What ends a wait, by whatever method: signals, errors, and nothing else."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import rnlab

import routenotify


@pytest.mark.skipif(sys.platform != "linux", reason="wakes by an eventfd")
@pytest.mark.parametrize("wait", ["get", "next", "batch", "batches"])
@pytest.mark.kernel
def test_a_signal_is_handled_when_the_wait_is_woken_in_vain(open_monitor, wait):
    """As by changes that another consumer takes each time.

    Handlers ran only if the signal, not a wake-up, ended the wait: Ctrl-C waited
    for as long as the others were quick enough.
    """
    monitor = open_monitor()
    fd = monitor.fileno()
    main = Path(f"/proc/self/task/{threading.get_native_id()}/wchan")
    handled = threading.Event()
    found = []

    def wake():
        # This thread takes the signal, so nothing but the wake-up ends the wait.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])
        rnlab.wait_for(lambda: "poll" in main.read_text(), what="it waits")
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        for _ in range(1000):
            os.eventfd_write(fd, 1)
            if handled.wait(0.01):
                break
        found.append(handled.is_set())
        monitor.close()

    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    before = signal.signal(signal.SIGUSR1, lambda *_: handled.set())
    thread = threading.Thread(target=wake)
    thread.start()
    try:
        with contextlib.suppress(routenotify.MonitorClosed, StopIteration):
            {
                "get": monitor.get,
                "next": monitor.__next__,
                "batch": lambda: monitor.batch(timeout=None),
                "batches": monitor.batches().__next__,
            }[wait]()
    finally:
        thread.join()
        signal.signal(signal.SIGUSR1, before)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])

    assert [True] == found


CANNOT_WAIT = """
import os, resource, sys, routenotify
monitor = routenotify.RouteMonitor()
waits = {
    "get": lambda: monitor.get(0.5),
    "batch": lambda: monitor.batch(timeout=0.5),
    "batches": monitor.batches().__next__,
}
if sys.argv[2] == "closed":
    os.close(monitor.fileno())
else:
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
try:
    waits[sys.argv[1]]()
except routenotify.RouteNotifyError as error:
    print(type(error).__name__, error.code, error.call, error.errno)
os._exit(0)  # what was closed is not to be closed again
"""


@pytest.mark.skipif(sys.platform != "linux", reason="descriptors of POSIX")
@pytest.mark.parametrize("wait", ["get", "batch", "batches"])
@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("closed", f"RouteNotifyError 6 poll {errno.EBADF}\n"),
        ("forbidden", f"NotEnoughMemory 8 poll {errno.EINVAL}\n"),
    ],
)
@pytest.mark.kernel
def test_a_wait_that_the_system_refuses_is_an_error(how, said, wait):
    """It was taken for a wake-up, again and again, at full speed."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", CANNOT_WAIT, wait, how],
        capture_output=True,
        text=True,
        timeout=30,
    )

    assert (0, said, "") == (done.returncode, done.stdout, done.stderr)
