"""A program in a real terminal: tmux draws it, the test reads the screen."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Self

import rncli
import rnlab


class Terminal:
    """One program in a tmux of its own, in a namespace.

    Its tmux server ends with `close`; nobody else's is touched.
    """

    def __init__(
        self,
        netns: rnlab.Namespace,
        folder: Path,
        command: list[str],
        *,
        columns: int = 100,
        rows: int = 32,
        **changes: str,
    ) -> None:
        self._socket = folder / "tmux"
        self._ended = folder / "ended"
        self._netns = netns
        environment = rncli.environment(
            TERM="xterm-256color", LANG="C.UTF-8", **changes
        )
        environment.pop("TMUX", None)
        with netns.entered():
            subprocess.run(
                [
                    *self._words("-f", os.devnull, "new-session", "-d"),
                    *("-x", str(columns), "-y", str(rows)),
                    # tmux itself sometimes forgets to ask how a program ended.
                    f"trap : INT; {shlex.join(command)}; echo $? >{self._ended}",
                    *(";", "set", "remain-on-exit", "on"),
                    *(";", "set", "status", "off"),
                ],
                check=True,
                env=environment,
                timeout=20,
            )

    def screen(self, *, styled: bool = False) -> str:
        """Return what is to be seen; with escape sequences if styled."""
        return self._tmux("capture-pane", "-p", *(["-e"] if styled else []))

    def type(self, *keys: str) -> None:
        """Press keys, by tmux's names: q, Tab, Enter, C-c."""
        self._tmux("send-keys", *keys)

    def write(self, text: str) -> None:
        """Type text as it is."""
        self._tmux("send-keys", "-l", "--", text)

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size."""
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def until(
        self, condition: Callable[[str], object], what: str, deadline: float = 20.0
    ) -> str:
        """Wait for a screen that meets condition; return it.

        Raises:
            AssertionError: the deadline passed; the text has the last screen.
        """
        seen = [""]

        def look() -> bool:
            seen[0] = self.screen()
            return bool(condition(seen[0]))

        try:
            rnlab.wait_for(look, deadline, what)
        except AssertionError:
            raise AssertionError(f"{what} is not on the screen:\n{seen[0]}") from None
        return seen[0]

    def record(self, file: Path) -> None:
        """Write everything that the program prints from now on to a file, too."""
        self._tmux("pipe-pane", "-o", f"exec cat >{shlex.quote(str(file))}")
        rnlab.wait_for(file.exists, what="the recording")

    def pid(self) -> int:
        """Return the id of the program, which shells may have started."""
        pid = int(self._tell("pane_pid"))
        rnlab.wait_for(lambda: _children(pid), what="the program")
        while children := _children(pid):
            pid = children[0]
        return pid

    def is_plain(self) -> bool:
        """Whether it is in the state for a shell: cursor, no alternate screen."""
        return self._tell("alternate_on") == "0" and self._tell("cursor_flag") == "1"

    def status(self, deadline: float = 10.0) -> int:
        """Wait for the program's end; return its exit status."""
        told = rnlab.wait_for(
            lambda: self._ended.exists() and self._ended.read_text(),
            deadline,
            "the end",
        )
        return int(told)

    def close(self) -> None:
        """End the program and its terminal."""
        subprocess.run(
            self._words("kill-server"), check=False, capture_output=True, timeout=20
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _tell(self, name: str) -> str:
        return self._tmux("display", "-p", f"#{{{name}}}").strip()

    def _words(self, *arguments: str) -> list[str]:
        return ["tmux", "-S", str(self._socket), *arguments]

    def _tmux(self, *arguments: str) -> str:
        done = subprocess.run(
            self._words(*arguments),
            check=True,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=20,
        )
        return done.stdout


def _children(pid: int) -> list[int]:
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
