"""A monitor in a process of its own, whose reader thread can be stopped.

ptrace stops one thread alone: meanwhile no message is read and no question is
answered, while the process, and the kernel, go on.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import rnlab

PTRACE_SEIZE = 0x4206
PTRACE_INTERRUPT = 0x4207
PTRACE_DETACH = 17
WALL = 0x40000000  # wait for threads too

SCRIPT = """
    import os, signal, sys, threading, routenotify

    monitor = routenotify.RouteMonitor({options})

    def handler(number, frame):
        {handler}

    def ask():
        try:
            monitor.{question}()
        except BaseException as error:
            print(type(error).__name__, flush=True)
        else:
            print("answered", flush=True)

    def give_up(times):
        for i in range(times):
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.002)
                monitor.resync() if i % 2 else monitor.snapshot()
            except OSError:
                pass
        print("asked", flush=True)

    signal.signal(signal.SIGALRM, handler)
    signal.signal(signal.SIGUSR1, handler)
    print("ready", flush=True)
    sys.stdin.readline()
    {ask}
    sys.stdin.readline()
    {then}
"""


def ptrace(request, thread):
    """One request about another thread."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long] * 4
    libc.ptrace.restype = ctypes.c_long
    if libc.ptrace(request, thread, 0, 0) < 0:
        raise OSError(ctypes.get_errno(), f"ptrace({request:#x})")


class Subject:
    """A process with one monitor, whose reader can be stopped."""

    def __init__(self, netns, **parts):
        defaults = {"handler": "pass", "ask": "ask()", "then": "pass", "options": ""}
        self.process = netns.popen(
            [
                *(sys.executable, "-P", "-c"),
                textwrap.dedent(SCRIPT).format(**{**defaults, **parts}),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert "ready" == self.line()
        threads = {int(name) for name in os.listdir(self._tasks)}
        (self._reader,) = threads - {self.process.pid}

    @property
    def _tasks(self):
        return Path(f"/proc/{self.process.pid}/task")

    @contextlib.contextmanager
    def stopped(self):
        """Nothing is answered within the block."""
        ptrace(PTRACE_SEIZE, self._reader)
        ptrace(PTRACE_INTERRUPT, self._reader)
        os.waitpid(self._reader, WALL)
        try:
            yield
        finally:
            ptrace(PTRACE_DETACH, self._reader)

    def go(self):
        """On to the next step."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def line(self):
        """What it printed."""
        return self.process.stdout.readline().rstrip("\n")

    def go_and_wait(self):
        """On, until a thread sleeps again and again: it waits."""
        self.go()
        before = self._sleeps()
        rnlab.wait_for(lambda: self._sleeps() >= before + 4, 20, "waiting")

    def _sleeps(self):
        status = [(one / "status").read_text() for one in self._tasks.iterdir()]
        counts = [one.split("\nvoluntary_ctxt_switches:")[1] for one in status]
        return sum(int(count.split()[0]) for count in counts)

    def kill(self, number):
        """Send it a signal."""
        self.process.send_signal(number)

    def end(self):
        """Let it end; what it still printed."""
        rest, _ = self.process.communicate("\n", timeout=30)
        assert 0 == self.process.returncode
        return rest.split()
