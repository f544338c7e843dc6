"""Operations on routes: one hop, several hops, special types, flush."""

from replaylab.world import Entry, Key, Operation, World


class Routes(World):
    """Writes and deletes routes."""

    def route_write(self, verb: str) -> bool:
        """Add, append, prepend, replace, change one single-hop route."""
        family = self.family()
        key = self.old_key(family) if verb != "add" or self.chance(0.1) else None
        if key is None or (verb == "replace" and self.chance(0.3)):
            if verb == "change":
                return False
            key = self.new_key(family)
        hop = self.hop(family)
        if hop is None:
            return False
        # See MUTE: an append may not rewrite the mtu of what expires.
        mtu = family == 4 or not self.expires or verb not in ("append", "prepend")
        words = hop[0] + self.attributes(family, mtu=mtu)
        self.route(verb, key, words)
        self.remember(verb, key, Entry(words, (hop[1],)))
        return True

    def route_again(self) -> bool:
        """Replace a route by itself, or by itself with another attribute."""
        key = self.old_key(self.family())
        if key is None or self.routes[key][0].nexthop:
            return False
        entry = self.random.choice(self.routes[key])
        extra = "" if self.chance(0.5) else " realm 7"
        if entry.kind or "nexthop" in entry.words:
            extra = ""
        self.route("replace", key, entry.words + extra, entry.kind)
        return True

    def route_delete(self, how: str) -> bool:
        """Delete one route, named exactly or hardly at all."""
        key = self.old_key(self.family())
        if key is None:
            return False
        entries = self.routes[key]
        entry = self.random.choice(entries)
        if how == "exact":
            entries.remove(entry)
            words = entry.words.split(" expires ")[0]
            for word in (" pref high", " pref low", " pref medium"):
                words = words.replace(word, "")
            self.route("del", key, words, entry.kind)
        else:
            entries.pop(0)
            bare = Key(key.family, key.destination, key.table, 0, key.tos, key.source)
            self.route("del", bare if self.chance(0.5) else key, "")
        return True

    def route_type(self) -> bool:
        """Blackhole and its kin."""
        family = self.family()
        key = self.new_key(family)
        kind = self.random.choice(("blackhole", "unreachable", "prohibit", "throw"))
        verb = self.random.choice(("add", "add", "replace", "append"))
        if verb == "append":
            key = self.old_key(family) or key
        words = self.random.choice(("", "", " proto 77", " proto ra"))
        self.route(verb, key, words, kind)
        self.remember(verb, key, Entry(words, (), kind))
        return True

    def route_by_hand(self) -> bool:
        """Types that only the kernel makes otherwise."""
        devices = self.usable(4)
        if not devices:
            return False
        device = self.random.choice(devices)
        kind, destination = self.random.choice(
            (
                ("local", "20.9.0.1/32"),
                ("broadcast", "20.9.0.255/32"),
                ("multicast", "224.9.0.0/24"),
                ("local", "fd19::1/128"),
                ("anycast", "fd19::2/128"),
                ("multicast", "ff05::9/128"),
            )
        )
        family = 6 if ":" in destination else 4
        key = Key(family, destination, self.random.choice((254, 255, 77)), 0, 0, "")
        words = f"dev {device.name}"
        self.route("add", key, words, kind)
        self.remember("add", key, Entry(words, (device.slot,), kind))
        return True

    def connected_delete(self) -> bool:
        """Delete what the kernel made for an address."""
        family = self.family()
        devices = self.usable(family)
        if not devices:
            return False
        device = self.random.choice(devices)
        home = device.home(family)
        if self.chance(0.5):
            net = home.replace("1/", "0/") if family == 4 else home.replace("1/", "/")
            self.put("ip", f"route del {net} dev {device.name}")
            device.addresses(family).discard(home)
        else:
            self.put(
                "ip",
                f"route del local {home.split('/')[0]} dev {device.name} table 255",
            )
        return True

    def hops(self, family: int, count: int) -> tuple[str, tuple[int, ...]] | None:
        """Several hops as words; sometimes the same one twice."""
        found = []
        for _ in range(count):
            hop = self.hop(family, gateway=True)
            if hop is None:
                return None
            found.append(hop)
        if family == 6 or self.chance(0.7):
            found = list(dict(found).items())
        words = ""
        for text, _slot in found:
            weight = f" weight {self.random.randint(1, 4)}" if self.chance(0.4) else ""
            words += f" nexthop {text}{weight}"
        return words, tuple(slot for _text, slot in found)

    def multipath(self, verb: str) -> bool:
        """Write a route of several hops."""
        family = self.family()
        key = self.old_key(family) if verb != "add" else None
        key = key or self.new_key(family)
        hops = self.hops(family, self.random.randint(2, 3))
        if hops is None:
            return False
        words = self.attributes(family, mtu=verb != "append") + hops[0]
        self.route(verb, key, words)
        self.remember(verb, key, Entry(words, hops[1]))
        return True

    def multipath_delete(self) -> bool:
        """Delete one hop, or all hops, of a route of several."""
        found = [
            (key, entry)
            for key, entries in self.routes.items()
            for entry in entries
            if " nexthop " in entry.words
        ]
        if not found:
            return False
        key, entry = self.random.choice(found)
        hops = entry.words.split(" nexthop ")[1:]
        if self.chance(0.5) and len(hops) > 1:
            hop = self.random.choice(hops)
            self.route("del", key, hop.split(" weight")[0].strip())
            if key.family == 4:
                self.routes[key].remove(entry)
            else:
                hops.remove(hop)
                entry.words = "".join(f" nexthop {h}" for h in hops)
        else:
            self.routes[key].remove(entry)
            self.route("del", key, "".join(f" nexthop {h}" for h in hops))
        return True

    def flush(self) -> bool:
        """Flush one table, or one device's routes of a table."""
        family = self.family()
        table = self.random.choice((77, 252, 1000, 70000, 254))
        device = self.some_device(lambda d: d.exists)
        if table == 254 and device is None:
            return False
        if table == 254 and device is not None:
            self.put(f"ip{family}", f"route flush proto 3 dev {device.name}")
            self.forget(device.slot, family=family, whole=False)
            return True
        self.put(f"ip{family}", f"route flush table {table}")
        for key, entries in self.routes.items():
            if key.table == table and key.family == family:
                entries.clear()
        return True

    def route_operations(self) -> list[Operation]:
        """What can be done, and how often."""
        found: list[Operation] = [
            (4, "replace by itself", self.route_again),
            (8, "route type", self.route_type),
            (3, "type by hand", self.route_by_hand),
            (2, "delete connected", self.connected_delete),
            (6, "multipath delete", self.multipath_delete),
            (4, "flush", self.flush),
            (8, "delete exact", lambda: self.route_delete("exact")),
            (8, "delete bare", lambda: self.route_delete("bare")),
            (8, "multipath add", lambda: self.multipath("add")),
            (6, "multipath replace", lambda: self.multipath("replace")),
            (5, "multipath append", lambda: self.multipath("append")),
            (24, "route add", lambda: self.route_write("add")),
            (12, "route append", lambda: self.route_write("append")),
            (6, "route prepend", lambda: self.route_write("prepend")),
            (14, "route replace", lambda: self.route_write("replace")),
            (6, "route change", lambda: self.route_write("change")),
        ]
        return found
