"""Replay equivalence at size: sleepers, half a million routes, a full table.

Run with ROUTENOTIFY_SLOW=1.  Sizes can be made smaller by
ROUTENOTIFY_SLOW_CHANGES, _WAITING, _ROUTES and _PREFIXES (all of them begin so).
"""

import contextlib
import ipaddress
import os
import resource
import shutil
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import rnlab
from replaylab import rtnl_send, table
from replaylab.lab import INDEX, Lab

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.slow,
    pytest.mark.timeout(0),
    pytest.mark.skipif(
        os.environ.get("ROUTENOTIFY_SLOW") != "1", reason="set ROUTENOTIFY_SLOW=1"
    ),
]

GATEWAY = ipaddress.ip_address("10.0.0.10").packed
BIRD = 12  # rtm_protocol of BIRD
PENDING_BYTES = 512  # of a row that waits, in the map and in the mirror
SLACK_BYTES = 4 << 20  # what else the process takes meanwhile
FULL_TABLE_DEADLINE = 120.0  # seconds


def _size(name: str, default: int) -> int:
    return int(os.environ.get(f"ROUTENOTIFY_SLOW_{name}", default))


def _prefixes(count: int) -> Iterator[bytes]:
    for number in range(count):
        yield (0x28000000 + (number << 8)).to_bytes(4, "big")


def _messages(action: str, count: int) -> list[bytes]:
    index = INDEX["v0"] if action != "del" else 0
    gateway = GATEWAY if action != "del" else None
    return [
        rtnl_send.message(
            action, destination, 24, gateway=gateway, interface_index=index
        )
        for destination in _prefixes(count)
    ]


def _resident() -> int:
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * resource.getpagesize()


def test_a_sleeping_consumer_costs_memory_by_routes_not_by_changes(lab: Lab) -> None:
    """After N changes of 100 000 prefixes at most that many rows wait.

    And memory grows by no more than they take: not by the changes.
    """
    prefixes = _size("WAITING", 100_000)
    rounds = _size("CHANGES", 20 * prefixes) // (2 * prefixes)
    adds, deletes = _messages("add", prefixes), _messages("del", prefixes)
    lab.watch(capacity=1024)
    assert lab.consumer is not None
    monitor = lab.consumer.monitor
    with rtnl_send.Sender() as sender:
        before = _resident()
        assert sender.send(adds) == 0
        for _ in range(rounds):
            assert sender.send(deletes) == 0
            assert sender.send(adds) == 0
    monitor.resync()  # all of it was read
    grown = _resident() - before
    assert monitor.stats.queued >= prefixes

    lab.settle()

    print(f"{rounds * 2 * prefixes} changes, {monitor.stats}, {grown >> 20} MiB more")
    assert grown <= prefixes * PENDING_BYTES + SLACK_BYTES
    assert monitor.stats.high_water <= prefixes + 2 * 1024
    assert monitor.stats.conflated > 0


def test_link_down_under_very_many_routes_delivers_each_deletion(lab: Lab) -> None:
    """None of them is announced by the kernel, and none is lost by us."""
    count = _size("ROUTES", 500_000)
    with rtnl_send.Sender() as sender:
        assert sender.send(_messages("add", count)) == 0
    lab.watch(capacity=1 << 20)
    assert lab.consumer is not None

    changes = lab.after("link set v0 down")

    deleted = [c for c in changes.all if c.type.name == "DELETE" and c.metric == 0]
    mine = [c for c in deleted if c.destination.prefixlen == 24 and c.table == 254]
    assert len(mine) == count + 1  # and the connected route
    assert {c.cause for c in mine} == {"link-down"}
    assert lab.consumer.monitor.stats.kernel_drops == 0


@contextlib.contextmanager
def _churning(messages: list[bytes]) -> Iterator[Counter[str]]:
    """Send them again and again during the block; the counter has `sent`."""
    ended = threading.Event()
    count: Counter[str] = Counter()

    def churn() -> None:
        with rtnl_send.Sender() as sender:
            while not ended.is_set():
                count["refused"] += sender.send(messages)
                count["sent"] += len(messages)

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        yield count
    finally:
        ended.set()
        thread.join()


def test_changes_at_full_speed_during_a_great_comparison_are_not_lost(
    lab: Lab,
) -> None:
    """While half a million routes are compared, news go on being read.

    They begin before it and end after it.
    """
    count = _size("ROUTES", 500_000)
    with rtnl_send.Sender() as sender:
        assert sender.send(_messages("add", count)) == 0
    lab.watch(capacity=1 << 20, rcvbuf=512 << 20)
    assert lab.consumer is not None
    monitor = lab.consumer.monitor
    assert monitor.stats.rcvbuf >= 512 << 20
    churn = [
        rtnl_send.message(
            action, f"90.0.{n}.0", 24, interface_index=INDEX["v1"], table=77
        )
        for n in range(256)
        for action in ("add", "del")
    ]

    with _churning(churn) as made:
        rnlab.wait_for(lambda: made["sent"], what="churn")
        begun = made["sent"], monitor.stats.received
        lab.space.ip("link set v0 down")
        rnlab.wait_for(lambda: monitor.stats.synthesised > count, 120, "the deletions")
        sent = made["sent"] - begun[0]
        heard = monitor.stats.received - begun[1] - count
    lab.settle()

    print(f"{sent} changes sent meanwhile, {heard} heard, {monitor.stats}")
    assert sent > 0
    assert heard > 0
    assert made["refused"] == 0
    assert monitor.stats.kernel_drops == 0


# The full table over BGP ---------------------------------------------------

ROUTER = """
router id {id};
log "{log}" all;
protocol device {{ }}
protocol kernel k4 {{ ipv4 {{ import none; export {export}; }}; scan time 3600; }}
protocol kernel k6 {{ ipv6 {{ import none; export {export}; }}; scan time 3600; }}
{static}
protocol bgp b4 {{
    local {mine4} as {local_as}; neighbor {other4} as {other_as};
    connect delay time 1;
    ipv4 {{ {channel} next hop self; }};
}}
protocol bgp b6 {{
    local {mine6} as {local_as}; neighbor {other6} as {other_as};
    connect delay time 1;
    ipv6 {{ {channel} next hop self; }};
}}
"""


def _full_table(limit: int) -> dict[int, list[str]]:
    """Announced prefixes by family, of the location database."""
    done = subprocess.run(
        ["location", "dump"], capture_output=True, text=True, check=True
    )
    found: dict[int, list[str]] = {4: [], 6: []}
    prefix = ""
    for line in done.stdout.splitlines():
        if line.startswith("net:"):
            prefix = line.split()[1]
        elif line.startswith("aut-num:") and prefix:
            found[6 if ":" in prefix else 4].append(prefix)
        elif not line:
            prefix = ""
    return {family: prefixes[:limit] for family, prefixes in found.items()}


@contextlib.contextmanager
def _bird(
    lab: Lab, where: str, folder: Path, text: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A BIRD in a namespace, ready when it has its control socket."""
    config, control = folder / f"{where}.conf", folder / f"{where}.ctl"
    config.write_text(text, encoding="ascii")
    control.unlink(missing_ok=True)  # of one that was killed
    with lab.space.at(where):
        process = subprocess.Popen(
            ["bird", "-f", "-c", str(config), "-s", str(control)],
            stdout=subprocess.DEVNULL,
        )
    try:
        end = time.monotonic() + FULL_TABLE_DEADLINE
        while not control.exists():
            assert process.poll() is None, f"bird does not like {config}"
            assert time.monotonic() < end, "bird has no control socket"
            time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        process.wait(60)


def _routers(lab: Lab, folder: Path, prefixes: dict[int, list[str]]) -> tuple[str, str]:
    """Texts of the receiving and of the sending router."""
    lab.space.ip(
        "addr add 10.0.0.2/24 dev p0",
        "addr add 2001:db8:0::2/64 dev p0 nodad",
        where="peer",
    )
    statics = ""
    for family, list_of in prefixes.items():
        file = folder / f"routes{family}.conf"
        file.write_text(
            "".join(f"route {prefix} blackhole;\n" for prefix in list_of),
            encoding="ascii",
        )
        statics += f'protocol static s{family} {{ ipv{family};\ninclude "{file}";\n}}\n'
    near = {"mine4": "10.0.0.1", "mine6": "2001:db8::1", "local_as": 65001}
    far = {"mine4": "10.0.0.2", "mine6": "2001:db8::2", "local_as": 65002}
    receiver = ROUTER.format(
        id="10.0.0.1", log=folder / "near.log", export="all", static="",
        other4=far["mine4"], other6=far["mine6"], other_as=far["local_as"],
        channel="import all; export none;", **near,
    )  # fmt: skip
    sender = ROUTER.format(
        id="10.0.0.2", log=folder / "far.log", export="none", static=statics,
        other4=near["mine4"], other6=near["mine6"], other_as=near["local_as"],
        channel="import none; export all;", **far,
    )  # fmt: skip
    return receiver, sender


def _wait_for(lab: Lab, condition: Callable[[int], bool]) -> int:
    """Until so many of BIRD's rows were delivered."""
    assert lab.consumer is not None
    end = time.monotonic() + FULL_TABLE_DEADLINE
    while True:
        lab.consumer.catch_up(1.0)
        count = sum(r.protocol == BIRD for r in lab.consumer.replica.values())
        if condition(count):
            return count
        assert time.monotonic() < end, f"{count} routes of BIRD"


def _assert_equal(lab: Lab) -> None:
    end = time.monotonic() + FULL_TABLE_DEADLINE
    while True:
        assert lab.consumer is not None
        lab.consumer.catch_up(0.5)
        missing, extra = lab.differences()
        if not missing and not extra:
            return
        assert time.monotonic() < end, (missing[:20], extra[:20])


def test_full_table_over_bgp_killed_and_restored_three_times(
    lab: Lab, tmp_path: Path
) -> None:
    """The sending router dies and comes again, under a monitor: equal each time."""
    for tool in ("bird", "location"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is missing (bird2, location, libloc-database)")
    prefixes = _full_table(_size("PREFIXES", 10_000_000))
    receiver, sender = _routers(lab, tmp_path, prefixes)
    lab.watch()
    with _bird(lab, "main", tmp_path, receiver):
        with _bird(lab, "peer", tmp_path, sender) as process:
            full = _settled_count(lab)
            _assert_equal(lab)
            process.kill()
        for _ in range(3):
            _wait_for(lab, lambda count: count == 0)
            _assert_equal(lab)
            with _bird(lab, "peer", tmp_path, sender) as process:
                _wait_for(lab, lambda count: count == full)
                _assert_equal(lab)
                process.kill()
    assert lab.consumer is not None
    print(f"{full} routes, {lab.consumer.monitor.stats}")


def _settled_count(lab: Lab) -> int:
    """How many of BIRD's rows there are once no more come for two seconds."""
    assert lab.consumer is not None
    count, calm = _wait_for(lab, lambda found: found > 0), 0
    while calm < 2:
        applied = lab.consumer.applied
        lab.consumer.catch_up(1.0)
        calm = calm + 1 if lab.consumer.applied == applied else 0
    count = sum(row.protocol == BIRD for row in lab.consumer.replica.values())
    assert count == sum(row.protocol == BIRD for row in table.read_table())
    return count
