"""What the tests beside this one rely on, of rnlab."""

from __future__ import annotations

from pathlib import Path

import routenotify


def test_veth_when_it_returns_then_no_route_of_its_addresses_is_still_to_come(netns):
    """Where the kernel looks for duplicates, and says so a second or two later.

    With a read-only /proc/sys it always does; a monitor that was opened
    meanwhile got the device's own rows before those of its test.
    """
    for scope in ("all", "default"):
        Path(f"/proc/sys/net/ipv6/conf/{scope}/accept_dad").write_text("1")
    other = netns.make_other()
    netns.veth("v0", "10.0.0.1/24", "2001:db8::1/64", peer=other)
    with (
        routenotify.RouteMonitor() as here,
        routenotify.RouteMonitor(netns=other.path) as there,
    ):
        assert "tentative" not in netns.ip("-6 address show")
        assert "tentative" not in other.ip("-6 address show")
        own = {str(row.destination) for row in here.snapshot() if row.table == 255}
        assert "2001:db8::1/128" in own
        assert [] == here.drain()
        assert [] == there.drain()
