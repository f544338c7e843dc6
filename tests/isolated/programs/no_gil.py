"""Importing it in a free-threaded Python does not bring the GIL back."""

from __future__ import annotations

import sys
import sysconfig

import routenotify

assert sysconfig.get_config_var("Py_GIL_DISABLED"), "not a free-threaded Python"
assert not sys._is_gil_enabled()
suffix = routenotify._routenotify.__file__.rpartition("/")[2]
assert "abi3" not in suffix, suffix
print("end")
