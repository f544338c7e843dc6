"""RouteBatch: a sequence, a buffer, a value. No system needed."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import random
import struct
import sys

import pytest
from rows import NAMES, RECORD, record

from routenotify import RouteBatch, RouteChange

SEED = int(os.environ.get("ROUTENOTIFY_TEST_SEED") or random.randrange(2**32))


def random_record(rng):
    """Any bytes that a record may have: every field anything it can be."""
    kind, hop = rng.choice((0, 1, 2, 3, 16, 17, 18)), rng.choice((0, 4, 6))
    version = rng.choice((4, 6) if kind < 3 else (0, 4, 6))
    longest = {0: 128, 4: 32, 6: 128}[version]
    raw = list(RECORD.unpack(rng.randbytes(RECORD.size)))
    allowed = {
        "type": kind,
        "merged": rng.randrange(1, 1 << 32),
        "ip_version": version,
        "next_hop_version": hop,
        "prefix_length": rng.randint(0, longest),
        "source_length": rng.randint(0, longest),
    }
    for name, value in allowed.items():
        raw[NAMES.index(name)] = value
    return RECORD.pack(*raw)


def numbered(count):
    """A batch of rows whose sequence is their index."""
    return RouteBatch(b"".join(record(sequence=i) for i in range(count)))


def sequences(rows):
    """What tells the rows of `numbered` apart."""
    return [row.sequence for row in rows]


def test_rows_of_a_batch_are_the_changes_of_their_bytes():
    """Random records of every shape, each equal to the RouteChange of its own."""
    print(f"ROUTENOTIFY_TEST_SEED={SEED}")
    rng = random.Random(SEED)
    raws = [random_record(rng) for _ in range(500)]
    batch = RouteBatch(b"".join(raws))

    assert len(raws) == len(batch)
    assert [RouteChange(raw) for raw in raws] == list(batch)
    assert raws == [row.raw for row in batch]
    assert b"".join(raws) == bytes(batch)


@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_indices_and_slices_are_those_of_a_list(count):
    """Every start, stop and step around the ends; nested too."""
    batch, rows = numbered(count), list(range(count))
    edges = [None, *range(-count - 2, count + 3), -sys.maxsize, sys.maxsize]
    steps = [None, -sys.maxsize, -3, -2, -1, 1, 2, 3, sys.maxsize]

    for i in range(-count, count):
        assert rows[i] == batch[i].sequence
    for start in edges:
        for stop in edges:
            for step in steps:
                part = batch[start:stop:step]
                want = rows[start:stop:step]
                assert want == sequences(part)
                assert len(want) == len(part)
                assert want[::-2] == sequences(part[::-2])
                assert want[1:] == sequences(part[1:])


@pytest.mark.parametrize("index", [3, -4, sys.maxsize, 2**70, -(2**70)])
def test_an_index_outside_is_an_index_error(index):
    """As of a list."""
    with pytest.raises(IndexError):
        numbered(3)[index]


def test_an_index_of_another_type_is_a_type_error():
    """The message has the type."""
    with pytest.raises(TypeError, match="integers or slices, not <class 'str'>"):
        numbered(3)["sequence"]


def test_batches_are_equal_when_their_rows_are():
    """Slices with a step too; never to anything else."""
    batch = numbered(6)

    assert numbered(6) == batch
    assert numbered(5) != batch
    assert numbered(5) == batch[:5]
    assert batch[::2] == RouteBatch(bytes(batch[::2]))
    assert batch[::2] != batch[1::2]
    assert batch[::-1][::-1] == batch
    assert numbered(0) == batch[3:3]
    assert list(batch) != batch
    assert bytes(batch) != batch
    with pytest.raises(TypeError, match="<"):
        assert batch < batch
    with pytest.raises(TypeError, match="hash"):
        hash(batch)


def test_repr_says_how_many_and_which():
    """Not the rows."""
    assert "<RouteBatch of 0 changes>" == repr(numbered(0))
    assert "<RouteBatch of 1 change #0>" == repr(numbered(1))
    assert "<RouteBatch of 5 changes #0..#4>" == repr(numbered(5))
    assert "<RouteBatch of 3 changes #4..#0>" == repr(numbered(5)[::-2])


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_batch_can_be_pickled_and_copied(protocol):
    """And so can a part of it, without the rest."""
    batch = numbered(100)

    assert batch == pickle.loads(pickle.dumps(batch, protocol))
    assert batch[::7] == pickle.loads(pickle.dumps(batch[::7], protocol))
    assert len(pickle.dumps(batch[:1], protocol)) < 1000
    assert batch is copy.deepcopy(batch)  # its rows lost their namespace
    assert batch is copy.copy(batch)


@pytest.mark.parametrize("size", [1, 127, 129, 255])
def test_bytes_that_are_no_records_are_a_value_error(size):
    """Their number."""
    with pytest.raises(ValueError, match=f"multiple of 128 bytes expected, got {size}"):
        RouteBatch(b"\1" * size)


def test_a_record_that_is_none_is_a_value_error():
    """It says where."""
    bad = record(prefix_length=33)

    with pytest.raises(ValueError, match="from 256 on are no record"):
        RouteBatch(record() + record() + bad + record())


def test_what_is_no_buffer_is_a_type_error():
    """As are names and too many."""
    for wrong in (None, "x", 3, [record()]):
        with pytest.raises(TypeError):
            RouteBatch(wrong)
    with pytest.raises(TypeError):
        RouteBatch()
    with pytest.raises(TypeError):
        RouteBatch(b"", b"")
    with pytest.raises(TypeError, match="keyword"):
        RouteBatch(raw=b"")


def test_it_can_neither_be_written_nor_extended():
    """No item, no attribute, no buffer, no subclass."""
    batch = numbered(2)

    with pytest.raises(TypeError):
        batch[0] = batch[1]
    with pytest.raises(TypeError):
        del batch[0]
    with pytest.raises(AttributeError):
        batch.x = 1
    with pytest.raises(TypeError, match="read-write"):
        struct.pack_into("B", batch, 0, 1)
    assert memoryview(batch).readonly
    with pytest.raises(TypeError):
        type("Mine", (RouteBatch,), {})


# ---- the buffer ----


def test_the_buffer_is_the_records():
    """One dimension, 128 bytes each."""
    batch = numbered(3)
    view = memoryview(batch)

    assert (3,) == view.shape
    assert (128,) == view.strides
    assert 128 == view.itemsize
    assert view.c_contiguous
    assert b"".join(row.raw for row in batch) == view.tobytes()
    assert bytes(batch) == view.cast("B").tobytes()


def test_slices_share_memory_and_have_strides():
    """No row is copied, backwards either."""
    batch = numbered(10)
    part = memoryview(batch[8:1:-3])

    assert (3,) == part.shape
    assert (-384,) == part.strides
    assert not part.c_contiguous
    assert batch[8].raw + batch[5].raw + batch[2].raw == part.tobytes()
    with pytest.raises(BufferError, match="gaps"):
        struct.unpack_from("B", batch[::2])
    assert (0,) == struct.unpack_from("=Q", batch[:2])


def test_the_format_names_every_field_of_the_record():
    """In their order, with the sizes the header has; padding would shift them."""
    text = memoryview(numbered(1)).format
    inner = text.removeprefix("T{=").removesuffix("}")
    parts = inner.split(":")[:-1]
    codes, names = parts[::2], parts[1::2]
    renamed = {"prefsrc": "preferred_source", "weight": "weight_less_one"}

    assert [renamed.get(name, name) for name in NAMES] == names
    flat = "=" + "".join(codes).replace("(16)B", "16s")
    assert RECORD.size == struct.calcsize(flat)
    assert struct.calcsize("=QqQ16s16s16s16s6I2H12B") == RECORD.size
    assert RECORD.unpack(record()) == struct.unpack(flat, record())


def test_memory_lives_as_long_as_anything_looks_at_it():
    """A slice, a view of a slice, an iterator."""
    view = memoryview(numbered(5)[1::2])
    rows = iter(numbered(3)[::-1])
    gc.collect()

    assert [1, 3] == [struct.unpack_from("=Q", view.tobytes(), i)[0] for i in (0, 128)]
    assert [2, 1, 0] == sequences(rows)


def test_a_slice_of_a_slice_keeps_the_block_not_the_slice():
    """Chains do not grow: every part refers to the batch with the block."""
    batch = numbered(4)
    part = batch[:]
    of_batch, of_part = sys.getrefcount(batch), sys.getrefcount(part)
    parts = [part[::-1], part[1:][1:]]

    assert of_part == sys.getrefcount(part)
    assert of_batch + len(parts) == sys.getrefcount(batch)
    parts.clear()
    assert of_batch == sys.getrefcount(batch)


def test_a_batch_needs_no_garbage_collection():
    """It is in no cycle."""
    assert not gc.is_tracked(numbered(2))
    assert not gc.is_tracked(numbered(2)[:1])
