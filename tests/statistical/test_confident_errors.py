"""Confident errors at a fixed reference: the alarm rate of each is in the budget, whatever the model's scores mean.

Exact given the reference and the cells of the labels: the critical sum by what is accepted, its chance by the truth.
No tolerance is given. A row of the population is wrong with a chance that is a function of its top score, so that a
change of the mix changes no meaning.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from scipy.special import expit, logit

from backstay.kernel.records import Label, LabelUse
from backstay.maths.betting import null_error
from backstay.maths.detector import ErrorDetector
from backstay.maths.surprise import Spread, Surprise, chance_of_as_many, mistake_points, ratios, tails
from backstay.monitor.detectors import Look
from backstay.monitor.detectors.confident_errors import ConfidentErrorsDetector
from backstay.monitor.traffic import LabelledRow, WindowData

DELTA, ALPHA = 0.05, 0.01


@dataclass(frozen=True)
class Population:
    """Many rows by top score: how often each is wrong, and how often the traffic of now has it, of that of then."""

    top: np.ndarray
    wrong: np.ndarray
    times: np.ndarray
    classes: int = 2

    @staticmethod
    def of(name: str) -> Population:
        rng = np.random.default_rng(3)
        honest = np.sort(expit(np.abs(2.5 * rng.standard_normal(40_000))))
        times = np.ones(len(honest))
        if name == "calibrated":
            return Population(honest, 1.0 - honest, times)
        if name == "overconfident":  # what it calls .999 is right in .9 of cases, and no smooth map of scores says so
            return Population(expit(2.5 * logit(honest)), 1.0 - np.minimum(honest, 0.9), times)
        if name == "unsure mix":
            return Population(honest, 1.0 - np.minimum(honest, 0.93), np.where(honest < 0.8, 3.0, 1.0))
        if name == "sure mix":
            return Population(honest, 1.0 - np.minimum(honest, 0.93), np.where(honest < 0.8, 1.0, 4.0))
        return Population(0.2 + 0.8 * honest, 0.75 * (1.0 - honest), times, 5)

    def reference(self, rng: np.random.Generator, rows: int) -> Surprise:
        chosen = rng.integers(0, len(self.top), rows)
        return Surprise.fit(self.scores(self.top[chosen]), (rng.random(rows) >= self.wrong[chosen]).astype(float))

    def scores(self, top: np.ndarray) -> np.ndarray:
        rest = np.repeat((1.0 - top)[:, None] / (self.classes - 1.0), self.classes - 1, axis=1)
        return np.column_stack([top, rest])

    def now(self, surprise: Surprise) -> tuple[np.ndarray, np.ndarray]:
        """Share of today's traffic in each cell, and how often it is wrong there."""
        cells = surprise.cells(self.top)
        mass = np.bincount(cells, weights=self.times)
        return mass / mass.sum(), np.bincount(cells, weights=self.times * self.wrong) / mass


Accept = Callable[[Surprise, np.ndarray], np.ndarray]
Made = Callable[[Surprise], Surprise]


def kept(surprise: Surprise, seen: np.ndarray) -> np.ndarray:
    return surprise.accepted(seen, DELTA)


def without_reference_error(surprise: Surprise, seen: np.ndarray) -> np.ndarray:
    return surprise.accepted(seen, 0.5)


def by_word_of_scores(surprise: Surprise, seen: np.ndarray) -> np.ndarray:
    """The mutant that takes the model at its word: the middle of each cell, by the cuts."""
    edges = np.concatenate([[surprise.cuts[0]], surprise.cuts, [1.0]])
    return np.clip(1.0 - (edges[1:] + edges[:-1]) / 2.0, 0.01, 0.99)


def counted_alike(surprise: Surprise) -> Surprise:
    """The mutant that counts every mistake alike and knows one cell: the plain error rate."""
    rows, wrong = surprise.rows.sum(keepdims=True), surprise.wrong.sum(keepdims=True)
    return Surprise(np.empty(0), rows, wrong, np.ones(1), surprise.classes)


def rates(
    name: str, rows: int, labels: int, references: int, accept: Accept = kept, made: Made = lambda fitted: fitted
) -> np.ndarray:
    """The alarm rate at each of so many references, of looks at so many labels."""
    population, rng, found = Population.of(name), np.random.default_rng(8), []
    for _ in range(references):
        surprise = made(population.reference(rng, rows))
        share, truth = population.now(surprise)
        chances = []
        for _ in range(3):
            seen = rng.multinomial(labels, share)
            points = mistake_points(seen, surprise.weights)
            critical = tails(seen, accept(surprise, seen), points) <= ALPHA
            chances.append(tails(seen, truth, points)[np.argmax(critical)] if critical.any() else 0.0)
        found.append(float(np.mean(chances)))
    return np.asarray(found)


CASES = [
    ("calibrated", 400, 50),
    ("calibrated", 5000, 200),
    ("overconfident", 1000, 100),
    ("unsure mix", 1000, 100),
    ("sure mix", 1000, 100),
    ("five classes", 600, 30),
]
MUTANTS = [
    ("calibrated", 400, 200, without_reference_error),
    ("overconfident", 1000, 100, by_word_of_scores),
]
PLAIN = ("unsure mix", 1000, 100)


@pytest.mark.parametrize(("name", "rows", "labels"), CASES)
def test_each_reference_stays_within_the_level(name: str, rows: int, labels: int) -> None:
    found = rates(name, rows, labels, 60)
    assert found.mean() <= ALPHA
    assert np.quantile(found, 0.95) <= 1.5 * ALPHA
    assert found.mean() >= ALPHA / 20  # not dead


def test_the_detector_computes_the_chance_of_which_these_are_the_rates(look_at: Callable[..., Look]) -> None:
    population, rng = Population.of("calibrated"), np.random.default_rng(9)
    detector, at = ConfidentErrorsDetector(population.reference(rng, 1000)), datetime(2026, 1, 5, tzinfo=UTC)
    surprise = detector.surprise
    for turned in (0.0, 0.1, 0.3):
        chosen = rng.integers(0, len(population.top), 80)
        wrong = rng.random(80) < population.wrong[chosen] + turned
        tops = population.scores(population.top[chosen])
        labels = tuple(labelled(i, bool(wrong[i]), tuple(tops[i]), at) for i in range(80))
        ids, times = np.array(["x"], dtype=object), np.array([np.datetime64("2026-01-05", "us")])
        window = WindowData(at, at + timedelta(days=7), ids, times, np.array(["a"], dtype=object), labels=labels)
        signal, _ = detector.look({}, window, look_at(ALPHA))
        cells = surprise.cells(population.top[chosen])
        seen, bad = (np.bincount(c, minlength=len(surprise.rows)) for c in (cells, cells[wrong]))
        chance = chance_of_as_many(seen, bad, kept(surprise, seen), surprise.weights)
        assert signal.figures["p_value"] == pytest.approx(chance)
        assert signal.alarm == (chance <= ALPHA)


def labelled(place: int, wrong: bool, scores: tuple[float, ...], at: datetime) -> LabelledRow:
    label = Label(
        prediction_id=str(place),
        value="b" if wrong else "a",
        source="review",
        trusted=True,
        adjudicated=True,
        use=LabelUse.STANDING,
        at=at,
        model="m",
        environment="production",
        group=None,
        probability=0.1,
    )
    return LabelledRow(label, "a", at, scores, False)


@pytest.mark.parametrize(("name", "rows", "labels", "mutant"), MUTANTS)
def test_mutants_do_not(name: str, rows: int, labels: int, mutant: Accept) -> None:
    assert np.quantile(rates(name, rows, labels, 60, mutant), 0.95) > 1.5 * ALPHA


def test_the_plain_error_rate_takes_another_mix_for_a_change() -> None:
    assert np.quantile(rates(*PLAIN, 60, made=counted_alike), 0.95) > 1.5 * ALPHA


def weeks_that_alarm(weeks: int, sway: float, allowed_for: bool, level: float) -> float:
    """Share of weeks that alarm, of 140 labels each, where days are good or bad by so much on the scale of log odds."""
    population, rng = Population.of("calibrated"), np.random.default_rng(4)
    surprise, spread, alarms = population.reference(rng, 20_000), Spread(), 0
    days = np.repeat(np.arange(7), 20)
    for _ in range(weeks):
        rows = rng.integers(0, len(population.top), len(days))
        moods = rng.choice([-sway, sway], 7)[days]
        # Good and bad days in turns, as wrong on the whole as the reference is.
        chance = expit(logit(population.wrong[rows]) + moods) / (1.0 + 0.5 * sway**2 * 0.3)
        wrong = rng.random(len(days)) < chance
        cells = surprise.cells(population.top[rows])
        seen = np.bincount(cells, minlength=len(surprise.rows))
        bad = np.bincount(cells[wrong], minlength=len(surprise.rows))
        found = chance_of_as_many(seen, bad, surprise.accepted(seen, DELTA), surprise.weights)
        spread = spread.add(days, surprise.weights[cells] * (wrong - surprise.usual[cells]))
        alarms += (spread.spread(found) if allowed_for else found) <= level
    return alarms / weeks


def test_good_and_bad_days_are_allowed_for() -> None:
    level = 0.02
    raw, kept_in = (weeks_that_alarm(1000, 1.2, allowed, level) for allowed in (False, True))
    assert raw > 1.5 * level
    assert kept_in <= 1.5 * level


def power(labels: int, accept: Accept, made: Made = lambda fitted: fitted, turned: float = 0.1) -> float:
    """Power in the first look after so many labels were turned; reference of 5,000, at a level of .05."""
    population, rng, found = Population.of("calibrated"), np.random.default_rng(5), []
    for _ in range(12):
        surprise = made(population.reference(rng, 5000))
        share, truth = population.now(surprise)
        seen = rng.multinomial(labels, share)
        points = mistake_points(seen, surprise.weights)
        critical = int(np.argmax(tails(seen, accept(surprise, seen), points) <= 0.05))
        found.append(tails(seen, truth + turned * (1.0 - 2.0 * truth), points)[critical])
    return float(np.mean(found))


def test_a_tenth_of_labels_turned_is_found_by_a_hundred() -> None:
    assert power(50, kept) > 0.45
    assert power(100, kept) > 0.70
    assert power(200, kept) > 0.90
    assert power(100, kept, counted_alike) < 0.45


def labels_to_the_alarm(rng: np.random.Generator, surprise: Surprise, turned: float) -> dict[str, int]:
    """Labels from the change to the first alarm, twelve a week, 1,200 at most; each for .1 false alarms a year."""
    population, quiet, changed, a_week, found = Population.of("calibrated"), 300, 1200, 12, {}
    rows = rng.integers(0, len(population.top), quiet + changed)
    wrong = rng.random(len(rows)) < population.wrong[rows]
    wrong ^= (np.arange(len(rows)) >= quiet) & (rng.random(len(rows)) < turned)
    cells, parts, level, steps = surprise.cells(population.top[rows]), len(surprise.rows), 0.1 / 52, 650 / 0.1
    null = null_error(surprise.wrong.sum(), surprise.rows.sum(), DELTA, 0.02)
    _, plain = ErrorDetector.start(null, steps).update(wrong.astype(float))
    right_bets, wrong_bets = ratios(surprise.accepted(surprise.rows, DELTA, 0.02), 2)
    _, bets = ErrorDetector.start(0.5, steps).update(np.where(wrong, wrong_bets[cells], right_bets[cells]) / 2.0)
    for name, alarms in (("error rate, e-detector", plain), ("same weights, e-detector", bets)):
        found[name] = next((at + 1 - quiet for at in alarms if at >= quiet), changed)
    found["newest 50 labels, test"] = changed
    for end in range(quiet + a_week, len(rows) + 1, a_week):
        newest = slice(end - 50, end)
        seen, bad = (np.bincount(c, minlength=parts) for c in (cells[newest], cells[newest][wrong[newest]]))
        if chance_of_as_many(seen, bad, surprise.accepted(seen, DELTA), surprise.weights) <= level:
            found["newest 50 labels, test"] = end - quiet
            break
    return found


@pytest.mark.prove
def test_a_thousand_references(prove_table: Callable[..., None]) -> None:
    rows = []
    cases: list[tuple[str, int, int, str, Accept, Made]] = [(*case, "as it is", kept, lambda s: s) for case in CASES]
    for name, n, labels, mutant in MUTANTS:
        cases += [(name, n, labels, f"{mutant.__name__.replace('_', ' ')} (mutant)", mutant, lambda s: s)]
    cases += [(*PLAIN, "plain error rate (mutant)", kept, counted_alike)]
    for name, n, labels, how, accept, made in cases:
        found = rates(name, n, labels, 1000, accept, made)
        rows.append(
            {
                "scores": name,
                "reference rows": n,
                "labels": labels,
                "test": how,
                "references": len(found),
                "mean rate / alpha": float(found.mean() / ALPHA),
                "95th percentile / alpha": float(np.quantile(found, 0.95) / ALPHA),
            }
        )
        assert bool(np.quantile(found, 0.95) <= 1.5 * ALPHA) is (how == "as it is")
        assert how != "as it is" or found.mean() <= ALPHA
    prove_table("confident-errors", rows)


@pytest.mark.prove
def test_labels_that_it_takes(prove_table: Callable[..., None]) -> None:
    rng, rows = np.random.default_rng(6), []
    for reference, turned in ((1000, 0.1), (5000, 0.1), (5000, 0.2)):
        waits = [
            labels_to_the_alarm(rng, Population.of("calibrated").reference(rng, reference), turned) for _ in range(100)
        ]
        for name in waits[0]:
            told = np.array([wait[name] for wait in waits])
            rows.append(
                {
                    "alarm by": name,
                    "reference rows": reference,
                    "labels turned": turned,
                    "labels, median": float(np.median(told)),
                    "labels, 80th percentile": float(np.quantile(told, 0.8)),
                }
            )
    prove_table("confident-errors-delay", rows)
    by_name = {row["alarm by"]: row["labels, median"] for row in rows if row["reference rows"] == 5000}
    assert by_name["newest 50 labels, test"] < by_name["same weights, e-detector"] < by_name["error rate, e-detector"]


@pytest.mark.prove
def test_power_of_the_first_look(prove_table: Callable[..., None]) -> None:
    rows = [
        {"labels": n, "weighed": power(n, kept), "every mistake alike": power(n, kept, counted_alike)}
        for n in (50, 100, 200)
    ]
    prove_table("confident-errors-power", rows)
    assert all(row["weighed"] > 1.2 * row["every mistake alike"] for row in rows)
