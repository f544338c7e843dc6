"""Tally: what the views count a flood with."""

from __future__ import annotations

import pytest
import rows

from routenotify._routenotify import Tally

ADD, DELETE, PARAMETER = 1, 2, 0


def test_add_counts_by_destination_and_by_kind():
    """Each change once in either; a marker nowhere."""
    tally = Tally()
    tally.add(
        rows.record("198.51.100.0/24", type=ADD)
        + rows.record("198.51.100.0/24", type=DELETE, interface_index=4)
        + rows.record(ip_version=0, type=17)
        + rows.record("2001:db8::/32", type=PARAMETER, protocol=186, time_ns=5)
    )

    assert [
        ("198.51.100.0/24", 254, 1, 1, 0, 1, rows.DEFAULTS["time_ns"]),
        ("2001:db8::/32", 254, 0, 0, 1, 0, 5),
    ] == tally.top(10)
    assert [
        (4, 254, 3, 3, 1, 0, 0),
        (4, 254, 3, 4, 0, 1, 0),
        (6, 254, 186, 3, 0, 0, 1),
    ] == sorted(tally.kinds())
    assert 2 == tally.destinations


def test_top_when_ordered_by_flaps_then_what_only_came_is_left_out():
    """A flap is a coming and a going."""
    tally = Tally()
    once, flaps = "192.0.2.1/32", "192.0.2.2/32"
    tally.add(b"".join(rows.record(once, type=ADD) for _ in range(9)))
    tally.add(rows.record(flaps, type=DELETE) + rows.record(flaps, type=ADD))

    assert [once, flaps] == [row[0] for row in tally.top(10)]
    assert [flaps] == [row[0] for row in tally.top(10, order="flaps")]
    assert [once] == [row[0] for row in tally.top(1, "adds")]


def test_add_when_the_time_is_given_then_delays_are_counted():
    """From reception to the call, by upper bounds."""
    tally = Tally()
    received = rows.DEFAULTS["time_ns"]
    tally.add(rows.record(merged=3), received + 200_000)
    tally.add(rows.record(), received + 60_000_000_000)
    counted = [delay for delay in tally.delays if delay[1]]

    assert [(250_000, 1), (None, 1)] == counted
    assert 60_000_200_000 == tally.delay_sum_ns
    assert 2 == tally.merged


def test_limit_when_reached_then_the_quiet_half_is_forgotten():
    """The busy one keeps its count."""
    tally = Tally(limit=10)
    for i in range(10):
        tally.add(rows.record(f"192.0.2.{i}/32") * (1 + 9 * (i == 4)))
    tally.add(rows.record("192.0.2.200/32"))

    assert 9 == tally.forgotten
    assert [("192.0.2.4/32", 10), ("192.0.2.200/32", 1)] == [
        (row[0], row[2]) for row in tally.top(99)
    ]
    tally.clear()
    assert (0, 0, []) == (tally.forgotten, tally.destinations, tally.kinds())


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: Tally(limit=1), r"Tally\(limit=1\)"),
        (lambda: Tally().add(b"x" * 129), "129 bytes"),
        (lambda: Tally().top(-1), "count=-1"),
        (lambda: Tally().top(10_001), "count=10001"),
        (lambda: Tally().top(1, "name"), "order='name'"),
    ],
)
def test_a_wrong_argument_is_named(call, text):
    """With its value, and the call."""
    with pytest.raises(ValueError, match=text):
        call()


def test_add_when_given_no_buffer_then_it_is_a_type_error():
    """A list of changes is not what it counts."""
    with pytest.raises(TypeError):
        Tally().add([rows.change()])
