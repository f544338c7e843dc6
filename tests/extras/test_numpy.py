"""A RouteBatch as a structured array."""

from __future__ import annotations

import gc
import ipaddress
import random
import subprocess
import sys

import pytest
import rnlab
from rows import NAMES, record

import routenotify
from routenotify import RouteBatch

np = pytest.importorskip("numpy")

SAME = (
    *("sequence", "time_ns", "merged", "ordinal", "flags", "type"),
    *("table", "metric", "protocol", "route_type", "scope", "tos"),
)
"""Fields whose number is that of the attribute, where the attributes are said."""


def shapes():
    """Records of every shape the native layer makes."""
    return [
        record(),
        record("2001:db8::/32", via="fe80::1", type=2, cause=4, metric=1024),
        record("0.0.0.0/0", via="192.0.2.1", protocol=186, table=2**32 - 1),
        record("198.51.100.0/24", via="2001:db8::1", weight=255, mtu=1400),
        record(type=16, ip_version=0, destination=b"", prefix_length=0, fields=0),
        record(interface_luid=2**63 + 5, fields=0, table=0, protocol=0),
        record("10.0.0.0/8", route_type=6, interface_index=0, sequence=2**63),
    ]


def test_numpy_takes_the_buffer_as_it_is():
    """The same memory, read-only, with the record's fields and no padding."""
    batch = RouteBatch(b"".join(shapes()))
    array = batch.to_numpy()

    assert (len(batch),) == array.shape
    assert 128 == array.dtype.itemsize
    assert len(NAMES) == len(array.dtype.names)
    assert not array.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        array["metric"] = 1
    for same in (np.asarray(batch), np.frombuffer(batch, array.dtype), np.array(batch)):
        assert array.dtype == same.dtype
        assert array.tobytes() == same.tobytes()
    assert np.shares_memory(array, np.asarray(batch))
    assert np.shares_memory(array, batch[2:].to_numpy())


def test_the_fields_are_the_attributes():
    """Row by row; addresses as 16 bytes in network order."""
    batch = RouteBatch(b"".join(shapes()))
    for row, cells in zip(batch, batch.to_numpy(), strict=True):
        for name in SAME:
            if getattr(row, name) is not None:
                assert getattr(row, name) == cells[name], name
        version = int(cells["ip_version"])
        assert (row.destination is None) == (version == 0)
        if version:
            size = 4 if version == 4 else 16
            address = ipaddress.ip_address(cells["destination"].tobytes()[:size])
            assert row.destination.network_address == address
            assert row.destination.prefixlen == cells["prefix_length"]
        assert (row.next_hop is None) == (cells["next_hop_version"] == 0)
        assert (row.weight or 1) - 1 in (cells["weight_less_one"], 0)


def test_slices_are_strided_views():
    """As NumPy's own would be."""
    raws = [record(sequence=i) for i in range(20)]
    batch = RouteBatch(b"".join(raws))
    array = batch.to_numpy()

    for cut in (slice(3, None), slice(None, None, -1), slice(15, 2, -4), slice(9, 9)):
        assert (
            array[cut].strides == batch[cut].to_numpy().strides or len(batch[cut]) < 2
        )
        assert array[cut].tobytes() == batch[cut].to_numpy().tobytes()
    assert np.shares_memory(array, batch[::-3].to_numpy())


def test_an_empty_batch_is_an_empty_array():
    """With the same dtype."""
    array = RouteBatch(b"").to_numpy()

    assert (0,) == array.shape
    assert RouteBatch(record()).to_numpy().dtype == array.dtype


def test_the_array_keeps_the_memory(netns):
    """Monitor and batch are gone, the rows are not."""
    netns.veth("v0", "192.0.2.1/24")

    def some_rows():
        with routenotify.RouteMonitor() as monitor:
            netns.batch(f"route add 198.51.{i}.0/24 dev v0" for i in range(100))
            rnlab.wait_for(lambda: monitor.stats.queued == 100)
            return monitor.batch().to_numpy()

    array = some_rows()
    gc.collect()
    garbage = [bytes(12800) for _ in range(100)]

    assert list(range(1, 101)) == array["sequence"].tolist()
    assert [198, 51, 99, 0] == array["destination"][99, :4].tolist()
    assert len(garbage) == 100


def test_an_array_makes_a_batch_again():
    """Selected by NumPy, read as changes."""
    rng = random.Random(7)
    raws = [record(sequence=i, metric=rng.randrange(3)) for i in range(50)]
    batch = RouteBatch(b"".join(raws))
    array = batch.to_numpy()
    cheap = RouteBatch(array[array["metric"] == 0].tobytes())

    assert [row for row in batch if row.metric == 0] == list(cheap)


def test_the_next_batch_uses_the_memory_of_the_last():
    """Of about its size; but none that is still looked at."""

    def address(batch):
        return batch.to_numpy().__array_interface__["data"][0]

    raw = record() * 5000
    kept = RouteBatch(raw)
    first = address(RouteBatch(raw))
    array = RouteBatch(record(sequence=1) * 5000).to_numpy()

    assert first == array.__array_interface__["data"][0]
    assert first != address(RouteBatch(raw)) != address(kept)
    del array
    assert first == address(RouteBatch(record() * 4500))
    assert first != address(RouteBatch(record() * 600))
    assert first == address(RouteBatch(raw))
    assert kept.to_numpy().tobytes() == raw


def test_without_numpy_the_error_names_it():
    """In an interpreter that cannot import it."""
    code = (
        "import sys\n"
        "sys.modules['numpy'] = None\n"
        "from routenotify import RouteBatch\n"
        "try:\n"
        "    RouteBatch(b'').to_numpy()\n"
        "except ModuleNotFoundError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=60
    )

    want = "RouteBatch.to_numpy() needs the package numpy, which is not installed\n"
    assert (want, "") == (done.stdout, done.stderr)
