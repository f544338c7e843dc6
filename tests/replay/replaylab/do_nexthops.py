"""Operations on nexthop objects, their groups, and routes that use them."""

from collections.abc import Iterable

from replaylab.world import Entry, Operation, World


class Nexthops(World):
    """Writes and deletes nexthop objects."""

    def nexthop_words(self, family: int) -> tuple[str, tuple[int, ...]] | None:
        """What a nexthop object says."""
        devices = self.usable(family)
        if not devices:
            return None
        device = self.random.choice(devices)
        draw = self.random.random()
        if draw < 0.15:
            return "blackhole", ()
        if draw < 0.35:
            return f"dev {device.name}", (device.slot,)
        last = self.random.randint(20, 23)
        slot = device.slot
        near = f"10.0.{slot}.{last}" if family == 4 else f"2001:db8:{slot}::{last}"
        return f"via {near} dev {device.name}", (slot,)

    def nexthop_add(self) -> bool:
        """A new nexthop object."""
        family = self.family()
        free = [n for n in range(1, 9) if n not in self.nexthops]
        found = self.nexthop_words(family)
        if not free or found is None:
            return False
        number = self.random.choice(free)
        self.put(f"ip{family}", f"nexthop add id {number} {found[0]}")
        self.nexthops[number] = (family, found[1])
        return True

    def members(self, family: int) -> list[int]:
        """Objects of the family that can be in a group."""
        return sorted(
            n for n, (f, slots) in self.nexthops.items() if f == family and slots
        )

    def group_text(self, members: Iterable[int]) -> str:
        """Members with some weights."""
        return "/".join(
            f"{n},{self.random.randint(1, 4)}" if self.chance(0.4) else str(n)
            for n in members
        )

    def group_write(self, verb: str) -> bool:
        """Make a nexthop group, or give it other members."""
        family = self.family()
        pool = self.members(family)
        if not pool:
            return False
        members = self.random.sample(pool, self.random.randint(1, min(3, len(pool))))
        if verb == "replace":
            mine = [g for g, (f, _m) in self.groups.items() if f == family]
            if not mine:
                return False
            number = self.random.choice(mine)
        else:
            number = self.random.choice(range(101, 105))
            if number in self.groups:
                return False
        self.put("ip", f"nexthop {verb} id {number} group {self.group_text(members)}")
        self.groups[number] = (family, list(members))
        return True

    def nexthop_replace(self) -> bool:
        """Give a nexthop object another gateway, device, or nothing."""
        if not self.nexthops:
            return False
        number = self.random.choice(sorted(self.nexthops))
        family, _slots = self.nexthops[number]
        found = self.nexthop_words(family)
        if found is None:
            return False
        grouped = any(number in members for _f, members in self.groups.values())
        if found[0] == "blackhole" and grouped:
            return False
        self.put(f"ip{family}", f"nexthop replace id {number} {found[0]}")
        self.nexthops[number] = (family, found[1])
        return True

    def nexthop_delete(self) -> bool:
        """Delete a nexthop object or a group."""
        pool = sorted(self.nexthops) + sorted(self.groups)
        if not pool:
            return False
        number = self.random.choice(pool)
        self.put("ip", f"nexthop del id {number}")
        self.groups.pop(number, None)
        self.forget_nexthop(number)
        return True

    def nexthop_flush(self) -> bool:
        """Flush all nexthop objects."""
        if not self.nexthops:
            return False
        self.put("ip", "nexthop flush")
        self.groups.clear()
        for number in list(self.nexthops):
            self.forget_nexthop(number)
        return True

    def nexthop_route(self, verb: str) -> bool:
        """A route through a nexthop object."""
        family = self.family()
        pool = [n for n, (f, _s) in self.nexthops.items() if f == family]
        pool += [n for n, (f, _m) in self.groups.items() if f == family]
        if not pool:
            return False
        number = self.random.choice(sorted(pool))
        key = (self.old_key(family) if verb != "add" else None) or self.new_key(family)
        if key.source:
            return False
        # An attribute route cannot be appended as a sibling; it may be an entry.
        words = f"nhid {number}" + self.attributes(family, mtu=verb != "append")
        slots = set(self.nexthops.get(number, (0, ()))[1])
        for member in self.groups.get(number, (0, []))[1]:
            slots.update(self.nexthops[member][1])
        self.route(verb, key, words)
        self.remember(verb, key, Entry(words, tuple(sorted(slots)), "", number))
        return True

    def nexthop_operations(self) -> list[Operation]:
        """What can be done, and how often."""
        return [
            (10, "nexthop add", self.nexthop_add),
            (8, "nexthop replace", self.nexthop_replace),
            (5, "nexthop delete", self.nexthop_delete),
            (1, "nexthop flush", self.nexthop_flush),
            (8, "group add", lambda: self.group_write("add")),
            (6, "group replace", lambda: self.group_write("replace")),
            (12, "nhid route add", lambda: self.nexthop_route("add")),
            (7, "nhid route replace", lambda: self.nexthop_route("replace")),
            (6, "nhid route append", lambda: self.nexthop_route("append")),
        ]
