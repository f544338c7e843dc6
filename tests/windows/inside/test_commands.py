"""The command line in a Windows Python, with the double as the system."""

from __future__ import annotations

import _thread
import contextlib
import io
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import rnjson
from doublelab import ADD, DELETE, PARAMETER, Api, Double, row, wait_until

import routenotify
from routenotify._cli import main


@pytest.fixture
def changing(double: Double) -> Double:
    """Routes that come, change and go for as long as the test runs."""
    double.set_table(row("10.0.0.0/8", "192.0.2.1", Metric=42))
    double.churn_async(1 << 30, seed=1, gap_us=1000)
    return double


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What a command prints that ends well and does not complain."""
    status = main(words)
    out, errors = capsys.readouterr()

    assert (0, "") == (status, errors)
    return out


def told(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    """The objects that it prints, one per line; docs/json.md has their keys."""
    objects = [json.loads(line) for line in said(capsys, *words).splitlines()]
    for one in objects:
        rnjson.check(words[0], one)
    return objects


def test_watch_prints_each_change_once(
    changing: Double, capsys: pytest.CaptureFixture[str]
) -> None:
    """As JSON and as text; what Windows does not say is null, or left out."""
    lines = told(capsys, "watch", "--json", "--initial", "--count", "30")

    assert "INITIAL" == lines[0]["type"]
    assert list(range(1, 31)) == [line["sequence"] for line in lines]
    for line in lines[1:]:
        assert line["type"] in ("ADD", "DELETE", "PARAMETER")
        assert "Ethernet 2" == line["interface"]
        unsaid = ("table", "protocol", "metric", "route_type")
        assert [None] * 4 == [line[name] for name in unsaid]
    texts = said(capsys, "watch", "--count", "5", "--family", "inet").splitlines()
    assert all(text.endswith("via 192.0.2.1   Ethernet 2") for text in texts)
    assert 5 == len(texts)


def test_watch_ends_in_time_and_by_ctrl_c(
    double: Double, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also while nothing changes."""
    assert "" == said(capsys, "watch", "--duration", "0.1")
    out = io.StringIO()

    def interrupt() -> None:
        wait_until(lambda: out.getvalue().endswith("INITIAL\n"))
        _thread.interrupt_main()  # it waits for the next by now, or goes to

    beside = threading.Thread(target=interrupt)
    beside.start()
    with contextlib.redirect_stdout(out):
        status = main(["watch", "--initial"])
    beside.join()
    errors = capsys.readouterr().err

    assert 0 == status
    assert out.getvalue().endswith("INITIAL\n")
    assert errors.startswith("changes: 1 in ")


def test_top_once_counts_what_changed(
    changing: Double, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sums agree; what Windows does not tell apart is one row named "-"."""
    (sums,) = told(capsys, "top", "--json", "--interval", "0.5")

    assert sums["changes"] == sums["adds"] + sums["deletes"] + sums["parameters"] > 20
    assert sum(sums["rates"]) == sums["changes"]
    assert {"Ethernet 2"} == set(sums["by_interface"])
    assert {"-"} == set(sums["by_table"]) == set(sums["by_protocol"])
    assert {"inet", "inet6"} == set(sums["by_family"])
    assert sums["conflated"] == sums["merged"] == sums["rcvbuf"] == 0
    screen = said(capsys, "top", "--once", "--interval", "0.2", "fd00::/16")
    assert screen.startswith("routenotify top  IPv4 and IPv6: fd00::/16")
    assert "fd00::" in screen
    assert "10.0.0." not in screen


def test_top_when_a_filter_asks_for_what_windows_does_not_say(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One line, status 1."""
    assert 1 == main(["top", "--once", "proto", "bgp"])
    assert "Windows does not say this of a change" in capsys.readouterr().err


def test_doctor_finds_all_well(
    changing: Double, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is Linux's is not looked at, and the self-test says so."""
    (found,) = told(capsys, "doctor", "--json")
    checks = {check["name"]: check for check in found["checks"]}

    assert found["well"]
    assert ["platform", "monitor", "table", "self-test"] == list(checks)
    assert "Windows" == checks["platform"]["data"]["system"]
    assert checks["table"]["data"]["rows"] > 0
    states = [check["state"] for check in found["checks"]]
    assert ["ok", "ok", "ok", "skipped"] == states
    lines = said(capsys, "doctor").splitlines()
    assert states == [line.split()[0] for line in lines]


@pytest.mark.parametrize(
    ("api", "bad"),
    [(Api.NOTIFY, {"monitor"}), (Api.TABLE, {"monitor", "table"})],
)
def test_doctor_when_the_system_refuses_then_it_says_which_call(
    double: Double, capsys: pytest.CaptureFixture[str], api: Api, bad: set[str]
) -> None:
    """Status 1; the other checks are made all the same."""
    double.inject(api, 1450, 9)  # ERROR_NO_SYSTEM_RESOURCES
    status = main(["doctor", "--json"])
    found = json.loads(capsys.readouterr().out)
    wrong = {
        check["name"]: check for check in found["checks"] if check["state"] == "bad"
    }

    assert (1, False) == (status, found["well"])
    assert bad == set(wrong)
    for check in wrong.values():
        assert "(error 1450" in check["text"]


def test_routes_and_get_print_the_table(
    double: Double, capsys: pytest.CaptureFixture[str]
) -> None:
    """Protocols have Windows' names, and there is no type to print."""
    double.set_table(
        row("10.0.0.0/8", "192.0.2.1", Metric=42, Protocol=3),
        row("fd00::/8", Metric=0, Protocol=19),
        row("192.0.2.0/24", Metric=0, Protocol=10006),
    )
    lines = said(capsys, "routes").splitlines()

    assert [
        "10.0.0.0/8 via 192.0.2.1 Ethernet 2 metric 42 proto netmgmt",
        "fd00::/8 - Ethernet 2 proto dhcp",
        "192.0.2.0/24 - Ethernet 2 proto static",
    ] == [" ".join(line.split()) for line in lines]
    found = told(capsys, "routes", "--json", "--family", "inet6")
    assert [("fd00::/8", 19)] == [
        (one["destination"], one["protocol"]) for one in found
    ]
    (best,) = told(capsys, "get", "--json", "10.1.2.3")
    assert ("10.0.0.0/8", 42) == (best["destination"], best["metric"])
    assert 1 == main(["get", "203.0.113.1"])
    assert "no route to 203.0.113.1" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["r.rtmon", "r.jsonl"])
def test_record_and_replay_and_plot(
    changing: Double, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """What was recorded is what is replayed, and what is plotted.

    Changes that come while the table is recorded are changes too; once they were
    counted as its routes.
    """
    path = str(tmp_path / name)
    (summary,) = told(capsys, "record", "--json", "--count", "40", path)
    lines = told(capsys, "replay", "--json", path)
    (story,) = told(capsys, "plot", "--json", path)
    changes = [line for line in lines if line["cause"] != "snapshot"]

    shown = said(capsys, "replay", "--changes", path).splitlines()

    assert Path(path).stat().st_size == summary["bytes"]
    assert summary["routes"] + summary["changes"] == len(lines)
    assert summary["changes"] == len(changes) == len(shown) >= 40
    assert len(changes) == sum(story["changes"].values())
    assert {"Ethernet 2"} == {line["interface"] for line in lines}


def test_plot_live_follows(
    changing: Double, capsys: pytest.CaptureFixture[str]
) -> None:
    """The numbers, which need no library."""
    (story,) = told(capsys, "plot", "live", "--json", "--seconds", "0.5")

    assert sum(story["changes"].values()) > 20


def test_a_recording_of_known_changes_is_exact(
    double: Double, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Row by row."""
    path = str(tmp_path / "r.jsonl")
    route = row("10.7.0.0/16", "192.0.2.1")

    def change() -> None:
        wait_until(lambda: double.stats.live > opened)
        for kind in (ADD, PARAMETER, DELETE):
            double.change(route, kind)

    opened = double.stats.live
    beside = threading.Thread(target=change)
    beside.start()
    told(capsys, "record", "--json", "--changes", "--count", "3", path)
    beside.join()
    lines = told(capsys, "replay", "--json", path)

    assert ["ADD", "PARAMETER", "DELETE"] == [line["type"] for line in lines]
    assert {"10.7.0.0/16"} == {line["destination"] for line in lines}


@pytest.mark.parametrize(
    ("words", "status", "complaint"),
    [
        (["top"], 1, "needs rich"),
        (["exporter"], 1, "needs prometheus_client"),
        (["plot", "live", "-o", "x.png"], 1, "needs matplotlib"),
        (["demo"], 2, "it needs Linux"),
        (["watch", "--netns", "x"], 2, "--netns"),
        (["replay", "no such file"], 1, "no such file"),
    ],
)
def test_a_command_that_cannot_run_says_why_in_one_line(
    words: list[str], status: int, complaint: str
) -> None:
    """As a process: its status, its streams, and nothing of a traceback."""
    package = str(Path(routenotify.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-P", "-c", _CHILD, package, *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (status, "") == (done.returncode, done.stdout)
    assert complaint in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


_CHILD = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); "
    "from routenotify._cli import main; sys.exit(main())"
)
