"""`routenotify get`: the kernel's choice, and what may be said about it."""

from __future__ import annotations

import json

import pytest
import rncli
import rnlab


@pytest.fixture
def linked(netns) -> rnlab.Namespace:
    """Two ways to 192.0.2.0/24: by v1, but from 10.0.0.1 by v0."""
    netns.veth("v0", "10.0.0.1/24")
    netns.veth("v1", "10.0.1.1/24")
    netns.ip("route add 192.0.2.0/24 via 10.0.1.2")
    netns.ip("route add 192.0.2.0/24 via 10.0.0.2 metric 5")
    netns.ip("route add 192.0.2.0/24 via 10.0.0.3 table 77")
    netns.ip("rule add from 10.0.0.1 table 77")
    return netns


@pytest.mark.parametrize(
    ("options", "hop"),
    [
        ([], "10.0.1.2"),
        (["--from", "10.0.0.1"], "10.0.0.3"),
        (["--dev", "v0"], "10.0.0.2"),
        (["--dev", "v0", "--from", "10.0.0.1"], "10.0.0.3"),
    ],
)
def test_get_takes_source_and_device_into_account(linked, options, hop):
    """As `ip route get ... from ... oif ...` does, here and by --netns."""
    for place in ([], ["--netns", linked.path]):
        words = ["get", "--json", "192.0.2.1", *options, *place]
        done = rncli.run(linked, *words)

        assert (0, "") == (done.returncode, done.stderr)
        assert hop == json.loads(done.stdout)["next_hop"]


def test_get_when_the_device_is_in_another_namespace_then_its_name_is_known(netns):
    """A name means another number there."""
    other = netns.make_other()
    other.veth("v9", "10.0.9.1/24")
    place = ["--netns", other.path]
    done = rncli.run(netns, "get", "10.0.9.7", "--dev", "v9", *place)

    assert (0, "") == (done.returncode, done.stderr)
    assert done.stdout.startswith("10.0.9.0/24 ")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--dev", "nothing0"], "--dev 'nothing0' does not exist"),
        (["--dev", "0"], "interface=0 is no index"),
        (["--from", "2001:db8::1"], "differ in family"),
        (["--from", "198.51.100.1"], ""),
    ],
)
def test_get_when_one_of_them_is_wrong_then_it_is_named(linked, options, complaint):
    """One line, status 1."""
    done = rncli.run(linked, "get", "192.0.2.1", *options)

    assert (1, "", 1) == (done.returncode, done.stdout, done.stderr.count("\n"))
    assert complaint in done.stderr
