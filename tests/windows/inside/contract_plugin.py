"""Runs tests/contract against the double: its `system`, under Wine."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import contract_host
import pytest
from doublelab import ADD, DELETE, INDEX_1, PARAMETER, Double, Row, row

import routenotify

globals().update(contract_host.fixtures())

INTERNAL_ERROR = 1359


class WindowsSystem:
    """What tests/contract/conftest.py promises of a system."""

    interface = "Ethernet 2"
    interface_index = INDEX_1
    source = "192.0.2.1"

    def __init__(self, double: Double) -> None:
        """With a table of its own."""
        self._double = double
        self._routes: dict[str, Row] = {}

    def add(self, destination: str, via: str | None = None) -> None:
        """Add a route through the interface."""
        self._routes[destination] = row(destination, via, Metric=0)
        assert self._double.change(self._routes[destination], ADD)

    def add_many(self, destinations: list[str]) -> None:
        """Add routes through the interface as fast as they can be."""
        for destination in destinations:
            self.add(destination)

    def change(self, destination: str) -> None:
        """Change an attribute, and no part of the key."""
        self._routes[destination].Metric += 1
        assert self._double.change(self._routes[destination], PARAMETER)

    def remove(self, destination: str) -> None:
        """Remove it."""
        assert self._double.change(self._routes.pop(destination), DELETE)

    def settle(self, *monitors: routenotify.RouteMonitor) -> None:
        """Nothing to wait for: a change has been told when it is made."""


class PatientPopen(subprocess.Popen[Any]):
    """Starts a process once more when Wine fails to, as it does once in many runs.

    On a busy machine its CreateProcess may say ERROR_INTERNAL_ERROR, of which
    Windows knows nothing there.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        for attempt in range(3):
            try:
                super().__init__(*args, **options)
            except OSError as error:
                if error.winerror != INTERNAL_ERROR or attempt == 2:
                    raise
                print(f"CreateProcess: {error}: once more", file=sys.stderr)
            else:
                return


def pytest_configure(config: pytest.Config) -> None:
    """Register what the tests are marked with."""
    contract_host.add_markers(config)
    subprocess.Popen = PatientPopen  # type: ignore[misc]


@pytest.fixture(autouse=True)
def double() -> Iterator[Double]:
    """The double, with an empty table; nothing may be left open."""
    made = Double()
    made.set_table()
    before = made.stats
    yield made
    made.set_table()
    after = made.stats

    assert made.drop_all() == 0
    for name in ("self_cancels", "double_cancels", "bad_cancels", "touched"):
        assert getattr(after, name) == getattr(before, name), name


@pytest.fixture
def system(double: Double) -> WindowsSystem:
    """The system whose changes a plain monitor reports."""
    return WindowsSystem(double)
