"""Runs one history: plays its steps, and compares everybody at quiet points."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import rnfilter

import routenotify
from replaylab import rows, table
from replaylab.consumer import Consumer, opener
from replaylab.player import Player
from replaylab.row import Row, Table
from replaylab.script import History, Plan, Step
from replaylab.space import Space

Factory = Callable[..., Any]

DEADLINE = 30.0  # seconds after which a difference is one
SETTLE = 30.0  # seconds the kernel may take to act on a carrier
LOOK = 0.02  # seconds between two looks at the table


@dataclass
class Result:
    """What came of a history."""

    history: History
    problems: list[str] = field(default_factory=list)
    done: int = 0  # steps played
    changes: int = 0
    overruns: int = 0
    conflated: int = 0
    seconds: float = 0.0
    tried: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)

    def report(self) -> str:
        """For people: what differs, and the commands that led there."""
        steps = self.history.with_steps(self.history.steps[: self.done])
        return "\n".join([f"{self.history.name}: DIFFERENCE", *self.problems]) + (
            f"\n--- commands so far\n{steps.script()}---"
        )


class _DifferenceError(Exception):
    """A difference was found: no use in going on."""


class _Run:
    def __init__(
        self, history: History, space: Space, factory: Factory, *, state: bool
    ) -> None:
        self.result = Result(history)
        self.player = Player(space, self.step)
        self.consumers: dict[int, Consumer] = {}
        self.state = state
        self.open = opener(factory)
        self.final = False

    def step(self, step: Step) -> None:
        if step.kind == "pause":
            self.compare(list(self.consumers.values()))
            return
        number = int(step.text)
        if step.kind == "open":
            self.consumers[number] = self.open(self.result.history.plans[number])
            return
        if number not in self.consumers:
            return
        consumer = self.consumers[number]
        if step.kind == "snapshot":
            consumer.park()
            consumer.start_over()
            consumer.resume()
        else:
            self.compare([consumer])
            self.close(self.consumers.pop(number))

    def play(self) -> None:
        try:
            for number, step in enumerate(self.result.history.steps):
                self.result.done = number + 1
                self.player.play(step)
            self.player.flush()
            self.player.calm()
            self.final = True
            self.compare(list(self.consumers.values()))
        except _DifferenceError:
            pass
        finally:
            self.player.calm()
            for consumer in self.consumers.values():
                self.close(consumer)

    def close(self, consumer: Consumer) -> None:
        consumer.finish()
        stats = consumer.monitor.stats
        self.result.changes += consumer.applied
        self.result.overruns += stats.overruns
        self.result.conflated += stats.conflated
        self.result.problems += consumer.errors

    def compare(self, consumers: list[Consumer]) -> None:
        """Quiet point: everybody's table becomes the dump, or it is over."""
        if not self.final:
            consumers = [c for c in consumers if c.plan.mode != "at-end"]
        if not consumers:
            return
        _wait_for_links()
        for consumer in consumers:
            consumer.park()
        differences = self.differences(consumers)
        for consumer in consumers:
            consumer.resume()
        if differences:
            self.result.problems += differences
        if differences or any(c.errors for c in consumers):
            raise _DifferenceError

    def differences(self, consumers: list[Consumer]) -> list[str]:
        end = time.monotonic() + DEADLINE
        behind = consumers
        while True:
            for consumer in behind:
                consumer.catch_up()
            dump = table.read_table()
            behind = [c for c in behind if self.unlike(c, dump)]
            if not behind or time.monotonic() > end:
                return [self.describe(c, dump) for c in behind]
            behind[0].catch_up(LOOK)

    def compared(self, consumer: Consumer, dump: Table) -> tuple[Table, Table]:
        return table.compare(
            _of_plan(dump, consumer.plan),
            consumer.table(),
            state=self.state,
            whole=dump,
        )

    def unlike(self, consumer: Consumer, dump: Table) -> bool:
        return any(self.compared(consumer, dump))

    def describe(self, consumer: Consumer, dump: Table) -> str:
        missing, extra = self.compared(consumer, dump)
        lines = [f"monitor {consumer.plan.text()}", f"  {consumer.monitor.stats}"]
        lines += [
            f"  only in the kernel: {_times(missing, r)}" for r in sorted(missing)
        ]
        lines += [f"  only delivered:     {_times(extra, r)}" for r in sorted(extra)]
        lines += [
            "  last changes:",
            *(f"    {rows.line_of(c)}" for c in consumer.trace),
        ]
        return "\n".join(lines)


def _times(found: Table, row: Row) -> str:
    return row.line() + (f" (x{found[row]})" if found[row] > 1 else "")


def _of_plan(dump: Table, plan: Plan) -> Table:
    if plan.family == 0 and plan.filter is None:
        return dump
    return Counter({row: n for row, n in dump.items() if _wanted(plan, row)})


def _wanted(plan: Plan, row: Row) -> bool:
    if plan.family not in (0, row.family):
        return False
    return plan.filter is None or rnfilter.wants(plan.filter, row)


def _wait_for_links() -> None:
    end = time.monotonic() + SETTLE
    while not table.links_settled() and time.monotonic() < end:
        time.sleep(LOOK)


def run(
    history: History,
    *,
    state: bool = True,
    factory: Factory = routenotify.RouteMonitor,
) -> Result:
    """Run a history in namespaces of its own.

    Args:
        history: what to do.
        state: compare run-time flags (dead, linkdown) too.
        factory: makes a monitor; tests of the harness give a faulty one.
    """
    begin = time.monotonic()
    with Space() as space:
        one = _Run(history, space, factory, state=state)
        one.play()
    one.result.seconds = time.monotonic() - begin
    one.result.tried = one.player.tried
    one.result.failed = one.player.failed
    return one.result
