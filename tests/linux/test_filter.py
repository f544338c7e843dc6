"""Filters on a real kernel: what is delivered, kept and dropped, by whom."""

from __future__ import annotations

import itertools

import pytest

import routenotify
from routenotify import ChangeType, InvalidParameter, RouteFilter, RouteMonitor

HERE = RouteFilter(tables=100)
THERE = RouteFilter(tables=200)


@pytest.fixture
def lab(netns):
    """A namespace with a device that routes can go through."""
    netns.veth("v0", "192.0.2.1/24", "2001:db8:ffff::1/64")
    return netns


def told(monitor):
    """What came, once all that the kernel said so far has."""
    monitor.resync()
    changes = [one for one in monitor.drain() if one.type <= ChangeType.DELETE]
    return [(one.type.name, str(one.destination)) for one in changes]


def test_only_rows_that_match_are_told(lab):
    """By table, protocol and both."""
    made = HERE & RouteFilter(protocols="bgp")
    with RouteMonitor(filter=made, markers=True) as monitor:
        lab.ip("route add 198.51.100.0/24 dev v0 table 100 proto bgp")
        lab.ip("route add 198.51.100.0/24 dev v0 table 100 proto static metric 7")
        lab.ip("route add 198.51.100.0/24 dev v0 table 200 proto bgp")

        assert [("ADD", "198.51.100.0/24")] == told(monitor)
        assert 1 == monitor.stats.filtered, "table 200 was the kernel's to drop"
        assert [186] == [one.protocol for one in monitor.snapshot()]


def test_a_row_that_comes_to_match_is_added_and_one_that_ceases_is_deleted(lab):
    """As it was when it matched; cause "filter"."""
    lab.ip("route add 198.51.100.0/24 dev v0 proto static")
    with RouteMonitor(filter=RouteFilter(protocols="bgp")) as monitor:
        lab.ip("route change 198.51.100.0/24 dev v0 proto bgp")
        lab.ip("route change 198.51.100.0/24 dev v0 proto bgp mtu 1400")
        lab.ip("route change 198.51.100.0/24 dev v0 proto static")
        monitor.resync()
        changes = monitor.drain()

    assert ["ADD", "PARAMETER", "DELETE"] == [one.type.name for one in changes]
    assert ["filter", "system", "filter"] == [one.cause for one in changes]
    assert [186, 186, 186] == [one.protocol for one in changes]


def test_change_types_alone(lab):
    """What is asked for, and what a row's coming and going is seen as."""
    made = RouteFilter(protocols="bgp", change_types=["ADD", "DELETE"])
    with RouteMonitor(filter=made) as monitor:
        lab.ip("route add 198.51.100.0/24 dev v0 proto bgp")
        lab.ip("route change 198.51.100.0/24 dev v0 proto bgp mtu 1400")
        lab.ip("route change 198.51.100.0/24 dev v0 proto static")
        lab.ip("route del 198.51.100.0/24")

        assert ["ADD", "DELETE"] == [kind for kind, _ in told(monitor)]


def test_change_types_are_those_before_changes_merge(lab):
    """Behind a full queue a DELETE and an ADD are a PARAMETER, asked for or not.

    As docs/filters.md says: the row may have other attributes, so who replays
    must be told.
    """
    made = RouteFilter(change_types=["ADD", "DELETE"])
    with RouteMonitor(filter=made, capacity=2) as monitor:
        lab.batch(f"route add blackhole 198.51.100.{i}/32" for i in range(4))
        lab.ip("route del blackhole 198.51.100.0/32")
        lab.ip("route add blackhole 198.51.100.0/32")
        monitor.resync()
        changes = monitor.drain()
    last = changes[-1]

    assert ["ADD"] * 4 + ["PARAMETER"] == [one.type.name for one in changes]
    assert ("198.51.100.0/32", 2) == (str(last.destination), last.merged)
    assert not made.matches(last)


@pytest.mark.parametrize("family", [4, 6])
def test_silent_deletions_are_told_of_what_matches(lab, family):
    """Also of rows in tables that the mirror of nobody else knows."""
    prefix = "198.51.100.0/24" if family == 4 else "2001:db8:1::/48"
    with RouteMonitor(filter=HERE & RouteFilter(interfaces="v0")) as monitor:
        for table in (100, 200):
            lab.ip(f"-{family} route add {prefix} dev v0 table {table}")
        assert [("ADD", prefix)] == told(monitor)
        lab.ip("link set v0 down")

        assert [("DELETE", prefix)] == told(monitor)


def test_the_mirror_keeps_what_filters_need_and_no_more(lab):
    """While a monitor wants everything there is nothing to leave out."""
    lab.batch(
        f"route add 198.51.{n}.0/24 dev v0 table {100 + n % 2 * 100}"
        for n in range(100)
    )
    with RouteMonitor(filter=HERE) as monitor:
        assert 50 == monitor.stats.rows
        with RouteMonitor(filter=THERE):
            assert 100 == monitor.stats.rows
        assert 50 == monitor.stats.rows
        with RouteMonitor():
            assert 100 < monitor.stats.rows
        assert 50 == monitor.stats.rows
        assert 0 == monitor.stats.received


@pytest.mark.parametrize("second", [None, THERE, HERE | THERE, ~HERE])
def test_a_second_monitor_gets_its_whole_table(lab, second):
    """Though the first one's filter had kept it out, and routes moved since."""
    lab.batch(f"route add 198.51.{n}.0/24 dev v0 table 200" for n in range(50))
    with RouteMonitor(filter=HERE) as first:
        lab.batch(f"route del 198.51.{n}.0/24 table 200" for n in range(25))
        lab.batch(f"route add 198.52.{n}.0/24 dev v0 table 100" for n in range(5))
        with RouteMonitor(filter=second, snapshot=True) as other:
            got = [one for one in other.drain() if one.table == 200]
            assert {f"198.51.{n}.0/24" for n in range(25, 50)} == {
                str(one.destination) for one in got
            }
            lab.ip("route add 198.53.0.0/24 dev v0 table 200")
            assert [("ADD", "198.53.0.0/24")] == told(other)
        assert {("ADD", f"198.52.{n}.0/24") for n in range(5)} == set(told(first))


def test_a_table_that_does_not_exist_is_empty_until_it_is_made(lab):
    """The kernel answers a dump of it with an error."""
    with RouteMonitor(filter=RouteFilter(tables=4711), snapshot=True) as monitor:
        assert [] == list(monitor.snapshot())
        monitor.resync()
        lab.ip("route add 198.51.100.0/24 dev v0 table 4711")
        lab.ip("-6 route add 2001:db8:1::/48 dev v0 table 4711")

        assert 2 == len(told(monitor))
        assert 2 == len(monitor.snapshot())


@pytest.mark.parametrize("table", [1, 252, 253, 254, 255, 256, 65536, 4294967295])
def test_tables_of_every_size(lab, table):
    """One byte says small ones, an attribute any."""
    with RouteMonitor(filter=RouteFilter(tables=table)) as monitor:
        lab.ip(f"route add 198.51.100.0/24 dev v0 table {table}")
        lab.ip("route add 198.51.100.0/24 dev v0 table 77")

        assert [("ADD", "198.51.100.0/24")] == told(monitor)


def test_destinations_in_the_kernel(lab):
    """Exactly, inside, around, and the default route, which has no address."""
    wanted = {
        "destinations": {"10.1.0.0/16"},
        "more_specific": {"10.1.0.0/16", "10.1.2.0/24", "10.1.2.3/32"},
        "covering": {"10.1.0.0/16", "10.0.0.0/8", "0.0.0.0/0"},
    }
    every = (*wanted["more_specific"], *wanted["covering"], "10.2.0.0/16")
    for keyword, expected in wanted.items():
        made = RouteFilter(**{keyword: "10.1.0.0/16"})
        with RouteMonitor(filter=made, markers=True) as monitor:
            lab.batch(f"route add {one} dev v0 table 9" for one in set(every))
            assert expected == {one for _, one in told(monitor)}
            assert expected == {str(one.destination) for one in monitor.snapshot()}
            assert 0 == monitor.stats.filtered
            lab.ip("route flush table 9")


def test_ten_thousand_prefixes_are_decided_in_c(lab):
    """With the same result."""
    many = [f"10.{n >> 8}.{n & 255}.0/24" for n in range(10_000)]
    made = RouteFilter(destinations=many)
    with RouteMonitor(filter=made, markers=True) as monitor:
        lab.batch(f"route add {one} dev v0" for one in ("10.3.4.0/24", "10.3.4.0/25"))

        assert [("ADD", "10.3.4.0/24")] == told(monitor)
        assert 1 == monitor.stats.filtered


def test_interface_names_are_of_the_monitors_namespace(lab):
    """Not of the caller's; what does not exist there is named."""
    other = lab.make_other()
    other.veth("only0", "192.0.2.9/24")
    made = RouteFilter(interfaces="only0", tables=100)

    with pytest.raises(InvalidParameter, match="interfaces='only0' does not exist"):
        RouteMonitor(filter=made)
    with pytest.raises(InvalidParameter, match="interfaces='v0' does not exist"):
        RouteMonitor(filter=RouteFilter(interfaces="v0"), netns=other.path)
    with RouteMonitor(filter=made, netns=other.path) as monitor:
        other.ip("route add 198.51.100.0/24 dev only0 table 100")
        other.ip("route add 198.51.101.0/24 dev lo table 100")
        assert [("ADD", "198.51.100.0/24")] == told(monitor)
        assert made is monitor.filter


@pytest.mark.parametrize("name", ["short0", "alternative-name0", "n" * 127])
def test_an_interface_has_its_alternative_names(lab, name):
    """However long, here and in another namespace; best_route knows them, too.

    Broken was: one of 16 characters or more did not exist.
    """
    other = lab.make_other()
    other.veth("v9", "192.0.2.9/24")
    try:
        lab.ip(f"link property add dev v0 altname {name}")
    except RuntimeError as error:
        pytest.skip(f"no alternative names here: {error}")
    other.ip(f"link property add dev v9 altname {name}")
    made = RouteFilter(interfaces=name)
    with (
        RouteMonitor(filter=made) as here,
        RouteMonitor(filter=made, netns=other.path) as there,
    ):
        lab.ip("route add 198.51.100.0/24 dev v0")
        other.ip("route add 198.51.101.0/24 dev v9")

        assert [("ADD", "198.51.100.0/24")] == told(here)
        assert [("ADD", "198.51.101.0/24")] == told(there)
    assert "v0" == routenotify.best_route("192.0.2.7", interface=name).interface


@pytest.mark.parametrize("name", ["n" * 15, "n" * 16, "n" * 127, "n" * 128, "n" * 999])
def test_a_long_name_that_no_interface_has_does_not_exist(lab, name):
    """However long."""
    with pytest.raises(InvalidParameter, match=f"'{name}' does not exist"):
        RouteMonitor(filter=RouteFilter(interfaces=name))
    with pytest.raises(InvalidParameter, match=f"'{name}' does not exist"):
        RouteMonitor(filter=RouteFilter(interfaces=name), netns=lab.path)


def test_a_renamed_interface_stays_the_one_that_was_meant(lab):
    """A name is looked up when the monitor is opened."""
    with RouteMonitor(filter=RouteFilter(interfaces="v0", tables=100)) as monitor:
        lab.ip("link set v0 down")
        lab.ip("link set v0 name w0")
        lab.ip("link set w0 up")
        lab.ip("route add 198.51.100.0/24 dev w0 table 100")

        assert ("ADD", "198.51.100.0/24") in told(monitor)


def test_markers_and_initial_pass_every_filter(lab):
    """Who asked for them gets them."""
    options = {"initial_notification": True, "snapshot": True, "markers": True}
    with RouteMonitor(filter=RouteFilter(tables=[]), **options) as monitor:
        monitor.resync()
        kinds = [monitor.get(30).type for _ in range(4)]

    assert [
        ChangeType.INITIAL,
        ChangeType.SNAPSHOT_END,
        ChangeType.RESYNC_BEGIN,
        ChangeType.RESYNC_END,
    ] == kinds


def test_what_the_kernel_drops_is_not_read(lab):
    """No message of another table reaches the process, nor counts as lost."""
    with RouteMonitor(filter=HERE, rcvbuf=4608, markers=True) as monitor:
        lab.batch(
            f"route add 10.{n >> 8}.{n & 255}.0/24 dev v0 table 200"
            for n in range(5000)
        )
        assert [] == told(monitor)
        stats = monitor.stats

    assert (0, 0, 0) == (stats.filtered, stats.overruns, stats.kernel_drops)


def test_monitors_that_come_and_go_with_filters_stay_exact(lab):
    """Each one's snapshot is the system's rows that match, at every point."""
    filters = [HERE, THERE, None, HERE | THERE, RouteFilter(covering="198.51.1.0/24")]
    opened = []
    try:
        for turn, made in enumerate(itertools.chain(filters, filters[::-1])):
            lab.ip(f"route add 198.51.{turn}.0/24 dev v0 table {100 + turn % 2 * 100}")
            opened.append(RouteMonitor(filter=made))
            if turn % 3 == 2:
                opened.pop(0).close()
            for monitor in opened:
                monitor.resync()
                expected = {
                    (one.table, str(one.destination), one.interface_index)
                    for one in routenotify.routes()
                    if monitor.filter is None or monitor.filter.matches(one)
                }
                assert expected == {
                    (one.table, str(one.destination), one.interface_index)
                    for one in monitor.snapshot()
                }
    finally:
        for monitor in opened:
            monitor.close()
