"""What `plot` tells of a stream: counted by hand beside it."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys

import pytest
import rows

import routenotify
from routenotify._cli._story import KINDS, Story, bin_width

SEED = int(os.environ.get("ROUTENOTIFY_TEST_SEED") or random.randrange(1 << 32))
SECOND = 1_000_000_000


def story_of(*changes):
    """A story of (second, type, destination, fields)."""
    story = Story()
    for second, kind, destination, *fields in changes:
        time_ns = 1_700_000_000 * SECOND + round(second * SECOND)
        more = fields[0] if fields else {}
        story.add(rows.change(destination, type=kind, time_ns=time_ns, **more))
    return story


def flapping():
    """Two flaps of one destination, one of another, a third that just changes."""
    return story_of(
        (0, 1, "10.0.0.0/16", {"cause": 1}),
        (0, 1, "10.1.0.0/16", {"cause": 1}),
        (1, 2, "10.0.0.0/16"),
        (2, 1, "10.0.0.0/16"),
        (3, 2, "10.0.0.0/16"),
        (4, 1, "10.0.0.0/16"),
        (4, 2, "10.1.0.0/16"),
        (5, 1, "10.1.0.0/16", {"interface_index": 9}),
        *((6 + n / 10, 0, "10.2.0.0/16") for n in range(9)),
        (10, 1, "10.3.0.0/16"),
    )


def test_a_flap_is_a_coming_back():
    """However the destination comes back; changes alone are none."""
    ranking = flapping().ranking(3)

    assert [("10.0.0.0/16", 2, 4), ("10.1.0.0/16", 1, 2), ("10.2.0.0/16", 0, 9)] == [
        (flap.destination, flap.flaps, flap.changes) for flap in ranking
    ]


def test_the_bins_hold_every_change_once():
    """And the size of the table at the end of each."""
    story = flapping()
    bins = story.bins()

    assert story.counts == {kind: sum(bins.counts[kind]) for kind in bins.counts}
    assert 16 == story.counts.total()  # without the table at the start
    assert bins.seconds * len(bins.routes) >= story.seconds == 10
    at = [round(second / bins.seconds) for second in (0, 1, 2)]
    assert [2, 1, 2] == [bins.routes[number] for number in at]
    assert 4 == bins.routes[-1]


def counted_one_by_one(story, events):
    """The bins of (nanoseconds after the start, type, size of the table)."""
    width = round(bin_width(story.seconds) * SECOND)
    number = max(1, -(-(story.end_ns - story.start_ns) // width))
    counts = {kind: [0] * number for kind in KINDS}
    sizes = [None] * number
    for after, kind, size in events:
        at = min(max(0, after) // width, number - 1)
        counts[kind][at] += 1
        sizes[at] = size
    carried = 0
    for at, size in enumerate(sizes):
        carried = sizes[at] = carried if size is None else size
    return counts, sizes


def test_bins_that_grow_are_what_every_change_would_have_told():
    """Whatever the length: from milliseconds to years, and clocks set back.

    All changes were kept, 109 bytes each, to be counted at the end.
    """
    print(f"ROUTENOTIFY_TEST_SEED={SEED}")
    rng = random.Random(SEED)
    for _ in range(20):
        story = Story()
        step = 10 ** rng.uniform(4, 14)  # nanoseconds; in the mean
        start = now = 1_700_000_000 * SECOND
        events = []
        table = set()
        for _ in range(2000):
            route, kind = rng.randrange(50), rng.choice(KINDS)
            (table.discard if kind == 2 else table.add)(route)
            story.add(rows.change(f"10.{route}.0.0/16", type=kind, time_ns=now))
            events.append((now - start, kind, len(table)))
            now += round(rng.expovariate(1 / step))
            if rng.random() < 0.001:
                now -= round(rng.uniform(0, 100) * step)
            if rng.random() < 0.05:
                now = start + round((now - start) / 10**7) * 10**7  # on an edge
        bins = story.bins()

        assert counted_one_by_one(story, events) == (bins.counts, bins.routes)
        assert len(bins.routes) <= 120


def test_what_is_kept_does_not_grow_with_the_changes():
    """Nor without end with the time: bins, not changes."""
    story = Story()
    most = 0
    for n in range(30_000):
        time_ns = 1 + n * n * 1_000_000  # 11 days
        story.add(rows.change("10.0.0.0/16", type=0, time_ns=time_ns))
        most = max(most, len(story._narrow))

    assert 120 <= most <= 2400
    assert 30_000 == sum(story.bins().counts[0])


def test_changes_that_were_merged_are_told():
    """A slow plot left them out without a word."""
    story = story_of(
        (0, 1, "10.0.0.0/16", {"cause": 1, "merged": 5}),
        (1, 0, "10.0.0.0/16", {"merged": 3}),
        (2, 0, "10.0.0.0/16", {"merged": 1}),
        (3, 0, "10.0.0.0/16", {}),
    )

    assert (2, 3) == (story.to_json(1)["merged"], story.counts.total())


def test_the_json_is_stable_and_whole():
    """Every key, in JSON's own types."""
    told = json.loads(json.dumps(flapping().to_json(1)))

    assert [
        *("start_ns", "seconds", "changes", "merged", "routes", "flaps", "bins")
    ] == [*told]
    assert {"start": 2, "end": 4, "most": 4} == told["routes"]
    assert {"ADD": 4, "PARAMETER": 9, "DELETE": 3} == told["changes"]
    assert [
        {"destination": "10.0.0.0/16", "table": 254, "flaps": 2, "changes": 4}
    ] == told["flaps"]
    assert 1_700_000_000 * SECOND == told["start_ns"]
    assert 10.0 == told["seconds"]


def test_nothing_at_all_is_a_story_too():
    """Of no time, one empty bin."""
    told = Story().to_json(5)

    assert (0, 0.0, []) == (told["start_ns"], told["seconds"], told["flaps"])
    assert [0] == told["bins"]["routes"]


@pytest.mark.parametrize(
    ("seconds", "width"),
    [
        *((0, 0.001), (0.1, 0.001), (1, 0.01), (60, 0.5), (100, 1), (3600, 30)),
        *((6 * 3600, 180), (86400, 900), (30 * 86400, 21600), (400 * 86400, 345600)),
    ],
)
def test_bins_have_round_widths_and_are_few(seconds, width):
    """At most 120 of them, whatever the length."""
    found = bin_width(seconds)

    assert seconds / found <= 120
    assert width == pytest.approx(found, rel=0.7)


def test_the_commands_load_no_library_before_they_need_it():
    """`routenotify --help` must not wait for matplotlib."""
    code = (
        "import sys, routenotify._cli._args as args\n"
        "args.parse(['plot', 'live', '--json'])\n"
        "print({'matplotlib', 'rich', 'numpy'} & set(sys.modules) or 'none')\n"
    )
    package = routenotify.__path__[0].removesuffix("routenotify")
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env=os.environ | {"PYTHONPATH": package},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert ("none\n", "") == (done.stdout, done.stderr)
