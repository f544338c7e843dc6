"""A real full table: the prefixes of a location database, installed by bird.

The database (Debian's libloc-database, CC BY-SA 4.0) is the shape of the
Internet's table: 968 428 IPv4 and 177 846 IPv6 announced prefixes in the release
of bookworm, most of them /24 and /48, half of them inside a shorter one.  It is
fetched when it is not installed, and never kept.
"""

from __future__ import annotations

import contextlib
import ipaddress
import itertools
import os
import random
import shutil
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

from benchmarks._lab import Lab, Report, finish
from benchmarks._measures import Lines, cpu_us, lost
from benchmarks._table import BARE, Bar, Measure, Missing

NAME = "full table"
ADVICE = "apt-get install bird2 libloc-database location"
DEBS = ("libloc-database", "libloc1", "location", "python3-location")
SKEWED = 200_000
"""Changes of the skewed churn."""

ALL = 1_146_274
"""Prefixes of the release this was written with."""

MANY = 1 << 30
"""More changes than there will be: a reader that counts up to it stops when no
more come."""

METRIC = "7"
"""Of the routes that flap beside bird's, whose metric is 32."""

SEED = 2022
LIMIT = 120


def find(folder: Path) -> Path | Missing:
    """Write the database's prefixes into a file, a line each; needs the network.

    Args:
        folder: for the file, and for the database if it has to be fetched.

    Returns:
        The file, or why there is none.
    """
    if shutil.which("bird") is None or shutil.which("birdc") is None:
        return Missing(NAME, ADVICE)
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        return _dump(folder, ["location", "dump"], {})
    try:
        return _dump(folder, *_fetch(folder))
    except (OSError, subprocess.CalledProcessError, StopIteration) as error:
        return Missing(NAME, f"{ADVICE} ({error})")


def _fetch(folder: Path) -> tuple[list[str], dict[str, str]]:
    """Unpack the database and its reader; the command that dumps it."""
    into = folder / "location"
    into.mkdir()
    fetch = ["apt-get", "download", *DEBS]
    subprocess.run(fetch, check=True, cwd=folder, capture_output=True)
    for package in folder.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", str(package), str(into)], check=True)
    database = next(into.rglob("location.db"))
    libraries = next(into.rglob("libloc.so.1")).parent
    packages = next(into.rglob("location/__init__.py")).parent.parent
    program = str(into / "usr/bin/location")
    command = ["/usr/bin/python3", program, "--database", str(database), "dump"]
    paths = {"LD_LIBRARY_PATH": str(libraries), "PYTHONPATH": str(packages)}
    return command, paths


def _dump(folder: Path, command: list[str], paths: dict[str, str]) -> Path:
    """Networks that have an origin, as a file of lines."""
    file = folder / "prefixes"
    with (
        open(file, "w") as out,
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **paths},
        ) as process,
    ):
        assert process.stdout is not None
        network = ""
        for line in process.stdout:
            if line.startswith("net:"):
                network = line[4:].strip()
            elif line.startswith("aut-num:") and network:
                out.write(f"{network}\n")
                network = ""
    if process.returncode != 0 or not file.stat().st_size:
        raise subprocess.CalledProcessError(process.returncode, command)
    return file


class Table:
    """The prefixes of a file, which bird can install and take away.

    Args:
        lab: where.
        file: of prefixes, a line each.
        every: take one prefix of so many.
    """

    def __init__(self, lab: Lab, file: Path, every: int) -> None:
        with open(file) as lines:
            chosen = itertools.islice(lines, 0, None, every)
            self.prefixes = list(dict.fromkeys(line.strip() for line in chosen))
        self._lab = lab
        self._control = str(lab.folder / "bird.ctl")

    @contextlib.contextmanager
    def installed(self) -> Iterator[int]:
        """Bird runs, and the kernel has the routes; how many it said it has."""
        command = ["bird", "-f", "-c", str(self._configure()), "-s", self._control]
        watch = self._lab.baseline("recvmmsg", len(self.prefixes))
        with contextlib.ExitStack() as stack:
            with self._lab.reading(watch) as reader:
                process = stack.enter_context(
                    subprocess.Popen(
                        self._lab.elsewhere(command),
                        stdout=subprocess.DEVNULL,
                        stderr=subprocess.DEVNULL,
                    )
                )
                stack.callback(process.terminate)
                count = int(finish(reader)["messages"])
            if count == 0:
                raise RuntimeError("bird installed no route")
            yield count

    def flap(self) -> None:
        """Have all routes withdrawn and announced again; bird goes on doing it."""
        for action in ("disable", "enable"):
            for protocol in ("s4", "s6"):
                subprocess.run(
                    ["birdc", "-s", self._control, action, protocol],
                    check=True,
                    capture_output=True,
                    timeout=LIMIT,
                )

    def skewed(self, changes: int) -> Path:
        """A script for the injector: few prefixes change often, most hardly ever.

        The rank of a prefix and how often it changes follow a power law.
        """
        chance = random.Random(SEED)
        order = self.prefixes[:]
        chance.shuffle(order)
        there: set[int] = set()
        script = bytearray()
        for _ in range(changes):
            rank = min(int(chance.paretovariate(0.5)), len(order)) - 1
            script += _change("d" if rank in there else "a", order[rank])
            there ^= {rank}
        for rank in sorted(there):
            script += _change("d", order[rank])
        file = self._lab.folder / "script"
        file.write_bytes(script)
        return file

    def _configure(self) -> Path:
        folder = self._lab.folder
        chance = random.Random(SEED)
        with open(folder / "s4.conf", "w") as v4, open(folder / "s6.conf", "w") as v6:
            for prefix in self.prefixes:
                # Of eight neighbours the first has half of the table.
                neighbour = min(2 + int(chance.expovariate(0.7)), 9)
                if ":" in prefix:
                    v6.write(f"route {prefix} via fd77::{neighbour};\n")
                else:
                    v4.write(f"route {prefix} via 10.77.0.{neighbour};\n")
        file = folder / "bird.conf"
        file.write_text(
            "router id 10.77.0.1;\n"
            "protocol device { }\n"
            "protocol kernel { ipv4 { import none; export all; }; scan time 3600; }\n"
            "protocol kernel { ipv6 { import none; export all; }; scan time 3600; }\n"
            f'protocol static s4 {{ ipv4;\ninclude "{folder}/s4.conf";\n}}\n'
            f'protocol static s6 {{ ipv6;\ninclude "{folder}/s6.conf";\n}}\n'
        )
        return file


def _change(op: str, prefix: str) -> bytes:
    """One `struct change` of inject.c."""
    network = ipaddress.ip_network(prefix)
    family = socket.AF_INET if network.version == 4 else socket.AF_INET6
    packed = network.network_address.packed
    head = (ord(op), family, network.prefixlen, 4)
    return struct.pack("4B16s", *head, packed)


def full(lab: Lab, runs: int, count: int) -> Lines:
    """About `count` routes of the full table: all flap, then few flap often."""
    if isinstance(lab.prefixes, Missing):
        yield lab.prefixes
        return
    table = Table(lab, lab.prefixes, max(1, round(ALL / count)))
    other = BARE
    gone = Measure("full table, changes lost", "", other, Bar(0, "ours"))
    with table.installed() as size:
        what = f"full table of {size:,}"
        flap = Measure(f"{what}, CPU per change, all flap", "us", other)
        skew = Measure(f"{what}, CPU per change, skewed", "us", other)
        script = table.skewed(min(SKEWED, size))
        for _ in range(runs):
            for way, measure in ((_flapped, flap), (_skewed, skew)):
                bare = way(lab, table, script, lab.baseline("recv", MANY))
                changes = int(bare["messages"])
                ours = way(lab, table, script, lab.ours("iterate", changes))
                measure.ours.append(cpu_us(ours, changes))
                measure.other.append(cpu_us(bare, changes))
                gone.ours.append(lost(ours, changes))
    yield from (flap, skew, gone)


def _flapped(lab: Lab, table: Table, _script: Path, reader: list[str]) -> Report:
    with lab.reading(reader) as process:
        table.flap()
        return finish(process)


def _skewed(lab: Lab, _table: Table, script: Path, reader: list[str]) -> Report:
    with lab.reading(reader) as process:
        lab.inject("--script", str(script), "--metric", METRIC)
        return finish(process)
