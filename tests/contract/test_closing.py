"""Closing: from everywhere, at any time, with nothing left behind."""

from __future__ import annotations

import contextlib
import gc
import os
import subprocess
import sys
import threading
import time
import traceback

import pytest
import rnlab

import routenotify
from routenotify import MonitorClosed, RouteMonitor

NET = "198.51.100.0/24"

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")


def resident():
    """Bytes of memory this process has."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.kernel
def test_close_is_idempotent(open_monitor):
    """And `closed` tells."""
    monitor = open_monitor()

    assert not monitor.closed
    assert repr(monitor).startswith("<RouteMonitor open at ")
    monitor.close()
    monitor.close()
    assert monitor.closed
    assert repr(monitor).startswith("<RouteMonitor closed at ")


@pytest.mark.kernel
def test_a_with_block_closes_also_on_an_exception():
    """The exception goes on."""
    with pytest.raises(ZeroDivisionError), RouteMonitor() as monitor:
        1 / 0  # noqa: B018

    assert monitor.closed


@pytest.mark.parametrize("threads", [1, 8])
@pytest.mark.kernel
def test_close_wakes_every_get_in_other_threads(open_monitor, threads):
    """Each says that the monitor is closed."""
    monitor = open_monitor()
    results = []

    def wait():
        try:
            monitor.get()
        except BaseException as error:  # noqa: BLE001 - it is the result
            results.append(error)

    waiters = [threading.Thread(target=wait) for _ in range(threads)]
    for waiter in waiters:
        waiter.start()
    time.sleep(0.05)  # some of them wait by now, some do not: both are right
    monitor.close()
    for waiter in waiters:
        waiter.join(10)

    assert not any(waiter.is_alive() for waiter in waiters)
    assert [MonitorClosed] * threads == [type(result) for result in results]


@pytest.mark.kernel
def test_close_ends_iteration_in_another_thread(open_monitor):
    """Without an exception."""
    monitor = open_monitor()
    results = []
    thread = threading.Thread(target=lambda: results.append(list(monitor)))
    thread.start()
    time.sleep(0.02)  # before or in the wait: both are right
    monitor.close()
    thread.join(10)

    assert [[]] == results


@pytest.mark.kernel
def test_close_from_many_threads_at_once(open_monitor):
    """When any of them returns, the registration is gone, though it takes long."""
    for _ in range(50):
        monitor = open_monitor()
        barrier = threading.Barrier(4)
        errors = []

        def close(monitor=monitor, barrier=barrier, errors=errors):
            try:
                barrier.wait()
                monitor.close()
                assert monitor.closed
                with pytest.raises(MonitorClosed):
                    monitor.get(0)  # a close that goes on would be a time-out
            except BaseException:  # noqa: BLE001 - shown below
                errors.append(traceback.format_exc())

        def resync(monitor=monitor, barrier=barrier):
            barrier.wait()
            with contextlib.suppress(MonitorClosed):
                monitor.resync()

        work = [resync, close, close, close]
        threads = [threading.Thread(target=one) for one in work]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)

        assert [] == errors


@pytest.mark.kernel
def test_calls_race_with_close(open_monitor):
    """Every method gives its result or MonitorClosed, nothing else."""
    for _ in range(30):
        monitor = open_monitor(snapshot=True)
        unexpected = []

        def work(call, unexpected=unexpected):
            try:
                for _ in range(1000):
                    call()
            except MonitorClosed:
                pass
            except BaseException:  # noqa: BLE001 - shown below
                unexpected.append(traceback.format_exc())

        def expire(monitor=monitor):
            with contextlib.suppress(TimeoutError):
                monitor.get(0.001)

        calls = [
            monitor.poll,
            monitor.drain,
            monitor.snapshot,
            monitor.resync,
            lambda monitor=monitor: monitor.stats,
            lambda monitor=monitor: monitor.closed,
            lambda monitor=monitor: rnlab.wait_object(monitor),
            expire,
        ]
        threads = [threading.Thread(target=work, args=(call,)) for call in calls]
        for thread in threads:
            thread.start()
        time.sleep(0.003)  # somewhere inside their loops
        monitor.close()
        for thread in threads:
            thread.join(20)

        assert not any(thread.is_alive() for thread in threads)
        assert [] == unexpected


@pytest.mark.kernel
def test_closed_monitors_refuse_what_asks_the_system(open_monitor):
    """Snapshot, resync and the descriptor; stats stay."""
    monitor = open_monitor()
    monitor.close()

    for call in (monitor.snapshot, monitor.resync):
        with pytest.raises(MonitorClosed, match="closed"):
            call()
    assert 0 == monitor.stats.queued


@pytest.mark.kernel
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_ten_thousand_monitors_leave_nothing_behind():
    """No descriptor, no thread, no memory."""
    for _ in range(100):
        RouteMonitor(capacity=2).close()
    descriptors_before = rnlab.open_handles()
    resident_before = resident()
    for i in range(10_000):
        monitor = RouteMonitor(capacity=2, initial_notification=i % 2 == 0)
        monitor.close()
    del monitor

    assert descriptors_before == rnlab.open_handles()
    rnlab.wait_for_threads(threading.active_count(), "no reader is left")
    assert resident() - resident_before < 8 << 20


@pytest.mark.kernel
def test_failed_opens_leave_nothing_behind(tmp_path):
    """Whatever the open had made by then is unmade."""
    (tmp_path / "file").touch()
    bad = [
        {"family": 99},
        {"capacity": 0},
        {"filter": 3},
        {"rcvbuf": 0},
        {"netns": "no-such"},
        {"netns": tmp_path / "file"},
    ]
    gc.collect()  # what other tests left
    before = rnlab.open_handles()
    for _ in range(200):
        for options in bad:
            with pytest.raises((routenotify.RouteNotifyError, TypeError)):
                RouteMonitor(**options)

    assert rnlab.open_handles() - before <= rnlab.STRAY_HANDLES


@pytest.mark.kernel
@pytest.mark.skipif(sys.platform != "linux", reason="needs setrlimit and /proc")
def test_no_descriptors_left_is_a_memory_error():
    """Wherever in the open they run out, and nothing is leaked."""
    code = """
import os, resource, routenotify
routenotify.routes()
used = len(os.listdir("/proc/self/fd")) - 1
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
kinds = set()
for spare in range(64):
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + spare, hard))
    try:
        with routenotify.RouteMonitor(snapshot=True):
            break
    except routenotify.RouteNotifyError as error:
        kinds.add((type(error).__name__, error.errno))
resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
assert len(os.listdir("/proc/self/fd")) - 1 == used, os.listdir("/proc/self/fd")
print(sorted(kinds), spare > 0)
"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=60
    )

    assert "" == done.stderr
    assert "[('NotEnoughMemory', 24)] True\n" == done.stdout


# ---- fork ----


def in_a_child(check):
    """Run check in a forked child; fail with what it raised."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            check()
            text = b""
        except BaseException:  # noqa: BLE001 - shown by the parent
            text = traceback.format_exc().encode()
        os.write(write, text or b"fine")
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        said = pipe.read()
    os.waitpid(pid, 0)
    assert b"fine" == said, said.decode()


@forks
def test_a_forks_copy_is_closed_and_says_so(system, open_monitor):
    """The parent's goes on as if nothing had happened."""
    monitor = open_monitor()
    fd = monitor.fileno()
    system.add(NET)
    rnlab.wait_for(lambda: monitor.stats.queued == 1)

    def check():
        assert monitor.closed
        calls = [
            monitor.poll,
            monitor.get,
            monitor.drain,
            monitor.fileno,
            monitor.snapshot,
            monitor.resync,
            lambda: next(monitor),
            lambda: monitor.stats,
        ]
        for again in range(2):
            for call in calls:
                with pytest.raises(MonitorClosed, match="fork"):
                    call()
            monitor.close()
            assert monitor.closed, again
        with RouteMonitor(snapshot=True) as own:
            assert own.get(30).sequence == 1

    in_a_child(check)

    assert not monitor.closed
    assert fd == monitor.fileno()
    assert NET == str(monitor.get(30).destination)
    system.remove(NET)
    assert NET == str(monitor.get(30).destination)


@forks
@pytest.mark.kernel
def test_a_forked_child_can_exit_with_monitors_open(open_monitor):
    """Its exit handlers and destructors included."""
    code = """
import os, routenotify
monitors = [routenotify.RouteMonitor() for _ in range(3)]
pid = os.fork()
if pid == 0:
    del monitors[0]
    raise SystemExit(7)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
assert not any(monitor.closed for monitor in monitors)
for monitor in monitors:
    monitor.snapshot()
print("end")
"""
    done = subprocess.run(
        [sys.executable, "-P", "-W", "ignore::DeprecationWarning", "-c", code],
        capture_output=True,
        text=True,
        timeout=30,
    )

    assert (0, "end\n", "") == (done.returncode, done.stdout, done.stderr)


# ---- the end of the interpreter ----


@pytest.mark.parametrize(
    "end",
    [
        "",
        "threading.Thread(target=monitor.get, daemon=True).start()",
        "threading.Thread(target=list, args=(monitor,), daemon=True).start()",
        pytest.param(
            "os.kill(os.getpid(), 2)",
            marks=pytest.mark.skipif(
                sys.platform == "win32", reason="it ends the process there"
            ),
        ),
        "routenotify._routenotify.Monitor()",
        "keep = routenotify._routenotify.Monitor()",
        "monitor.me = monitor; del monitor",
    ],
)
@pytest.mark.kernel
def test_the_interpreter_ends_with_monitors_open(end):
    """At once, by itself, without a crash."""
    code = (
        "import contextlib, os, threading, routenotify\n"
        "monitor = routenotify.RouteMonitor(snapshot=True)\n"
        f"with contextlib.suppress(KeyboardInterrupt):\n    {end or 'pass'}\n"
        "print('end', flush=True)\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=30
    )

    assert 0 == done.returncode, done.stderr
    assert "end\n" == done.stdout
    assert "Fatal" not in done.stderr
    assert "Traceback" not in done.stderr  # a waiting thread is not woken for one


@pytest.mark.kernel
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("call", ["monitor.get", "lambda: list(monitor)"])
def test_the_interpreters_end_wakes_no_daemon_thread(call):
    """It had printed a traceback, or died in a call into a dead interpreter."""
    code = f"""
import atexit, pathlib, threading, time
woken = threading.Event()
atexit.register(lambda: print(woken.wait(0.5)))  # runs after the library's
import routenotify
monitor = routenotify.RouteMonitor()
def wait(call={call}):
    try:
        call()
    finally:
        woken.set()
thread = threading.Thread(target=wait, daemon=True)
thread.start()
where = pathlib.Path(f"/proc/self/task/{{thread.native_id}}/wchan")
deadline = time.monotonic() + 10
while "poll" not in where.read_text():
    assert time.monotonic() < deadline, where.read_text()
"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=30
    )

    assert (0, "False\n", "") == (done.returncode, done.stdout, done.stderr)


@pytest.mark.kernel
def test_monitors_are_closed_at_the_interpreters_exit():
    """Before what was registered earlier: nothing calls into a dying module."""
    code = (
        "import atexit\n"
        "atexit.register(lambda: print([one.closed for one in monitors]))\n"
        "import routenotify\n"
        "monitors = [routenotify.RouteMonitor() for _ in range(3)]\n"
        "monitors[0].close()\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=30,
    )

    assert (0, "[True, True, True]\n", "") == (
        done.returncode,
        done.stdout,
        done.stderr,
    )
