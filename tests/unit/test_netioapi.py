"""The dispatcher of NotifyRouteChange2, on recordings instead of a system."""

from __future__ import annotations

import threading

import pytest
import rows

import routenotify
from routenotify import netioapi
from routenotify._recording._open import writer

BEGIN, END, MEMORY = 17, 18, 12


def marker(kind, **fields):
    """A row that is none."""
    return rows.change("0.0.0.0/0", ip_version=0, type=kind, **fields)


class Told:
    """A callback, and the destinations it was told."""

    def __init__(self, count):
        self.said = []
        self._count = count
        self._all = threading.Event()

    def __call__(self, _context, row, kind):
        """Keep one."""
        self.said.append((kind.name, str(row.DestinationPrefix)))
        if len(self.said) == self._count:
            self._all.set()

    def wait(self):
        """All that were expected, and what else came by then."""
        assert self._all.wait(10), self.said
        return self.said


@pytest.fixture
def dispatch(tmp_path):
    """Have changes told to a callback; ended when the test is over."""
    handles = []

    def make(changes, callback):
        path = tmp_path / "recording"
        with open(path, "wb") as file:
            out = writer(file, "rtmon")
            for change in changes:
                out.write(change)
        replay = routenotify.replay(path)
        handles.append(netioapi.NotificationHandle(replay, callback, None))

    yield make
    for handle in handles:
        netioapi.CancelMibChangeNotify2(handle)


def test_markers_that_come_unasked_are_no_callbacks(dispatch):
    """The thread ended at the first one, and no callback was made any more."""
    told = Told(2)
    changes = [
        rows.change("10.0.0.0/8"),
        marker(BEGIN, cause=MEMORY),
        rows.change("10.1.0.0/16"),
        marker(END, cause=MEMORY),
    ]
    dispatch(changes, told)

    assert [
        ("MibAddInstance", "10.0.0.0/8"),
        ("MibAddInstance", "10.1.0.0/16"),
    ] == told.wait()


@pytest.mark.parametrize("failing", ["get", "_partial_row"])
def test_a_registration_outlives_a_lack_of_memory(dispatch, monkeypatch, failing):
    """And is told every change once; the thread ended at the first failure."""
    place = routenotify.Replay if failing == "get" else netioapi
    right = getattr(place, failing)
    calls = 0

    def wrong(argument):
        nonlocal calls
        calls += 1
        if calls % 2:
            raise MemoryError
        return right(argument)

    monkeypatch.setattr(place, failing, wrong)
    told = Told(3)
    nets = ["10.0.0.0/8", "10.1.0.0/16", "10.2.0.0/16"]
    dispatch([rows.change(net) for net in nets], told)

    assert [("MibAddInstance", net) for net in nets] == told.wait()
