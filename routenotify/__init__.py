"""Every change of an IP route on this computer, in order, on Windows and Linux."""

from routenotify import netioapi
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
from routenotify._recording._error import RecordingError
from routenotify._replay import Replay, replay
from routenotify._routenotify import MonitorStats, Route, RouteBatch, RouteChange
from routenotify._types import ChangeType, RouteKey, RouteType, Snapshot

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
