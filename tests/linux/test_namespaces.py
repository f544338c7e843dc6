"""Other network namespaces: what `netns=` leaves alone, and who may use it.

The last tests show what the kernel does for a socket that listens to all
namespaces at once, and why no exact monitor can be made of it (docs/namespaces.md).
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import subprocess
import sys
import textwrap
import threading
import timeit

import pytest
import rnlab

import routenotify

pytestmark = pytest.mark.kernel

SOL_NETLINK = 270
NETLINK_LISTEN_ALL_NSID = 8
GROUPS = 0x1 | 0x40  # RTMGRP_LINK, RTMGRP_IPV4_ROUTE
RTM_NEWLINK, RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 16, 24, 25, 26


def here():
    """The namespace that the calling thread is in."""
    return os.stat(rnlab.NAMESPACE).st_ino


def of_all_threads():
    """The namespaces of the process's threads that do not end just now."""
    found = set()
    for task in os.listdir("/proc/self/task"):
        with contextlib.suppress(FileNotFoundError):
            found.add(os.stat(f"/proc/self/task/{task}/ns/net").st_ino)
    return found


@pytest.mark.parametrize(
    "which",
    ["/proc/self/ns/uts", "/proc/self/status", "/dev/null", "nonesuch", "/nonesuch"],
)
def test_netns_when_it_is_none_then_nobody_is_moved(netns, which):
    """The error names it; no thread is elsewhere afterwards, no descriptor is left."""
    before = here(), len(os.listdir("/proc/self/fd"))
    for call in (routenotify.RouteMonitor, routenotify.routes):
        with pytest.raises(
            routenotify.RouteNotifyError,
            match=f"{call.__name__}: netns='{which}'",
        ):
            call(netns=which)

    assert before == (here(), len(os.listdir("/proc/self/fd")))


def test_netns_when_used_from_many_threads_then_each_stays_where_it_is(netns):
    """Entering is the errand of a thread of its own, which ends with it."""
    other = netns.make_other()
    homes = [here()]
    wrong = []

    def work():
        mine = here()
        for _ in range(20):
            with routenotify.RouteMonitor(netns=other.path) as monitor:
                other_routes = {str(row.destination) for row in monitor.snapshot()}
            if here() != mine or "127.0.0.0/8" not in other_routes:
                wrong.append((here(), other_routes))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert [] == wrong
    assert {here()} == set(homes)
    rnlab.wait_for(  # a thread that was joined is still listed for a moment
        lambda: of_all_threads() == {here()}, what="all threads are at home"
    )


def test_netns_when_the_thread_has_left_the_process_then_rows_stay_there(netns):
    """A row asked the namespace of whoever read it, and got another one's name."""
    netns.veth("here0")
    found = []

    def elsewhere():
        other = rnlab.Namespace.make()
        other.veth("there0", "10.1.0.1/24")
        with routenotify.RouteMonitor(snapshot=True) as monitor:
            found.extend(monitor.drain())
            found.extend(monitor.snapshot())
            found.extend(routenotify.routes())
        found.append(routenotify.best_route("10.1.0.2"))
        other.close()

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join(60)
    rows = [row for row in found if str(row.destination) == "10.1.0.0/24"]

    assert 4 == len(rows)
    assert {"there0"} == {row.interface for row in rows}
    assert {"there0"} == {row.complete().interface for row in rows}


def without(capabilities, script, *arguments, inside=()):
    """Run a script that may not do what setpriv's list of capabilities allows."""
    return subprocess.run(
        [
            *("setpriv", f"--bounding-set={capabilities}", "--inh-caps=-all", "--"),
            *inside,
            *(sys.executable, "-P", "-c", textwrap.dedent(script), *arguments),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def test_netns_when_it_is_ones_own_then_no_privilege_is_needed(netns):
    """setns() into the namespace that one is in was refused."""
    script = """
        import os, routenotify
        routenotify.RouteMonitor(netns="/proc/self/ns/net").close()
        print(len(routenotify.routes(netns=os.getpid())))
    """

    done = without("-all", script)

    assert "" == done.stderr
    assert len(routenotify.routes()) == int(done.stdout)


UNPRIVILEGED = """
    import os, subprocess, sys, routenotify
    inner = subprocess.Popen(["unshare", "--net", "sh", "-c",
                              "echo made; read go; ip link set lo up; read go"],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    inner.stdout.readline()
    with routenotify.RouteMonitor(netns=inner.pid) as monitor:
        inner.stdin.write(b"go\\n")
        inner.stdin.flush()
        print(monitor.get(10).destination.version)
    inner.communicate()
"""


def test_names_when_of_another_namespace_then_each_is_one_question(netns):
    """Asked afresh, for it can change; once each was a thread and a socket more.

    That made a name ten times as dear as one of the caller's own namespace.
    """
    other = netns.make_other()
    other.ip("link add v0 type veth peer name v1")
    other.ip("route add 192.0.2.0/24 dev lo")
    (far,) = (r for r in routenotify.routes(netns=other.path) if r.table == 254)
    (near,) = (r for r in routenotify.routes() if str(r.destination) == "127.0.0.0/8")

    def cost(route):
        return min(timeit.repeat(lambda: route.interface, number=200, repeat=9))

    assert "lo" == far.interface == near.interface
    assert cost(far) < 3 * cost(near)
    other.ip("link set v0 up")
    other.ip("route add 198.51.100.0/24 dev v0")
    (moved,) = (
        r
        for r in routenotify.routes(netns=other.path)
        if str(r.destination) == "198.51.100.0/24"
    )
    assert "v0" == moved.interface
    other.ip("link set v0 down")
    other.ip("link set v0 name renamed")
    assert "renamed" == moved.interface


def test_netns_when_not_root_then_a_user_namespace_is_enough(netns):
    """Whoever made a user namespace may enter the namespaces made inside it."""
    # What is left lets uid 0 be mapped, as that of any user may be.
    made = ("unshare", "--user", "--map-root-user", "--net")
    done = without("-all,+setfcap", UNPRIVILEGED, inside=made)

    assert "" == done.stderr
    assert done.stdout.strip() in ("4", "6")


def test_netns_when_it_may_not_be_entered_then_the_error_says_so(netns):
    """Without CAP_SYS_ADMIN setns() refuses; the caller's own still works."""
    script = """
        import routenotify, sys
        try:
            routenotify.RouteMonitor(netns=sys.argv[1])
        except routenotify.AccessDenied as error:
            print(error.call, error.code)
        routenotify.RouteMonitor().close()
        print("own")
    """
    other = netns.make_other()
    done = without("-sys_admin", script, other.path)

    assert "setns(CLONE_NEWNET) 5\nown\n" == done.stdout, done.stderr


class Listener:
    """A socket that hears all namespaces that have an id in this one."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
        self.socket.bind((0, GROUPS))
        self.socket.setsockopt(SOL_NETLINK, NETLINK_LISTEN_ALL_NSID, 1)
        self.socket.settimeout(30)

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.socket.close()

    def message(self):
        """(type, nsid or None) of the next datagram's first message."""
        data, ancillary, _, _ = self.socket.recvmsg(1 << 16, 256)
        ids = [
            struct.unpack("i", value)[0]
            for level, kind, value in ancillary
            if (level, kind) == (SOL_NETLINK, NETLINK_LISTEN_ALL_NSID)
        ]
        return struct.unpack_from("IH", data)[1], ids[0] if ids else None

    def until(self, last):
        """Messages up to, and without, the one expected last."""
        found = []
        while (message := self.message()) != last:
            found.append(message)
        return found

    def rest(self):
        """Messages that are queued."""
        found = []
        with contextlib.suppress(BlockingIOError):
            while True:
                found.append(self.message())
        return found


def mark(netns):
    """Make this namespace's own next message a RTM_NEWROUTE."""
    netns.ip("route add 203.0.113.0/24 dev lo")


def test_all_namespaces_when_one_has_no_id_here_then_it_is_not_heard(netns):
    """Nobody gives it one unless somebody asks, or a link leads there."""
    without, with_id = netns.make_other(), netns.make_other()
    holder = with_id.popen(["sleep", "60"])
    name = f"link add a0 type veth peer name a1 netns {holder.pid}"
    netns.ip(name)  # gives it an id
    with Listener() as listener:
        without.ip("route add 192.0.2.0/24 dev lo")
        with_id.ip("route add 192.0.2.0/24 dev lo")
        mark(netns)
        heard = listener.until((RTM_NEWROUTE, None))

    assert [RTM_NEWROUTE] == [kind for kind, _ in heard]
    assert all(nsid is not None for _, nsid in heard)


def test_all_namespaces_when_asked_for_a_table_then_it_is_this_ones(netns):
    """A dump cannot be had of another: so no table, and no repair of losses."""
    other = netns.make_other()
    holder = other.popen(["sleep", "60"])
    netns.ip(f"link add a0 type veth peer name a1 netns {holder.pid}")
    other.ip("route add 192.0.2.0/24 dev lo")
    netns.ip("route add 203.0.113.0/24 dev lo")
    with Listener() as listener:
        body = struct.pack("BBBBBBBBI", socket.AF_INET, *([0] * 8))
        header = struct.pack("IHHII", 16 + len(body), RTM_GETROUTE, 0x301, 1, 0)
        listener.socket.send(header + body)
        answer = listener.socket.recv(1 << 16)

    assert socket.inet_aton("203.0.113.0") in answer
    assert socket.inet_aton("192.0.2.0") not in answer


def test_all_namespaces_when_a_link_goes_down_then_its_routes_go_unsaid(netns):
    """What is silent in one is silent here; only a dump could tell."""
    other = netns.make_other()
    other.veth("v0", "198.51.100.1/24")
    holder = other.popen(["sleep", "60"])
    netns.ip(f"link add a0 type veth peer name a1 netns {holder.pid}")
    other.ip("route add 192.0.2.0/24 via 198.51.100.2")
    with Listener() as listener:
        other.ip("link set v0 down")
        mark(netns)
        heard = listener.until((RTM_NEWROUTE, None))

    assert "192.0.2.0/24" not in {route["dst"] for route in other.routes()}
    assert RTM_NEWLINK in {kind for kind, _ in heard}
    assert RTM_DELROUTE not in {kind for kind, _ in heard}


def test_all_namespaces_when_the_buffer_overflows_then_nobody_says_whose(netns):
    """One storm costs the messages of all the others, unnamed."""
    other = netns.make_other()
    holder = other.popen(["sleep", "60"])
    netns.ip(f"link add a0 type veth peer name a1 netns {holder.pid}")
    with Listener() as listener:
        listener.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        netns.batch(f"route add 10.0.{i}.0/24 dev lo" for i in range(200))
        other.ip("route add 192.0.2.0/24 dev lo")
        with pytest.raises(OSError, match="No buffer space"):
            listener.message()
        listener.socket.settimeout(0)
        heard = listener.rest()

    assert [] == [message for message in heard if message[1] is not None]
