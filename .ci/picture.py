#!/usr/bin/env python3
"""Write docs/images/*.svg: screens of real runs of the commands.

PYTHONPATH=. .ci/picture.py [NAME...]     top, watch, doctor, replay; else all

They run in tmux, in a private namespace, beside real changes of routes: storms of
BGP routes, two destinations that flap, links that come and go.  Needs rich,
tmux, iproute2, and to be root or allowed to make user namespaces.
"""

from __future__ import annotations

import io
import itertools
import os
import random
import re
import shlex
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import rncli  # noqa: E402 - the path comes first
import rnlab  # noqa: E402
import rnterm  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.text import Text  # noqa: E402

COLUMNS = 126
TOP = 116, 32  # columns and rows of its screen
STORM = 60.0  # seconds before the picture of top
LINKS = {"uplink0": "192.0.2.1/24", "uplink1": "198.51.100.1/24", "vrf-blue": ""}
FLAPPING = "203.0.113.0/24", "2001:db8:7::/48"


def main() -> None:
    """Make the pictures."""
    rnlab.isolate()
    for name in sys.argv[1:] or PICTURES:
        netns = rnlab.Namespace.make()
        for link, address in LINKS.items():
            netns.veth(link, *([address] if address else []))
        with tempfile.TemporaryDirectory() as folder:
            PICTURES[name](netns, Path(folder))


def opened(
    netns: rnlab.Namespace,
    folder: Path,
    *words: str,
    columns: int = COLUMNS,
    rows: int,
) -> rnterm.Terminal:
    """A command as a user types it, below a prompt."""
    typed = shlex.join(["routenotify", *words])
    program = f"printf '\\033[1m$ %s\\033[0m\\n' {shlex.quote(typed)}"
    # tmux scrolls the screen of what has ended: cat goes on.
    program += f"; trap : INT; {shlex.join(rncli.words(*words))}; exec cat"
    return rnterm.Terminal(
        netns, folder, ["sh", "-c", program], columns=columns, rows=rows
    )


# ---- top ----


def top(netns: rnlab.Namespace, folder: Path) -> None:
    """The live screen after a minute of storms."""
    with opened(netns, folder, "top", columns=TOP[0], rows=TOP[1]) as terminal:
        terminal.until(lambda screen: "q quit" in screen, "the live view")
        churn(netns, time.monotonic() + STORM)
        terminal.type("s")
        terminal.until(lambda screen: "by flaps" in screen, "the order")
        save("top", terminal, TOP[0])


def churn(netns: rnlab.Namespace, end: float) -> None:
    """Change routes, now more and now fewer, until the clock says end."""
    dice = random.Random(2026)
    for number in itertools.count():
        if time.monotonic() > end:
            return
        first = dice.randrange(200)
        size = dice.randrange(100, 4000 if number % 7 else 12000)
        gateway = dice.choice(["192.0.2.2", "198.51.100.2"])
        routes = [
            f"10.{first}.{i >> 6}.{(i & 63) * 4}/30 via {gateway} proto bgp"
            for i in range(size)
        ]
        ospf = [f"172.16.{i}.0/24 dev vrf-blue table 77 proto ospf" for i in range(40)]
        for batch in (routes, ospf[: dice.randrange(1, 40)]):
            netns.batch(f"route add {route}" for route in batch)
            flap(netns, dice)
            netns.batch(f"route del {route}" for route in batch)


def flap(netns: rnlab.Namespace, dice: random.Random) -> None:
    """Have the two destinations come and go some times."""
    for destination, times in zip(FLAPPING, (7, 4), strict=True):
        for _ in range(dice.randrange(1, times)):
            netns.ip(f"route add {destination} dev uplink1 proto bird")
            netns.ip(f"route del {destination} dev uplink1 proto bird")


# ---- the others ----


def watch(netns: rnlab.Namespace, folder: Path) -> None:
    """Each way in which a route comes and goes, the silent ones included."""
    netns.ip("route add default via 192.0.2.254 metric 100 proto dhcp")
    with opened(netns, folder, "watch", "--family", "inet", rows=20) as terminal:
        terminal.until(lambda screen: "Ctrl-C ends it" in screen, "the first line")
        for command in (
            "route add 203.0.113.0/24 via 192.0.2.2 proto bgp",
            "route replace 203.0.113.0/24 via 192.0.2.2 proto bgp mtu 1400",
            "route replace 203.0.113.0/24 via 198.51.100.2 proto bgp",
            "route add 10.20.0.0/16 nexthop via 192.0.2.2 nexthop via 198.51.100.2",
            "route add blackhole 10.66.0.0/16",
            "route add 10.77.0.0/16 via 192.0.2.3 table 77 proto ospf",
            "link set uplink0 down",
        ):
            netns.ip(command)
            time.sleep(0.4)  # as if somebody typed it
        terminal.type("C-c")
        terminal.until(lambda screen: "changes: " in screen, "the summary")
        save("watch", terminal)


def doctor(netns: rnlab.Namespace, folder: Path) -> None:
    """All well, and a setting to know of."""
    netns.run("sysctl", "-qw", "net.ipv4.conf.all.ignore_routes_with_linkdown=1")
    with opened(netns, folder, "doctor", rows=14) as terminal:
        terminal.until(lambda screen: "self-test" in screen, "the last check", 60)
        save("doctor", terminal)


def replay(netns: rnlab.Namespace, folder: Path) -> None:
    """The bar of a long job."""
    path = folder / "storm.rtmon"
    churned = rncli.Running(netns, "record", "--duration", "12", str(path))
    churn(netns, time.monotonic() + 10)
    churned.finish(60)
    words = ["replay", "--speed", "1", "--json", "storm.rtmon"]
    typed = f"routenotify {shlex.join(words)} >storm.jsonl"
    program = f"cd {shlex.quote(str(folder))}; printf '\\033[1m$ %s\\033[0m\\n' "
    program += f"{shlex.quote(typed)}; {shlex.join(rncli.words(*words))} >storm.jsonl"
    with rnterm.Terminal(
        netns, folder, ["sh", "-c", program], columns=COLUMNS, rows=4
    ) as terminal:
        terminal.until(lambda screen: re.search(r" [3-6]\d %", screen), "the bar")
        save("replay", terminal)


PICTURES: dict[str, Callable[[rnlab.Namespace, Path], None]] = {
    "top": top,
    "watch": watch,
    "doctor": doctor,
    "replay": replay,
}


def save(name: str, terminal: rnterm.Terminal, columns: int = COLUMNS) -> None:
    """Write the screen, which has escape sequences, as a picture."""
    console = Console(record=True, width=columns, file=io.StringIO())
    screen = terminal.screen(styled=True).rstrip("\n")
    release = os.uname().release  # whose suffix is nobody else's business
    screen = screen.replace(release, release.partition("-")[0])
    console.print(Text.from_ansi(screen))
    target = ROOT / "docs" / "images" / f"{name}.svg"
    target.parent.mkdir(exist_ok=True)
    picture = console.export_svg(title=f"routenotify {name}", unique_id=name)
    # Whoever looks at it shall not be sent elsewhere for a font.
    target.write_text(re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL))


if __name__ == "__main__":
    main()
