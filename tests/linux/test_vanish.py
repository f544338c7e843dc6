"""A namespace that vanishes under an open monitor ends it, with the reason."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import rnlab

import routenotify

pytestmark = pytest.mark.kernel


@pytest.fixture
def holder(netns):
    """A process that lives in a namespace of its own."""
    other = netns.make_other()
    process = other.popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield other, process
    process.kill()
    process.wait()
    process.stdin.close()


def test_monitor_by_pid_ends_with_the_process(holder):
    """What was queued can be read; then MonitorClosed says why."""
    other, process = holder
    with routenotify.RouteMonitor(netns=process.pid) as monitor:
        other.ip("route add 192.0.2.0/24 dev lo")
        assert "192.0.2.0/24" == str(monitor.get(30).destination)

        other.ip("route del 192.0.2.0/24 dev lo")
        process.kill()

        assert routenotify.ChangeType.DELETE == monitor.get(30).type
        with pytest.raises(routenotify.MonitorClosed, match="namespace was removed"):
            monitor.get(30)


def test_monitor_by_path_ends_when_the_path_is_deleted(holder, tmp_path):
    """The name is what counts: other files of the directory may go."""
    other, _process = holder
    name = tmp_path / "blue"
    name.symlink_to(other.path)
    (tmp_path / "green").touch()
    with routenotify.RouteMonitor(netns=name) as monitor:
        (tmp_path / "green").unlink()
        other.ip("route add 192.0.2.0/24 dev lo")
        assert "192.0.2.0/24" == str(monitor.get(30).destination)

        name.unlink()

        with pytest.raises(routenotify.MonitorClosed, match="namespace was removed"):
            monitor.get(30)


def test_monitor_by_a_link_to_a_process_ends_with_either(holder, tmp_path):
    """As containers are named below /run/netns: it went on without its process."""
    _other, process = holder
    link, name = tmp_path / "link", tmp_path / "blue"
    link.symlink_to(f"/proc/{process.pid}/ns/net")
    name.symlink_to("link")
    with (
        routenotify.RouteMonitor(netns=link) as by_link,
        routenotify.RouteMonitor(netns=name) as by_name,
    ):
        name.unlink()
        with pytest.raises(routenotify.MonitorClosed, match="namespace was removed"):
            by_name.get(30)
        assert not by_link.closed

        process.kill()

        with pytest.raises(routenotify.MonitorClosed, match="namespace was removed"):
            by_link.get(30)


@pytest.fixture
def container(netns):
    """A process that alone has a namespace, with one end of the veth pair `host0`."""
    process = netns.popen(
        ["unshare", "--net", "sh", "-c", "ip link set lo up; echo; read wait"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    process.stdout.readline()
    netns.ip(f"link add host0 type veth peer name c0 netns {process.pid}")
    return process


@pytest.mark.parametrize("how", ["get", "close"])
def test_namespace_that_was_removed_is_let_go(netns, container, how):
    """A monitor that had ended and the rows of a table kept its devices alive."""
    monitor = routenotify.RouteMonitor(netns=container.pid, snapshot=True)
    kept = [*monitor.snapshot(), *monitor.drain()]
    ours = routenotify.routes()[0]
    container.kill()
    rnlab.wait_for(lambda: monitor.closed, what="end of the monitor")
    if how == "get":
        with pytest.raises(routenotify.MonitorClosed, match="namespace was removed"):
            monitor.get(30)
    else:
        monitor.close()
    rnlab.wait_for(lambda: "host0" not in netns.links(), what="end of the namespace")

    assert {None} == {row.interface for row in kept}
    with pytest.raises(routenotify.RouteNotFound, match="namespace was removed"):
        kept[0].complete()
    assert "lo" == ours.interface


@pytest.mark.parametrize("question", ["snapshot", "resync"])
def test_questions_when_the_namespace_was_removed_are_refused(container, question):
    """A monitor that was closed went on answering from a table nobody followed."""
    with routenotify.RouteMonitor(netns=container.pid) as monitor:
        container.kill()
        rnlab.wait_for(lambda: monitor.closed, what="end of the monitor")

        with pytest.raises(routenotify.MonitorClosed, match="namespace was removed"):
            getattr(monitor, question)()
        assert monitor.closed


MOUNTED = """
    import subprocess, sys, routenotify
    source, file = sys.argv[1:]
    subprocess.run(["mount", "--bind", source, file], check=True)
    with routenotify.RouteMonitor(netns=file, snapshot=True) as monitor:
        row = monitor.get(30)
        subprocess.run(["umount", file], check=True)
        print(row.interface)
"""


def test_file_of_a_namespace_is_not_kept_busy(container, tmp_path):
    """It could not be unmounted while a row was kept."""
    file = tmp_path / "mounted"
    file.touch()
    done = subprocess.run(
        [
            *("unshare", "--mount", sys.executable, "-P", "-c"),
            *(textwrap.dedent(MOUNTED), f"/proc/{container.pid}/ns/net", str(file)),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )

    assert ("lo\n", "") == (done.stdout, done.stderr)


def test_two_monitors_of_one_namespace_end_each_by_its_own_name(holder, tmp_path):
    """The one that was opened by the surviving name goes on.

    The other is told no more: "no more" was followed by more.
    """
    other, process = holder
    name = tmp_path / "blue"
    name.symlink_to(other.path)
    with (
        routenotify.RouteMonitor(netns=name) as by_path,
        routenotify.RouteMonitor(netns=process.pid) as by_pid,
    ):
        name.unlink()
        with pytest.raises(routenotify.MonitorClosed):
            by_path.get(30)

        other.ip("route add 192.0.2.0/24 dev lo")

        assert "192.0.2.0/24" == str(by_pid.get(30).destination)
        assert (0, []) == (by_path.stats.received, by_path.drain())


WATCHER = """
    import os, select, sys, routenotify

    def notifier():
        for name in os.listdir("/proc/self/fd"):
            path = f"/proc/self/fd/{name}"
            if os.path.islink(path) and "inotify" in os.readlink(path):
                return int(name)

    with routenotify.RouteMonitor(netns=sys.argv[1]) as monitor:
        print("ready", flush=True)
        sys.stdin.readline()
        while select.select([notifier()], [], [], 0)[0]:
            pass
        print("read", flush=True)
        try:
            while str(monitor.get(10).destination) != "192.0.2.0/24":
                pass
            print("closed" if monitor.closed else "open")
        except routenotify.MonitorClosed as error:
            print(error.call)
"""


@pytest.mark.parametrize("lost", ["others", "its own"])
def test_monitor_when_news_of_names_are_lost_then_it_looks(netns, tmp_path, lost):
    """Many names that go at once are no sign that this one went; it was closed."""
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if limit > 1 << 17:
        pytest.skip(f"{limit} events are many to lose")
    name = tmp_path / "blue"
    name.symlink_to(netns.path)
    watcher = netns.popen(
        [sys.executable, "-P", "-c", textwrap.dedent(WATCHER), str(name)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert "ready\n" == watcher.stdout.readline()
    watcher.send_signal(signal.SIGSTOP)
    status = Path(f"/proc/{watcher.pid}/status")
    rnlab.wait_for(lambda: "State:\tT" in status.read_text(), what="stopped")
    for number in range(limit + 10):
        (tmp_path / str(number)).touch()
        (tmp_path / str(number)).unlink()
    if lost == "its own":
        name.unlink()
    watcher.send_signal(signal.SIGCONT)
    watcher.stdin.write("\n")
    watcher.stdin.flush()
    assert "read\n" == watcher.stdout.readline()
    if lost == "others":
        netns.ip("route add 192.0.2.0/24 dev lo")

    assert watcher.stdout.readline() == (
        "open\n" if lost == "others" else "the network namespace was removed\n"
    )
    assert 0 == watcher.wait(30)
