#!/usr/bin/env python3
"""Check that the C files keep to the layers of docs/design.md.

    .ci/check_layers.py                        includes, lengths, objects
    .ci/check_layers.py --extension FILE.so    what the built extension exports

The table in docs/design.md is read, not repeated: a file that it does not name
fails, and so does a phrase in its last column that is not understood here.

- includes: a file includes what its row allows, its own header, the headers of
  its own row, and standard C headers; nothing else.
- objects: what lies left of the ring is compiled without Python's headers and
  refers to no Py symbol; the ring needs nothing but memcpy.
- lengths: no C function is longer than 70 lines; those over 40 are listed.
"""

from __future__ import annotations

import argparse
import dataclasses
import fnmatch
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LONG, TOO_LONG = 40, 70
EXPORTS = {"PyInit__routenotify"}
STANDARD = re.compile(
    "assert|ctype|errno|float|inttypes|limits|std[a-z]+|string|time"
    "|intrin"  # MSVC's own atomics
)


@dataclasses.dataclass
class Row:
    """One row of the table: files, and what they may include.

    Attributes:
        names: of files without suffix, `*` for any rest.
        headers: of ours, that they may include.
        system: whether headers of the operating system are allowed.
        python: whether Python.h is.
    """

    names: list[str]
    headers: set[str] = dataclasses.field(default_factory=set)
    system: bool = False
    python: bool = False

    def has(self, stem: str) -> bool:
        """Whether the file belongs here.

        `rn_x_*` stands for `rn_x` too, `rn_x` for its platforms' files.
        """
        base = re.sub(r"_(linux|windows|pipe|posix)$", "", stem)
        return any(
            fnmatch.fnmatchcase(stem, name) or name in (base, f"{stem}_*")
            for name in self.names
        )


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def _allow(row: Row, above: list[Row], phrase: str) -> None:
    """Add what one phrase of the last column allows.

    Raises:
        ValueError: the phrase is none of the known ones.
    """
    numbers = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6}
    header = re.fullmatch(r"`(\S+\.h)`", phrase)
    some = re.fullmatch(rf"the ({'|'.join(numbers)}) above", phrase)
    most = re.fullmatch(r"all above(?: but (.+))?", phrase)
    if header:
        row.python |= header[1] == "Python.h"
        row.headers.add(header[1])
    elif phrase in ("std headers", "standard headers", "nothing", ""):
        pass  # always allowed
    elif phrase in ("system headers", "linux uapi"):
        row.system = True
    elif phrase == "likewise":
        _merge(row, [above[-1]], own=False)
    elif some:
        _merge(row, above[-numbers[some[1]] :], own=True)
    elif most:
        but = {f"rn_{name}" for name in re.split(r",\s*|\s+and\s+", most[1] or "")}
        _merge(row, [other for other in above if not but & set(other.names)], own=True)
        row.headers -= {f"{name}.h" for name in but}
    else:
        raise ValueError(f"docs/design.md: what does {phrase!r} allow?")


def _merge(row: Row, others: list[Row], *, own: bool) -> None:
    for other in others:
        row.headers |= other.headers
        row.system |= other.system
        if own:
            row.headers |= {f"{name.removesuffix('.h')}.h" for name in other.names}


def _phrases(cell: str) -> list[str]:
    """Split at commas, but leave the list after "but" whole."""
    head, but, rest = cell.partition(" but ")
    phrases = [part.strip() for part in re.split(r",| and ", head)]
    if but:
        phrases[-1] += but + rest
    return phrases


def read_table(text: str) -> list[Row]:
    """Rows of the table under the heading `| file | does | may include |`."""
    rows: list[Row] = []
    inside = False
    for line in text.splitlines():
        if not inside:
            inside = _cells(line) == ["file", "does", "may include"]
            continue
        if not line.startswith("|"):
            break
        cells = _cells(line)
        if set(cells[0]) <= {"-", ":"}:
            continue
        names = re.findall(r"`([^`]+)`", cells[0])
        row = Row([re.sub(r"\.[ch]$", "", name) for name in names])
        for phrase in _phrases(cells[2]) if "/" not in names[0] else ():
            _allow(row, rows, phrase)
        rows.append(row)
    return rows


def _included(path: Path) -> Iterator[tuple[int, str, bool]]:
    for number, line in enumerate(path.read_text().splitlines(), 1):
        match = re.match(r'\s*#\s*include\s*([<"])([^>"]+)', line)
        if match:
            yield number, match[2], match[1] == "<"


def _may(row: Row, stem: str, header: str) -> bool:
    own = header.removesuffix(".h")
    if header == "Python.h":
        return row.python
    if header.startswith("rn_"):
        return own == stem or header in row.headers or row.has(own)
    return bool(STANDARD.fullmatch(own)) or row.system or row.python


def check_includes() -> list[str]:
    """Every include that its file's row does not allow."""
    rows = read_table((ROOT / "docs/design.md").read_text())
    if not rows:
        return ["docs/design.md: no table `file | does | may include`"]
    faults = []
    for path in sorted((ROOT / "src").glob("*.[ch]")):
        row = next((row for row in rows if row.has(path.stem)), None)
        where = path.relative_to(ROOT)
        if row is None:
            faults.append(f"{where}: not in the table of docs/design.md")
            continue
        # What an operating system's provider includes of it is its own affair.
        row.system |= any(name.endswith("_*") for name in row.names)
        faults += [
            f"{where}:{number}: may not include {header}"
            for number, header, _system in _included(path)
            if not _may(row, path.stem, header)
        ]
    return faults


def function_lengths(path: Path) -> Iterator[tuple[int, str, int]]:
    """Line, name and length of each function: from name to closing brace."""
    name, first, inside = "", 0, False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line == "{":
            inside = True
        elif line == "}" and inside and name:
            yield first, name, number - first + 1
            name, inside = "", False
        elif not inside and (match := re.match(r"(\w+)\(", line)):
            name, first = match[1], number


def check_lengths() -> list[str]:
    """Every C function over 70 lines; tells of those over 40."""
    faults, lengths = [], []
    folders = ("src", "tests", "benchmarks")
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.[ch]")):
            for line, name, length in function_lengths(path):
                where = f"{path.relative_to(ROOT)}:{line}: {name}() has {length} lines"
                lengths.append(length)
                if length > TOO_LONG:
                    faults.append(f"{where}, {TOO_LONG} is the limit")
                elif length > LONG:
                    print(f"long: {where}")
    if len(lengths) > 1:
        p90 = statistics.quantiles(lengths, n=10)[8]
        print(
            f"lengths: {len(lengths)} functions, median"
            f" {statistics.median(lengths):.0f}, p90 {p90:.0f}, max {max(lengths)}"
        )
    return faults


def _symbols(path: Path, *options: str) -> set[str]:
    done = subprocess.run(
        ["nm", "-P", *options, str(path)], check=True, capture_output=True, text=True
    )
    return {line.split()[0].split("@")[0] for line in done.stdout.splitlines()}


def _compile(source: Path, target: Path) -> str:
    """Compile one file as the left of the ring: the complaint, or ""."""
    compiler = (os.environ.get("CC") or shutil.which("cc") or "gcc").split()
    warnings = (
        "-Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes"
    )
    done = subprocess.run(
        [
            *compiler,
            *("-std=c11", "-O2", "-DNDEBUG", "-fPIC"),
            *("-Werror", *warnings.split()),
            *("-c", str(source), "-o", str(target)),
        ],
        check=False,
        capture_output=True,
        text=True,
    )
    return done.stderr if done.returncode else ""


def check_objects() -> list[str]:
    """Every forbidden symbol that an object left of the ring refers to."""
    faults = []
    with tempfile.TemporaryDirectory() as folder:
        for source in sorted((ROOT / "src").glob("rn_*.c")):
            stem = source.stem
            if stem.startswith("rn_py") or "windows" in stem:
                continue  # right of the ring; and no windows.h here
            target = Path(folder, f"{stem}.o")
            complaint = _compile(source, target)
            if complaint:
                faults.append(complaint.rstrip())
                continue
            needed = _symbols(target, "-u")
            bad = {name for name in needed if re.match(r"_?Py", name)}
            if stem == "rn_ring":
                bad |= needed - {"memcpy"}
            faults += [f"src/{stem}.c: refers to {name}" for name in sorted(bad)]
    return faults


def check_extension(path: Path) -> list[str]:
    """Every symbol but its init hook that the built extension exports."""
    exported = _symbols(path, "-D", "--defined-only")
    faults = [f"{path.name}: exports {name}" for name in sorted(exported - EXPORTS)]
    return faults + [f"{path.name}: lacks {name}" for name in EXPORTS - exported]


def main() -> int:
    """Print the faults; the exit status says whether there were any."""
    parser = argparse.ArgumentParser(description="Check the layers of the C files.")
    parser.add_argument("--extension", type=Path, help="a built extension, instead")
    options = parser.parse_args()
    if options.extension:
        faults = check_extension(options.extension)
    else:
        faults = [*check_includes(), *check_lengths(), *check_objects()]
    for fault in faults:
        print(fault, file=sys.stderr)
    print(f"check_layers: {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
