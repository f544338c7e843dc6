"""Operations on links."""

from replaylab.world import Device, Operation, World


class Links(World):
    """Takes links down, up, away and back."""

    def link_gone(self, device: Device) -> None:
        """The device is no longer here."""
        device.exists = False
        device.v4.clear()
        device.v6.clear()
        self.forget(device.slot)
        self.forget_nexthops_on(device.slot)

    def link_down_effects(self, device: Device) -> None:
        """What going down takes along."""
        device.v6.clear()
        self.forget(device.slot, whole=False)
        self.forget_nexthops_on(device.slot)

    def link_down(self) -> bool:
        """Admin down."""
        device = self.some_device(lambda d: d.exists and d.up)
        if device is None:
            return False
        self.put("ip", f"link set {device.name} down")
        device.up = False
        self.link_down_effects(device)
        return True

    def link_up(self) -> bool:
        """Admin up, and the IPv6 address again."""
        device = self.some_device(lambda d: d.exists and not d.up)
        if device is None:
            return False
        self.put("ip", f"link set {device.name} up")
        device.up = True
        self.home_again(device)
        return True

    def link_down_up(self) -> bool:
        """Down and up within one process, microseconds apart."""
        device = self.some_device(lambda d: d.exists and d.up)
        if device is None:
            return False
        self.put("ip", f"link set {device.name} down")
        self.link_down_effects(device)
        self.put("ip", f"link set {device.name} up")
        self.home_again(device)
        return True

    def link_delete(self, kind: str) -> bool:
        """Delete a device from this side, or from the far side."""
        device = self.some_device(lambda d: d.exists)
        if device is None:
            return False
        if kind == "peer":
            self.put("peer", f"link del {device.peer}")
        else:
            self.put("ip", f"link del {device.name}")
        self.link_gone(device)
        return True

    def link_create(self, device: Device, index: int) -> None:
        """Make a device for this slot, and its far end."""
        self.serial += 1
        device.name, device.peer = f"v{self.serial}", f"p{self.serial}"
        device.index = index
        device.exists = device.up = device.carrier = device.v6_on = True
        device.away = False
        device.mtu = 1500
        self.put(
            "ip",
            f"link add {device.name} index {index} type veth"
            f" peer name {device.peer} netns {{peer}}",
        )
        self.put("peer", f"link set {device.peer} up")
        self.put("ip", f"link set {device.name} up")
        self.home_again(device)

    def link_again(self) -> bool:
        """A device instead of one that is gone: old index or a new one."""
        device = self.some_device(lambda d: not d.exists)
        if device is None:
            return False
        new = 40 + self.serial
        # One that lives on in the far namespace keeps its index there only.
        self.link_create(device, device.index if self.chance(0.6) else new)
        return True

    def link_swap(self) -> bool:
        """Delete and make again with the same index, in one go."""
        device = self.some_device(lambda d: d.exists)
        if device is None:
            return False
        self.put("ip", f"link del {device.name}")
        self.link_gone(device)
        self.serial += 1
        device.name, device.peer = f"v{self.serial}", f"p{self.serial}"
        device.exists = device.up = device.carrier = device.v6_on = True
        device.mtu = 1500
        self.put(
            "ip",
            f"link add {device.name} index {device.index} type veth"
            f" peer name {device.peer} netns {{peer}}",
        )
        self.put("ip", f"link set {device.name} up")
        self.home_again(device)
        self.put("peer", f"link set {device.peer} up")
        return True

    def link_carrier(self) -> bool:
        """The far end goes down, or up again."""
        device = self.some_device(lambda d: d.exists)
        if device is None:
            return False
        state = "down" if device.carrier else "up"
        self.put("peer", f"link set {device.peer} {state}")
        device.carrier = not device.carrier
        if not device.carrier:
            self.forget_nexthops_on(device.slot)
        return True

    def link_mtu(self) -> bool:
        """Another MTU; below 1280 IPv6 leaves the device."""
        device = self.some_device(lambda d: d.exists)
        if device is None:
            return False
        sizes = (1500, 1400, 1300, 1200) if self.chance(0.3) else (1500, 1400, 1300)
        mtu = self.random.choice(sizes)
        self.put("ip", f"link set {device.name} mtu {mtu}")
        if mtu < 1280 <= device.mtu:
            device.v6.clear()
            self.forget(device.slot, family=6, whole=False)
        device.v6_on = mtu >= 1280
        device.mtu = mtu
        return True

    def link_rename(self) -> bool:
        """Another name; works while up."""
        device = self.some_device(lambda d: d.exists)
        if device is None:
            return False
        self.serial += 1
        name = f"w{self.serial}"
        self.put("ip", f"link set {device.name} name {name}")
        device.name = name
        # The running process may know the old name's index.
        self.put("sync")
        return True

    def link_move(self) -> bool:
        """To the far namespace; it may come back."""
        device = self.some_device(lambda d: d.exists)
        if device is None:
            return False
        self.put("ip", f"link set {device.name} netns {{peer}}")
        self.link_gone(device)
        device.away = True
        return True

    def link_return(self) -> bool:
        """Back from the far namespace, with its index if that is free."""
        device = self.some_device(lambda d: not d.exists and d.away)
        if device is None:
            return False
        self.put("peer", f"link set {device.name} netns {{peer}}")
        self.put("ip", f"link set {device.name} up")
        device.exists = device.up = True
        device.away = False
        self.home_again(device)
        return True

    def link_stack(self) -> bool:
        """A macvlan on a device, with an address and a route; it goes soon."""
        device = self.some_device(lambda d: d.exists and d.up)
        if device is None:
            return False
        self.serial += 1
        name = f"m{self.serial}"
        self.put("ip", f"link add {name} link {device.name} type macvlan")
        self.put("ip", f"link set {name} up")
        self.put("ip", f"addr add 10.50.{self.serial % 250}.1/24 dev {name}")
        self.put("ip", f"route add 21.0.{self.serial % 250}.0/24 dev {name}")
        if self.chance(0.5):
            self.put("ip", f"link del {name}")
        return True

    def link_bridge(self) -> bool:
        """Into a bridge and out again: a DELLINK that deletes nothing."""
        device = self.some_device(lambda d: d.exists and d.up)
        if device is None:
            return False
        self.serial += 1
        name = f"b{self.serial}"
        self.put("ip", f"link add {name} type bridge")
        self.put("ip", f"link set {device.name} master {name}")
        self.put("ip", f"link set {device.name} nomaster")
        if self.chance(0.5):
            self.put("ip", f"link del {name}")
        return True

    def link_lo(self) -> bool:
        """The loopback device down and up."""
        self.put("ip", "link set lo down")
        self.lo_addresses = {a for a in self.lo_addresses if ":" not in a}
        if self.chance(0.3):
            self.put("sync")
        self.put("ip", "link set lo up")
        return True

    def link_operations(self) -> list[Operation]:
        """What can be done, and how often."""
        return [
            (4, "link down", self.link_down),
            (10, "link up", self.link_up),
            (3, "link down up", self.link_down_up),
            (2, "link delete own", lambda: self.link_delete("own")),
            (2, "link delete peer", lambda: self.link_delete("peer")),
            (10, "link again", self.link_again),
            (2, "link swap", self.link_swap),
            (4, "link carrier", self.link_carrier),
            (10, "link mtu", self.link_mtu),
            (2, "link rename", self.link_rename),
            (2, "link move", self.link_move),
            (2, "link return", self.link_return),
            (1, "link stack", self.link_stack),
            (1, "link bridge", self.link_bridge),
            (1, "link lo", self.link_lo),
        ]
