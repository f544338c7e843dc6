"""What can fail; imported by the extension, so free of it until one is made."""

from __future__ import annotations

import errno as _errno
import os
import sys

NO_ERROR = 0
ERROR_FILE_NOT_FOUND = 2
ERROR_TOO_MANY_OPEN_FILES = 4
ERROR_ACCESS_DENIED = 5
ERROR_INVALID_HANDLE = 6
ERROR_NOT_ENOUGH_MEMORY = 8
ERROR_INVALID_DATA = 13
ERROR_NOT_SUPPORTED = 50
ERROR_INVALID_PARAMETER = 87
ERROR_NOT_FOUND = 1168
ERROR_NETWORK_UNREACHABLE = 1231
ERROR_HOST_UNREACHABLE = 1232
ERROR_TIMEOUT = 1460

# For failures that no system call caused. Where one did, its errno is kept.
_ERRNO = {
    ERROR_FILE_NOT_FOUND: _errno.ENOENT,
    ERROR_TOO_MANY_OPEN_FILES: _errno.EMFILE,
    ERROR_ACCESS_DENIED: _errno.EACCES,
    ERROR_INVALID_HANDLE: _errno.EBADF,
    ERROR_NOT_ENOUGH_MEMORY: _errno.ENOMEM,
    ERROR_INVALID_DATA: _errno.EINVAL,
    ERROR_NOT_SUPPORTED: _errno.EOPNOTSUPP,
    ERROR_INVALID_PARAMETER: _errno.EINVAL,
    ERROR_NOT_FOUND: _errno.ENOENT,
    ERROR_NETWORK_UNREACHABLE: _errno.ENETUNREACH,
    ERROR_HOST_UNREACHABLE: _errno.EHOSTUNREACH,
    ERROR_TIMEOUT: _errno.ETIMEDOUT,
}


def _text(code: int, errno: int) -> str:
    from routenotify._routenotify import error_text  # it imports this module

    return error_text(code) or os.strerror(errno)


class RouteNotifyError(OSError):
    """Something of this package failed.

    Attributes:
        code: The Win32 error number, on Linux too.
        call: What failed: a function of netioapi, a method, a system call.
        detail: Which argument and why, or "".
        errno: As every OSError has it; on Linux the failing call's own.
    """

    code: int
    call: str
    detail: str

    def __init__(
        self, code: int, call: str, detail: str = "", errno: int | None = None
    ) -> None:
        """Make one.

        Args:
            code: The Win32 error number.
            call: What failed.
            detail: Which argument and why.
            errno: The system call's; by default the one nearest to code.
        """
        known = errno or _ERRNO.get(code, _errno.EIO)
        text = _text(code, known)
        if sys.platform == "win32":
            super().__init__(0, text, None, code)
        else:
            super().__init__(known, text)
        self.code = code
        self.call = call
        self.detail = detail

    def __str__(self) -> str:
        """Call, argument, the system's text, numbers."""
        detail = f"{self.detail}. " if self.detail else ""
        name = _errno.errorcode.get(self.errno or 0, "")
        numbers = f"error {self.code}" + (f", {name}" if name else "")
        return f"{self.call}: {detail}{self.strerror} ({numbers})"

    def __reduce__(self) -> tuple[object, ...]:
        """For pickle and copy."""
        arguments = (self.code, self.call, self.detail, self.errno)
        return type(self), arguments, self.__dict__


class InvalidParameter(RouteNotifyError, ValueError):
    """An argument cannot be right (87); the message says which and why."""


class NotEnoughMemory(RouteNotifyError, MemoryError):
    """Memory, descriptors (4) or the like ran out (8)."""


class RouteNotFound(RouteNotifyError, LookupError):
    """The system has no such route, or no longer (1168).

    `best_route` on Windows: or none that leads there (1231, 1232).
    """


class WaitTimeout(RouteNotifyError, TimeoutError):
    """Nothing came in time (1460)."""


class AccessDenied(RouteNotifyError, PermissionError):
    """The system forbids it (5)."""


class NotSupported(RouteNotifyError, NotImplementedError):
    """This platform, or this system, cannot do it (50)."""


class MonitorClosed(RouteNotifyError):
    """The monitor is closed and everything queued was taken.

    `code` is ERROR_INVALID_HANDLE (6) after close() or fork(), else why the
    system ended the notifications.
    """


_KINDS: dict[int, type[RouteNotifyError]] = {
    ERROR_TOO_MANY_OPEN_FILES: NotEnoughMemory,
    ERROR_ACCESS_DENIED: AccessDenied,
    ERROR_NOT_ENOUGH_MEMORY: NotEnoughMemory,
    ERROR_NOT_SUPPORTED: NotSupported,
    ERROR_INVALID_PARAMETER: InvalidParameter,
    ERROR_NOT_FOUND: RouteNotFound,
    ERROR_NETWORK_UNREACHABLE: RouteNotFound,
    ERROR_HOST_UNREACHABLE: RouteNotFound,
    ERROR_TIMEOUT: WaitTimeout,
}


def make_error(
    code: int, call: str, detail: str = "", errno: int = 0
) -> RouteNotifyError:
    """The exception of the kind a code stands for; the extension calls it."""
    return _KINDS.get(code, RouteNotifyError)(code, call, detail, errno or None)
