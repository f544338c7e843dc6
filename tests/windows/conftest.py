"""The rig of rig.py as fixtures; skips, loudly, where it cannot be had."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

# These are for Windows Pythons: rig-driven, or on the real thing.
collect_ignore = ["inside"] if sys.platform == "win32" else ["inside", "real"]

REQUIRED = os.environ.get("ROUTENOTIFY_REQUIRE_WINDOWS") == "1"

if sys.platform == "linux":
    import rig as lab

    @pytest.fixture(scope="session")
    def rig() -> Iterator[lab.Rig]:
        """Prefix, Pythons and the double in its place."""
        install = lab.missing()
        if install:
            reason = f"Windows tests need Wine and compilers: {install}"
            if REQUIRED:
                pytest.fail(reason)
            pytest.skip(reason)
        with lab.session():
            made = lab.prepare()
            lab.stop_server(made)  # it may have an older double loaded
            lab.build_double(made)
            lab.start_server(made)
            yield made
            lab.stop_server(made)

    @pytest.fixture(scope="session")
    def packages(rig: lab.Rig) -> dict[str, Path]:
        """The package built each way, by name."""
        return {
            "mingw": lab.build_mingw(rig),
            "msvc": lab.build_msvc(rig),
            "msvc-atomics": lab.build_msvc(rig, atomics=True),
        }
