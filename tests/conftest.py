"""Every test process lives in a private network namespace.

A test that needs the kernel is marked `kernel`, or takes the `netns` fixture,
which marks it.  Where the system gives no namespace those tests are skipped
and say why; with ROUTENOTIFY_REQUIRE_KERNEL=1, as in CI, the run fails.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import rnlab

_forbidden = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Leave the machine's namespace before a test, or a thread, exists."""
    config.addinivalue_line("markers", "kernel: needs a namespace with real routes")
    config.addinivalue_line("markers", "timeout(seconds): for pytest-timeout")
    try:
        rnlab.isolate()
    except rnlab.ForbiddenError as reason:
        config.stash[_forbidden] = str(reason)
        if rnlab.REQUIRED:
            pytest.exit(f"kernel tests cannot run: {reason}", returncode=3)


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Mark the users of `netns`; skip what cannot run."""
    reason = config.stash.get(_forbidden, "")
    for item in items:
        if "netns" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.kernel)
        if reason and item.get_closest_marker("kernel"):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Make a skipped kernel test a failure where the kernel suite must run."""
    report = yield
    if report.skipped and rnlab.REQUIRED and item.get_closest_marker("kernel"):
        report.outcome = "failed"
        report.longrepr = f"skipped, but required: {report.longrepr}"
    return report


@pytest.fixture
def netns() -> Iterator[rnlab.Namespace]:
    """A fresh namespace, with lo up, that the test's thread is in."""
    before = rnlab.Namespace.current()
    namespace = rnlab.Namespace.make()
    try:
        yield namespace
    finally:
        rnlab.setns(before.fd)
        namespace.close()
        before.close()
