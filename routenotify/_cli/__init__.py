"""The command line: watch, routes, get and demo."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from routenotify._cli._args import parse


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that argv asks for.

    Args:
        argv: the words after the program's name; those of this process if None.

    Returns:
        The exit status: 0 as asked, 1 failed, 130 interrupted.

    Raises:
        SystemExit: status 2, the arguments are wrong; status 0, help was asked for.
    """
    arguments = parse(argv)
    try:
        status: int = arguments.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        _forget_stdout()
        return 0
    except KeyboardInterrupt:
        return 130
    except OSError as error:  # every RouteNotifyError is one
        print(f"routenotify: {error}", file=sys.stderr)
        return 1
    return status


def _forget_stdout() -> None:
    """Send what is still buffered nowhere: its reader is gone."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
