"""Recordings: what is written is read again, to the byte, whatever its format."""

from __future__ import annotations

import io
import ipaddress
import json
import os
import random
import struct
import sys
from pathlib import Path

import pytest
import rows

import routenotify
from routenotify._cli._format import Columns
from routenotify._cli._story import Story
from routenotify._recording import _netlink as nl
from routenotify._recording._json import to_json
from routenotify._recording._open import format_of_name, reader, writer
from routenotify._recording._row import SIZE

FORMATS = ("rtmon", "json")
SEED = int(os.environ.get("ROUTENOTIFY_TEST_SEED") or random.randrange(1 << 32))
CORPUS = Path(__file__).parents[1] / "fuzz" / "corpus" / "rtnl"


def written(changes, kind):
    """The bytes of a recording."""
    file = io.BytesIO()
    out = writer(file, kind)
    for change in changes:
        out.write(change)
    return file.getvalue()


def read(data):
    """The changes of a recording, and what it ends with: an error or None."""
    found = []
    file = io.BufferedReader(io.BytesIO(data))
    try:
        found.extend(map(routenotify.RouteChange, reader(file, "file", {})))
    except routenotify.RecordingError as error:
        return found, error
    return found, None


def random_address(rng, version):
    """Any one; all zeros now and then."""
    size = 4 if version == 4 else 16
    return rng.randbytes(size) if rng.random() < 0.9 else bytes(size)


def marker(**fields):
    """A change without a row."""
    values = dict.fromkeys(rows.NAMES, 0)
    values |= dict.fromkeys(("destination", "next_hop", "source", "prefsrc"), b"")
    return routenotify.RouteChange(rows.RECORD.pack(*(values | fields).values()))


def random_change(rng):
    """Any change that a monitor can deliver."""
    numbers = {
        "sequence": rng.randrange(1 << 63),
        "time_ns": rng.randrange(1 << 62),
        "merged": rng.randrange(1, 1 << 32),
        "cause": rng.randrange(13),
    }
    if rng.random() < 0.1:
        return marker(type=rng.choice([3, 16, 17, 18]), **numbers)
    version = rng.choice([4, 6])
    bits = 32 if version == 4 else 128
    length = rng.randrange(bits + 1)
    destination = ipaddress.ip_network(
        (random_address(rng, version), length), strict=False
    )
    hop_version = rng.choice([0, version, 6])
    fields = {
        "type": rng.randrange(3),
        "next_hop_version": hop_version,
        "next_hop": random_address(rng, hop_version) if hop_version else b"",
        "prefsrc": random_address(rng, version),
        "source_length": rng.randrange(129) if version == 6 else 0,
        "interface_luid": rng.choice([0, rng.randrange(1 << 64)]),
        "interface_index": rng.choice([0, rng.randrange(1 << 31)]),
        "protocol": rng.randrange(1 << 16),
        "ordinal": rng.randrange(1 << 16),
        "fields": rng.choice([1, *([0x11, 0x31] if version == 6 else [])]),
    }
    source = (random_address(rng, 6), fields["source_length"])
    if fields["source_length"]:
        network = ipaddress.ip_network(source, strict=False)
        fields["source"] = network.network_address.packed
    fields |= {
        name: rng.choice([0, rng.randrange(1 << 32)])
        for name in ("table", "metric", "nexthop_id", "mtu")
    }
    fields |= {
        name: rng.randrange(256)
        for name in ("route_type", "scope", "tos", "flags", "weight")
    }
    if rng.random() < 0.1:  # what Windows says
        none = ("table", "route_type", "scope", "tos", "weight")
        fields |= dict.fromkeys(none, 0) | {"fields": 9}
    return rows.change(str(destination), **numbers, **fields)


def few_changes():
    """A recording of every kind of change, not long."""
    return [
        marker(type=3, merged=1, time_ns=1),
        rows.change("10.0.0.0/8", via="192.0.2.1", type=1, cause=1, time_ns=1),
        rows.change("2001:db8::/32", via="fe80::1", type=1, metric=1024, time_ns=2_000),
        rows.change("10.0.0.0/8", via="192.0.2.1", type=0, mtu=1400, time_ns=3_000),
        rows.change("10.0.0.0/8", via="192.0.2.1", type=2, cause=4, time_ns=4_000),
    ]


def message(*attributes, length=24, family=2):
    """A new route as a kernel tells it, of (kind, bytes) attributes."""
    body = bytes((family, length, 0, 0, 254, 3, 0, 1)) + bytes(4)
    for kind, data in attributes:
        body += nl.ATTRIBUTE.pack(4 + len(data), kind) + data
        body += bytes(-len(data) % 4)
    return nl.HEADER.pack(nl.HEADER.size + len(body), nl.NEWROUTE, 0, 1, 0) + body


DESTINATION = (1, bytes((10, 0, 0, 0)))
DESTINATION6 = (1, bytes((0x20, 1, 0xD, 0xB8)) + bytes(12))
VIA = (5, bytes((192, 0, 2, 1)))
HOP = struct.pack("=HBBi", 8, 0, 0, 2)
HOPS = struct.pack("=HBBi", 16, 0, 0, 2) + nl.attribute(*VIA) + HOP
METRICS = nl.attribute(2, nl.U32.pack(1400)) + nl.attribute(4, nl.U32.pack(9))


def few_messages():
    """Routes of many attributes, and ours with the record in it."""
    oif, metric = (4, nl.U32.pack(2)), (6, nl.U32.pack(1024))
    yield message(DESTINATION, VIA, oif, metric, (7, VIA[1]), (8, METRICS))
    yield message(DESTINATION, (15, nl.U32.pack(1000)), (9, HOPS))
    yield message(DESTINATION, (18, b"\x0a\0" + DESTINATION6[1]), oif, (30, bytes(4)))
    yield message(DESTINATION6, oif, metric, (20, b"\3"), (8, METRICS), family=10)
    recorded = written(few_changes(), "rtmon")
    for one in nl.read_messages(io.BytesIO(recorded), ""):
        if one.type in (nl.NEWROUTE, nl.DELROUTE):
            yield nl.message(one.type, one.flags, one.body)


MESSAGES = [*few_messages()]


@pytest.mark.parametrize("kind", FORMATS)
def test_random_changes_come_back_to_the_byte(kind):
    """Every member of every record: cause, nanoseconds, ordinal, all."""
    print(f"ROUTENOTIFY_TEST_SEED={SEED}")
    rng = random.Random(SEED)
    changes = [random_change(rng) for _ in range(2000)]
    found, error = read(written(changes, kind))

    assert None is error
    assert changes == found


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_cut_anywhere_gives_what_is_whole_and_says_where_it_ends(kind):
    """At every byte: no change too few, none too many, the offset exact."""
    changes = few_changes()
    data = written(changes, kind)
    ends = [len(written(changes[: n + 1], kind)) for n in range(len(changes))]
    starts = {0, len(data)}
    if kind == "rtmon":
        file = io.BytesIO(data)
        starts |= {message.offset for message in nl.read_messages(file, "")}
    else:
        starts |= set(ends)
        ends = [end - 1 for end in ends]  # a line is whole without its end
    for cut in range(len(data) + 1):
        whole = sum(end <= cut for end in ends)
        found, error = read(data[:cut])

        assert changes[:whole] == found, cut
        if cut in starts or (kind == "json" and cut in ends):
            assert None is error, cut
        else:
            assert max(start for start in starts if start <= cut) == error.offset
            assert "file" == error.path


def with_wrong_bytes(rng, kind):
    """A recording in which some bytes are others."""
    data = bytearray(written(few_changes(), kind))
    for _ in range(rng.randrange(1, 4)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)


ODD = [
    *(None, True, -1, 0, 1.5, 255, 256, 1 << 31, 1 << 32, 1 << 64, float("nan")),
    *("", "x", "ADD", "INITIAL", "10.0.0.1/8", "::/0", "::1", "\udcff"),
    *([], [1], {}, {"type": "ADD"}),
]


def with_a_wrong_value(rng, kind):
    """Whole lines, or whole messages, of which one says what it cannot."""
    if kind == "rtmon":
        return rng.choice(MESSAGES) + wrong_message(rng, rng.choice(MESSAGES))
    if rng.random() < 0.01:
        return b'{"type": ' + b"[" * 30_000 + b"\n"
    values = to_json(rng.choice(few_changes()))
    for _ in range(rng.randrange(1, 3)):
        others = [*values.values()]
        values[rng.choice([*values])] = rng.choice([rng.choice(others), *ODD])
    return json.dumps(values).encode() + b"\n"


def wrong_message(rng, data):
    """A message with one of its attributes, or of the bytes before them, wrong."""
    _, kind, flags, _, _ = nl.HEADER.unpack_from(data)
    head, rest = bytearray(data[16:28]), data[28:]
    if rng.random() < 0.3:
        head[rng.randrange(len(head))] = rng.choice([0, 1, 32, 33, 129, 255])
    kind = kind ^ 1 if rng.random() < 0.1 else kind  # NEWROUTE, DELROUTE
    return nl.message(kind, flags, bytes(head) + wrong_attributes(rng, rest))


def wrong_attributes(rng, data):
    """Attributes of which one has another payload, or is of another kind."""
    found = [*nl.attributes(data).items()]
    if not found:
        return rng.randbytes(rng.randrange(9))
    at = rng.randrange(len(found))
    kind, payload = found[at]
    if kind == 8 and rng.random() < 0.5:
        payload = wrong_attributes(rng, payload)
    elif kind == 9 and rng.random() < 0.8:
        payload = wrong_hop(rng, payload)
    else:
        lengths = [0, 1, len(payload) - 1, len(payload), len(payload) + 1]
        payload = rng.randbytes(max(0, rng.choice(lengths)))
    if rng.random() < 0.2:
        kind = rng.randrange(32)
    found[at] = kind, payload
    return b"".join(nl.attribute(*one) for one in found)


def wrong_hop(rng, data):
    """Hops of a multipath route, the first with another head or attribute."""
    length, flags, weight, _ = struct.unpack_from("=HBBi", data)
    inside, rest = data[8:length], data[length:]
    if rng.random() < 0.5:
        inside = wrong_attributes(rng, inside)
    index = rng.choice([-(1 << 31), -1, 0, 7, (1 << 31) - 1])
    return struct.pack("=HBBi", 8 + len(inside), flags, weight, index) + inside + rest


@pytest.mark.parametrize("damage", [with_wrong_bytes, with_a_wrong_value])
@pytest.mark.parametrize("kind", FORMATS)
def test_a_damaged_file_never_raises_anything_else(kind, damage):
    """Changes that every command can show, or a RecordingError inside the file.

    An interface_index that was a list raised a TypeError, deep nesting a
    RecursionError, an empty RTA_PREF an IndexError, a hop through interface -1 a
    struct.error; an ADD without a destination was let through to the commands.
    """
    print(f"ROUTENOTIFY_TEST_SEED={SEED}")
    rng = random.Random(SEED)
    refused = 0
    for _ in range(1000):
        data = damage(rng, kind)
        found, error = read(data)
        story = Story()
        for change in found:
            with_row = change.type <= routenotify.ChangeType.DELETE
            assert with_row == (change.destination is not None)
            Columns(colour=False).change(change)
            json.dumps(to_json(change))
            story.add(change)
        story.to_json(3)

        assert len(found) <= len(few_changes()) + 2
        assert error is None or 0 <= error.offset <= len(data)
        refused += error is not None
    assert 100 < refused < 1000


@pytest.mark.parametrize(
    "data",
    [
        b"\x7fELF\x02\x01\x01" + bytes(32),
        b"\x89PNG\r\n\x1a\n" + bytes(32),
        b"\xd4\xc3\xb2\xa1\x02\x00\x04\x00" + bytes(32),  # pcap
        b"default via 192.0.2.1 dev eth0\n",
        bytes(64),
        b"[1, 2, 3]            \n",
    ],
    ids=["elf", "png", "pcap", "text", "zeros", "array"],
)
def test_a_foreign_file_is_refused_at_its_start(data, tmp_path):
    """Before a monitor exists, with the file's name and what it starts with."""
    path = tmp_path / "foreign"
    path.write_bytes(data)
    with pytest.raises(routenotify.RecordingError, match="offset 0: neither") as caught:
        routenotify.replay(path)

    assert (0, str(path)) == (caught.value.offset, caught.value.path)
    assert isinstance(caught.value, routenotify.RouteNotifyError | ValueError)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{}", "an object with a type"),
        ('{"type": "GONE"}', "'GONE' is none of PARAMETER, ADD"),
        ('{"type": "ADD", "destination": "10.0.0.0/40"}', "10.0.0.0/40"),
        ('{"type": "ADD", "destination": 7}', "destination=7 is no text"),
        ('{"type": "ADD", "cause": "whim"}', "'whim' is none of system, snapshot"),
        ('{"type": "ADD", "time_ns": 1.5}', "time_ns=1.5 is no whole number"),
        ('{"type": "ADD", "merged": -1}', "merged"),
        ('{"type": "ADD",\n', "delimiter|quotes|Expecting"),
        ('{"type": null}', "type=None is none of PARAMETER, ADD"),
        ('{"type": "ADD"}', "destination=None: type ADD needs one"),
        ('{"type": "INITIAL", "destination": "::/0"}', "type INITIAL has none"),
        ('{"type": "INITIAL", "interface_index": [1]}', "interface_index=.1. is no"),
        ('{"type": "INITIAL", "interface": 5}', "interface=5 is no text"),
        ('{"type": "ADD", "destination": "10.0.0.1/8"}', "=.10.0.0.1/8.: .*host bits"),
        ('{"type": "INITIAL", "family": 7}', "family=7 is none of inet, inet6"),
        ('{"type": "INITIAL", "merged": 0}', "merged=0 is out of its range"),
        (
            '{"type": "ADD", "destination": "10.0.0.0/8", "family": "inet6"}',
            "family='inet6' is not the destination's",
        ),
        (
            '{"type": "ADD", "destination": "10.0.0.0/8", "weight": 0}',
            "weight=0 is out of its range",
        ),
        (
            '{"type": "ADD", "destination": "10.0.0.0/8", "weight": 257}',
            "weight=257 is out of its range",
        ),
        (
            '{"type": "ADD", "destination": "10.0.0.0/8", "route_type": "bogus"}',
            "route_type='bogus' is none of unspec, unicast",
        ),
        (
            '{"type": "ADD", "destination": "::/0", "next_hop": "10.0.0.256"}',
            "next_hop='10.0.0.256': ",
        ),
        (
            '{"type": "ADD", "destination": "::/0", "preferred_source": "10.0.0.1"}',
            "preferred_source='10.0.0.1' is not of the destination's family",
        ),
        (
            '{"type": ' + "[" * 30_000,
            # json of 3.14 takes any depth, and misses the end.
            "nested too deeply" if sys.version_info < (3, 14) else "Expecting value",
        ),
        ('{"type": "ADD", ' + " " * 70_000 + "}", "a line of more than 65536 bytes"),
    ],
    ids=lambda text: text[:40],  # Windows has them in its environment
)
def test_a_wrong_line_is_named_with_its_reason(line, why):
    """And with its offset: the lines before it are delivered.

    A family that was none or not the destination's, a weight and a count of 0
    and, without a table, a route type that is none were passed over.
    """
    good = '{"type": "ADD", "destination": "10.0.0.0/8"}\n'
    found, error = read(f"{good}{line}\n".encode())

    assert 1 == len(found)
    assert len(good) == error.offset
    with pytest.raises(routenotify.RecordingError, match=why):
        raise error


def test_lines_of_watch_can_be_replayed():
    """They lack ordinal, flags and the like, which are zero then."""
    change = rows.change("10.0.0.0/8", via="192.0.2.1", metric=5)
    found, error = read(json.dumps(change.to_dict()).encode() + b"\n")

    assert (None, [change]) == (error, found)


def test_an_empty_file_is_a_recording_of_nothing():
    """rtmon's, that was ended at once."""
    assert ([], None) == read(b"")


def test_a_record_of_another_size_is_refused():
    """It was made by a version that this one does not know."""
    own = nl.attribute(0x124E, bytes(SIZE + 8))
    found, error = read(nl.message(nl.NOOP, 0, own))

    assert [] == found
    assert "newer version" in str(error)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.jsonl", "json"), ("a.JSON", "json"), ("a.ndjson", "json"), ("a", "rtmon")],
)
def test_the_suffix_tells_what_to_write(name, kind):
    """JSON lines by their usual suffixes, else rtmon's format."""
    assert kind == format_of_name(name)


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus is not in an sdist")
def test_messages_that_a_kernel_sent_are_understood():
    """Each feature's message, one at a time: rows come out, or none of ours."""
    understood = 0
    for path in sorted(CORPUS.iterdir()):
        data = path.read_bytes()
        if struct.unpack_from("=H", data, 4)[0] not in (nl.NEWROUTE, nl.DELROUTE):
            continue
        found, error = read(data)

        assert None is error, path.name
        understood += bool(found)
    assert understood > 20


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (message(length=33), "a prefix length of 33"),
        (message((1, bytes(3))), "an address of 3 bytes"),
        (message(DESTINATION, (4, bytes(2))), "a number of 2 bytes"),
        (message(DESTINATION, (8, bytes(3))), "an attribute is cut off"),
        (message(DESTINATION, (8, bytes(4))), "an attribute of 0 bytes"),
        (message(DESTINATION, (8, struct.pack("=HHH", 6, 2, 9))), "an MTU of 2 bytes"),
        (message(DESTINATION, (9, bytes(8))), "a next hop of 0 bytes"),
        (message(DESTINATION, (9, HOP + bytes(4))), "with a part of a hop"),
        (message(DESTINATION, (9, HOP[:4] + b"\xff" * 4)), "through interface -1"),
        (message(DESTINATION, (20, b"")), "a preference of 0 bytes"),
        (message((0x124E, rows.record(ip_version=0))), "type 1 without a row"),
        (message(DESTINATION, (9, b"")), "with a part of a hop"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_message_that_is_no_route_is_named_with_its_place(data, why):
    """What came before it is read; what it has wrong is said, and where it is."""
    whole = message(DESTINATION, (4, nl.U32.pack(2)))
    found, error = read(whole + data)

    assert ["10.0.0.0/24"] == [str(change.destination) for change in found]
    assert why in str(error)
    assert str(len(whole)) in str(error)


def link(flags):
    """Interface 2 as a kernel tells it; 0x10043: up, with its carrier."""
    return nl.message(nl.NEWLINK, 0, struct.pack("=BxHiII", 0, 1, 2, flags, 0))


@pytest.mark.parametrize(
    ("before", "flag", "after"), [(0x10043, 0x10, 0), (0x1003, 0, 0x10)]
)
def test_a_carrier_that_flaps_faster_than_the_kernel_looks(before, flag, after):
    """RTM_NEWLINK says what it said before; the route's flag went untold."""
    data = bytearray(message(DESTINATION, VIA, (4, nl.U32.pack(2))))
    data[24] = flag
    found, error = read(link(before) + bytes(data) + link(before) + link(before))

    assert error is None
    assert [(1, flag), (0, after)] == [(change.type, change.flags) for change in found]


def ra_route(flags, port, *gateways, preference=0):
    """2001:db8::/32 of protocol ra through gateways, as a kernel tells it."""
    hops = [(5, bytes((0xFE, 0x80, *bytes(13), last))) for last in gateways]
    through = [*hops, (4, nl.U32.pack(2))]
    if len(hops) > 1:
        each = [nl.attribute(*hop) for hop in hops]
        head = struct.pack("=HBBi", 8 + len(each[0]), 0, 0, 2)
        through = [(9, b"".join(head + one for one in each))]
    data = bytearray(
        message(DESTINATION6, *through, (20, bytes([preference])), length=32, family=10)
    )
    data[21] = 9  # RTPROT_RA
    nl.HEADER.pack_into(data, 0, len(data), nl.NEWROUTE, flags, 1, port)
    return bytes(data)


CREATE, REPLACE = 0x400, 0x100


@pytest.mark.parametrize(
    ("messages", "told"),
    [
        # The kernel's own: told again when its preference changes, never merged.
        ([ra_route(CREATE, 0, 1), ra_route(REPLACE, 0, 1, preference=1)], [1, 0]),
        ([ra_route(CREATE, 7, 1), ra_route(REPLACE, 0, 2, preference=1)], [1, 1]),
        ([ra_route(CREATE, 0, 1), ra_route(CREATE, 7, 2, 3)], [1, 1, 1]),
        # A program's: merged, and replaced by another sibling.
        ([ra_route(CREATE, 7, 1), ra_route(CREATE, 7, 2, 1)], [1, 1]),
        ([ra_route(CREATE, 7, 1), ra_route(REPLACE, 7, 2)], [1, 2, 1]),
        # News without flags does not say whose it is; a set that names it does.
        ([ra_route(0, 0, 1), ra_route(CREATE, 7, 2, 1)], [1, 1]),
    ],
)
def test_the_port_tells_whose_a_route_of_protocol_ra_is(messages, told):
    """0 is the kernel itself."""
    found, error = read(b"".join(messages))

    assert error is None
    assert told == [change.type for change in found]


def test_a_gateway_of_another_family_is_none():
    """MPLS, say; and the only hop of a group has the weight of any other."""
    (change,), error = read(message(DESTINATION, (9, HOP), (18, bytes(8))))

    assert None is error
    assert (2, None, 1) == (change.interface_index, change.next_hop, change.weight)
