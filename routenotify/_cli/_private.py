"""A command of our own in a private network namespace (Linux)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

# `-P` and an explicit path: the child must import this very package, neither
# one that happens to lie in the current directory nor none at all.
_CHILD = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); "
    "from routenotify._cli import main; sys.exit(main())"
)


def inside(*arguments: str) -> list[str]:
    """Return the words that run routenotify in a new network namespace.

    Args:
        arguments: of routenotify.

    Raises:
        OSError: the system forbids each way; the text is what it said.
    """
    if sys.platform != "linux":
        raise PermissionError("it needs Linux")
    package = str(Path(__file__).parents[2])
    return [*_way_in(), sys.executable, "-P", "-c", _CHILD, package, *arguments]


def _way_in() -> list[str]:
    """Return the command that starts another one in a new network namespace.

    Raises:
        OSError: the system forbids each way; the text is what it said.
    """
    ways = [["unshare", "-U", "-r", "-n"]]
    if os.geteuid() == 0:
        ways.insert(0, ["unshare", "-n"])
    refused = ""
    for way in ways:
        tried = subprocess.run(  # noqa: S603 - our own words
            [*way, "true"], check=False, capture_output=True, text=True
        )
        if tried.returncode == 0:
            return way
        refused = tried.stderr.strip().partition("\n")[0]
    hint = "" if os.geteuid() == 0 else "; root may: try it with sudo"
    raise PermissionError(refused + hint)
