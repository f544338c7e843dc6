"""A command in a Windows console, beside routes of the double that change.

Run by test_wine.py in a terminal that tmux draws: console.py COMMAND...
"""

from __future__ import annotations

import ctypes
import sys
from ctypes import wintypes
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "inside"))

from doublelab import Double, row

from routenotify._cli import main


def take_the_keyboard() -> None:
    """Have Wine 8 read it: it begins at the first peek, not at kbhit()."""
    kernel32 = ctypes.windll.kernel32
    record, count = ctypes.create_string_buffer(64), wintypes.DWORD()
    console = wintypes.HANDLE(kernel32.GetStdHandle(-10))
    kernel32.PeekConsoleInputW(console, record, 1, ctypes.byref(count))


def run(words: list[str]) -> int:
    """Run it; return its status."""
    double = Double()
    double.set_table(row("10.0.0.0/8", "192.0.2.1"))
    double.churn_async(1 << 30, seed=1, gap_us=2000)
    try:
        return main(words)
    finally:
        double.join(stop=True)


if __name__ == "__main__":
    take_the_keyboard()
    sys.exit(run(sys.argv[1:]))
