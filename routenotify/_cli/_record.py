"""`routenotify record` and `routenotify replay`: changes into a file and out of it."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, BinaryIO

from routenotify import ChangeType, MonitorStats, RouteChange, RouteMonitor, replay
from routenotify._cli._format import text_of
from routenotify._cli._options import (
    Commands,
    add_family,
    add_json,
    add_limits,
    add_netns,
    command,
    count,
    factor,
    netns_of,
)
from routenotify._cli._progress import progress
from routenotify._cli._signals import terminating_as_ctrl_c
from routenotify._recording._open import Writer, format_of_name, writer

_SLICE = 3600.0  # seconds of one wait

_RECORD_EXAMPLES = """\
examples:
  routenotify record routes.rtmon               until Ctrl-C
  routenotify record --duration 60 storm.jsonl
  routenotify record - | gzip > routes.rtmon.gz
  ip monitor file routes.rtmon                  iproute2 reads it too
"""
_REPLAY_EXAMPLES = """\
examples:
  routenotify replay routes.rtmon
  routenotify replay --speed 10 --changes storm.jsonl
  gunzip < routes.rtmon.gz | routenotify replay -
  rtmon file kernel.rtmon route & sleep 60; kill $!; routenotify replay kernel.rtmon
"""


def add_record(commands: Commands) -> None:
    """Add `record` to the program's commands."""
    parser = command(commands, "record", "write changes to a file", _RECORD_EXAMPLES)
    parser.description = (
        "Write the table, then each change, to FILE, until Ctrl-C or SIGTERM. The\n"
        "format is rtmon's, or JSON lines if the name of FILE ends in .jsonl, .ndjson\n"
        "or .json."
    )
    parser.set_defaults(run=record)
    parser.add_argument("file", metavar="FILE", help="is overwritten; -: stdout")
    parser.add_argument(
        "--format", choices=("json", "rtmon"), help="whatever the name of FILE"
    )
    add_family(parser)
    add_json(parser, "the summary as a JSON object")
    add_netns(parser)
    add_limits(parser, "changes")
    parser.add_argument(
        "--changes", action="store_true", help="without the table at the start"
    )


def add_replay(commands: Commands) -> None:
    """Add `replay` to the program's commands."""
    parser = command(commands, "replay", "print a recording", _REPLAY_EXAMPLES)
    parser.description = (
        "Print the changes of FILE, which `record`, rtmon or `watch --json` made, one\n"
        "line each, as `watch` does."
    )
    parser.set_defaults(run=print_replay)
    parser.add_argument(
        "file", metavar="FILE", help="its first bytes tell the format; -: stdin"
    )
    parser.add_argument(
        "--speed",
        type=factor,
        metavar="X",
        help="X times as fast as it was recorded; without it as fast as it goes",
    )
    add_family(parser)
    add_json(parser, "one JSON object per line")
    parser.add_argument("--count", type=count, metavar="N", help="end after N lines")
    parser.add_argument(
        "--changes", action="store_true", help="without the table at the start"
    )


# --- record


@dataclass
class Recorded:
    """What went into the file."""

    routes: int = 0  # of the table at the start
    changes: int = 0
    bytes: int = 0
    seconds: float = 0.0

    def add(self, change: RouteChange) -> None:
        """Count one: on Windows a change can come before the table is complete."""
        if change.type < ChangeType.SNAPSHOT_END:
            if change.cause == "snapshot":
                self.routes += 1
            else:
                self.changes += 1


def record(arguments: argparse.Namespace) -> int:
    """Record changes until --count, --duration, Ctrl-C or SIGTERM ends it."""
    kind = arguments.format or format_of_name(arguments.file)
    done = Recorded()
    with (
        terminating_as_ctrl_c(),
        RouteMonitor(
            arguments.family,
            snapshot=not arguments.changes,
            markers=True,
            **netns_of(arguments),
        ) as monitor,
        _opened(arguments.file) as file,  # overwritten only once there is a monitor
    ):
        out = writer(file, kind)
        started = time.monotonic()
        with contextlib.suppress(KeyboardInterrupt):
            if sys.stderr.isatty():
                print("recording; Ctrl-C ends it", file=sys.stderr, flush=True)
            _record(monitor, file, out, arguments, done)
        file.flush()
        done.seconds = time.monotonic() - started
        done.bytes = out.written
        stats = monitor.stats
        told_to = sys.stderr if _is_stdout(file) else sys.stdout
    print(_summary(arguments, kind, done, stats), file=told_to)
    return 0


def _opened(path: str) -> contextlib.AbstractContextManager[BinaryIO]:
    if path == "-":
        return contextlib.nullcontext(sys.stdout.buffer)
    return open(path, "wb")


def _is_stdout(file: IO[bytes]) -> bool:
    """Is it where stdout goes, by whatever name?"""
    try:
        return os.path.sameopenfile(file.fileno(), sys.stdout.fileno())
    except OSError:  # stdout is an object of Python's own, or closed
        return False


def _record(
    monitor: RouteMonitor,
    file: BinaryIO,
    out: Writer,
    arguments: argparse.Namespace,
    done: Recorded,
) -> None:
    if not arguments.changes:
        with progress("recording the table", monitor.stats.queued) as bar:
            for change in iter(monitor.get, None):
                out.write(change)
                done.add(change)
                bar.update(done.routes)
                if change.type == ChangeType.SNAPSHOT_END:
                    break
    most = math.inf if arguments.count is None else arguments.count
    if done.changes >= most:
        return
    for change in _changes(monitor, arguments.duration, file):
        out.write(change)
        done.add(change)
        if done.changes >= most:
            return


def _changes(
    monitor: RouteMonitor, duration: float | None, file: BinaryIO
) -> Iterator[RouteChange]:
    """Yield what comes within duration seconds; before each wait flush the file."""
    end = math.inf if duration is None else time.monotonic() + duration
    while (left := end - time.monotonic()) > 0:
        change = monitor.poll()
        if change is None:
            file.flush()  # also for whoever reads the file meanwhile
            try:
                change = monitor.get(timeout=min(left, _SLICE))
            except TimeoutError:
                continue
        yield change


def _summary(
    arguments: argparse.Namespace, kind: str, done: Recorded, stats: MonitorStats
) -> str:
    if arguments.json:
        summary = {
            "file": arguments.file,
            "format": kind,
            "routes": done.routes,
            "changes": done.changes,
            "bytes": done.bytes,
            "seconds": round(done.seconds, 3),
            "conflated": stats.conflated,
            "overruns": stats.overruns,
        }
        return json.dumps(summary)
    told = (
        f"{arguments.file}: {done.routes} routes, {done.changes} changes, "
        f"{done.bytes} bytes in {done.seconds:.1f} s"
    )
    if stats.conflated:
        told += f", {stats.conflated} merged into others"
    if stats.overruns:
        told += f", {stats.overruns} overruns repaired"
    return told


# --- replay


def recording_of(file: str) -> str | int:
    """What replay() is to read when FILE is asked for; `-` is stdin.

    Raises:
        OSError: stdin is closed.
    """
    if file != "-":
        return file
    if sys.stdin is None:  # Python has none for a closed descriptor
        raise OSError("-: standard input is closed")
    return sys.stdin.fileno()


def print_replay(arguments: argparse.Namespace) -> int:
    """Print what a recording has, until its end, --count or Ctrl-C."""
    to_text = text_of(arguments, sys.stdout)
    printed = 0
    with replay(
        recording_of(arguments.file), speed=arguments.speed, family=arguments.family
    ) as monitor:
        at_once = arguments.speed is not None or not monitor.size  # a pipe
        seen = 0 if sys.stdout.isatty() else monitor.size  # lines show it already
        with progress("replaying", seen) as bar:
            for change in monitor:
                bar.update(monitor.offset)
                if arguments.changes and change.cause == "snapshot":
                    continue
                print(to_text(change), flush=at_once)
                printed += 1
                if printed == arguments.count:
                    break
    return 0
