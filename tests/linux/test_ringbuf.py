"""Changes that the kernel hands over in a BPF ring buffer: when, and what of it."""

from __future__ import annotations

import collections
import ipaddress
import os
import sys
import textwrap

import pytest
import rnlab
from replaylab import rtnl_send
from rnstopped import Subject

import routenotify

pytestmark = pytest.mark.kernel

needs_permission = pytest.mark.skipif(
    not rnlab.allows_ringbuf(), reason="needs root and Linux 5.12"
)

SMALLEST = 256 << 10
RECORD = 128  # bytes of it that a small route takes


# When it is used -------------------------------------------------------------


@needs_permission
def test_it_is_used_where_it_may_be(netns):
    """Unasked, with the default buffer."""
    with routenotify.RouteMonitor() as monitor:
        assert 8 << 20 == monitor.stats.ringbuf


@needs_permission
@pytest.mark.parametrize(
    "options",
    [
        {"ringbuf": False},
        {"rcvbuf": (1 << 20) - 1},
        {"filter": routenotify.RouteFilter(tables=[77])},
    ],
    ids=["refused", "small buffer", "filter"],
)
def test_it_is_not_used(netns, options):
    """A filter is better off in the kernel; a small buffer is to be one."""
    with routenotify.RouteMonitor(**options) as monitor:
        assert 0 == monitor.stats.ringbuf


@needs_permission
@pytest.mark.parametrize(
    ("rcvbuf", "size"),
    [(1, SMALLEST), (1 << 20, 512 << 10), (3 << 20, 2 << 20), (1 << 30, 64 << 20)],
)
def test_size_is_half_of_rcvbuf_and_a_power_of_two(netns, rcvbuf, size):
    """From what holds the largest message up to what nobody needs more of."""
    with routenotify.RouteMonitor(ringbuf=True, rcvbuf=rcvbuf) as monitor:
        assert size == monitor.stats.ringbuf


@needs_permission
def test_monitors_share_what_the_first_got_unless_they_ask(netns):
    """Two readers at most, one of either kind."""
    with (
        routenotify.RouteMonitor(ringbuf=False) as queued,
        routenotify.RouteMonitor() as like_it,
        routenotify.RouteMonitor(ringbuf=True, rcvbuf=1 << 20) as other,
        routenotify.RouteMonitor(ringbuf=True) as like_the_other,
    ):
        monitors = (queued, like_it, other, like_the_other)
        assert [0, 0, 1 << 19, 1 << 19] == [m.stats.ringbuf for m in monitors]

        netns.veth("v0", "192.0.2.1/24")
        netns.ip("route add 20.0.0.0/24 dev v0")
        for monitor in monitors:
            seen = [monitor.get(30)]
            while str(seen[-1].destination) != "20.0.0.0/24":
                seen.append(monitor.get(30))


@pytest.mark.parametrize("wrong", [1, 0, "yes", 8 << 20], ids=repr)
def test_wrong_type_is_named(netns, wrong):
    """An int is a size, which this is not."""
    with pytest.raises(TypeError, match=rf"RouteMonitor\(ringbuf={wrong!r}\): True"):
        routenotify.RouteMonitor(ringbuf=wrong)


# When it may not be ----------------------------------------------------------

OPEN = """
    import errno, os, struct
    import routenotify

    {before}
    with routenotify.RouteMonitor() as monitor:
        print(monitor.stats.ringbuf)
    try:
        {asked}
    except routenotify.RouteNotifyError as error:
        print(type(error).__name__, errno.errorcode[error.errno], error)
"""
ASK = "routenotify.RouteMonitor(ringbuf=True)"


def opened(before, asked=ASK):
    """What a process prints that did something before it opened a monitor."""
    before = textwrap.indent(textwrap.dedent(before).strip(), "    ").strip()
    script = textwrap.dedent(OPEN.format(before=before, asked=asked))
    done = rnlab.run_bounded([sys.executable, "-P", "-c", script], 30)
    assert (0, "") == (done.returncode, done.stderr)
    return done.stdout.splitlines()


DROP = """
    os.setgroups([]); os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
"""


@needs_permission
def test_without_privileges_the_queue_is_used_and_asking_fails(netns):
    """The error names the call."""
    size, refused = opened(DROP)

    assert "0" == size
    assert refused.startswith("AccessDenied EPERM bpf(BPF_MAP_CREATE")


# Kills a process that calls bpf(2); everything else is allowed.
SECCOMP = """
    import ctypes
    allow, kill = 0x7fff0000, 0x80000000
    number = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
    rules = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, kill),
             (0x06, 0, 0, allow)]
    code = ctypes.create_string_buffer(
        b"".join(struct.pack("=HBBI", *rule) for rule in rules))
    class Program(ctypes.Structure):
        _fields_ = [("count", ctypes.c_ushort), ("code", ctypes.c_void_p)]
    program = Program(len(rules), ctypes.addressof(code))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    assert prctl(38, 1, 0, 0, 0) == 0
    assert prctl(22, 2, ctypes.byref(program), 0, 0) == 0
"""


@needs_permission
@pytest.mark.skipif(
    os.uname().machine not in ("x86_64", "aarch64"), reason="knows two numbers of bpf"
)
def test_where_calls_are_filtered_it_is_not_tried_unasked(netns):
    """Many a service may not call bpf(2), and would be killed for it."""
    pytest.importorskip("_ctypes", reason="prctl(2) is called by ctypes")
    assert ["0"] == opened(SECCOMP, "pass")

    with pytest.raises(AssertionError, match="-31"):  # SIGSYS: the filter works
        opened(SECCOMP)


# What comes that way ---------------------------------------------------------


@needs_permission
def test_messages_of_every_size_come_whole(netns):
    """A route of so many hops is one message: past the end of each size of record."""
    netns.veth("v0", "2001:db8::1/64")
    index = netns.links()["v0"]["ifindex"]
    first = ipaddress.ip_address("2001:db8::10")
    counts = [*range(1, 60), *range(280, 300), 1000]
    wanted = {f"fd00:{n:x}::/32": count for n, count in enumerate(counts, 1)}
    with (
        routenotify.RouteMonitor(ringbuf=True, capacity=1 << 15) as monitor,
        rtnl_send.Sender() as sender,
    ):
        for destination, count in wanted.items():
            hops = [(first + at).packed for at in range(count)]
            add = rtnl_send.message(
                *("add", destination.split("/")[0], 32),
                family=6,
                hops=hops,
                interface_index=index,
            )
            assert 0 == sender.send([add])
        found = collections.Counter()
        while found != wanted:
            text = str(monitor.get(30).destination)
            if text in wanted:
                found[text] += 1

        assert 0 == monitor.stats.malformed


# What found no room ----------------------------------------------------------


UNTIL_ALL_ARE_SEEN = """
    seen = set()
    while len(seen) < COUNT:
        seen.add(str(monitor.get(20).destination))
    print(*sorted(seen), flush=True)
"""


@needs_permission
@pytest.mark.parametrize("more", [0, 1, 500], ids=["just full", "one more", "many"])
def test_overrun_is_repaired_also_when_a_turn_of_the_reader_ends_with_it(netns, more):
    """The reader slept for ever on a ring that took nothing more.

    A full one holds as many small records as two turns of the reader take, less
    one: both end before anybody looked whether anything had been lost.
    """
    netns.veth("v0", "192.0.2.1/24")
    room = SMALLEST // RECORD - 1
    wanted = [f"20.{n >> 8}.{n & 255}.0/24" for n in range(room + more)]
    subject = Subject(
        netns,
        question="resync",
        options="rcvbuf=1, ringbuf=True, capacity=16384",
        ask=textwrap.dedent(UNTIL_ALL_ARE_SEEN).replace("COUNT", str(len(wanted))),
        then="s = monitor.stats; print(s.overruns, s.kernel_drops, s.ringbuf)",
    )
    with subject.stopped():
        netns.batch(f"route add {one} dev v0" for one in wanted)
    subject.go()

    assert sorted(wanted) == subject.line().split()
    assert [int(more > 0), more, SMALLEST] == [int(word) for word in subject.end()]


@needs_permission
def test_ring_goes_with_its_monitor(netns):
    """Neither descriptor nor mapping stays."""

    def held():
        with open("/proc/self/maps") as maps:
            return len(os.listdir("/proc/self/fd")), maps.read().count("bpf")

    before = held()
    with routenotify.RouteMonitor(ringbuf=True):
        assert before[1] < held()[1]
    assert before == held()


@needs_permission
def test_child_of_a_fork_has_no_part_of_the_ring(netns):
    """It would keep the memory of a monitor that was closed."""
    with routenotify.RouteMonitor(ringbuf=True):
        child = os.fork()
        if child == 0:
            with open("/proc/self/maps") as maps:
                mapped = "bpf" in maps.read()
            open_ones = {
                os.readlink(f"/proc/self/fd/{name}")
                for name in os.listdir("/proc/self/fd")
                if os.path.islink(f"/proc/self/fd/{name}")
            }
            os._exit(1 if mapped or any("bpf" in one for one in open_ones) else 0)
        assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
