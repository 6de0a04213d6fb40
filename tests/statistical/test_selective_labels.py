"""Labels that came selectively: right by inverse probability where the chance is known, refused where it is not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from backstay.kernel.errors import BackstayError
from backstay.maths.betting import inverse_probability
from backstay.maths.intervals import mean_interval
from backstay.maths.sequences import MeanSequence

ERROR = 0.1


def stream(n: int, rule: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Errors, who was labelled, and the chance of it.

    "doubtful": five times as often where an error is likely. "lazy": hardly ever where it is. "alike": no rule.
    "told": like doubtful, but by the error itself, as complaints come, which no logged chance knows.
    """
    likely = rng.random(n) < 0.2
    error = rng.random(n) < np.where(likely, 0.4, 0.025)
    chance = {"doubtful": (0.5, 0.1), "lazy": (0.05, 0.3), "alike": (0.18, 0.18), "told": (0.5, 0.1)}[rule]
    pi = np.where(likely, *chance)
    by = np.where(error, 0.5, 0.1) if rule == "told" else pi
    return error.astype(float), (rng.random(n) < by).astype(float), pi


def measured(rule: str, runs: int, n: int = 1500) -> dict[str, float]:
    """Means by inverse probability and of the labels as they came; how often their 95% intervals hold the truth."""
    rng = np.random.default_rng([len(rule), n])
    weighted, plain, held, naive = [], [], [], []
    for _ in range(runs):
        error, labelled, pi = stream(n, rule, rng)
        values = inverse_probability(np.where(labelled > 0, error, np.nan), labelled, pi)
        came = error[labelled > 0]
        weighted.append(values.mean())
        plain.append(came.mean())
        low, high = mean_interval(values)
        held.append(low <= ERROR <= high)
        low, high = mean_interval(came)
        naive.append(low <= ERROR <= high)
    return {
        "mean": float(np.mean(weighted)),
        "se": float(np.std(weighted) / np.sqrt(runs)),
        "of the labels": float(np.mean(plain)),
        "coverage": float(np.mean(held)),
        "coverage, labels as they came": float(np.mean(naive)),
    }


@pytest.mark.parametrize("rule", ["doubtful", "lazy", "alike"])
def test_the_mean_is_that_of_all_rows_where_the_chance_is_known(rule):
    found = measured(rule, 250)
    assert abs(found["mean"] - ERROR) < 3.5 * found["se"]
    assert found["coverage"] >= 0.89


def test_mutants_that_forget_the_chance_or_have_a_wrong_one_are_wrong():
    for rule, worse in (("doubtful", 0.18), ("lazy", 0.06)):
        found = measured(rule, 120)
        assert (found["of the labels"] > worse) if rule == "doubtful" else (found["of the labels"] < worse)
        assert found["coverage, labels as they came"] < 0.6
    # Complaints: the chance that is written down is not the one that acted.
    told = measured("told", 120)
    assert told["mean"] > 1.2 * ERROR
    assert told["coverage"] < 0.8


@pytest.mark.parametrize("bad", [0.0, np.nan, -0.1, 1.5, np.inf])
def test_an_unknown_chance_is_refused_not_guessed(bad):
    error, labelled, pi = stream(50, "doubtful", np.random.default_rng(0))
    pi[7] = bad
    with pytest.raises(BackstayError, match="1 rows have no known probability"):
        inverse_probability(error, labelled, pi)


def test_a_row_that_nobody_could_have_drawn_is_refused_even_unlabelled():
    """Rows of chance 0 have no say in the mean of the others: it would be of another population."""
    error, labelled, pi = stream(50, "doubtful", np.random.default_rng(0))
    labelled[3], pi[3] = 0.0, 0.0
    with pytest.raises(BackstayError, match="no known probability"):
        inverse_probability(error, labelled, pi)


def sequences(rule: str, runs: int, n: int = 1000) -> tuple[float, float]:
    """Share of runs whose confidence sequence of weighted losses never excludes the truth, and its width in the end."""
    rng = np.random.default_rng([7, len(rule)])
    held, width = 0, 0.0
    for _ in range(runs):
        error, labelled, pi = stream(n, rule, rng)
        values = inverse_probability(error, labelled, pi)
        found = MeanSequence.start(0.05, 0.0, float(1.0 / pi.min())).update(values)
        held += found.low <= ERROR <= found.high
        width += found.high - found.low
    return held / runs, width / runs


@pytest.mark.prove
def test_selective_labels(prove_table: Callable[..., None]) -> None:
    rows = []
    for rule in ("alike", "doubtful", "lazy", "told"):
        found, sequence = measured(rule, 2000), sequences(rule, 300)
        rows.append(
            {
                "labelled": rule,
                "error": ERROR,
                "by inverse probability": found["mean"],
                "of the labels": found["of the labels"],
                "coverage of 2000": found["coverage"],
                "labels as they came": found["coverage, labels as they came"],
                "sequence held at all rows": sequence[0],
                "its width": sequence[1],
            }
        )
    prove_table("selective-labels", rows)
    for row in rows[:3]:
        assert float(row["coverage of 2000"]) >= 0.9
        assert float(row["sequence held at all rows"]) >= 0.93
    assert float(rows[3]["coverage of 2000"]) < 0.8
