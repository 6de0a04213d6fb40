"""Rows that come again: near each other, far apart, in groups, and by nature."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from backstay.monitor.detectors.copies import Copies, again, in_blocks, row_keys
from backstay.monitor.detectors.schema import SchemaDetector


def taken(window, rows):
    """The window with these rows' values, under its own ids."""
    return replace(window, columns={name: values[rows] for name, values in window.columns.items()})


def test_twenty_rows_that_come_round_again_forty_times_alarm(world, look):
    detector = SchemaDetector.fit(world.reference(2000))
    window = world.window(n=1000)
    rows = np.arange(1000)
    rows[:800] = np.tile(np.arange(20), 40)
    signal, _ = detector.look({}, taken(window, rows), look(0.004))
    assert signal.alarm
    assert signal.moved == ("rows that come again among 57 random rows: 0.0% -> 48.6%",)
    assert set(signal.example_ids) <= set(window.ids[20:800])


def test_a_file_that_is_sent_twice_under_new_ids_alarms(world, look):
    detector = SchemaDetector.fit(world.reference(4000))
    window = world.window(n=4000)
    assert not detector.look({}, window, look(0.004))[0].alarm
    rows = np.arange(4000)
    rows[2000:2600] = np.arange(600)
    assert detector.look({}, taken(window, rows), look(0.004))[0].alarm
    rows[2000:2600] = np.arange(2000, 2600)
    rows[2000:2010] = np.arange(10)
    assert not detector.look({}, taken(window, rows), look(0.004))[0].alarm  # ten rows of 4,000 drown


def test_what_repeats_by_nature_repeats_more_often_in_a_longer_window_and_is_no_news(world, look):
    rng = np.random.default_rng(7)

    def columns(n, seed):
        draw = np.random.default_rng(seed)
        city = np.array([f"city {v}" for v in draw.zipf(1.6, n) % 40], dtype=object)
        return {"city": city, "plan": np.array(list("abc"), dtype=object)[draw.integers(0, 3, n)],
                "count": draw.integers(0, 6, n).astype(np.float64)}  # fmt: skip

    detector = SchemaDetector.fit(replace(world.reference(2000), columns=columns(2000, 1)))
    for n, seed in ((300, 2), (1000, 3), (5000, 4)):
        given = replace(world.window(n=n), columns=columns(n, seed))
        assert again(row_keys(given.columns)).mean() > 0.3
        signal, _ = detector.look({}, given, look(0.004))
        assert not [words for words in signal.moved if "again" in words or "copies" in words]
    rows = np.arange(1000)
    rows[300:] = rng.integers(0, 20, 700)
    seen = replace(world.window(n=1000), columns={k: v[rows] for k, v in columns(1000, 5).items()})
    assert "again" in detector.look({}, seen, look(0.004))[0].moved[0]


def test_rows_of_a_group_repeat_as_they_did(world, look):
    """Each customer asks four times, with the same values: then as now."""

    def customers(n):
        return np.repeat(np.arange(n // 4), 4)

    groups = np.array([f"g{i}" for i in customers(4000)], dtype=object)
    reference = world.reference(4000, groups=groups)
    reference = replace(reference, columns={k: v[customers(4000) * 4] for k, v in reference.columns.items()})
    detector = SchemaDetector.fit(reference)
    window = world.window(n=2000)
    same = replace(taken(window, customers(2000) * 4), groups=groups[:2000])
    assert not detector.look({}, same, look(0.004))[0].alarm
    # Each of eight customers' rows are those of one.
    few = replace(taken(window, customers(2000) // 8 * 4), groups=groups[:2000])
    assert detector.look({}, few, look(0.004))[0].alarm


def test_copies_in_blocks_are_those_that_a_plain_loop_counts():
    rng = np.random.default_rng(1)
    for grouped in (False, True):
        keys = rng.integers(0, 300, 500).astype(np.uint64)
        units = rng.permutation(np.repeat(np.arange(250), 2)) if grouped else np.arange(500)
        copies, held = in_blocks(keys, units, 40)
        place = np.random.Generator(np.random.PCG64(20_261_122)).permutation(int(units.max()) + 1)
        for block in range(len(copies)):
            inside = [int(k) for k, u in zip(keys, units, strict=True) if place[u] // 40 == block]
            assert (held[block], copies[block]) == (len(inside), len(inside) - len(set(inside)))
        assert len(copies) == (int(units.max()) + 1) // 40


def test_keys_are_alike_where_rows_are():
    rng = np.random.default_rng(2)
    columns = {
        "a": rng.choice([0.0, -0.0, 1.0, np.nan, np.inf], 400),
        "b": rng.choice(np.array(["x", "y", None], dtype=object), 400),
        "c": rng.integers(0, 2, 400).astype(np.float64),
    }
    keys = row_keys(columns)
    words = [
        tuple("gap" if v is None or v != v else v for v in row)
        for row in zip(*(values.tolist() for values in columns.values()), strict=True)
    ]
    for i in range(0, 400, 7):
        assert [bool(k) for k in keys == keys[i]] == [word == words[i] for word in words]
    first = {word: i for i, word in reversed(list(enumerate(words)))}
    assert again(keys).tolist() == [first[word] != i for i, word in enumerate(words)]


@pytest.mark.parametrize("rows", [100, 1000, 5000])
def test_it_is_kept_and_a_small_reference_asks_for_nothing(rows):
    found = Copies.fit(np.arange(rows, dtype=np.uint64), None)
    assert Copies.from_json(json.loads(json.dumps(found.to_json()))) == found
    assert [size.rows for size in found.sizes[:2]] == ([20, 28] if rows > 100 else [])
    assert found.size_for(250) is None
    assert rows == 100 or found.size_for(280).rows == 20
    assert rows != 5000 or found.size_for(10**6).rows == 320
    assert all(size.rows * 14 <= rows for size in found.sizes)
