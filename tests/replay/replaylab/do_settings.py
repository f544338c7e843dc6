"""Settings, what must change nothing, and bursts."""

from replaylab.world import Operation, World


class Settings(World):
    """Everything that is no route, address, link or nexthop."""

    def sysctl_disable(self) -> bool:
        """IPv6 off or on: one device."""
        device = self.some_device(lambda d: d.exists and d.mtu >= 1280)
        if device is None:
            return False
        value = "1" if device.v6_on else "0"
        self.put("sysctl", f"ipv6/conf/{device.name}/disable_ipv6 {value}")
        device.v6_on = not device.v6_on
        if not device.v6_on:
            device.v6.clear()
            self.forget(device.slot, family=6, whole=False)
        elif device.up:
            self.home_again(device)
        return True

    def sysctl_disable_all(self) -> bool:
        """IPv6 off and on: everywhere."""
        self.put("sysctl", "ipv6/conf/all/disable_ipv6 1")
        if self.chance(0.5):
            self.put("sync")
        self.put("sysctl", "ipv6/conf/all/disable_ipv6 0")
        self.lo_addresses = {a for a in self.lo_addresses if ":" not in a}
        for device in self.live():
            device.v6.clear()
            device.v6_on = device.mtu >= 1280
            self.forget(device.slot, family=6, whole=False)
            if device.up:
                self.home_again(device)
        return True

    def sysctl_flip(self) -> bool:
        """Settings that change flags or make rows."""
        device = self.some_device(lambda d: d.exists)
        if device is None:
            return False
        value = self.random.choice("011")
        name = self.random.choice(
            (
                f"ipv4/conf/{device.name}/ignore_routes_with_linkdown",
                f"ipv6/conf/{device.name}/ignore_routes_with_linkdown",
                "ipv4/conf/all/ignore_routes_with_linkdown",
                "ipv6/conf/all/ignore_routes_with_linkdown",
                "ipv6/conf/all/forwarding",
                "ipv4/conf/all/forwarding",
                f"ipv4/conf/{device.name}/promote_secondaries",
                f"ipv6/conf/{device.name}/keep_addr_on_down",
            )
        )
        self.put("sysctl", f"{name} {value}")
        return True

    def noise(self) -> bool:
        """What must change nothing."""
        device = self.some_device(lambda d: d.exists and d.up)
        if device is None:
            return False
        self.put(
            "ip",
            self.random.choice(
                (
                    f"link set {device.name} alias x",
                    f"link set {device.name} txqueuelen 500",
                    (
                        f"neigh replace 10.0.{device.slot}.10 lladdr 02:00:00:00:00:01"
                        f" dev {device.name}"
                    ),
                    "rule add pref 100 table 77",
                    "route get 20.0.0.1",
                    f"link set {device.name} promisc on",
                    f"link set {device.name} multicast off",
                )
            ),
        )
        return True

    def burst(self) -> bool:
        """Some hundred changes in a millisecond."""
        family = self.family()
        devices = self.usable(family)
        if not devices:
            return False
        device = self.random.choice(devices)
        count = self.random.choice((20, 100, 300, 600))
        words = f"family={family} count={count} table={self.random.choice((254, 77))}"
        words += f" seed={self.random.randint(0, 999)}"
        where = f" dev={device.index}"
        if self.chance(0.3):
            where += " mtu=1400"
        self.put("burst", f"{self.random.choice(('add', 'replace'))} {words}{where}")
        for _ in range(self.random.randint(0, 2)):
            action = self.random.choice(("replace", "del", "flap", "del"))
            self.put("burst", f"{action} {words}{where if action != 'del' else ''}")
        if self.chance(0.5):
            self.put("burst", f"del {words}")
        return True

    def storm(self) -> bool:
        """A second writer, at full speed, while other things happen."""
        family = self.family()
        devices = self.usable(family)
        if not devices:
            return False
        device = self.random.choice(devices)
        count = self.random.choice((10, 100, 1000))
        action = self.random.choice(("flap", "flap", "replace"))
        self.put(
            "storm",
            f"{action} family={family} count={count} dev={device.index}"
            f" table={self.random.choice((254, 77, 99))} repeat={8000 // count}",
        )
        return True

    def setting_operations(self) -> list[Operation]:
        """What can be done, and how often."""
        return [
            (2, "disable_ipv6", self.sysctl_disable),
            (1, "disable_ipv6 all", self.sysctl_disable_all),
            (8, "sysctl", self.sysctl_flip),
            (3, "noise", self.noise),
            (3, "burst", self.burst),
            (2, "storm", self.storm),
        ]
