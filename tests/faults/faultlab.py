"""The sites of faults.h from Python: what can fail, arming it, what is still held."""

from __future__ import annotations

import ctypes
import os
import typing

import rnlab

from routenotify import _routenotify


class Site(ctypes.Structure):
    """struct rn_fault_site: one place in the C files from which a call is made."""

    _fields_: typing.ClassVar = [
        ("_call", ctypes.c_char_p),
        ("_file", ctypes.c_char_p),
        ("_function", ctypes.c_char_p),
        ("line", ctypes.c_int),
        ("error", ctypes.c_int),
        ("passes", ctypes.c_uint),
        ("left", ctypes.c_uint),
        ("reached", ctypes.c_uint),
        ("failed", ctypes.c_uint),
    ]

    @property
    def call(self) -> str:
        """What is called; every allocation is "malloc"."""
        return str(self._call.decode())

    @property
    def file(self) -> str:
        """The C file's name, without its folder."""
        return os.path.basename(self._file.decode())

    @property
    def function(self) -> str:
        """The C function; "" before it was ever reached."""
        return (self._function or b"").decode()

    def __str__(self) -> str:
        """As a compiler names a place."""
        return f"{self.file}:{self.line} {self.call}() in {self.function or '?'}"

    def arm(self, error: int, after: int = 0, times: int = 1) -> None:
        """Have `times` calls fail with errno `error`, after `after` good ones."""
        self.left = 0
        self.error = error
        self.passes = after
        self.left = times

    def disarm(self) -> None:
        """Have it do what it is there for."""
        self.left = self.passes = 0


def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(_routenotify.__file__)
    library.rn_fault_at.restype = ctypes.POINTER(Site)
    library.rn_fault_blocks.restype = ctypes.c_long
    return library


def can_fail() -> bool:
    """Is this a build in which calls fail when they are told to?"""
    return hasattr(ctypes.CDLL(_routenotify.__file__), "rn_fault_count")


def sites() -> list[Site]:
    """Every site of the extension, also those that nothing ever reached."""
    library = _library()
    return [library.rn_fault_at(at).contents for at in range(library.rn_fault_count())]


class Held(typing.NamedTuple):
    """What the process holds: all of it must be given back in the end."""

    descriptors: list[str]
    threads: int
    blocks: int


def held() -> Held:
    """What is held now."""
    descriptors = []
    for name in os.listdir("/proc/self/fd"):
        try:
            descriptors.append(f"{name}: {os.readlink(f'/proc/self/fd/{name}')}")
        except FileNotFoundError:  # the one of the listing itself
            continue
    return Held(
        sorted(descriptors),
        rnlab.threads(),
        _library().rn_fault_blocks(),
    )
