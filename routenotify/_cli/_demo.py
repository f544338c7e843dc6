"""`routenotify demo`: real routes change in a private namespace, and we follow."""

from __future__ import annotations

import argparse
import subprocess
import sys

from routenotify._cli._options import Commands, command, count
from routenotify._cli._private import inside

_NO_NAMESPACE = 2

_EXAMPLES = """\
examples:
  routenotify demo
  routenotify demo --routes 200000

exit status: 0 the replayed table equals the kernel's, 1 it does not,
2 this system gives no namespace
"""


def add_demo(commands: Commands) -> None:
    """Add `demo` to the program's commands."""
    parser = command(commands, "demo", "show it at work", _EXAMPLES)
    parser.description = (
        "Make a private network namespace (Linux; needs not be root), change real\n"
        "routes in it and show the monitor following."
    )
    parser.set_defaults(run=demo)
    parser.add_argument(
        "--routes",
        type=count,
        metavar="N",
        default=20_000,
        help="size of the burst (default: 20000)",
    )
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)


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
