"""rtmon's file of random changes, replayed, and the kernel's table beside it."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pytest
import rnlab
import rnrtmon

import routenotify
from routenotify import ChangeType

SEED = int(os.environ.get("ROUTENOTIFY_TEST_SEED") or random.randrange(1 << 32))
HISTORIES = 16

DEVICES = ("d0", "d1", "d2")
PREFIXES = {
    4: ("20.0.0.0/24", "20.0.1.0/24", "20.0.2.5/32", "0.0.0.0/0"),
    6: ("fd10::/64", "fd10:1::/48", "fd10::5/128", "::/0"),
}
OWN = {4: "local 20.9.0.1", 6: "anycast fd19::1"}
VERBS = ("add", "append", "prepend", "replace", "change", "del")
SHOWN = 0x01 | 0x04 | 0x10  # flags: dead, on-link, link down


class History:
    """`ip` commands that change routes, one after another; some will fail."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._used: list[tuple[int, str]] = []
        self._objects: dict[int, int] = {}  # families by number

    def start(self) -> list[str]:
        """Make three devices with carriers and addresses."""
        return [line for device in DEVICES for line in self._made(device)]

    def step(self) -> tuple[list[str], bool]:
        """The next commands, and whether they change a link."""
        choice = self._random.random()
        if choice < 0.12:
            return self._link(), True
        if choice < 0.22:
            return [self._object()], False
        return [self._route(self._random.choice((4, 6)))], False

    def _pick(self, *of: str) -> str:
        return self._random.choice(of)

    def _perhaps(self, chance: float, *of: str) -> str:
        return f" {self._pick(*of)}" if self._random.random() < chance else ""

    # --- links

    def _made(self, device: str) -> list[str]:
        return [
            f"link add {device} type veth peer name {device}p",
            f"link set {device}p up",
            f"link set {device} up",
            f"address add 10.0.{device[1]}.1/24 dev {device}",
            f"address add 2001:db8:{device[1]}::1/64 dev {device}",
        ]

    def _link(self) -> list[str]:
        device, choice = self._pick(*DEVICES), self._random.random()
        if choice < 0.3:
            return [f"link set {device} down"]
        if choice < 0.7:  # its IPv6 address went when it was set down
            return [f"link set {device} up", self._made(device)[-1]]
        if choice < 0.8:
            return [f"link set {device}p {self._pick('down', 'up')}"]
        if choice < 0.9:
            return [f"link set {device} mtu {self._pick('1300', '1400', '1500')}"]
        return [f"link del {device}", *self._made(device)]

    # --- nexthop objects

    def _object(self) -> str:
        family, number = self._random.choice((4, 6)), self._random.randrange(1, 9)
        members = [str(one) for one, of in self._objects.items() if of == family]
        if number > 6 and members:
            chosen = self._random.sample(members, min(len(members), 3))
            self._objects.setdefault(number, 0)
            return f"nexthop add id {number} group {'/'.join(chosen)}"
        if self._objects.setdefault(number, family) != family:
            return self._object()
        verb, device = self._pick("add", "replace"), self._pick(*DEVICES)
        gateway = self._gateway(family, device)
        return f"nexthop {verb} id {number} via {gateway} dev {device}"

    # --- routes

    def _gateway(self, family: int, device: str) -> str:
        last = self._random.randint(20, 23)
        network = "10.0.{}.{}" if family == 4 else "2001:db8:{}::{}"
        return network.format(device[1], last)

    def _hop(self, family: int) -> str:
        device = self._pick(*DEVICES)
        if self._random.random() < 0.2:
            return f"dev {device}"
        return f"via {self._gateway(family, device)} dev {device}"

    def _destination(self, family: int) -> str:
        known = [words for of, words in self._used if of == family]
        if known and self._random.random() < 0.75:
            return self._random.choice(known)
        words = self._pick(*PREFIXES[family])
        words += self._perhaps(0.3, "table 77", "table 70000")
        words += self._perhaps(0.3, "metric 5", "metric 1024")
        self._used.append((family, words))
        return words

    def _route(self, family: int) -> str:
        verb, words = self._pick(*VERBS), self._destination(family)
        start = f"route {verb}"
        choice = self._random.random()
        if verb == "del":
            return f"{start} {words}{self._perhaps(0.5, self._hop(family))}"
        if choice < 0.1:
            kind = self._pick("blackhole", "unreachable", "throw")
            return f"{start} {kind} {words}{self._perhaps(0.3, 'proto ra')}"
        if choice < 0.15:
            return f"{start} {OWN[family]} dev {self._pick(*DEVICES)} table 255"
        # What replaced one with an object may be news of the object alone.
        if choice < 0.3 and verb not in ("replace", "change"):
            return f"{start} {words} nhid {self._random.randrange(1, 9)}"
        return f"{start} {words}{self._attributes()} {self._hops(family)}"

    def _hops(self, family: int) -> str:
        if self._random.random() < 0.7:
            return self._hop(family)
        hops = [self._hop(family) for _ in range(self._random.randint(2, 3))]
        return " ".join(
            f"nexthop {hop}{self._perhaps(0.3, 'weight 9')}" for hop in hops
        )

    def _attributes(self) -> str:
        return (
            self._perhaps(0.3, "proto ra", "proto static", "proto bird")
            + self._perhaps(0.2, "mtu 1300", "mtu 1400", "mtu lock 1400")
            + self._perhaps(0.1, "advmss 500", "advmss 600")
        )


class Shown(NamedTuple):
    """What is compared of a row."""

    key: tuple[object, ...]
    hop: tuple[object, ...]
    attributes: tuple[object, ...]
    sibling: bool

    @classmethod
    def of(cls, row: routenotify.RouteChange | routenotify.Route) -> Shown:
        """The same of either."""
        key = (row.family, row.destination, row.source, row.tos, row.table, row.metric)
        flags = (row.flags or 0) & SHOWN
        hop = (row.next_hop, row.interface_index, row.weight, flags, row.nexthop_id)
        attributes = (row.route_type, row.protocol, row.scope, row.mtu, row.preference)
        through = row.family == 10 and row.next_hop is not None and not row.nexthop_id
        return cls(key, hop, attributes, through)


Table = Counter[Shown]


def sets(rows: Iterable[Shown]) -> set[tuple[object, ...]]:
    """The keys with several siblings."""
    found = Counter(row.key for row in rows if row.sibling)
    return {key for key, count in found.items() if count > 1}


def played(changes: list[routenotify.RouteChange]) -> tuple[Table, set[object]]:
    """The table that changes lead to, and the keys that ever had several siblings.

    Raises:
        AssertionError: A row comes that is there, or changes or goes that is not.
    """
    table: dict[object, Shown] = {}
    ever: set[object] = set()
    for change in changes:
        assert (change.key in table) == (change.type != ChangeType.ADD), change
        if change.type == ChangeType.DELETE:
            del table[change.key]
            continue
        table[change.key] = row = Shown.of(change)
        ever |= sets(other for other in table.values() if other.key == row.key)
    return Counter(table.values()), ever


def known(table: Table, ever: set[object]) -> Table:
    """Without the attributes of IPv6 siblings: docs/recordings.md, rtmon's format."""
    return Counter(
        row._replace(attributes=()) if row.sibling and row.key in ever else row
        for row in table.elements()
    )


def play(netns: rnlab.Namespace, history: History, count: int) -> None:
    """Carry out commands; each change of a link is over before the next."""
    waiting = history.start()
    for _ in range(count):
        lines, links = history.step()
        waiting += lines
        if links:
            netns.batch(waiting, force=True)
            netns.settle()
            waiting = []
    netns.batch(waiting, force=True)
    netns.settle()


@pytest.mark.parametrize("number", range(HISTORIES))
def test_the_replayed_table_is_the_kernels(
    netns: rnlab.Namespace, tmp_path: Path, number: int
) -> None:
    """Whatever was done to routes, nexthop objects and links.

    But for what docs/recordings.md says that a recording cannot know.
    """
    seed = SEED + number
    print(f"ROUTENOTIFY_TEST_SEED={seed}")
    path = tmp_path / "random.rtmon"
    older = Counter(map(Shown.of, routenotify.routes()))  # of lo
    with rnrtmon.running(netns, path):
        play(netns, History(seed), 20 + seed % 60)
        rnrtmon.end(netns)
        changes = rnrtmon.replayed(path)
        kernel = Counter(map(Shown.of, routenotify.routes())) - older
    mine, ever = played(changes)
    missing = known(kernel, ever) - known(mine, ever)
    more = known(mine, ever) - known(kernel, ever)
    # What lies between siblings is not in the kernel's dump.
    hiding = sets(kernel.elements())

    assert not missing
    assert not [row for row in more if row.sibling or row.key not in hiding]
