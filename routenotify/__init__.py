"""Every change of an IP route on this computer, in order, on Windows and Linux."""

import importlib
from typing import TYPE_CHECKING

from routenotify._api import RouteMonitor, best_route, routes
from routenotify._errors import (
    AccessDenied,
    InvalidParameter,
    MonitorClosed,
    NotEnoughMemory,
    NotSupported,
    RouteNotFound,
    RouteNotifyError,
    WaitTimeout,
)
from routenotify._filter import RouteFilter
from routenotify._routenotify import MonitorStats, Route, RouteBatch, RouteChange
from routenotify._types import ChangeType, RouteKey, RouteType, Snapshot

if TYPE_CHECKING:
    from routenotify import netioapi
    from routenotify._recording._error import RecordingError
    from routenotify._replay import Replay, replay

__all__ = [
    "AccessDenied",
    "ChangeType",
    "InvalidParameter",
    "MonitorClosed",
    "MonitorStats",
    "NotEnoughMemory",
    "NotSupported",
    "RecordingError",
    "Replay",
    "Route",
    "RouteBatch",
    "RouteChange",
    "RouteFilter",
    "RouteKey",
    "RouteMonitor",
    "RouteNotFound",
    "RouteNotifyError",
    "RouteType",
    "Snapshot",
    "WaitTimeout",
    "best_route",
    "netioapi",
    "replay",
    "routes",
]

# Half of the time that it takes to load everything, for what most programs do without.
_LATER = {
    "RecordingError": "_recording._error",
    "Replay": "_replay",
    "netioapi": "netioapi",
    "replay": "_replay",
}

if not TYPE_CHECKING:  # for checkers these are names like the others

    def __getattr__(name: str) -> object:
        """Load one of `_LATER` when somebody first asks for it."""
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = importlib.import_module(f"{__name__}.{_LATER[name]}")
        found = globals()[name] = getattr(module, name, module)
        return found

    def __dir__() -> list[str]:
        """The public names, loaded or not."""
        return sorted({*globals(), *__all__})
