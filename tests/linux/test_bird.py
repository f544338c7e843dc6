"""A routing daemon installs and withdraws 50 000 routes: all arrive, in order."""

from __future__ import annotations

import errno
import ipaddress
import shutil
import socket
import struct
import subprocess
import threading
from typing import Self

import pytest
import rnlab

import routenotify

COUNT = 50_000
_BUFFER = 512 << 20
"""Bytes: room for each of the 100 000 messages, however late it is read."""
_PROTOCOL = 12  # RTPROT_BIRD
_HEADER = struct.Struct("=IHHII")
_RTMSG = struct.Struct("=BBBBBBBBI")
_RTM_NEWROUTE, _RTM_DELROUTE, _RTA_DST = 24, 25, 1
_SO_RCVBUFFORCE = 33
_RTMGRP_IPV4_ROUTE = 0x40
_CONFIG = """\
router id 10.77.0.1;
protocol device { }
protocol kernel { ipv4 { import none; export all; }; scan time 3600; }
protocol static s4 {
  disabled;
  ipv4;
include "routes.conf";
}
"""


class Recorder:
    """An independent reader: what the kernel announced, in its order."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, str]] = []
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)
        self.has_room = True
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        except PermissionError:  # no root: the kernel's limit, and it may overrun
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            self.has_room = False
        self.overran = False
        self._socket.bind((0, _RTMGRP_IPV4_ROUTE))
        self._socket.settimeout(0.2)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read)

    def _read(self) -> None:
        while True:
            try:
                self._note(self._socket.recv(1 << 16))
            except TimeoutError:
                if self._stop.is_set():
                    return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self.overran = True

    def _note(self, message: bytes) -> None:
        _, kind, _, _, _ = _HEADER.unpack_from(message)
        _, length, _, _, _, protocol, _, _, _ = _RTMSG.unpack_from(message, 16)
        if protocol != _PROTOCOL:
            return
        offset = 28
        while True:
            size, name = struct.unpack_from("=HH", message, offset)
            if name == _RTA_DST:
                address = ipaddress.IPv4Address(message[offset + 4 : offset + 8])
                self.seen.append((kind, f"{address}/{length}"))
                return
            offset += size + 3 & ~3

    def __enter__(self) -> Self:
        """Read from now on."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Read what is left, and end."""
        self._stop.set()
        self._thread.join()
        self._socket.close()


@pytest.fixture
def bird(netns, tmp_path):
    """A bird with 50 000 static routes, disabled; returns its control."""
    if shutil.which("bird") is None:
        pytest.skip("bird is missing: install bird2")
    netns.veth("v0", "10.77.0.1/24")
    (tmp_path / "bird.conf").write_text(_CONFIG)
    (tmp_path / "routes.conf").write_text(
        "".join(
            f"route {ipaddress.IPv4Address(0x14000000 + (i << 8))}/24 via 10.77.0.2;\n"
            for i in range(COUNT)
        )
    )
    control = tmp_path / "ctl"
    command = ["bird", "-f", "-c", "bird.conf", "-s", control, "-P", "pid"]
    process = netns.popen(command, cwd=tmp_path, stderr=subprocess.PIPE)

    def tell(words: str) -> str:
        return netns.run("birdc", "-s", str(control), *words.split())

    def answers() -> bool:
        assert process.poll() is None, process.stderr.read()
        try:
            return "Daemon is up" in tell("show status")
        except RuntimeError:  # it does not listen yet
            return False

    rnlab.wait_for(answers, deadline=20, what="bird's answer")
    yield tell
    process.terminate()
    process.wait(30)


def test_bird_when_it_exports_and_withdraws_then_every_change_arrives(bird):
    """100 000 changes, in the kernel's order, none missing, none invented.

    Without root there may be no such buffer, and nobody can say that nothing had
    to be dropped: then an overrun is repaired, and the order is that of the repair.
    """
    seen = []
    with (
        Recorder() as recorder,
        routenotify.RouteMonitor(
            socket.AF_INET, capacity=1 << 17, rcvbuf=_BUFFER
        ) as monitor,
    ):
        for word in ("enable", "disable"):
            bird(f"{word} s4")
            wanted = len(seen) + COUNT
            while len(seen) < wanted:
                change = monitor.get(timeout=20)
                assert change.protocol == _PROTOCOL
                seen.append(change)
        stats = monitor.stats

    kinds = {
        routenotify.ChangeType.ADD: _RTM_NEWROUTE,
        routenotify.ChangeType.DELETE: _RTM_DELROUTE,
    }
    assert [change.type for change in seen] == (
        [routenotify.ChangeType.ADD] * COUNT + [routenotify.ChangeType.DELETE] * COUNT
    )
    assert len({change.destination for change in seen}) == COUNT
    assert not (recorder.has_room and recorder.overran)
    if not recorder.overran and not stats.overruns:
        assert [(kinds[c.type], str(c.destination)) for c in seen] == recorder.seen
    assert [change.sequence for change in seen] == list(range(1, 2 * COUNT + 1))
    assert stats.delivered == 2 * COUNT
    if stats.rcvbuf >= _BUFFER:
        assert stats.overruns == 0
