"""The words of a filter on the command line, as each command obeys them."""

from __future__ import annotations

import json

import pytest
import rncli
import rnlab

# Words, and which of the routes below they let through.
FILTERS = [
    (["192.0.2.0/24"], {1, 2}),
    (["192.0.2.0/25"], {2}),
    (["2001:db8::/32", "198.51.100.0/24"], {3, 4}),
    (["dev", "v1"], {2, 4}),
    (["proto", "static"], {1, 4}),
    (["proto", "3", "table", "main"], {3}),
    (["table", "77"], {2}),
    (["192.0.2.0/24", "dev", "v0", "proto", "static", "table", "main"], {1}),
    ([], {1, 2, 3, 4}),
]
ROUTES = {
    1: "192.0.2.0/24 dev v0 proto static",
    2: "192.0.2.7/32 dev v1 table 77 proto bgp",
    3: "198.51.100.0/24 dev v0 proto boot",
    4: "2001:db8:1::/48 dev v1 proto static metric 5",
}
NAMES = {text.split()[0]: number for number, text in ROUTES.items()}

every_filter = pytest.mark.parametrize(
    ("words", "wanted"),
    FILTERS,
    ids=[" ".join(words) or "none" for words, _ in FILTERS],
)


@pytest.fixture
def linked(netns) -> rnlab.Namespace:
    """A namespace with the devices v0 and v1."""
    netns.veth("v0", "10.0.0.1/24")
    netns.veth("v1", "10.0.1.1/24")
    return netns


def make(netns: rnlab.Namespace) -> None:
    """Add the routes."""
    netns.batch(f"route add {text}" for text in ROUTES.values())


def numbers(lines: list[str]) -> set[int]:
    """Which of the routes are in what --json printed."""
    found = {json.loads(line)["destination"] for line in lines}
    return {NAMES[destination] for destination in found & NAMES.keys()}


@every_filter
def test_routes_prints_what_the_words_let_through(linked, words, wanted):
    """And nothing else, if there are any."""
    make(linked)
    done = rncli.run(linked, "routes", "--json", *words)
    lines = done.stdout.splitlines()

    assert (0, "") == (done.returncode, done.stderr)
    assert wanted == numbers(lines)
    prefixes = all("/" in word for word in words)
    assert not words or not prefixes or len(wanted) == len(lines)


@every_filter
def test_watch_prints_what_the_words_let_through(linked, words, wanted):
    """In the order in which they were made; a link's own routes may come too."""
    watch = rncli.Running(linked, "watch", "--json", "--initial", *words)
    watch.json()
    make(linked)
    lines: list[str] = []
    while max(numbers(lines), default=0) < max(wanted):
        lines.append(watch.line())

    assert wanted == numbers(lines)


def test_words_when_another_namespace_is_given_then_names_are_those_there(linked):
    """`dev v9` is an interface of the namespace that --netns names."""
    other = linked.make_other()
    other.veth("v9", "10.0.9.1/24")
    other.ip("route add 192.0.2.0/24 dev v9")
    words = ["--netns", other.path, "dev", "v9", "proto", "boot"]
    done = rncli.run(linked, "routes", "--json", *words)

    assert "" == done.stderr
    (line,) = done.stdout.splitlines()
    assert "192.0.2.0/24" == json.loads(line)["destination"]
    watch = rncli.Running(linked, "watch", "--json", "--initial", *words)
    watch.json()
    other.ip("route add 198.51.100.0/24 dev v9")
    assert "198.51.100.0/24" == watch.json()["destination"]


@pytest.mark.parametrize("command", ["watch", "routes", "exporter", "top"])
@pytest.mark.parametrize(
    ("words", "complaint", "status"),
    [
        (["192.0.2.1/24"], "192.0.2.1/24", 2),
        (["10.0.0.0/8", "dev"], "'dev' needs a name after it", 2),
        (["proto", "nobody"], "nobody", 2),
        (["table", "nothing"], "nothing", 2),
        (["dev", "nothing0"], "nothing0", 1),
    ],
)
def test_words_when_one_is_wrong_then_it_is_named(
    linked, command, words, complaint, status
):
    """One line on stderr; status 1 only for a device that could have been there."""
    once = ["--once"] if command == "top" else []
    done = rncli.run(linked, command, *once, *words)

    assert (status, "") == (done.returncode, done.stdout)
    assert done.stderr.startswith("routenotify: ")
    assert complaint in done.stderr
    assert 1 == done.stderr.count("\n")
