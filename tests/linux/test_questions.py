"""resync() and snapshot() while something else happens to the monitor.

The reader thread of the process under test is stopped (ptrace stops one thread
alone), so a question is certainly unanswered when that happens.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import textwrap
import threading
import traceback
from pathlib import Path

import pytest
import rnlab

import routenotify

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


both = pytest.mark.parametrize("question", ["resync", "snapshot"])


@both
@pytest.mark.parametrize(
    ("number", "handler", "raised"),
    [
        (signal.SIGINT, "pass", "KeyboardInterrupt"),
        (signal.SIGUSR1, "raise OSError", "OSError"),
        (signal.SIGUSR1, "os.fork() or os._exit(0); raise OSError", "OSError"),
    ],
    ids=["Ctrl-C", "raises", "forks"],
)
def test_question_when_a_signal_comes_then_its_handler_ends_it(
    netns, question, number, handler, raised
):
    """Before there is an answer; the monitor serves on."""
    subject = Subject(
        netns,
        question=question,
        handler=handler,
        then="monitor.resync(); print(len(monitor.snapshot()) > 0)",
    )
    with subject.stopped():
        subject.go_and_wait()
        subject.kill(number)
        assert raised == subject.line()

    assert ["True"] == subject.end()


@both
def test_question_when_the_monitor_is_closed_then_it_ends(netns, question):
    """Before there is an answer, and close() returns as soon as it can."""
    subject = Subject(
        netns,
        question=question,
        ask="threading.Thread(target=ask).start()",
        then="monitor.close(); print('closed')",
    )
    with subject.stopped():
        subject.go_and_wait()
        subject.go()
        assert "MonitorClosed" == subject.line()

    assert ["closed"] == subject.end()


@both
def test_question_when_its_own_handler_closes_then_nothing_hangs(netns, question):
    """In the middle of the wait, on the same thread."""
    subject = Subject(
        netns,
        question=question,
        handler="print('handler', flush=True); monitor.close(); print(monitor.closed)",
    )
    with subject.stopped():
        subject.go_and_wait()
        subject.kill(signal.SIGUSR1)
        assert "handler" == subject.line()

    said = subject.end()
    assert "True" == said[0]
    assert said[1] in ("MonitorClosed", "answered")  # which one came first


@both
def test_question_in_a_child_that_its_handler_forked_ends(netns, question):
    """The child has no reader; its monitor says so."""
    handler = "if os.fork(): os.wait(); os._exit(0)"
    subject = Subject(netns, question=question, handler=handler)
    with subject.stopped():
        subject.go_and_wait()
        subject.kill(signal.SIGUSR1)
        assert "MonitorClosed" == subject.line()

    assert [] == subject.end()


def test_questions_that_were_given_up_cost_nothing_later(netns):
    """Many of them, answered to nobody."""
    subject = Subject(
        netns,
        question="resync",
        handler="raise OSError",
        ask="give_up(30)",
        then="print(len(monitor.snapshot()) > 0)",
    )
    with subject.stopped():
        subject.go()
        assert "asked" == subject.line()

    assert ["True"] == subject.end()


def told_before_overrun(netns, rcvbuf):
    """How many of 3000 changes a reader that slept finds, and that it goes on."""
    subject = Subject(
        netns,
        question="resync",
        options=f"rcvbuf={rcvbuf}, capacity=4096",
        then="print(sum(c.cause == 'system' for c in monitor.drain()))",
    )
    with subject.stopped():
        netns.batch(
            f"route {verb} 20.{n >> 8}.{n & 255}.0/24 dev v0"
            for n in range(1500)
            for verb in ("add", "del")
        )
    subject.go()
    assert "answered" == subject.line()
    (told,) = subject.end()
    return int(told)


def test_resync_when_a_turn_reads_the_last_message_of_an_overrun(netns):
    """It had waited for ever, and so had the repair, for a look at an empty queue.

    A turn of the reader is 16 calls of up to 64 messages each, and the first of
    them is told of the overrun.
    """
    netns.veth("v0", "192.0.2.1/24")
    some = 400_000
    found = told_before_overrun(netns, some)

    exact = some * 928 // found
    assert 14 * 64 < told_before_overrun(netns, exact) <= 15 * 64


def test_snapshots_at_once_have_each_their_own_sequence(netns):
    """Rows and sequence belong together, whoever else asks."""
    netns.veth("v0", "192.0.2.1/24")
    done = threading.Event()
    errors = []

    def ask(monitor):
        try:
            last = 0
            for _ in range(200):
                taken = monitor.snapshot()
                assert last <= taken.sequence
                assert {taken.sequence} == {row.sequence for row in taken}
                nets = {str(row.destination) for row in taken}
                # Each change adds the route that its sequence numbers.
                added = [f"10.0.{i}.0/24" in nets for i in range(250)]
                assert sum(added) == min(taken.sequence, 250)
                last = taken.sequence
        except BaseException:  # noqa: BLE001 - shown below
            errors.append(traceback.format_exc())

    def change():
        for first in range(0, 250, 5):
            done.wait(0.01)
            nets = range(first, first + 5)
            netns.batch(f"route add 10.0.{i}.0/24 dev v0" for i in nets)

    with routenotify.RouteMonitor() as monitor:
        threads = [threading.Thread(target=ask, args=(monitor,)) for _ in range(3)]
        threads.append(threading.Thread(target=change))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)

        assert not any(thread.is_alive() for thread in threads)
        assert [] == errors
