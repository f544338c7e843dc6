"""The examples of README.md and docs/*.md: found, and run as a reader would.

A fence of language `python` is a script, one of language `console` has commands
behind `$ ` and what they print.  Both run in a network namespace in which routes
change all the time (`Computer`).  An example has to end by itself with status 0;
one that loops, or shows `^C`, prints something and then ends when that is typed.

What an example wants otherwise is said in a comment right above its fence, in
several parts if need be, separated by `;`:

    <!-- example: needs pandas jq -->          modules and programs; else skipped
    <!-- example: continues -->                begins with the scripts above it
    <!-- example: monitor -->                  has an open `monitor`
    <!-- example: loops -->                    goes on until Ctrl-C
    <!-- example: windows -->                  only compiled here
    <!-- example: not run, it reboots -->      with the reason
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import rncli
import rnlab

ROOT = Path(__file__).parents[2]
RUN = ("python", "console")
NOT_RUN = ("", "sh", "text", "ini", "json", "toml", "powershell", "c")
PATIENCE = 30  # seconds for the first words, and from there to the end

_FENCE = re.compile(r"^```(\S*)\s*$")
_WISH = re.compile(r"^<!-- example: (.*?) -->$")

_IN_A_MONITOR = """\
import routenotify
with routenotify.RouteMonitor() as monitor:
"""


class BrokenError(Exception):
    """An example does not do what its page says."""


@dataclass
class Example:
    """One fence of a page."""

    page: str
    line: int  # of its opening fence, from 1
    language: str
    text: str
    wishes: list[str]
    before: list[str] = field(default_factory=list)  # the scripts it continues

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def needs(self) -> list[str]:
        """Modules and programs that have to be there."""
        wanted = [wish.split() for wish in self.wishes]
        return [name for wish in wanted if wish[0] == "needs" for name in wish[1:]]

    @property
    def is_run(self) -> bool:
        """Not so what is for another system."""
        return not any(w == "windows" or w.startswith("not run") for w in self.wishes)

    @property
    def loops(self) -> bool:
        """Whether a reader has to end it."""
        return "loops" in self.wishes

    def missing(self) -> list[str]:
        """Those of them that are not."""
        return [
            name
            for name in self.needs
            if not importlib.util.find_spec(name) and not shutil.which(name)
        ]

    @property
    def script(self) -> str:
        """What to run, `continues` and `monitor` obeyed."""
        script = "\n".join([*self.before, self.text])
        if "monitor" not in self.wishes:
            return script
        return _IN_A_MONITOR + textwrap.indent(script, "    ")

    @property
    def commands(self) -> list[tuple[str, list[str]]]:
        """Of a console: each command and the lines shown below it."""
        found: list[tuple[str, list[str]]] = []
        for line in self.text.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif found:
                found[-1][1].append(line)
        return found


def pages() -> list[Path]:
    """Every page that has examples."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def examples(page: Path) -> list[Example]:
    """Every fence of a page, those included that are not run."""
    found: list[Example] = []
    scripts: list[str] = []
    wish = ""
    lines = iter(enumerate(page.read_text().splitlines(), 1))
    for number, line in lines:
        said = _WISH.match(line)
        fence = _FENCE.match(line)
        if said:
            wish = said[1]
        elif fence:
            text = "\n".join(_body(lines)) + "\n"
            wishes = [part.strip() for part in wish.split(";") if part]
            example = Example(page.name, number, fence[1], text, wishes)
            if "continues" in wishes:
                example.before = list(scripts)
            elif fence[1] == "python":
                scripts = []
            if fence[1] == "python":
                scripts.append(text)
            found.append(example)
        if line.strip() and not said:
            wish = ""
    return found


def _body(lines: Iterator[tuple[int, str]]) -> Iterator[str]:
    for _, line in lines:
        if line == "```":
            return
        yield line
    raise BrokenError("a fence is not closed")


class Computer:
    """A namespace that looks like a computer, with routes that come and go.

    eth0 has 192.0.2.10/24, 2001:db8:a::10/64 and the IPv4 default route; wg0
    stands for a VPN, with 10.8.0.2/24 and, at times, table 51820.
    """

    _ROUND = (
        "route add 198.51.100.0/24 via 192.0.2.2",
        "route replace 198.51.100.0/24 via 192.0.2.2 mtu 1400",
        "route add 10.20.0.0/16 dev wg0",
        "route add default dev wg0 table 51820",
        "route add 2001:db8:1::/48 via 2001:db8:a::2",
        "route add blackhole 203.0.113.0/24",
        "route del 203.0.113.0/24",
        "route del 2001:db8:1::/48",
        "route del default dev wg0 table 51820",
        "route del 10.20.0.0/16",
        "route del 198.51.100.0/24",
    )

    def __init__(self, namespace: rnlab.Namespace, folder: Path) -> None:
        self.namespace = namespace
        self.folder = folder
        self._ended = threading.Event()
        namespace.veth("eth0", "192.0.2.10/24", "2001:db8:a::10/64")
        namespace.veth("wg0", "10.8.0.2/24")
        namespace.ip("route add default via 192.0.2.1 metric 100 protocol dhcp")
        self._bin = folder / "bin"
        self._bin.mkdir()
        self._program("routenotify", f'"{sys.executable}" -P -m routenotify')
        self._program("python", f'"{sys.executable}" -P')

    def _program(self, name: str, command: str) -> None:
        path = self._bin / name
        path.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        path.chmod(0o755)

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """Change routes for the length of the block."""
        thread = threading.Thread(target=self._change)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()

    def _change(self) -> None:
        while not self._ended.wait(0.05):
            self.namespace.batch(self._ROUND)

    def start(self, command: list[str]) -> subprocess.Popen[bytes]:
        """Start a program as the leader of a group, in a folder of its own."""
        path = f"{self._bin}:{os.environ['PATH']}"
        return self.namespace.popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.folder,
            env=rncli.environment(PATH=path, PYTHONUNBUFFERED="1"),
            start_new_session=True,
        )


def run(example: Example, computer: Computer) -> None:
    """Run an example.

    Raises:
        BrokenError: It fails, hangs in silence, or does not end by Ctrl-C.
    """
    with computer.changing():
        if example.language == "python":
            _run_script(example, computer)
        for command, shown in example.commands if example.language != "python" else ():
            _run_command(command, shown, computer, loops=example.loops)


def _run_script(example: Example, computer: Computer) -> None:
    script = computer.folder / "example.py"
    script.write_text(example.script)
    status, stopped, out, err = _watch(
        computer.start([sys.executable, "-P", "-W", "default", str(script)]),
        loops=example.loops,
    )
    by_ctrl_c = stopped and (status == -signal.SIGINT or "KeyboardInterrupt" in err)
    if status != 0 and not by_ctrl_c:
        raise BrokenError(f"{example}: status {status}\n{out}\n{err}")
    if "Warning" in err or "Exception ignored" in err:
        raise BrokenError(f"{example} warns:\n{err}")


def _run_command(
    command: str, shown: list[str], computer: Computer, *, loops: bool
) -> None:
    status, stopped, out, err = _watch(
        computer.start(["bash", "-c", command]),
        loops=loops or any("^C" in line for line in shown),
    )
    fails = any(line.startswith("routenotify: ") for line in shown)
    expected = status == 0 or (stopped and status in (130, -signal.SIGINT))
    if fails:
        expected = status != 0 and "routenotify: " in err
    if not expected or "Traceback" in err:
        raise BrokenError(f"$ {command}: status {status}\n{out}\n{err}")


def _watch(
    process: subprocess.Popen[bytes], *, loops: bool
) -> tuple[int, bool, str, str]:
    """Wait for its end; one that loops gets Ctrl-C once it has printed something.

    After a second more, in which it must not fail.
    """
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], PATIENCE)
    first = os.read(process.stdout.fileno(), 1 << 16) if ready else b""
    with contextlib.suppress(subprocess.TimeoutExpired):
        rest = process.communicate(timeout=_more_seconds(first, loops=loops))
        return process.returncode, False, (first + rest[0]).decode(), rest[1].decode()
    if not first:
        os.killpg(process.pid, signal.SIGKILL)
        _, errors = process.communicate()
        raise BrokenError(f"it neither prints nor ends:\n{errors.decode()}")
    if not loops:
        os.killpg(process.pid, signal.SIGKILL)
        out, _ = process.communicate()
        raise BrokenError(f"it prints and does not end:\n{(first + out).decode()}")
    os.killpg(process.pid, signal.SIGINT)
    try:
        out, err = process.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        raise BrokenError(f"Ctrl-C does not end it:\n{err.decode()}") from None
    return process.returncode, True, (first + out).decode(), err.decode()


def _more_seconds(first: bytes, *, loops: bool) -> float:
    if not first:
        return 0.1
    return 1 if loops else PATIENCE
