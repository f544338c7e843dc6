"""Tests that run in Windows Python against the double of iphlpapi."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from doublelab import Double, Mode


@pytest.fixture(scope="session")
def _double() -> Double:
    return Double()


@pytest.fixture(autouse=True)
def double(_double: Double, request: pytest.FixtureRequest) -> Iterator[Double]:
    """The double, in its normal mode; checks afterwards what nobody may do."""
    _double.mode(Mode.NORMAL)
    _double.set_table()
    before = _double.stats
    yield _double
    _double.join(stop=True)
    for api in range(8):
        _double.dll.rnd_inject(api, 0, 0)
    left = _double.drop_all()
    after = _double.stats
    marker = request.node.get_closest_marker("leaks")
    assert left == (marker.args[0] if marker else 0), "registrations left open"
    assert after.tables == 0, "tables not freed"
    for name in ("self_cancels", "double_cancels", "bad_cancels", "touched"):
        assert getattr(after, name) == getattr(before, name), name
    assert after.bad_frees == 0


@pytest.fixture
def seed() -> int:
    """Printed; ROUTENOTIFY_TEST_SEED repeats it."""
    given = os.environ.get("ROUTENOTIFY_TEST_SEED")
    value = int(given, 0) if given else random.SystemRandom().randrange(1 << 31)
    print(f"ROUTENOTIFY_TEST_SEED={value}")
    return value
