"""`routenotify top --once`: one screen as text or JSON, without any extra."""

from __future__ import annotations

import json
import signal
import time
from types import SimpleNamespace

import pytest
import rncli
import rnlab

from routenotify import RouteMonitor
from routenotify._cli import _top, main

MEMBERS = {"changes", "adds", "deletes", "parameters"}
KEYS = MEMBERS | {
    *("seconds", "rate", "rates", "merged", "queued", "high_water", "capacity"),
    *("conflated", "overruns", "kernel_drops", "resyncs", "rows", "rcvbuf"),
    *(
        "ringbuf",
        "by_interface",
        "by_protocol",
        "by_table",
        "by_family",
        "destinations",
    ),
}


@pytest.fixture
def linked(netns):
    """A namespace with the device v0 and the next hop 10.0.0.2."""
    netns.veth("v0", "10.0.0.1/24")
    return netns


def counted(netns: rnlab.Namespace, *options: str) -> str:
    """What `top --once` prints beside changes that go on for as long as it."""
    running = rncli.Running(netns, "top", "--interval", "1", *options)
    while running.process.poll() is None:
        netns.ip("route add 192.0.2.0/24 via 10.0.0.2 proto static")
        netns.ip("route del 192.0.2.0/24")
        netns.ip("route add 2001:db8::/32 dev v0 metric 9 table 77")
        netns.ip("route del 2001:db8::/32 dev v0 metric 9 table 77")
    status, printed, errors = running.finish()

    assert (0, "") == (status, errors)
    return printed


def test_top_once_json_counts_by_everything(linked):
    """Each sum is that of all changes; keys are those documented."""
    told = json.loads(counted(linked, "--json"))

    assert KEYS == set(told)
    assert told["changes"] == told["adds"] + told["deletes"] >= 4
    assert sum(told["rates"]) == told["changes"]
    for by in ("interface", "protocol", "table", "family"):
        sums = told[f"by_{by}"].values()
        assert all(set(counts) == MEMBERS for counts in sums)
        assert sum(counts["changes"] for counts in sums) == told["changes"]
    assert {"v0"} == set(told["by_interface"])
    assert {"main", "77"} == set(told["by_table"])
    assert {"inet", "inet6"} == set(told["by_family"])
    assert {"static", "boot"} == set(told["by_protocol"])
    for found in told["destinations"]:
        assert MEMBERS | {"destination", "table", "flaps", "time_ns"} == set(found)
        assert found["flaps"] == min(found["adds"], found["deletes"])
    assert 0 == told["conflated"] == told["merged"]


def test_top_once_is_a_screen_without_escape_sequences(linked):
    """In a pipe, of the size that the environment says."""
    printed = counted(linked, "--once", "--family", "inet", "--sort", "flaps")
    lines = printed.splitlines()

    assert "\033" not in printed
    assert lines[0].startswith("routenotify top  IPv4 ")
    assert lines[0].endswith("by flaps")
    assert any(line.startswith("192.0.2.0/24") for line in lines)
    assert "2001:db8" not in printed


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_top_once_when_it_is_ended_then_it_prints_what_it_has_counted(
    linked, number, monkeypatch, capsys
):
    """It printed nothing, and Ctrl-C was status 130."""
    opened: list[RouteMonitor] = []

    def opening(*words, **options) -> RouteMonitor:
        opened.append(RouteMonitor(*words, **options))
        return opened[0]

    def between_two_looks(_: float) -> None:
        if opened[0].stats.received:
            signal.raise_signal(number)
        linked.ip("route add 192.0.2.0/24 via 10.0.0.2")
        rnlab.wait_for(lambda: opened[0].stats.queued, what="the change")

    monkeypatch.setattr(_top, "RouteMonitor", opening)
    clock = SimpleNamespace(monotonic=time.monotonic, sleep=between_two_looks)
    monkeypatch.setattr(_top, "time", clock)

    assert 0 == main(["top", "--json", "--interval", "3600"])
    told = json.loads(capsys.readouterr().out)
    assert (1, 1) == (told["changes"], told["adds"])
    assert told["seconds"] < 3600


def test_top_once_counts_what_the_filter_lets_through(linked):
    """A prefix stands for what lies inside it, too; other words for one thing."""
    told = json.loads(counted(linked, "--json", "192.0.2.0/23", "proto", "static"))

    assert {"192.0.2.0/24"} == {row["destination"] for row in told["destinations"]}
    assert told["changes"] > 0


def test_top_once_when_stdout_is_ascii_then_so_is_the_screen(linked):
    """The graph is drawn with what there is."""
    done = rncli.run(
        *(linked, "top", "--once", "--interval", "0.1"), PYTHONIOENCODING="ascii"
    )

    assert (0, "") == (done.returncode, done.stderr)
    assert done.stdout.isascii()
