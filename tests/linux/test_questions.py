"""resync() and snapshot() while something else happens to the monitor.

The reader of the process under test is stopped, so a question is certainly
unanswered when that happens.
"""

from __future__ import annotations

import signal
import threading
import traceback

import pytest
from rnstopped import Subject

import routenotify

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
