from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from backstay.maths.many_means import ManyMeans
from backstay.maths.meanshift import MeanShift
from backstay.monitor.detectors.column_parts import Constant
from backstay.monitor.detectors.columns import ColumnsDetector


def test_all_tests_of_a_look_together_spend_its_level(world, look, monkeypatch):
    spent = []

    def counted(kind, name, place):
        real = getattr(kind, name)

        def told(*given):
            spent.append(given[place])
            return real(*given)

        monkeypatch.setattr(kind, name, told)

    counted(MeanShift, "check_mean", 3)
    counted(Constant, "evidence", 3)
    counted(ManyMeans, "evidence", 4)
    reference, window = world.reference(1000), world.window(n=300)
    for name in "abcde":
        reference.columns[name], window.columns[name] = world.rng.normal(size=1000), world.rng.normal(size=300)
    detector = ColumnsDetector.fit(reference)
    assert detector.together is not None
    signal, _ = detector.look({}, window, look(0.006))
    assert sum(spent) == pytest.approx(signal.alpha) == pytest.approx(0.006)


def test_a_mean_that_moved_is_told_with_its_figures(world, look):
    detector = ColumnsDetector.fit(world.reference(2000))
    signal, _ = detector.look({}, world.window(n=500, shift=0.6), look())
    assert signal.moved[0].startswith("age: mean ")
    assert signal.message.startswith("1 of 3 columns moved: age")


@pytest.mark.parametrize(
    ("column", "change", "words"),
    [
        ("age", lambda v: np.where(np.arange(len(v)) % 5 == 0, np.nan, v), "age: missing 0.0% -> 20.0%"),
        ("plan", lambda v: np.where(np.arange(len(v)) % 4 == 0, "silver", v).astype(object), "plan: (other) 0.0% -> "),
        ("plan", lambda v: np.array([None if i % 4 == 0 else x for i, x in enumerate(v)], dtype=object), "(missing)"),
        ("age", lambda v: np.where(np.arange(len(v)) % 5 == 0, np.inf, v), "age: infinite 0.0% -> 20.0% (100 of 500)"),
        ("age", lambda v: np.full(len(v), -np.inf), "age: infinite 0.0% -> 100.0% (500 of 500)"),
        (
            "country",
            lambda v: np.where(np.arange(len(v)) % 10 == 0, "BE", v).astype(object),
            "always 'NL' before, 10.0%",
        ),
    ],
)
def test_what_moved_is_told_in_words(world, look, column, change, words):
    detector = ColumnsDetector.fit(world.reference(2000))
    window = world.window(n=500)
    window.columns[column] = change(window.columns[column])
    signal, _ = detector.look({}, window, look())
    assert signal.alarm
    assert any(words in told for told in signal.moved)
    assert all(told.split(":")[0] == column for told in signal.moved)


def test_infinite_values_of_the_reference_are_no_news_and_are_told_from_a_state(world, look):
    reference = world.reference(2000)
    reference.columns["age"][::10] = np.inf
    detector = ColumnsDetector.from_json(json.loads(json.dumps(ColumnsDetector.fit(reference).to_json())))
    window = world.window(n=500, shift=0.6)
    window.columns["age"][::10] = np.inf
    told = detector.look({}, window, look())[0].moved
    assert told[0].startswith("age: mean ")
    assert "nan" not in told[0]
    window.columns["age"][::2] = np.inf
    assert detector.look({}, window, look())[0].moved[0].startswith("age: infinite 10.0% -> ")


def test_the_empty_text_is_quoted(world, look):
    reference, window = world.reference(500), world.window(n=500)
    reference.columns["plan"][:] = ""
    told = ColumnsDetector.fit(reference).look({}, window, look())[0].moved
    assert "plan: always '' before, 100.0% differ now" in told


def test_the_level_is_split_over_all_columns(world, look):
    signal, _ = ColumnsDetector.fit(world.reference(500)).look({}, world.window(), look(0.03))
    assert signal.alpha == 0.03
    assert signal.figures["alpha_by_column"] == pytest.approx(0.01)
    assert set(signal.figures["evidence_by_column"]) == {"age", "plan", "country"}


def test_one_stray_value_in_a_constant_column_is_no_alarm(world, look):
    detector = ColumnsDetector.fit(world.reference(500))
    window = world.window(n=500)
    window.columns["country"][0] = "BE"
    assert not detector.look({}, window, look(0.01))[0].alarm


def test_a_missing_column_is_not_judged(world, look):
    detector = ColumnsDetector.fit(world.reference(500))
    window = world.window()
    del window.columns["plan"]
    signal, _ = detector.look({}, window, look())
    assert "no column 'plan'" in signal.message
    assert not signal.alarm


def test_images_have_no_columns(world):
    assert ColumnsDetector.fit(world.reference(100, columns=False)) is None


def table(rows: int, moved: int = 0, by: float = 0.0, seed: int = 0) -> dict[str, np.ndarray]:
    """Twelve columns of normal numbers, of which the first few are moved."""
    values = np.random.default_rng(seed).standard_normal((rows, 12))
    values[:, :moved] += by
    return {f"x{i:02d}": values[:, i] for i in range(12)}


def numbers(world: Any) -> ColumnsDetector:
    detector = ColumnsDetector.fit(replace(world.reference(4000), columns=table(4000, seed=1)))
    assert detector is not None
    return detector


def test_columns_that_move_together_are_found_where_none_is_alone(world: Any, look: Any) -> None:
    detector = numbers(world)
    window = replace(world.window(n=1000), columns=table(1000, moved=6, by=0.08, seed=13))
    signal, _ = detector.look({}, window, look(0.01))
    assert signal.alarm
    assert max(signal.figures["evidence_by_column"].values()) < 1.0 < signal.figures["evidence_together"]
    assert signal.message.startswith("no column of 12 alone, but several together: ")
    assert {told.split(":")[0] for told in signal.moved} <= {f"x{i:02d}" for i in range(6)}
    assert len(signal.moved) == 3
    assert all(": mean " in told for told in signal.moved)
    assert signal.example_ids
    quiet = replace(world.window(n=1000), columns=table(1000, seed=6))
    assert not detector.look({}, quiet, look(0.01))[0].alarm


def test_a_level_below_what_is_known_is_no_error(world: Any, look: Any) -> None:
    window = replace(world.window(n=1000), columns=table(1000, moved=1, by=1.0, seed=5))
    assert numbers(world).look({}, window, look(1e-8))[0].alarm


def test_states_of_before_test_columns_one_by_one(world: Any, look: Any) -> None:
    """A detector that was fitted before there were tests of means reads on, its level split as it was."""
    state = json.loads(json.dumps(numbers(world).to_json()))
    del state["together"]
    for part in state["varying"]:
        del part["level"]
    detector = ColumnsDetector.from_json(state)
    window = replace(world.window(n=1000), columns=table(1000, moved=1, by=1.0, seed=5))
    signal, _ = detector.look({}, window, look(0.012))
    assert signal.alarm
    assert signal.figures["alpha_by_column"] == pytest.approx(0.001)


def test_the_state_tells_the_same_after_a_restart(world: Any, look: Any) -> None:
    detector = numbers(world)
    again = ColumnsDetector.from_json(json.loads(json.dumps(detector.to_json())))
    window = replace(world.window(n=1000), columns=table(1000, moved=3, by=0.1, seed=5))
    assert again.look({}, window, look(0.01)) == detector.look({}, window, look(0.01))
