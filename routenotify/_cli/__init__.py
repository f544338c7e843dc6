"""The command line: `routenotify COMMAND`; _args.py has the commands."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence

from routenotify._cli._args import parse
from routenotify._cli._options import UsageError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that argv asks for.

    Args:
        argv: the words after the program's name; those of this process if None.

    Returns:
        The exit status: 0 as asked, 1 failed, 2 a word is wrong, 130 interrupted.

    Raises:
        SystemExit: status 2, the arguments are wrong; status 0, help was asked for.
    """
    _have_streams()
    try:
        return _run(argv)
    except BrokenPipeError:
        return 0
    except KeyboardInterrupt:
        return 130
    except OSError as error:  # every RouteNotifyError is one
        with contextlib.suppress(OSError):  # a terminal that has gone
            print(f"routenotify: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    finally:
        _forget_what_cannot_be_written()


def _run(argv: Sequence[str] | None) -> int:
    try:
        arguments = parse(argv)
        status: int = arguments.run(arguments)
    except SystemExit:  # help or version has been printed
        sys.stdout.flush()
        raise
    sys.stdout.flush()
    return status


def _have_streams() -> None:
    """Have a stdout and a stderr that take any text.

    Python has none for a closed descriptor, and names of interfaces may have
    characters that the encoding lacks.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        reconfigure = getattr(getattr(sys, name), "reconfigure", None)
        if reconfigure is not None:  # not of an io.StringIO
            reconfigure(errors="backslashreplace")


def _forget_what_cannot_be_written() -> None:
    """Send it nowhere: at exit Python would try again, and complain."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
