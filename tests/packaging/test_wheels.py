"""Which wheels a release has. Needs cibuildwheel; run by a leg of .ci/run."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("cibuildwheel") is None,
    reason="cibuildwheel is not installed",
)


def identifiers(platform: str) -> list[str]:
    """What cibuildwheel would build on a platform."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "cibuildwheel", "--print-build-identifiers"),
            *("--platform", platform, str(ROOT)),
        ],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert 0 == done.returncode, done.stderr
    return sorted(done.stdout.split())


@pytest.mark.parametrize(
    ("platform", "tags"),
    [
        (
            "linux",
            [
                f"{libc}_{machine}"
                for libc in ("manylinux", "musllinux")
                for machine in ("x86_64", "aarch64")
            ],
        ),
        ("windows", ["win32", "win_amd64", "win_arm64"]),
    ],
)
def test_one_abi3_and_one_free_threaded_wheel_for_each_system(platform, tags):
    """By 3.11, whose headers alone serve it, and by 3.14t."""
    expected = [f"{python}-{tag}" for python in ("cp311", "cp314t") for tag in tags]

    assert sorted(expected) == identifiers(platform)


def test_linux_wheels_need_no_newer_glibc_than_promised():
    """2.17, of the manylinux2014 images."""
    text = (ROOT / "pyproject.toml").read_text()

    for machine in ("x86_64", "aarch64"):
        assert f'\nmanylinux-{machine}-image = "manylinux2014"' in text


def test_the_sdist_has_what_the_wheels_are_tested_with(tmp_path):
    """They are built from it; once it had no file below tests/."""
    unwanted = shutil.ignore_patterns(".git", "build", "dist", "*.so", "*.egg-info")
    shutil.copytree(ROOT, tmp_path / "source", ignore=unwanted)
    subprocess.run(
        [*(sys.executable, "-m", "build", "--sdist", "-o"), tmp_path, "source"],
        cwd=tmp_path,
        check=True,
        timeout=100,
    )
    (sdist,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        shipped = {name.partition("/")[2] for name in archive.getnames()}
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    command = " ".join(settings["tool"]["cibuildwheel"]["test-command"])
    folders = re.findall(r"\{project\}/(\S+)", command)
    files = [
        path.relative_to(ROOT).as_posix()
        for folder in folders
        for path in [*(ROOT / folder).rglob("*.py"), *(ROOT / "tests").glob("*.py")]
    ]

    assert folders
    assert [] == [name for name in files if name not in shipped]


def test_every_system_has_a_runner():
    """The workflow builds each architecture that pyproject.toml names."""
    workflow = (ROOT / ".github" / "workflows" / "wheels.yml").read_text()
    built = set(re.findall(r"archs: (\w+)", workflow))

    assert {"x86_64", "aarch64", "AMD64", "x86", "ARM64"} == built


def test_actions_are_pinned_and_have_no_rights_by_default():
    """By commit, with the version beside it; `permissions: {}` on top."""
    for file in sorted((ROOT / ".github" / "workflows").glob("*.yml")):
        text = file.read_text()
        assert "\npermissions: {}\n" in text, file
        for used in re.findall(r"uses: (\S+.*)", text):
            local = used.startswith("./")
            assert local or re.fullmatch(r"[\w/.-]+@[0-9a-f]{40} # v[\d.]+", used), used
