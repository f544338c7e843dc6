"""Replay equivalence: what was delivered gives exactly the kernel's table.

ROUTENOTIFY_REPLAY_SECONDS (default 20) says how long, ROUTENOTIFY_TEST_SEED
which histories; the seed is printed.
"""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
import rnlab
from replaylab import memory

HERE = Path(__file__).parent
# Those in which memory runs out want a build that lets it; CI has a leg for them.
HISTORIES = [
    file
    for file in sorted((HERE / "histories").glob("*.txt"))
    if memory.can_fail() or not file.stem.startswith("memory-")
]

pytestmark = pytest.mark.kernel


def _run(*arguments: str, seconds: float) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(HERE / "run.py"), *arguments]
    return rnlab.run_bounded(command, seconds)


@pytest.mark.timeout(0)
def test_random_histories_replayed_equal_a_fresh_dump(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Snapshot and changes, replayed, are `ip -j route` at every quiet point.

    How many there were, and how many of them overran, is told in any case.
    """
    seconds = float(os.environ.get("ROUTENOTIFY_REPLAY_SECONDS", "20"))
    seed = os.environ.get("ROUTENOTIFY_TEST_SEED") or str(random.randrange(1 << 32))
    print(f"ROUTENOTIFY_TEST_SEED={seed}")

    done = _run(
        "--seconds", str(seconds), "--jobs", "2", "--seed", seed,
        "--at-least", str(max(1, int(seconds) // 4)),
        seconds=seconds + 300,
    )  # fmt: skip

    assert done.returncode == 0, f"seed {seed}\n{done.stdout}\n{done.stderr}"
    with capsys.disabled():
        print(f"\n{done.stdout.splitlines()[-1]}")


@pytest.mark.timeout(240)
@pytest.mark.parametrize("file", HISTORIES, ids=[f.stem for f in HISTORIES])
def test_history_that_once_differed(file: Path) -> None:
    """Each difference ever found stays as a history under its name."""
    done = _run("--script", str(file), "--tries", "3", seconds=200)

    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
