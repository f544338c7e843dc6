"""A history as data: what is done to the kernel and who watches, as text too.

One line per step, so that a history can be printed, cut down, kept in a file
and run again exactly.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields

import rnfilter

KINDS = (
    "ip",  # an ip command; any family
    "ip4",  # ip -4
    "ip6",  # ip -6
    "peer",  # an ip command in the far namespace
    "sysctl",  # path below /proc/sys/net, value
    "burst",  # route changes at full speed: replaylab.burst
    "storm",  # the same, repeated by a second writer beside all that follows
    "open",  # monitor N opens
    "snapshot",  # monitor N starts over from snapshot()
    "close",  # monitor N is compared for the last time and closed
    "pause",  # quiet point: everybody is compared
    "memory",  # the library's Nth allocation from now on fails; 0: memory is back
    "peer-gone",  # the far namespace ends, and with it the far end of each link
    "sync",  # end the running ip process, start another
)
MODES = ("at-once", "slow", "bursts", "at-end")
RINGBUFS = ("auto", "yes", "no")
VIAS = ("get", "poll", "drain", "batch", "iterate")


@dataclass(frozen=True)
class Plan:
    """How one monitor is opened and how its consumer behaves."""

    family: int = 0
    capacity: int = 16384
    rcvbuf: int = 16 << 20
    ringbuf: str = "auto"  # of RINGBUFS; "yes" if the kernel lets us
    snapshot: bool = True
    mode: str = "at-once"
    via: str = "drain"
    filter: rnfilter.Tree | None = None

    def text(self) -> str:
        """As words name=value."""
        words = {f.name: getattr(self, f.name) for f in fields(self)}
        words["filter"] = rnfilter.text(self.filter)
        return " ".join(f"{name}={value}" for name, value in words.items())

    @classmethod
    def parse(cls, text: str) -> "Plan":
        """The reverse of text()."""
        words = dict(word.split("=", 1) for word in text.split())
        return cls(
            family=int(words["family"]),
            capacity=int(words["capacity"]),
            rcvbuf=int(words["rcvbuf"]),
            ringbuf=words.get("ringbuf", "auto"),
            snapshot=words["snapshot"] == "True",
            mode=words["mode"],
            via=words["via"],
            filter=rnfilter.parse(words.get("filter", "null")),
        )


@dataclass(frozen=True)
class Step:
    """One thing that is done."""

    kind: str
    text: str = ""
    label: str = ""  # which operation it is part of, for success rates

    def line(self) -> str:
        """As one line of a script."""
        return f"{self.kind} {self.text}".rstrip()


@dataclass
class History:
    """Monitors and steps."""

    name: str
    plans: list[Plan] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    def script(self) -> str:
        """The whole history as text."""
        lines = [f"# {self.name}"]
        lines += [f"monitor {plan.text()}" for plan in self.plans]
        lines += [step.line() for step in self.steps]
        return "\n".join(lines) + "\n"

    def with_steps(self, steps: Iterable[Step]) -> "History":
        """The same monitors, other steps."""
        return History(self.name, self.plans, list(steps))


def parse(text: str, name: str) -> History:
    """A history from its text.

    Raises:
        ValueError: for a line that is no step.
    """
    history = History(name)
    for line in text.splitlines():
        kind, _, rest = line.strip().partition(" ")
        if not kind or kind.startswith("#"):
            continue
        if kind == "monitor":
            history.plans.append(Plan.parse(rest))
        elif kind in KINDS:
            history.steps.append(Step(kind, rest, "script"))
        else:
            raise ValueError(f"{name}: not a step: {line!r}")
    return history
