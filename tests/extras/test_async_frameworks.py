"""`async for`, `aget` and `fileno()` under what is not asyncio's own loop.

uvloop, trio, anyio on both of its back ends, trio as a guest of asyncio, gevent.
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import textwrap
import warnings

import pytest

from routenotify import MonitorClosed, RouteMonitor, WaitTimeout

anyio = pytest.importorskip("anyio")
trio = pytest.importorskip("trio")
uvloop = pytest.importorskip("uvloop")

pytestmark = pytest.mark.kernel


def on_asyncio(function, *arguments):
    """Run it as asyncio does."""
    return asyncio.run(function(*arguments))


def on_uvloop(function, *arguments):
    """Run it on uvloop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(function(*arguments))


def on_anyio_asyncio(function, *arguments):
    """Run it under anyio, which runs asyncio."""
    return anyio.run(function, *arguments)


def on_anyio_trio(function, *arguments):
    """Run it under anyio, which runs trio."""
    return anyio.run(function, *arguments, backend="trio")


def on_anyio_uvloop(function, *arguments):
    """Run it under anyio, which runs uvloop."""
    return anyio.run(function, *arguments, backend_options={"use_uvloop": True})


def as_a_guest(function, *arguments):
    """Run it under trio, which is driven by an asyncio loop."""

    async def host():
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        trio.lowlevel.start_guest_run(
            function,
            *arguments,
            run_sync_soon_threadsafe=loop.call_soon_threadsafe,
            done_callback=done.set_result,
        )
        return (await done).unwrap()

    return asyncio.run(host())


FRAMEWORKS = [
    on_asyncio,
    on_uvloop,
    trio.run,
    as_a_guest,
    on_anyio_asyncio,
    on_anyio_trio,
    on_anyio_uvloop,
]
# anyio's own words run under asyncio and trio too: they ask who runs them.
every = pytest.mark.parametrize(
    "under", FRAMEWORKS, ids=lambda one: f"{one.__module__}.{one.__name__}"
)


@pytest.fixture
def system(netns):
    """A namespace with a link."""
    netns.veth("v0", "192.0.2.1/24")
    return netns


@pytest.fixture
def monitor(system):
    """A monitor of it."""
    with RouteMonitor() as monitor:
        yield monitor


def add(system, count, first=0):
    """Add routes at full speed."""
    nets = range(first, first + count)
    system.batch(f"route add 10.{i // 250}.{i % 250}.0/24 dev v0" for i in nets)


@every
def test_async_for_when_routes_change_then_each_comes_once(under, system, monitor):
    """To one of several tasks; close() ends them."""

    async def consume(got):
        async for change in monitor:
            got.append(change.sequence)
            if len(got) == 500:
                monitor.close()

    async def main():
        got = []
        with anyio.fail_after(30):
            async with anyio.create_task_group() as group:
                for _ in range(4):
                    group.start_soon(consume, got)
                await anyio.sleep(0.01)
                await anyio.to_thread.run_sync(add, system, 500)
        return got

    assert list(range(1, 501)) == sorted(under(main))


@every
def test_aget_when_nothing_comes_then_its_time_passes(under, monitor):
    """And what comes in time is given."""

    async def main():
        for timeout in (0, 0.01):
            with pytest.raises(WaitTimeout, match="aget"):
                await monitor.aget(timeout)

    under(main)


@every
def test_aget_when_closed_then_every_task_is_told(under, monitor):
    """Promptly, whoever closes."""

    async def wait(errors):
        try:
            await monitor.aget()
        except MonitorClosed as error:
            errors.append(error.call)

    async def main():
        errors = []
        with anyio.fail_after(30):
            async with anyio.create_task_group() as group:
                for _ in range(5):
                    group.start_soon(wait, errors)
                await anyio.sleep(0.01)
                await anyio.to_thread.run_sync(monitor.close)
        return errors

    assert ["aget"] * 5 == under(main)


@every
def test_aget_when_cancelled_in_a_storm_then_nothing_is_lost(under, system, monitor):
    """A thousand cancellations, most of them in a wait."""
    seed = int(os.environ.get("ROUTENOTIFY_TEST_SEED") or random.randrange(2**32))
    print(f"ROUTENOTIFY_TEST_SEED={seed}")
    chance = random.Random(seed)
    got = []

    async def one():
        got.append((await monitor.aget()).sequence)

    async def cancelled_soon():
        with anyio.move_on_after(chance.choice([0, 0, 0.0001, 0.001])) as scope:
            await one()
        return scope.cancelled_caught

    async def feed():
        for first in range(0, 1000, 50):
            await anyio.to_thread.run_sync(add, system, 50, first)
            await anyio.sleep(0.005)

    async def main():
        with anyio.fail_after(60):
            async with anyio.create_task_group() as group:
                group.start_soon(feed)
                cancelled = 0
                while cancelled < 1000:
                    cancelled += await cancelled_soon()
                    await anyio.sleep(0)
            while len(got) < 1000:
                await one()

    under(main)

    assert list(range(1, 1001)) == got


def test_a_uvloop_that_is_closed_under_a_waiting_task(system, monitor):
    """The next loop finds nothing in its way."""
    loop = uvloop.new_event_loop()
    loop.set_exception_handler(lambda *_: None)
    task = loop.create_task(monitor.aget())
    loop.run_until_complete(asyncio.sleep(0.01))
    loop.close()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        del task
    add(system, 1)

    assert 1 == on_uvloop(monitor.aget, 20).sequence


def test_a_loop_and_trio_at_once_share_a_monitor(system, monitor):
    """Trio is loaded, and still asyncio waits in its own loop."""

    async def beside(got):
        async for change in monitor:
            got.append(change.sequence)

    async def main():
        got = []
        thread = asyncio.create_task(asyncio.to_thread(trio.run, beside, got))
        task = asyncio.create_task(beside(got))
        await asyncio.to_thread(add, system, 200)
        while len(got) < 200:  # noqa: ASYNC110 - two frameworks share no event
            await asyncio.sleep(0.002)
        monitor.close()
        await asyncio.gather(thread, task)
        return got

    assert list(range(1, 201)) == sorted(asyncio.run(main()))


GEVENT = """
    from gevent import monkey; monkey.patch_all()
    import gevent, gevent.select, socket, sys
    from gevent.socket import wait_read
    import routenotify

    turns = 0

    def other():
        global turns
        while True:
            turns += 1
            gevent.sleep(0.001)

    spinner = gevent.spawn(other)
    with routenotify.RouteMonitor() as monitor:
        print("ready", flush=True)
        got = []
        while len(got) < 100:
            if len(got) % 2:
                wait_read(monitor.fileno(), timeout=20)
            else:
                assert gevent.select.select([monitor], [], [], 20)[0]
            before = turns
            got += monitor.drain(7)
        gevent.sleep(0.01)
        assert got and not gevent.select.select([monitor], [], [], 0)[0]
    print(turns > 5, [c.sequence for c in got] == list(range(1, 101)))
"""


def test_gevent_when_monkey_patched_then_fileno_serves(system):
    """A greenlet waits for it; the others go on."""
    pytest.importorskip("gevent")
    process = system.popen(
        [sys.executable, "-P", "-c", textwrap.dedent(GEVENT)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    assert "ready\n" == process.stdout.readline()
    add(system, 100)

    assert "True True\n" == process.stdout.readline()
    assert 0 == process.wait(20)
