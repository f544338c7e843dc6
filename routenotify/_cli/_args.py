"""What can be asked for on the command line, and which function does it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from routenotify._cli._demo import demo
from routenotify._cli._monitoring import add_monitoring
from routenotify._cli._options import (
    add_family,
    add_json,
    add_netns,
    address,
    command,
    count,
    seconds,
)
from routenotify._cli._plot import add_plot
from routenotify._cli._record import add_record, add_replay
from routenotify._cli._table import get, routes
from routenotify._cli._version import version
from routenotify._cli._watch import watch

_MAIN_EXAMPLES = """\
examples:
  routenotify demo                 see it work; touches no route of this machine
  routenotify watch                follow this machine's routes
  routenotify top                  see what changes, how often and by whom
  routenotify routes --family inet
  routenotify get 192.0.2.1
  routenotify doctor               is all well here?

`routenotify COMMAND --help` says more about one of them.
"""
_WATCH_EXAMPLES = """\
examples:
  routenotify watch --family inet6
  routenotify watch --json | jq -r 'select(.type == "DELETE") | .destination'
  routenotify watch --count 1 --duration 30     wait for one change, or 30 s
"""
_ROUTES_EXAMPLES = """\
examples:
  routenotify routes
  routenotify routes --json | jq -r 'select(.table == 254) | .destination'
"""
_GET_EXAMPLES = """\
examples:
  routenotify get 192.0.2.1
  routenotify get --json 2001:db8::1
"""
_DEMO_EXAMPLES = """\
examples:
  routenotify demo
  routenotify demo --routes 200000

exit status: 0 the replayed table equals the kernel's, 1 it does not,
2 this system gives no namespace
"""


class _Version(argparse.Action):
    """Print the installed version: looked up only when somebody asks."""

    def __init__(self, option_strings: Sequence[str], dest: str, **kept: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, **kept)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"{parser.prog} {version()}")
        parser.exit()


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the arguments; `run` in them is the function to call with them."""
    return parser().parse_args(argv)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole program."""
    program = argparse.ArgumentParser(
        prog="routenotify",
        description="Every change of an IP route on this computer, as it happens.",
        epilog=_MAIN_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    program.add_argument("--version", action=_Version, help="print the version")
    commands = program.add_subparsers(metavar="COMMAND", required=True)
    _add_watch(command(commands, "watch", "print each change", _WATCH_EXAMPLES))
    _add_routes(command(commands, "routes", "print the table", _ROUTES_EXAMPLES))
    _add_get(command(commands, "get", "print the route taken", _GET_EXAMPLES))
    _add_demo(command(commands, "demo", "show it at work", _DEMO_EXAMPLES))
    add_record(commands)
    add_replay(commands)
    add_plot(commands)
    add_monitoring(commands)
    return program


def _add_watch(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Print each change of a route as it happens, one line each, until Ctrl-C."
    )
    parser.set_defaults(run=watch)
    add_family(parser)
    add_json(parser, "one JSON object per line")
    add_netns(parser)
    parser.add_argument("--count", type=count, metavar="N", help="end after N lines")
    parser.add_argument(
        "--duration", type=seconds, metavar="SECONDS", help="end after SECONDS"
    )
    parser.add_argument(
        "--initial",
        action="store_true",
        help="first print an INITIAL line: the registration is in place",
    )


def _add_routes(parser: argparse.ArgumentParser) -> None:
    parser.description = "Print the routes of all tables, one line per next hop."
    parser.set_defaults(run=routes)
    add_family(parser)
    add_json(parser, "one JSON object per line")
    add_netns(parser)


def _add_get(parser: argparse.ArgumentParser) -> None:
    parser.description = "Print the route the system takes to ADDRESS."
    parser.set_defaults(run=get)
    parser.add_argument("address", type=address, metavar="ADDRESS", help="IPv4 or IPv6")
    add_json(parser, "a JSON object")
    add_netns(parser)


def _add_demo(parser: argparse.ArgumentParser) -> None:
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
