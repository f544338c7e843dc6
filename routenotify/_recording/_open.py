"""A recording's file, whatever its format: by its suffix or by its first bytes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from io import BufferedReader
from typing import BinaryIO, Final, Literal, TypeAlias

from routenotify._recording._error import damaged
from routenotify._recording._json import JsonReader, JsonWriter
from routenotify._recording._netlink import looks_right
from routenotify._recording._rtmon import RtmonReader, RtmonWriter

Format: TypeAlias = Literal["json", "rtmon"]
Reader: TypeAlias = JsonReader | RtmonReader
Writer: TypeAlias = JsonWriter | RtmonWriter

_JSON_SUFFIXES: Final = (".json", ".jsonl", ".ndjson")


def format_of_name(path: str) -> Format:
    """The format that a name asks for; rtmon's if its suffix says nothing."""
    suffix = os.path.splitext(path)[1].lower()
    return "json" if suffix in _JSON_SUFFIXES else "rtmon"


def writer(file: BinaryIO, kind: Format) -> Writer:
    """What writes changes to a file, in a format."""
    return JsonWriter(file) if kind == "json" else RtmonWriter(file)


def reader(file: BufferedReader, path: str, names: dict[int, str]) -> Reader:
    """What reads a file's records; its first bytes tell the format.

    Args:
        file: open for reading bytes, buffered, at its start.
        path: its name, for errors.
        names: gets the interfaces' names by their numbers, as they come.

    Raises:
        RecordingError: It is no recording.
    """
    start = file.peek(16)[:16]
    if start.lstrip()[:1] == b"{":
        return JsonReader(file, path, names)
    if len(start) < 16 or looks_right(start):
        return RtmonReader(file, path, names)
    why = "neither rtmon's format nor JSON lines: it starts with " + repr(start)
    raise damaged(path, 0, why)


def records(source: Reader) -> Iterator[bytes]:
    """The records of a file's reader(), in order.

    Raises:
        RecordingError: From here on the file is damaged, in whatever way.
        OSError: It cannot be read.
    """
    try:
        yield from source
    except (OSError, MemoryError):
        raise  # a RecordingError too
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        raise damaged(source.path, source.offset, why) from error
