"""Tests that need third-party packages: those of the extra `test-full`.

Where a package is missing its tests are skipped and say so; with
ROUTENOTIFY_REQUIRE_EXTRAS=1, as in CI's leg `extras`, any skip here is a failure.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from pathlib import Path
from typing import TypeVar

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))  # rows.py

REQUIRED = os.environ.get("ROUTENOTIFY_REQUIRE_EXTRAS") == "1"

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


def _no_skip(report: Report) -> Report:
    if report.skipped and REQUIRED:
        report.outcome = "failed"
        report.longrepr = f"skipped, but required: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Make a skipped test a failure where the packages must be there."""
    return _no_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Likewise a module that is skipped as a whole, by `pytest.importorskip`."""
    return _no_skip((yield))
