"""The harness notices what it is there to notice: planted faults, each kind."""

from collections.abc import Iterator
from typing import Any

import pytest
from replaylab import generate, history, script, space
from replaylab.lab import Lab

import routenotify

pytestmark = pytest.mark.kernel

SCRIPT = """
monitor family=0 capacity=64 rcvbuf=1048576 snapshot=True mode=at-once via=drain
ip link add v0 index 10 type veth peer name p0 netns {peer}
peer link set p0 up
ip link set v0 up
ip addr add 10.0.0.1/24 dev v0
open 0
ip route add 20.0.0.0/24 via 10.0.0.10 dev v0
ip route add 20.0.1.0/24 via 10.0.0.10 dev v0
pause
ip route replace 20.0.0.0/24 via 10.0.0.10 dev v0 mtu 1400
ip route del 20.0.1.0/24
ip route replace 20.0.0.0/24 via 10.0.0.11 dev v0
pause
"""


class Faulty:
    """A monitor whose drain() spoils changes of the two routes."""

    def __init__(self, fault: str, monitor: Any) -> None:
        self._monitor = monitor
        self._fault = fault

    def __getattr__(self, name: str) -> Any:
        return getattr(self._monitor, name)

    def _spoil(self, change: Any) -> Iterator[Any]:
        mine = str(change.destination).startswith("20.")
        if mine and self._fault == change.type.name:
            return
        yield change
        if mine and self._fault == "twice":
            yield change

    def drain(self, *args: Any) -> list[Any]:
        """As the real one, less or more what the fault says."""
        return [c for change in self._monitor.drain(*args) for c in self._spoil(change)]


@pytest.mark.parametrize("fault", ["none", "ADD", "DELETE", "PARAMETER", "twice"])
def test_planted_fault_is_found(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lose one type of change, or deliver one twice: a difference is reported."""
    if fault != "none":
        monkeypatch.setattr(history, "DEADLINE", 0.5)

    def faulty(*args: Any, **options: Any) -> Faulty:
        return Faulty(fault, routenotify.RouteMonitor(*args, **options))

    result = history.run(script.parse(SCRIPT, fault), factory=faulty)

    assert bool(result.problems) == (fault != "none"), result.problems


def test_loss_after_a_merge_is_found() -> None:
    """Though the table is right again: a merge excuses what it merged, no more.

    One merge had excused every gap, double ADD and DELETE of nothing after it.
    """
    add = "route add 20.0.0.0/24 via 10.0.0.10 dev v0"
    with space.Space() as where:
        lab = Lab(where)
        lab.watch(capacity=2)
        assert lab.consumer is not None
        lab.after(add, *[f"{add} metric {n}" for n in range(1, 9)])
        lab.after(*["route del 20.0.0.0/24 metric 8", f"{add} metric 8"] * 9)
        assert lab.consumer.monitor.stats.conflated > 0
        lab.consumer.monitor = Faulty("DELETE", lab.consumer.monitor)
        missed = ["route del 20.0.0.0/24 metric 5", f"{add} metric 5"]
        seen: list[Any] = []
        lab.consumer.listener = seen.append
        for command in missed:
            lab.space.ip(command)
            lab.consumer.catch_up(1)
        lab.consumer.finish()

    assert ["ADD"] == [change.type.name for change in seen]
    gap, double, *_ = lab.consumer.errors
    assert "missing" in gap
    assert "of a row that is there" in double


def test_history_is_the_same_again_from_its_seed_and_from_its_text() -> None:
    """Seed and number make it; its text is all there is to it."""
    one, two = generate.generate(7, 3), generate.generate(7, 3)
    parsed = script.parse(one.script(), one.name)

    assert one.script() == two.script()
    assert parsed.script() == one.script()


def test_most_generated_commands_work() -> None:
    """Histories are about what happens, not about errors: over 60 % succeed."""
    from replaylab.player import Player

    tried = failed = 0
    for number in range(10):
        with space.Space() as where:
            player = Player(where, print)
            for step in generate.generate(1, number).steps:
                player.play(step)
            player.flush()
            player.calm()
        tried += player.tried.total()
        failed += player.failed.total()

    assert failed < 0.4 * tried
