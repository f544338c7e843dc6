"""The one known lie of the kernel's dump, and how to see through it.

An IPv6 entry that is no sibling (it has no gateway, or a nexthop object) and
lies between two siblings of one prefix and metric is left out of every dump.
/proc/net/ipv6_route still shows it.  That file has no table column, so the
lines of all tables are counted together; of an entry with a nexthop group it
shows the first hop only.
"""

import ipaddress
from collections import Counter
from typing import NamedTuple

from replaylab.row import Row, Table

SIBLINGS = 2  # fewer have no room between them


class _Line(NamedTuple):
    destination: str
    source: str
    metric: int
    gateway: str
    device: str


class _Group(NamedTuple):
    table: int
    destination: str
    source: str
    metric: int


def _proc_prefix(address: str, length: str) -> str:
    return str(ipaddress.IPv6Network((int(address, 16), int(length, 16))))


def _proc_lines() -> Counter[_Line]:
    # /proc/net is the thread group leader's namespace; this is the thread's.
    found: Counter[_Line] = Counter()
    with open("/proc/thread-self/net/ipv6_route", encoding="ascii") as file:
        for line in file:
            word = line.split()
            found[
                _Line(
                    destination=_proc_prefix(word[0], word[1]),
                    source=_proc_prefix(word[2], word[3]),
                    metric=int(word[5], 16),
                    gateway=str(ipaddress.IPv6Address(int(word[4], 16))),
                    device=word[9],
                )
            ] += 1
    return found


def _line(row: Row, names: dict[int, str]) -> _Line:
    return _Line(
        destination=row.destination,
        source=row.source or "::/0",
        metric=row.metric,
        gateway=row.next_hop or "::",
        device=names.get(row.interface_index, ""),
    )


def _group(row: Row) -> _Group:
    return _Group(row.table, row.destination, row.source, row.metric)


def _siblings(dump: Table) -> Counter[_Group]:
    found: Counter[_Group] = Counter()
    for row, count in dump.items():
        if row.family == 6 and row.next_hop and not row.nexthop_id:
            found[_group(row)] += count
    return found


def rows(dump: Table, extra: Table, names: dict[int, str]) -> Table:
    """Which of the rows we have too many does the kernel merely not dump?

    Args:
        dump: what the kernel dumps.
        extra: rows that were delivered and are not in the dump.
        names: of devices, by index.
    """
    siblings = _siblings(dump)
    able = [
        row
        for row in extra
        if row.family == 6
        and (row.nexthop_id or not row.next_hop)
        and siblings[_group(row)] >= SIBLINGS
    ]
    if not able:
        return Counter()
    room = _proc_lines()
    room.subtract(_dumped_lines(dump, names))
    plain = [row for row in able if not row.nexthop_id]
    found: Table = Counter()
    for row in plain:
        found[row] = max(0, min(extra[row], room[_line(row, names)]))
        room[_line(row, names)] -= found[row]
    for row in able:
        if row.nexthop_id and _object_shown(row, room):
            found[row] = extra[row]
    return +found


def _dumped_lines(dump: Table, names: dict[int, str]) -> Counter[_Line]:
    # Entries with nexthop objects have fewer lines than rows: left out.
    found: Counter[_Line] = Counter()
    for row, count in dump.items():
        if row.family == 6 and not row.nexthop_id:
            found[_line(row, names)] += count
    return found


def _object_shown(row: Row, room: Counter[_Line]) -> bool:
    # Which hop of the object its line shows is not known: any line will do.
    return any(
        left > 0
        and line.destination == row.destination
        and line.source == (row.source or "::/0")
        and line.metric == row.metric
        for line, left in room.items()
    )
