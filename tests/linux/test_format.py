"""The text of a change: what is said, and what is left out."""

from __future__ import annotations

import datetime as dt

import pytest

from routenotify import replay
from routenotify._cli._format import Columns

PLAIN = {
    "type": "ADD",
    "destination": "192.0.2.0/24",
    "next_hop": "10.0.0.2",
    "interface": "v0",
    "interface_index": 2,
    "family": "inet",
    "table": 254,
    "protocol": 3,
    "metric": 0,
    "route_type": "unicast",
    "cause": "system",
    "sequence": 1,
    "merged": 1,
    "time_ns": 1_700_000_000_987_654_321,
}


class Change:
    """The one method that the formatter asks for."""

    def __init__(self, **changes):
        self._values = {**PLAIN, **changes}

    def to_dict(self):
        """Return the members."""
        return self._values


def _words(**changes):
    return " ".join(Columns().change(Change(**changes)).split()[1:])


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "ADD 192.0.2.0/24 via 10.0.0.2 v0 proto boot"),
        ({"next_hop": None}, "ADD 192.0.2.0/24 - v0 proto boot"),
        ({"interface": None}, "ADD 192.0.2.0/24 via 10.0.0.2 #2 proto boot"),
        ({"metric": 7}, "ADD 192.0.2.0/24 via 10.0.0.2 v0 metric 7 proto boot"),
        ({"protocol": 250}, "ADD 192.0.2.0/24 via 10.0.0.2 v0 proto 250"),
        ({"table": 255}, "ADD 192.0.2.0/24 via 10.0.0.2 v0 proto boot table local"),
        (
            {"type": "DELETE", "cause": "link-down"},
            "DELETE 192.0.2.0/24 via 10.0.0.2 v0 proto boot (link-down)",
        ),
        ({"merged": 3}, "ADD 192.0.2.0/24 via 10.0.0.2 v0 proto boot [3 merged]"),
        (
            {"table": None, "protocol": None, "metric": None, "route_type": None},
            "ADD 192.0.2.0/24 via 10.0.0.2 v0",
        ),
        ({"type": "INITIAL", "destination": None}, "INITIAL"),
    ],
)
def test_change_when_formatted_then_says_what_matters(changes, expected):
    """What the system did not say, and what is always so, takes no room."""
    assert _words(**changes) == expected


def test_change_has_the_time_to_the_millisecond():
    """Truncated, not rounded: a change is never shown later than it was."""
    clock = Columns().change(Change()).split()[0]

    assert clock.endswith(":20.987")


def test_change_when_the_date_is_asked_for_then_it_is_before_the_time():
    """Local, as the time is."""
    plain = Columns().change(Change())
    seconds = PLAIN["time_ns"] // 10**9
    day = dt.datetime.fromtimestamp(seconds).astimezone().date()

    assert Columns(date=True).change(Change()) == f"{day} {plain}"


def test_change_when_its_time_is_unknown_then_the_column_is_blank(tmp_path):
    """A line of JSON without time_ns was shown at the beginning of 1970."""
    path = tmp_path / "timeless.jsonl"
    path.write_text('{"type": "ADD", "destination": "192.0.2.0/24"}\n')
    (change,) = replay(path)
    timed = Columns().change(Change())

    assert Columns().change(change).startswith(" " * timed.index("ADD") + "ADD ")


def test_columns_when_a_value_is_wide_then_later_lines_follow():
    """The column stays wide, so that the eye finds it."""
    columns = Columns()
    wide = columns.change(Change(destination="2001:db8:aaaa:bbbb:cccc:dddd::/96"))
    after = columns.change(Change())

    assert wide.index(" via ") == after.index(" via ")


def test_colour_when_asked_for_then_only_the_type_has_it():
    """Without its escape sequences the line is the plain one."""
    coloured = Columns(colour=True).change(Change())

    assert "\033[32mADD      \033[0m" in coloured
    assert coloured.replace("\033[32m", "").replace("\033[0m", "") == (
        Columns().change(Change())
    )
