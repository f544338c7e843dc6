"""What a user sees of each command in a real terminal, beside real changes.

`top` has a file of its own.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
import rncli
import rnlab
import rnterm

for library in ("rich", "matplotlib", "prometheus_client"):
    pytest.importorskip(library)

GREEN, RED, YELLOW = "\033[32m", "\033[31m", "\033[33m"


@pytest.fixture
def linked(netns):
    """A namespace with the device v0 and the next hops 10.0.0.2 and 10.0.0.3."""
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    netns.veth("v0", "10.0.0.1/24")
    return netns


def terminal(netns, folder: Path, *words: str, sink: str = "") -> rnterm.Terminal:
    """A command in a terminal; its stdout elsewhere if sink says `>file`."""
    command = rncli.words(*words)
    if sink:
        command = ["sh", "-c", f"trap : INT; {shlex.join(command)} {sink}"]
    return rnterm.Terminal(netns, folder, command, columns=120)


def test_watch_in_a_terminal_is_coloured_lines_and_a_summary(linked, tmp_path):
    """Each change at once; Ctrl-C sums up."""
    with terminal(linked, tmp_path, "watch", "--family", "inet") as screen:
        screen.until(lambda text: "watching routes; Ctrl-C ends it" in text, "ready")
        # The line comes after the registration.
        linked.ip("route add 192.0.2.0/24 via 10.0.0.2")
        screen.until(lambda text: "ADD        192.0.2.0/24" in text, "the route")
        linked.ip("route replace 192.0.2.0/24 via 10.0.0.2 mtu 1400")
        linked.ip("route replace 192.0.2.0/24 via 10.0.0.3")
        text = screen.until(lambda text: text.count("ADD  ") == 2, "the other hop")
        assert re.search(
            r"DELETE +192\.0\.2\.0/24 +via 10\.0\.0\.2 .*\(replaced\)", text
        )
        styled = screen.screen(styled=True)
        for colour, kind in ((GREEN, "ADD"), (RED, "DELETE"), (YELLOW, "PARAMETER")):
            assert f"{colour}{kind}" in styled
        screen.type("C-c")
        screen.until(
            lambda text: re.search(
                r"^changes: 4 in .*\(2 ADD, 1 DELETE, 1 P", text, re.MULTILINE
            ),
            "the summary",
        )

        assert 0 == screen.status()


def test_record_in_a_terminal_says_that_it_does_and_what_it_has(linked, tmp_path):
    """Ctrl-C ends it well; the file is whole."""
    path = tmp_path / "r.jsonl"
    with terminal(linked, tmp_path, "record", "--changes", str(path)) as screen:
        screen.until(lambda text: "recording; Ctrl-C ends it" in text, "ready")
        linked.ip("route add 192.0.2.0/24 via 10.0.0.2")
        rnlab.wait_for(lambda: "192.0.2.0/24" in path.read_text(), what="the change")
        screen.type("C-c")
        screen.until(lambda text: "0 routes, 1 changes," in text, "the summary")

        assert 0 == screen.status()
    done = rncli.run(linked, "replay", str(path))
    assert (0, 1) == (done.returncode, done.stdout.count("192.0.2.0/24"))


def slow_recording(folder: Path, lines: int = 60) -> Path:
    """Changes a tenth of a second apart."""
    path = folder / "slow.jsonl"
    with open(path, "w", encoding="utf-8") as file:
        for number in range(lines):
            change = {
                "type": "ADD",
                "destination": f"10.{number}.0.0/16",
                "time_ns": 10**18 + number * 10**8,
            }
            print(json.dumps(change), file=file)
    return path


def test_replay_shows_a_bar_while_its_lines_go_elsewhere(linked, tmp_path):
    """With the time that is left; at the end it is taken away."""
    words = ["replay", "--speed", "1", "--json", str(slow_recording(tmp_path))]
    lines = tmp_path / "lines"
    with terminal(linked, tmp_path, *words, sink=f">{lines}") as screen:
        bar = r"replaying [━╸╺ ]+ +\d+ % 0:00:0\d"
        screen.until(lambda text: re.search(bar, text), "the bar")

        assert 0 == screen.status(20)
        screen.until(lambda text: "replaying" not in text, "its end")
    assert 60 == lines.read_text().count("\n")


def test_replay_in_a_terminal_prints_lines_and_no_bar(linked, tmp_path):
    """They show how far it is."""
    path = str(slow_recording(tmp_path, 20))
    with terminal(linked, tmp_path, "replay", "--speed", "1", path) as screen:
        drawn = tmp_path / "drawn"
        screen.record(drawn)

        assert 0 == screen.status(20)
        screen.until(lambda text: "10.19.0.0/16" in text, "the last line")
        assert b"replaying" not in drawn.read_bytes()


def test_plot_live_shows_a_bar_then_what_it_drew(linked, tmp_path):
    """A picture, after as many seconds as were asked for; Ctrl-C ends it sooner."""
    picture = tmp_path / "live.svg"
    words = ["plot", "live", "--seconds", "60", "-o", str(picture)]
    with terminal(linked, tmp_path, *words) as screen:
        bar = r"following changes [━╸╺ ]+ +\d+ % 0:\d\d:\d\d"
        screen.until(lambda text: re.search(bar, text), "the bar")
        linked.ip("route add 192.0.2.0/24 via 10.0.0.2")
        screen.type("C-c")
        told = screen.until(lambda text: "changes in" in text, "the end", 40)

        assert 0 == screen.status()
        assert "following" not in told
        assert re.search(r"live\.svg: \d+ changes in \d+\.\d s", told)
    assert "Route changes of this system" in picture.read_text()


def test_routes_shows_a_bar_when_printing_takes_longer_than_a_second(linked, tmp_path):
    """A reader that pauses amid it is enough; the bar is gone afterwards."""
    linked.batch(f"route add 20.{i >> 8}.{i & 255}.0/24 dev v0" for i in range(3000))
    lines, drawn = tmp_path / "lines", tmp_path / "drawn"
    slow = f"| (dd bs=1 count=1 status=none; sleep 1.5; cat) >{lines}"
    with terminal(linked, tmp_path, "routes", "--json", sink=slow) as screen:
        screen.record(drawn)

        assert 0 == screen.status(30)
        screen.until(lambda text: "printing" not in text, "the end of the bar")
        assert b"printing the table" in drawn.read_bytes()
    assert 3000 <= lines.read_text().count("\n")


def test_doctor_in_a_terminal_is_one_coloured_line_per_check(linked, tmp_path):
    """A line as soon as it is known; the self-test comes last."""
    with terminal(linked, tmp_path, "doctor") as screen:
        screen.until(lambda text: "self-test" in text, "the last check", 60)

        assert 0 == screen.status()
        styled = screen.screen(styled=True)
        assert re.search(r"\033\[32mok.*monitor +opens; ", styled)
        assert "the replayed table equals the kernel's" in screen.screen()


def test_demo_in_a_terminal_counts_in_place(linked, tmp_path):
    """Then it says what was made and delivered, and that the tables are equal."""
    with terminal(linked, tmp_path, "demo", "--routes", "4000") as screen:
        drawn = tmp_path / "drawn"
        screen.record(drawn)
        text = screen.until(lambda text: "kernel's" in text, "the end", 60)

        assert 0 == screen.status()
        assert "made 7000  delivered 7000  lost 0" in text
        assert re.search(r"replayed table (\d+) rows, kernel's \1 rows: equal", text)
        assert "made 7000 of" not in text
        assert f"{GREEN}ADD".encode() in drawn.read_bytes()


def test_exporter_in_a_terminal_says_where_and_ends_by_ctrl_c(linked, tmp_path):
    """Nothing else is printed."""
    words = ["exporter", "--listen", "127.0.0.1:0"]
    with terminal(linked, tmp_path, *words) as screen:
        text = screen.until(lambda text: "/metrics" in text, "where")
        assert re.fullmatch(r"serving http://127\.0\.0\.1:\d+/metrics\s*", text)
        screen.type("C-c")

        assert 0 == screen.status()
        assert "Traceback" not in screen.screen()
