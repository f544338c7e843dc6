"""Bursts: a few thousand route changes in milliseconds, from a small text.

A burst is written "ACTION key=value ...": actions add, del, replace, append
and flap (each prefix added and deleted in turn); keys family, count, table,
metric, proto, dev (ifindex), type, seed, mtu, repeat.
"""

import random
from collections.abc import Iterator

from replaylab import rtnl_send


def _destination(family: int, number: int) -> tuple[bytes, int]:
    if family == 4:
        return (0x1E000000 + (number << 8)).to_bytes(4, "big"), 24
    return (0xFDB0 << 112 | number << 80).to_bytes(16, "big"), 48


def messages(text: str) -> Iterator[bytes]:
    """The requests of a burst."""
    action, *words = text.split()
    value = {key: int(number) for key, number in (w.split("=") for w in words)}
    family, count = value.get("family", 4), value["count"]
    chance = random.Random(value.get("seed", 0))
    order = list(range(count))
    if action != "flap":
        chance.shuffle(order)
    for number in order:
        destination, length = _destination(family, number)
        for verb in ("add", "del") if action == "flap" else (action,):
            yield rtnl_send.message(
                verb,
                destination,
                length,
                family=family,
                table=value.get("table", 254),
                metric=value.get("metric", 0),
                interface_index=value.get("dev", 0),
                protocol=value.get("proto", 3),
                route_type=value.get("type", 1),
                mtu=value.get("mtu", 0),
            )


def run(text: str) -> int:
    """Send a burst; how many requests the kernel refused."""
    made = list(messages(text))
    with rtnl_send.Sender() as sender:
        return sum(sender.send(made) for _ in range(_repeat(text)))


def _repeat(text: str) -> int:
    words = [word for word in text.split() if word.startswith("repeat=")]
    return int(words[0].removeprefix("repeat=")) if words else 1
