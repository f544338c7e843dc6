"""Random histories: what happens to a namespace's routes, from a seed.

A history is a pure function of (seed, number): the generator keeps a rough
idea of the state so that most commands succeed, and never asks the kernel.
"""

import random
from dataclasses import replace

import rnfilter

from replaylab.do_addresses import Addresses
from replaylab.do_links import Links
from replaylab.do_nexthops import Nexthops
from replaylab.do_routes import Routes
from replaylab.do_settings import Settings
from replaylab.script import MODES, VIAS, History, Plan, Step
from replaylab.world import Device, Operation

# Steps that fail themselves, or may never end, without memory.
NEED_MEMORY = ("open", "snapshot", "close", "pause", "peer-gone")

# MUTE operations: they change the table and no message of any group says so
# (found by an audit only, if at all).  They are never generated; the
# comparison would be unjust.  Everything not named here is generated.
MUTE = {
    "nexthop_compat_mode flipped": (
        "every row with a nexthop id changes its shape without any message; "
        "set before the monitors open it is allowed, and is generated"
    ),
    "skip_notify_on_dev_down=1": (
        "with disable_ipv6=1 on a device without address nothing is said"
    ),
    "router advertisements": (
        "metrics of the default route and route information change mutely; "
        "no router lives in the far namespace"
    ),
    "IPv6 append or prepend with an mtu, of a next hop that exists and expires": (
        "fails with EEXIST but overwrites the entry's mtu; histories use "
        "either 'expires' or appends with an mtu"
    ),
}


class Generator(Routes, Nexthops, Addresses, Links, Settings):
    """Makes one history."""

    def __init__(self, seed: int, number: int) -> None:
        super().__init__(seed, number)
        self.operations = self._operations()

    def _operations(self) -> list[Operation]:
        """Of every kind, or routes and few other kinds.

        Where everything happens, each comparison that one thing causes also
        repairs what another did wrong; where little happens, nothing does.
        """
        kinds = [
            self.nexthop_operations(),
            self.address_operations(),
            self.link_operations(),
            self.setting_operations(),
        ]
        if self.chance(0.6):
            kinds = self.random.sample(kinds, self.random.randint(0, 2))
        kinds.append(self.route_operations())
        favourite = self.random.randrange(2 * len(kinds))
        return [
            (weight * (5 if number == favourite else 1), name, do)
            for number, kind in enumerate(kinds)
            for weight, name, do in kind
        ]

    def setup(self) -> None:
        """Two or three devices; settings that must stand before monitors."""
        self.put("ip", "link set lo up")
        if self.chance(0.8):
            self.put("sysctl", "ipv6/conf/default/accept_dad 0")
        if self.chance(0.1):
            self.put("sysctl", "ipv4/nexthop_compat_mode 0")
        for slot in range(self.random.randint(2, 3)):
            device = Device(slot, "", "", 10 + slot)
            self.devices.append(device)
            self.link_create(device, device.index)
        self.put("sync")

    def operation(self) -> None:
        """One operation that can be done now."""
        weights = [weight for weight, _name, _do in self.operations]
        for _ in range(20):
            _weight, name, do = self.random.choices(self.operations, weights)[0]
            self.label = name
            if do():
                return

    def plan(self) -> Plan:
        """A monitor."""
        choose = self.random.choice
        return Plan(
            family=choose((0, 0, 0, 4, 6)),
            capacity=choose((2, 4, 64, 16384)),
            rcvbuf=choose((16 << 20, 16 << 20, 4608, 64 << 10)),
            ringbuf=choose(("auto", "yes", "yes", "no")),
            snapshot=self.chance(0.6),
            mode=choose(MODES),
            via=choose(VIAS),
        )

    def make(self) -> History:
        """The history."""
        self.setup()
        self.history.plans = [self.plan()]
        if self.chance(0.3):
            self.history.plans.append(self.plan())
        for _ in range(self.random.choice((0, 0, 5, 15))):
            self.operation()
        self.label = "monitor"
        self.put("open", "0")
        count = self.random.randint(10, 60)
        middle = self.events(count)
        for place in range(count):
            self.operation()
            self.label = "monitor"
            for kind, text in middle.get(place, ()):
                self.put(kind, text)
        self.label = "monitor"
        if self.chance(0.1):
            self.put("peer-gone")
        self.put("pause")
        return self.history

    def events(self, count: int) -> dict[int, list[tuple[str, str]]]:
        """After which operation something else happens."""
        found: dict[int, list[tuple[str, str]]] = {}

        def put(kind: str, text: str = "") -> None:
            found.setdefault(self.random.randrange(count), []).append((kind, text))

        often = count // 2 if self.chance(0.4) else self.random.randint(1, 3)
        for _ in range(often):
            put("pause")
        for _ in range(self.random.randint(0, count // 4)):
            put("sync")
        if self.chance(0.3):
            put("snapshot", "0")
        if len(self.history.plans) > 1:
            put("open", "1")
        return found


def _filtered(history: History, chance: random.Random) -> None:
    # Monitors that want everything, some of it, or some of it twice over.
    for number, plan in enumerate(history.plans):
        if chance.random() < 0.5:
            tree = rnfilter.random_tree(chance)
            history.plans[number] = replace(plan, filter=tree)


def _forgetful(history: History, chance: random.Random) -> History:
    # Memory runs out now and then, and is back before it is needed to go on.
    steps: list[Step] = []
    out = False
    for step in history.steps:
        if out and (step.kind in NEED_MEMORY or chance.random() < 0.2):
            steps.append(Step("memory", "0", "memory"))
            out = False
        steps.append(step)
        if not out and step is not history.steps[-1] and chance.random() < 0.2:
            steps.append(Step("memory", str(chance.randint(1, 8)), "memory"))
            out = True
    return history.with_steps(steps)


def generate(seed: int, number: int, *, memory: bool = False) -> History:
    """History `number` of `seed`.

    Args:
        seed: which histories.
        number: which of them.
        memory: make the library's memory run out at random places.
    """
    history = Generator(seed, number).make()
    _filtered(history, random.Random(f"{seed} {number} filter"))
    if memory:
        history = _forgetful(history, random.Random(f"{seed} {number} memory"))
    return history
