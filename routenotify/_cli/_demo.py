"""`routenotify demo`: real routes change in a private namespace, and we follow."""

from __future__ import annotations

import argparse
import subprocess
import sys

from routenotify._cli._private import inside

_NO_NAMESPACE = 2


def demo(arguments: argparse.Namespace) -> int:
    """Run the show in a namespace made for it.

    Returns:
        0 the replayed table equals the kernel's, 1 it does not, 2 this system
        gives no namespace.
    """
    if arguments.inside:
        # Late: the churn needs AF_NETLINK, which exists on Linux only.
        from routenotify._cli._show import Show

        return Show(arguments.routes).run()
    try:
        command = inside("demo", "--inside", "--routes", str(arguments.routes))
    except OSError as error:
        return _give_up(str(error))
    return subprocess.call(command)  # noqa: S603 - our own words


def _give_up(reason: str) -> int:
    print(
        "routenotify: the demo cannot have a private network namespace here "
        f"({reason}); `routenotify watch` follows this machine's own routes.",
        file=sys.stderr,
    )
    return _NO_NAMESPACE
