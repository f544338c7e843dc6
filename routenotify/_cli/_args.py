"""The whole command line; each command's own arguments are in its module."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from routenotify._cli._completion import add_completion
from routenotify._cli._demo import add_demo
from routenotify._cli._doctor import add_doctor
from routenotify._cli._exporter import add_exporter
from routenotify._cli._plot import add_plot
from routenotify._cli._record import add_record, add_replay
from routenotify._cli._table import add_get, add_routes
from routenotify._cli._top import add_top
from routenotify._cli._version import version
from routenotify._cli._watch import add_watch

# In the order of the help.
_COMMANDS = (
    *(add_watch, add_routes, add_get, add_demo, add_record, add_replay, add_plot),
    *(add_top, add_exporter, add_doctor, add_completion),
)

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
    for add in _COMMANDS:
        add(commands)
    return program
