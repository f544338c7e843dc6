"""`routenotify top` in a real terminal, beside real changes."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal

import pytest
import rncli
import rnlab
import rnterm

pytest.importorskip("rich")

HELP = "q quit"
HOME = b"\033[H"  # the begin of a frame
ALTERNATE = b"\033[?1049h"  # the screen of full-screen programs


@pytest.fixture
def linked(netns):
    """A namespace with the device v0 and the next hop 10.0.0.2."""
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    netns.veth("v0", "10.0.0.1/24")
    return netns


def top(netns, folder, *options: str) -> rnterm.Terminal:
    """Start the live view, and wait until it is drawn."""
    terminal = rnterm.Terminal(netns, folder, rncli.words("top", *options))
    try:
        terminal.until(lambda screen: HELP in screen, "the live view")
    except BaseException:
        terminal.close()  # nobody else would ever end it
        raise
    return terminal


def flap(netns, destination: str, times: int) -> None:
    """Add and delete a route that often."""
    route = f"{destination} via 10.0.0.2 proto static"
    netns.batch(
        line
        for _ in range(times)
        for line in (f"route add {route}", f"route del {route}")
    )


def destinations(screen: str) -> list[str]:
    """What is in the first column of the ranking."""
    return re.findall(r"^(\d\S*/\d+) ", screen, re.MULTILINE)


def test_top_shows_what_changed_and_by_what(linked, tmp_path):
    """Counts, ranking and sums are those of the changes made."""
    with top(linked, tmp_path, "--family", "inet") as terminal:
        flap(linked, "192.0.2.0/24", 20)
        flap(linked, "198.51.100.0/24", 30)
        linked.ip("route add 203.0.113.0/24 via 10.0.0.2 table 77 proto bgp")
        screen = terminal.until(lambda screen: "101 changes" in screen, "101 changes")

        assert "51 ADD  50 DELETE  0 PARAMETER" in screen
        assert re.search(r"conflated 0 +overruns 0 +dropped 0", screen)
        screen = terminal.until(lambda screen: "203.0.113" in screen, "the ranking")
        assert destinations(screen) == [
            "198.51.100.0/24",
            "192.0.2.0/24",
            "203.0.113.0/24",
        ]
        assert re.search(r"198\.51\.100\.0/24 +30 +60 ", screen)
        for name, count in (("v0", 101), ("static", 100), ("bgp", 1), ("77", 1)):
            assert re.search(rf" {name} +{count}$", screen, re.MULTILINE), name
        terminal.type("q")

        assert 0 == terminal.status()


def test_top_keys_sort_pause_and_begin_anew(linked, tmp_path):
    """Pausing stops the screen, not the counting."""
    with top(linked, tmp_path, "--family", "inet") as terminal:
        linked.ip("route add 203.0.113.0/24 via 10.0.0.2")
        linked.batch(
            f"route replace 203.0.113.0/24 via 10.0.0.2 mtu {1300 + i}"
            for i in range(9)
        )
        flap(linked, "192.0.2.0/24", 2)
        terminal.until(
            lambda screen: destinations(screen) == ["203.0.113.0/24", "192.0.2.0/24"],
            "both, by changes",
        )
        terminal.type("s")
        screen = terminal.until(lambda screen: "by flaps" in screen, "another order")
        terminal.until(
            lambda screen: destinations(screen) == ["192.0.2.0/24"], "what flapped"
        )
        assert "14 changes" in screen
        terminal.type("p")
        terminal.until(lambda screen: "PAUSED" in screen, "the pause")
        flap(linked, "192.0.2.0/24", 3)
        drawn = tmp_path / "drawn"
        terminal.record(drawn)
        rnlab.wait_for(lambda: drawn.read_bytes().count(HOME) > 2, 20, "frames")
        assert "14 changes" in terminal.screen()
        terminal.type("p")
        terminal.until(lambda screen: "20 changes" in screen, "what came meanwhile")
        terminal.type("r")
        terminal.until(lambda screen: " 0 changes" in screen, "a new beginning")
        terminal.type("C-c")

        assert 0 == terminal.status()


def test_top_draws_each_frame_in_the_place_of_the_last(linked, tmp_path):
    """Nothing scrolls: the cursor goes home before each."""
    with top(linked, tmp_path) as terminal:
        drawn = tmp_path / "drawn"
        terminal.record(drawn)
        rnlab.wait_for(
            lambda: drawn.read_bytes().count(b"routenotify top") > 3, 20, "frames"
        )
        # The recording may begin within a frame.
        frames = drawn.read_bytes().split(b"routenotify top")[1:-1]

        assert all(frame.endswith(HOME + b"\033[1m") for frame in frames)


def test_top_filters_by_what_is_typed(linked, tmp_path):
    """Counting begins anew with what matches; a wrong word changes nothing."""
    with top(linked, tmp_path, "--family", "inet", "table", "77") as terminal:
        flap(linked, "192.0.2.0/24", 2)
        linked.ip("route add 203.0.113.0/24 via 10.0.0.2 table 77")
        screen = terminal.until(lambda screen: " 1 changes" in screen, "table 77")
        assert "IPv4: table 77" in screen
        terminal.type("f", "C-u")
        terminal.write("192.0.2.0/24 proto nobody")
        terminal.type("Enter")
        terminal.until(lambda screen: "'nobody'" in screen, "the complaint")
        assert "IPv4: table 77" in terminal.screen()
        terminal.type("f", "C-u")
        terminal.write("192.0.2.0/23 dev v0x")
        terminal.type("BSpace", "Enter")
        terminal.until(lambda screen: "192.0.2.0/23 dev v0 " in screen, "the filter")
        flap(linked, "198.51.100.0/24", 2)
        flap(linked, "192.0.2.0/24", 5)
        terminal.until(lambda screen: " 10 changes" in screen, "what matches")
        terminal.type("f", "q", "Escape", "q")

        assert 0 == terminal.status()


def test_top_when_the_terminal_is_resized_then_it_is_filled(linked, tmp_path):
    """Wider: more columns; narrow: no sums; the last line is always the keys."""
    with top(linked, tmp_path, "--family", "inet") as terminal:
        flap(linked, "192.0.2.0/24", 1)
        terminal.until(lambda screen: "192.0.2.0/24" in screen, "the ranking")
        for columns, rows, words in (
            (60, 20, ["192.0.2.0/24"]),
            (160, 50, ["192.0.2.0/24", "deletes", "protocol"]),
            (80, 24, ["192.0.2.0/24", "protocol"]),
        ):
            terminal.resize(columns, rows)

            def filled(screen: str, rows=rows, words=words) -> bool:
                lines = screen.split("\n")
                return HELP in lines[rows - 1] and all(word in screen for word in words)

            screen = terminal.until(filled, f"{columns} by {rows}")
            assert max(map(len, screen.split("\n"))) <= columns
            assert ("protocol" in screen) == ("protocol" in words)


def test_top_when_its_namespace_goes_then_it_says_so(linked, tmp_path):
    """The screen stays readable; q ends it."""
    holder = linked.make_other().popen(["sleep", "600"])
    with top(linked, tmp_path, "--netns", str(holder.pid)) as terminal:
        holder.kill()
        terminal.until(lambda screen: "ENDED" in screen, "the end")
        terminal.type("q")

        assert 0 == terminal.status()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_top_when_terminated_then_the_terminal_is_given_back(linked, tmp_path, number):
    """Also the cursor and the echo: what follows is a usable shell.

    SIGTERM and SIGHUP ended it in the middle of its screen.
    """
    program = shlex.join(rncli.words("top"))
    then = "echo status $?; stty -a; echo given back; read line"
    shell = ["sh", "-c", f"trap : INT; {program}; {then}"]
    with rnterm.Terminal(linked, tmp_path, shell) as terminal:
        terminal.until(lambda screen: HELP in screen, "the live view")
        os.kill(terminal.pid(), number)
        screen = terminal.until(lambda screen: "given back" in screen, "the shell")

        assert "status 0" in screen
        assert " echo " in screen
        assert " icanon " in screen
        assert terminal.is_plain()


def test_top_when_stopped_then_the_terminal_is_lent_to_the_shell(linked, tmp_path):
    """Ctrl-Z left the shell without echo, on the alternate screen."""
    program = shlex.join(rncli.words("top", "--family", "inet"))
    stopped = "stty -a; echo given back; read line"
    after = "fg; stty -a; echo shell again; read line"
    shell = ["sh", "-c", f"set -m; {program}; {stopped}; {after}"]
    with rnterm.Terminal(linked, tmp_path, shell) as terminal:
        terminal.until(lambda screen: HELP in screen, "the live view")
        terminal.type("C-z")
        screen = terminal.until(lambda screen: "given back" in screen, "the shell")
        assert " echo " in screen
        assert " icanon " in screen
        assert terminal.is_plain()
        flap(linked, "192.0.2.0/24", 4)
        terminal.type("Enter")
        terminal.until(lambda screen: " 8 changes" in screen, "the screen, drawn anew")
        assert not terminal.is_plain()
        terminal.type("q")
        screen = terminal.until(lambda screen: "shell again" in screen, "the shell")
        assert 2 == screen.count(" icanon ")


def test_top_when_it_goes_on_after_a_sigstop_then_it_draws_anew(linked, tmp_path):
    """Nobody sees a SIGSTOP coming; the shell has used the terminal meanwhile."""
    with top(linked, tmp_path) as terminal:
        os.kill(terminal.pid(), signal.SIGSTOP)
        drawn = tmp_path / "drawn"
        terminal.record(drawn)
        os.kill(terminal.pid(), signal.SIGCONT)
        rnlab.wait_for(lambda: ALTERNATE in drawn.read_bytes(), 20, "the screen")
        terminal.until(lambda screen: HELP in screen, "the live view")
        terminal.type("q")

        assert 0 == terminal.status()


def test_top_without_rich_names_what_is_missing(linked, tmp_path):
    """And what works without; status 1."""
    (tmp_path / "rich").mkdir()
    (tmp_path / "rich" / "__init__.py").write_text("raise ModuleNotFoundError('rich')")
    path = f"{tmp_path}:{rncli.PACKAGE.parent}"
    done = rncli.run(linked, "top", PYTHONPATH=path)

    assert 1 == done.returncode
    assert "pip install 'routenotify[cli]'" in done.stderr
    once = rncli.run(linked, "top", "--once", "--interval", "0.1", PYTHONPATH=path)
    assert (0, "") == (once.returncode, once.stderr)


def test_top_in_a_pipe_says_that_it_needs_a_terminal(linked):
    """Escape sequences in a file are of no use."""
    done = rncli.run(linked, "top")

    assert (1, "") == (done.returncode, done.stdout)
    assert "needs a terminal" in done.stderr
