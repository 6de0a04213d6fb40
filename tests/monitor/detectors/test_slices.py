from __future__ import annotations

import json
import tracemalloc
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from backstay.kernel.errors import BackstayError
from backstay.monitor.detectors.columns import ColumnsDetector
from backstay.monitor.detectors.slices import FEWEST, MOST_SLICES, SlicesDetector
from backstay.monitor.detectors.verdict import not_judged
from backstay.monitor.measures import Whole
from backstay.monitor.reference import fit_reference
from backstay.monitor.traffic import WindowData

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
SITES = ("north", "south", "west")
SHARES = (0.1, 0.4, 0.5)


def rows(rng, n, moved=0.0, answers=0.5, sites=SITES, shares=SHARES):
    """Numbers whose mean differs by site; in the north it moves, and so does what is answered."""
    site = rng.choice(np.array(sites, dtype=object), n, p=shares)
    north = site == "north"
    income = rng.normal(size=n) + np.where(north, 1.0 + moved, 0.0)
    yes = rng.random(n) < np.where(north, answers, 0.5)
    return site, {"income": income, "age": rng.normal(size=n)}, np.where(yes, "yes", "no").astype(object)


def reference(rng, n=6000, **parts):
    site, columns, answer = rows(rng, n)
    return fit_reference(answer, ("no", "yes"), columns=columns, slices={"site": site}, **parts)


def window(rng, n=2500, moved=0.0, answers=0.5, **parts):
    site, columns, answer = rows(rng, n, moved, answers)
    ids = np.array([f"r{i}" for i in range(n)], dtype=object)
    times = np.full(n, np.datetime64("2026-01-05", "us"))
    given = {"slices": {"site": site}, **parts}
    return WindowData(BEGIN, BEGIN + timedelta(days=7), ids, times, answer, columns=columns, **given)


@pytest.fixture(scope="module")
def detector():
    return SlicesDetector.fit(reference(np.random.default_rng(1)))


class Spy:
    """A detector that remembers what it may spend."""

    def __init__(self):
        self.looks = []

    def look(self, state, given, look):
        self.looks.append(look)
        return not_judged("spy", given, "it only remembers"), state


def test_slices_and_tests_together_spend_what_one_detector_may(look):
    spies = [Spy() for _ in range(3)]
    members = {
        ("site", "north"): {"columns": spies[0], "prediction": spies[1]},
        ("site", "south"): {"columns": spies[2]},
    }
    SlicesDetector(members, 0).look({}, window(np.random.default_rng(0), 300), look(0.006, per_year=0.3))
    looks = [one for spy in spies for one in spy.looks]
    assert [one.alpha for one in looks] == pytest.approx([0.002] * 3)
    assert [one.per_year for one in looks] == pytest.approx([0.1] * 3)


def test_what_a_small_slice_does_is_seen_there_and_not_in_the_whole(detector, look):
    rng = np.random.default_rng(2)
    given = window(rng, moved=0.45)
    signal, _ = detector.look({}, given, look(0.004))
    assert signal.alarm
    assert signal.figures["moved"] == ["site=north"]
    assert signal.moved[0].startswith("site=north: income: mean")
    assert {given.slices["site"][int(row[1:])] for row in signal.example_ids} == {"north"}
    whole = ColumnsDetector.fit(reference(np.random.default_rng(1)))
    assert not whole.look({}, given, look(0.004))[0].alarm


def test_other_answers_in_one_slice_are_seen(detector, look):
    signal, _ = detector.look({}, window(np.random.default_rng(3), answers=0.9), look(0.004))
    assert signal.alarm
    assert all(words.startswith("site=north: ") for words in signal.moved)


def test_nothing_moved_is_said_of_each_slice(detector, look):
    signal, _ = detector.look({}, window(np.random.default_rng(4)), look(0.004))
    assert not signal.alarm
    assert signal.moved == ()
    assert signal.figures["slices"] == 3
    assert signal.message.startswith("each slice looks as before; most changed is site=")


def test_its_alarms_are_within_the_level(look):
    """Of three references, at a level of .2; 15 of 30 or more come once in 3,000 times. Of a thousand references see
    `tests/statistical/test_whole_slices.py`."""
    rng, found = np.random.default_rng(5), 0
    for _ in range(3):
        one = SlicesDetector.fit(reference(rng, 3600))
        found += sum(one.look({}, window(rng, 900), look(0.2))[0].alarm for _ in range(10))
    assert found <= 14


def test_a_slice_that_is_gone_is_left_out_and_told(detector, look):
    site, columns, answer = rows(np.random.default_rng(6), 900)
    kept = site != "west"
    ids = np.array([f"r{i}" for i in range(int(kept.sum()))], dtype=object)
    times = np.full(len(ids), np.datetime64("2026-01-05", "us"))
    given = WindowData(
        BEGIN,
        BEGIN + timedelta(days=7),
        ids,
        times,
        answer[kept],
        columns={name: values[kept] for name, values in columns.items()},
        slices={"site": site[kept]},
    )
    signal, _ = detector.look({}, given, look(0.004))
    assert (signal.figures["slices"], signal.figures["slices_not_judged"]) == (2, 1)


def test_what_cannot_be_judged_says_why(detector, look):
    rng = np.random.default_rng(7)
    none, _ = detector.look({}, window(rng, slices={}), look(0.004))
    assert "no column 'site'" in none.message
    few, _ = detector.look({}, window(rng, 12), look(0.004))
    assert "no slice has rows enough" in few.message
    assert few.alpha == 0.0
    whole, _ = detector.look({}, window(rng, whole=Whole(2500, {})), look(0.004))
    assert "sketches" in whole.message


def test_small_slices_and_the_smallest_of_many_are_left_out():
    rng = np.random.default_rng(8)
    with pytest.raises(BackstayError, match=f"no slice of site has {FEWEST} reference rows"):
        SlicesDetector.fit(reference(rng, 500))
    site, columns, answer = rows(rng, 9000, sites=tuple(f"s{k:02d}" for k in range(25)), shares=(0.04,) * 25)
    many = SlicesDetector.fit(fit_reference(answer, ("no", "yes"), columns=columns, slices={"site": site}))
    assert len(many.members) == MOST_SLICES
    assert many.left_out == 5
    assert SlicesDetector.fit(fit_reference(answer, ("no", "yes"), columns=columns)) is None


def test_it_is_kept_as_json(detector, look):
    again = SlicesDetector.from_json(json.loads(json.dumps(detector.to_json())))
    given = window(np.random.default_rng(9), moved=0.3)
    assert again.look({}, given, look(0.01)) == detector.look({}, given, look(0.01))


def test_embeddings_are_watched_where_there_are_no_columns(look):
    rng = np.random.default_rng(10)

    def drawn(n, moved):
        site = rng.choice(np.array(SITES, dtype=object), n, p=SHARES)
        vectors = rng.normal(size=(n, 8)).astype(np.float32)
        vectors[site == "north"] += moved
        return site, vectors, rng.choice(np.array(["no", "yes"], dtype=object), n)

    site, vectors, answer = drawn(6000, 0.0)
    fitted = SlicesDetector.fit(fit_reference(answer, ("no", "yes"), representation=vectors, slices={"site": site}))
    site, vectors, answer = drawn(2000, 0.6)
    ids = np.array([f"r{i}" for i in range(2000)], dtype=object)
    times = np.full(2000, np.datetime64("2026-01-05", "us"))
    end = BEGIN + timedelta(days=7)
    given = WindowData(BEGIN, end, ids, times, answer, representation=vectors, slices={"site": site})
    signal, _ = fitted.look({}, given, look(0.004))
    assert signal.figures["moved"] == ["site=north"]


def test_a_column_with_a_value_a_row_takes_no_memory_by_the_square(look):
    """A column of names that somebody meant for a slice: 8,000 values would be 64 MB of marks."""
    rng = np.random.default_rng(9)
    site, columns, answer = rows(rng, 8000)
    named = {"site": site, "name": np.array([f"n{i}" for i in range(8000)], dtype=object)}
    known = fit_reference(answer, ("no", "yes"), columns=columns, slices=named)
    tracemalloc.start()
    try:
        detector = SlicesDetector.fit(known)
        signal, _ = detector.look({}, window(rng, 8000, slices=named), look(0.01))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert detector.left_out == 8000
    assert signal.figures["slices"] == 3
    assert peak < 40e6
