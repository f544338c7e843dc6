"""Other readers of route changes, built and started; see the folder peers/."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import _build
from benchmarks._table import BARE, Missing

FOLDER = _build.HERE / "peers"
GO_PATH = "/usr/share/gocode"
"""Where Debian's packages put the source of Go libraries."""


class AbsentError(Exception):
    """A peer is not here; the text says how to get it."""


@dataclass(frozen=True)
class Peer:
    """A reader to compare with.

    Attributes:
        name: as the table shows it.
        command: to be followed by --count N and perhaps --stamps FILE.
    """

    name: str
    command: tuple[str, ...]


def _run(command: list[str], advice: str, **environment: str) -> None:
    """Run a step of a peer's making.

    Raises:
        AbsentError: it failed.
    """
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )
    if done.returncode != 0:
        complaint = done.stderr.strip().splitlines() or ["failed"]
        raise AbsentError(f"{complaint[-1]} ({advice})")


def _pyroute2(folder: Path) -> tuple[str, ...]:
    """In an environment of its own: nothing is added to the one we run in."""
    where = folder / "pyroute2"
    venv.create(where, with_pip=True)
    python = str(where / "bin" / "python")
    quiet = {"PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    install = [python, "-m", "pip", "install", "-q", "pyroute2"]
    _run(install, "pip install pyroute2 must work", **quiet)
    return (python, str(FOLDER / "read_pyroute2.py"))


def _ip_monitor(_folder: Path) -> tuple[str, ...]:
    return (sys.executable, str(FOLDER / "read_ip.py"))


def _libnl(folder: Path) -> tuple[str, ...]:
    advice = "apt-get install libnl-3-dev libnl-route-3-dev"
    program = folder / "libnl"
    compile_it = [
        *(*_build.compiler(), "-std=c11", "-O2", f"-I{_build.HERE}"),
        *("-I/usr/include/libnl3", "-o", str(program), str(FOLDER / "libnl.c")),
        *("-lnl-3", "-lnl-route-3"),
    ]
    _run(compile_it, advice)
    return (str(program),)


def _go_netlink(folder: Path) -> tuple[str, ...]:
    advice = "apt-get install golang-go golang-github-vishvananda-netlink-dev"
    if shutil.which("go") is None:
        raise AbsentError(advice)
    program = folder / "go-netlink"
    _run(
        ["go", "build", "-o", str(program), str(FOLDER / "netlink.go")],
        advice,
        GO111MODULE="off",
        GOPROXY="off",
        GOPATH=GO_PATH,
        GOCACHE=str(folder / "go-cache"),
    )
    return (str(program),)


def _bare_loop(folder: Path) -> tuple[str, ...]:
    program = _build.build(folder / "bare", [_build.HERE / "baseline.c"])
    return (str(program), "recv")


PEERS: tuple[tuple[str, Callable[[Path], tuple[str, ...]]], ...] = (
    (BARE, _bare_loop),
    ("pyroute2", _pyroute2),
    ("ip monitor", _ip_monitor),
    ("vishvananda/netlink", _go_netlink),
    ("libnl route cache", _libnl),
)


def find(folder: Path) -> Iterator[Peer | Missing]:
    """Build what can be built; needs the network.

    Args:
        folder: for what is built.

    Yields:
        A peer, or which one is missing and why.
    """
    for name, make in PEERS:
        try:
            yield Peer(name, make(folder))
        except AbsentError as absent:
            yield Missing(name, str(absent))
