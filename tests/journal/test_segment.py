"""Frames: what was written comes back, a torn end is left out, damage in the middle is told."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backstay.journal.segment import HEADER, SegmentWriter, frame, frames, in_use
from backstay.kernel.errors import Tampered

PAYLOADS = [b"first", b"second and longer", b"third"]


def write(path, payloads=PAYLOADS):
    path.write_bytes(b"".join(frame(p) for p in payloads))
    return path


def read(path, offset=0):
    return [payload for payload, _ in frames(path, offset)]


@settings(max_examples=60, deadline=None)
@given(payloads=st.lists(st.binary(min_size=1, max_size=60), max_size=6), data=st.data())
def test_any_cut_leaves_whole_frames_only(tmp_path_factory, payloads, data):
    path = write(tmp_path_factory.mktemp("s") / "a.seg", payloads)
    whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:cut])
    kept, end = [], 0
    for payload in payloads:
        end += HEADER.size + len(payload)
        if end <= cut:
            kept.append(payload)
    assert read(path) == kept


def test_reading_goes_on_where_it_ended(tmp_path):
    path = write(tmp_path / "a.seg")
    (_, first), *_ = frames(path)
    assert read(path, first) == PAYLOADS[1:]


@pytest.mark.parametrize("place", range(HEADER.size + len(PAYLOADS[0])))
def test_any_flipped_byte_of_a_frame_that_others_follow_is_told(tmp_path, place):
    path = write(tmp_path / "a.seg")
    spoilt = bytearray(path.read_bytes())
    spoilt[place] ^= 0x80
    path.write_bytes(spoilt)
    with pytest.raises(Tampered, match="damaged at byte 0"):
        read(path)


def test_zeros_at_the_end_are_a_torn_end(tmp_path):
    path = write(tmp_path / "a.seg")
    path.write_bytes(path.read_bytes() + b"\x00" * 4096)
    assert read(path) == PAYLOADS


def test_a_short_write_is_cut_off_again(tmp_path, monkeypatch):
    writer = SegmentWriter(tmp_path / "a.seg")
    writer.write(frame(PAYLOADS[0]))
    real = os.write
    calls = []

    def full_after_five_bytes(handle, data):
        calls.append(1)
        if len(calls) > 1:
            raise OSError(28, "No space left on device")
        return real(handle, data[:5])

    monkeypatch.setattr(os, "write", full_after_five_bytes)
    with pytest.raises(OSError, match="No space"):
        writer.write(frame(PAYLOADS[1]))
    monkeypatch.setattr(os, "write", real)
    writer.write(frame(PAYLOADS[2]))
    writer.close()
    assert read(tmp_path / "a.seg") == [PAYLOADS[0], PAYLOADS[2]]


def test_a_segment_is_in_use_while_its_writer_lives(tmp_path):
    writer = SegmentWriter(tmp_path / "a.seg")
    assert in_use(tmp_path / "a.seg")
    writer.close()
    assert not in_use(tmp_path / "a.seg")


def test_a_file_that_is_taken_away_before_it_is_locked_is_begun_again(tmp_path, monkeypatch):
    """Who compacts sees a new file without a lock and takes it for a finished, empty one."""
    from backstay.journal import segment as module

    path, lock, turns = tmp_path / "p-1.seg", module._lock, []

    def taken_away_first(handle):
        if not turns:
            turns.append(1)
            path.unlink()
        lock(handle)

    monkeypatch.setattr(module, "_lock", taken_away_first)
    writer = SegmentWriter(path)
    writer.write(frame(b"kept"))
    writer.close()
    assert read(path) == [b"kept"]
