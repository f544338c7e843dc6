"""Route changes at the kernel's own speed: many messages in one send().

The kernel works netlink requests off inside send(), so when send() returns
the changes are made.
"""

import errno
import ipaddress
import socket
import struct
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Self

RTM_NEWROUTE, RTM_DELROUTE = 24, 25
NLMSG_ERROR = 2
REQUEST, REPLACE, EXCL, CREATE, APPEND = 0x1, 0x100, 0x200, 0x400, 0x800
FLAGS = {
    "add": REQUEST | CREATE | EXCL,
    "append": REQUEST | CREATE | APPEND,
    "prepend": REQUEST | CREATE,
    "replace": REQUEST | CREATE | REPLACE,
    "change": REQUEST | REPLACE,
    "del": REQUEST,
}
RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY = 1, 4, 5, 6
RTA_METRICS, RTA_MULTIPATH, RTA_TABLE, RTA_NH_ID = 8, 9, 15, 30
RTAX_MTU = 2
BATCH_BYTES = 64 * 1024


def attribute(kind: int, payload: bytes) -> bytes:
    """One netlink attribute, padded."""
    head = struct.pack("=HH", 4 + len(payload), kind)
    return head + payload + bytes(-len(payload) % 4)


def message(
    action: str,
    destination: str | bytes,
    length: int,
    *,
    family: int = 4,
    table: int = 254,
    metric: int = 0,
    gateway: bytes | None = None,
    interface_index: int = 0,
    protocol: int = 3,
    route_type: int = 1,
    mtu: int = 0,
    nexthop_id: int = 0,
    hops: Sequence[bytes] = (),
) -> bytes:
    """One RTM_NEWROUTE or RTM_DELROUTE request without NLM_F_ACK.

    Args:
        action: a key of FLAGS.
        destination: address text, or its bytes in network order.
        length: prefix length in bits.
        family: 4 or 6.
        table: table id.
        metric: priority, 0 for the kernel's default.
        gateway: address in network order.
        interface_index: device, 0 for none.
        protocol: rtm_protocol.
        route_type: RTN_*.
        mtu: RTAX_MTU, 0 for none.
        nexthop_id: nexthop object, 0 for none.
        hops: gateways of a multipath route, all through interface_index.
    """
    if isinstance(destination, str):
        destination = ipaddress.ip_address(destination).packed
    scope = 0 if gateway or nexthop_id or family == 6 or route_type != 1 else 253
    if action == "del":
        scope = 255 if family == 4 else 0
    body = struct.pack(
        "=BBBBBBBBI",
        socket.AF_INET if family == 4 else socket.AF_INET6,
        length,
        0,
        0,
        table if table < 256 else 252,
        protocol,
        scope,
        route_type,
        0,
    )
    body += attribute(RTA_DST, destination)
    body += attribute(RTA_TABLE, struct.pack("=I", table))
    if metric:
        body += attribute(RTA_PRIORITY, struct.pack("=I", metric))
    if gateway:
        body += attribute(RTA_GATEWAY, gateway)
    if hops:
        body += attribute(RTA_MULTIPATH, _multipath(hops, interface_index))
    elif interface_index:
        body += attribute(RTA_OIF, struct.pack("=I", interface_index))
    if mtu:
        metrics = attribute(RTAX_MTU, struct.pack("=I", mtu))
        body += attribute(RTA_METRICS, metrics)
    if nexthop_id:
        body += attribute(RTA_NH_ID, struct.pack("=I", nexthop_id))
    kind = RTM_DELROUTE if action == "del" else RTM_NEWROUTE
    return struct.pack("=IHHII", 16 + len(body), kind, FLAGS[action], 1, 0) + body


def _multipath(gateways: Sequence[bytes], interface_index: int) -> bytes:
    hops = (attribute(RTA_GATEWAY, gateway) for gateway in gateways)
    return b"".join(
        struct.pack("=HBBi", 8 + len(hop), 0, 0, interface_index) + hop for hop in hops
    )


class Sender:
    """A socket that sends route requests in batches; errors are counted."""

    def __init__(self) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE
        )
        self._socket.bind((0, 0))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)

    def __enter__(self) -> Self:
        """Use as a context manager."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the socket."""
        self._socket.close()

    def send(self, messages: Iterable[bytes]) -> int:
        """Send all, as few system calls as possible; how many were refused."""
        refused = 0
        batch: list[bytes] = []
        size = 0
        for item in messages:
            if size + len(item) > BATCH_BYTES:
                refused += self._flush(batch)
                batch, size = [], 0
            batch.append(item)
            size += len(item)
        return refused + self._flush(batch)

    def _flush(self, batch: Sequence[bytes]) -> int:
        if not batch:
            return 0
        self._socket.send(b"".join(batch))
        return self._refused()

    def _refused(self) -> int:
        # Answers exist for failures only.  When there are too many for the
        # buffer the rest is lost, which matters to nobody.
        count = 0
        while True:
            try:
                data = self._socket.recv(1 << 16, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return count
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                continue
            count += _errors(data)


def _errors(data: bytes) -> int:
    count = offset = 0
    while offset + 16 <= len(data):
        length, kind = struct.unpack_from("=IH", data, offset)
        if kind == NLMSG_ERROR:
            count += struct.unpack_from("=i", data, offset + 16)[0] != 0
        offset += (length + 3) & ~3
    return count
