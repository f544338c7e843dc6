"""IPv6 routes of protocol `ra`: the kernel's own stay single, a daemon's do not.

A message tells which it was only when it names two hops, see rn_entry.c.
"""

from collections import Counter

import pytest
from replaylab.lab import INDEX, Lab

pytestmark = pytest.mark.kernel

V0 = INDEX["v0"]
ROUTE = "fd10::/64"
ONE, TWO, THREE = (f"2001:db8::{n}" for n in (11, 12, 13))


def route(verb: str, hop: str, words: str = "proto ra") -> str:
    """A command for a route through v0."""
    return f"route {verb} {ROUTE} via {hop} dev v0 metric 100 {words}"


def change(kind: str, hop: str) -> Counter[tuple[str, str, str, int]]:
    """One change that a message told."""
    return Counter({(kind, "system", hop, V0): 1})


def test_appended_routes_of_a_daemon_are_siblings(lab: Lab) -> None:
    """The first one was taken for the kernel's, and told again, for ever."""
    lab.watch()

    assert lab.after(route("add", ONE)).of(ROUTE) == change("ADD", ONE)
    assert lab.after(route("append", TWO)).of(ROUTE) == change("ADD", TWO)
    assert lab.after(route("append", THREE)).of(ROUTE) == change("ADD", THREE)
    assert lab.after(route("del", ONE)).of(ROUTE) == change("DELETE", ONE)
    assert lab.after(route("del", THREE)).of(ROUTE) == change("DELETE", THREE)
    assert lab.after(route("del", TWO)).of(ROUTE) == change("DELETE", TWO)


def test_siblings_that_were_there_before_are_known(lab: Lab) -> None:
    """From a dump, which names all their hops at once."""
    lab.space.ip(route("add", ONE), route("append", TWO))
    lab.watch()

    assert lab.after(route("append", THREE)).of(ROUTE) == change("ADD", THREE)
    assert lab.after(route("del", TWO)).of(ROUTE) == change("DELETE", TWO)


@pytest.mark.parametrize("first", ["proto ra", "proto static"])
def test_siblings_may_be_of_two_protocols(lab: Lab, first: str) -> None:
    """Whichever comes first; the other one's is told with it."""
    second = {"proto ra": "proto static", "proto static": "proto ra"}[first]
    lab.watch()

    assert lab.after(route("add", ONE, first)).of(ROUTE) == change("ADD", ONE)
    assert lab.after(route("append", TWO, second)).of(ROUTE) == change("ADD", TWO)
    lab.after(route("del", ONE, first))
    assert lab.after(route("del", TWO, second)).of(ROUTE) == change("DELETE", TWO)


def test_a_sibling_of_another_type_is_one_too(lab: Lab) -> None:
    """Anycast through a gateway; once it was kept beside the set."""
    lab.watch()
    lab.after(route("add", ONE, "proto static"))

    anycast = f"route append anycast {ROUTE} via {TWO} dev v0 metric 100 table main"
    assert lab.after(anycast).of(ROUTE) == change("ADD", TWO)
    lab.after(route("del", ONE, "proto static"))


@pytest.mark.parametrize("words", ["proto ra", "proto static"])
def test_replacing_among_them_ends_at_the_table(lab: Lab, words: str) -> None:
    """Whichever the kernel took out; a comparison settles it."""
    lab.watch()
    lab.after(route("add", ONE))
    lab.after(route("replace", TWO, words))
    lab.after(route("append", THREE))
    lab.after(route("replace", ONE, words))
    lab.after(f"route append {ROUTE} dev v0 metric 100 proto ra")
    lab.after(route("append", TWO, words))
    lab.after(route("replace", THREE, words))
    lab.after(f"route del {ROUTE} metric 100")
