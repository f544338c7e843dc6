"""What is asked of /proc, and what happens without it."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.kernel

# What Linux before 3.17, or a bare container, has instead of /proc.
SCRIPT = """
    import ctypes, os, sys, threading, routenotify

    CLONE_NEWNS, CLONE_NEWNET = 0x20000, 0x40000000
    MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 1 << 18
    libc = ctypes.CDLL(None, use_errno=True)

    def call(name, *words):
        if getattr(libc, name)(*words):
            raise OSError(ctypes.get_errno(), name)

    away = sys.argv[1]
    call("unshare", CLONE_NEWNS)
    call("mount", b"none", b"/", None, MS_REC | MS_PRIVATE, None)
    call("mount", b"/proc", away.encode(), None, MS_BIND | MS_REC, None)
    call("mount", b"none", b"/proc", b"tmpfs", 0, None)
    if sys.argv[2] == "old":
        os.symlink(f"{away}/self", "/proc/self")

    def elsewhere():
        call("unshare", CLONE_NEWNET)
        there.append(len(routenotify.RouteMonitor(snapshot=True).snapshot()))

    there = []
    try:
        with routenotify.RouteMonitor() as monitor:
            thread = threading.Thread(target=elsewhere)
            thread.start()
            thread.join()
            print(len(monitor.snapshot()) > 0, there)
    except routenotify.RouteNotifyError as error:
        print(error.call)
"""


def said(path, which):
    """What it prints."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", textwrap.dedent(SCRIPT), str(path), which],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert "" == done.stderr
    return done.stdout.rstrip("\n")


def test_monitor_without_thread_self_then_each_thread_has_its_namespace(
    netns, tmp_path
):
    """Linux 3.17 brought /proc/thread-self; without it nothing could be opened."""
    assert "True [0]" == said(tmp_path, "old")


def test_monitor_without_proc_then_the_error_says_that_it_is_needed(netns, tmp_path):
    """Not just that some file could not be found."""
    assert "which needs a mounted /proc" in said(tmp_path, "none")
