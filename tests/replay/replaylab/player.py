"""Does a history's steps to the kernel, a few ip processes per history."""

import re
import threading
import time
from collections import Counter
from collections.abc import Callable

from replaylab import burst, memory, table
from replaylab.script import Step
from replaylab.space import Space

GONE = 5.0  # seconds that a history waits for its links to go; then it goes on
LOOK = 0.01  # seconds between two looks
_VETH = re.compile(r"[vw]\d+")

_BATCHED = {
    "ip": ("", "main"),
    "ip4": ("-4", "main"),
    "ip6": ("-6", "main"),
    "peer": ("", "peer"),
}


class Player:
    """Collects ip commands and runs them as late as it may."""

    def __init__(self, space: Space, on_step: Callable[[Step], None]) -> None:
        self._space = space
        self._on_step = on_step
        self._waiting: list[Step] = []
        self._storms: list[threading.Thread] = []
        self.tried: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.said: dict[str, Counter[str]] = {}

    def play(self, step: Step) -> None:
        """Do one step; ip commands may wait for the next of their kind."""
        if self._waiting and self._waiting[0].kind != step.kind:
            self.flush()
        if step.kind in _BATCHED:
            self._waiting.append(step)
        elif step.kind == "sysctl":
            name, value = step.text.split()
            self._count(step, "" if self._space.sysctl(name, value) else "refused")
        elif step.kind == "burst":
            burst.run(step.text)
        elif step.kind == "storm":
            self._storms.append(self._space.thread(lambda: burst.run(step.text)))
        elif step.kind == "memory":
            memory.fail(int(step.text))
        elif step.kind == "peer-gone":
            self.calm()
            self._end_peer()
        elif step.kind != "sync":
            if step.kind in ("pause", "close"):
                self.calm()
            self._on_step(step)

    def _end_peer(self) -> None:
        # The kernel takes the links away some time after the namespace's end; it
        # ends one namespace of the whole computer after the other.
        self._space.end_peer()
        end = time.monotonic() + GONE
        while time.monotonic() < end and any(
            _VETH.fullmatch(link["ifname"]) for link in table.links()
        ):
            time.sleep(LOOK)

    def calm(self) -> None:
        """Wait for storms to end."""
        while self._storms:
            self._storms.pop().join()

    def flush(self) -> None:
        """Run what waits."""
        steps, self._waiting = self._waiting, []
        if not steps:
            return
        family, where = _BATCHED[steps[0].kind]
        lines = [step.text for step in steps]
        failed = self._space.batch(lines, family=family, where=where)
        for number, step in enumerate(steps):
            self._count(step, failed.get(number, ""))

    def _count(self, step: Step, said: str) -> None:
        self.tried[step.label] += 1
        if said:
            self.failed[step.label] += 1
            self.said.setdefault(step.label, Counter())[f"{said} <- {step.line()}"] += 1
