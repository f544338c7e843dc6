"""What ends a command that goes on until Ctrl-C."""

from __future__ import annotations

import signal
import threading

import pytest

from routenotify._cli._signals import terminating_as_ctrl_c

KINDS = [
    getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)
]


@pytest.fixture(params=KINDS)
def number(request):
    """A signal that asks to end; its handler is put back."""
    before = signal.getsignal(request.param)
    yield request.param
    signal.signal(request.param, before)


def test_asking_to_end_is_ctrl_c_while_inside(number):
    """And afterwards what it was before."""

    def own(*_):
        raise AssertionError("still ours")

    signal.signal(number, own)
    with pytest.raises(KeyboardInterrupt), terminating_as_ctrl_c():
        signal.raise_signal(number)

    assert own is signal.getsignal(number)


def test_an_ignored_signal_stays_ignored(number):
    """`nohup routenotify record` outlives its terminal."""
    signal.signal(number, signal.SIG_IGN)
    with terminating_as_ctrl_c():
        signal.raise_signal(number)
        assert signal.SIG_IGN is signal.getsignal(number)


def test_another_thread_cannot_and_need_not(number):
    """Python sets signals on the main thread only."""
    found = []

    def look():
        with terminating_as_ctrl_c():
            found.append(signal.getsignal(number))

    before = signal.getsignal(number)
    thread = threading.Thread(target=look)
    thread.start()
    thread.join(10)

    assert [before] == found
