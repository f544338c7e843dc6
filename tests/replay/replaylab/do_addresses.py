"""Operations on addresses."""

from replaylab.world import Device, Operation, World


class Addresses(World):
    """Adds, changes and deletes addresses."""

    def address_add(self) -> bool:
        """An address the device has not: home, secondary, other subnet."""
        family = self.family()
        devices = [d for d in self.live() if d.up and (family == 4 or d.v6_on)]
        if not devices:
            return False
        device = self.random.choice(devices)
        slot = device.slot
        pool = (
            [
                f"10.0.{slot}.1/24",
                f"10.0.{slot}.2/24",
                f"10.1.{slot}.1/24",
                "10.7.0.7/24",
            ]
            if family == 4
            else [
                f"2001:db8:{slot}::1/64",
                f"2001:db8:{slot}::2/64",
                f"2001:db8:1{slot}::1/64",
                "2001:db8:77::7/64",
            ]
        )
        pool = [a for a in pool if a not in device.addresses(family)]
        if not pool:
            return False
        address = self.random.choice(pool)
        extra = " nodad" if family == 6 else ""
        if self.chance(0.15):
            extra += self.random.choice((" noprefixroute", " metric 50"))
        elif family == 6 and self.expires and self.chance(0.2):
            extra += " valid_lft 5000 preferred_lft 4000"
        self.put("ip", f"addr add {address} dev {device.name}{extra}")
        device.addresses(family).add(address)
        return True

    def address_delete(self) -> bool:
        """Delete one address; often the one that prefsrc or gateways use."""
        family = self.family()
        devices = [d for d in self.live() if d.addresses(family)]
        if not devices:
            return False
        device = self.random.choice(devices)
        address = self.random.choice(sorted(device.addresses(family)))
        self.put("ip", f"addr del {address} dev {device.name}")
        device.addresses(family).discard(address)
        if family == 4:
            self.address_gone(device)
        return True

    def address_gone(self, device: Device) -> None:
        """The last IPv4 address takes the device's IPv4 routes along."""
        if not device.v4:
            self.forget(device.slot, family=4)

    def address_flush(self) -> bool:
        """Flush the addresses of one family of a device."""
        family = self.family()
        devices = [d for d in self.live() if d.addresses(family)]
        if not devices:
            return False
        device = self.random.choice(devices)
        scope = " scope global" if family == 6 else ""
        self.put(f"ip{family}", f"addr flush dev {device.name}{scope}")
        device.addresses(family).clear()
        if family == 4:
            self.address_gone(device)
        return True

    def address_change(self) -> bool:
        """Metric or lifetime of an address."""
        family = self.family()
        devices = [d for d in self.live() if d.addresses(family) and d.up]
        if not devices:
            return False
        device = self.random.choice(devices)
        address = self.random.choice(sorted(device.addresses(family)))
        extra = f" metric {self.random.choice((50, 60))}"
        if family == 6 and self.expires:
            extra = self.random.choice(
                (extra, " valid_lft 6000 preferred_lft 5000", " valid_lft forever")
            )
        self.put("ip", f"addr change {address} dev {device.name}{extra}")
        return True

    def address_lo(self, verb: str) -> bool:
        """Addresses of lo: preferred sources of routes in many tables."""
        pool = ["10.9.9.1/32", "10.9.9.2/32", "fd09::1/128", "fd09::2/128"]
        pool = [a for a in pool if (a in self.lo_addresses) == (verb == "del")]
        if not pool:
            return False
        address = self.random.choice(pool)
        self.put("ip", f"addr {verb} {address} dev lo")
        if verb == "add":
            self.lo_addresses.add(address)
        else:
            self.lo_addresses.discard(address)
        return True

    def address_operations(self) -> list[Operation]:
        """What can be done, and how often."""
        return [
            (8, "address add", self.address_add),
            (6, "address delete", self.address_delete),
            (2, "address flush", self.address_flush),
            (3, "address change", self.address_change),
            (4, "lo address add", lambda: self.address_lo("add")),
            (4, "lo address del", lambda: self.address_lo("del")),
        ]
