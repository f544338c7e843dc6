"""Make the harness importable for the tests beside it, and name its marker."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from replaylab.lab import Lab
from replaylab.space import Space


def pytest_configure(config: pytest.Config) -> None:
    """A marker that may be unknown otherwise."""
    config.addinivalue_line("markers", "slow: minutes; run with ROUTENOTIFY_SLOW=1")


@pytest.fixture
def lab() -> Iterator[Lab]:
    """Two devices; the test opens the monitor when it is ready."""
    with Space() as space:
        made = Lab(space)
        yield made
        made.close()
