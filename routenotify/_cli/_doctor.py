"""`routenotify doctor`: is everything here as the library wants it?"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import routenotify
from routenotify import RouteMonitor
from routenotify._cli._format import printable, wants_colour
from routenotify._cli._options import Commands, add_json, command
from routenotify._cli._private import inside
from routenotify._cli._version import version

OK, NOTE, BAD, SKIPPED = "ok", "note", "bad", "skipped"
_COLOURS = {OK: "32", NOTE: "33", BAD: "31", SKIPPED: "36"}
_INITIAL = 5.0  # seconds for the first notification
_SELF_TEST = 120.0  # seconds for the self-test
_ROUTES = 2000  # in the self-test
_CHARGE = 832  # bytes the kernel charges a small IPv4 route message (Linux 6.18)
_RECORD = 128  # bytes of a BPF ring buffer that it takes
_FEW = 4096  # changes that a receive buffer should hold
_CAP_NET_ADMIN = 12


class Finding(NamedTuple):
    """What one look found.

    Attributes:
        name: what was looked at.
        state: OK, NOTE (works, but know this), BAD or SKIPPED.
        text: for a person.
        data: the same for a program.
    """

    name: str
    state: str
    text: str
    data: dict[str, Any]


_EXAMPLES = """\
examples:
  routenotify doctor
  routenotify doctor --json | jq '.checks[] | select(.state != "ok")'

exit status: 0 nothing is bad, 1 something is
"""


def add_doctor(commands: Commands) -> None:
    """Add `doctor` to the program's commands."""
    parser = command(commands, "doctor", "check what this computer offers", _EXAMPLES)
    parser.description = (
        "Check that everything here is as routenotify wants it: the system, rights,\n"
        "the receive buffer and how much it holds, settings with consequences, who\n"
        "else lost messages; and test itself on real routes in a private namespace."
    )
    parser.set_defaults(run=doctor)
    add_json(parser, "a JSON object")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)


def doctor(arguments: argparse.Namespace) -> int:
    """Print what was found.

    Returns:
        0 nothing is bad, 1 something is.
    """
    if arguments.inside:
        from routenotify._cli._selftest import self_test

        return self_test(_ROUTES)
    findings = []
    colour = not arguments.json and wants_colour(sys.stdout)
    for finding in look():
        findings.append(finding)
        if not arguments.json:
            print(_line(finding, colour=colour), flush=True)
    well = all(finding.state != BAD for finding in findings)
    if arguments.json:
        checks = [finding._asdict() for finding in findings]
        print(json.dumps({"well": well, "checks": checks}))
    return 0 if well else 1


def _line(finding: Finding, *, colour: bool) -> str:
    state = f"{finding.state:<7}"
    if colour:
        state = f"\033[{_COLOURS[finding.state]}m{state}\033[0m"
    indented = finding.text.replace("\n", "\n" + " " * 20)
    return f"{state}  {finding.name:<9}  {indented}"


def look() -> Iterator[Finding]:
    """Yield what each look finds, as soon as it has."""
    yield _platform()
    yield _monitor()
    yield _table()
    tested = _self_test()
    if sys.platform == "linux":
        yield _privileges()
        yield _buffer(tested.data.get("bytes_per_change"))
        yield _namespaces()
        yield _settings()
        yield _losers()
    yield tested


# ---- everywhere ----


def _platform() -> Finding:
    data = {
        "routenotify": version(),
        "system": platform.system(),
        "release": platform.release(),
        "version": platform.version(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "gil": getattr(sys, "_is_gil_enabled", lambda: True)(),
    }
    text = (
        f"{data['system']} {data['release']} {data['machine']}, "
        f"{data['implementation']} {data['python']}, routenotify {data['routenotify']}"
    )
    if not data["gil"]:
        text += ", without a GIL"
    return Finding("platform", OK, text, data)


def _monitor() -> Finding:
    """Whether a registration is made and answered."""
    began = time.monotonic()
    try:
        with RouteMonitor(initial_notification=True) as monitor:
            monitor.get(timeout=_INITIAL)
            seconds = time.monotonic() - began
            monitor.resync()
    except OSError as error:  # TimeoutError and every RouteNotifyError too
        return Finding("monitor", BAD, str(error), {"error": str(error)})
    return Finding(
        "monitor",
        OK,
        f"opens; the initial notification came after {seconds * 1000:.1f} ms",
        {"seconds": round(seconds, 6)},
    )


def _table() -> Finding:
    began = time.monotonic()
    try:
        rows = len(routenotify.routes())
    except OSError as error:
        return Finding("table", BAD, str(error), {"error": str(error)})
    seconds = time.monotonic() - began
    return Finding(
        "table",
        OK,
        f"{rows} rows, read in {seconds * 1000:.1f} ms",
        {"rows": rows, "seconds": round(seconds, 6)},
    )


def _self_test() -> Finding:
    """Real changes in a namespace of their own, followed and compared."""
    try:
        command = inside("doctor", "--inside")
    except OSError as error:
        state = NOTE if sys.platform == "linux" else SKIPPED
        text = f"no private network namespace to be had: {error}"
        return Finding("self-test", state, text, {"reason": str(error)})
    try:
        done = subprocess.run(  # noqa: S603 - our own words
            command, check=False, capture_output=True, text=True, timeout=_SELF_TEST
        )
    except subprocess.TimeoutExpired as error:
        return Finding("self-test", BAD, str(error), {"error": str(error)})
    try:
        told = json.loads(done.stdout)
    except json.JSONDecodeError:
        text = f"it failed with status {done.returncode}: {done.stderr.strip()}"
        return Finding("self-test", BAD, text, {"error": text})
    if not told["equal"]:
        text = "the replayed table differs from the kernel's:\n" + told["printed"]
        return Finding("self-test", BAD, text, told)
    text = (
        f"{told['changes']} changes in a private namespace followed; "
        "the replayed table equals the kernel's"
    )
    return Finding("self-test", OK, text, told)


# ---- Linux ----


def _privileges() -> Finding:
    admin = _has_net_admin()
    data = {"uid": os.geteuid(), "cap_net_admin": admin}
    if admin:
        text = "CAP_NET_ADMIN: receive buffers of any size"
    else:
        text = (
            "no CAP_NET_ADMIN: routes can be followed, but receive buffers are "
            "limited by net.core.rmem_max"
        )
    return Finding("rights", OK, text, data)


def _has_net_admin() -> bool:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> _CAP_NET_ADMIN & 1)
    return False


def _buffer(measured: int | None) -> Finding:
    """How many changes fit into the buffer that a monitor gets."""
    try:
        with RouteMonitor() as monitor:
            stats = monitor.stats
    except OSError as error:
        return Finding("buffer", SKIPPED, str(error), {"error": str(error)})
    charge = _RECORD if stats.ringbuf else measured or _CHARGE
    holds = (stats.ringbuf or stats.rcvbuf) // charge
    text = f"{stats.rcvbuf // 1024} KiB hold about {holds} changes of {charge} bytes"
    text += " as measured" if measured else " (an estimate)"
    if stats.ringbuf:
        text = f"a BPF ring buffer of {stats.ringbuf // 1024} KiB holds "
        text += f"about {holds} changes"
    data = {
        "rcvbuf": stats.rcvbuf,
        "ringbuf": stats.ringbuf,
        "bytes_per_change": charge,
        "changes": holds,
    }
    if holds >= _FEW:
        return Finding("buffer", OK, text, data)
    text += (
        "\na faster burst costs a comparison with the kernel, no change of the table;"
        "\nraise net.core.rmem_max, or give CAP_NET_ADMIN"
    )
    return Finding("buffer", NOTE, text, data)


def _namespaces() -> Finding:
    own = os.stat("/proc/self/ns/net").st_ino
    first = _inode("/proc/1/ns/net")
    names = sorted(entry.name for entry in _entries(Path("/run/netns")))
    text = f"this one is net:[{own}]"
    if first is not None:
        text += ", that of process 1" if first == own else ", not that of process 1"
    text += f"; {len(names)} named"
    if names:
        shown = ", ".join(map(printable, names[:8]))
        text += f" ({shown}{', ...' if len(names) > 8 else ''})"
    data = {"inode": own, "of_process_1": first, "named": names}
    return Finding("namespace", OK, text, data)


def _inode(path: str) -> int | None:
    try:
        return os.stat(path).st_ino
    except OSError:
        return None


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


class _Setting(NamedTuple):
    """A sysctl whose value makes the kernel behave in a way to know of."""

    path: str
    when: Callable[[int], bool]
    text: str


# docs/linux.md tells of each.
_SETTINGS = (
    _Setting(
        "net/ipv4/nexthop_compat_mode",
        lambda value: value == 0,
        "routes of nexthop objects have neither next hop nor interface",
    ),
    _Setting(
        "net/ipv6/route/skip_notify_on_dev_down",
        lambda value: value != 0,
        "IPv6 routes go with their device and no message says so: resync()",
    ),
    _Setting(
        "net/ipv6/conf/all/disable_ipv6",
        lambda value: value != 0,
        "there are no IPv6 routes",
    ),
    _Setting(
        "net/ipv4/conf/all/ignore_routes_with_linkdown",
        lambda value: value != 0,
        "routes through a device without carrier are marked dead",
    ),
)
_VERSIONS = (
    ((4, 12), "the kernel does not say how many messages it dropped"),
    ((5, 3), "there are no nexthop objects"),
)


def _settings() -> Finding:
    """Quirks of this kernel as it is set."""
    notes: list[str] = []
    data: dict[str, Any] = {}
    for setting in _SETTINGS:
        name = setting.path.replace("/", ".")
        value = _sysctl(setting.path)
        data[name] = value
        if value is not None and setting.when(value):
            notes.append(f"{name} = {value}: {setting.text}")
    release = _release(platform.release())
    notes += [
        f"older than Linux {'.'.join(map(str, version))}: {text}"
        for version, text in _VERSIONS
        if release < version
    ]
    data["notes"] = notes
    if not notes:
        return Finding("quirks", OK, "none of this kernel's settings matters", data)
    return Finding("quirks", NOTE, "\n".join(notes), data)


def _sysctl(path: str) -> int | None:
    try:
        return int(Path("/proc/sys", path).read_text())
    except (OSError, ValueError):
        return None


def _release(text: str) -> tuple[int, int]:
    """6.18.44-x as (6, 18); what cannot be read is the newest."""
    major, _, rest = text.partition(".")
    minor = rest.partition(".")[0].partition("-")[0]
    if not (major.isdigit() and minor.isdigit()):
        return (sys.maxsize, 0)
    return int(major), int(minor)


def _losers() -> Finding:
    """Listeners of this namespace that lost messages: /proc/net/netlink."""
    found: list[dict[str, Any]] = [
        {"pid": pid, "program": _program(pid), "groups": groups, "drops": drops}
        for pid, groups, drops in _netlink_sockets()
        if drops
    ]
    if not found:
        text = "no route socket of this namespace has lost a message"
        return Finding("losses", OK, text, {"sockets": []})
    lines = [
        f"{printable(item['program'] or 'port')} {item['pid']} "
        f"lost {item['drops']} messages"
        for item in found
    ]
    return Finding("losses", NOTE, "\n".join(lines), {"sockets": found})


def _netlink_sockets() -> Iterator[tuple[int, str, int]]:
    """Yield port id (mostly the process's), groups and drops of each."""
    try:
        lines = Path("/proc/net/netlink").read_text().splitlines()[1:]
    except OSError:
        return
    for line in lines:
        words = line.split()
        if len(words) >= 9 and words[1] == "0":  # NETLINK_ROUTE
            yield int(words[2]), words[3], int(words[8])


def _program(pid: int) -> str | None:
    """The name of a process: 15 bytes, perhaps cut inside a character."""
    try:
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").removesuffix("\n")
    except OSError:
        return None
