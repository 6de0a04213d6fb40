"""The mean error of a regression without labels: it follows a shift that errors follow, and is refused elsewhere."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from backstay.kernel.records import Estimate
from backstay.monitor import loss_estimates
from backstay.monitor.fitted import Detectors
from backstay.monitor.loss_estimates import mae_without_labels
from backstay.monitor.reference import Reference, fit_reference
from backstay.monitor.traffic import WindowData

WORD = "a number"


@pytest.fixture(autouse=True)
def _few_draws(monkeypatch):
    monkeypatch.setattr(loss_estimates, "DRAWS", 30)


def rows(n: int, seed: int, shift: float = 0.0, concept: float = 1.0, wide: int = 3):
    """Answers whose errors grow with one input; wide inputs are an embedding of three."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    x[:, 0] += shift
    answers = 100 + 10 * x[:, 1]
    errors = np.abs(concept * (4 + 3 * np.maximum(x[:, 0], 0)) * rng.normal(size=n))
    if wide > 3:
        x = np.maximum(x @ np.random.default_rng(0).normal(size=(3, wide)), 0) + 0.1 * rng.normal(size=(n, wide))
    return x, answers, errors


def reference_of(n: int = 900, wide: int = 3) -> Reference:
    x, answers, errors = rows(n, 1, wide=wide)
    limit = float(np.quantile(errors, 0.9))
    made = fit_reference(
        np.full(n, WORD, dtype=object), representation=x, correct=(errors <= limit).astype(float), learned=np.zeros(n)
    )
    return replace(made, numbers=answers, limit=limit, errors=errors)


def window_of(begin, n: int = 500, seed: int = 2, **parts) -> tuple[WindowData, float]:
    x, answers, errors = rows(n, seed, **parts)
    ids = np.array([f"w-{i}" for i in range(n)], dtype=object)
    times = np.full(n, np.datetime64(begin.replace(tzinfo=None), "us"))
    made = WindowData(begin, begin + timedelta(days=7), ids, times, np.full(n, WORD, dtype=object), representation=x)
    return replace(made, numbers=answers), float(errors.mean())


def estimated(reference, window, settings, refusals=(), labelled=None) -> Estimate:
    return mae_without_labels(Detectors.fit(reference, settings), window, settings, refusals, labelled, 50)


@pytest.fixture
def quiet(make_settings):
    return make_settings(task="regression", watch={"detectors": ["columns"]})


@pytest.mark.parametrize("wide", [3, 40])
def test_errors_that_grow_with_the_inputs_are_followed(begin, quiet, wide):
    reference = reference_of(2000, wide=wide)
    window, truth = window_of(begin, 800, shift=0.7, wide=wide)
    found = estimated(reference, window, quiet)
    assert (found.kind, found.metric, found.n) == ("label-free", "mae", 800)
    assert found.interval.low <= truth <= found.interval.high
    assert abs(found.value - truth) < 0.6 * abs(reference.errors.mean() - truth)
    assert "has not changed" in found.assumption
    assert estimated(reference, window, quiet) == found


def test_a_model_of_classes_has_none(world, quiet):
    assert estimated(world.reference(200), world.window(), quiet) is None


def refused(case: str, begin, settings) -> Estimate:
    reference = reference_of(300 if case == "few" else 900)
    window, _ = window_of(begin, shift=5.0 if case == "far" else 0.0)
    if case == "words":
        window = replace(window, numbers=np.where(np.arange(500) == 3, np.nan, window.numbers))
    if case == "old reference":
        reference = replace(reference, errors=None)
    if case == "no inputs":
        window = replace(window, representation=None)
    return estimated(reference, window, settings, ("the newest label is old",) if case == "stale" else ())


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("few", "only 300 reference rows of which the error is known: at least 500"),
        ("far", ""),
        ("words", "1 answers of the window are no numbers"),
        ("old reference", "not known as numbers"),
        ("no inputs", "neither inputs nor embeddings"),
        ("stale", "the newest label is old"),
    ],
)
def test_it_is_refused_and_says_why(begin, quiet, case, said):
    found = refused(case, begin, quiet)
    assert (found.value, found.interval, found.labels_needed) == (None, None, 50)
    assert found.refusals
    assert said in "; ".join(found.refusals)


def test_labels_that_contradict_it_are_believed(begin, quiet):
    """Errors doubled while inputs and answers look as ever: nothing but labels can tell."""
    reference = reference_of()
    window, truth = window_of(begin, concept=2.0)
    blind = estimated(reference, window, quiet)
    assert blind.value is not None
    assert not blind.interval.low <= truth <= blind.interval.high

    def labels(low, high):
        return Estimate("labels", "mae", truth, None, 500, "", labels=80, figures={"low_99": low, "high_99": high})

    told = estimated(reference, window, quiet, labelled=labels(truth - 2, truth + 2))
    assert told.value is None
    assert "errors no longer go with the inputs" in told.refusals[0]
    assert told.figures["withheld"] == blind.value
    assert estimated(reference, window, quiet, labelled=labels(blind.value - 1, truth + 2)).value == blind.value


def test_errors_go_with_their_rows_and_into_the_digest():
    reference = reference_of(60)
    assert replace(reference, errors=reference.errors + 1).digest != reference.digest
    assert reference.take(np.array([5, 2])).errors.tolist() == reference.errors[[5, 2]].tolist()
