"""Lets tests/contract run on Windows: its fixtures, and another `system`.

The plugins that use it are loaded with -p and without any conftest.py, because
tests/conftest.py moves the process into a Linux namespace.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

CONTRACT = Path(__file__).resolve().parents[1] / "contract" / "conftest.py"


def fixtures() -> dict[str, object]:
    """What tests/contract/conftest.py offers besides `system`."""
    spec = importlib.util.spec_from_file_location("contract_conftest", CONTRACT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_") and name not in ("System", "system", "annotations")
    }


def add_markers(config: pytest.Config) -> None:
    """The markers of tests/conftest.py."""
    config.addinivalue_line("markers", "kernel: needs a system with routes")
