"""A network namespace of our own, and a second one for the far ends of links.

Works without pytest and without named namespaces: unshare and setns by ctypes,
on the calling thread only (CLONE_NEWNET is a property of a thread).
"""

import contextlib
import ctypes
import os
import re
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Self

CLONE_NEWNET = 0x40000000
CLONE_NEWUSER = 0x10000000
_FAILED = re.compile(r"^Command failed -:(\d+)$")

_libc = ctypes.CDLL(None, use_errno=True)


class CommandError(RuntimeError):
    """A command that has to work did not."""


def _check(result: int, call: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Move the calling thread to new namespaces."""
    _check(_libc.unshare(flags), "unshare")


def setns(fd: int) -> None:
    """Move the calling thread to the network namespace behind fd."""
    _check(_libc.setns(fd, CLONE_NEWNET), "setns")


def current_namespace() -> int:
    """A file descriptor of the calling thread's network namespace."""
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def become_privileged() -> None:
    """Get the right to make namespaces, by a user namespace when not root.

    Only before the first thread is started: the kernel refuses later.
    """
    if os.geteuid() == 0:
        return
    user, group = os.geteuid(), os.getegid()
    unshare(CLONE_NEWUSER | CLONE_NEWNET)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"0 {user} 1"),
        ("gid_map", f"0 {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)


class Space:
    """Two fresh network namespaces; the calling thread lives in the first.

    The second ("peer") holds the far ends of veth pairs and devices that are
    moved away.  Both end with close() and whatever else keeps them (an open
    monitor does).
    """

    def __init__(self) -> None:
        self._before = current_namespace()
        self.peer = self.main = -1
        try:
            unshare(CLONE_NEWNET)
            self.peer = current_namespace()
            unshare(CLONE_NEWNET)
            self.main = current_namespace()
        except OSError:
            self.close()
            raise

    @property
    def main_path(self) -> str:
        """The namespace under test as a path any process may open."""
        return f"/proc/{os.getpid()}/fd/{self.main}"

    @property
    def peer_path(self) -> str:
        """The far namespace as a path any process may open."""
        return f"/proc/{os.getpid()}/fd/{self.peer}"

    def end_peer(self) -> None:
        """End the far namespace: each link loses its far end, and goes."""
        peer, self.peer = self.peer, -1
        os.close(peer)

    def close(self) -> None:
        """Return the thread to where it came from and let both go."""
        if self._before >= 0:
            setns(self._before)
        for fd in (self.main, self.peer, self._before):
            if fd >= 0:
                os.close(fd)
        self.main = self.peer = self._before = -1

    def __enter__(self) -> Self:
        """Use as a context manager: leaves and frees at the end."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close."""
        self.close()

    @contextlib.contextmanager
    def at(self, where: str) -> Iterator[None]:
        """The calling thread in "main" or in "peer" for a while."""
        if where == "main":
            yield
            return
        setns(self.peer)
        try:
            yield
        finally:
            setns(self.main)

    def batch(
        self, commands: Sequence[str], *, family: str = "", where: str = "main"
    ) -> dict[int, str]:
        """Run many ip commands in one process; which failed and why.

        Args:
            commands: lines for `ip -batch`; "{peer}" stands for the path of
                the other namespace.
            family: "", "-4" or "-6".
            where: "main" or "peer".

        Returns:
            Index of each command that failed, with what ip said.
        """
        elsewhere = self.peer_path if where == "main" else self.main_path
        text = "".join(f"{line}\n".replace("{peer}", elsewhere) for line in commands)
        argv = ["ip", *([family] if family else []), "-force", "-batch", "-"]
        with self.at(where):
            done = subprocess.run(
                argv,
                input=text,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
                timeout=60,
            )
        return _failures(done.stderr)

    def ip(self, *commands: str, family: str = "", where: str = "main") -> None:
        """Commands that must all work.

        Raises:
            CommandError: naming the first that did not.
        """
        for index, said in self.batch(commands, family=family, where=where).items():
            raise CommandError(f"ip {commands[index]}: {said}")

    def sysctl(self, name: str, value: str, *, where: str = "main") -> bool:
        """Set net.<name>; name is a path below /proc/sys/net.  Did it work?"""
        with self.at(where):
            try:
                with open(f"/proc/sys/net/{name}", "w", encoding="ascii") as file:
                    file.write(value)
            except OSError:
                return False
        return True

    def thread(self, do: Callable[[], object]) -> threading.Thread:
        """Start a thread in the namespace under test (it inherits ours)."""
        thread = threading.Thread(target=do, daemon=True)
        thread.start()
        return thread

    def output(self, *argv: str) -> str:
        """What a command in the namespace under test prints."""
        done = subprocess.run(
            argv, capture_output=True, text=True, check=True, timeout=60
        )
        return done.stdout


def _failures(stderr: str) -> dict[int, str]:
    failed: dict[int, str] = {}
    said: list[str] = []
    for line in stderr.splitlines():
        match = _FAILED.match(line)
        if match:
            failed[int(match.group(1)) - 1] = "; ".join(said)
            said = []
        else:
            said.append(line)
    return failed
