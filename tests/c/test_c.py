"""Compile and run every tests/c/test_*.c: plain, sanitized and under valgrind.

Each C test is one program; comments in its first lines say what it links and how it
is built (see rn_check.h).

With ROUTENOTIFY_COUNT_INTO=FOLDER they are built once only, to count which lines and
branches run; the counts are left in FOLDER (.ci/coverage reads them).
"""

from __future__ import annotations

import functools
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import typing

import pytest
import rnlab

HERE = pathlib.Path(__file__).resolve().parent
SOURCES = HERE.parents[1] / "src"
WARNINGS = [
    *("-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wshadow"),
    *("-Wstrict-prototypes", "-Wmissing-prototypes"),
]
SANITIZERS = {
    "address": ["-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
    # Without -fno-builtin gcc expands memcpy in place, unseen by the sanitizer.
    "thread": ["-O1", "-fsanitize=thread", "-fno-builtin"],
}
# Of no use together with the others: it watches a program as users have it, and
# sees what they do not, such as a branch upon what was never written.
VALGRIND = [
    *("valgrind", "--quiet", "--error-exitcode=9", "--leak-check=full"),
    *("--errors-for-leak-kinds=all", "--show-leak-kinds=all"),
    "--fair-sched=yes",  # its threads take turns, also those that wait in a loop
]
COMPILE_SECONDS = 120
RUN_SECONDS = 110
COUNTED = os.environ.get("ROUTENOTIFY_COUNT_INTO")
# Counters of one thread at a time would lose counts of another's.
COVERAGE = ["-O0", "--coverage", "-fprofile-update=atomic", "-DRN_COUNTED"]

pytestmark = [
    pytest.mark.skipif(
        not sys.platform.startswith("linux"),
        reason="the C tests use eventfd and pthreads: Linux only",
    ),
    pytest.mark.skipif(
        shutil.which("gcc") is None, reason="the C tests need gcc, which is missing"
    ),
]


class Build(typing.NamedTuple):
    """One program: a test file and how it is compiled."""

    test: str
    variant: str  # "plain", "valgrind", "coverage", of SANITIZERS, "weaken-<word>"


def words_of(test: str, name: str) -> list[str] | None:
    """Return the words of the test's `/* name: ... */` line, None without one."""
    head = (HERE / test).read_text(encoding="utf-8").splitlines()[:20]
    for line in head:
        found = re.fullmatch(rf"/\* {name}:(.*)\*/", line.strip())
        if found:
            return found[1].split()
    return None


def builds() -> list[Build]:
    """Return every build of every test, in a stable order."""
    result = []
    for test in sorted(path.name for path in HERE.glob("test_*.c")):
        if COUNTED:
            result.append(Build(test, "coverage"))
            continue
        sanitizers = words_of(test, "sanitizers")
        result += [Build(test, "plain"), Build(test, "valgrind")]
        result += [
            Build(test, name)
            for name in (SANITIZERS if sanitizers is None else sanitizers)
        ]
        result += [
            Build(test, f"weaken-{word}") for word in words_of(test, "weaken") or []
        ]
    return result


def flags_of(variant: str) -> list[str]:
    """Return the compiler flags of a variant."""
    if variant == "plain":
        return ["-O2"]
    if variant == "valgrind":
        return ["-O1", "-DRN_VALGRIND"]
    if variant == "coverage":
        return COVERAGE
    if variant.startswith("weaken-"):
        word = variant.removeprefix("weaken-")
        return [
            *SANITIZERS["thread"],
            f'-DRN_WEAKEN="{word}"',
            *("-include", str(HERE / "rn_weaken.h")),
        ]
    return SANITIZERS[variant]


def gcc(*arguments: str) -> None:
    """Compile or link, without a word."""
    done = rnlab.run_bounded(["gcc", "-g", "-pthread", *arguments], COMPILE_SECONDS)
    assert done.returncode == 0, done.stderr


class Compiler:
    """Makes the programs; a file of src/ that several have is compiled once."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder

    def _object(self, source: pathlib.Path, variant: str) -> str:
        """Return the object file of one source, in one variant."""
        made = self._folder / f"{source.stem}-{variant}.o"
        if not made.exists():
            flags = [*WARNINGS, *flags_of(variant), f"-I{SOURCES}", f"-I{HERE}"]
            gcc(
                *("-std=c11", "-DRN_TEST_ALLOC", *flags),
                *("-c", "-o", str(made), str(source)),
            )
        return str(made)

    def program(self, build: Build) -> pathlib.Path:
        """Return the program of one build."""
        sources = words_of(build.test, "sources")
        assert sources is not None, f"{build.test} has no /* sources: ... */ line"

        files = [HERE / build.test, *(SOURCES / name for name in sources)]
        objects = [self._object(file, build.variant) for file in files]
        program = self._folder / "-".join(build).replace(".c", "")
        gcc(*flags_of(build.variant), "-o", str(program), *objects)
        return program


@pytest.fixture(scope="module")
def compiler(tmp_path_factory: pytest.TempPathFactory) -> Compiler:
    """All programs of a run of pytest are in one folder."""
    folder = tmp_path_factory.mktemp("c")
    if COUNTED:
        folder = pathlib.Path(COUNTED)
        folder.mkdir(parents=True)
    return Compiler(folder)


@functools.cache
def fixed_addresses() -> tuple[str, ...]:
    """Return the prefix that turns address randomisation off, where it is allowed.

    ThreadSanitizer of older compilers does not start on kernels that randomise more
    bits than it knows of.
    """
    setarch = shutil.which("setarch")
    if setarch is None:
        return ()
    tried = subprocess.run(
        [setarch, "-R", "true"], check=False, capture_output=True, timeout=10
    )
    return (setarch, "-R") if tried.returncode == 0 else ()


def run(build: Build, program: pathlib.Path) -> subprocess.CompletedProcess[str]:
    """Run a compiled test to its end, which a hang does not delay for ever."""
    prefix: tuple[str, ...] = ()
    if build.variant == "valgrind":
        prefix = tuple(VALGRIND)
    elif build.variant not in ("plain", "coverage", "address"):
        prefix = fixed_addresses()
    environment = {**os.environ, "TSAN_OPTIONS": "halt_on_error=1"}
    return rnlab.run_bounded([*prefix, str(program)], RUN_SECONDS, env=environment)


def need_ringbuf() -> None:
    """Skip where the kernel gives no BPF ring buffer."""
    if not rnlab.allows_ringbuf():
        pytest.skip("no BPF ring buffer: needs root and Linux 5.12")


@pytest.mark.timeout(COMPILE_SECONDS + RUN_SECONDS + 30)
@pytest.mark.parametrize("build", builds(), ids="-".join)
def test_c(build: Build, compiler: Compiler) -> None:
    """The program exits 0 and says nothing on standard error.

    A build with a weakened store must instead be caught by ThreadSanitizer: then the
    order is needed, and the sanitizer's silence elsewhere means something.
    """
    if "ringbuf" in (words_of(build.test, "needs") or []):
        need_ringbuf()
    if build.variant == "valgrind" and shutil.which("valgrind") is None:
        pytest.skip("valgrind is not installed")

    done = run(build, compiler.program(build))

    print(done.stdout, done.stderr)
    if build.variant.startswith("weaken-"):
        assert "WARNING: ThreadSanitizer: data race" in done.stderr
        assert done.returncode != 0
    else:
        assert "" == done.stderr
        assert done.returncode == 0


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "aarch64"),
    reason="of other processors it is not known what a prefetch is called",
)
@pytest.mark.parametrize("name", ["rn_store.c", "rn_tally.c"])
def test_prefetches_are_in_what_the_compiler_makes(name: str, tmp_path: pathlib.Path):
    """GCC takes a function that does nothing but prefetch for one without effect.

    It dropped the calls of the tally's: each change of a great view cost twice.
    """
    assembly = tmp_path / "made.s"
    done = rnlab.run_bounded(
        ["gcc", "-O2", "-S", "-o", str(assembly), str(SOURCES / name)], COMPILE_SECONDS
    )

    assert "" == done.stderr
    assert len(re.findall(r"\b(?:prefetch\w*|prfm)\b", assembly.read_text())) >= 2
