"""What the built extension is made of, and what neither it nor Python looks at."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import routenotify
from routenotify import _routenotify

SOURCES = Path(__file__).resolve().parents[2] / "src"
PACKAGE = Path(routenotify.__file__).parent


def read_elf(option: str) -> str:
    """What readelf says of the extension."""
    if sys.platform != "linux" or shutil.which("readelf") is None:
        pytest.skip("readelf (binutils) reads ELF files, and is not here")
    command = ["readelf", option, _routenotify.__file__]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_memory_of_the_extension_is_not_to_be_rewritten():
    """Read-only after relocation, bound at once, no executable stack, no text patch."""
    segments = read_elf("-Wl")
    dynamic = read_elf("-Wd")

    assert "GNU_RELRO" in segments
    assert re.search(r"GNU_STACK.* RW +0x", segments)
    assert "NOW" in dynamic  # of FLAGS (BIND_NOW) or of FLAGS_1
    assert "TEXTREL" not in dynamic
    # An interpreter that is built with one hands its own on; no other is there.
    for path in re.findall(r"R(?:UN)?PATH.*\[(.*)\]", dynamic):
        assert Path(path).is_relative_to(sys.base_prefix)


def symbols_of_users() -> str:
    """The symbols of a build that users get; of no other there is anything to say."""
    symbols = read_elf("-Ws")
    marks = ("__asan_init", "__tsan_init", "__gcov", "rn_fault_count")
    if any(mark in symbols for mark in marks):
        pytest.skip("a build for tests is not what users get")
    return symbols


def test_calls_of_the_extension_are_checked():
    """Stack protector and fortified calls are in, and one name is exported."""
    symbols = symbols_of_users()
    exported = re.findall(
        r" (?:GLOBAL|WEAK) +DEFAULT +\d+ (\w+)", symbols.partition(".symtab")[0]
    )

    assert "__stack_chk_fail" in symbols
    if "GLIBC" in symbols:
        assert re.search(r"__\w+_chk@", symbols)
    assert ["PyInit__routenotify"] == exported


@pytest.mark.skipif(platform.machine() != "x86_64", reason="CET is of x86-64")
def test_jumps_of_the_extension_land_on_marks():
    """Indirect branches land on endbr64 (CET).

    The property of the whole file depends on the C library's start files: Debian
    12's have none.
    """
    symbols_of_users()
    command = ["objdump", "-d", _routenotify.__file__]
    code = subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert re.search(r"<PyInit__routenotify>:\n.*endbr64", code)


@pytest.mark.skipif(not SOURCES.is_dir(), reason="the sources are not here")
def test_c_looks_at_no_environment_variable():
    """No variable that a caller of a privileged program may set changes anything."""
    found = [
        f"{path.name}: {line.strip()}"
        for path in sorted(SOURCES.glob("*.[ch]"))
        for line in path.read_text().splitlines()
        if re.search(r"\b(secure_)?getenv\b|\benviron\b|\bGetEnvironment", line)
    ]

    assert [] == found


def test_python_looks_at_no_environment_variable():
    """But the command line: whether a terminal wants colours is in the environment."""
    found = [
        str(path.relative_to(PACKAGE))
        for path in sorted(PACKAGE.rglob("*.py"))
        if re.search(r"\benviron\b|\bgetenv\b", path.read_text(encoding="utf-8"))
        and path.parent.name != "_cli"
    ]

    assert [] == found
