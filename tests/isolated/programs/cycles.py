"""Monitors die like other objects: in cycles, with weak references, unpickled."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import warnings
import weakref

import _storm
import pytest

from routenotify import RouteMonitor, _routenotify


class Holder:
    """Refers to whatever refers to it."""

    def __init__(self) -> None:
        self.monitor: object = None


def cycle(*, closed: bool, warned: list[str]) -> None:
    """An open monitor in a cycle is closed, with a warning, when collected."""
    died: list[object] = []
    holder = Holder()
    monitor = RouteMonitor(context=holder)
    monitor.itself = [monitor, monitor.get]
    holder.monitor = monitor
    if closed:
        monitor.close()
    gone = weakref.ref(monitor, died.append)
    held = weakref.ref(holder)
    assert gone() is monitor
    del monitor, holder
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gc.collect()
    warned += [str(one.message)[:25] for one in caught]
    caught.clear()  # a warning refers to what it is about
    gc.collect()
    assert gone() is None
    assert held() is None
    assert died == [gone]


def refuse_copies(monitor: object) -> None:
    """A registration cannot be copied, and says that it cannot."""
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="pickle"):
            pickle.dumps(monitor, protocol)
    for call in (copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="pickle"):
            call(monitor)


def main() -> None:
    """Run it; no descriptor is left."""
    _storm.prepare()
    RouteMonitor().close()
    gc.collect()
    descriptors = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        warned: list[str] = []
        cycle(closed=False, warned=warned)
        assert warned == ["unclosed <RouteMonitor op"], warned
        warned.clear()
        cycle(closed=True, warned=warned)
        assert warned == [], warned
    assert len(os.listdir("/proc/self/fd")) == descriptors
    with RouteMonitor() as monitor:
        refuse_copies(monitor)
        proxy = weakref.proxy(monitor)
        assert proxy.poll() is None
    refuse_copies(_routenotify.Monitor())


main()
print("end")
