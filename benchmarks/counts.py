"""Instructions on the hot paths, counted by callgrind: has any become longer?

`python -m benchmarks.counts` builds paths.c with the library's C files, counts
the instructions of each path on fixed input, and compares them with counts.json.
They are the same on every run and every machine with the same compiler, so this
can fail a build where a measured time could not.

A string instruction is one instruction, and takes as long as dozens of others:
for clearing a hundred bytes compilers like it.  So it is looked for as well, in
the functions that run for every change (x86 only).

`--update` writes the counts of this compiler into counts.json: commit that with
the change that made a path longer, and say why there.  `--plant` slows the
paths down on purpose and succeeds if each of them is found.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from benchmarks import _build

EXPECTED = _build.HERE / "counts.json"
TOLERANCE = 0.02
"""Of the same compiler: a new release of the C library moves some."""

LOOSE = 0.30
"""Of another compiler than any in counts.json: only a coarse regression shows."""

PATHS = (
    *("parse4", "parse6", "parse_multipath", "mirror4", "mirror6"),
    *("compare4", "compare6", "ring", "drain", "spill", "whole4", "whole6"),
)

PLANTED = (
    *("rn_rtnl_route", "rn_mirror_added", "rn_mirror_dumped"),
    *("rn_ring_push", "rn_channel_emit"),
)
"""Functions that plant.c slows down; every path calls one of them."""

EACH = (
    *("rn_rtnl_route", "rn_key_hash", "rn_key_set", "rn_entry_build"),
    *("rn_rows_record", "rn_channel_emit", "rn_mirror_added", "rn_mirror_deleted"),
)
"""Functions that run for every change, and what the compiler put into them."""

SMALL = "-Os"
"""GCC's option that has it clear by string instructions."""

# The C library picks its memcpy() by the processor: let it be the same one.
SAME_LIBC = {
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-AVX2_Usable,-AVX512F,-ERMS,-FSRM"
}

Counts = Mapping[str, float]


def count(program: Path, path: str, folder: Path) -> float:
    """Instructions per item of one path.

    Args:
        program: paths.c, built.
        path: one of `PATHS`.
        folder: for callgrind's output.
    """
    out = folder / f"{path}.callgrind"
    done = subprocess.run(
        [
            *("valgrind", "-q", "--tool=callgrind", "--toggle-collect=measured"),
            *(f"--callgrind-out-file={out}", str(program), path),
        ],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, **SAME_LIBC},
    )
    items = int(json.loads(done.stdout)["items"])
    summary = re.search(r"^summary: (\d+)", out.read_text(), re.MULTILINE)
    if summary is None:
        raise RuntimeError(f"callgrind counted nothing in {path}")
    return round(int(summary[1]) / items, 1)


def count_all(*options: str, files: tuple[Path, ...] = ()) -> dict[str, float]:
    """Instructions per item, path by path.

    Args:
        options: further ones of the compiler.
        files: further C files.
    """
    with tempfile.TemporaryDirectory(prefix="routenotify-counts-") as name:
        folder = Path(name)
        program = _build.build_paths(folder / "paths", *map(str, files), *options)
        return {path: count(program, path, folder) for path in PATHS}


def with_strings(*options: str) -> list[str]:
    """Which functions that run for every change have a string instruction.

    Args:
        options: further ones of the compiler.
    """
    with tempfile.TemporaryDirectory(prefix="routenotify-counts-") as name:
        program = _build.build_paths(Path(name) / "paths", *options)
        listed = subprocess.run(
            ["objdump", "-d", "--no-show-raw-insn", str(program)],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    bodies = dict(re.findall(r"^\w+ <(\w+)>:\n((?:.+\n)*)", listed, re.MULTILINE))
    found = [each for each in EACH if re.search(r"\brep (stos|movs)", bodies[each])]
    print(f"string instructions: {', '.join(found) or 'none'}")
    return found


def reference(known: Mapping[str, Counts], name: str) -> tuple[str, float]:
    """Whose counts to compare with, and how far off is too far.

    Args:
        known: counts by compiler, as in counts.json.
        name: the compiler at hand.

    Raises:
        SystemExit: counts.json is empty.
    """
    if name in known:
        return name, TOLERANCE
    if not known:
        raise SystemExit("counts.json has no counts yet: --update")
    return next(iter(known)), LOOSE


def slower(counts: Counts, expected: Counts, tolerance: float) -> list[str]:
    """Print the comparison.

    Returns:
        The paths that have become longer than tolerated, or are not expected.
    """
    found = []
    for path, now in counts.items():
        before = expected.get(path)
        change = now / before - 1 if before else float("inf")
        too_many = change > tolerance
        note = "TOO MANY" if too_many else "fewer: --update" * (change < -tolerance)
        print(f"{path:16} {before or 0:9.1f} -> {now:9.1f}  {change:+7.1%}  {note}")
        found += [path] * too_many
    return found


def update(known: dict[str, Counts], name: str, counts: Counts) -> None:
    """Write the counts of this compiler into counts.json."""
    known[name] = counts
    EXPECTED.write_text(json.dumps(known, indent=4) + "\n")
    print(f"{EXPECTED.name} has the counts of {name}")


def plant(expected: Counts, tolerance: float) -> int:
    """Slow the paths down and compare.

    Returns:
        The exit status: 0 if every path is found to have become longer.
    """
    wraps = [f"-Wl,--wrap={function}" for function in PLANTED]
    planted = count_all(*wraps, files=(_build.HERE / "plant.c",))
    missed = set(planted) - set(slower(planted, expected, tolerance))
    if platform.machine() == "x86_64" and not with_strings(SMALL):
        missed.add("string instructions")
    print(f"planted slowdowns not found: {', '.join(sorted(missed)) or 'none'}")
    return 1 if missed else 0


def main() -> int:
    """Count and compare.

    Returns:
        The exit status: 1 if a path has become longer.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.counts")
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--update", action="store_true", help="these are right")
    action.add_argument("--plant", action="store_true", help="test this very check")
    options = parser.parse_args()
    if shutil.which("valgrind") is None:
        print("valgrind is missing: apt-get install valgrind", file=sys.stderr)
        return 2
    known = json.loads(EXPECTED.read_text()) if EXPECTED.exists() else {}
    name = _build.compiler_name()
    if options.update:
        update(known, name, count_all())
        return 0
    whose, tolerance = reference(known, name)
    print(f"{name}, compared with {whose}, tolerated {tolerance:.0%}")
    if options.plant:
        return plant(known[whose], tolerance)
    longer = slower(count_all(), known[whose], tolerance) + with_strings()
    if longer:
        print(f"longer than before: {', '.join(longer)}", file=sys.stderr)
    return 1 if longer else 0


if __name__ == "__main__":
    sys.exit(main())
