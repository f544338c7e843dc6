"""Which release of the package this is."""

from __future__ import annotations

import importlib.metadata


def version() -> str:
    """Return the installed version; "unknown" in a checkout not installed."""
    try:
        return importlib.metadata.version("routenotify")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
