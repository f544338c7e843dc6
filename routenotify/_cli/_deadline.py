"""How long something goes on."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator


def remaining(seconds: float | None) -> Iterator[float]:
    """Yield the seconds that are left, above 0, each time they are asked for.

    Args:
        seconds: from now on; None: for ever, and what is left is infinite.
    """
    end = math.inf if seconds is None else time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        yield left
