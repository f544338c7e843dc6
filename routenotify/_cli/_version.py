"""Which release of the package this is."""

from __future__ import annotations


def version() -> str:
    """Return the installed version; "unknown" in a checkout not installed."""
    import importlib.metadata  # slow to load, and seldom asked

    try:
        return importlib.metadata.version("routenotify")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
