"""RouteChange and Route: attributes, equality, text, pickle. No system needed."""

from __future__ import annotations

import copy
import gc
import ipaddress
import json
import os
import pickle
import random
import socket
import sys

import pytest
from rows import NAMES, RECORD, change, record, route

import routenotify
from routenotify import ChangeType, Route, RouteChange, RouteType

SEED = int(os.environ.get("ROUTENOTIFY_TEST_SEED") or random.randrange(2**32))
IMMORTAL = 1 << 28  # no object of ours is referred to as often

CAUSES = [
    "system",
    "snapshot",
    "resync",
    "replaced",
    "link-down",
    "link-removed",
    "link-changed",
    "address-removed",
    "address-added",
    "nexthop-removed",
    "nexthop-changed",
    "config-changed",
    "memory",
    "filter",
]


def test_every_attribute_of_a_full_row():
    """Decoded as the header says."""
    one = change(
        "2001:db8:1::/48",
        via="2001:db8::9",
        source=ipaddress.ip_address("2001:db8:2::").packed,
        source_length=40,
        prefsrc=ipaddress.ip_address("2001:db8::1").packed,
        interface_luid=2**63 + 5,
        table=2**32 - 1,
        metric=2**32 - 2,
        nexthop_id=77,
        merged=3,
        mtu=1400,
        protocol=186,
        ordinal=2,
        type=2,
        route_type=1,
        scope=200,
        tos=0,
        cause=4,
        flags=0x11,
        fields=0x01 | (1 << 4),
        weight=9,
    )

    assert ChangeType.DELETE is one.type
    assert ipaddress.ip_network("2001:db8:1::/48") == one.destination
    assert ipaddress.ip_address("2001:db8::9") == one.next_hop
    assert ipaddress.ip_network("2001:db8::/40") == one.source
    assert ipaddress.ip_address("2001:db8::1") == one.preferred_source
    assert 3 == one.interface_index
    assert 2**63 + 5 == one.interface_luid
    assert socket.AF_INET6 is one.family
    assert 2**32 - 1 == one.table
    assert 2**32 - 2 == one.metric
    assert 77 == one.nexthop_id
    assert 3 == one.merged
    assert 1400 == one.mtu
    assert 186 == one.protocol
    assert 2 == one.ordinal
    assert RouteType.UNICAST is one.route_type
    assert 200 == one.scope
    assert 0 == one.tos
    assert "link-down" == one.cause
    assert 17 == one.flags
    assert "high" == one.preference
    assert 10 == one.weight
    assert 17 == one.sequence
    assert 1_700_000_000_123_456_789 == one.time_ns


def test_what_the_system_did_not_say_is_none():
    """As in a notification of Windows: no attributes."""
    one = change(fields=0, table=0, metric=5, protocol=5, interface_index=0)

    for name in (
        "metric",
        "protocol",
        "table",
        "route_type",
        "tos",
        "scope",
        "weight",
        "preference",
        "source",
        "preferred_source",
        "mtu",
        "nexthop_id",
        "interface_luid",
        "interface_index",
        "interface",
        "next_hop",
    ):
        assert getattr(one, name) is None, name


@pytest.mark.parametrize("number", range(256))
def test_numbers_of_every_enumeration(number):
    """Known ones by name, unknown ones never an error."""
    one = change(route_type=number, cause=number)

    expected = RouteType(number) if number <= 11 else number
    assert expected == one.route_type
    assert isinstance(one.route_type, RouteType) == (number <= 11)
    assert (CAUSES[number] if number < len(CAUSES) else "unknown") == one.cause


def test_preference_by_its_bits():
    """RFC 4191; reserved and IPv4 say nothing."""
    got = [
        change("2001:db8::/32", fields=1 | bits << 4).preference for bits in range(4)
    ]

    assert ["medium", "high", None, "low"] == got
    assert change(fields=1 | 1 << 4).preference is None


@pytest.mark.parametrize("kind", list(ChangeType))
def test_types_are_enum_members(kind):
    """Of ChangeType, also in to_dict()."""
    one = change(type=kind)

    assert kind is one.type
    assert kind.name == one.to_dict()["type"]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\0" * 127,
        b"\0" * 129,
        record(type=4),
        record(type=15),
        record(type=19),
        record(type=255),
        record(ip_version=5),
        record(next_hop_version=1),
        record(prefix_length=33),
        record("2001:db8::/32", prefix_length=129),
        record(source_length=33),
    ],
)
def test_bytes_that_are_no_record_are_refused(raw):
    """ValueError; nothing is decoded from them."""
    with pytest.raises(ValueError):  # noqa: PT011 - of two texts
        RouteChange(raw)


def test_constructors_refuse_other_arguments():
    """One bytes-like object, by position."""
    for kind in (RouteChange, Route):
        with pytest.raises(TypeError):
            kind()
        with pytest.raises(TypeError):
            kind("text")
        with pytest.raises(TypeError):
            kind(raw=record())
        with pytest.raises(ValueError, match="bytes expected"):
            kind(b"x")


def test_rows_are_immutable():
    """No attribute can be set, none added, no class extended."""
    for one in (change(), Route(route())):
        with pytest.raises(AttributeError):
            one.metric = 3
        with pytest.raises(AttributeError):
            one.other = 3
        with pytest.raises(TypeError):
            type(one).metric = 3
        with pytest.raises(TypeError):
            type("Mine", (type(one),), {})


def test_raw_is_what_it_was_made_of():
    """From any bytes-like object."""
    raw = record("2001:db8::/32", via="fe80::1")

    assert raw == change("2001:db8::/32", via="fe80::1").raw
    assert raw == RouteChange(bytearray(raw)).raw
    assert raw == RouteChange(memoryview(raw)).raw
    assert route() == Route(route()).raw


# ---- equality ----


def test_equality_is_of_every_byte():
    """One field changed: another change."""
    one = change()
    assert one == change()
    assert hash(one) == hash(change())
    assert not one != change()  # noqa: SIM202 - the operator itself

    for name in NAMES:
        if name in ("destination", "next_hop", "source", "prefsrc"):
            other = change(**{name: b"\1"})
        elif name in ("ip_version", "next_hop_version"):
            other = change(**{name: 6})
        else:
            other = change(**{name: 2})
        assert one != other, name
        assert hash(one) != hash(other), name


def test_other_kinds_are_never_equal():
    """Nor ordered."""
    assert change() != Route(route())
    assert change() != change().raw
    assert change() is not None
    assert Route(route()) == Route(route())
    assert Route(route()) != Route(route(rest={"age": 1}))
    with pytest.raises(TypeError):
        change() < change()  # noqa: B015 - the operator itself


def test_hashes_spread():
    """A dictionary of many changes works."""
    many = {change(f"10.{i}.{j}.0/24") for i in range(100) for j in range(100)}

    assert 10_000 == len(many)
    assert change("10.99.99.0/24") in many
    buckets = {hash(one) & 0xFFFF for one in many}
    assert len(buckets) > 8000


# ---- keys ----


def test_the_key_is_the_same_for_the_same_row():
    """Whatever happened to it."""
    base = change()
    same = {
        "sequence": 99,
        "time_ns": 99,
        "nexthop_id": 99,
        "merged": 99,
        "mtu": 99,
        "protocol": 99,
        "type": 2,
        "route_type": 6,
        "scope": 99,
        "cause": 2,
        "flags": 99,
        "weight": 99,
        "prefsrc": b"\1",
    }
    for name, value in same.items():
        assert base.key == change(**{name: value}).key, name


def test_the_key_of_a_windows_route_has_no_metric():
    """Its changes say none: a change and the entry it became have one key."""
    told = change(interface_luid=1 << 48, table=0, fields=0)
    whole = change(interface_luid=1 << 48, table=0, fields=1 | 8, metric=42)

    assert 42 == whole.metric
    assert told.key == whole.key


def test_the_key_of_a_windows_interface_is_its_luid():
    """Its index may change when it is disabled and enabled; the LUID stays."""
    base = change(interface_luid=1 << 48, interface_index=7)

    assert base.key == change(interface_luid=1 << 48, interface_index=9).key
    assert base.key != change(interface_luid=2 << 48, interface_index=7).key


def test_the_key_tells_rows_apart():
    """Every part of a row's identity is in it."""
    base = change("2001:db8::/32", via="fe80::1")
    others = {
        "destination": b"\1",
        "prefix_length": 31,
        "source": b"\1",
        "source_length": 8,
        "next_hop": b"\1",
        "next_hop_version": 0,
        "interface_index": 9,
        "interface_luid": 9,
        "table": 9,
        "metric": 9,
        "ordinal": 9,
        "tos": 9,
    }
    keys = {
        change("2001:db8::/32", via="fe80::1", **{n: v}).key for n, v in others.items()
    }

    assert base.key not in keys
    assert len(others) == len(keys)
    assert Route(route("2001:db8::/32", via="fe80::1")).key == base.key


def test_markers_have_an_empty_key():
    """And no row."""
    marker = change(type=16, ip_version=0, prefix_length=0)

    assert () == marker.key
    assert marker.destination is None
    assert socket.AF_UNSPEC is marker.family
    assert marker.to_dict()["family"] is None
    assert "<RouteChange SNAPSHOT_END table 254" not in repr(marker)


# ---- text ----


def test_to_dict_is_json_with_the_documented_keys():
    """In their order; addresses as strings, unknown as null."""
    got = change(via="192.0.2.1", route_type=6, interface_index=0).to_dict()

    expected = {
        "type": "ADD",
        "destination": "198.51.100.0/24",
        "next_hop": "192.0.2.1",
        "interface": None,
        "interface_index": None,
        "family": "inet",
        "table": 254,
        "protocol": 3,
        "metric": 0,
        "route_type": "blackhole",
        "cause": "system",
        "sequence": 17,
        "merged": 1,
        "time_ns": 1_700_000_000_123_456_789,
    }
    assert list(expected.items()) == list(got.items())
    assert expected == json.loads(json.dumps(got))
    assert "inet6" == change("::/0").to_dict()["family"]
    assert "99" == change(route_type=99).to_dict()["route_type"]


def test_repr_has_what_a_person_looks_for():
    """Type, row, cause, place."""
    one = change(via="192.0.2.1", metric=5, cause=4, type=2)

    expected = (
        "<RouteChange DELETE 198.51.100.0/24 via 192.0.2.1 dev 3 "
        "table 254 metric 5 cause link-down #17>"
    )
    assert expected == repr(one)
    assert "<Route 198.51.100.0/24 dev 3 table 254 metric 0>" == repr(Route(route()))
    initial = change(type=3, ip_version=0, prefix_length=0)
    assert "<RouteChange INITIAL cause system #17>" == repr(initial)


def test_the_longest_texts_fit():
    """No number or address is cut off."""
    longest = ipaddress.ip_address("f" * 4 + ":ffff" * 7)
    one = change(
        f"{longest}/128",
        via=str(longest),
        table=2**32 - 1,
        metric=2**32 - 1,
        interface_index=2**32 - 1,
        sequence=2**64 - 1,
        source=longest.packed,
        source_length=128,
    )

    assert repr(one).endswith(
        f"{longest}/128 via {longest} dev 4294967295 table 4294967295 "
        f"metric 4294967295 cause system #{2**64 - 1}>"
    )
    assert f"{longest}/128" == one.key[3]


def test_addresses_are_written_as_ipaddress_writes_them():
    """Random ones, with many zeros among them; prints its seed.

    IPv4-mapped ones as it does from Python 3.13 on, and iproute2 by inet_ntop.
    """
    print(f"ROUTENOTIFY_TEST_SEED={SEED}")
    rng = random.Random(SEED)
    for number in range(5000):
        groups = [rng.choice([0, 0, 0, 1, 0xFF, rng.getrandbits(16)]) for _ in range(8)]
        if number % 10 == 0:
            groups[:6] = 0, 0, 0, 0, 0, 0xFFFF
        packed = b"".join(group.to_bytes(2, "big") for group in groups)
        address = ipaddress.IPv6Address(packed)
        hop = ipaddress.IPv4Address(packed[-4:])
        one = change(f"{address}/128", via=str(hop))

        text = str(address) if address.ipv4_mapped is None else f"::ffff:{hop}"
        if address.ipv4_mapped is not None:
            assert text == socket.inet_ntop(socket.AF_INET6, packed)
        if sys.version_info >= (3, 13):
            assert text == str(address)
        assert f"{text}/128" == one.to_dict()["destination"] == one.key[2]
        assert address == one.destination.network_address
        assert str(hop) == str(one.next_hop) == one.to_dict()["next_hop"]


# ---- pickle and copy ----


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle_gives_an_equal_row(protocol):
    """With every protocol."""
    for one in (change("2001:db8::/32", via="fe80::1"), Route(route())):
        again = pickle.loads(pickle.dumps(one, protocol))

        assert one == again
        assert type(one) is type(again)


@pytest.mark.parametrize("one", [change(), Route(route())], ids=["change", "route"])
def test_a_copy_is_the_row_itself(one):
    """One made of its bytes lost the namespace it was of."""
    assert one is copy.copy(one)
    assert one is copy.deepcopy(one)
    assert one is copy.deepcopy([one])[0]


def test_a_row_derived_from_another_is_checked():
    """The private way of a replay's snapshot; it takes what RouteChange() takes."""
    one, other = change(), change("2001:db8::/32")

    assert other == one._with(other.raw)
    with pytest.raises(ValueError, match="128 bytes expected, got 127"):
        one._with(other.raw[:-1])
    with pytest.raises(ValueError, match="no record"):
        one._with(record(prefix_length=33))


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"type": 0, "ip_version": 0, "prefix_length": 0}, "type 0 without a row"),
        ({"type": 1, "ip_version": 0, "prefix_length": 0}, "type 1 without a row"),
        ({"type": 2, "ip_version": 0, "prefix_length": 0}, "type 2 without a row"),
        ({"merged": 0}, "stands for no change"),
        ({"type": 16, "ip_version": 0, "prefix_length": 0, "merged": 0}, "no change"),
    ],
)
def test_records_are_what_a_monitor_delivers(fields, why):
    """As docs/batches.md says of ip_version and merged: changes, batches, routes.

    Broken was: 128 zeros were a PARAMETER of no row.
    """
    with pytest.raises(ValueError, match=why):
        RouteChange(record(**fields))
    with pytest.raises(ValueError, match="from 128 on"):
        routenotify.RouteBatch(record() + record(**fields))
    with pytest.raises(ValueError, match=why):
        Route(route(**fields))


# ---- Route ----


def test_every_attribute_of_a_route():
    """Decoded as the header says."""
    metrics = [0] * 18
    metrics[2], metrics[8], metrics[10] = 1400, 1360, 64
    one = Route(
        route(
            rest={
                "expires_ns": 5,
                "valid_lifetime": 2**32 - 1,
                "preferred_lifetime": 7,
                "age": 8,
                "origin": 2,
                "realms": 10,
                "route_flags": 11,
                "metrics": tuple(metrics),
                "metrics_mask": 1 << 2 | 1 << 8 | 1 << 10,
                "effective_metric": 2**32 - 1,
                "congestion": b"cubic",
                "encap_type": 4,
                "site_prefix_length": 48,
                "loopback": 1,
                "immortal": 1,
            }
        )
    )

    assert 5 == one.expires_ns
    assert one.valid_lifetime is None
    assert 7 == one.preferred_lifetime
    assert 8 == one.age
    assert 2 == one.origin
    assert 10 == one.realms
    assert 11 == one.route_flags
    assert {"mtu": 1400, "advmss": 1360, "hoplimit": 64} == one.metrics
    assert one.effective_metric is None
    assert "cubic" == one.congestion
    assert 4 == one.encap_type
    assert 48 == one.site_prefix_length
    got = [one.loopback, one.autoconfigure, one.publish, one.immortal]
    assert [True, False, False, True] == got
    assert {"mtu": 1400, "advmss": 1360, "hoplimit": 64} == one.to_dict()["metrics"]
    json.dumps(one.to_dict())


def test_a_congestion_name_without_an_end_is_not_read_past():
    """16 bytes, no NUL; nor are bytes that are no text an error."""
    assert "x" * 16 == Route(route(rest={"congestion": b"x" * 16})).congestion
    assert Route(route(rest={"congestion": b"\xff"})).congestion == "\ufffd"
    assert Route(route()).congestion is None


def test_route_to_dict_spells_addresses():
    """Also those a change does not have in its own."""
    one = Route(
        route(
            "2001:db8::/32",
            prefsrc=ipaddress.ip_address("2001:db8::1").packed,
            source=ipaddress.ip_address("2001:db8:1::").packed,
            source_length=48,
        )
    )

    got = one.to_dict()
    assert "2001:db8::1" == got["preferred_source"]
    assert "2001:db8:1::/48" == got["source"]


# ---- memory ----


@pytest.mark.skipif(not hasattr(sys, "getrefcount"), reason="CPython only")
def test_attributes_leak_no_reference():
    """Each read a thousand times: no object more than before."""
    for one in (change("2001:db8::/32", via="fe80::1"), Route(route())):
        names = [name for name in dir(one) if not name.startswith("_")]
        held = [None, True, False, type(one), ChangeType.ADD, RouteType.UNICAST, one]
        # From 3.12 on None and the like are immortal: nobody counts them, but
        # what was compiled for 3.11 adds to the number all the same.
        held = [each for each in held if sys.getrefcount(each) < IMMORTAL]

        def use(one=one, names=names):
            for name in names:
                value = getattr(one, name)
                if name == "to_dict":
                    value()
            repr(one), hash(one), one == one, pickle.dumps(one)

        use()
        gc.collect()
        before = [sys.getrefcount(each) for each in held]
        blocks = sys.getallocatedblocks()
        for _ in range(1000):
            use()
        gc.collect()
        after = [sys.getrefcount(each) for each in held]

        assert all(abs(a - b) < 20 for a, b in zip(after, before, strict=True))
        assert abs(sys.getallocatedblocks() - blocks) < 200


def test_a_row_is_small():
    """The record and a header: a million of them are 160 MB, not more."""
    header = sys.getsizeof(object())  # 16; 32 in a free-threaded Python

    assert RECORD.size == 128
    assert sys.getsizeof(change()) <= 144 + header


def test_snapshot_is_a_sequence_of_rows():
    """With a place in the stream."""
    rows = [change("10.0.0.0/8"), change("11.0.0.0/8")]
    snapshot = routenotify.Snapshot(rows, 5)

    assert 5 == snapshot.sequence
    assert rows == list(snapshot)
    assert rows[1] is snapshot[1]
    assert rows[:1] == snapshot[:1]
    assert 2 == len(snapshot)
    assert rows[0] in snapshot
    assert {row.key: row for row in rows} == snapshot.to_table()
    assert "<Snapshot of 2 routes at #5>" == repr(snapshot)
