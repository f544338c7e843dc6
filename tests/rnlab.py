"""Network namespaces for tests: private, made and removed by the test process.

A thread is in one network namespace; its sockets and the processes it starts
belong to that one.  The test process moves itself into a private namespace
before it has a second thread (`isolate`), so nothing here ever sees, or
changes, a route of the machine.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from routenotify import RouteMonitor

CLONE_NEWNET = 0x40000000
CLONE_NEWUSER = 0x10000000
NAMESPACE = "/proc/thread-self/ns/net"
REQUIRED = os.environ.get("ROUTENOTIFY_REQUIRE_KERNEL") == "1"

# What a system's own thread pool may add to open_handles() meanwhile.
STRAY_HANDLES = 8 if sys.platform == "win32" else 0

T = TypeVar("T")


class ForbiddenError(Exception):
    """The system does not let this process have a network namespace."""


def _libc_call(name: str, *args: int) -> None:
    if sys.version_info >= (3, 12):
        getattr(os, name)(*args)
        return
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*args) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


def unshare(flags: int) -> None:
    """Move the calling thread (and no other) into new namespaces."""
    _libc_call("unshare", flags)


def setns(fd: int) -> None:
    """Move the calling thread into the network namespace that fd refers to."""
    _libc_call("setns", fd, CLONE_NEWNET)


def isolate() -> None:
    """Put this process, which must have one thread, into a private namespace.

    As root with a new network namespace alone, else as root of a new user
    namespace.

    Raises:
        ForbiddenError: the system allows neither, or a tool is missing.
    """
    if sys.platform != "linux":
        raise ForbiddenError("network namespaces exist on Linux only")
    if shutil.which("ip") is None:
        raise ForbiddenError("`ip` is missing: install iproute2")
    try:
        unshare(CLONE_NEWNET)
    except OSError:
        _isolate_without_root()
    _prepare()


def _isolate_without_root() -> None:
    uid, gid = os.geteuid(), os.getegid()
    try:
        unshare(CLONE_NEWUSER | CLONE_NEWNET)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    except OSError as error:
        raise ForbiddenError(
            f"neither root nor allowed to make a user namespace ({error})"
        ) from error


def _prepare() -> None:
    """Finish a new namespace: no waiting for duplicate addresses, lo up."""
    for scope in ("all", "default"):
        with contextlib.suppress(OSError):  # no IPv6, or a read-only /proc/sys
            Path(f"/proc/sys/net/ipv6/conf/{scope}/accept_dad").write_text("0")
    _run(["ip", "link", "set", "lo", "up"])


def _run(command: list[str], text: str | None = None) -> str:
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, timeout=100
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def run_bounded(
    command: list[str], seconds: float, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run a program; when it is over, or its time is, nothing of it still runs.

    Args:
        command: the program and its arguments.
        seconds: how long it may take.
        options: of subprocess.Popen.

    Raises:
        AssertionError: it took longer; the text has what it had printed.
    """
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    ) as process:
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            kill_group(process)
            out, err = process.communicate()
            raise AssertionError(
                f"{command} still ran after {seconds} s\n{out}\n{err}"
            ) from None
        finally:
            kill_group(process)
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def kill_group(process: subprocess.Popen[Any]) -> None:
    """Kill what a program with a session of its own has started, and itself."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _kill(process: subprocess.Popen[Any]) -> None:
    if os.getpgid(process.pid) == process.pid:
        kill_group(process)
    else:
        process.kill()


def wait_for(
    condition: Callable[[], T], deadline: float = 30.0, what: str = "condition"
) -> T:
    """Call condition until what it returns is true, and return that.

    Args:
        condition: what is waited for; looked at every 2 milliseconds.
        deadline: seconds after which to give up.
        what: a name for the error's text.

    Raises:
        AssertionError: the deadline passed.
    """
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what} still false after {deadline} s: {value!r}")
        time.sleep(0.002)


def threads() -> int:
    """How many threads this process has, by the kernel (Linux)."""
    return len(os.listdir("/proc/self/task"))


def wait_for_threads(count: int, what: str) -> None:
    """Wait for so many threads: one that was joined is still listed for a moment.

    Raises:
        AssertionError: there are others; it says what.
    """
    wait_for(lambda: threads() == count, what=what)


NET_ADMIN, SYS_ADMIN, PERFMON, BPF = 12, 21, 38, 39  # capabilities
BPF_CALLS = {"x86_64": 321, "aarch64": 280}  # numbers of bpf(2)
BPF_MAP_TYPE_RINGBUF = 27


def allows_ringbuf() -> bool:
    """Whether a monitor can have a BPF ring buffer here, asked without the library."""
    if sys.platform != "linux":
        return False
    release = tuple(int(part) for part in re.findall(r"\d+", os.uname().release)[:2])
    status = Path("/proc/self/status").read_text()
    found = re.search(r"^CapEff:\s*(\w+)", status, re.MULTILINE)
    mask = int(found[1], 16) if found else 0
    held = {n for n in (NET_ADMIN, SYS_ADMIN, PERFMON, BPF) if mask >> n & 1}
    return (
        release >= (5, 12)
        and NET_ADMIN in held
        and (SYS_ADMIN in held or {PERFMON, BPF} <= held)
        and "\nSeccomp:\t0\n" in status
        and _makes_ringbuf()
    )


def _makes_ringbuf() -> bool:
    # The kernel's own answer: the rights may be those of a user namespace.
    number = BPF_CALLS.get(os.uname().machine)
    if number is None or importlib.util.find_spec("_ctypes") is None:
        return True
    import ctypes

    attributes = struct.pack("=4I112x", BPF_MAP_TYPE_RINGBUF, 0, 0, 1 << 16)
    fd = ctypes.CDLL(None).syscall(number, 0, attributes, len(attributes))
    if fd >= 0:
        os.close(fd)
    return bool(fd >= 0)


def acted_on_carriers(links: Iterable[dict[str, Any]]) -> bool:
    """Whether the kernel has acted on every change of a carrier.

    Its link watch works up to a second late: IFF_LOWER_UP changes at once, the
    operational state and what follows from it (flags of routes!) only then.

    Args:
        links: as `ip -j link show` has them.
    """
    return all(
        ("LOWER_UP" in link["flags"]) == (link["operstate"] == "UP")
        for link in links
        if "UP" in link["flags"] and link["operstate"] != "UNKNOWN"
    )


class Namespace:
    """One network namespace, kept alive by a descriptor."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._others: list[Namespace] = []
        self._processes: list[subprocess.Popen[Any]] = []

    @classmethod
    def make(cls) -> Namespace:
        """Move the calling thread into a fresh namespace and describe that."""
        unshare(CLONE_NEWNET)
        _prepare()
        return cls.current()

    @classmethod
    def current(cls) -> Namespace:
        """Describe the namespace that the calling thread is in."""
        return cls(os.open(NAMESPACE, os.O_RDONLY | os.O_CLOEXEC))

    @property
    def path(self) -> str:
        """A file name of the namespace, for whoever takes one."""
        return f"/proc/{os.getpid()}/fd/{self.fd}"

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Have the calling thread in this namespace for the block."""
        if os.stat(NAMESPACE).st_ino == os.fstat(self.fd).st_ino:
            yield
            return
        before = os.open(NAMESPACE, os.O_RDONLY | os.O_CLOEXEC)
        try:
            setns(self.fd)
            yield
        finally:
            setns(before)
            os.close(before)

    def run(self, *command: str, text: str | None = None) -> str:
        """Run a program inside and return what it printed.

        Raises:
            RuntimeError: it failed; the text has what it wrote to stderr.
        """
        with self.entered():
            return _run(list(command), text)

    def popen(self, command: list[str], **options: Any) -> subprocess.Popen[Any]:
        """Start a program inside; if it still runs, `close` kills it.

        And with `start_new_session=True` what it has started, too.
        """
        with self.entered():
            process = subprocess.Popen(command, **options)
        self._processes.append(process)
        return process

    def ip(self, args: str) -> str:
        """Run `ip ARGS` inside; see `run`."""
        return self.run("ip", *args.split())

    def batch(self, lines: Iterable[str], *, force: bool = False) -> None:
        """Run many `ip` commands in one process, at full speed.

        Args:
            lines: what follows `ip`, one command a line.
            force: go on after an error, and raise none.
        """
        command = ["ip", *(["-force"] if force else []), "-batch", "-"]
        text = "".join(f"{line}\n" for line in lines)
        try:
            self.run(*command, text=text)
        except RuntimeError:
            if not force:
                raise

    def routes(self, family: int = 4, *, details: bool = False) -> list[dict[str, Any]]:
        """Return the routes of all tables as iproute2 reads them.

        Args:
            family: 4 or 6.
            details: with `-d`: type, scope and protocol are always there.
        """
        command = ["ip", f"-{family}", "-j", "-N", *(["-d"] if details else [])]
        printed = self.run(*command, "route", "show", "table", "all")
        routes: list[dict[str, Any]] = json.loads(printed or "[]")
        return routes

    def links(self) -> dict[str, dict[str, Any]]:
        """Return the links by name."""
        printed = json.loads(self.run("ip", "-j", "link", "show"))
        return {link["ifname"]: link for link in printed}

    def veth(
        self, name: str = "v0", *addresses: str, peer: Namespace | None = None
    ) -> int:
        """Make a veth pair, both ends up, with a carrier and their addresses.

        When it returns the kernel has made each route that follows from them:
        the first change that is seen afterwards is another's.

        Args:
            name: of this end; the other end is name + "p".
            addresses: given to this end, such as "10.0.0.1/24".
            peer: the namespace of the other end; this one if None.

        Returns:
            The interface index of this end.
        """
        far = peer or self
        self.ip(f"link add {name} type veth peer name {name}p")
        if peer is not None:
            holder = peer.popen(["sleep", "600"])  # `ip` wants a pid or a name
            self.ip(f"link set {name}p netns {holder.pid}")
        for address in addresses:
            self.ip(f"address add {address} dev {name}")
        far.ip(f"link set {name}p up")
        self.ip(f"link set {name} up")
        wait_for(
            lambda: (
                self.links()[name]["operstate"] == "UP"
                and far.links()[f"{name}p"]["operstate"] == "UP"
            ),
            what=f"carrier of {name}",
        )
        self._wait_for_addresses(name)
        far._wait_for_addresses(f"{name}p")
        index: int = self.links()[name]["ifindex"]
        return index

    def _wait_for_addresses(self, device: str) -> None:
        # The kernel gives a device a link-local address on its own, and an
        # address its route when duplicate address detection ends, which takes a
        # second or two where /proc/sys is read-only and _prepare could not help.
        if self._has_ipv6(device):
            wait_for(
                lambda: self._has_routes_of_addresses(device),
                what=f"end of duplicate address detection on {device}",
            )

    def _has_ipv6(self, device: str) -> bool:
        with self.entered(), contextlib.suppress(OSError):
            disabled = Path(f"/proc/sys/net/ipv6/conf/{device}/disable_ipv6")
            return disabled.read_text() == "0\n"
        return False

    def _has_routes_of_addresses(self, *devices: str) -> bool:
        shown = json.loads(self.run("ip", "-6", "-j", "address", "show"))
        local = json.loads(
            self.run("ip", "-6", "-j", "route", "show", "table", "local")
        )
        for device in devices:
            found = [
                one
                for link in shown
                if link.get("ifname") == device
                for one in link["addr_info"]
            ]
            routed = {one["dst"] for one in local if one.get("dev") == device}
            if not any(one["scope"] == "link" for one in found):
                return False
            if not routed >= {one["local"] for one in found}:
                return False
        return True

    def settle(self) -> None:
        """Wait until the kernel has acted on carriers and given addresses routes."""
        wait_for(self._settled, what="link watch and addresses")

    def _settled(self) -> bool:
        links = self.links()
        ready = [name for name, link in links.items() if link["operstate"] == "UP"]
        return acted_on_carriers(links.values()) and self._has_routes_of_addresses(
            *filter(self._has_ipv6, ready)
        )

    def make_other(self) -> Namespace:
        """Make another namespace, closed with this one; nobody is moved."""
        made: list[Namespace] = []

        def in_a_thread() -> None:
            made.append(Namespace.make())

        thread = threading.Thread(target=in_a_thread)
        thread.start()
        thread.join()
        if not made:
            raise RuntimeError("no second namespace")
        self._others.append(made[0])
        return made[0]

    def close(self) -> None:
        """End the processes, and let go of this namespace and its others."""
        for process in self._processes:
            if process.poll() is None:
                _kill(process)
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
        for other in self._others:
            other.close()
        os.close(self.fd)


def wait_object(monitor: RouteMonitor) -> int:
    """What a loop waits on: the monitor's descriptor, on Windows its handle."""
    return monitor.wait_handle if sys.platform == "win32" else monitor.fileno()


def _valid_handles() -> int:
    """By trying numbers: Wine 8 counts none, and gives the lowest that is free."""
    import ctypes

    information = ctypes.windll.kernel32.GetHandleInformation  # type: ignore[attr-defined,unused-ignore]
    information.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    flags = ctypes.c_uint32()
    count = value = last = 0
    while value < last + 4 * 1024:
        value += 4
        if information(value, ctypes.byref(flags)):
            count += 1
            last = value
    return count


def open_handles() -> int:
    """How many descriptors or handles this process has.

    Not by /proc on Windows: under Wine that shows the files of the server that
    all programs share.
    """
    if sys.platform == "win32":
        import ctypes

        count = ctypes.c_uint32()
        kernel32 = ctypes.windll.kernel32
        kernel32.GetCurrentProcess.restype = ctypes.c_void_p
        kernel32.GetProcessHandleCount.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
        process = kernel32.GetCurrentProcess()
        if not kernel32.GetProcessHandleCount(process, ctypes.byref(count)):
            raise ctypes.WinError()
        return count.value or _valid_handles()
    else:  # noqa: RET505 - mypy knows platforms by their branches
        return len(os.listdir("/proc/self/fd"))
