"""One monitor and the consumer that replays what it delivers with a dict."""

import select
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Any

import rnfilter
import rnlab

from replaylab import rows
from replaylab.row import Row, Table
from replaylab.script import Plan

TURN = 0.01  # seconds a consumer waits before it looks whether to park
SLOWLY = 0.0005  # seconds a slow consumer spends on each change
BURST = 0.02  # seconds between two visits of a bursty consumer
MANY_ERRORS = 20
TRACE = 25  # last changes kept to be shown


class Consumer:
    """Reads a monitor in its own way and keeps the table it was told.

    A thread of its own reads while the history runs, unless the plan says "at
    the end".  While parked, the thread that parked it is the only reader.
    """

    def __init__(self, plan: Plan, monitor: Any) -> None:
        self.plan = plan
        self.monitor = monitor
        self.replica: dict[Any, Row] = {}
        self.errors: list[str] = []
        self.applied = 0
        self.trace: deque[Any] = deque(maxlen=TRACE)
        self.listener: Callable[[Any], None] | None = None
        self._sequence = 0
        self._floor = 0
        self._missing = 0  # sequence numbers that were not delivered
        self._order = "run"
        self._state = "run"
        self._turn = threading.Condition()
        self._thread: threading.Thread | None = None
        if not plan.snapshot:
            self.start_over()
        if plan.mode != "at-end":
            self._thread = threading.Thread(target=self._read_all, daemon=True)
            self._thread.start()

    # The table ---------------------------------------------------------

    def start_over(self) -> None:
        """Take the table from snapshot() instead of from the stream."""
        taken = self.monitor.snapshot()
        self.replica = {}
        for route in taken:
            if route.key in self.replica:
                self._error(f"snapshot() has {route.key!r} twice")
            self.replica[route.key] = rows.row_of(route)
            self._check_wanted(rows.row_of(route))
        self._floor = taken.sequence

    def table(self) -> Table:
        """What was told, as rows."""
        return Counter(self.replica.values())

    def _error(self, text: str) -> None:
        if len(self.errors) < MANY_ERRORS:
            self.errors.append(text)

    def _apply(self, changes: Iterable[Any]) -> None:
        for change in changes:
            self._check_sequence(change)
            self.trace.append(change)
            if self.listener is not None:
                self.listener(change)
            if change.sequence > self._floor:
                self._apply_one(change)
            self.applied += 1

    def _check_sequence(self, change: Any) -> None:
        before, self._sequence = self._sequence, change.sequence
        if change.sequence <= before:
            self._error(f"sequence {change.sequence} after {before}")
            return
        self._missing += change.sequence - before - 1
        if change.sequence > before + 1:
            merged = self.monitor.stats.conflated
            if self._missing > merged:
                self._error(
                    f"sequence {change.sequence} after {before}:"
                    f" {self._missing} missing, {merged} merged"
                )

    def _check_wanted(self, row: Row) -> None:
        tree = self.plan.filter
        if tree is not None and not rnfilter.wants(tree, row):
            self._error(f"nobody asked for {row.line()}")

    def _may_surprise(self, change: Any) -> bool:
        # A change that stands for some that a snapshot() has is seen from where
        # those began; one of a row whose ADD was lost when memory ran out comes
        # before the table is told again.
        if change.merged > 1 and self._floor > 0:
            return True
        return bool(self.monitor.stats.spill_lost)

    def _check_presence(self, change: Any) -> None:
        expected = change.type.name != "ADD"
        present = change.key in self.replica
        if present != expected and not self._may_surprise(change):
            state = "there" if present else "not there"
            self._error(f"of a row that is {state}: {rows.line_of(change)}")

    def _apply_one(self, change: Any) -> None:
        kind, key = change.type.name, change.key
        if kind == "RESYNC_BEGIN" and change.cause == "memory":
            self.replica.clear()  # "forget all, the table follows"
            return
        if kind == "RESYNC_END" and change.cause == "memory":
            return
        self._check_wanted(rows.row_of(change))
        if kind in ("ADD", "PARAMETER"):
            self._check_presence(change)
            self.replica[key] = rows.row_of(change)
        elif kind == "DELETE":
            self._check_presence(change)
            self.replica.pop(key, None)
        else:
            self._error(f"nobody asked for {kind}")

    # Reading -------------------------------------------------------------

    def _wait(self, seconds: float) -> bool:
        # poll() and not select(): descriptors may be above 1023.
        poller = select.poll()
        poller.register(self.monitor.fileno(), select.POLLIN)
        return bool(poller.poll(int(seconds * 1000)))

    def _take(self, limit: int, seconds: float) -> list[Any]:
        # At most limit changes, in the manner of the plan.
        via, monitor = self.plan.via, self.monitor
        if via == "get":
            try:
                return [monitor.get(timeout=seconds)]
            except TimeoutError:
                return []
        if not self._wait(seconds):
            return []
        if via == "poll":
            return [c for c in (monitor.poll() for _ in range(limit)) if c is not None]
        if via == "iterate":
            # Readable means that this does not block.
            return [next(iter(monitor))]
        if via == "batch" and hasattr(monitor, "batch"):
            return list(monitor.batch(limit))
        return list(monitor.drain(limit))

    def _read_all(self) -> None:
        try:
            while self._may_run():
                self._read_some()
        except Exception as error:  # noqa: BLE001 - it is reported
            self._error(f"consumer: {type(error).__name__}: {error}")
            while self._may_run():
                time.sleep(TURN)

    def _read_some(self) -> None:
        mode = self.plan.mode
        if mode == "bursts":
            time.sleep(BURST)  # the mode, not a way to wait for something
            self._apply(self._take(1 << 16, 0))
            return
        changes = self._take(1 if mode == "slow" else 1000, TURN)
        self._apply(changes)
        if mode == "slow" and changes:
            time.sleep(SLOWLY)

    def _may_run(self) -> bool:
        with self._turn:
            while self._order == "park":
                self._state = "park"
                self._turn.notify_all()
                self._turn.wait()
            return self._order == "run"

    def park(self) -> None:
        """Make the calling thread the only reader."""
        if self._thread is None:
            return
        with self._turn:
            self._order = "park"
            while self._state != "park":
                if not self._turn.wait(10):
                    self._error("the consumer's thread is stuck")
                    return

    def resume(self) -> None:
        """Let the own thread read again."""
        with self._turn:
            self._order = self._state = "run"
            self._turn.notify_all()

    def catch_up(self, seconds: float = 0) -> None:
        """While parked: wait for something, then read what is queued."""
        if seconds:
            self._wait(seconds)
        while changes := self.monitor.drain():
            self._apply(changes)

    def finish(self) -> None:
        """End the thread, check the accounts, close."""
        with self._turn:
            self._order = "stop"
            self._turn.notify_all()
        if self._thread is not None:
            self._thread.join(10)
        self.monitor.close()
        self.catch_up()
        self._check_accounts()

    def _check_accounts(self) -> None:
        stats = self.monitor.stats
        parts = stats.delivered + stats.filtered + stats.queued + stats.conflated
        if stats.received != parts:
            self._error(f"received is not the sum of its parts: {stats}")
        if stats.delivered != self.applied:
            self._error(f"{self.applied} taken, stats say {stats}")


def _wish(ringbuf: str) -> bool | None:
    # The argument of that name.
    if ringbuf == "yes":
        return True if rnlab.allows_ringbuf() else None
    return None if ringbuf == "auto" else False


def opener(factory: Callable[..., Any]) -> Callable[[Plan], Consumer]:
    """How a plan becomes a consumer: factory is RouteMonitor."""

    def open_one(plan: Plan) -> Consumer:
        monitor = factory(
            rows.ADDRESS_FAMILY[plan.family],
            snapshot=plan.snapshot,
            capacity=plan.capacity,
            rcvbuf=plan.rcvbuf,
            ringbuf=_wish(plan.ringbuf),
            filter=None if plan.filter is None else rnfilter.build(plan.filter),
        )
        return Consumer(plan, monitor)

    return open_one
