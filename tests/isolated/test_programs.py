"""Each program of programs/ in a fresh interpreter, with warnings as errors.

What they try may take the whole process with it: a crash, a hang, a lock that a
fork left taken. A program exits with 0, prints "end" and nothing else; the first
line of its docstring is the rule. They run by hand as well, as root:

    PYTHONPATH=tests python tests/isolated/programs/drain_once.py
"""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path

import pytest
import rnlab

import routenotify

PROGRAMS = Path(__file__).parent / "programs"
TESTS = Path(__file__).parents[1]

if sys.platform != "linux":
    pytest.skip("the programs make network namespaces", allow_module_level=True)

pytestmark = pytest.mark.kernel

# A program and its arguments.  A Python with a GIL has none to bring back.
HAS_GIL = not sysconfig.get_config_var("Py_GIL_DISABLED")
RUNS = [
    *(
        [path.name]
        for path in sorted(PROGRAMS.glob("[!_]*.py"))
        if not (HAS_GIL and path.stem == "no_gil")
    ),
    *(
        ["exits/in_a_storm.py", way]
        for way in ("open", "get", "iterate", "drain", "batch", "callback", "thread")
    ),
]


@pytest.mark.parametrize("run", RUNS, ids=" ".join)
def test_program(run: list[str]) -> None:
    """It ends by itself, and says so."""
    search = [str(TESTS), str(PROGRAMS), str(Path(routenotify.__file__).parents[1])]
    done = rnlab.run_bounded(
        [
            *(sys.executable, "-X", "faulthandler", "-W", "error"),
            *("-W", "ignore::DeprecationWarning"),  # fork() beside threads
            *(str(PROGRAMS / run[0]), *run[1:]),
        ],
        100,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(search)},
    )

    assert (0, "end\n", "") == (done.returncode, done.stdout, done.stderr)
