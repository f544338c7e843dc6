"""What docs/json.md says of the commands' --json, and whether an object obeys."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[1] / "docs" / "json.md"

_TYPES = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    type(None): "null",
}
_ROW = re.compile(r"^\| `([^`]+)` \| ([^|]+) \|")


def page() -> dict[str, dict[str, set[str]]]:
    """By command: its keys, and the words for their types."""
    found: dict[str, dict[str, set[str]]] = {}
    keys: dict[str, set[str]] = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            keys = {}
            found |= dict.fromkeys(line[3:].split(", "), keys)
        elif row := _ROW.match(line):
            assert row[1] not in keys, row[1]
            keys[row[1]] = set(re.split(r", | or ", row[2].strip()))
    return found


def leaves(value: Any, keys: dict[str, set[str]], path: str = "") -> Iterator[Any]:
    """Yield key and type of what has no parts; an empty one is "empty"."""
    parts: list[tuple[str, Any]] = []
    if isinstance(value, list):
        parts = [(f"{path}[]", item) for item in value]
    elif isinstance(value, dict) and keys.get(path) != {"object"}:
        for name, item in value.items():
            named = f"{path}.{name}".removeprefix(".")
            some = any(key.startswith(f"{path}.*") for key in keys)
            parts.append((f"{path}.*" if some else named, item))
    else:
        kind = "object" if isinstance(value, dict) else _TYPES[type(value)]
        yield path, kind
        return
    if not parts:
        yield path, "empty"
    for named, item in parts:
        yield from leaves(item, keys, named)


def check(command: str, value: dict[str, Any]) -> set[str]:
    """Compare an object with its command's table; return the keys it has.

    Raises:
        AssertionError: it has a key, or a type, that the page does not have, or
            lacks one.
    """
    keys = page()[command]
    seen: set[str] = set()
    empty: list[str] = []
    for path, kind in leaves(value, keys):
        if kind == "empty":
            empty += [f"{path}[]", f"{path}.*"]
            continue
        assert path in keys, f"{command} --json has {path}, docs/json.md has not"
        taken = keys[path] | ({"integer"} if "number" in keys[path] else set())
        assert kind in taken, f"{command} --json: {path} is {kind}, not {keys[path]}"
        seen.add(path)
    for path in keys.keys() - seen:
        known = "absent" in keys[path] or path.startswith(tuple(empty))
        assert known, f"{command} --json lacks {path}: {value}"
    if command == "doctor":
        data = {item["name"]: item["data"] for item in value["checks"]}
        seen |= {f"data {path}" for path in check("doctor data", data)}
    return seen
