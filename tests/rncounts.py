"""For pytest -p rncounts, in a build that counts: forks that end by _exit count too.

What libgcov has counted is written when a process ends in the ordinary way, which a
child of a test's fork does not.
"""

from __future__ import annotations

import ctypes
import os
from typing import NoReturn

from routenotify import _routenotify

_end = os._exit
_dump = ctypes.CDLL(_routenotify.__file__).rn_gcov_dump


def _exit(status: int) -> NoReturn:
    _dump()
    _end(status)


os._exit = _exit
