"""Make the harness importable for the tests beside it, and name its marker."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


def pytest_configure(config: pytest.Config) -> None:
    """A marker that may be unknown otherwise."""
    config.addinivalue_line("markers", "slow: minutes; run with ROUTENOTIFY_SLOW=1")
