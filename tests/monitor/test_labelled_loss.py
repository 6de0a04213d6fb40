"""The mean error of a regression by labels: helped by what inputs foretell, cut at a bound for limits at every look."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from backstay.kernel.clock import ManualClock
from backstay.monitor import loss_estimates
from backstay.monitor.error_model import Directions, ErrorModel
from backstay.monitor.fitted import Detectors
from backstay.monitor.memory import Memory
from backstay.monitor.reference import fit_reference
from backstay.monitor.traffic import WindowData
from backstay.monitor.watch import watch_window

WORD = "a number"


@pytest.fixture(autouse=True)
def _few_draws(monkeypatch):
    monkeypatch.setattr(loss_estimates, "DRAWS", 30)


@pytest.fixture
def quiet(make_settings):
    return make_settings(task="regression", watch={"detectors": ["prediction"]})


def drawn(n: int, seed: int, concept: float = 1.0):
    """Inputs, answers, and errors that grow with one input."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    return x, 100 + 10 * x[:, 1], np.abs(concept * (1 + 6 * np.maximum(x[:, 0], 0)) * rng.normal(size=n))


def detectors_of(settings) -> Detectors:
    x, answers, errors = drawn(1200, 1)
    limit = float(np.quantile(errors, 0.9))
    made = fit_reference(
        np.full(1200, WORD, dtype=object), representation=x, correct=(errors <= limit) * 1.0, learned=np.zeros(1200)
    )
    return Detectors.fit(replace(made, numbers=answers, limit=limit, errors=errors), settings)


def window_of(begin, make_label, labels: int, n: int = 600, seed: int = 3, groups: int = 0, **parts):
    x, answers, errors = drawn(n, seed, **parts)
    ids = np.array([f"w{seed}-{i}" for i in range(n)], dtype=object)
    times = np.full(n, np.datetime64(begin.replace(tzinfo=None), "us"))
    made = WindowData(begin, begin + timedelta(days=7), ids, times, np.full(n, WORD, dtype=object), representation=x)
    made = replace(made, numbers=answers)
    rows = tuple(
        replace(
            make_label(str(ids[i]), WORD, "0", begin, group=f"g{i % groups}" if groups else None),
            error=float(errors[i]),
            limit=10.0,
        )
        for i in range(labels)
    )
    of_labels = {"ids": ids, "times": times, "predicted": made.predicted, "representation": x, "numbers": answers}
    held = replace(made, **{name: values[:labels] for name, values in of_labels.items()})
    return replace(made, labels=rows, answered=held), errors


def watched(window, detectors, settings, begin):
    result, memory = watch_window(Memory.start("r1", begin), window, detectors, settings, ManualClock(begin))
    return {e.kind: e for e in result.estimates if e.metric == "mae"}, result, memory


def test_inputs_shorten_the_interval_and_the_sentence_is_of_the_mean_error(begin, quiet, make_label):
    detectors = detectors_of(quiet)
    window, errors = window_of(begin, make_label, 120)
    found, result, memory = watched(window, detectors, quiet, begin)
    alone, _, _ = watched(replace(window, answered=None), detectors, quiet, begin)
    powered, plain = found["ppi"].interval, alone["labels"].interval
    assert powered.low <= errors.mean() <= powered.high
    assert powered.high - powered.low < 0.9 * (plain.high - plain.low)
    assert found["ppi"].figures["trust"] > 0.4
    assert "were right; the mean error is between" in result.headline
    assert memory.rows_seen.kind == "errors"
    assert Memory.from_json(memory.to_json()) == memory


def test_limits_at_every_look_are_of_errors_cut_at_the_declared_bound(begin, quiet, make_label):
    detectors = detectors_of(quiet)
    window, errors = window_of(begin, make_label, 120)
    figures = watched(window, detectors, quiet, begin)[0]["ppi"].figures
    assert figures["cut_at"] == 5 * detectors.reference.limit
    assert figures["cut_share"] == 0.0
    assert figures["anytime_low"] < errors.mean() < figures["anytime_high"] < figures["cut_at"]
    huge = tuple(replace(row, error=1e6) if i == 0 else row for i, row in enumerate(window.labels))
    cut = watched(replace(window, labels=huge), detectors, quiet, begin)[0]["ppi"].figures
    assert cut["cut_share"] == pytest.approx(1 / 120)
    assert cut["anytime_high"] <= cut["cut_at"]


def test_labels_that_contradict_inputs_withhold_the_estimate_without_labels(begin, quiet, make_label):
    window, errors = window_of(begin, make_label, 150, concept=2.0)
    found, _, _ = watched(window, detectors_of(quiet), quiet, begin)
    assert found["label-free"].value is None
    assert found["ppi"].interval.low <= errors.mean() <= found["ppi"].interval.high


@pytest.mark.parametrize(("labels", "kinds"), [(9, {"label-free"}), (15, {"labels", "label-free"})])
def test_few_labels_are_left_alone(begin, quiet, make_label, labels, kinds):
    window, _ = window_of(begin, make_label, labels)
    assert set(watched(window, detectors_of(quiet), quiet, begin)[0]) == kinds


def test_groups_have_no_limits_at_every_look(begin, quiet, make_label):
    window, _ = window_of(begin, make_label, 60, groups=20)
    assert "anytime_low" not in watched(window, detectors_of(quiet), quiet, begin)[0]["ppi"].figures


def test_wide_inputs_are_narrowed_to_where_they_spread():
    rng = np.random.default_rng(0)
    rows = np.hstack([rng.normal(size=(200, 3)) * 9, rng.normal(size=(200, 60)) * 0.01])
    narrowed = Directions.of(rows).narrowed(rows)
    assert narrowed.shape == (200, 32)
    assert narrowed[:, :3].var() == pytest.approx(rows[:, :3].var(), rel=0.05)
    assert Directions.of(rows[:, :5]).narrowed(rows[:, :5]) is not None


def test_an_error_is_foretold_only_where_the_answer_is_a_number(begin, quiet, make_label, world):
    detectors = detectors_of(quiet)
    model = ErrorModel.fit(detectors)
    window, errors = window_of(begin, make_label, 30)
    numbers = window.numbers.copy()
    numbers[3] = np.nan
    found = model.of(replace(window, numbers=numbers), np.arange(600))
    assert np.flatnonzero(np.isnan(found)).tolist() == [3]
    assert np.corrcoef(np.delete(found, 3), np.delete(errors, 3))[0, 1] > 0.4
    assert ErrorModel.fit(Detectors.fit(world.reference(200), quiet)) is None
