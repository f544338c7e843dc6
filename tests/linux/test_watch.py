"""`routenotify watch`, as a process beside `ip route`."""

from __future__ import annotations

import re
import signal
import subprocess
import time

import pytest
import rncli

KEYS = {
    "type",
    "destination",
    "next_hop",
    "interface",
    "interface_index",
    "family",
    "table",
    "protocol",
    "metric",
    "route_type",
    "cause",
    "sequence",
    "merged",
    "time_ns",
}
READY = "watching routes; Ctrl-C ends it"


@pytest.fixture
def linked(netns):
    """A namespace with the device v0 and next hops 10.0.0.2 and 10.0.0.3."""
    netns.veth("v0", "10.0.0.1/24")
    return netns


def test_watch_json_when_routes_change_then_each_line_comes_at_once(linked):
    """Each line is there before the next change is made: nothing is buffered."""
    watch = rncli.Running(
        linked, "watch", "--json", "--count", "3", error_terminal=True
    )
    assert watch.error_line() == READY
    began = time.time_ns()
    lines = []
    for change in (
        "route add 192.0.2.0/24 via 10.0.0.2",
        "route replace 192.0.2.0/24 via 10.0.0.2 mtu 1400",
        "route del 192.0.2.0/24",
    ):
        linked.ip(change)
        lines.append(watch.json())
    ended = time.time_ns()

    assert [line["type"] for line in lines] == ["ADD", "PARAMETER", "DELETE"]
    assert [line["sequence"] for line in lines] == [1, 2, 3]
    for line in lines:
        assert set(line) == KEYS
        assert began <= line.pop("time_ns") <= ended
        del line["type"], line["sequence"]
        assert line == {
            "destination": "192.0.2.0/24",
            "next_hop": "10.0.0.2",
            "interface": "v0",
            "interface_index": linked.links()["v0"]["ifindex"],
            "family": "inet",
            "table": 254,
            "protocol": 3,
            "metric": 0,
            "route_type": "unicast",
            "cause": "system",
            "merged": 1,
        }
    assert watch.finish()[:2] == (0, "")


def test_watch_when_a_route_moves_then_both_rows_are_named(linked):
    """Replace by another gateway is the end of one row and the start of one."""
    linked.ip("route add 192.0.2.0/24 via 10.0.0.2")
    watch = rncli.Running(linked, "watch", "--json", "--initial", "--count", "3")
    assert watch.json()["type"] == "INITIAL"
    linked.ip("route replace 192.0.2.0/24 via 10.0.0.3")
    lines = [watch.json(), watch.json()]

    assert {(line["type"], line["next_hop"]) for line in lines} == {
        ("DELETE", "10.0.0.2"),
        ("ADD", "10.0.0.3"),
    }
    assert watch.finish() == (0, "", "")


def test_watch_when_a_link_goes_down_then_the_lost_route_is_a_line(linked):
    """What the kernel removes without a word is printed, with the reason."""
    linked.ip("route add 192.0.2.0/24 via 10.0.0.2")
    watch = rncli.Running(linked, "watch", "--initial")
    assert watch.line().split()[1] == "INITIAL"
    linked.ip("link set v0 down")
    line = watch.line()
    while "192.0.2.0/24" not in line:
        line = watch.line()

    assert line.split()[1:6] == ["DELETE", "192.0.2.0/24", "via", "10.0.0.2", "v0"]
    assert line.endswith("(link-down)")


def test_watch_in_a_pipe_is_plain_and_aligned(linked):
    """Columns start at the same place; nothing but text is written."""
    watch = rncli.Running(linked, "watch", "--initial", "--count", "4")
    watch.line()
    linked.ip("route add 192.0.2.0/24 via 10.0.0.2 metric 5 proto static")
    linked.ip("route add 10.9.0.0/16 dev v0 table 77")
    linked.ip("route add blackhole 198.51.100.7")
    lines = [watch.line() for _ in range(3)]

    assert not any("\033" in line for line in lines)
    assert len({line.index(" v0") for line in lines[:2]}) == 1
    assert len({len(line.split("  ")[0]) for line in lines}) == 1
    assert [" ".join(line.split()[1:]) for line in lines] == [
        "ADD 192.0.2.0/24 via 10.0.0.2 v0 metric 5 proto static",
        "ADD 10.9.0.0/16 - v0 proto boot table 77",
        "ADD 198.51.100.7/32 - - blackhole proto boot",
    ]


def test_watch_date_when_given_then_lines_can_be_told_from_yesterdays(netns):
    """As `ip -ts monitor` does; the rest of the line stays."""
    watch = rncli.Running(netns, "watch", "--initial", "--date")

    line = watch.line()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}  INITIAL", line)


def test_watch_on_a_terminal_is_coloured(netns):
    """ADD is green and DELETE red, on a terminal."""
    watch = rncli.Running(netns, "watch", "--initial", terminal=True)
    watch.line()
    netns.ip("route add 192.0.2.0/24 dev lo")
    netns.ip("route del 192.0.2.0/24 dev lo")

    assert "\033[32mADD" in watch.line()
    assert "\033[31mDELETE" in watch.line()


def test_watch_on_a_terminal_with_no_color_is_plain(netns):
    """NO_COLOR is obeyed."""
    watch = rncli.Running(netns, "watch", "--initial", terminal=True, NO_COLOR="1")

    assert "\033" not in watch.line()


def test_watch_when_ctrl_c_is_typed_then_it_sums_up_and_ends_well(netns):
    """Ctrl-C on a terminal: one line on stderr, exit status 0."""
    watch = rncli.Running(netns, "watch", "--initial", terminal=True)
    watch.line()
    netns.ip("route add 192.0.2.0/24 dev lo")
    watch.line()
    watch.type(b"\x03")
    status, _, told = watch.finish()

    assert status == 0
    assert told.strip().startswith("changes: 2 in ")
    assert told.strip().endswith("s (1 ADD, 1 INITIAL)")
    assert len(told.strip().splitlines()) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_watch_when_ended_in_a_pipe_then_stdout_has_whole_lines(netns, number):
    """The summary never lands in the data; SIGTERM and SIGHUP had none."""
    watch = rncli.Running(netns, "watch", "--json", "--initial")
    watch.json()
    watch.process.send_signal(number)
    status, out, told = watch.finish()

    assert (status, out) == (0, "")
    assert told.startswith("changes: 1 in ")


def test_watch_under_nohup_outlives_a_sighup(netns):
    """What is ignored stays ignored."""
    watch = rncli.Running(netns, "watch", "--json", "--initial", before=["nohup"])
    watch.json()
    watch.process.send_signal(signal.SIGHUP)
    netns.ip("route add 192.0.2.0/24 dev lo")

    assert watch.json()["type"] == "ADD"


def test_watch_when_the_reader_leaves_then_it_ends_silently(netns):
    """A closed pipe ends it at once, even if no route ever changes again."""
    watch = rncli.Running(netns, "watch", "--initial")
    watch.line()
    watch.hang_up()

    assert watch.finish() == (0, "", "")


def test_watch_when_the_reader_left_in_a_burst_then_it_ends_silently(netns):
    """A write that fails ends it, without a traceback."""
    watch = rncli.Running(netns, "watch", "--json", "--initial")
    watch.json()
    netns.batch(f"route add 192.0.2.{i} dev lo" for i in range(200))
    watch.json()
    watch.hang_up()

    assert watch.finish() == (0, "", "")


def test_watch_when_the_duration_passes_then_it_ends(netns):
    """--duration ends it in time, not before, with status 0 and no words."""
    began = time.monotonic()
    done = rncli.run(netns, "watch", "--duration", "0.3")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert time.monotonic() - began >= 0.3


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        ("inet", ["192.0.2.0/24"]),
        ("inet6", ["2001:db8::/32"]),
        ("any", ["2001:db8::/32", "192.0.2.0/24"]),
    ],
)
def test_watch_family_when_given_then_only_that_is_seen(netns, family, expected):
    """--family selects; any is both."""
    watch = rncli.Running(netns, "watch", "--json", "--initial", "--family", family)
    watch.json()
    netns.ip("-6 route add 2001:db8::/32 dev lo")
    netns.ip("route add 192.0.2.0/24 dev lo")

    assert [watch.json()["destination"] for _ in expected] == expected
    watch.process.send_signal(signal.SIGINT)
    assert watch.finish()[:2] == (0, "")


@pytest.mark.parametrize("how", ["path", "pid"])
def test_watch_netns_when_given_then_that_one_is_followed(netns, how):
    """--netns takes a path or a process id and looks nowhere else."""
    other = netns.make_other()
    holder = other.popen(["sleep", "600"])
    name = other.path if how == "path" else str(holder.pid)
    watch = rncli.Running(netns, "watch", "--json", "--initial", "--netns", name)
    watch.json()
    netns.ip("route add 198.51.100.0/24 dev lo")
    other.ip("route add 192.0.2.0/24 dev lo")

    assert watch.json()["destination"] == "192.0.2.0/24"


def test_watch_netns_when_there_is_none_then_one_line_says_so(netns):
    """A wrong name is an error with status 1 and no traceback."""
    done = rncli.run(netns, "watch", "--netns", "/nonesuch")

    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("routenotify: ")
    assert len(done.stderr.splitlines()) == 1


def test_watch_when_an_interface_name_is_hostile_then_the_terminal_is_safe(netns):
    """An escape sequence in a device name is printed, not obeyed."""
    netns.run("ip", "link", "add", "\033[2Jx", "type", "veth", "peer", "name", "p")
    watch = rncli.Running(netns, "watch", "--initial")
    watch.line()
    netns.run("ip", "link", "set", "\033[2Jx", "up")
    netns.run("ip", "route", "add", "192.0.2.0/24", "dev", "\033[2Jx")
    line = watch.line()
    while "192.0.2.0/24" not in line:
        line = watch.line()

    assert "\033" not in line
    assert r"'\x1b[2Jx'" in line


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_watch_when_the_encoding_lacks_a_character_then_it_is_escaped(netns, encoding):
    """A name that it could not print ended the program with a traceback."""
    netns.veth("vpn-日本", "10.0.0.1/24")
    watch = rncli.Running(netns, "watch", "--initial", PYTHONIOENCODING=encoding)
    watch.line()
    netns.ip("route add 192.0.2.0/24 via 10.0.0.2")
    line = watch.line()
    while "192.0.2.0/24" not in line:  # the link's own IPv6 routes
        line = watch.line()
    shown = "vpn-日本" if encoding == "utf-8" else r"vpn-\u65e5\u672c"

    assert f"  {shown}  proto " in line
    routes = rncli.run(netns, "routes", PYTHONIOENCODING=encoding)
    assert (0, "") == (routes.returncode, routes.stderr)
    assert shown in routes.stdout


def test_routes_when_a_name_is_no_utf8_then_it_is_escaped(netns):
    """As with other bytes that a terminal must not get."""
    netns.run("ip", "link", "add", b"v\xff", "type", "veth", "peer", "name", "p")
    netns.run("ip", "link", "set", b"v\xff", "up")
    netns.run("ip", "route", "add", "192.0.2.0/24", "dev", b"v\xff")
    done = rncli.run(netns, "routes", "--family", "inet")

    assert (0, "") == (done.returncode, done.stderr)
    assert r"'v\udcff'" in done.stdout


def redirected(
    netns, redirection: str, *arguments: str, **changes: str
) -> tuple[int, str]:
    """The status, and what is left on stderr, of a command in a shell."""
    with netns.entered():
        done = subprocess.run(
            ["sh", "-c", f'"$@" {redirection}', "sh", *rncli.words(*arguments)],
            capture_output=True,
            text=True,
            timeout=60,
            env=rncli.environment(**changes),
        )
    return done.returncode, done.stderr


ANY_COMMAND = pytest.mark.parametrize(
    "arguments",
    [
        ["--version"],
        ["--help"],
        ["get", "127.0.0.1"],
        ["routes"],
        ["watch", "--initial", "--count", "1"],
        ["top", "--once", "--interval", "0.1"],
        ["completion", "bash"],
    ],
    ids=lambda arguments: arguments[0],
)


@ANY_COMMAND
def test_command_when_stdout_is_closed_then_it_prints_nothing(netns, arguments):
    """`>&-` was a traceback; without stderr nobody would have seen it."""
    assert (0, "") == redirected(netns, ">&-", *arguments)
    assert (0, "") == redirected(netns, ">&- 2>&-", *arguments)


def test_arguments_when_wrong_and_nobody_can_be_told_then_status_2(netns):
    """There is the status, at least."""
    assert (2, "") == redirected(netns, ">&- 2>&-", "nonsense")


@ANY_COMMAND
def test_command_when_stdout_is_full_then_one_line_says_so(netns, arguments):
    """`--version >/dev/full` was a traceback, and others ended with status 120."""
    told = redirected(netns, ">/dev/full", *arguments, PYTHONUNBUFFERED="")

    assert (1, "routenotify: [Errno 28] No space left on device\n") == told
    assert (1, "") == redirected(
        netns, ">/dev/full 2>/dev/full", *arguments, PYTHONUNBUFFERED=""
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["watch", "--count", "0"], "a whole number from 1 up, not '0'"),
        (["watch", "--count", "-1"], "a whole number from 1 up, not '-1'"),
        (["watch", "--count", "x"], "a whole number from 1 up, not 'x'"),
        (["watch", "--duration", "0"], "seconds above 0, not '0'"),
        (["watch", "--duration", "nan"], "seconds above 0, not 'nan'"),
        (["watch", "--duration", "inf"], "seconds above 0, not 'inf'"),
        (["watch", "--family", "ipx"], "one of inet, inet6, any; not 'ipx'"),
        (["get", "192.0.2"], "an IPv4 or IPv6 address, not '192.0.2'"),
        (["get"], "ADDRESS"),
        (["listen"], "listen"),
        ([], "COMMAND"),
    ],
)
def test_arguments_when_wrong_then_status_2_and_the_reason(netns, arguments, said):
    """What is wrong with which argument, and nothing is started."""
    done = rncli.run(netns, *arguments)

    assert done.returncode == 2
    assert done.stdout == ""
    assert said in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("command", [[], ["watch"], ["routes"], ["get"], ["demo"]])
def test_help_shows_examples(netns, command):
    """Help of every command ends with something to copy."""
    done = rncli.run(netns, *command, "--help")

    assert done.returncode == 0
    assert "\n  routenotify " in done.stdout.partition("examples:")[2]


def test_version_is_that_of_the_package(netns):
    """--version names the program and its version."""
    done = rncli.run(netns, "--version")

    assert done.returncode == 0
    assert done.stdout.startswith("routenotify ")
