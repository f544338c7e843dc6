"""A namespace with two devices and one monitor, for named scenarios."""

import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

import routenotify
from replaylab import rows, table
from replaylab.consumer import Consumer
from replaylab.row import Row
from replaylab.script import Plan
from replaylab.space import Space

DEADLINE = 30.0  # seconds
LOOK = 0.02  # seconds

INDEX = {"lo": 1, "v0": 10, "v1": 11}


class Lab:
    """v0 (index 10) and v1 (11), up, each with an address of either family.

    Their far ends p0 and p1 are in the other namespace.  10.0.N.1/24 and
    2001:db8:N::1/64 are the addresses of device N.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        space.ip("link set lo up")
        for scope in ("default", "all"):
            space.sysctl(f"ipv6/conf/{scope}/accept_dad", "0")
        for number in (0, 1):
            self.make_link(number)
        self._wait_for_links()
        self.consumer: Consumer | None = None

    def make_link(self, number: int) -> None:
        """One veth pair with its addresses."""
        name, peer = f"v{number}", f"p{number}"
        self.space.ip(
            f"link add {name} index {10 + number} type veth"
            f" peer name {peer} netns {{peer}}",
            f"link set {name} up",
            f"addr add 10.0.{number}.1/24 dev {name}",
            f"addr add 2001:db8:{number}::1/64 dev {name} nodad",
        )
        self.space.ip(f"link set {peer} up", where="peer")

    def watch(self, **options: Any) -> None:
        """Open the monitor now; what was done so far is its snapshot."""
        monitor = routenotify.RouteMonitor(snapshot=True, **options)
        self.consumer = Consumer(Plan(mode="at-end"), monitor)
        self.settle()

    def close(self) -> None:
        """Check the accounts and close the monitor."""
        if self.consumer is not None:
            self.consumer.finish()
            assert self.consumer.errors == []

    def _wait_for_links(self) -> None:
        end = time.monotonic() + DEADLINE
        while not table.links_settled():
            assert time.monotonic() < end, "a carrier never settles"
            time.sleep(LOOK)

    def differences(self) -> tuple[list[str], list[str]]:
        """Rows that only the kernel has, and rows that only we have."""
        assert self.consumer is not None
        missing, extra = table.compare(
            table.read_table(), self.consumer.table(), state=True
        )
        return (
            [row.line() for row in missing.elements()],
            [row.line() for row in extra.elements()],
        )

    def settle(self, least: int = 0) -> list[Any]:
        """Wait until replay equals the dump; the changes that led there.

        Args:
            least: Changes to wait for at least: what came and went again leaves
                the dump as it was, and equal before a word of it is told.

        Raises:
            AssertionError: it does not within the deadline.
        """
        assert self.consumer is not None
        self._wait_for_links()
        seen: list[Any] = []
        self.consumer.listener = seen.append
        end = time.monotonic() + DEADLINE
        self.consumer.catch_up()
        while (found := self.differences()) != ([], []) or len(seen) < least:
            assert time.monotonic() < end, (
                f"only in the kernel: {found[0]}\nonly delivered: {found[1]}\n"
                f"of {least} changes {len(seen)}:\n"
                + "\n".join(map(rows.line_of, seen))
            )
            self.consumer.catch_up(LOOK)
        assert self.consumer.errors == []
        return seen

    def after(self, *commands: str, where: str = "main") -> "Changes":
        """Run ip commands and return what was delivered for them."""
        self.space.ip(*commands, where=where)
        return Changes(self.settle())

    def after_sysctl(self, name: str, value: str) -> "Changes":
        """Set a sysctl and return what was delivered for it."""
        assert self.space.sysctl(name, value)
        return Changes(self.settle())


class Changes:
    """Delivered changes, to be asked about one destination."""

    def __init__(self, changes: Iterable[Any]) -> None:
        self.all = list(changes)

    def of(self, *destinations: str) -> Counter[tuple[str, str, str, int]]:
        """(type, cause, next hop, interface index) of each, in no order."""
        return Counter(
            (c.type.name, c.cause, row.next_hop, row.interface_index)
            for c, row in ((c, rows.row_of(c)) for c in self.all)
            if row.destination in destinations
        )

    def row(self, destination: str) -> Row:
        """The row of the last change of a destination."""
        found = [c for c in self.all if str(c.destination) == destination]
        return rows.row_of(found[-1])

    def lines(self) -> list[str]:
        """For people."""
        return [rows.line_of(change) for change in self.all]
