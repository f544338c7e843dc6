"""The laboratory itself: what other tests rely on is true."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import rnlab

pytestmark = pytest.mark.kernel
CONFTEST = Path(rnlab.__file__).with_name("conftest.py")


def _inode() -> int:
    return os.stat(rnlab.NAMESPACE).st_ino


def test_process_is_not_in_the_namespace_of_its_parent():
    """A monitor opened by any test sees no route of the machine."""
    links = rnlab.Namespace.current()

    assert {"lo"} == set(links.links())

    links.close()


def test_netns_is_fresh_and_the_only_link_is_lo(netns):
    """A test starts with a namespace of its own: lo, up, nothing else."""
    links = netns.links()

    assert list(links) == ["lo"]
    assert "UP" in links["lo"]["flags"]


@pytest.mark.parametrize("turn", [1, 2])
def test_netns_routes_do_not_survive_a_test(netns, turn):
    """Both turns add the same route; a leftover would make one fail."""
    netns.ip("route add 192.0.2.0/24 dev lo")

    assert [
        route["dst"]
        for route in netns.routes()
        if "/" in route["dst"] and not route["dst"].startswith("127.")
    ] == ["192.0.2.0/24"]


def test_other_has_its_own_routes_and_moves_nobody(netns):
    """A second namespace is separate; the thread stays where it was."""
    before = _inode()
    other = netns.make_other()
    other.ip("route add 198.51.100.0/24 dev lo")

    assert "198.51.100.0/24" in [route["dst"] for route in other.routes()]
    assert "198.51.100.0/24" not in [route["dst"] for route in netns.routes()]
    assert before == _inode()
    assert os.stat(other.path).st_ino == os.fstat(other.fd).st_ino


def test_ip_runs_inside_from_any_thread(netns):
    """A thread that is elsewhere still talks to the namespace it was given."""
    other = netns.make_other()
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.extend(other.links()))
    thread.start()
    thread.join()

    assert found == ["lo"]


def test_veth_has_a_carrier_at_both_ends(netns):
    """veth() returns when the link state has settled."""
    index = netns.veth("v0", "10.0.0.1/24", peer=netns.make_other())

    assert index == netns.links()["v0"]["ifindex"]
    assert "10.0.0.0/24" in [route["dst"] for route in netns.routes()]


def test_batch_raises_unless_forced(netns):
    """A failing line is an error, except where the caller expects some."""
    lines = ["route add 192.0.2.0/24 dev lo"] * 2
    netns.batch(lines, force=True)

    with pytest.raises(RuntimeError, match="File exists"):
        netns.batch(lines)


def test_failing_command_raises_with_its_own_words(netns):
    """What ip wrote to stderr is in the error."""
    with pytest.raises(RuntimeError, match="Cannot find device"):
        netns.ip("route add 192.0.2.0/24 dev nonesuch")


def test_wait_for_gives_up_at_the_deadline():
    """A condition that never holds is an assertion, not a hang."""
    with pytest.raises(AssertionError, match=r"still false after 0\.01 s"):
        rnlab.wait_for(lambda: False, deadline=0.01)


def test_fixture_leaves_no_descriptor(request):
    """Making and closing namespaces gives every descriptor back."""
    home = rnlab.Namespace.current()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        made = rnlab.Namespace.make()
        made.make_other()
        made.close()
        rnlab.setns(home.fd)

    assert before == len(list(Path("/proc/self/fd").iterdir()))

    home.close()


@pytest.mark.parametrize(
    ("required", "status", "said"),
    [("0", 0, "1 skipped"), ("1", 3, "kernel tests cannot run")],
)
def test_without_a_namespace_kernel_tests_skip_or_fail(required, status, said):
    """They say why, and where they are required the run fails."""
    chosen = f"{__file__}::test_netns_is_fresh_and_the_only_link_is_lo"
    command = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", sys.executable]
    command += ["-P", "-m", "pytest", "-p", "no:cacheprovider", "-rs", chosen]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "ROUTENOTIFY_REQUIRE_KERNEL": required},
    )

    assert done.returncode == status
    assert said in done.stdout + done.stderr
    assert "neither root nor allowed to make a user namespace" in (
        done.stdout + done.stderr
    )


def test_skipped_kernel_test_is_a_failure_where_required(tmp_path):
    """A missing tool must not make CI green."""
    (tmp_path / "conftest.py").write_text(CONFTEST.read_text())
    (tmp_path / "rnlab.py").write_text(Path(rnlab.__file__).read_text())
    (tmp_path / "test_it.py").write_text(
        "import pytest\n@pytest.mark.kernel\ndef test_it():\n    pytest.skip('no tool')"
    )
    command = [sys.executable, "-P", "-m", "pytest", "-c", "/dev/null", str(tmp_path)]
    codes = {}
    for required in ("0", "1"):
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "ROUTENOTIFY_REQUIRE_KERNEL": required},
        )
        codes[required] = done.returncode, "no tool" in done.stdout

    assert codes["0"][0] == 0
    assert codes["1"] == (1, True)
