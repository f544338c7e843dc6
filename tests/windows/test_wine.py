"""The Windows binary: how it is built, and its tests in Windows Pythons.

What runs inside is tests/windows/inside and tests/contract; here one test per
interpreter and build, which passes when all of them do.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("the rig is for Linux; see real/", allow_module_level=True)

import rig as lab
import rnlab
import rnterm

# More than what is waited for inside, and the builds before it.
pytestmark = pytest.mark.timeout(500)

HERE = Path(__file__).parent
INSIDE = HERE / "inside"
COMPILERS = [
    "i686-mingw",
    *(f"msvc-{target}" for target in lab.MSVC_TARGETS),
    *("msvc-atomics-i686", "msvc-atomics-aarch64"),  # x86_64 is built and run, below
]
BUILDS = ["mingw", "msvc", "msvc-atomics"]
# Every interpreter, every build; not every pair of them.
SUITES = [
    ("cp311", "mingw"),
    ("cp312", "mingw"),
    ("cp313", "mingw"),
    ("cp311", "msvc-atomics"),  # clang for the MSVC ABI, MSVC's own atomics
]


@pytest.mark.parametrize("compiler", COMPILERS)
def test_compiles_without_a_warning(rig: lab.Rig, compiler: str) -> None:
    """x86 checks the calling convention, all of them the layout asserts."""
    lab.each(lambda source: lab.compile_check(compiler, source), lab.sources())


@pytest.mark.parametrize("build", BUILDS)
def test_the_extension_does_not_import_iphlpapi(
    packages: dict[str, Path], build: str
) -> None:
    """It is looked up at run time; and nothing unexpected is imported."""
    names = lab.imports(packages[build] / "routenotify" / "_routenotify.pyd")
    allowed = re.compile(r"python3|kernel32|msvcrt|vcruntime140|ucrtbase")

    assert "python3.dll" in names
    assert [n for n in names if not allowed.fullmatch(n.removesuffix(".dll"))] == []


@pytest.mark.parametrize(
    ("source", "linked", "defines"),
    [
        (HERE / "c" / "test_provider.c", "rn_windows_*.c", ["RN_TEST_ALLOC"]),
        (HERE / "c" / "test_wake.c", "rn_wake.c rn_wake_windows.c", []),
        (lab.ROOT / "tests" / "c" / "test_ring.c", "rn_ring.c", []),
    ],
    ids=["provider", "wake", "ring"],
)
def test_c(rig: lab.Rig, source: Path, linked: str, defines: list[str]) -> None:
    """Without Python: provider, wake-up, ring."""
    files = [
        file
        for pattern in linked.split()
        for file in sorted((lab.ROOT / "src").glob(pattern))
    ]
    program = lab.build_program(rig, source, *files, defines=defines)
    code, output = lab.run(rig, [program])
    print(output)

    assert code == 0, output


def run_pytest(
    rig: lab.Rig, package: Path, tag: str, *argv: str | Path
) -> tuple[int, str]:
    """A session in a Windows Python, its output printed."""
    code, output = lab.run(
        rig,
        [
            rig.python(tag), "-X", "faulthandler", "-m", "pytest",
            "-c", INSIDE / "pytest.ini", "--rootdir", lab.ROOT / "tests",
            "-q", "-rs", "-s", "--durations=5", "--tb=short", *argv,
        ],
        env={
            "PYTHONPATH": ";".join(
                map(lab.windows_path, [package, INSIDE, HERE, lab.ROOT / "tests"])
            )
        },
        timeout_s=300,
    )  # fmt: skip
    print(output)
    return code, output


@pytest.mark.parametrize(("tag", "build"), SUITES)
def test_contract(
    rig: lab.Rig, packages: dict[str, Path], tag: str, build: str
) -> None:
    """The same contract tests as on Linux, with the double as the system."""
    code, output = run_pytest(
        rig, packages[build], tag, "--noconftest", "-p", "contract_plugin",
        lab.ROOT / "tests" / "contract",
    )  # fmt: skip

    assert code == 0, output
    assert re.search(r"^\d{3,} passed", output, re.MULTILINE), output


@pytest.mark.parametrize(("tag", "build"), SUITES)
def test_suite(rig: lab.Rig, packages: dict[str, Path], tag: str, build: str) -> None:
    """All tests inside pass in this Python with this build, none skipped.

    Of the build that differs in its atomics, those that have threads meet.
    """
    tests, least = (
        (INSIDE / "test_storm.py", 2) if build == "msvc-atomics" else (INSIDE, 3)
    )
    code, output = run_pytest(rig, packages[build], tag, "--confcutdir", INSIDE, tests)

    assert code == 0, output
    assert re.search(rf"^\d{{{least},}} passed in", output, re.MULTILINE), output
    assert "skipped" not in output.splitlines()[-1]


def test_recordings(rig: lab.Rig, packages: dict[str, Path]) -> None:
    """Files of changes are written, read and replayed here as elsewhere."""
    unit = lab.ROOT / "tests" / "unit"
    code, output = run_pytest(
        rig, packages["mingw"], "cp312", "--confcutdir", unit,
        "-p", "contract_plugin", unit / "test_recording.py", unit / "test_replay.py",
    )  # fmt: skip

    assert code == 0, output
    assert re.search(r"^\d{2,} passed", output, re.MULTILINE), output


def test_top_lives_in_a_windows_console(
    rig: lab.Rig, packages: dict[str, Path], netns: rnlab.Namespace, tmp_path: Path
) -> None:
    """It draws, and obeys keys: Wine's console, in a real terminal."""
    environment = lab.environment(rig.prefix) | {
        "PYTHONPATH": ";".join(map(lab.windows_path, [packages["mingw"], rig.cli]))
    }
    for name in ("TERM", "LANG"):  # the terminal's own
        environment.pop(name, None)
    words = [rig.python("cp313"), HERE / "console.py"]
    command = ["wine", *map(lab.windows_path, words), "top", "--family", "inet"]
    with rnterm.Terminal(netns, tmp_path, command, **environment) as terminal:
        for line in (
            r"^routenotify top  IPv4 .*by changes$",
            r"[1-9]\d\d changes: [1-9]",
            r"^10\.0\.0\.\d+/32 +\d+ +\d+ .* Ethernet 2 +\d+$",
        ):
            terminal.until(
                lambda screen, line=line: re.search(line, screen, re.MULTILINE),
                line,
                60,
            )
        terminal.type("s")
        terminal.until(lambda screen: "by flaps" in screen, "another order")
        terminal.type("p")
        terminal.until(lambda screen: "PAUSED" in screen, "the pause")
        terminal.type("p", "f")
        terminal.write("10.0.0.0/30")
        terminal.type("Enter")
        terminal.until(lambda screen: "IPv4: 10.0.0.0/30" in screen, "the filter")
        terminal.type("q")

        assert 0 == terminal.status(30)
