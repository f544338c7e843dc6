"""Compiling the C programs: the ones here, and the library's own files."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
SOURCES = HERE.parent / "src"

ELSEWHERE = ("rn_py_", "rn_windows_", "rn_linux_", "rn_bsd_", "rn_wake_", "rn_unsup")
"""How files of the library begin that are for Python, for one system, or not for
the way from the kernel's bytes to the ring."""


def compiler() -> list[str]:
    """The C compiler's command: CC, or the system's own."""
    return (os.environ.get("CC") or shutil.which("cc") or "gcc").split()


def compiler_name() -> str:
    """Compiler, version and machine, such as "gcc 12.2.0 x86_64"."""
    told = subprocess.run(
        [*compiler(), "-dumpfullversion", "-dumpversion"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    clang = (
        "clang"
        in subprocess.run(
            [*compiler(), "--version"], check=True, capture_output=True, text=True
        ).stdout
    )
    return f"{'clang' if clang else 'gcc'} {told} {platform.machine()}"


def build(target: Path, files: Sequence[Path], *options: str) -> Path:
    """Compile C files into one program or, with "-shared", one library.

    Args:
        target: what is made.
        files: the C files.
        options: further ones of the compiler.

    Raises:
        subprocess.CalledProcessError: it does not compile; the compiler has
            said why on standard error.
    """
    subprocess.run(
        [
            *(*compiler(), "-std=c11", "-O2", "-DNDEBUG", "-pthread"),
            *(f"-I{SOURCES}", f"-I{HERE}", *options, "-o", str(target)),
            *map(str, files),
        ],
        check=True,
    )
    return target


def build_paths(target: Path, *options: str) -> Path:
    """Compile paths.c with the library's files; see `build`."""
    library = [
        file
        for file in sorted(SOURCES.glob("rn_*.c"))
        if not file.name.startswith(ELSEWHERE)
    ]
    library += [SOURCES / f"rn_wake_{part}.c" for part in ("linux", "posix")]
    return build(target, [HERE / "paths.c", *library], *options)
