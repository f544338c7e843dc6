"""`routenotify doctor`: what it finds is so, and its status says whether it is well."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import rncli
import rnlab

STATES = {"ok", "note", "bad", "skipped"}
NAMES = [
    *("platform", "monitor", "table", "rights", "buffer", "namespace", "quirks"),
    *("losses", "self-test"),
]


def examined(netns: rnlab.Namespace, **changes: str) -> dict[str, dict[str, Any]]:
    """The checks of --json by name; all is well."""
    done = rncli.run(netns, "doctor", "--json", **changes)
    told = json.loads(done.stdout)

    assert (0, "", True) == (done.returncode, done.stderr, told["well"]), told
    assert {"well", "checks"} == set(told)
    assert NAMES == [check["name"] for check in told["checks"]]
    for check in told["checks"]:
        assert {"name", "state", "text", "data"} == set(check)
        assert check["state"] in STATES
    return {check["name"]: check for check in told["checks"]}


@contextlib.contextmanager
def sysctl(path: str, value: str) -> Iterator[None]:
    """Set one in the namespace that this thread is in."""
    setting = Path("/proc/sys", path)
    if not setting.exists():
        pytest.skip(f"this kernel has no {path}")
    before = setting.read_text()
    setting.write_text(value)
    try:
        yield
    finally:
        setting.write_text(before)


def test_doctor_tells_what_is_here(netns):
    """Numbers are those of the system."""
    netns.veth("v0", "10.0.0.1/24")
    found = examined(netns)

    assert os.uname().release == found["platform"]["data"]["release"]
    assert "ok" == found["self-test"]["state"]
    assert found["self-test"]["data"]["equal"]
    lines = rncli.run(netns, "routes").stdout.splitlines()
    assert len(lines) == found["table"]["data"]["rows"]
    buffer = found["buffer"]["data"]
    size = buffer["ringbuf"] or buffer["rcvbuf"]
    assert buffer["changes"] == size // buffer["bytes_per_change"]
    assert 100 < buffer["bytes_per_change"] < 10_000
    assert (buffer["ringbuf"] > 0) == rnlab.allows_ringbuf()
    said = "BPF ring buffer" if buffer["ringbuf"] else "as measured"
    assert said in found["buffer"]["text"]
    own = os.stat(rnlab.NAMESPACE).st_ino
    assert own == found["namespace"]["data"]["inode"]


def test_doctor_touches_no_route_of_the_namespace_it_is_started_in(netns):
    """The self-test is elsewhere."""
    before = netns.routes(), netns.links()
    examined(netns)

    assert before == (netns.routes(), netns.links())


def test_doctor_when_a_setting_changes_what_is_delivered_then_it_says_so(netns):
    """A note: all is well, but know this."""
    assert "nexthop_compat_mode" not in examined(netns)["quirks"]["text"]
    with sysctl("net/ipv4/nexthop_compat_mode", "0"):
        quirks = examined(netns)["quirks"]

    assert "note" == quirks["state"]
    assert "net.ipv4.nexthop_compat_mode = 0" in quirks["text"]


@contextlib.contextmanager
def deaf(netns: rnlab.Namespace) -> Iterator[None]:
    """Have a route socket of this process lose messages."""
    with socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE
    ) as listener:
        listener.bind((os.getpid(), 0))
        listener.setsockopt(270, 1, 7)  # SOL_NETLINK, ADD_MEMBERSHIP, IPV4_ROUTE
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2304)
        netns.batch(f"route add 192.0.2.{i} via 10.0.0.2" for i in range(64))
        yield


@contextlib.contextmanager
def called(name: bytes) -> Iterator[None]:
    """Give this process, whose main thread calls, another name."""
    comm = Path("/proc/self/comm")
    before = comm.read_bytes()
    comm.write_bytes(name)
    try:
        yield
    finally:
        comm.write_bytes(before.removesuffix(b"\n"))


def test_doctor_when_somebody_lost_messages_then_it_says_who(netns):
    """The column Drops of /proc/net/netlink, with the program's name."""
    netns.veth("v0", "10.0.0.1/24")
    assert [] == examined(netns)["losses"]["data"]["sockets"]
    with deaf(netns):
        (loser,) = examined(netns)["losses"]["data"]["sockets"]

    assert os.getpid() == loser["pid"]
    assert Path("/proc/self/comm").read_text().strip() == loser["program"]
    assert 0 < loser["drops"] <= 64


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("überwacher--日本".encode()[:15], "überwacher--\ufffd"),
        (b"\033[2J\ntwo lines", r"'\x1b[2J\ntwo lines'"),
    ],
    ids=["cut", "escape"],
)
def test_doctor_when_the_name_of_a_program_is_hostile_then_it_is_harmless(
    netns, name, shown
):
    """One cut inside a character ended it with a traceback; a terminal obeyed.

    Whoever likes can give a process such a name.
    """
    netns.veth("v0", "10.0.0.1/24")
    with called(name), deaf(netns):
        done = rncli.run(netns, "doctor", PYTHONUTF8="1")

    assert (0, "") == (done.returncode, done.stderr)
    assert "\033" not in done.stdout
    assert f"losses     {shown} {os.getpid()} lost " in done.stdout


def test_doctor_when_the_name_of_a_namespace_is_hostile_then_it_is_harmless(netns):
    """A file in /run/netns can be called anything."""
    mounted = "mount -t tmpfs none /run && mkdir /run/netns && cd /run/netns"
    made = "touch \"$(printf 'x\\033[2J')\" \"$(printf 'y\\377')\" plain"
    script = f'{mounted} && {made} && cd / && exec "$@"'
    command = ["unshare", "-m", "sh", "-c", script, "sh", *rncli.words("doctor")]
    with netns.entered():
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=60,
            env=rncli.environment(),
        )

    assert (0, "") == (done.returncode, done.stderr)
    assert "\033" not in done.stdout
    assert r"3 named (plain, 'x\x1b[2J', 'y\udcff')" in done.stdout


def test_doctor_for_people_is_one_line_per_check(netns):
    """Plain in a pipe; the first word is the state."""
    done = rncli.run(netns, "doctor")
    lines = [line for line in done.stdout.splitlines() if not line.startswith(" ")]

    assert (0, "") == (done.returncode, done.stderr)
    assert "\033" not in done.stdout
    assert NAMES == [line.split()[1] for line in lines]
    assert {line.split()[0] for line in lines} <= STATES


def test_doctor_without_unshare_says_that_the_self_test_was_not_made(netns, tmp_path):
    """A note, no failure: nothing is known to be wrong."""
    found = examined(netns, PATH=str(tmp_path))

    assert "note" == found["self-test"]["state"]
    if not found["buffer"]["data"]["ringbuf"]:
        assert "estimate" in found["buffer"]["text"]


def test_doctor_when_no_monitor_can_be_opened_then_the_status_is_1(netns):
    """Without descriptors for its sockets, say; the rest is still told."""
    command = ["sh", "-c", 'ulimit -n 5; exec "$@"', "sh", *rncli.words("doctor")]
    with netns.entered():
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=60,
            env=rncli.environment(),
        )

    assert 1 == done.returncode
    assert any(
        line.startswith("bad") and "monitor" in line
        for line in done.stdout.splitlines()
    ), done.stdout + done.stderr


def test_doctor_without_capabilities(netns):
    """It works, says what lacks, and makes its self-test or says why not."""
    drop = ["setpriv", "--bounding-set=-all,+setfcap", "--inh-caps=-all"]
    with netns.entered():
        done = subprocess.run(
            [*drop, *rncli.words("doctor", "--json")],
            capture_output=True,
            text=True,
            timeout=60,
            env=rncli.environment(),
            cwd="/",
        )
    found = {check["name"]: check for check in json.loads(done.stdout)["checks"]}

    assert 0 == done.returncode, done.stdout
    assert not found["rights"]["data"]["cap_net_admin"]
    assert found["self-test"]["state"] in ("ok", "note")
    allowed = int(Path("/proc/sys/net/core/rmem_max").read_text())
    assert found["buffer"]["data"]["rcvbuf"] <= 2 * allowed
