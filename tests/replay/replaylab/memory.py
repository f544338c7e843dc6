"""Makes the library's own allocations fail, in a build that lets tests do so.

That is one made with ROUTENOTIFY_TEST_ALLOC=1; see src/rn_alloc.h.
"""

import ctypes

from routenotify import _routenotify


def _counter(name: str) -> ctypes.c_long:
    return ctypes.c_long.in_dll(ctypes.CDLL(_routenotify.__file__), name)


def can_fail() -> bool:
    """Is this such a build?"""
    try:
        _counter("rn_alloc_calls")
    except ValueError:
        return False
    return True


def fail(after: int) -> None:
    """From the allocation with this number on (1: the next) all fail; 0: none."""
    calls = _counter("rn_alloc_calls").value
    _counter("rn_alloc_fail_at").value = calls + after if after else 0
