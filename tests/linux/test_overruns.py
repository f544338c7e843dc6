"""The kernel's buffer overruns: what is told of it, and what is repaired.

The reader of the process under test is stopped meanwhile, so what overruns, and
with what, is certain.
"""

from __future__ import annotations

import contextlib
import socket
import textwrap
import threading

import pytest
import rnlab
from replaylab import rtnl_send
from rnstopped import Subject

import routenotify

pytestmark = pytest.mark.kernel

SENT = 3000

UP_TO_THE_END = """
    changes = [monitor.get(20)]
    while changes[-1].type.name != "RESYNC_END":
        changes.append(monitor.get(20))
    print(*(f"{c.type.name}/{c.cause}/{c.destination}" for c in changes))
    print(*(c.sequence for c in changes), flush=True)
"""


def told_before_overrun(netns, rcvbuf):
    """How many of 3000 changes a reader that slept finds, and that it goes on.

    The kernel's own count has exactly the others.
    """
    subject = Subject(
        netns,
        question="resync",
        options=f"rcvbuf={rcvbuf}, capacity=4096",
        then="print(sum(c.cause == 'system' for c in monitor.drain()),"
        " monitor.stats.kernel_drops, monitor.stats.overruns)",
    )
    with subject.stopped():
        netns.batch(
            f"route {verb} 20.{n >> 8}.{n & 255}.0/24 dev v0"
            for n in range(SENT // 2)
            for verb in ("add", "del")
        )
    subject.go()
    assert "answered" == subject.line()
    told, drops, overruns = map(int, subject.end())
    assert (SENT - told, 1) == (drops, overruns)
    return told


def test_resync_when_a_turn_reads_the_last_message_of_an_overrun(netns):
    """It had waited for ever, and so had the repair, for a look at an empty queue.

    A turn of the reader is 16 calls of up to 64 messages each, and the first of
    them is told of the overrun.
    """
    netns.veth("v0", "192.0.2.1/24")
    some = 400_000
    found = told_before_overrun(netns, some)

    exact = some * 928 // found
    assert 14 * 64 < told_before_overrun(netns, exact) <= 15 * 64


def test_overrun_is_repaired_in_place_between_its_markers(netns):
    """What was read comes first; then, as `resync`, each row that was lost."""
    netns.veth("v0", "192.0.2.1/24")
    wanted = [f"20.{n >> 8}.{n & 255}.0/24" for n in range(SENT)]
    subject = Subject(
        netns,
        question="resync",
        options="rcvbuf=65536, capacity=4096, markers=True",
        ask=textwrap.dedent(UP_TO_THE_END),
        then="print(monitor.stats.kernel_drops, monitor.stats.conflated)",
    )
    with subject.stopped():
        netns.batch(f"route add {one} dev v0" for one in wanted)
    subject.go()
    changes = subject.line().split()
    sequences = [int(word) for word in subject.line().split()]
    drops, conflated = map(int, subject.end())

    told = changes.index("RESYNC_BEGIN/resync/None")
    assert [f"ADD/system/{one}" for one in wanted[:told]] == changes[:told]
    assert {f"ADD/resync/{one}" for one in wanted[told:]} == set(changes[told + 1 : -1])
    assert "RESYNC_END/resync/None" == changes[-1]
    assert SENT + 2 == len(changes)
    assert (SENT - told, 0) == (drops, conflated)
    assert 0 < drops < SENT
    assert list(range(1, SENT + 3)) == sequences


LIKE_THE_SYSTEM = """
    import time
    end = time.monotonic() + 10
    while True:
        seen, real = ({(row.key, row.flags) for row in rows}
                      for rows in (monitor.snapshot(), routenotify.routes()))
        if seen == real or time.monotonic() > end:
            break
    print(len(seen ^ real), sum(flags & 16 for _, flags in seen), flush=True)
"""


def test_carrier_that_was_lost_in_an_overrun_and_comes_back(netns):
    """Its routes are whole again: of the loss itself no message was read.

    The monitor had believed that the carrier was there all the time, so its
    coming back changed nothing, and the flags of its IPv4 routes (linkdown: 16)
    stayed as the repair had found them.
    """
    other = netns.make_other()
    netns.veth("v0", "10.1.0.1/24", peer=other)
    netns.ip("route add 20.0.0.0/24 via 10.1.0.2 dev v0")
    subject = Subject(
        netns,
        question="resync",
        options="rcvbuf=4608",
        ask="ask(); sys.stdin.readline(); ask()",
        then=textwrap.dedent(LIKE_THE_SYSTEM),
    )
    netns.ip("link set v0 txqueuelen 900")  # so that the device is known
    subject.go()
    assert "answered" == subject.line()
    with subject.stopped():
        netns.batch(f"route add 21.0.{n}.0/24 dev lo" for n in range(200))
        other.ip("link set v0p down")
        rnlab.wait_for(
            lambda: "linkdown" in netns.ip("route show 20.0.0.0/24"), what="linkdown"
        )
    subject.go()
    assert "answered" == subject.line()
    other.ip("link set v0p up")
    rnlab.wait_for(
        lambda: "linkdown" not in netns.ip("route show 20.0.0.0/24"), what="carrier"
    )

    assert ["0", "0"] == subject.end()


@contextlib.contextmanager
def flapping(count):
    """Routes that come and go at the kernel's own speed during the block."""
    index = socket.if_nametoindex("v0")
    messages = [
        rtnl_send.message(verb, f"30.0.0.{n}", 32, interface_index=index)
        for verb in ("add", "del")
        for n in range(count)
    ]
    ended = threading.Event()

    def flap():
        with rtnl_send.Sender() as sender:
            while not ended.is_set():
                sender.send(messages)

    thread = threading.Thread(target=flap)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def code_of_resync(monitor):
    """0: it was answered."""
    try:
        monitor.resync()
    except routenotify.RouteNotifyError as error:
        return error.code
    return 0


@pytest.mark.timeout(240)
def test_resync_when_the_table_never_stands_still_then_it_gives_up(netns):
    """With code 1460, after a dozen comparisons; the monitor lives on.

    A dump of many routes lasts longer than each of a few stays as it is.
    """
    netns.veth("v0", "192.0.2.1/24")
    netns.batch(
        f"route add 20.{n >> 16}.{n >> 8 & 255}.{n & 255}/32 dev v0"
        for n in range(30_000)
    )
    with routenotify.RouteMonitor(rcvbuf=4608) as monitor:
        before = monitor.stats.resyncs
        with flapping(50):
            rnlab.wait_for(lambda: code_of_resync(monitor) == 1460, 120, "doubt")
        assert monitor.stats.resyncs >= before + 12

        rnlab.wait_for(lambda: code_of_resync(monitor) == 0, 20, "an answer")
        monitor.drain()
        netns.ip("route add 40.0.0.0/24 dev v0")
        assert "40.0.0.0/24" == str(monitor.get(20).destination)
        real = {row.key for row in routenotify.routes()}
        assert real == {row.key for row in monitor.snapshot()}
