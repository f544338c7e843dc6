"""Cuts a history that shows a difference down to what it takes."""

import sys

from replaylab import history
from replaylab.script import History, Step

_NEEDED = ("open", "pause")


def minimise(made: History, *, tries: int, state: bool) -> History:
    """The shortest history found that still differs.

    Removes ever smaller runs of steps (delta debugging), then ends.

    Args:
        made: a history that differs at least now and then.
        tries: runs of each candidate before it counts as harmless.
        state: see history.run.
    """
    deadline, history.DEADLINE = history.DEADLINE, 2.0
    try:
        result = _differs(made, tries * 3, state)
        if result is None:
            return made
        steps = _cut(made, made.steps[: result.done], tries, state)
    finally:
        history.DEADLINE = deadline
    return made.with_steps(steps)


def _differs(made: History, tries: int, state: bool) -> history.Result | None:
    for _ in range(tries):
        result = history.run(made, state=state)
        if result.problems:
            return result
    return None


def _cut(made: History, steps: list[Step], tries: int, state: bool) -> list[Step]:
    size = max(1, len(steps) // 2)
    while True:
        at = 0
        while at < len(steps):
            part = [s for s in steps[at : at + size] if s.kind in _NEEDED]
            shorter = steps[:at] + part + steps[at + size :]
            if len(shorter) < len(steps) and _differs(
                made.with_steps(shorter), tries, state
            ):
                steps = shorter
                print(f"{len(steps)} steps", file=sys.stderr)
            else:
                at += size
        if size == 1:
            return steps
        size = max(1, size // 2)
