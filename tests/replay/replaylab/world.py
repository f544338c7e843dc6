"""What the generator believes of the namespace, and how it writes steps down."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from replaylab.script import History, Step

V4_PREFIXES = (
    "20.0.0.0/24",
    "20.0.1.0/24",
    "20.0.0.0/16",
    "20.0.2.5/32",
    "0.0.0.0/0",
    "10.0.0.0/24",
)
V6_PREFIXES = (
    "fd10::/64",
    "fd10:1::/48",
    "fd10::/32",
    "fd10::5/128",
    "::/0",
    "2001:db8::/64",
)
TABLES = (254, 254, 254, 254, 77, 77, 252, 253, 255, 256, 1000, 70000)
SOURCES = ("fd20::/64", "fd21::/48")


@dataclass
class Device:
    """What the generator believes of one link."""

    slot: int
    name: str
    peer: str
    index: int
    exists: bool = True
    up: bool = True
    away: bool = False
    carrier: bool = True
    v6_on: bool = True
    mtu: int = 1500
    v4: set[str] = field(default_factory=set)
    v6: set[str] = field(default_factory=set)

    def addresses(self, family: int) -> set[str]:
        """With prefix length."""
        return self.v4 if family == 4 else self.v6

    def usable(self, family: int) -> bool:
        """Can a gateway in its subnet be used?"""
        if not self.exists or not self.up:
            return False
        if family == 6 and not self.v6_on:
            return False
        return self.home(family) in self.addresses(family)

    def home(self, family: int) -> str:
        """Its first address."""
        slot = self.slot
        return f"10.0.{slot}.1/24" if family == 4 else f"2001:db8:{slot}::1/64"


@dataclass(frozen=True)
class Key:
    """What names a group of routes."""

    family: int
    destination: str
    table: int
    metric: int
    tos: int
    source: str

    def words(self) -> str:
        """For the ip command, after the destination."""
        text = f" table {self.table}"
        if self.metric:
            text += f" metric {self.metric}"
        if self.tos:
            text += f" tos {self.tos:#x}"
        return text

    def target(self) -> str:
        """Destination and source prefix."""
        return self.destination + (f" from {self.source}" if self.source else "")


@dataclass
class Entry:
    """One route the generator believes to exist."""

    words: str  # next hops as written
    devices: tuple[int, ...]  # slots
    kind: str = ""  # "" unicast, else blackhole ...
    nexthop: int = 0


Operation = tuple[int, str, Callable[[], bool]]  # weight, name, what to do


class World:
    """A rough idea of the state, so that most commands succeed."""

    def __init__(self, seed: int, number: int) -> None:
        self.random = random.Random(f"{seed}/{number}")
        self.history = History(f"seed {seed} history {number}")
        self.devices: list[Device] = []
        self.routes: dict[Key, list[Entry]] = {}
        self.nexthops: dict[int, tuple[int, tuple[int, ...]]] = {}
        self.groups: dict[int, tuple[int, list[int]]] = {}
        self.lo_addresses: set[str] = set()
        self.serial = 0
        self.label = "setup"
        self.expires = self.random.random() < 0.5
        choose = self.random.sample
        # Few of each in one history, so that routes meet in one group.
        self.prefixes = {
            4: choose(V4_PREFIXES, self.random.randint(2, len(V4_PREFIXES))),
            6: choose(V6_PREFIXES, self.random.randint(2, len(V6_PREFIXES))),
        }
        self.tables = choose(TABLES, self.random.randint(2, len(TABLES)))
        self.metrics = choose((0, 0, 10, 20), self.random.randint(1, 4))

    def put(self, kind: str, text: str = "") -> None:
        """Write one step down."""
        self.history.steps.append(Step(kind, text, self.label))

    def chance(self, probability: float) -> bool:
        """True that often."""
        return self.random.random() < probability

    def live(self) -> list[Device]:
        """Devices that exist here."""
        return [device for device in self.devices if device.exists]

    def usable(self, family: int) -> list[Device]:
        """Devices whose gateways work."""
        return [device for device in self.devices if device.usable(family)]

    def family(self) -> int:
        """4 or 6."""
        return self.random.choice((4, 6))

    def new_key(self, family: int) -> Key:
        """Some group, from few, so that they meet."""
        choose = self.random.choice
        tos = choose((0, 0, 0, 0, 0x10, 0x08)) if family == 4 else 0
        source = ""
        if family == 6 and self.chance(0.15):
            source = choose(SOURCES)
        return Key(
            family,
            choose(self.prefixes[family]),
            choose(self.tables),
            choose(self.metrics),
            tos,
            source,
        )

    def old_key(self, family: int) -> Key | None:
        """A group that exists."""
        known = [k for k, v in self.routes.items() if v and k.family == family]
        return self.random.choice(known) if known else None

    def hop(self, family: int, *, gateway: bool = False) -> tuple[str, int] | None:
        """A next hop as words, and the slot of its device."""
        devices = self.usable(family)
        if not devices:
            return None
        device = self.random.choice(devices)
        slot, draw = device.slot, self.random.random()
        last = self.random.randint(10, 13)
        if draw < 0.2 and not gateway:
            return f"dev {device.name}", slot
        if draw < 0.3:
            far = "99.0.0.1" if family == 4 else "fd99::1"
            return f"via {far} dev {device.name} onlink", slot
        if draw < 0.4 and family == 4 and device.usable(6):
            return f"via inet6 2001:db8:{slot}::{last} dev {device.name}", slot
        near = f"10.0.{slot}.{last}" if family == 4 else f"2001:db8:{slot}::{last}"
        encap = ""
        if draw > 0.92:
            encap = f"encap seg6 mode encap segs fd00::{self.random.randint(1, 2)} "
        elif draw > 0.88 and family == 4:
            encap = f"encap ip id {self.random.randint(1, 2)} dst 9.9.9.9 "
        return f"{encap}via {near} dev {device.name}", slot

    def attributes(self, family: int, *, mtu: bool = True) -> str:
        """Some attributes that are not part of a row's name."""
        words = ""
        if self.chance(0.3):
            words += f" proto {self.random.choice((3, 12, 99, 186))}"
        if self.chance(0.35) and mtu:
            value = self.random.choice((1300, 1400, 1500))
            words += f" mtu {'lock ' if self.chance(0.3) else ''}{value}"
        if self.chance(0.1):
            words += f" advmss {self.random.choice((1200, 1300))}"
        if self.chance(0.1):
            words += f" initcwnd {self.random.choice((10, 20))}"
        if self.chance(0.15):
            words += self.prefsrc(family)
        if family == 6 and self.chance(0.15):
            words += f" pref {self.random.choice(('high', 'low', 'medium'))}"
        if family == 6 and self.expires and self.chance(0.15):
            words += f" expires {self.random.choice((5000, 9000))}"
        return words

    def prefsrc(self, family: int) -> str:
        """A preferred source that the namespace has."""
        pool = [
            address.split("/")[0]
            for device in self.usable(family)
            for address in sorted(device.addresses(family))
        ]
        pool += [a.split("/")[0] for a in sorted(self.lo_addresses)]
        pool = [a for a in pool if (":" in a) == (family == 6)]
        return f" src {self.random.choice(pool)}" if pool else ""

    def route(self, verb: str, key: Key, words: str, kind: str = "") -> None:
        """One route command."""
        kind = f"{kind} " if kind else ""
        text = f"route {verb} {kind}{key.target()}"
        self.put("ip", f"{text} {words}{key.words()}".replace("  ", " "))

    def remember(self, verb: str, key: Key, entry: Entry) -> None:
        """What the command did, roughly."""
        entries = self.routes.setdefault(key, [])
        if verb == "add":
            if not entries:
                entries.append(entry)
        elif verb == "append":
            entries.append(entry)
        elif verb == "prepend":
            entries.insert(0, entry)
        elif entries:
            entries[0] = entry
        elif verb == "replace":
            entries.append(entry)

    def forget(self, slot: int, *, family: int = 0, whole: bool = True) -> None:
        """Routes of a device are gone."""
        for key, entries in self.routes.items():
            if family in (0, key.family):
                entries[:] = [
                    e
                    for e in entries
                    if slot not in e.devices
                    or (not whole and any(d != slot for d in e.devices))
                ]

    def forget_nexthop(self, number: int) -> None:
        """Routes of a nexthop object are gone, and its place in groups."""
        self.nexthops.pop(number, None)
        for group, (_family, members) in list(self.groups.items()):
            if number in members:
                members.remove(number)
            if not members:
                del self.groups[group]
        known = set(self.nexthops) | set(self.groups)
        for entries in self.routes.values():
            entries[:] = [e for e in entries if not e.nexthop or e.nexthop in known]

    def forget_nexthops_on(self, slot: int) -> None:
        """Nexthop objects of a device are gone."""
        for number, (_family, slots) in list(self.nexthops.items()):
            if slot in slots:
                self.forget_nexthop(number)

    def some_device(self, test: Callable[[Device], bool]) -> Device | None:
        """A random device that passes."""
        found = [d for d in self.devices if test(d)]
        return self.random.choice(found) if found else None

    def home_again(self, device: Device) -> None:
        """Give a device its first addresses, if it lacks them."""
        for family in (4, 6):
            home = device.home(family)
            if home in device.addresses(family) or not self.chance(0.8):
                continue
            if family == 6 and not device.v6_on:
                continue
            nodad = " nodad" if family == 6 else ""
            self.put("ip", f"addr add {home} dev {device.name}{nodad}")
            device.addresses(family).add(home)
