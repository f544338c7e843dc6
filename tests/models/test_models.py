"""Explore what threads may do to the ring, the spill map and the wake-up.

And what a kernel may do meanwhile to a BPF ring buffer. channel.cc compiles the real
files of src/ under relacy, which runs them in random orders of steps, with every old
value that C11 lets a load return. wake.pml and congestion.pml tell the protocols of
the wake-up and of a full BPF ring buffer to spin, which tries every order there is.
Each is also given mutants: one thing weaker, and the explorer must find what that
breaks.
"""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess

import pytest

HERE = pathlib.Path(__file__).resolve().parent
SOURCES = HERE.parents[1] / "src"
REQUIRED = os.environ.get("ROUTENOTIFY_REQUIRE_MODELS") == "1"
ITERATIONS = int(os.environ.get("ROUTENOTIFY_MODEL_ITERATIONS", "100000"))


def need(reason: str, *, there: bool) -> None:
    """Skip without a tool, or fail where all of them must be."""
    if not there and REQUIRED:
        pytest.fail(f"{reason}, and it must be there")
    if not there:
        pytest.skip(reason)


def run(*command: str | pathlib.Path, cwd: pathlib.Path) -> tuple[int, str]:
    """Run a program to its end: its exit status and all that it printed."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=110,
    )
    return done.returncode, done.stdout


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The explorer of the channel."""
    need("no g++: apt install g++", there=shutil.which("g++") is not None)
    header = pathlib.Path("/usr/include/relacy/relacy.hpp")
    need("no relacy: apt install relacy-dev", there=header.exists())
    folder = tmp_path_factory.mktemp("channel")
    compile_c = ["gcc", "-std=c11", "-O2", "-c", f"-I{SOURCES}"]
    plain = ["rn_spill", "rn_filter", "rn_filter_prefix"]
    files = [SOURCES / f"{name}.c" for name in plain]
    assert (0, "") == run(*compile_c, *files, cwd=folder)
    # C in C++ clothes: void * converts. Relacy replaces delete, not the sized one.
    flags = ["-std=gnu++20", "-O1", "-w", "-fpermissive", "-fno-sized-deallocation"]
    search = [f"-I{SOURCES}", f"-I{HERE}"]
    command = ["g++", *flags, *search, HERE / "channel.cc"]
    command += [f"{name}.o" for name in plain]
    status, printed = run(*command, "-o", "channel", cwd=folder)

    assert status == 0, printed[-3000:]
    return folder / "channel"


def test_channel_when_explored_then_nothing_is_lost(channel):
    """No race, no lost wake-up, and the consumer's table is the producer's."""
    status, printed = run(channel, str(ITERATIONS), cwd=channel.parent)
    print(printed[-2000:])

    assert status == 0
    assert f"iterations: {ITERATIONS}" in printed


@pytest.mark.parametrize(
    ("mutant", "found"),
    [
        ("store tail", "DATA RACE"),
        ("load tail", "DATA RACE"),
        ("store head", "DATA RACE"),
        ("load head", "DATA RACE"),
        ("store spilling", "DATA RACE"),
        ("load spilling", "DATA RACE"),
        ("store ended", "ASSERT FAILED"),
        ("load ended", "ASSERT FAILED"),
        ("exchange state", "DEADLOCK"),
        ("add state", "DEADLOCK"),
        ("lock", "ASSERT FAILED"),
    ],
)
def test_channel_when_weakened_then_it_is_found(channel, mutant, found):
    """Each order and each read-modify-write is needed, and its lack is seen."""
    status, printed = run(channel, str(ITERATIONS), mutant, cwd=channel.parent)

    assert status == 1
    assert found in printed


def verify(folder: pathlib.Path, model: str, *mutants: str) -> str:
    """What spin's verifier says of a model."""
    need("no spin: apt install spin", there=shutil.which("spin") is not None)
    defines = [f"-D{mutant}" for mutant in mutants]
    made = run("spin", *defines, "-a", HERE / model, cwd=folder)
    assert made[0] == 0, made[1]
    assert (0, "") == run(
        *("gcc", "-O2", "-w", "-DSAFETY", "-o", "pan", "pan.c"), cwd=folder
    )
    return run("./pan", "-m100000", cwd=folder)[1]


def check_all_orders(folder: pathlib.Path, model: str) -> None:
    """Every order was tried, and none breaks what the model asserts."""
    printed = verify(folder, model)
    print(printed)

    assert "errors: 0" in printed
    assert "max search depth too small" not in printed
    assert int(re.findall(r"(\d+) states, stored", printed)[0]) > 10_000


def test_wake_when_every_order_is_tried_then_no_wait_lasts(tmp_path):
    """Whoever waits for something that is queued is woken; no state is missed."""
    check_all_orders(tmp_path, "wake.pml")


@pytest.mark.parametrize(
    "mutant", ["LOOK_FIRST", "NO_RECHECK", "CLEAR_LATE", "SET_BLIND"]
)
def test_wake_when_a_step_is_wrong_then_a_wait_lasts(tmp_path, mutant):
    """Every step of the protocol stands where it does for a reason."""
    said = verify(tmp_path, "wake.pml", mutant)

    assert "invalid end state" in said.partition("(Spin")[0]


def test_congestion_when_every_order_is_tried_then_each_change_is_known(tmp_path):
    """The reader never sleeps on a ring that takes nothing; what it lost is seen."""
    check_all_orders(tmp_path, "congestion.pml")


@pytest.mark.parametrize("mutant", ["NO_RECORD", "WORD_LATE", "NO_LOOK", "RESUME_LATE"])
def test_congestion_when_a_step_is_wrong_then_a_change_stays_unknown(tmp_path, mutant):
    """Each step of it, too."""
    assert "assertion violated" in verify(tmp_path, "congestion.pml", mutant)
