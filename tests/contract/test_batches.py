"""`for batch in monitor.batches(...)`, and `async for`."""

from __future__ import annotations

import asyncio
import itertools
import os
import select
import subprocess
import sys
import textwrap
import threading
import time

import pytest
import rnlab

from routenotify import InvalidParameter, MonitorClosed
from routenotify import _batches as batches_module

NET = "198.51.100.0/24"
LONG = 1000  # seconds, that no test waits for


def nets(count):
    """So many destinations."""
    return [f"10.{i // 250}.{i % 250}.0/24" for i in range(count)]


def sequences(batches):
    """Of the changes in them, one after the other."""
    return [change.sequence for change in itertools.chain(*batches)]


def collect(monitor, asynchronous, count=None, **options):
    """The batches up to the end, or until they have count changes."""
    got = []

    def enough():
        return count is not None and len(sequences(got)) >= count

    def iterate():
        for batch in monitor.batches(**options):
            got.append(batch)
            if enough():
                break

    async def aiterate():
        async for batch in monitor.batches(**options):
            got.append(batch)
            if enough():
                break

    if asynchronous:
        asyncio.run(asyncio.wait_for(aiterate(), 30))
    else:
        iterate()
    return got


both = pytest.mark.parametrize("asynchronous", [False, True], ids=["for", "async for"])


class Feeder(threading.Thread):
    """Changes routes beside the test; its errors are the test's."""

    def __init__(self, work):
        super().__init__()
        self._work = work
        self._error = None

    def run(self):
        """Keep what is raised."""
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - raised by __exit__
            self._error = error

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *args):
        self.join(30)
        assert not self.is_alive()
        if self._error is not None:
            raise self._error


@both
def test_batches_have_every_change_once_and_none_is_empty(
    system, open_monitor, asynchronous
):
    """In order; they end with the monitor."""
    monitor = open_monitor()

    def work():
        system.add_many(nets(500))
        while monitor.stats.delivered < 500:
            time.sleep(0.001)
        monitor.close()

    with Feeder(work):
        got = collect(monitor, asynchronous, max=64)

    assert list(range(1, 501)) == sequences(got)
    assert all(1 <= len(batch) <= 64 for batch in got)


@both
def test_a_burst_makes_one_batch(system, open_monitor, asynchronous):
    """When it is over for as long as debounce says; a busy machine may pause it."""
    monitor = open_monitor()
    with Feeder(lambda: system.add_many(nets(200))):
        got = collect(monitor, asynchronous, count=200, debounce=1.0)
    times = [change.time_ns for change in itertools.chain(*got)]
    pauses = sum(b - a >= 1_000_000_000 for a, b in itertools.pairwise(times))

    assert list(range(1, 201)) == sequences(got)
    assert len(got) <= 1 + pauses


@both
def test_a_batch_is_due_when_it_is_full(system, open_monitor, asynchronous):
    """However long debounce is."""
    monitor = open_monitor()
    with Feeder(lambda: system.add_many(nets(10))):
        got = collect(monitor, asynchronous, count=10, max=5, debounce=LONG)

    assert [5, 5] == [len(batch) for batch in got]


@both
def test_a_batch_is_due_before_the_queue_has_to_merge(
    system, open_monitor, asynchronous
):
    """At half of the capacity."""
    monitor = open_monitor(capacity=128)
    with Feeder(lambda: system.add_many(nets(64))):
        got = collect(monitor, asynchronous, count=64, debounce=LONG)

    assert [64] == [len(batch) for batch in got]


@both
def test_a_storm_does_not_hold_a_batch_up(system, open_monitor, asynchronous):
    """Changes that never pause: the batch is due after ten times debounce."""
    monitor = open_monitor()
    done = threading.Event()
    changes = 0

    def work():
        nonlocal changes
        end = time.monotonic() + 25
        while not done.is_set() and time.monotonic() < end:
            system.add(NET)
            system.remove(NET)
            changes += 2

    with Feeder(work) as feeder:
        (first,) = collect(monitor, asynchronous, count=1, debounce=0.2)
        still_on = feeder.is_alive()
        done.set()

    assert still_on
    assert 0 < len(first) <= changes


@both
@pytest.mark.parametrize("error", [-(10**13), 10**13], ids=["behind", "ahead"])
def test_a_clock_that_was_set_changes_little(
    system, open_monitor, asynchronous, error, monkeypatch
):
    """The age of a change is by the wall clock; a batch comes all the same."""
    real = time.time_ns
    monkeypatch.setattr(batches_module.time, "time_ns", lambda: real() + error)
    monitor = open_monitor()
    system.add(NET)

    assert [1] == sequences(collect(monitor, asynchronous, count=1, debounce=0.05))


@both
def test_close_makes_what_gathers_due(system, open_monitor, asynchronous):
    """And is the end."""
    monitor = open_monitor()

    def work():
        system.add(NET)
        while not monitor.stats.queued:
            time.sleep(0.001)
        time.sleep(0.02)  # before or in the wait: both are right
        monitor.close()

    with Feeder(work):
        got = collect(monitor, asynchronous, debounce=LONG)

    assert [1] == sequences(got)
    assert [] == collect(monitor, asynchronous, debounce=LONG)


@both
@pytest.mark.usefixtures("churn")
def test_close_amid_changes_drops_none(open_monitor, asynchronous):
    """Every change that is taken is in a batch.

    Broken was: when close() had begun, and the next change came before its end,
    the iterator took that change to see why there was none, and dropped it.
    """
    for _ in range(30 if sys.platform == "win32" else 120):
        monitor = open_monitor()
        closer = threading.Timer(0.002, monitor.close)
        closer.start()
        got = collect(monitor, asynchronous)
        closer.join()

        assert list(range(1, monitor.stats.delivered + 1)) == sequences(got)
        assert 0 == monitor.stats.queued


def test_a_cancelled_wait_for_a_batch_loses_nothing(system, open_monitor):
    """What had gathered is still queued."""
    monitor = open_monitor()

    async def main():
        batches = monitor.batches(debounce=LONG)
        for i in range(5):
            task = asyncio.create_task(anext(batches))
            await asyncio.to_thread(system.add, f"198.51.{i}.0/24")
            while monitor.stats.queued <= i:  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.01)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
        monitor.close()
        return [batch async for batch in batches]

    assert [1, 2, 3, 4, 5] == sequences(asyncio.run(main()))


def test_several_tasks_share_the_batches(system, open_monitor):
    """Each change is in one batch of one task."""
    monitor = open_monitor()

    async def main():
        got = []

        async def consume(debounce):
            async for batch in monitor.batches(max=7, debounce=debounce):
                got.append(batch)
                if len(sequences(got)) == 300:
                    monitor.close()

        tasks = [asyncio.create_task(consume(d)) for d in (0, 0.01, 0.02, 0.02)]
        await asyncio.to_thread(system.add_many, nets(300))
        await asyncio.wait_for(asyncio.gather(*tasks), 30)
        return got

    assert list(range(1, 301)) == sorted(sequences(asyncio.run(main())))


limits = pytest.mark.parametrize(
    "order", [(3, None), (None, 3)], ids=["least first", "least last"]
)


@limits
def test_the_least_max_of_the_tasks_that_wait_is_kept(system, open_monitor, order):
    """Whichever came last.

    Broken was: a task with max=3 waited for all of its debounce when a task without
    max began to wait after it, whose limit took the place of its own.
    """
    monitor = open_monitor()
    system.add(NET)
    rnlab.wait_for(lambda: monitor.stats.queued == 1)

    async def main():
        tasks = []
        for most in order:
            batches = monitor.batches(max=most, debounce=LONG)
            tasks.append(asyncio.create_task(anext(batches)))
            await asyncio.sleep(0)  # it runs as far as to its wait
        await asyncio.to_thread(system.add_many, nets(4))
        done, others = await asyncio.wait(
            tasks, timeout=20, return_when=asyncio.FIRST_COMPLETED
        )
        for task in others:
            task.cancel()
        await asyncio.wait(tasks)
        return [task.result() for task in done]

    (batch,) = asyncio.run(main())

    assert len(batch) >= 3


@limits
def test_the_least_max_of_the_threads_that_wait_is_kept(
    system, open_monitor, order, monkeypatch
):
    """As of the tasks, and broken in the same way."""
    monitor = open_monitor()
    system.add(NET)
    rnlab.wait_for(lambda: monitor.stats.queued == 1)
    gather, asked, got = monitor._gather, [], []

    def noted(limit):
        found = gather(limit)
        asked.append(limit)
        return found

    monkeypatch.setattr(monitor, "_gather", noted)
    threads = []
    for most in order:
        batches = monitor.batches(max=most, debounce=LONG)
        thread = threading.Thread(
            target=lambda each=batches: got.extend(next(each, ()))
        )
        thread.start()
        threads.append(thread)
        rnlab.wait_for(lambda: len(asked) == len(threads))
    try:
        system.add_many(nets(4))
        rnlab.wait_for(lambda: len(got) >= 3, what="a batch")
    finally:
        monitor.close()
        for thread in threads:
            thread.join(30)


def test_who_waits_no_more_sets_no_limit(system, open_monitor):
    """However the wait ended, and whoever holds what it raised."""
    monitor = open_monitor()
    system.add_many(nets(3))
    rnlab.wait_for(lambda: monitor.stats.queued == 3)

    async def cancelled():
        task = asyncio.create_task(anext(monitor.batches(max=4, debounce=LONG)))
        await asyncio.sleep(0)
        system.add(NET)  # in this thread: the task has no turn to take it
        rnlab.wait_for(lambda: monitor.stats.queued == 4)
        due = monitor._gather(100) is None
        task.cancel()
        await asyncio.wait([task])
        return due, monitor._gather(100) is None, task.cancelled()

    assert (True, False, True) == asyncio.run(cancelled())

    assert 4 == len(next(monitor.batches(max=4, debounce=LONG)))
    system.add("198.51.101.0/24")
    rnlab.wait_for(lambda: monitor.stats.queued == 1)

    assert monitor._gather(2) is not None


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("options", "kind", "says"),
    [
        ({"max": 0}, InvalidParameter, r"batches: max=0 is less than 1"),
        ({"max": -3}, InvalidParameter, r"batches: max=-3 is less than 1"),
        ({"max": 1.5}, TypeError, r"batches\(max=1.5\): an int or None expected"),
        ({"max": True}, TypeError, r"batches\(max=True\): an int or None expected"),
        ({"debounce": -1}, InvalidParameter, r"batches: debounce=-1 is negative"),
        ({"debounce": float("nan")}, InvalidParameter, "debounce=nan is not a number"),
        ({"debounce": 1e10}, InvalidParameter, "debounce=10000000000.0 is too long"),
        ({"debounce": None}, TypeError, r"batches\(debounce=None\): a number of"),
        ({"debounce": "1"}, TypeError, r"batches\(debounce='1'\): a number of"),
    ],
)
def test_batches_when_an_argument_is_wrong_then_it_says_which(
    open_monitor, options, kind, says
):
    """At once, not at the first batch."""
    monitor = open_monitor()
    with pytest.raises(kind, match=says):
        monitor.batches(**options)


class Number:
    """What numpy's integers are: an int by __index__ alone."""

    def __init__(self, value):
        self._value = value

    def __index__(self):
        """The int."""
        return self._value


@pytest.mark.parametrize("debounce", [0, 0.01])
@pytest.mark.parametrize("most", [1 << 64, Number(3), Number(1 << 70)])
def test_max_may_be_whatever_batch_takes(system, open_monitor, most, debounce):
    """However large, and all that has __index__."""
    monitor = open_monitor()
    system.add_many(nets(3))
    rnlab.wait_for(lambda: monitor.stats.queued == 3)
    got = collect(monitor, False, count=3, max=most, debounce=debounce)

    assert [3] == [len(batch) for batch in got]


def test_max_none_takes_all(system, open_monitor):
    """In one batch."""
    monitor = open_monitor(capacity=64)
    system.add_many(nets(200))
    rnlab.wait_for(lambda: monitor.stats.queued == 200)
    (batch,) = collect(monitor, False, count=1, max=None)

    assert 200 == len(batch)


@pytest.mark.skipif(sys.platform == "win32", reason="calls fileno()")
def test_fileno_stays_exact_while_a_batch_gathers(system, open_monitor):
    """Something is queued: who selects on the monitor is told."""
    monitor = open_monitor()
    fd = monitor.fileno()

    async def main():
        task = asyncio.create_task(anext(monitor.batches(debounce=LONG)))
        await asyncio.sleep(0.01)
        before = select.select([fd], [], [], 0)[0]
        await asyncio.to_thread(system.add, NET)
        during = await asyncio.to_thread(select.select, [fd], [], [], 20)
        await asyncio.sleep(0.01)
        still = select.select([fd], [], [], 0)[0]
        task.cancel()
        await asyncio.wait([task])
        return before, during[0], still

    assert ([], [fd], [fd]) == asyncio.run(main())


CTRL_C = """
    import os, signal, threading, time, routenotify

    with routenotify.RouteMonitor() as monitor:
        def stop():
            while not monitor.stats.queued:
                time.sleep(0.001)
            time.sleep(0.05)
            os.kill(os.getpid(), signal.SIGINT)

        threading.Thread(target=stop).start()
        print("ready", flush=True)
        try:
            for batch in monitor.batches(debounce=1000):
                print("not reached")
        except KeyboardInterrupt:
            print(monitor.stats.queued)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a signal ends the process there")
def test_ctrl_c_ends_a_wait_for_a_batch(system):
    """And what had gathered is still queued."""
    with subprocess.Popen(
        [sys.executable, "-P", "-c", textwrap.dedent(CTRL_C)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        assert process.stdout is not None
        assert "ready\n" == process.stdout.readline()
        system.add(NET)

        assert "1\n" == process.stdout.read()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")
@pytest.mark.kernel
def test_batches_in_a_forked_child_say_so(open_monitor):
    """As every method does."""
    monitor = open_monitor()
    child = os.fork()
    if child == 0:
        status = 3
        try:
            next(monitor.batches(debounce=1))
        except MonitorClosed as error:
            status = 0 if "fork" in str(error) else 2
        finally:  # whatever it is: the session goes on in the parent alone
            os._exit(status)

    assert 0 == os.waitpid(child, 0)[1]
