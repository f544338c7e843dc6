"""Nothing here runs in a build whose calls do not fail when they are told to."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "replay")]

WHY = "calls fail on demand only in a build with ROUTENOTIFY_TEST_FAULTS=1"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip in other builds, unless this must be such a one."""
    import faultlab

    if faultlab.can_fail() or os.environ.get("ROUTENOTIFY_REQUIRE_FAULTS") == "1":
        return
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=WHY))
