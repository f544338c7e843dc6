"""What .github/SECURITY.md promises, tried from the side of who would break it."""

from __future__ import annotations

import os
import re
import socket
import struct
from pathlib import Path

import pytest
from rnlab import wait_for

import routenotify

pytestmark = pytest.mark.kernel

NOBODY = 65534


def _event_port() -> int:
    """The netlink port of this process's event socket: the one with groups."""
    own = {
        os.readlink(f"/proc/self/fd/{name}")
        for name in os.listdir("/proc/self/fd")
        if os.path.islink(f"/proc/self/fd/{name}")
    }
    for line in Path("/proc/self/net/netlink").read_text().splitlines()[1:]:
        words = line.split()
        if f"socket:[{words[9]}]" in own and words[1] == "0" and int(words[3], 16):
            return int(words[2])
    raise AssertionError("no event socket")


def _forged(destination: str) -> bytes:
    """An RTM_NEWROUTE as the kernel would send it."""
    attribute = struct.pack("=HH4s", 8, 1, socket.inet_aton(destination))
    body = struct.pack("=BBBBBBBBI", 2, 32, 0, 0, 254, 3, 253, 1, 0) + attribute
    return struct.pack("=IHHII", 16 + len(body), 24, 0x600, 0, 0) + body


@pytest.mark.parametrize("ringbuf", [None, False], ids=["ring if allowed", "queue"])
def test_message_when_not_the_kernels_then_it_is_dropped_and_counted(netns, ringbuf):
    """Anybody may send to a netlink socket; nobody but the kernel is believed."""
    netns.veth("v0", "10.1.0.1/24")
    with (
        routenotify.RouteMonitor(ringbuf=ringbuf) as monitor,
        socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE
        ) as forger,
    ):
        forger.bind((0, 0))
        forger.sendto(_forged("66.6.6.6"), (_event_port(), 0))
        wait_for(lambda: monitor.stats.foreign == 1, what="the foreign message")
        netns.ip("route add 10.2.0.0/16 dev v0")

        assert "10.2.0.0/16" == str(monitor.get(30).destination)
        assert monitor.poll() is None
        assert 0 == monitor.stats.malformed
        assert "66.6.6.6" not in {str(r.destination) for r in monitor.snapshot()}


def _is_root_of_the_machine() -> bool:
    return Path("/proc/self/uid_map").read_text().split()[1:3] == ["0", "4294967295"]


def test_watching_needs_no_privilege(netns):
    """User 65534 without a capability gets the table, the stream and the routes."""
    if not _is_root_of_the_machine():
        pytest.skip("run without root, where every other test shows it")
    netns.veth("v0", "10.1.0.1/24")
    ready, told = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            held = re.search(r"CapEff:\s*(\w+)", Path("/proc/self/status").read_text())
            with routenotify.RouteMonitor(snapshot=True, markers=True) as monitor:
                os.write(told, b"!")
                got = set()
                while "10.2.0.0/16" not in got:
                    got.add(str(monitor.get(10).destination))
                monitor.resync()
                keys = {route.key for route in routenotify.routes()}
                fine = keys == {row.key for row in monitor.snapshot()}
                fine = fine and held is not None and int(held[1], 16) == 0
                status = 0 if fine and monitor.stats.rcvbuf > 0 else 2
        finally:
            os._exit(status)
    os.close(told)
    assert b"!" == os.read(ready, 1), "the child is gone"
    netns.ip("route add 10.2.0.0/16 dev v0")

    assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    os.close(ready)


def test_buffer_when_privileges_are_dropped_then_it_stays_as_large(netns):
    """A later monitor that asks for more does not cut it to what it may have."""
    if not _is_root_of_the_machine():
        pytest.skip("needs a privilege to drop")
    child = os.fork()
    if child == 0:
        status = 1
        try:
            with routenotify.RouteMonitor(rcvbuf=24 << 20) as first:
                before = first.stats.rcvbuf
                os.setgroups([])
                os.setresgid(NOBODY, NOBODY, NOBODY)
                os.setresuid(NOBODY, NOBODY, NOBODY)
                with routenotify.RouteMonitor(rcvbuf=64 << 20) as second:
                    after = first.stats.rcvbuf, second.stats.rcvbuf
            status = 0 if after == (before, before) and before >= 24 << 20 else 2
        finally:
            os._exit(status)

    assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_netns_opens_no_more_than_the_caller_may(netns):
    """`netns=` is an open() and a setns() of the caller's: no privilege is lent."""
    if not _is_root_of_the_machine():
        pytest.skip("needs two users")
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            try:
                routenotify.RouteMonitor(netns=1)
            except routenotify.AccessDenied as error:
                status = 0 if "netns=1" in str(error) else 3
        finally:
            os._exit(status)

    assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_nothing_is_setuid():
    """Neither what is installed nor what it starts has privileges of its own."""
    folder = Path(routenotify.__file__).parent

    assert [] == [p for p in folder.rglob("*") if p.stat().st_mode & 0o6000]
