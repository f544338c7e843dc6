"""`async for change in monitor`, `aget`."""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import random
import subprocess
import sys
import textwrap
import threading
import time
import warnings
import weakref

import pytest
import rnlab

from routenotify import InvalidParameter, MonitorClosed, RouteMonitor, WaitTimeout

NET = "198.51.100.0/24"


def run(coroutine, deadline=20):
    """Run it in a loop of its own, with a deadline in seconds."""

    async def bounded():
        return await asyncio.wait_for(coroutine, deadline)

    return asyncio.run(bounded())


async def take(monitor, count):
    """The first changes of an async iteration; all of them if count is -1."""
    got = []
    async for change in monitor:
        got.append(change)
        if len(got) == count:
            break
    return got


def test_async_for_gives_changes_in_order(system, open_monitor):
    """Those queued before, and those that come while it waits."""
    monitor = open_monitor()
    system.add("198.51.0.0/24")

    async def main():
        first = await take(monitor, 1)
        rest = asyncio.create_task(take(monitor, 200))
        await asyncio.sleep(0)
        many = [f"198.51.{i}.0/24" for i in range(1, 201)]
        await asyncio.to_thread(system.add_many, many)
        return first + await rest

    assert list(range(1, 202)) == [change.sequence for change in run(main())]


def test_close_ends_async_for(system, open_monitor):
    """After what was queued, whoever closes."""
    monitor = open_monitor()
    system.add(NET)

    async def main():
        task = asyncio.create_task(take(monitor, -1))
        await asyncio.sleep(0.02)
        await asyncio.to_thread(monitor.close)
        return await task

    assert [NET] == [str(change.destination) for change in run(main())]
    assert [] == run(take(monitor, -1))


def test_a_storm_of_cancellations_loses_nothing(system, open_monitor):
    """10 000 waits are cancelled while changes come; none takes one away."""
    waits = 1_000 if sys.platform == "win32" else 10_000  # Wine is slow at them
    seed = int(os.environ.get("ROUTENOTIFY_TEST_SEED") or random.randrange(2**32))
    print(f"ROUTENOTIFY_TEST_SEED={seed}")
    chance = random.Random(seed)
    monitor = open_monitor()
    done = threading.Event()

    def feed():
        """Many at a time, then a pause in which waits do wait."""
        count = 0
        while not done.wait(0.005) and count < 30_000:
            nets = range(count, count + 250)
            system.add_many([f"10.{i // 250}.{i % 250}.0/24" for i in nets])
            count += 250
        return count

    async def main():
        got = []
        feeder = asyncio.create_task(asyncio.to_thread(feed))
        iterator = aiter(monitor)

        async def one():
            which = chance.randrange(3)
            if which == 0:
                got.append(await anext(iterator))
            else:
                got.append(await monitor.aget(None if which == 1 else 100))

        cancelled = 0
        while cancelled < waits:
            tasks = [asyncio.create_task(one()) for _ in range(chance.randrange(1, 5))]
            for _ in range(chance.randrange(3)):
                await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            cancelled += sum(task.cancelled() for task in tasks)
            assert all(task.cancelled() or not task.exception() for task in tasks)
        done.set()
        count = await feeder
        taken_meanwhile = len(got)
        while len(got) < count:
            await one()
        return got, count, taken_meanwhile

    got, count, taken_meanwhile = run(main(), 100)

    assert list(range(1, count + 1)) == [change.sequence for change in got]
    assert taken_meanwhile > 0
    assert 0 == monitor.stats.queued


def test_several_tasks_share_a_monitor(system, open_monitor):
    """Each change goes to one of them, and close ends them all."""
    monitor = open_monitor()

    async def main():
        got = []
        all_there = asyncio.Event()

        async def consume():
            async for change in monitor:
                got.append(change.sequence)
                if len(got) == 100:
                    all_there.set()

        tasks = [asyncio.create_task(consume()) for _ in range(5)]
        await asyncio.to_thread(
            system.add_many, [f"198.51.{i}.0/24" for i in range(100)]
        )
        await all_there.wait()
        tasks[0].cancel()
        await asyncio.wait([tasks[0]])
        monitor.close()
        await asyncio.gather(*tasks[1:])
        return got

    assert list(range(1, 101)) == sorted(run(main()))


def test_a_storm_leaves_the_loop_to_other_tasks(system, open_monitor):
    """A consumer that always finds something queued gives way."""
    monitor = open_monitor()
    system.add_many([f"198.51.{i}.0/24" for i in range(250)])
    system.add_many([f"198.52.{i}.0/24" for i in range(250)])

    async def main():
        turns = 0

        async def other():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        await take(monitor, 500)
        task.cancel()
        return turns

    assert run(main()) >= 5


@pytest.mark.skipif(sys.platform == "win32", reason="looks into a selector's loop")
@pytest.mark.kernel
def test_waiting_costs_no_wake_ups(open_monitor):
    """A waiting task leaves its loop asleep: nothing polls."""
    monitor = open_monitor()

    async def main():
        loop = asyncio.get_running_loop()
        task = asyncio.create_task(take(monitor, 1))
        await asyncio.sleep(0.05)
        rounds = 0
        select = loop._selector.select

        def counted(timeout):
            nonlocal rounds
            rounds += 1
            return select(timeout)

        loop._selector.select = counted
        await asyncio.sleep(0.3)
        waited = rounds
        task.cancel()
        await asyncio.wait([task])
        return waited, loop.remove_reader(monitor.fileno())

    rounds, reader_left = run(main())
    assert rounds <= 3
    assert not reader_left


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads in /proc")
def test_monitors_that_are_awaited_need_no_thread_of_their_own(system, open_monitor):
    """One reads the kernel's news for all of them, and their loop waits."""
    monitors = [open_monitor()]
    threads = len(os.listdir("/proc/self/task"))
    monitors += [open_monitor() for _ in range(49)]

    async def one(monitor, way):
        if way == 0:
            return await monitor.aget()
        if way == 1:
            return await anext(aiter(monitor))
        return (await anext(monitor.batches(debounce=0.001 * (way - 2))))[0]

    async def main():
        tasks = [
            asyncio.create_task(one(monitor, at % 4))
            for at, monitor in enumerate(monitors)
        ]
        await asyncio.sleep(0)
        waiting = len(os.listdir("/proc/self/task"))
        system.add(NET)
        changes = await asyncio.gather(*tasks)
        return waiting, changes, len(os.listdir("/proc/self/task"))

    waiting, changes, after = run(main())

    assert max(waiting, after) <= threads
    assert {NET} == {str(change.destination) for change in changes}


def test_one_loop_after_another(system, open_monitor):
    """A monitor outlives loops, and keeps none alive."""
    monitor = open_monitor()
    loops = []

    async def main():
        loops.append(weakref.ref(asyncio.get_running_loop()))
        waiting = asyncio.create_task(take(monitor, 1))
        await asyncio.sleep(0.01)
        await asyncio.to_thread(system.add, f"198.51.{len(loops)}.0/24")
        return await waiting

    assert [1, 2, 3] == [run(main())[0].sequence for _ in range(3)]
    gc.collect()
    assert [None] * 3 == [loop() for loop in loops]


@pytest.mark.kernel
def test_a_monitor_that_was_waited_for_can_be_collected():
    """Nothing of a loop refers to it."""

    async def main():
        monitor = RouteMonitor()
        task = asyncio.create_task(take(monitor, 1))
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])
        monitor.close()
        return weakref.ref(monitor)

    gone = run(main())
    gc.collect()
    assert gone() is None


def test_aget_gives_what_is_queued_and_what_comes(system, open_monitor):
    """At once, or when it is there."""
    monitor = open_monitor()
    system.add(NET)

    async def main():
        first = await monitor.aget(20)
        waiting = asyncio.create_task(monitor.aget(20))
        await asyncio.sleep(0.01)
        await asyncio.to_thread(system.remove, NET)
        return [first, await waiting]

    assert ["ADD", "DELETE"] == [change.type.name for change in run(main())]


@pytest.mark.kernel
@pytest.mark.parametrize("timeout", [0, 1e-9, 0.02])
def test_aget_when_nothing_comes_then_its_time_passes(open_monitor, timeout):
    """Not before, and with the error that get() has."""
    monitor = open_monitor()

    async def main():
        before = time.monotonic()
        with pytest.raises(WaitTimeout, match="aget: no change came in time"):
            await monitor.aget(timeout)
        return time.monotonic() - before

    # Windows counts such waits in ticks of its clock.
    assert run(main()) >= timeout - (0.016 if sys.platform == "win32" else 0)


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("timeout", "kind"),
    [
        (-1, InvalidParameter),
        (float("nan"), InvalidParameter),
        (1e10, InvalidParameter),
        (10**400, InvalidParameter),
        ("1", TypeError),
        ([], TypeError),
    ],
)
def test_aget_when_the_timeout_is_none_then_it_says_so(open_monitor, timeout, kind):
    """As get() does."""
    monitor = open_monitor()
    messages = []
    for call in (monitor.get, lambda value: run(monitor.aget(value))):
        with pytest.raises(kind) as error:
            call(timeout)
        messages.append(str(error.value))

    assert (
        messages[0].split("(")[0].replace("get", "aget", 1)
        == (messages[1].split("(")[0])
    )


@pytest.mark.kernel
def test_aget_without_a_framework_says_so(open_monitor):
    """A coroutine that somebody drives by hand."""
    coroutine = open_monitor().aget()

    with pytest.raises(RuntimeError, match="aget: neither an asyncio loop nor trio"):
        coroutine.send(None)


@pytest.mark.kernel
@pytest.mark.parametrize("waiters", [1, 20])
def test_close_wakes_every_waiting_task(open_monitor, waiters):
    """Each says that the monitor is closed; so does who comes later."""
    monitor = open_monitor()

    async def main():
        tasks = [asyncio.create_task(monitor.aget()) for _ in range(waiters)]
        await asyncio.sleep(0.01)
        await asyncio.to_thread(monitor.close)
        return await asyncio.gather(*tasks, monitor.aget(), return_exceptions=True)

    errors = run(main())

    assert [MonitorClosed] * (waiters + 1) == [type(error) for error in errors]
    assert {"aget"} == {error.call for error in errors}


async def aget_all(monitor):
    """The changes one by one until it is closed."""
    got = []

    async def endless():
        while True:
            got.append(await monitor.aget())

    with pytest.raises(MonitorClosed, match="aget: the monitor is closed"):
        await endless()
    return got


@pytest.mark.usefixtures("churn")
@pytest.mark.parametrize("taken", [aget_all, lambda monitor: take(monitor, -1)])
def test_close_amid_changes_ends_what_waits(open_monitor, taken):
    """And not before the last change: `closed` is true before that is queued.

    Broken was: aget() raised TimeoutError when close() had begun, its answer
    was still to come, and nothing was queued; `async for` blocked the loop.
    """
    for _ in range(20 if sys.platform == "win32" else 60):
        monitor = open_monitor()

        async def main(monitor):
            task = asyncio.create_task(taken(monitor))
            await asyncio.sleep(0.002)
            await asyncio.to_thread(monitor.close)
            return await task

        got = run(main(monitor))
        count = monitor.stats.delivered

        assert list(range(1, count + 1)) == [change.sequence for change in got]
        assert 0 == monitor.stats.queued


@pytest.mark.kernel
@pytest.mark.skipif(sys.platform == "win32", reason="the system wakes all of them")
def test_waiting_tasks_take_turns(system, open_monitor):
    """Who has waited longest gets the next change."""
    monitor = open_monitor()

    async def main():
        order = asyncio.Queue()

        async def consume(name):
            async for _ in monitor:
                order.put_nowait(name)

        tasks = [asyncio.create_task(consume(name)) for name in range(3)]
        await asyncio.sleep(0.01)
        got = []
        for i in range(6):
            await asyncio.to_thread(system.add, f"198.51.{i}.0/24")
            got.append(await order.get())
        monitor.close()
        await asyncio.gather(*tasks)
        return got

    assert [0, 1, 2, 0, 1, 2] == run(main())


@pytest.mark.skipif(sys.platform == "win32", reason="what Linux promises")
def test_who_is_woken_takes_of_a_burst_what_is_queued(system, open_monitor):
    """But not so many that the next one has no turn; as docs/asyncio.md says.

    Broken was: it said that each change goes to the one that has waited longest.
    """
    monitor = open_monitor()
    order = []

    async def consume(name):
        async for change in monitor:
            order.append(name)
            if change.sequence == 1000:
                monitor.close()

    async def main():
        tasks = [asyncio.create_task(consume(name)) for name in "AB"]
        await asyncio.sleep(0)  # both wait
        system.add_many([f"10.0.{i >> 8}.{i & 255}/32" for i in range(1000)])
        rnlab.wait_for(lambda: monitor.stats.queued == 1000)  # they have no turn
        await asyncio.gather(*tasks)

    run(main())
    runs = [(name, len(list(same))) for name, same in itertools.groupby(order)]

    assert ["A", "B"] == [name for name, _ in runs[:2]]
    assert 1 < runs[0][1] < 300
    assert all(length <= 64 for _, length in runs[1:])


def test_a_loop_that_is_closed_under_a_waiting_task(system, open_monitor):
    """Nothing is lost, nothing is in the way of the next loop."""
    monitor = open_monitor()
    loop = asyncio.new_event_loop()
    task = loop.create_task(monitor.aget())
    loop.run_until_complete(asyncio.sleep(0.01))
    loop.close()
    loop.set_exception_handler(lambda *_: None)  # "Task was destroyed": it was
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the same in other words
        del task
        gc.collect()
    system.add(NET)

    assert 1 == run(monitor.aget(20)).sequence


def test_two_loops_at_once_share_a_monitor(system, open_monitor):
    """In two threads: each change goes to one of them, close ends both."""
    monitor = open_monitor()
    got = [[], []]
    count = 300

    def consume(mine):
        async def main():
            async for change in monitor:
                mine.append(change.sequence)

        run(main())

    threads = [threading.Thread(target=consume, args=(mine,)) for mine in got]
    for thread in threads:
        thread.start()
    system.add_many([f"198.51.{i % 250}.{i // 250 * 64}/26" for i in range(count)])
    end = time.monotonic() + 20
    while sum(map(len, got)) < count and time.monotonic() < end:
        time.sleep(0.002)
    monitor.close()
    for thread in threads:
        thread.join(20)

    assert not any(thread.is_alive() for thread in threads)
    assert list(range(1, count + 1)) == sorted(itertools.chain(*got))
    assert all(mine == sorted(mine) for mine in got)


def test_collections_while_tasks_wait_change_nothing(system, open_monitor):
    """Nothing a wait needs is garbage."""
    monitor = open_monitor()

    async def main():
        task = asyncio.create_task(take(monitor, 12))
        for i in range(12):
            await asyncio.sleep(0)
            gc.collect()
            system.add(f"198.51.{i}.0/24")
        return await task

    assert list(range(1, 13)) == [change.sequence for change in run(main())]


def test_a_wait_that_is_dropped_leaves_no_reader(system, open_monitor):
    """A task that nobody holds any more is no longer waited for."""
    monitor = open_monitor()

    async def main():
        coroutine = monitor.aget()
        coroutine.send(None)  # as a task would, up to its wait
        coroutine.close()
        system.add(NET)
        return await monitor.aget(20)

    assert 1 == run(main()).sequence


CTRL_C = """
    import asyncio, os, signal, threading, routenotify

    async def main(monitor):
        threading.Timer(0.05, os.kill, [os.getpid(), signal.SIGINT]).start()
        try:
            async for change in monitor:
                pass
        finally:
            print("ended", flush=True)

    with routenotify.RouteMonitor() as monitor:
        asyncio.run(main(monitor))
"""


@pytest.mark.kernel
@pytest.mark.skipif(sys.platform == "win32", reason="a signal ends the process there")
def test_ctrl_c_ends_async_for():
    """As it ends everything that asyncio runs: by cancellation."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", textwrap.dedent(CTRL_C)],
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert "ended\n" == done.stdout
    assert done.stderr.rstrip().endswith("KeyboardInterrupt")
    assert "never" not in done.stderr
