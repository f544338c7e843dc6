"""What the native layer does when Python has no memory: see no_memory.py."""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path

import pytest
import rnlab

import routenotify

if sys.platform != "linux":
    pytest.skip("the program makes a network namespace", allow_module_level=True)

if sysconfig.get_config_var("Py_GIL_DISABLED"):
    pytest.skip("only with a GIL can allocations be counted", allow_module_level=True)

pytest.importorskip("_testcapi", reason="without _testcapi no allocation fails")

import no_memory

HERE = Path(__file__).parent

pytestmark = pytest.mark.kernel


@pytest.mark.parametrize("name", [*no_memory.TAKE, *no_memory.ASK])
def test_call_when_there_is_no_memory_then_it_says_so_and_nothing_is_lost(name):
    """MemoryError or the right answer, every change once, no object more."""
    tests = HERE.parent
    package = Path(routenotify.__file__).parents[1]
    done = rnlab.run_bounded(
        [sys.executable, "-X", "faulthandler", str(HERE / "no_memory.py"), name],
        110,
        env={
            # Who traces the lines of Python has no memory either.
            **{k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")},
            "PYTHONPATH": os.pathsep.join(map(str, (tests, tests / "replay", package))),
        },
    )
    print(done.stdout)

    assert (0, "") == (done.returncode, done.stderr)
