"""RouteBatch's Arrow capsules, as far as they can be seen without Arrow."""

from __future__ import annotations

import ctypes
import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rows import record

from routenotify import RouteBatch

# AddressSanitizer keeps what was freed: not here, where memory is measured.
NO_QUARANTINE = (
    f"{os.environ.get('ASAN_OPTIONS', '')}"
    ":quarantine_size_mb=0:thread_local_quarantine_size_kb=0"
)


def capsule_name(capsule):
    """The name a consumer asks for."""
    get = ctypes.pythonapi.PyCapsule_GetName
    get.restype, get.argtypes = ctypes.c_char_p, [ctypes.py_object]
    return get(capsule)


def test_the_capsules_have_the_names_of_the_interface():
    """And all three are made without any library."""
    batch = RouteBatch(record() * 3)
    schema, array = batch.__arrow_c_array__()

    assert b"arrow_schema" == capsule_name(batch.__arrow_c_schema__())
    assert b"arrow_schema" == capsule_name(schema)
    assert b"arrow_array" == capsule_name(array)
    assert b"arrow_array_stream" == capsule_name(batch.__arrow_c_stream__())


def test_a_requested_schema_is_accepted_and_must_be_one():
    """By position and by name; None too."""
    batch = RouteBatch(record())
    schema = batch.__arrow_c_schema__()

    for method in (batch.__arrow_c_array__, batch.__arrow_c_stream__):
        for wish in (None, schema):
            assert method(wish)
            assert method(requested_schema=wish)
        for wrong in (1, "x", batch.__arrow_c_stream__()):
            with pytest.raises(TypeError, match="requested_schema="):
                method(wrong)
        with pytest.raises(TypeError):
            method(None, None)


def test_a_capsule_outlives_its_batch():
    """It has memory of its own; dying it frees it."""
    capsules = [RouteBatch(record() * 10)[::-3].__arrow_c_array__() for _ in range(9)]
    gc.collect()

    assert 9 == len(capsules)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/statm")
def test_capsules_that_nobody_takes_leave_no_memory_behind():
    """In a fresh interpreter: a thousand times a thousand rows."""
    code = """
import os, sys
sys.path[:0] = [sys.argv[1]]
from rows import record
from routenotify import RouteBatch

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

batch = RouteBatch(record("2001:db8::/32", via="fe80::1") * 1000)
def once():
    batch.__arrow_c_schema__()
    batch.__arrow_c_array__()
    batch.__arrow_c_stream__()
    try:
        batch.__arrow_c_array__(3)
    except TypeError:
        pass

for _ in range(200):
    once()
before = resident()
for _ in range(1000):
    once()
grown = resident() - before
assert grown < 4 << 20, f"{grown} bytes"
"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, str(Path(__file__).parent)],
        capture_output=True,
        text=True,
        timeout=100,
        env=os.environ | {"ASAN_OPTIONS": NO_QUARANTINE},
    )

    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)
