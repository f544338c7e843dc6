"""`routenotify plot`: churn, flapping prefixes and table size as a picture."""

from __future__ import annotations

import argparse
import contextlib
import errno
import json
import os
import time

from routenotify import RouteMonitor, replay
from routenotify._cli._options import (
    Commands,
    UsageError,
    add_family,
    add_netns,
    command,
    count,
    netns_of,
    seconds,
)
from routenotify._cli._progress import progress
from routenotify._cli._record import recording_of
from routenotify._cli._signals import terminating_as_ctrl_c
from routenotify._cli._story import Story
from routenotify._errors import ERROR_INVALID_PARAMETER

_EXAMPLES = """\
examples:
  routenotify plot storm.rtmon -o storm.png
  routenotify plot live --seconds 300 -o churn.svg
  routenotify plot storm.rtmon --json | jq '.flaps[0]'

It needs matplotlib, but not for --json: pip install 'routenotify[cli]'.
"""
_SLICE = 0.25  # seconds between two looks of the bar while nothing changes


def add_plot(commands: Commands) -> None:
    """Add `plot` to the program's commands."""
    parser = command(commands, "plot", "draw a recording", _EXAMPLES)
    parser.description = (
        "Draw the changes of a recording, or of the next --seconds, over time, the\n"
        "destinations that flap most, and the size of the table."
    )
    parser.set_defaults(run=plot)
    parser.add_argument(
        "source",
        metavar="FILE|live",
        help="a recording (-: stdin), or `live`: this system (a file: ./live)",
    )
    wanted = parser.add_mutually_exclusive_group(required=True)
    wanted.add_argument(
        "-o",
        "--output",
        metavar="PICTURE",
        help="its suffix tells the format: .png, .svg, .pdf",
    )
    wanted.add_argument(
        "--json",
        action="store_true",
        help="print the numbers instead, as a JSON object",
    )
    parser.add_argument(
        "--seconds",
        type=seconds,
        metavar="N",
        default=60.0,
        help="live: how long to follow the changes (default: 60)",
    )
    parser.add_argument(
        "--top",
        type=count,
        metavar="N",
        default=12,
        help="how many flapping destinations to show (default: 12)",
    )
    add_family(parser)
    add_netns(parser)


def plot(arguments: argparse.Namespace) -> int:
    """Read or follow the changes, then draw them."""
    if not arguments.json:
        _check_library(arguments.output)  # not after a minute of following
        _check_place(arguments.output)
    story = Story()
    if arguments.source == "live":
        title = _follow(story, arguments)
    else:
        title = _read(story, arguments)
    if arguments.json:
        print(json.dumps(story.to_json(arguments.top)))
        return 0
    from routenotify._cli._picture import picture

    figure = picture(story, title, arguments.top)
    figure.savefig(arguments.output)
    told = f"{story.counts.total()} changes in {story.seconds:.1f} s"
    if story.merged:
        told += f", {story.merged} merged into others"
    print(f"{arguments.output}: {told}")
    return 0


def _check_library(output: str) -> None:
    """Refuse at once what could not be drawn later.

    Raises:
        OSError: matplotlib is missing.
        UsageError: It does not know the picture's suffix.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
    except ImportError as missing:
        raise OSError(
            f"plot needs matplotlib ({missing}): pip install 'routenotify[cli]'"
        ) from None
    # matplotlib knows pgf as well, for which it needs TeX: told when it draws.
    names = FigureCanvasAgg.get_supported_filetypes().keys() - {"pgf"}
    known = sorted(f".{name}" for name in names)
    if not output.lower().endswith(tuple(known)):
        wanted = f"{output!r}: a picture's name ends in {', '.join(known)}"
        raise UsageError(ERROR_INVALID_PARAMETER, "plot", wanted)


def _check_place(output: str) -> None:
    """Refuse at once a place where no picture can be written.

    Raises:
        OSError: Its folder is missing, or it may not be written.
    """
    folder = os.path.dirname(output) or os.curdir
    if not os.path.isdir(folder):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), output)
    if not os.access(output if os.path.exists(output) else folder, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), output)


def _follow(story: Story, arguments: argparse.Namespace) -> str:
    """Take in what changes from now on; return the picture's title."""
    wanted = arguments.seconds
    with (
        contextlib.suppress(KeyboardInterrupt),
        terminating_as_ctrl_c(),
        RouteMonitor(arguments.family, snapshot=True, **netns_of(arguments)) as monitor,
        progress("following changes", int(wanted * 1000)) as bar,
    ):
        start = time.monotonic()
        while (passed := time.monotonic() - start) < wanted:
            bar.update(int(passed * 1000))
            with contextlib.suppress(TimeoutError):
                story.add(monitor.get(timeout=min(wanted - passed, _SLICE)))
            for change in monitor.drain():
                story.add(change)
    story.until(time.time_ns())
    return "Route changes of this system"


def _read(story: Story, arguments: argparse.Namespace) -> str:
    """Take in a recording; return the picture's title."""
    with (
        replay(recording_of(arguments.source), family=arguments.family) as monitor,
        progress("reading", monitor.size) as bar,
    ):
        for change in monitor:
            story.add(change)
            bar.update(monitor.offset)
    name = "standard input" if arguments.source == "-" else arguments.source
    return f"Route changes of {name}"
