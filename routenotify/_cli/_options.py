"""Options that several commands share, and the types of their values."""

from __future__ import annotations

import argparse
import ipaddress
import math
import socket
import sys
from typing import Any, TypeAlias

from routenotify._errors import InvalidParameter

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

_FAMILIES = {
    "inet": socket.AF_INET,
    "inet6": socket.AF_INET6,
    "any": socket.AF_UNSPEC,
}


class UsageError(InvalidParameter):
    """A word of the command line is wrong, as only the command can tell: status 2."""


def command(
    commands: Commands, name: str, summary: str, examples: str
) -> argparse.ArgumentParser:
    """Add a command and return its parser.

    Args:
        commands: of the program's parser.
        name: what is typed.
        summary: for the list of commands; a few words.
        examples: the end of the command's help, as it is.
    """
    return commands.add_parser(
        name,
        help=summary,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def add_family(parser: argparse.ArgumentParser) -> None:
    """Add --family, whose value is an AF_* number."""
    parser.add_argument(
        "--family",
        type=_family,
        metavar="{inet,inet6,any}",
        default="any",
        help="which routes (default: any)",
    )


def add_filter(parser: argparse.ArgumentParser) -> None:
    """Add the words of a filter; `_words.filter_of` understands them."""
    parser.add_argument(
        "filter",
        nargs="*",
        metavar="FILTER",
        help="a prefix, for it and what lies inside; dev NAME; proto NAME; table NAME",
    )


def add_json(parser: argparse.ArgumentParser, what: str) -> None:
    """Add --json; what says in words what it prints."""
    parser.add_argument("--json", action="store_true", help=f"print {what}")


def add_limits(parser: argparse.ArgumentParser, what: str) -> None:
    """Add --count and --duration; what says in words what is counted."""
    parser.add_argument("--count", type=count, metavar="N", help=f"end after N {what}")
    parser.add_argument(
        "--duration", type=seconds, metavar="SECONDS", help="end after SECONDS"
    )


def add_netns(parser: argparse.ArgumentParser) -> None:
    """Add --netns where the system has namespaces."""
    if sys.platform == "linux":
        parser.add_argument(
            "--netns",
            type=_netns,
            metavar="NAME",
            help="in this network namespace: a name, a path or a process id",
        )


def netns_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return --netns as a keyword, or none: not every system knows the word."""
    netns = getattr(arguments, "netns", None)
    return {} if netns is None else {"netns": netns}


def _family(text: str) -> int:
    if text not in _FAMILIES:
        names = ", ".join(_FAMILIES)
        raise argparse.ArgumentTypeError(f"one of {names}; not {text!r}")
    return int(_FAMILIES[text])


def count(text: str) -> int:
    """Return a whole number from 1 up.

    Raises:
        argparse.ArgumentTypeError: text is something else.
    """
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a whole number from 1 up, not {text!r}")
    return int(text)


def seconds(text: str) -> float:
    """Return seconds above 0, finite.

    Raises:
        argparse.ArgumentTypeError: text is something else.
    """
    return _above_0(text, "seconds")


def factor(text: str) -> float:
    """Return a factor above 0, finite.

    Raises:
        argparse.ArgumentTypeError: text is something else.
    """
    return _above_0(text, "a factor")


def _above_0(text: str, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{what} above 0, not {text!r}")
    return value


def address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return an address of either family.

    Raises:
        argparse.ArgumentTypeError: text is something else.
    """
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"an IPv4 or IPv6 address, not {text!r}"
        ) from None


def _netns(text: str) -> str | int:
    return int(text) if text.isascii() and text.isdigit() else text
