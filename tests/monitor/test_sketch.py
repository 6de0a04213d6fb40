"""A window judged by its sketch is the window judged by its rows."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from backstay.kernel.clock import SystemClock
from backstay.kernel.errors import BackstayError
from backstay.monitor.detectors import embedding
from backstay.monitor.detectors.embedding import EmbeddingDetector
from backstay.monitor.fitted import Detectors
from backstay.monitor.memory import Memory
from backstay.monitor.sample import KEPT, RowSample, take
from backstay.monitor.sketch import WindowSketch
from backstay.monitor.watch import watch_window
from backstay.settings import parse

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
SETTINGS = parse({"version": 1, "name": "m"})


def sketch_of(window, detectors, cuts=(), order=None) -> WindowSketch:
    places = np.arange(len(window)) if order is None else order
    found = WindowSketch.empty(detectors)
    for part in np.split(places, cuts):
        found = found.add(take(window, part), detectors)
    return found


@pytest.mark.parametrize("shift", [0.0, 0.4])
def test_a_sketch_gives_the_verdict_of_the_rows(world, shift: float) -> None:
    detectors = Detectors.fit(world.reference(), SETTINGS)
    window = world.window(n=3000, shift=shift)
    by_rows, _ = watch_window(Memory.start("r", BEGIN), window, detectors, SETTINGS, SystemClock())
    sketch = sketch_of(window, detectors, cuts=(1, 700, 701, 2500))
    known = sketch.window(window.start, window.end)
    by_sketch, memory = watch_window(Memory.start("r", BEGIN), known, detectors, SETTINGS, SystemClock())
    assert by_sketch.condition is by_rows.condition
    assert (by_sketch.rows, memory.rows) == (3000, 3000)
    for one, two in zip(by_sketch.signals, by_rows.signals, strict=True):
        assert one.evidence == pytest.approx(two.evidence, rel=1e-9, abs=1e-12)
        assert (one.alarm, one.n, one.message, one.moved) == (two.alarm, two.n, two.message, two.moved)
    shown = {row for signal in by_sketch.signals for row in signal.example_ids}
    assert bool(shown) == (shift > 0)
    assert shown <= set(window.ids)


def test_parts_of_a_window_merge_in_any_order(world) -> None:
    detectors = Detectors.fit(world.reference(), SETTINGS)
    window = world.window(n=5000)
    whole = sketch_of(window, detectors)
    mixed = np.random.default_rng(0).permutation(5000)
    parts = [sketch_of(take(window, part), detectors) for part in np.split(mixed, [10, 2000, 4999])]
    for order in ((0, 1, 2, 3), (3, 1, 0, 2)):
        found = WindowSketch.empty(detectors)
        for place in order:
            found = found.merge(parts[place])
        assert found.rows == 5000
        assert (found.earliest, found.latest) == (whole.earliest, whole.latest)
        assert list(found.sample.rows.ids) == list(whole.sample.rows.ids)
        for name, part in whole.measures.items():
            for what, mean in part.means.items():
                np.testing.assert_allclose(found.measures[name].means[what].mean, mean.mean, rtol=1e-12, atol=1e-14)
            for what, thin in part.thinned.items():
                np.testing.assert_allclose(found.measures[name].thinned[what].kept.mean, thin.kept.mean, atol=1e-14)
            for what, moments in part.moments.items():
                assert found.measures[name].moments[what].variance == pytest.approx(moments.variance, rel=1e-12)


def test_a_sketch_outlives_its_process(world) -> None:
    detectors = Detectors.fit(world.reference(), SETTINGS)
    window = world.window(n=2500, shift=0.3)
    sketch = sketch_of(window, detectors)
    again = WindowSketch.from_bytes(sketch.to_bytes())
    assert again.to_bytes() == sketch.to_bytes()
    verdicts = [
        watch_window(Memory.start("r", BEGIN), one.window(), detectors, SETTINGS, SystemClock())[0]
        for one in (sketch, again)
    ]
    assert replace(verdicts[0], created_at=BEGIN) == replace(verdicts[1], created_at=BEGIN)


def test_an_empty_sketch_changes_nothing_and_is_no_window(world) -> None:
    detectors = Detectors.fit(world.reference(), SETTINGS)
    some, none = sketch_of(world.window(n=100), detectors), WindowSketch.empty(detectors)
    assert none.merge(some).to_bytes() == some.to_bytes() == some.merge(none).to_bytes()
    with pytest.raises(BackstayError, match="no rows"):
        none.window()


def test_sketches_against_another_reference_are_refused(world) -> None:
    one, two = (Detectors.fit(world.reference(), SETTINGS) for _ in range(2))
    with pytest.raises(BackstayError, match="different maps"):
        sketch_of(world.window(n=100), one).merge(sketch_of(world.window(n=100), two))
    with pytest.raises(BackstayError, match="different maps"):
        WindowSketch.empty(one).add(world.window(n=100), two)


def test_rows_with_groups_are_refused(world) -> None:
    detectors = Detectors.fit(world.reference(), SETTINGS)
    window = replace(world.window(n=100), groups=np.array(["a", "b"] * 50, dtype=object))
    with pytest.raises(BackstayError, match="groups"):
        WindowSketch.empty(detectors).add(window, detectors)


def test_a_missing_column_is_told_at_once(world) -> None:
    detectors = Detectors.fit(world.reference(), SETTINGS)
    with pytest.raises(BackstayError, match="no column 'age'"):
        WindowSketch.empty(detectors).add(replace(world.window(n=100), columns={}), detectors)


@pytest.mark.parametrize("data", [b"", b"[]", b'{"version": 1}', b"\xff\xfe", b'{"version": 7}'])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(BackstayError, match=r"no sketch|version 7"):
        WindowSketch.from_bytes(data)


def test_the_sample_is_a_random_one_of_bounded_size(world) -> None:
    window = world.window(n=20_000)
    sample = RowSample().add(window)
    assert len(sample.rows) == KEPT
    places = {row: place for place, row in enumerate(window.ids)}
    drawn = np.array([places[row] for row in sample.rows.ids])
    # The mean place of 2,000 of 20,000 drawn at random lies within four standard errors of the middle.
    assert abs(drawn.mean() - 10_000) < 4 * 20_000 / np.sqrt(12 * KEPT)


def test_a_large_window_is_thinned_alike_in_rows_and_in_sketches(world, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "MOST_WINDOW_ROWS", 1000)
    detectors = Detectors.fit(
        world.reference(), parse({"version": 1, "name": "m", "watch": {"detectors": ["embedding"]}})
    )
    assert isinstance(detectors.members["embedding"], EmbeddingDetector)
    window = world.window(n=6000)
    by_rows, _ = watch_window(Memory.start("r", BEGIN), window, detectors, SETTINGS, SystemClock())
    known = sketch_of(window, detectors, cuts=(50, 4000)).window(window.start, window.end)
    by_sketch, _ = watch_window(Memory.start("r", BEGIN), known, detectors, SETTINGS, SystemClock())
    assert by_rows.signals[0].figures["n_effective"] <= 1000
    assert by_sketch.signals[0].evidence == pytest.approx(by_rows.signals[0].evidence, rel=1e-9)


def test_the_sample_keeps_the_slices_of_its_rows(world) -> None:
    window = world.window(n=30)
    grp = np.array(["a", None, "b"] * 10, dtype=object)
    state = json.loads(json.dumps(RowSample().add(replace(window, slices={"grp": grp})).to_json()))
    kept = RowSample.from_json(state).rows
    places = [window.ids.tolist().index(row) for row in kept.ids]
    assert kept.slices["grp"].tolist() == grp[places].tolist()
    del state["rows"]["slices"]
    older = RowSample.from_json(state)
    assert older.rows.slices == {}
    assert older.merge(RowSample().add(replace(window, slices={"grp": grp}))).rows.slices == {}
