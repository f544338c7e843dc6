"""RouteMonitor.batch(): the rows that drain() would give, without objects."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import sysconfig
import threading
import time
from pathlib import Path

import pytest
import rnlab

import routenotify
from routenotify import RouteBatch

SEED = int(os.environ.get("ROUTENOTIFY_TEST_SEED") or random.randrange(2**32))
# AddressSanitizer keeps what was freed: not here, where memory is measured.
NO_QUARANTINE = (
    f"{os.environ.get('ASAN_OPTIONS', '')}"
    ":quarantine_size_mb=0:thread_local_quarantine_size_kb=0"
)
NET = "198.51.100.0/24"


NETS = [f"198.51.{i}.0/24" for i in range(12)]
NETS += [f"2001:db8:{i:x}::/48" for i in range(6)]


def timeless(row):
    """Its bytes but the time of reception.

    Two namespaces' readers, or two callbacks, need not agree on that.
    """
    return row.raw[:8] + row.raw[16:]


def churn(system, rng, present, count):
    """Random changes: added, changed, removed, of both families."""
    for _ in range(count):
        net = rng.choice(NETS)
        if net not in present:
            via = rng.choice((None, "2001:db8:ffff::9" if ":" in net else "192.0.2.9"))
            system.add(net, via=via)
            present.add(net)
        elif rng.random() < 0.3 and ":" not in net:
            system.change(net)
        else:
            system.remove(net)
            present.remove(net)


def test_a_batch_has_the_rows_that_drain_gives(system, open_monitor):
    """Two monitors, one history: same rows, same order, every field."""
    print(f"ROUTENOTIFY_TEST_SEED={SEED}")
    rng = random.Random(SEED)
    lists, blocks = open_monitor(capacity=16), open_monitor(capacity=16)
    drained, batched = [], []
    present = set()
    for _ in range(8):
        churn(system, rng, present, rng.randint(0, 40))
        system.settle(lists, blocks)
        drained += lists.drain()
        batched += [blocks.batch(rng.choice((0, 1, 3, 1000))) for _ in range(3)]
        batched.append(blocks.batch(None))

    assert 0 < len(drained) == lists.stats.delivered == blocks.stats.delivered
    assert lists.stats.conflated == blocks.stats.conflated
    rows = [row for batch in batched for row in batch]
    # Of a machine's own changes, where there are any, one of them may hear later.
    drained, rows = (
        [row for row in heard if str(row.destination) in NETS]
        for heard in (drained, rows)
    )
    assert [timeless(row) for row in rows] == [timeless(row) for row in drained]
    assert [row.to_dict() | {"time_ns": 0} for row in rows] == [
        row.to_dict() | {"time_ns": 0} for row in drained
    ]


def test_batch_takes_at_most_max_in_order(system, open_monitor):
    """Then the rest, then an empty one."""
    monitor = open_monitor()
    system.add_many([f"198.51.{i}.0/24" for i in range(10)])
    rnlab.wait_for(lambda: monitor.stats.queued == 10)

    assert 0 == len(monitor.batch(0))
    assert [1, 2, 3] == [row.sequence for row in monitor.batch(3)]
    assert [4] == [row.sequence for row in monitor.batch(max=1, timeout=None)]
    assert [5, 6, 7, 8] == [row.sequence for row in monitor.batch(4, 5)]
    assert [9, 10] == [row.sequence for row in monitor.batch()]
    assert 0 == len(monitor.batch())
    assert 10 == monitor.stats.delivered
    assert isinstance(monitor.batch(None), RouteBatch)


@pytest.mark.parametrize("capacity", [2, 4, 64])
def test_batch_crosses_the_rings_wrap_and_the_spilled(system, open_monitor, capacity):
    """What did not fit in the queue comes after it, in one block."""
    monitor = open_monitor(socket.AF_INET, capacity=capacity)
    for start in range(0, 90, 30):
        wanted = [f"198.51.{i}.0/24" for i in range(start, start + 30)]
        system.add_many(wanted)
        rnlab.wait_for(lambda: monitor.stats.queued == 30)

        assert wanted == [str(row.destination) for row in monitor.batch()]


def test_a_row_of_a_batch_can_be_asked_about(system, open_monitor):
    """Interface and completion, in the monitor's namespace, after its end."""
    monitor = open_monitor()
    system.add(NET, via="192.0.2.9")
    batch = monitor.batch(timeout=30)
    monitor.close()

    for part in (batch, batch[:], batch[::-1]):
        assert system.interface == part[0].interface
        assert NET == str(part[0].complete().destination)


# ---- waiting ----


def test_batch_with_timeout_zero_never_waits(system, open_monitor):
    """Empty at once, on an idle and on a closed monitor."""
    monitor = open_monitor()
    assert 0 == len(monitor.batch())

    system.add(NET)
    rnlab.wait_for(lambda: monitor.stats.queued == 1)
    monitor.close()

    assert [NET] == [str(row.destination) for row in monitor.batch()]
    assert 0 == len(monitor.batch())
    assert 0 == len(monitor.batch(timeout=-0.0))
    assert 0 == len(monitor.batch(0, timeout=None))


def test_batch_is_empty_when_the_time_passes(open_monitor, system):
    """And not before."""
    monitor = open_monitor()
    begin = time.monotonic()

    assert 0 == len(monitor.batch(timeout=0.05))
    tick = time.get_clock_info("monotonic").resolution
    assert time.monotonic() - begin >= 0.05 - tick


@pytest.mark.parametrize("timeout", [10, None])
def test_batch_waits_for_the_first_change(system, open_monitor, timeout):
    """Without holding the interpreter: this thread makes it."""
    monitor = open_monitor()
    got = []
    thread = threading.Thread(target=lambda: got.append(monitor.batch(8, timeout)))
    thread.start()
    system.add(NET)
    thread.join(10)

    assert [[NET]] == [[str(row.destination) for row in batch] for batch in got]


def test_close_wakes_whoever_waits_for_a_batch(system, open_monitor):
    """With MonitorClosed; so does asking for more afterwards."""
    monitor = open_monitor()
    raised = []

    def wait():
        with contextlib.suppress(routenotify.MonitorClosed):
            monitor.batch(timeout=None)
            return
        raised.append(True)

    threads = [threading.Thread(target=wait) for _ in range(3)]
    for thread in threads:
        thread.start()
    monitor.close()
    for thread in threads:
        thread.join(10)

    assert [True] * 3 == raised
    for timeout in (None, 0.01):
        with pytest.raises(routenotify.MonitorClosed) as caught:
            monitor.batch(timeout=timeout)
        assert (6, "batch") == (caught.value.code, caught.value.call)


def test_what_was_queued_comes_before_the_end(system, open_monitor):
    """Waiting for a batch of a closed monitor gives it first."""
    monitor = open_monitor()
    system.add(NET)
    rnlab.wait_for(lambda: monitor.stats.queued == 1)
    monitor.close()

    assert 1 == len(monitor.batch(timeout=None))
    with pytest.raises(routenotify.MonitorClosed):
        monitor.batch(timeout=None)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_signal_ends_the_wait_for_a_batch(system, open_monitor):
    """Its handler's exception comes out."""
    monitor = open_monitor()

    def handler(number, frame):
        raise InterruptedError("told to")

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        with pytest.raises(InterruptedError, match="told to"):
            monitor.batch(timeout=None)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.skipif(sys.platform == "win32", reason="wait_handle is Windows' way")
def test_the_descriptor_is_exact_after_a_batch(system, open_monitor):
    """Readable while something is left, and no longer."""
    import select

    monitor = open_monitor()
    fd = monitor.fileno()
    system.add(NET)
    system.add("203.0.113.0/24")
    rnlab.wait_for(lambda: monitor.stats.queued == 2)

    rnlab.wait_for(lambda: select.select([fd], [], [], 0)[0])
    monitor.batch(1)
    assert select.select([fd], [], [], 0)[0]
    monitor.batch(1, timeout=30)
    assert not select.select([fd], [], [], 0)[0]


# ---- memory ----


def test_a_batch_outlives_its_monitor(system, open_monitor):
    """Rows and buffers stay what they were."""
    monitor = open_monitor()
    system.add_many([f"198.51.{i}.0/24" for i in range(50)])
    rnlab.wait_for(lambda: monitor.stats.queued == 50)
    batch = monitor.batch()
    view = memoryview(batch[::2])
    before = view.tobytes()
    monitor.close()

    assert before == view.tobytes()
    assert list(range(1, 51)) == [row.sequence for row in batch]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/statm")
def test_batches_leave_no_memory_behind(netns):
    """In a fresh interpreter: ten thousand batches, slices and views of them."""
    code = """
import os, pickle, sys
sys.path[:0] = [sys.argv[1]]
from rows import record
from routenotify import RouteBatch, RouteMonitor

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

monitor = RouteMonitor(snapshot=True)
raw = record() * 100
def once():
    batch = RouteBatch(raw)
    memoryview(batch[::-2]).tobytes()
    pickle.loads(pickle.dumps(batch[:1]))
    list(batch[3:5])
    monitor.batch()
    for wrong in (-1, "x"):
        try:
            monitor.batch(wrong)
        except (TypeError, ValueError):
            pass
    try:
        RouteBatch(raw[:-127] + b"x" * 127)
    except ValueError:
        pass

for _ in range(2000):
    once()
before = resident()
for _ in range(10000):
    once()
grown = resident() - before
assert grown < 1 << 20, f"{grown} bytes"
"""
    rows = Path(__file__).parents[1] / "unit"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, str(rows)],
        capture_output=True,
        text=True,
        timeout=100,
        env=os.environ | {"ASAN_OPTIONS": NO_QUARANTINE},
    )

    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory by RLIMIT_AS")
@pytest.mark.skipif(
    "libasan" in os.environ.get("LD_PRELOAD", ""),
    reason="AddressSanitizer ends the process where malloc would fail",
)
@pytest.mark.skipif(
    bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    reason="a free-threaded Python's allocator has address space in reserve",
)
def test_nothing_is_lost_when_memory_runs_out(netns):
    """MemoryError; with memory again the same rows are there."""
    code = """
import resource, sys
from routenotify import RouteBatch, RouteMonitor

def starved(call):
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (1 << 20, limits[1]))
    try:
        call()
    except MemoryError:
        return True
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
    return False

with RouteMonitor(capacity=1 << 16) as monitor:
    print("open", flush=True)
    sys.stdin.readline()
    monitor.resync()
    assert monitor.stats.queued == 30000, monitor.stats
    assert starved(monitor.batch)
    assert starved(lambda: monitor.batch(timeout=None))
    assert monitor.stats.queued == 30000
    batch = monitor.batch()
    assert [row.sequence for row in batch] == list(range(1, 30001))
    assert starved(batch.__arrow_c_array__)
    assert starved(batch.__arrow_c_stream__)
    assert starved(lambda: RouteBatch(batch))
    assert batch.__arrow_c_array__()
"""
    process = netns.popen(
        [sys.executable, "-P", "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert "open\n" == process.stdout.readline()
    netns.batch(f"route add 10.{i >> 8}.{i & 255}.0/24 dev lo" for i in range(30000))
    out, err = process.communicate("\n", timeout=60)

    assert (0, "", "") == (process.returncode, out, err)


# ---- arguments ----


@pytest.mark.kernel
@pytest.mark.parametrize("max", [-1, -(2**31), -(10**30)])
def test_a_negative_max_is_an_invalid_parameter(open_monitor, max):
    """A ValueError that names call, argument and value."""
    with pytest.raises(routenotify.InvalidParameter) as caught:
        open_monitor().batch(max)

    assert (87, "batch") == (caught.value.code, caught.value.call)
    assert f"max={max} is negative" in str(caught.value)


@pytest.mark.kernel
@pytest.mark.parametrize("max", [1.5, "3", True, False, b"", [1]])
def test_a_max_that_is_no_count_is_a_type_error(open_monitor, max):
    """A bool is none; of drain() neither."""
    monitor = open_monitor()

    for call in (monitor.batch, monitor.drain):
        with pytest.raises(TypeError) as caught:
            call(max)
        assert f"{call.__name__}(max={max!r}): an int or None" in str(caught.value)


def test_a_huge_max_takes_what_there_is(system, open_monitor):
    """No memory is taken for what is not queued; also of types like int."""

    class Three:
        def __index__(self):
            return 3

    monitor = open_monitor()
    system.add_many([f"198.51.{i}.0/24" for i in range(6)])
    rnlab.wait_for(lambda: monitor.stats.queued == 6)

    assert 3 == len(monitor.batch(Three()))
    assert 1 == len(monitor.drain(1))
    assert 2 == len(monitor.batch(10**30))
    assert 0 == len(monitor.batch(2**63))


@pytest.mark.kernel
@pytest.mark.parametrize(
    "timeout", [-1, -0.001, float("-inf"), float("nan"), float("inf"), 1e10, 10**400]
)
def test_a_timeout_out_of_range_is_an_invalid_parameter(open_monitor, timeout):
    """As of get(), before anything is waited for."""
    with pytest.raises(routenotify.InvalidParameter, match="timeout=") as caught:
        open_monitor().batch(timeout=timeout)

    assert "batch" == caught.value.call


@pytest.mark.kernel
def test_other_arguments_are_type_errors(open_monitor):
    """Of another type, by another name, one too many."""
    monitor = open_monitor()

    with pytest.raises(TypeError, match=r"batch\(timeout='soon'\)"):
        monitor.batch(timeout="soon")
    with pytest.raises(TypeError, match="timeuot"):
        monitor.batch(timeuot=1)
    with pytest.raises(TypeError):
        monitor.batch(1, 2, 3)


def test_a_monitor_that_was_never_opened_has_no_batch():
    """MonitorClosed, waiting or not."""
    monitor = routenotify.RouteMonitor.__new__(routenotify.RouteMonitor)

    for timeout in (0, None):
        with pytest.raises(routenotify.MonitorClosed, match="never opened"):
            monitor.batch(timeout=timeout)
