"""How `top`, `exporter`, `doctor` and `completion` are asked for."""

from __future__ import annotations

import argparse

from routenotify._cli._options import (
    Commands,
    add_family,
    add_json,
    add_netns,
    address,
    command,
    seconds,
)

_TOP_EXAMPLES = """\
examples:
  routenotify top                               q ends it, s sorts, f filters
  routenotify top --family inet --sort flaps
  routenotify top 10.0.0.0/8 dev eth0 proto bgp
  routenotify top --once --interval 60          text, after a minute
  routenotify top --once --json | jq -r '.destinations[0].destination'
"""

_EXPORTER_EXAMPLES = """\
examples:
  routenotify exporter
  routenotify exporter --listen [::]:9957       for every address of this computer
  curl -s http://127.0.0.1:9957/metrics | grep overruns
"""
_DOCTOR_EXAMPLES = """\
examples:
  routenotify doctor
  routenotify doctor --json | jq '.checks[] | select(.state != "ok")'

exit status: 0 nothing is bad, 1 something is
"""
_COMPLETION_EXAMPLES = """\
examples:
  source <(routenotify completion bash)         in this bash; or for good:
  routenotify completion bash > ~/.local/share/bash-completion/completions/routenotify
  routenotify completion zsh > ~/.zfunc/_routenotify    a folder of $fpath
  routenotify completion fish > ~/.config/fish/completions/routenotify.fish
"""


def add_monitoring(commands: Commands) -> None:
    """Add the commands."""
    _add_top(commands)
    _add_exporter(commands)
    _add_doctor(commands)
    _add_completion(commands)


def _add_top(commands: Commands) -> None:
    parser = command(commands, "top", "show what changes now", _TOP_EXAMPLES)
    parser.description = (
        "Show what changes now, as a live screen: the rate of the last minutes,\n"
        "the busiest destinations, and sums by interface, protocol, table and\n"
        "family.  The live screen needs rich: pip install 'routenotify[cli]'."
    )
    parser.set_defaults(run=_top)
    parser.add_argument(
        "filter",
        nargs="*",
        metavar="FILTER",
        help="a prefix, for it and what lies inside; dev NAME; proto NAME; table NAME",
    )
    add_family(parser)
    add_netns(parser)
    parser.add_argument(
        "--sort",
        choices=("changes", "flaps", "adds", "deletes", "time"),
        metavar="{changes,flaps,adds,deletes,time}",
        default="changes",
        help="first show destinations with the most of this (default: changes)",
    )
    parser.add_argument(
        "--once", action="store_true", help="print one screen as text, and end"
    )
    parser.add_argument(
        "--interval",
        type=seconds,
        metavar="SECONDS",
        default=5.0,
        help="with --once: how long to count (default: 5)",
    )
    add_json(parser, "one JSON object; means --once")


def _top(arguments: argparse.Namespace) -> int:
    from routenotify._cli._top import top

    return top(arguments)


def _add_exporter(commands: Commands) -> None:
    parser = command(
        commands, "exporter", "serve metrics to Prometheus", _EXPORTER_EXAMPLES
    )
    parser.description = (
        "Count changes and serve the counts to Prometheus, until Ctrl-C or SIGTERM.\n"
        "Needs prometheus_client: pip install 'routenotify[cli]'."
    )
    parser.set_defaults(run=_exporter)
    parser.add_argument(
        "--listen",
        type=_listen,
        metavar="ADDR:PORT",
        default="127.0.0.1:9957",
        help="where to answer (default: 127.0.0.1:9957); port 0: any free one",
    )
    add_family(parser)
    add_netns(parser)


def _listen(text: str) -> tuple[str, int]:
    """Return address and port of 192.0.2.1:80 or [2001:db8::1]:80."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        colon = ""  # which of them would be the port?
    try:
        address(host)
    except argparse.ArgumentTypeError:
        colon = ""
    if not (colon and port.isascii() and port.isdigit() and int(port) < 65536):
        raise argparse.ArgumentTypeError(
            f"an address and a port, such as 127.0.0.1:9957 or [::]:9957, not {text!r}"
        )
    return host, int(port)


def _exporter(arguments: argparse.Namespace) -> int:
    from routenotify._cli._exporter import exporter

    return exporter(arguments)


def _add_doctor(commands: Commands) -> None:
    parser = command(
        commands, "doctor", "check what this computer offers", _DOCTOR_EXAMPLES
    )
    parser.description = (
        "Check that everything here is as routenotify wants it: the system, rights,\n"
        "the receive buffer and how much it holds, settings with consequences, who\n"
        "else lost messages; and test itself on real routes in a private namespace."
    )
    parser.set_defaults(run=_doctor)
    add_json(parser, "a JSON object")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)


def _doctor(arguments: argparse.Namespace) -> int:
    from routenotify._cli._doctor import doctor

    return doctor(arguments)


def _add_completion(commands: Commands) -> None:
    parser = command(
        commands,
        "completion",
        "print a shell's completion script",
        _COMPLETION_EXAMPLES,
    )
    parser.description = (
        "Print a script that makes SHELL complete routenotify's command line."
    )
    parser.set_defaults(run=_completion)
    parser.add_argument(
        "shell", choices=("bash", "zsh", "fish"), metavar="{bash,zsh,fish}"
    )


def _completion(arguments: argparse.Namespace) -> int:
    from routenotify._cli._completion import completion

    return completion(arguments)
