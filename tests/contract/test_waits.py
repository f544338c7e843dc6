"""What ends a wait, by whatever method: signals, errors, and nothing else."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import rnlab

import routenotify
from routenotify import RouteMonitor


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
import os, resource, sys, time, routenotify
monitor = routenotify.RouteMonitor()
monitor.resync()  # what begins with the monitor is over
(reader,) = set(os.listdir("/proc/self/task")) - {str(os.getpid())}
for _ in range(10_000):  # its own waits are refused as well, when it begins one
    with open(f"/proc/self/task/{reader}/wchan") as where:
        if "poll" in where.read():
            break
    time.sleep(0.001)
else:
    sys.exit("the reader never waits")
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
    print(type(error).__name__, error.code, error.call, error.errno, flush=True)
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


# ---- what batches() and its asynchronous side wait by ----


def test_a_monitor_that_was_never_opened_cannot_gather():
    """These looked into a queue that is not there: a crash."""
    for cls in (RouteMonitor, routenotify._routenotify.Monitor):
        monitor = cls.__new__(cls)
        for call in (
            monitor._gather_object,
            lambda monitor=monitor: monitor._wait(True, 0.01),
            lambda monitor=monitor: monitor._wait(False, 0.01),
            lambda monitor=monitor: monitor._gather(1),
        ):
            with pytest.raises(routenotify.MonitorClosed, match="never opened"):
                call()


@pytest.mark.kernel
def test_what_does_not_gather_cannot_be_waited_for(open_monitor):
    """It was descriptor 0, whatever that is."""
    monitor = open_monitor()
    for call in (monitor._gather_object, lambda: monitor._wait(True, 0.01)):
        with pytest.raises(routenotify.RouteNotifyError, match="nothing gathers"):
            call()
    monitor._gather(1)

    assert monitor._gather_object() not in (-1, 0)


@pytest.mark.parametrize("seconds", [math.nan, -1.0, -1e300, -math.inf, 0])
@pytest.mark.kernel
def test_what_is_no_time_is_not_waited(open_monitor, seconds):
    """A negative one was for ever, and NaN whatever the processor made of it."""
    monitor = open_monitor()
    monitor._gather(1)
    done = threading.Event()

    def wait():
        for gathered in (True, False):
            monitor._wait(gathered, seconds)
        done.set()

    threading.Thread(target=wait, daemon=True).start()

    assert done.wait(10)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")
@pytest.mark.kernel
def test_a_forks_copy_cannot_gather(open_monitor):
    """It would wait for, and clear, what is the parent's."""
    monitor = open_monitor()
    monitor._gather(1)
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        refused = 0
        for call in (
            monitor._gather_object,
            lambda: monitor._wait(True, 0.01),
            lambda: monitor._wait(False, 0.01),
        ):
            try:
                call()
            except routenotify.MonitorClosed as error:
                refused += "fork" in error.detail
        os.write(write, bytes([refused]))
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        said = pipe.read()
    os.waitpid(pid, 0)

    assert b"\3" == said
