"""A RouteBatch as a table: pyarrow, polars, duckdb, pandas."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import random
import threading
from collections import Counter

import pytest
import rnlab
from rows import NAMES, RECORD, record

import routenotify
from routenotify import RouteBatch, RouteType

pa = pytest.importorskip("pyarrow")
pl = pytest.importorskip("polars")
duckdb = pytest.importorskip("duckdb")
pd = pytest.importorskip("pandas")
np = pytest.importorskip("numpy")

SEED = int(os.environ.get("ROUTENOTIFY_TEST_SEED") or random.randrange(2**32))


def random_record(rng):
    """Any bytes that a record may have, zeros among them."""
    kind, hop = rng.choice((0, 1, 2, 3, 16, 17, 18)), rng.choice((0, 4, 6))
    version = rng.choice((4, 6) if kind < 3 else (0, 4, 6))
    longest = {0: 128, 4: 32, 6: 128}[version]
    raw = [
        rng.choice((value, type(value)()))
        for value in RECORD.unpack(rng.randbytes(128))
    ]
    raw = dict(zip(NAMES, raw, strict=True))
    raw |= {
        "type": kind,
        "merged": rng.choice((1, rng.randrange(1, 1 << 32))),
        "ip_version": version,
        "next_hop_version": hop,
        "prefix_length": rng.randint(0, longest),
        "source_length": rng.randint(0, longest),
        "time_ns": rng.randrange(2**62),
    }
    return RECORD.pack(*raw.values())


def random_batch(count):
    """A batch of them; prints its seed."""
    print(f"ROUTENOTIFY_TEST_SEED={SEED}")
    rng = random.Random(SEED)
    return RouteBatch(b"".join(random_record(rng) for _ in range(count)))


def expected(change):
    """The cells of a row by what RouteChange says, without text of addresses."""
    fields = dict(zip(NAMES, RECORD.unpack(change.raw), strict=True))
    route = fields["ip_version"] != 0
    said = change.table is not None
    kind = change.route_type
    return {
        "type": change.type.name,
        "family": {4: "inet", 6: "inet6", 0: None}[fields["ip_version"]],
        "prefix_length": fields["prefix_length"] if route else None,
        "destination_bytes": fields["destination"] if route else None,
        "interface_index": change.interface_index,
        "interface_luid": change.interface_luid,
        "table": change.table,
        "protocol": change.protocol,
        "metric": change.metric,
        "route_type": (
            None
            if not said
            else kind.name.lower()
            if isinstance(kind, RouteType)
            else "unknown"
        ),
        "cause": change.cause,
        "sequence": change.sequence,
        "merged": change.merged,
        "scope": change.scope,
        "tos": change.tos,
        "mtu": change.mtu,
        "weight": change.weight,
        "nexthop_id": change.nexthop_id,
        "flags": change.flags,
        "preference": change.preference,
        "ordinal": change.ordinal,
    }


@pytest.mark.parametrize("cut", [slice(None), slice(None, None, -3), slice(5, 5)])
def test_the_cells_are_the_attributes_of_the_changes(cut):
    """Every column of random records of every shape; valid by Arrow's own check."""
    batch = random_batch(700)[cut]
    table = pa.record_batch(batch)
    table.validate(full=True)

    assert len(batch) == table.num_rows
    names = set(table.schema.names)
    rows = table.drop_columns(["time_ns"]).to_pylist()
    times = table.column("time_ns").cast(pa.int64()).to_pylist()
    for change, cells, time_ns in zip(batch, rows, times, strict=True):
        want = expected(change)
        assert want == {name: cells[name] for name in want}
        assert change.time_ns == time_ns
        for name in ("destination", "next_hop", "source", "preferred_source"):
            value = getattr(change, name)
            assert (value is None) == (cells[name] is None), name
            if value is not None:  # a random one has bits behind its length
                read = ipaddress.ip_interface(cells[name])
                assert value in (read.network, read.ip), name
        assert change.to_dict()["destination"] == cells["destination"]
        assert names == {
            *want,
            *("time_ns", "destination", "next_hop", "source", "preferred_source"),
        }


def test_types_are_those_a_person_would_want():
    """Times are times, names are categories, absence is null."""
    schema = pa.schema(RouteBatch(b""))
    names = pa.dictionary(pa.int8(), pa.string())

    assert pa.timestamp("ns", "UTC") == schema.field("time_ns").type
    assert names == schema.field("type").type == schema.field("cause").type
    assert pa.string() == schema.field("destination").type
    assert pa.binary(16) == schema.field("destination_bytes").type
    assert not schema.field("sequence").nullable
    assert schema.field("metric").nullable
    for name in ("type", "cause", "sequence", "merged", "time_ns"):
        assert not schema.field(name).nullable


def test_pyarrow_takes_a_batch_by_each_of_its_doors():
    """record_batch, table, array, a reader; and the schema alone."""
    batch = random_batch(50)
    one = pa.record_batch(batch)

    assert one == pa.table(batch).to_batches()[0]
    assert one == pa.RecordBatchReader.from_stream(batch).read_all().to_batches()[0]
    assert pa.array(batch) == one.to_struct_array()
    assert one.schema == pa.schema(batch)
    wish = pa.schema([("sequence", pa.int64())]).__arrow_c_schema__()
    whole = pa.RecordBatch._import_from_c_capsule(*batch.__arrow_c_array__(wish))
    assert one == whole


def test_an_empty_batch_is_an_empty_table():
    """With all its columns."""
    empty = RouteBatch(b"")

    assert (0, 26) == pa.record_batch(empty).shape == pl.DataFrame(empty).shape
    pa.table(empty).validate(full=True)
    assert [] == duckdb.sql("select destination from empty").fetchall()
    assert 0 == len(pa.table(empty).to_pandas())


def test_polars_takes_a_batch(netns):
    """Real changes, of two families."""
    changes, batch = real_changes(netns)
    frame = pl.DataFrame(batch)

    assert [str(one.destination) for one in changes] == frame["destination"].to_list()
    assert [one.time_ns for one in changes] == (
        frame["time_ns"].dt.timestamp("ns").to_list()
    )
    counts = frame.group_by("type").len().rows()
    assert Counter(one.type.name for one in changes) == dict(counts)
    assert frame.filter(pl.col("type") == "DELETE").height == sum(
        one.type.name == "DELETE" for one in changes
    )
    assert frame.equals(pl.from_arrow(batch).struct.unnest()) or frame.equals(
        pl.from_arrow(batch)
    )


def test_polars_puts_batches_of_one_stream_together():
    """Their categories are the same."""
    batch = random_batch(300)
    parts = pl.concat([pl.DataFrame(batch[i : i + 100]) for i in (0, 100, 200)])

    assert pl.DataFrame(batch).equals(parts)


def test_duckdb_takes_a_batch(netns):
    """By the name of the variable."""
    changes, batch = real_changes(netns)  # noqa: RUF059, duckdb finds it
    found = duckdb.sql(
        "select type, count(*), min(sequence) from batch group by type order by 3"
    ).fetchall()

    want = {}
    for one in changes:
        count, first = want.get(one.type.name, (0, one.sequence))
        want[one.type.name] = (count + 1, first)
    assert [(name, *rest) for name, rest in want.items()] == found
    gateways = duckdb.sql("select next_hop from batch where next_hop is not null")
    assert {str(one.next_hop) for one in changes if one.next_hop} == {
        gateway for (gateway,) in gateways.fetchall()
    }


def test_pandas_takes_a_batch(netns):
    """Through pyarrow, and itself where it can."""
    changes, batch = real_changes(netns)
    frame = pa.table(batch).to_pandas()

    assert [one.sequence for one in changes] == frame["sequence"].tolist()
    assert [one.cause for one in changes] == frame["cause"].tolist()
    first = dt.datetime.fromtimestamp(changes[0].time_ns // 10**9, dt.UTC)
    assert first == frame["time_ns"][0].floor("s").to_pydatetime()
    if hasattr(pd.DataFrame, "from_arrow"):
        assert frame["type"].tolist() == pd.DataFrame.from_arrow(batch)["type"].tolist()


def real_changes(netns):
    """What two monitors saw of one history: objects and a batch."""
    netns.veth("v0", "192.0.2.1/24", "2001:db8:ffff::1/64")
    with routenotify.RouteMonitor() as lists, routenotify.RouteMonitor() as blocks:
        lines = [f"route add 198.51.{i}.0/24 via 192.0.2.{i + 2}" for i in range(40)]
        lines += [f"-6 route add 2001:db8:{i:x}::/48 dev v0" for i in range(20)]
        lines += [f"route del 198.51.{i}.0/24" for i in range(0, 40, 3)]
        netns.batch(line for line in lines if not line.startswith("-6"))
        for line in lines:
            if line.startswith("-6"):
                netns.ip(line)
        lists.resync()
        blocks.resync()
        rnlab.wait_for(lambda: lists.stats.received == blocks.stats.received)
        batch = blocks.batch()
        return lists.drain(), batch


def test_what_arrow_has_lives_without_the_batch():
    """And dies on another thread, without the interpreter's help."""
    batch = random_batch(5000)
    want = pa.record_batch(batch).to_pydict()
    table = pa.table(RouteBatch(bytes(batch)))
    one = table.column("destination").combine_chunks()
    held = [table]
    del table
    thread = threading.Thread(target=held.clear)
    thread.start()
    thread.join()

    assert want["destination"] == one.to_pylist()


def test_a_million_rows_are_aggregated_by_polars():
    """One large batch; the counts are those that were put in."""
    count, tables = 1_000_000, 10
    cells = np.tile(np.frombuffer(record(via="192.0.2.1"), np.uint8), (count, 1))
    raw = cells.view(RouteBatch(record()).to_numpy().dtype).reshape(count)
    index = np.arange(count)
    raw["sequence"] = index + 1
    raw["table"] = index % tables
    raw["type"] = np.where(index % 3 == 0, 2, 1)
    raw["destination"][:, :4] = (
        (0x0A000000 + index).astype(">u4").view(np.uint8).reshape(count, 4)
    )
    halves = [RouteBatch(raw[:600_000].tobytes()), RouteBatch(raw[600_000:].tobytes())]
    batch = RouteBatch(b"".join(halves))
    frame = pl.DataFrame(batch)

    found = frame.group_by("table", "type").len().sort("table", "type")
    want = Counter((int(i % tables), "DELETE" if i % 3 == 0 else "ADD") for i in index)
    assert want == {(table, kind): rows for table, kind, rows in found.rows()}
    assert count == frame["destination"].n_unique()
    assert "10.15.66.63/24" == frame["destination"][-1]
    assert count * (count + 1) // 2 == frame["sequence"].sum()
