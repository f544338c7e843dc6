"""A namespace that vanishes under an open monitor ends it, with the reason."""

from __future__ import annotations

import subprocess
import sys

import pytest

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
        assert "192.0.2.0/24" == str(monitor.get(5).destination)

        other.ip("route del 192.0.2.0/24 dev lo")
        process.kill()

        assert routenotify.ChangeType.DELETE == monitor.get(5).type
        with pytest.raises(routenotify.MonitorClosed, match="namespace was removed"):
            monitor.get(5)


def test_monitor_by_path_ends_when_the_path_is_deleted(holder, tmp_path):
    """The name is what counts: other files of the directory may go."""
    other, _process = holder
    name = tmp_path / "blue"
    name.symlink_to(other.path)
    (tmp_path / "green").touch()
    with routenotify.RouteMonitor(netns=name) as monitor:
        (tmp_path / "green").unlink()
        other.ip("route add 192.0.2.0/24 dev lo")
        assert "192.0.2.0/24" == str(monitor.get(5).destination)

        name.unlink()

        with pytest.raises(routenotify.MonitorClosed, match="namespace was removed"):
            monitor.get(5)


def test_two_monitors_of_one_namespace_end_each_by_its_own_name(holder, tmp_path):
    """The one that was opened by the surviving name goes on."""
    other, process = holder
    name = tmp_path / "blue"
    name.symlink_to(other.path)
    with (
        routenotify.RouteMonitor(netns=name) as by_path,
        routenotify.RouteMonitor(netns=process.pid) as by_pid,
    ):
        name.unlink()
        with pytest.raises(routenotify.MonitorClosed):
            by_path.get(5)

        other.ip("route add 192.0.2.0/24 dev lo")

        assert "192.0.2.0/24" == str(by_pid.get(5).destination)


def test_monitor_that_ended_is_told_no_more(holder, tmp_path):
    """Its namespace may live on; "no more" was followed by more."""
    other, process = holder
    name = tmp_path / "blue"
    name.symlink_to(other.path)
    with (
        routenotify.RouteMonitor(netns=name) as by_path,
        routenotify.RouteMonitor(netns=process.pid) as by_pid,
    ):
        name.unlink()
        with pytest.raises(routenotify.MonitorClosed):
            by_path.get(5)
        other.ip("route add 192.0.2.0/24 dev lo")
        assert "192.0.2.0/24" == str(by_pid.get(5).destination)

        assert 0 == by_path.stats.received
        assert [] == by_path.drain()
