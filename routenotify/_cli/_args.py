"""The whole command line; each command's own arguments are in its module."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import Any

from routenotify._cli._version import version

# Which module adds them, in the order of the help.
_COMMANDS = {
    "watch": "_watch",
    "routes": "_table",
    "get": "_table",
    "demo": "_demo",
    "record": "_record",
    "replay": "_record",
    "plot": "_plot",
    "top": "_top",
    "exporter": "_exporter",
    "doctor": "_doctor",
    "completion": "_completion",
}

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


class _Version(argparse.Action):
    """Print the installed version: looked up only when somebody asks."""

    def __init__(self, option_strings: Sequence[str], dest: str, **kept: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, **kept)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"{parser.prog} {version()}")
        parser.exit()


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the arguments; `run` in them is the function to call with them.

    When the first word is a command the modules of the others are not loaded: half of
    the time that a command takes to start.
    """
    words = sys.argv[1:] if argv is None else argv
    return parser(*(word for word in words[:1] if word in _COMMANDS)).parse_args(words)


def parser(*only: str) -> argparse.ArgumentParser:
    """Return the parser of the whole program, or of some of its commands."""
    program = argparse.ArgumentParser(
        prog="routenotify",
        description="Every change of an IP route on this computer, as it happens.",
        epilog=_MAIN_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    program.add_argument("--version", action=_Version, help="print the version")
    commands = program.add_subparsers(metavar="COMMAND", required=True)
    for name in only or _COMMANDS:
        module = importlib.import_module(f"routenotify._cli.{_COMMANDS[name]}")
        getattr(module, f"add_{name}")(commands)
    return program
