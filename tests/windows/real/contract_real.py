"""Runs tests/contract on a real Windows: its `system`; load it with -p."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import contract_host
import pytest
import realsystem

globals().update(contract_host.fixtures())


def pytest_configure(config: pytest.Config) -> None:
    """Register what the tests are marked with."""
    contract_host.add_markers(config)


@pytest.fixture
def system() -> Iterator[realsystem.WindowsSystem]:
    """The system whose changes a plain monitor reports."""
    if not realsystem.elevated():
        pytest.fail("changing routes needs an elevated process")
    made = realsystem.WindowsSystem()
    yield made
    made.clear()
