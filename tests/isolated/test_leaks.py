"""Nothing public leaks, and nothing public is left out: see leaks.py."""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path

import leaks
import pytest
import rnlab

import routenotify

if sys.platform != "linux":
    pytest.skip("leaks are looked for in a Linux namespace", allow_module_level=True)

if sysconfig.get_config_var("Py_GIL_DISABLED"):
    pytest.skip(
        "without a GIL objects are freed when it suits", allow_module_level=True
    )

HERE = Path(__file__).parent

pytestmark = pytest.mark.kernel


@pytest.mark.parametrize("owner", sorted({n.partition(".")[0] for n in leaks.public()}))
def test_owner_when_called_again_and_again_then_all_is_flat(owner):
    """No object, no byte, no descriptor and no thread more after many calls."""
    tests = HERE.parent
    search = [
        str(tests),
        str(tests / "replay"),
        str(Path(routenotify.__file__).parents[1]),
    ]
    done = rnlab.run_bounded(
        [sys.executable, "-X", "faulthandler", str(HERE / "leaks.py"), owner],
        110,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(search)},
    )
    print(done.stdout)

    assert (0, "") == (done.returncode, done.stderr)


def test_every_public_call_has_a_leak_test():
    """Whoever adds a name adds how to call it; whoever removes one, too."""
    assert set() == leaks.public() - set(leaks.CALLS)
    assert set() == set(leaks.CALLS) - leaks.public()


def test_a_leak_is_found():
    """An object, a piece of memory and a descriptor that stay are each seen."""
    kept: list[object] = []

    objects = leaks.growth(lambda: kept.append([object(), b"x" * 100]), 100)
    descriptors = leaks.growth(lambda: kept.append(os.dup(0)), 20)
    for one in kept:
        if isinstance(one, int):
            os.close(one)

    assert objects.blocks >= 100
    assert 20 == descriptors.descriptors
