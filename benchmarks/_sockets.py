"""Another process's netlink sockets: give them room, and count what they drop.

A peer is measured with the same receive buffer as all, however small the one is
that it asks for itself; and what the kernel dropped is read from the socket,
not believed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

SO_RCVBUFFORCE = 33
SO_MEMINFO = 55
SK_MEMINFO_DROPS = 8
NR_PIDFD_GETFD = 438  # the same number on every architecture

_libc = ctypes.CDLL(None, use_errno=True)


def _family(pid: int) -> Iterator[int]:
    """The process and all it has started."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in children.read_text().split():
                yield from _family(int(child))


def _borrow(pidfd: int, number: str) -> socket.socket | None:
    copied = _libc.syscall(NR_PIDFD_GETFD, pidfd, int(number), 0)
    if copied < 0:
        raise OSError(ctypes.get_errno(), "pidfd_getfd")
    borrowed = socket.socket(fileno=copied)
    if borrowed.family == socket.AF_NETLINK:
        return borrowed
    borrowed.close()
    return None


def netlink_sockets(pid: int) -> Iterator[socket.socket]:
    """Copies of the netlink sockets of a process and its children.

    Args:
        pid: a child of this process.

    Yields:
        Sockets that are this process's to close.

    Raises:
        OSError: the system does not let this process have them.
    """
    for member in _family(pid):
        pidfd = os.pidfd_open(member)
        try:
            for entry in Path(f"/proc/{member}/fd").iterdir():
                with contextlib.suppress(FileNotFoundError):
                    if not os.readlink(entry).startswith("socket:"):
                        continue
                    if found := _borrow(pidfd, entry.name):
                        yield found
        finally:
            os.close(pidfd)


def give_room(pid: int, size: int) -> None:
    """Let each netlink socket of a process hold size bytes.

    Args:
        pid: a child of this process.
        size: bytes; without privilege the system gives less.
    """
    for found in netlink_sockets(pid):
        with found:
            try:
                found.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, size // 2)
            except PermissionError:
                found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size // 2)


def drops(pid: int) -> int:
    """Messages the kernel dropped on the netlink sockets of a process."""
    total = 0
    for found in netlink_sockets(pid):
        with found:
            told = found.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 64)
            total += struct.unpack_from("=I", told, 4 * SK_MEMINFO_DROPS)[0]
    return total
