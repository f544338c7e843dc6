"""The build of a system without a provider: it can be imported, and says so."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sys
import zipfile
from pathlib import Path

import pytest
import rnlab

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(
    shutil.which("gcc") is None, reason="gcc is not installed"
)

ASK = """
import routenotify
from routenotify import netioapi

print(routenotify.__file__)
for call in (
    lambda: routenotify.RouteMonitor(),
    lambda: routenotify.routes(),
    lambda: routenotify.best_route("192.0.2.1"),
    lambda: netioapi.NotifyRouteChange2(0, print),
):
    try:
        call()
    except routenotify.NotSupported as error:
        assert isinstance(error, routenotify.RouteNotifyError)
        print(error.code, error)
print(routenotify.RouteFilter(tables=254))
"""


def build_backend():
    """That of this Python where it is new enough, else pip fetches one."""
    try:
        version = importlib.metadata.version("setuptools")
    except importlib.metadata.PackageNotFoundError:
        return []
    return ["--no-build-isolation"] if int(version.partition(".")[0]) >= 77 else []


def build(folder):
    """The wheel's content, from a copy: what is built here stays as it is."""
    left_out = shutil.ignore_patterns(".*", "build", "dist", "tests", "*.so")
    shutil.copytree(ROOT, folder / "source", ignore=left_out)
    built = rnlab.run_bounded(
        [
            *(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps"),
            *(*build_backend(), "-w", str(folder), str(folder / "source")),
        ],
        200,
        env={**os.environ, "ROUTENOTIFY_UNSUPPORTED": "1"},
    )
    assert 0 == built.returncode, built.stdout + built.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "lib")


@pytest.mark.timeout(300)
def test_elsewhere_it_is_imported_and_opening_a_monitor_is_not_supported(tmp_path):
    """Code 50 (ERROR_NOT_SUPPORTED) from whatever asks the system."""
    build(tmp_path)
    asked = rnlab.run_bounded(
        [sys.executable, "-P", "-c", ASK],
        60,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "lib")},
    )

    assert (0, "") == (asked.returncode, asked.stderr)
    where, *refused, made = asked.stdout.splitlines()
    assert Path(where).is_relative_to(tmp_path)
    assert ["50"] * 4 == [line.split()[0] for line in refused]
    assert made.startswith("RouteFilter(")
