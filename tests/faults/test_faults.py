"""Every allocation and every system call of the C files fails once, and more often.

What then has to hold: the caller is told which call failed, or nobody notices;
nothing is held that was not held before, nothing waits without an end; and what a
monitor delivers, the one that lived through it or the next one, is the exact table.

The sites are enumerated by the build itself (faults.h): one that no case made fail
fails the last test of this file.
"""

from __future__ import annotations

import contextlib
import errno
import faulthandler
import socket
import threading
import time
import typing
from collections.abc import Iterator
from pathlib import Path

import faultlab
import pytest
import rnlab
from replaylab import rtnl_send

import routenotify
from routenotify import _routenotify

pytestmark = pytest.mark.kernel

SECONDS = 30.0  # in which a turn of everything ends, whatever failed

# What the call may really fail with; the first is tried more often than once.
ERRORS = {
    "malloc": (errno.ENOMEM,),
    "socket": (errno.EMFILE, errno.ENOBUFS),
    "setns": (errno.EPERM,),
    "bind": (errno.ENOMEM,),
    "setsockopt": (errno.ENOMEM, errno.EPERM),
    "getsockopt": (errno.ENOPROTOOPT,),
    "getsockname": (errno.ENOBUFS,),
    "send": (errno.ENOBUFS,),
    "sendto": (errno.EPERM,),
    "recv": (errno.ENOMEM, errno.EINTR, errno.ENOBUFS),
    "recvfrom": (errno.ENOMEM, errno.EINTR, errno.EAGAIN),
    "recvmsg": (errno.ENOMEM, errno.EINTR, errno.EAGAIN),
    "recvmmsg": (errno.ENOBUFS, errno.EINTR, errno.ENOMEM),
    "poll": (errno.EINTR, errno.ENOMEM),
    "ppoll": (errno.EINTR, errno.ENOMEM),
    "eventfd": (errno.EMFILE,),
    "epoll_create1": (errno.EMFILE,),
    "epoll_ctl": (errno.ENOSPC,),
    "epoll_wait": (errno.EINTR,),
    "inotify_init1": (errno.EMFILE,),
    "inotify_add_watch": (errno.ENOSPC,),
    "syscall": (errno.EMFILE, errno.ENOSYS),
    "mmap": (errno.ENOMEM,),
    "stat": (errno.ENOENT,),
    "fstat": (errno.ENOMEM,),
    "open": (errno.EMFILE,),
    "read": (errno.EINTR, errno.EAGAIN),
    "write": (errno.EINTR,),
    "fcntl": (errno.EMFILE,),
    "if_indextoname": (errno.ENXIO,),
    "ioctl": (errno.ENODEV,),
    "pthread_create": (errno.EAGAIN,),
}
# How an error names the calls that have another name there.
NAMED = {
    "syscall": ("pidfd_open", "bpf"),
    "fstat": ("stat",),
    "recvfrom": ("recv",),
}

# A site that is reached only when another call, of the function that is named, has
# failed; and how many lines behind that it may stand.
BEHIND = {
    ("rn_linux_rcvbuf", "setsockopt"): ("setsockopt", errno.EPERM, range(-30, 0)),
    ("stat_own_namespace", "stat"): ("stat", errno.ENOENT, range(1, 12)),
    ("read_answer", "poll"): ("recvfrom", errno.EAGAIN, range(1, 12)),
    ("rn_wake_clear", "read"): ("read", errno.EAGAIN, range(1, 12)),
    ("copy_descriptor", "fcntl"): ("ioctl", errno.EPERM, range(1, 12)),
}
# Where the answers to a question are read, and where a dump is.
READ = ("rn_linux_request.c", "recvfrom")
DUMP = ("rn_linux_compare.c", "recvmsg")


class Place:
    """Two namespaces: routes change in the first; the second has names."""

    def __init__(self, here: rnlab.Namespace, folder: Path) -> None:
        self.here = here
        here.veth("v0", "10.1.0.1/24", "2001:db8::1/64")
        self.index = socket.if_nametoindex("v0")
        self._gateway = socket.inet_aton("10.1.0.2")
        self._sender = rtnl_send.Sender()
        self.other = here.make_other()
        self.holder = self.other.popen(["sleep", "600"])
        self.name = folder / "name"
        self.other.ip("route add 192.0.2.0/24 dev lo")

    def change(self, action: str, count: int, first: int = 0) -> None:
        """Make many changes at the kernel's own speed."""
        self._sender.send(
            rtnl_send.message(
                action,
                bytes((20, 0, at >> 8, at & 255)),
                32,
                gateway=self._gateway if action != "del" else None,
            )
            for at in range(first, first + count)
        )

    def storm(self) -> threading.Thread:
        """Have changes made while the caller goes on; join it."""

        def run() -> None:
            for action in ("replace", "del", "replace", "del"):
                self.change(action, 800, first=1000)

        with self.here.entered():  # a thread begins in its maker's namespace
            thread = threading.Thread(target=run)
            thread.start()
        return thread

    def give_name(self) -> None:
        """Have a name for the other namespace."""
        self.name.unlink(missing_ok=True)
        self.name.symlink_to(self.other.path)

    def close(self) -> None:
        """End what was begun."""
        self._sender.__exit__(None, None, None)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The same two namespaces for all cases."""
    before = rnlab.Namespace.current()
    here = rnlab.Namespace.make()
    made = Place(here, tmp_path_factory.mktemp("names"))
    try:
        yield made
    finally:
        made.close()
        rnlab.setns(before.fd)
        here.close()
        before.close()


class Told:
    """What a consumer knows that believes its monitor."""

    def __init__(self, monitor: routenotify.RouteMonitor, family: int = 0) -> None:
        self._monitor = monitor
        self._family = family
        self._rows: dict[typing.Any, routenotify.RouteChange] = {}

    def _believe(self, change: routenotify.RouteChange) -> None:
        if change.type == routenotify.ChangeType.RESYNC_BEGIN:
            if change.cause == "memory":
                self._rows.clear()
        elif change.type == routenotify.ChangeType.DELETE:
            self._rows.pop(change.key, None)
        elif change.destination is not None:
            self._rows[change.key] = change

    def settle(self) -> None:
        """Until the consumer knows the system's table."""
        end = time.monotonic() + 20
        wrong: set[typing.Any] = set()
        while time.monotonic() < end:
            for change in self._monitor.drain():
                self._believe(change)
            there = {route.key for route in routenotify.routes(family=self._family)}
            wrong = there ^ set(self._rows)
            if not wrong:
                return
            with contextlib.suppress(routenotify.WaitTimeout):
                self._believe(self._monitor.get(0.01))
        raise AssertionError(f"{len(wrong)} rows wrong: {sorted(wrong)[:5]}")


def watch(place: Place, ringbuf: bool | None = None) -> None:
    """A monitor of this namespace, from its first table to its last change."""
    with contextlib.ExitStack() as stack:
        monitor = stack.enter_context(
            routenotify.RouteMonitor(
                capacity=2,
                snapshot=True,
                initial_notification=True,
                markers=True,
                ringbuf=ringbuf,
            )
        )
        stack.enter_context(routenotify.RouteMonitor(rcvbuf=64 << 20))
        told = Told(monitor)
        told.settle()
        place.change("add", 600)
        told.settle()
        assert monitor.snapshot().sequence > 0
        place.here.ip("link set v0 txqueuelen 900 promisc on")
        place.here.ip("link set v0 promisc off")
        storm = place.storm()  # some of it while the system is compared with
        try:
            monitor.resync()
        finally:
            storm.join()
        told.settle()
        place.change("replace", 300)
        place.change("del", 600)
        told.settle()
        assert monitor.stats.queued == 0


def watch_queue(place: Place) -> None:
    """The same, with the messages in the socket's queue."""
    watch(place, ringbuf=False)


def insist(place: Place) -> None:
    """A monitor that fails rather than do without a BPF ring buffer."""
    with routenotify.RouteMonitor(ringbuf=rnlab.allows_ringbuf()) as monitor:
        place.change("add", 3, first=900)
        assert 3 == len({monitor.get(30).key for _ in range(3)})
        place.change("del", 3, first=900)


def watch_names(place: Place) -> None:
    """Monitors of a namespace that has a name, and of a process's."""
    place.give_name()
    with (
        routenotify.RouteMonitor(netns=place.name, snapshot=True) as named,
        routenotify.RouteMonitor(netns=place.holder.pid, snapshot=True) as held,
    ):
        first = named.get(30)
        assert first.interface in ("lo", None)
        assert held.get(30).complete().interface_index == 1
        place.name.with_name("else").symlink_to("/nowhere")
        place.name.with_name("else").unlink()
        place.name.unlink()
        try:
            while True:  # the name is gone: somebody notices
                named.get(20)
        except routenotify.MonitorClosed as error:
            if "the network namespace was removed" not in error.call:
                raise


def watch_some(place: Place) -> None:
    """A monitor that wants few of the changes, asked of the kernel and of C."""
    wanted = routenotify.RouteFilter(
        destinations="20.0.0.0/16", more_specific=True, tables=[253, 254]
    ) & routenotify.RouteFilter(interfaces="v0")
    with routenotify.RouteMonitor(filter=wanted, capacity=64) as monitor:
        place.change("add", 5)
        place.change("add", 5, first=300)
        heard = [monitor.get(30) for _ in range(5)]
        assert 5 == len({change.key for change in heard})
        place.change("del", 305)


def wait(place: Place) -> None:
    """What a thread and a loop wait for."""
    with routenotify.RouteMonitor(capacity=4096) as monitor:
        for turn in range(4):
            monitor.fileno()
            place.change("add", 3, first=700)
            for _ in range(3):
                monitor.get(30)
            place.change("del", 3, first=700)
            assert 3 == sum(len(monitor.batch(1, 5)) for _ in range(3)), turn
            with contextlib.suppress(routenotify.WaitTimeout):
                raise AssertionError(monitor.get(0.001))


def ask(place: Place) -> None:
    """The questions that need no monitor."""
    place.give_name()
    assert len(routenotify.routes()) > 3
    assert routenotify.routes(netns=place.name)[0].interface in ("lo", None)
    assert 1 == _routenotify.interface_index("lo", netns_fd=place.other.fd)
    best = routenotify.best_route("10.1.0.9", source="10.1.0.1", interface="v0")
    assert place.index == best.interface_index
    assert best.interface in ("v0", None)
    assert best.complete().key == best.key
    with routenotify.RouteMonitor(snapshot=True) as monitor:
        batch = monitor.batch(None, 5)
        place.change("add", 3, first=800)
        for early in monitor.batches(debounce=0.001):
            assert len(early) > 0
            break
        place.change("del", 3, first=800)
    capsules = [batch.__arrow_c_schema__(), *batch.__arrow_c_array__()]
    capsules.append(batch.__arrow_c_stream__())
    assert len(capsules) == 4
    tally = _routenotify.Tally(limit=1000)
    tally.add(memoryview(batch).cast("B"))
    assert tally.destinations > 0


def compare(place: Place) -> None:
    """Routes go while a dump that has them waits to be read: they do not come back."""
    (dump,) = (one for one in SITES if (one.file, one.call) == DUMP)
    place.change("add", 600)
    with routenotify.RouteMonitor(family=socket.AF_INET, snapshot=True) as monitor:
        Told(monitor, socket.AF_INET).settle()
        monitor.resync()  # of both families; IPv4 is the next again
        failed, received = dump.failed, monitor.stats.received
        # The answer to the barrier is read, what the dump began with is not.
        dump.arm(errno.EAGAIN, after=1, times=1 << 30)
        thread = threading.Thread(target=monitor.resync)
        thread.start()
        try:
            rnlab.wait_for(lambda: dump.failed > failed, deadline=20)
            place.change("del", 600)
            rnlab.wait_for(
                lambda: monitor.stats.received >= received + 600, deadline=20
            )
        finally:
            dump.disarm()
            thread.join()
        changes = monitor.drain()
        assert 600 == len(changes)
        assert {routenotify.ChangeType.DELETE} == {change.type for change in changes}


SCENES = (watch, watch_queue, insist, watch_some, watch_names, wait, ask)
SITES = [
    site
    for site in (faultlab.sites() if faultlab.can_fail() else [])
    if rnlab.allows_ringbuf() or not site.file.startswith("rn_linux_ringbuf")
]
HAPPENED: set[tuple[str, int]] = set()
"""Sites, and the errors that they have failed with."""


class Reached(typing.NamedTuple):
    """Which scenes come by which sites when nothing fails."""

    scenes: dict[int, list[typing.Callable[[Place], None]]]


def give_back() -> faultlab.Held:
    """What is held once the threads that end have ended."""
    before = faultlab.held()
    with contextlib.suppress(AssertionError):
        rnlab.wait_for(lambda: rnlab.threads() == 1, deadline=10)
        return faultlab.held()
    return before


@pytest.fixture(scope="module")
def reached(place: Place) -> Reached:
    """A turn of everything without a fault, which also warms up."""
    scenes: dict[int, list[typing.Callable[[Place], None]]] = {}
    for scene in SCENES:
        scene(place)
        before = [site.reached for site in SITES]
        scene(place)
        for at, site in enumerate(SITES):
            known = scenes.setdefault(at, [])
            # What both ways of the messages share fails in one of them.
            told = scene is watch_queue and watch in known
            if site.reached > before[at] and not told:
                known.append(scene)
    return Reached(scenes)


def attempt(
    scene: typing.Callable[[Place], None], place: Place
) -> routenotify.RouteNotifyError | MemoryError | None:
    """Play a scene; what it was told, or None: nobody noticed."""
    faulthandler.dump_traceback_later(2 * SECONDS, exit=True)
    place.change("del", 2000)  # what a scene left that did not end
    try:
        scene(place)
    except (routenotify.RouteNotifyError, MemoryError) as error:
        return error.with_traceback(None)
    finally:
        for site in SITES:
            site.disarm()
        faulthandler.cancel_dump_traceback_later()
    return None


def check_error(site: faultlab.Site, number: int, error: BaseException | None) -> None:
    """It names the call that failed, and is no interruption."""
    if error is None:
        return
    assert number != errno.EINTR, f"{site}: an interruption is nobody's business"
    names = NAMED.get(site.call, (site.call,))
    if isinstance(error, routenotify.RouteNotifyError):
        named = any(name in error.call for name in names)
        assert named, f"{site} failed, but the error names {error!r}"
        assert error.errno == number
    else:
        assert site.call == "malloc", f"{site} failed: {error!r}"


def behind(site: faultlab.Site) -> Iterator[tuple[faultlab.Site, int]]:
    """The call before it that has to fail, too."""
    for (function, call), (other, number, lines) in BEHIND.items():
        for first in SITES:
            if (
                (first.function, first.call) == (function, other)
                and site.call == call
                and site.file == first.file
                and site.line - first.line in lines
            ):
                yield first, number


def fail_in(
    scene: typing.Callable[[Place], None], site: faultlab.Site, place: Place
) -> None:
    """Fail in every way the call has, early and later, once and more often."""
    ways = [(number, 0, 1) for number in ERRORS[site.call]]
    ways.append((ERRORS[site.call][0], 1, 3))
    for number, after, times in ways:
        before = give_back()
        failed = site.failed
        for first, other in behind(site):
            first.arm(other, 0, 50)
        site.arm(number, after, times)
        error = attempt(scene, place)
        if site.failed == failed:
            continue  # the last test of this file tells
        HAPPENED.add((str(site), number))
        print(f"{site}: {errno.errorcode[number]} x{site.failed - failed}: {error!r}")
        check_error(site, number, error)
        assert before == give_back(), f"{site}: {errno.errorcode[number]}"
        assert attempt(watch, place) is None  # whoever comes next has it all


@pytest.mark.timeout(600)
@pytest.mark.parametrize("at", range(len(SITES)), ids=lambda at: str(SITES[at]))
def test_call_when_it_fails_then_it_is_told_or_repaired(at, place, reached):
    """Nothing leaks, nothing hangs, and the table is exact."""
    site = SITES[at]
    # News touch a table that is compared with: in the other scenes by chance alone.
    amid = [compare] if site.file == "rn_compare.c" else None
    for scene in amid or reached.scenes[at] or SCENES:
        fail_in(scene, site, place)


def test_table_when_a_later_part_cannot_be_read_then_none_is_returned(place):
    """What had come before was returned as if it were the whole table."""
    (site,) = (one for one in SITES if (one.file, one.call) == READ)
    place.change("add", 2000)
    for after in range(4):
        site.arm(errno.ENOMEM, after)
        failed = site.failed
        try:
            with pytest.raises(routenotify.RouteNotifyError, match="recv"):
                routenotify.routes()
        finally:
            site.disarm()
        assert failed + 1 == site.failed
    place.change("del", 2000)


def test_every_site_has_failed(place, reached):
    """No allocation and no system call is there that was never made to fail."""
    for site in SITES:
        print(f"{site}: reached {site.reached}, failed {site.failed}")

    assert len(SITES) > 40
    assert [] == [str(site) for site in SITES if not site.failed]


def test_every_error_has_happened(place, reached):
    """No error is listed for a call that was never made to fail with it."""
    wanted = {(str(site), number) for site in SITES for number in ERRORS[site.call]}

    assert [] == sorted(
        f"{site}: {errno.errorcode[number]}" for site, number in wanted - HAPPENED
    )
