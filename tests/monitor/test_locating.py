"""Where a change lies: planted clusters are named with rows to look at, and nothing is said where nothing alarmed."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from backstay.kernel.clock import ManualClock
from backstay.kernel.codec import decode, encode
from backstay.kernel.records import Signal, WindowResult
from backstay.monitor.detectors import Look
from backstay.monitor.fitted import Detectors
from backstay.monitor.locating import locate
from backstay.monitor.memory import Memory
from backstay.monitor.reference import fit_reference
from backstay.monitor.sketch import WindowSketch
from backstay.monitor.traffic import WindowData
from backstay.monitor.watch import watch_window

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
CENTRES = 6.0 * np.eye(5, 8)
CLASSES = ("a", "b", "c", "d", "e")
LOOK = Look(alpha=0.01, per_year=1.0, years=1.0, labels_per_year=100.0, tolerance=0.05)
ALARM = (Signal("embedding", 2.0, True, 0.01, 500, "moved"),)


def drawn(rng, shares, rows):
    which = rng.choice(len(shares), size=rows, p=shares)
    space = CENTRES[which] + rng.normal(size=(rows, 8))
    columns = {
        "amount": 100.0 + 50.0 * which + rng.normal(size=rows),
        "plan": np.array(["gold" if w == 3 else "plain" for w in which], dtype=object),
    }
    return which, space, columns, np.array(CLASSES, dtype=object)[which]


def reference(rng, rows=2000, shares=(0.2,) * 5, **parts):
    _, space, columns, answers = drawn(rng, shares, rows)
    return fit_reference(answers, CLASSES, **{"representation": space, "columns": columns, **parts})


def window(rng, shares, rows=500, **parts):
    which, space, columns, answers = drawn(rng, shares, rows)
    found = WindowData(
        start=BEGIN,
        end=BEGIN + timedelta(days=7),
        ids=np.array([f"row {i}" for i in range(rows)], dtype=object),
        times=np.full(rows, np.datetime64("2026-01-06", "us")),
        predicted=answers,
        **{"representation": space, "columns": columns, **parts},
    )
    return found, {f"row {i}": int(w) for i, w in enumerate(which)}


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.fixture
def detectors(rng, settings):
    return Detectors.fit(reference(rng), settings)


def test_a_cluster_that_grew_is_named_with_rows_of_it(rng, detectors, settings):
    grown, which = window(rng, (0.15, 0.15, 0.15, 0.4, 0.15))
    signal, _ = detectors.members["embedding"].look({}, grown, LOOK)
    assert signal.alarm
    found = locate((signal,), grown, detectors, settings)
    assert (found.by, found.rows, found.rows_before) == ("embedding", 500, 1000)
    more = [cell for cell in found.cells if cell.grew]
    assert more
    for cell in more:
        assert cell.times.low > 1.0
        assert cell.p_value < 0.1
        assert [which[row] for row in cell.example_ids] == [3] * 5
        assert any(words.startswith("plan gold 100% (") for words in cell.words)
        assert any(words.startswith("amount 2") for words in cell.words)
        assert cell.words[-1].startswith("answered d 100% (")
    assert sum(cell.now - cell.before for cell in more) > 0.1
    assert "clusters of like rows" in found.headline


def test_a_cluster_that_shrank_is_shown_by_rows_of_before(rng, detectors, settings):
    fewer, _ = window(rng, (0.24, 0.24, 0.24, 0.04, 0.24))
    found = locate(ALARM, fewer, detectors, settings)
    less = [cell for cell in found.cells if not cell.grew]
    assert less
    for cell in less:
        assert cell.times.high < 1.0
        assert [detectors.reference.predicted[row] for row in cell.reference_rows] == ["d"] * len(cell.reference_rows)
        assert len(cell.reference_rows) == 5


def test_a_new_kind_of_row_is_shown_not_what_was_always_there(rng, detectors, settings):
    """Three tenths of the window lie where no reference row does; the cells nearest to them hold old rows too."""
    mixed, _ = window(rng, (0.2,) * 5)
    space = np.array(mixed.representation)
    space[:100] = np.full(8, 2.5) + 0.5 * rng.normal(size=(100, 8))
    found = locate(ALARM, replace(mixed, representation=space), detectors, settings)
    largest = next(cell for cell in found.cells if cell.grew)
    assert all(int(row.removeprefix("row ")) < 100 for row in largest.example_ids)


def test_nothing_is_asked_where_no_detector_of_inputs_alarmed(rng, detectors, settings):
    grown, _ = window(rng, (0.1, 0.1, 0.1, 0.6, 0.1))
    quiet = (Signal("embedding", 0.9, False, 0.01, 500, "as before"),)
    other = (Signal("prediction", 9.0, True, 0.01, 500, "moved"), *quiet)
    assert locate(quiet, grown, detectors, settings) is None
    assert locate(other, grown, detectors, settings) is None


def test_columns_alone_are_looked_at_in_their_own_space(rng, detectors, settings):
    grown, which = window(rng, (0.15, 0.15, 0.15, 0.4, 0.15))
    blind = replace(grown, representation=None)
    found = locate((Signal("columns", 2.0, True, 0.01, 500, "moved"),), blind, detectors, settings)
    assert found.by == "columns"
    more = [cell for cell in found.cells if cell.grew]
    assert more
    assert {which[row] for cell in more for row in cell.example_ids} == {3}


def test_the_order_of_the_rows_does_not_matter(rng, detectors, settings):
    grown, _ = window(rng, (0.15, 0.15, 0.15, 0.4, 0.15))
    order = rng.permutation(500)
    turned = replace(
        grown,
        ids=grown.ids[order],
        predicted=grown.predicted[order],
        representation=grown.representation[order],
        columns={name: values[order] for name, values in grown.columns.items()},
    )
    one, two = (locate(ALARM, rows, detectors, settings) for rows in (grown, turned))
    assert [(c.before, c.now, c.example_ids, c.words) for c in one.cells] == [
        (c.before, c.now, c.example_ids, c.words) for c in two.cells
    ]


def test_of_a_group_one_row_counts(rng, settings):
    """Every row of before and now twenty times: to count copies would find changes where there are none."""

    def copied(part):
        return np.repeat(part, 20, axis=0)

    known = reference(rng, 1000)
    known = fit_reference(
        copied(known.predicted),
        CLASSES,
        representation=copied(known.representation),
        columns={name: copied(values) for name, values in known.columns.items()},
        groups=np.repeat([f"customer {i}" for i in range(1000)], 20).astype(object),
    )
    seen = 0
    detectors = Detectors.fit(known, settings)
    for _ in range(5):
        live, _ = window(rng, (0.2,) * 5, 100)
        live = WindowData(
            start=live.start,
            end=live.end,
            ids=np.array([f"row {i}" for i in range(2000)], dtype=object),
            times=copied(live.times),
            predicted=copied(live.predicted),
            representation=copied(live.representation),
            columns={name: copied(values) for name, values in live.columns.items()},
            groups=np.repeat([f"person {i}" for i in range(100)], 20).astype(object),
        )
        found = locate(ALARM, live, detectors, settings)
        assert (found.rows, found.rows_before) == (100, 500)
        seen += found.changed > 0
        alone = replace(detectors, reference=replace(known, groups=None))
        naive = locate(ALARM, replace(live, groups=None), alone, settings)
        assert naive.changed > 0
    assert seen <= 2


def test_a_small_reference_is_said_to_be_small(rng, settings):
    detectors = Detectors.fit(reference(rng, 200), settings)
    found = locate(ALARM, window(rng, (0.1, 0.1, 0.1, 0.6, 0.1))[0], detectors, settings)
    assert found.cells == ()
    assert "200 independent reference rows, at least 240" in found.headline
    assert found.counted == ""


def test_cells_become_fewer_with_fewer_reference_rows(rng, settings):
    live, _ = window(rng, (0.15, 0.15, 0.15, 0.4, 0.15))
    fitted = [Detectors.fit(reference(rng, n), settings) for n in (240, 600, 4000)]
    tested = [locate(ALARM, live, detectors, settings).tested for detectors in fitted]
    assert tested[0] <= 4
    assert tested[0] < tested[1] <= 10
    assert 16 <= tested[2] <= 32


def test_rows_that_were_learned_are_not_compared_with(rng, settings):
    learned = np.arange(2000) < 1200
    detectors = Detectors.fit(reference(rng, learned=learned), settings)
    found = locate(ALARM, window(rng, (0.24, 0.24, 0.24, 0.04, 0.24))[0], detectors, settings)
    assert found.rows_before == 400
    assert all(row >= 1200 for cell in found.cells for row in cell.reference_rows)


def test_a_reference_of_one_kind_of_row_and_a_window_without_inputs_are_said(rng, settings, detectors):
    flat = Detectors.fit(reference(rng, representation=np.ones((2000, 8))), settings)
    live, _ = window(rng, (0.2,) * 5)
    assert "alike" in locate(ALARM, live, flat, settings).why_not
    assert "lack" in locate(ALARM, replace(live, representation=None), detectors, settings).why_not


def test_windows_of_sketches_are_told_by_their_sample(rng, detectors, settings):
    """Two parts merged, in either order: the same rows are drawn, and the same is found."""
    live, _ = window(rng, (0.15, 0.15, 0.15, 0.4, 0.15), 3000)
    parts = [
        replace(
            live,
            ids=live.ids[at],
            times=live.times[at],
            predicted=live.predicted[at],
            representation=live.representation[at],
            columns={name: values[at] for name, values in live.columns.items()},
        )
        for at in (np.arange(1000), np.arange(1000, 3000))
    ]
    one, two = (WindowSketch.empty(detectors).add(part, detectors) for part in parts)
    found = [
        locate(ALARM, sketch.window(BEGIN, BEGIN + timedelta(days=7)), detectors, settings)
        for sketch in (one.merge(two), two.merge(one))
    ]
    assert found[0] == found[1]
    assert (found[0].rows, found[0].sampled) == (2000, 2000)
    assert "of a sample of 2,000 now" in found[0].counted
    assert any(cell.grew for cell in found[0].cells)


def test_results_of_before_are_read(rng, detectors, settings, window_result):
    """What was stored before clusters were told has no such field."""
    state = encode(window_result)
    del state["located"]
    assert decode(WindowResult, state).located is None
    grown, _ = window(rng, (0.15, 0.15, 0.15, 0.4, 0.15))
    told = replace(window_result, located=locate(ALARM, grown, detectors, settings))
    assert decode(WindowResult, json.loads(json.dumps(encode(told)))) == told


@pytest.fixture
def window_result(rng, detectors, settings):
    calm, _ = window(rng, (0.2,) * 5)
    result, _ = watch_window(Memory.start("r", BEGIN), calm, detectors, settings, ManualClock(BEGIN))
    assert result.located is None
    return result


def test_with_a_season_like_hours_are_compared_with_like(rng, settings):
    """At night most rows are of the first cluster, then as now: against the whole day that looks like a change."""
    night, day = drawn(rng, (0.6, 0.1, 0.1, 0.1, 0.1), 2000), drawn(rng, (0.2,) * 5, 2000)
    hours = np.repeat(np.array(["2026-01-01T03", "2026-01-01T15"], dtype="datetime64[us]"), 2000)
    known = fit_reference(
        np.concatenate([night[3], day[3]]), CLASSES, representation=np.concatenate([night[1], day[1]]), times=hours
    )
    live, _ = window(rng, (0.6, 0.1, 0.1, 0.1, 0.1), columns={})
    live = replace(live, times=np.full(500, np.datetime64("2026-01-06T03", "us")))
    by_hour = settings.model_copy(update={"watch": settings.watch.model_copy(update={"season": "day"})})
    detectors = Detectors.fit(known, settings)
    assert locate(ALARM, live, detectors, settings).changed > 0
    found = locate(ALARM, live, detectors, by_hour)
    assert (found.changed, found.rows_before) == (0, 1000)
    elsewhere = replace(live, times=np.full(500, np.datetime64("2026-01-06T09", "us")))
    assert "0 independent reference rows" in locate(ALARM, elsewhere, detectors, by_hour).why_not
