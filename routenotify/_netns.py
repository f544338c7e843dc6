"""Network namespaces, by what people call them, and open (Linux)."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Final, NamedTuple, TypeAlias

from routenotify._arguments import invalid, wrong_type
from routenotify._errors import (
    ERROR_ACCESS_DENIED,
    ERROR_FILE_NOT_FOUND,
    ERROR_INVALID_PARAMETER,
    ERROR_NOT_SUPPORTED,
    InvalidParameter,
    RouteNotifyError,
    make_error,
)

if sys.platform == "linux":
    import fcntl

NetworkNamespace: TypeAlias = str | os.PathLike[str] | os.PathLike[bytes] | int

_NAMES: Final = "/run/netns"  # where `ip netns add` puts them
_OF_THREAD: Final = "/proc/thread-self/ns/net"
_OF_PROCESS: Final = "/proc/self/ns/net"
_NS_GET_NSTYPE: Final = 0xB703  # ioctl_ns(2)
_CLONE_NEWNET: Final = 0x40000000


class Opened(NamedTuple):
    """An open namespace, and the name under which it may vanish."""

    fd: int = -1
    path: bytes | None = None  # as the system has it: in no encoding


@contextlib.contextmanager
def opened_netns(netns: NetworkNamespace | None, call: str) -> Iterator[Opened]:
    """The namespace, open while inside; fd -1 for the process's own.

    Args:
        netns: What the caller named it by; None: the one of the calling thread.
        call: The function it is an argument of, for errors.

    Raises:
        AccessDenied: It may not be opened.
        InvalidParameter: It is no network namespace.
        NotSupported: This is not Linux.
        RouteNotifyError: There is none of that name.
    """
    space = Opened(_open_own()) if netns is None else _open(netns, call)
    try:
        yield space
    finally:
        if space.fd >= 0:
            os.close(space.fd)


def _open_own() -> int:
    """Of a thread that has left the process's: rows are read by other threads."""
    with contextlib.suppress(OSError):
        if os.stat(_OF_THREAD).st_ino != os.stat(_OF_PROCESS).st_ino:
            return os.open(_OF_THREAD, os.O_RDONLY | os.O_CLOEXEC)
    return -1


def _path_of(netns: NetworkNamespace, call: str) -> str:
    """A pid, a path (anything with a slash), or a name of `ip netns`."""
    if sys.platform != "linux":
        raise make_error(ERROR_NOT_SUPPORTED, call, "netns is for Linux only")
    if isinstance(netns, int) and not isinstance(netns, bool):
        if netns <= 0:
            raise invalid(call, "netns", netns, "is no process id")
        return f"/proc/{netns}/ns/net"
    if isinstance(netns, os.PathLike):
        return os.fsdecode(netns)
    if not isinstance(netns, str):
        raise wrong_type(call, "netns", netns, "a name, a path, a process id or None")
    if "/" in netns:
        return netns
    if netns in ("", ".", "..") or "\0" in netns:
        raise invalid(call, "netns", netns, "is no name")
    return f"{_NAMES}/{netns}"


def _open(netns: NetworkNamespace, call: str) -> Opened:
    path = _path_of(netns, call)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise _error(error, call, f"netns={netns!r}: {path!r}") from None
    if not _is_network_namespace(fd):
        os.close(fd)
        raise invalid(call, "netns", netns, "is no network namespace")
    return Opened(fd, os.fsencode(path))


def _is_network_namespace(fd: int) -> bool:
    """Whether it is one; a kernel before Linux 4.11 cannot say of what kind."""
    with contextlib.suppress(OSError):
        if os.fstat(fd).st_dev != os.stat(_OF_PROCESS).st_dev:
            return False
        return fcntl.ioctl(fd, _NS_GET_NSTYPE) == _CLONE_NEWNET
    return True


def _error(error: OSError | ValueError, call: str, which: str) -> RouteNotifyError:
    if isinstance(error, PermissionError):
        detail = f"{which} may not be opened"
        return make_error(ERROR_ACCESS_DENIED, call, detail, error.errno or 0)
    if isinstance(error, FileNotFoundError | ProcessLookupError):
        detail = f"{which} does not exist"
        return make_error(ERROR_FILE_NOT_FOUND, call, detail, error.errno or 0)
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return InvalidParameter(
        ERROR_INVALID_PARAMETER, call, f"{which} cannot be opened ({reason})"
    )
