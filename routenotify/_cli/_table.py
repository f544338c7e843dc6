"""`routenotify routes` and `routenotify get`: the table as it is now."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable

import routenotify
from routenotify import Route, RouteFilter
from routenotify._cli._format import Columns
from routenotify._cli._options import (
    Commands,
    add_family,
    add_filter,
    add_json,
    add_netns,
    address,
    command,
    netns_of,
)
from routenotify._cli._progress import progress, waited
from routenotify._cli._words import filter_of
from routenotify._errors import ERROR_INVALID_PARAMETER, InvalidParameter
from routenotify._netns import NetworkNamespace, opened_netns
from routenotify._routenotify import interface_index

_ROUTES_EXAMPLES = """\
examples:
  routenotify routes
  routenotify routes 10.0.0.0/8 dev eth0 proto bgp
  routenotify routes --json | jq -r 'select(.table == 254) | .destination'
"""
_GET_EXAMPLES = """\
examples:
  routenotify get 192.0.2.1
  routenotify get 192.0.2.1 --from 10.0.0.1 --dev eth0
  routenotify get --json 2001:db8::1
"""


def add_routes(commands: Commands) -> None:
    """Add `routes` to the program's commands."""
    parser = command(commands, "routes", "print the table", _ROUTES_EXAMPLES)
    parser.description = "Print the routes of all tables, one line per next hop."
    parser.set_defaults(run=routes)
    add_filter(parser)
    add_family(parser)
    add_json(parser, "one JSON object per line")
    add_netns(parser)


def add_get(commands: Commands) -> None:
    """Add `get` to the program's commands."""
    parser = command(commands, "get", "print the route taken", _GET_EXAMPLES)
    parser.description = "Print the route the system takes to ADDRESS."
    parser.set_defaults(run=get)
    parser.add_argument("address", type=address, metavar="ADDRESS", help="IPv4 or IPv6")
    parser.add_argument(
        "--from",
        dest="source",
        type=address,
        metavar="SOURCE",
        help="from this address of the computer",
    )
    parser.add_argument(
        "--dev", metavar="DEVICE", help="through this interface: its name or number"
    )
    add_json(parser, "a JSON object")
    add_netns(parser)


def routes(arguments: argparse.Namespace) -> int:
    """Print every route of the system's tables."""
    found, to_text = waited("reading the table", lambda: _read(arguments))
    unseen = 0 if sys.stdout.isatty() else len(found)
    with progress("printing the table", unseen) as bar:
        for number, route in enumerate(found):
            print(to_text(route))
            bar.update(number)
    return 0


def _read(arguments: argparse.Namespace) -> tuple[list[Route], Callable[[Route], str]]:
    """Return the routes, and what makes each the line that was asked for."""
    netns = netns_of(arguments)
    wanted = filter_of(arguments.filter) or RouteFilter()
    with opened_netns(netns.get("netns"), "routes") as space:
        # Not wanted.matches(): it would look names up in our own namespace.
        matches = wanted._compile_for_monitor(space.fd).matches
    found = list(filter(matches, routenotify.routes(arguments.family, **netns)))
    if arguments.json:
        return found, lambda route: json.dumps(route.to_dict())
    columns = Columns()
    columns.fit(found)
    return found, columns.route


def get(arguments: argparse.Namespace) -> int:
    """Print the route that the system takes to an address."""
    netns = netns_of(arguments)
    device = _device(arguments.dev, netns.get("netns"))
    try:
        route = routenotify.best_route(
            arguments.address, source=arguments.source, interface=device, **netns
        )
    except routenotify.RouteNotFound:
        print(f"routenotify: no route to {arguments.address}", file=sys.stderr)
        return 1
    if arguments.json:
        print(json.dumps(route.to_dict()))
    else:
        print(Columns().route(route))
    return 0


def _device(name: str | None, netns: NetworkNamespace | None) -> int | None:
    """Return the number of an interface in the namespace, None for none.

    Raises:
        InvalidParameter: There is none of that name.
    """
    if name is None or (name.isascii() and name.isdigit()):
        return None if name is None else int(name)
    with opened_netns(netns, "get") as space:
        try:
            return interface_index(name, space.fd)
        except routenotify.RouteNotFound:
            raise InvalidParameter(
                ERROR_INVALID_PARAMETER, "get", f"--dev {name!r} does not exist"
            ) from None
