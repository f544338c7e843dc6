"""Netlink messages and attributes as bytes: what rtmon writes one after another.

    message:    length u32, type u16, flags u16, sequence u32, port u32 | body
    attribute:  length u16, type u16 | payload | padding to 4

In the byte order of the machine that wrote them, as the kernel's are.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from io import BufferedIOBase
from typing import Final, NamedTuple

from routenotify._recording._error import damaged

# linux/netlink.h, linux/rtnetlink.h
NOOP: Final = 1
TIMESTAMP: Final = 15  # iproute2's own: seconds u32, microseconds u32
NEWLINK, DELLINK = 16, 17
NEWROUTE, DELROUTE = 24, 25
FLAG_REPLACE, FLAG_EXCL, FLAG_CREATE, FLAG_APPEND = 0x100, 0x200, 0x400, 0x800

HEADER: Final = struct.Struct("=IHHII")
ATTRIBUTE: Final = struct.Struct("=HH")
U32: Final = struct.Struct("=I")
TYPE_MASK: Final = 0x3FFF  # without NLA_F_NESTED and NLA_F_NET_BYTEORDER
_LAST_TYPE: Final = 255  # rtnetlink's types end far below
_LONGEST: Final = 1 << 20  # bytes; a datagram of the kernel's has 64 KiB at most
_CHUNK: Final = 1 << 18


class MalformedError(Exception):
    """A message that cannot be what its type says; the text says why."""


class Message(NamedTuple):
    """One message: where it stands in the file, and what it holds."""

    offset: int
    type: int
    flags: int
    port: int  # of the program that asked for what it tells; 0: the kernel itself
    body: bytes


def message(kind: int, flags: int, body: bytes) -> bytes:
    """The bytes of a message."""
    size = HEADER.size + len(body)
    return HEADER.pack(size, kind, flags, 0, 0) + body + bytes(-size % 4)


def attribute(kind: int, payload: bytes) -> bytes:
    """The bytes of an attribute."""
    head = ATTRIBUTE.pack(ATTRIBUTE.size + len(payload), kind)
    return head + payload + bytes(-len(payload) % 4)


def attributes(data: bytes) -> dict[int, bytes]:
    """The payloads by type; of one that comes twice the last counts.

    Raises:
        MalformedError: The bytes are no attributes.
    """
    found = {}
    at = 0
    while at < len(data):
        if len(data) - at < ATTRIBUTE.size:
            raise MalformedError("an attribute is cut off")
        length, kind = ATTRIBUTE.unpack_from(data, at)
        if not ATTRIBUTE.size <= length <= len(data) - at:
            raise MalformedError(f"an attribute of {length} bytes")
        found[kind & TYPE_MASK] = data[at + ATTRIBUTE.size : at + length]
        at += length + (-length % 4)
    return found


def looks_right(data: bytes) -> bool:
    """Can a file that starts with these bytes be messages?"""
    if len(data) < HEADER.size:
        return not data
    length, kind, _, _, _ = HEADER.unpack_from(data)
    return _why_wrong(length, kind) is None


def _why_wrong(length: int, kind: int) -> str | None:
    if not HEADER.size <= length <= _LONGEST:
        return f"no netlink message has {length} bytes"
    if kind > _LAST_TYPE or kind == 0:
        return f"no message of rtnetlink has the type {kind}"
    return None


def read_messages(file: BufferedIOBase, path: str) -> Iterator[Message]:
    """The messages of a file, as far as they go.

    Raises:
        RecordingError: What follows is no message, or the file ends inside one.
    """
    rest = b""
    start = 0  # offset of rest in the file
    while chunk := file.read1(_CHUNK):
        data = rest + chunk
        at = 0
        while len(data) - at >= HEADER.size:
            length, kind, flags, _, port = HEADER.unpack_from(data, at)
            why = _why_wrong(length, kind)
            if why is not None:
                raise damaged(path, start + at, why)
            end = at + length + (-length % 4)
            if end > len(data):
                break
            yield Message(start + at, kind, flags, port, data[at + 16 : at + length])
            at = end
        rest = data[at:]
        start += at
    if rest:
        raise damaged(path, start, _cut_off(rest))


def _cut_off(rest: bytes) -> str:
    if len(rest) < HEADER.size:
        return f"the file ends inside a message, {len(rest)} bytes into its header"
    (length,) = U32.unpack_from(rest)
    return f"the file ends inside a message: {len(rest)} of {length} bytes"
