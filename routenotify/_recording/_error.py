"""What is wrong with a recording, and where in the file."""

from __future__ import annotations

from routenotify._errors import ERROR_INVALID_DATA, RouteNotifyError


class RecordingError(RouteNotifyError, ValueError):
    """A file is no recording, or is damaged from some byte on.

    Attributes:
        path: The file.
        offset: Where it goes wrong, in bytes from its start; what came
            before was delivered.
    """

    path: str
    offset: int


def damaged(path: str, offset: int, why: str) -> RecordingError:
    """The error for a file that is wrong at an offset."""
    detail = f"{path!r}: offset {offset}: {why}"
    error = RecordingError(ERROR_INVALID_DATA, "replay", detail)
    error.path = path
    error.offset = offset
    return error
