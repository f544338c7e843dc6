"""The self-test of `routenotify doctor`, run inside a private namespace."""

from __future__ import annotations

import contextlib
import io
import json
import socket
import struct

from routenotify._cli import _churn as churn
from routenotify._cli._show import Show

# linux/socket.h, linux/netlink.h, linux/sock_diag.h
_SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP = 270, 1
_RTNLGRP_IPV4_ROUTE = 7
_SO_MEMINFO, _SK_MEMINFO_RMEM_ALLOC = 55, 0
_MEASURED = 64  # changes


def self_test(burst: int) -> int:
    """Run the demo silently; print what came of it as a JSON object.

    Args:
        burst: routes added at full speed.

    Returns:
        0 the replayed table equals the kernel's, 1 it does not.
    """
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        status = Show(burst).run()
    told = {
        "equal": status == 0,
        "changes": burst + burst - burst // 4,
        "bytes_per_change": _charge(),
        "printed": "" if status == 0 else printed.getvalue(),
    }
    print(json.dumps(told))
    return status


def _charge() -> int | None:
    """Bytes that the kernel charges a receive buffer for one change, measured.

    A socket that nobody reads is filled with some.  None: the kernel does not
    say (SO_MEMINFO, Linux 4.12).
    """
    with contextlib.closing(churn.Churn()) as kernel:
        loopback = churn.Hop(None, socket.if_nametoindex("lo"))
        with socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE
        ) as listener:
            listener.bind((0, 0))  # nothing is sent to a socket without a port
            listener.setsockopt(
                _SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP, _RTNLGRP_IPV4_ROUTE
            )
            kernel.send(
                churn.add(f"20.255.0.{i}/32", loopback) for i in range(_MEASURED)
            )
            try:
                told = listener.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 64)
            except OSError:
                return None
    (allocated,) = struct.unpack_from("=I", told, 4 * _SK_MEMINFO_RMEM_ALLOC)
    return int(allocated) // _MEASURED or None
