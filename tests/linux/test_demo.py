"""`routenotify demo` works for root, for an ordinary user, and says when not."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import rncli
import rnlab

_IMPORTS = "import routenotify._routenotify"


def _run(command: list[str], **changes: str) -> subprocess.CompletedProcess[str]:
    return rnlab.run_bounded(command, 100, env=rncli.environment(**changes), cwd="/")


def _check(done: subprocess.CompletedProcess[str]) -> None:
    """Assert that a demo went through and followed everything."""
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[-1].endswith("rows: equal")
    assert "lost 0" in lines[-2]
    assert any("DELETE" in line and "(link-down)" in line for line in lines)
    titles = [line for line in lines if line.startswith("# ")]
    assert len(titles) >= 6
    for title, after in itertools.pairwise(lines):
        if title.startswith("# "):
            assert after.strip(), f"nothing happened after {title!r}"


def test_demo_shows_every_step_and_ends_well(netns):
    """The demo as anybody runs it: status 0, each step seen, nothing lost."""
    _check(_run(rncli.words("demo")))


def test_demo_touches_no_route_of_the_namespace_it_is_started_in(netns):
    """The routes are made elsewhere: here nothing changes."""
    before = netns.routes(), netns.links()
    _check(_run(rncli.words("demo", "--routes", "100")))

    assert before == (netns.routes(), netns.links())


def test_demo_needs_no_iproute2(netns, tmp_path):
    """With nothing but unshare on the PATH the demo works."""
    (tmp_path / "unshare").symlink_to(shutil.which("unshare"))
    (tmp_path / "true").symlink_to(shutil.which("true"))

    _check(_run(rncli.words("demo", "--routes", "100"), PATH=str(tmp_path)))


def test_demo_when_root_lacks_capabilities_then_a_user_namespace_does(netns):
    """As in a container: uid 0, but not allowed to make a namespace itself."""
    drop = ["setpriv", "--bounding-set=-all,+setfcap", "--inh-caps=-all"]
    refused = _run([*drop, "unshare", "-n", "true"])

    assert refused.returncode != 0

    _check(_run([*drop, *rncli.words("demo", "--routes", "100")]))


def test_demo_when_only_root_may_make_namespaces_then_root_does(netns, tmp_path):
    """As with sudo on Ubuntu 24.04, or with user namespaces switched off."""
    unshare = tmp_path / "unshare"
    unshare.write_text(
        f'#!/bin/sh\n[ "$1" != -U ] && exec {shutil.which("unshare")} "$@"\nexit 1\n'
    )
    unshare.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"

    _check(_run(rncli.words("demo", "--routes", "100"), PATH=path))


@pytest.fixture
def readable_package() -> Iterator[Path]:
    """A copy of the package that every user may read."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        shutil.copytree(rncli.PACKAGE, Path(folder) / "routenotify")
        yield Path(folder)


def test_demo_when_the_user_is_nobody_then_it_works_too(netns, readable_package):
    """User 65534, no capability, no home: the demo needs none of them."""
    # `env`, for setpriv itself still finds programs with root's eyes.
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env"]
    if Path("/proc/self/uid_map").read_text().split()[1] != "0":
        user = []  # the whole test run is an ordinary user's
    place = {"PYTHONPATH": str(readable_package)}
    for python in (sys.executable, "/usr/bin/python3"):
        try:
            probe = _run([*user, python, "-P", "-c", _IMPORTS], **place)
        except OSError:
            continue
        if probe.returncode == 0:
            break
    else:
        pytest.skip("no interpreter that an ordinary user may start")

    _check(_run([*user, python, "-P", "-m", "routenotify", "demo"], **place))


def test_demo_when_namespaces_are_forbidden_then_one_sentence_says_so(netns, tmp_path):
    """Status 2 and one line that names the reason and another command."""
    refusing = tmp_path / "unshare"
    refusing.write_text("#!/bin/sh\necho 'unshare failed: No' >&2\nexit 1\n")
    refusing.chmod(0o755)
    done = _run(rncli.words("demo"), PATH=str(tmp_path))

    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert "unshare failed: No" in done.stderr
    assert "routenotify watch" in done.stderr


def test_demo_when_unshare_is_missing_then_one_sentence_says_so(netns, tmp_path):
    """No util-linux: the same sentence, with that reason."""
    done = _run(rncli.words("demo"), PATH=str(tmp_path))

    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert "unshare" in done.stderr
