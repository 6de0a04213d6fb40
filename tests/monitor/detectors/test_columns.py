from __future__ import annotations

import numpy as np
import pytest

from backstay.monitor.detectors.columns import ColumnsDetector


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
        ("country", lambda v: np.where(np.arange(len(v)) % 10 == 0, "BE", v).astype(object), "always NL before, 10.0%"),
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
