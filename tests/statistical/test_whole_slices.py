"""The whole detector `slices`, fitted to 1,000 references by its own `fit`: the alarm rate of each over one bank of
null windows (as in `test_whole_inputs.py`), its level split over slices, the detectors in each and their tests.

Every window has as many rows of a slice as any other, drawn anew: the thresholds hang on that number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from backstay.maths.meanshift import LEAST_ALPHA, MeanShift
from backstay.maths.threshold import MINIMUM_WINDOW, find_threshold
from backstay.monitor.detectors.columns import TOGETHER
from backstay.monitor.detectors.prediction import SHARE, _codes
from backstay.monitor.detectors.rates import Share, _needed
from backstay.monitor.detectors.slices import SlicesDetector
from backstay.monitor.reference import Reference, fit_reference
from backstay.monitor.traffic import WindowData

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
POOL = 12_000
SITES = np.array(["north", "south", "west"], dtype=object)


@dataclass(frozen=True)
class Traffic:
    """All rows that there are: columns, answers and slices. `cells` are the rows of each combination of slices."""

    predicted: np.ndarray
    classes: tuple[str, ...]
    scores: np.ndarray | None
    columns: Mapping[str, np.ndarray]
    slices: Mapping[str, np.ndarray]

    @property
    def cells(self) -> dict[tuple[str, ...], np.ndarray]:
        found: dict[tuple[str, ...], list[int]] = {}
        for row, values in enumerate(zip(*self.slices.values(), strict=True)):
            found.setdefault(values, []).append(row)
        return {key: np.array(found[key]) for key in sorted(found)}

    def parts(self, rows: np.ndarray) -> dict[str, Any]:
        return {
            "scores": None if self.scores is None else self.scores[rows],
            "columns": {name: values[rows] for name, values in self.columns.items()},
            "slices": {name: values[rows] for name, values in self.slices.items()},
        }

    def reference(self, rows: np.ndarray) -> Reference:
        return fit_reference(self.predicted[rows], self.classes, **self.parts(rows))

    def window(self, rows: np.ndarray) -> WindowData:
        ids = np.array([f"r{i}" for i in range(len(rows))], dtype=object)
        times = np.full(len(rows), np.datetime64("2026-01-05", "us"))
        return WindowData(BEGIN, BEGIN + timedelta(days=7), ids, times, self.predicted[rows], **self.parts(rows))


def numbers() -> Traffic:
    """Three sites with means of their own; four columns of numbers, two of which go together, and one of categories; a
    model with scores."""
    rng = np.random.default_rng(7)
    site = rng.choice(3, POOL, p=(0.2, 0.3, 0.5))
    age = rng.normal(size=POOL) + site
    visits = np.where(rng.random(POOL) < 0.9, 0.0, np.exp(rng.normal(size=POOL)))
    visits[rng.random(POOL) < 0.02] = np.nan
    shares = 0.6 ** np.arange(8)
    logits = rng.normal(size=(POOL, 3)) * rng.uniform(0.2, 4.0, (POOL, 1)) + 0.5 * (np.arange(3) == site[:, None])
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    classes = np.array(["ask", "no", "yes"], dtype=object)
    return Traffic(
        classes[scores.argmax(axis=1)],
        tuple(classes),
        scores,
        {
            "age": age,
            "income": 0.6 * age + 0.8 * rng.normal(size=POOL),
            "amount": np.exp(1.5 * rng.normal(size=POOL)),
            "visits": visits,
            "plan": rng.choice(np.array(list("abcdefgh"), dtype=object), POOL, p=shares / shares.sum()),
        },
        {"site": SITES[site]},
    )


def heavy() -> Traffic:
    """Small slices that overlap, three sites and two devices, and columns that invite false alarms: long tails, rare
    gaps, rare categories, one that in most slices holds one value only; a rare answer, no scores."""
    rng = np.random.default_rng(13)
    site, phone = rng.choice(3, POOL, p=(0.25, 0.35, 0.4)), rng.random(POOL) < 0.4
    amount = np.exp(2.0 * rng.normal(size=POOL) + phone)
    amount[rng.random(POOL) < 0.005] = np.nan
    country = np.where(rng.random(POOL) < 0.001, "BE", "NL").astype(object)
    answers = np.array(["ask", "no", "yes"], dtype=object)
    return Traffic(
        answers[np.minimum(rng.choice(3, POOL, p=(0.02, 0.38, 0.6)) + (rng.random(POOL) < 0.1 * site), 2)],
        tuple(answers),
        None,
        {
            "amount": amount,
            "rare": np.array([f"c{i}" for i in np.minimum(rng.zipf(1.7, POOL), 500)], dtype=object),
            "country": country,
        },
        {"site": SITES[site], "device": np.where(phone, "phone", "desk").astype(object)},
    )


# Rows of a window by cell, in the order of `Traffic.cells`.
TRAFFIC: dict[str, tuple[Callable[[], Traffic], tuple[int, ...]]] = {
    "three sites, five columns": (numbers, (60, 90, 150)),
    "three sites, two devices, heavy columns": (heavy, (18, 12, 24, 16, 30, 20)),
}

Limit = Callable[..., float]


def kept(shift: MeanShift, rows: int, alpha: float, family: int = 1) -> float:
    return shift.threshold(rows, alpha, family=family)


def without_reference_error(shift: MeanShift, rows: int, alpha: float, family: int = 1) -> float:
    return find_threshold(shift.spectrum, rows, alpha, np.inf, family).uninflated


def distances(shift: MeanShift, means: np.ndarray) -> np.ndarray:
    moved = means - shift.mean
    if shift.projection is not None:
        moved = moved @ shift.projection
    return np.asarray(np.einsum("ij,ij->i", moved, moved))


class Inside:
    """What the windows of a bank have of one slice."""

    def __init__(self, traffic: Traffic, cells: list[tuple[np.ndarray, Any]]) -> None:
        self.traffic, self.banks = traffic, [bank for _, bank in cells]
        self.rows = np.concatenate([rows for rows, _ in cells])
        self.ends = np.cumsum([len(rows) for rows, _ in cells])
        self.size = sum(bank.size for bank in self.banks)
        self.answers: np.ndarray | None = None

    def means(self, features: np.ndarray) -> np.ndarray:
        """Mean features [windows, d] of the features [rows, d] of all rows of the slice; in single precision, which
        takes an eighth of the time."""
        parts = np.split(features.astype(np.float32), self.ends[:-1])
        totals = [bank.size * bank.means(part) for bank, part in zip(self.banks, parts, strict=True)]
        return np.asarray(np.sum(totals, axis=0) / self.size)

    def prediction(self, detector: Any, alpha: float, limit: Limit) -> np.ndarray:
        tests = detector._tests()
        if self.answers is None:  # they hang on no reference
            codes = _codes(self.traffic.predicted[self.rows], detector.classes)
            scores = None if self.traffic.scores is None else self.traffic.scores[self.rows]
            self.answers = self.means(detector.map.features(codes, scores))
        each = alpha if len(tests) == 1 else SHARE * alpha
        found = [distances(t.shift, self.answers[:, t.part]) / limit(t.shift, self.size, each) for t in tests]
        return np.asarray(np.max(found, axis=0))

    def columns(self, detector: Any, alpha: float, limit: Limit) -> np.ndarray:
        each = alpha * (1.0 - (0.0 if detector.together is None else TOGETHER)) / len(detector.names)
        found, values = [], []
        for part in detector.varying:
            means = self.means(part.map.features(self.traffic.columns[part.name][self.rows]))
            level = max(each / part.tests, LEAST_ALPHA)
            tests = [(part.shift, means)] if part.level is None else [(part.shift, means), (part.level, means[:, -1:])]
            found += [distances(test, of) / limit(test, self.size, level, detector.tests) for test, of in tests]
            if part.level is not None:
                values.append(means[:, -1])
        for always in detector.constant:
            differ = self.traffic.columns[always.name][self.rows] != always.value
            counts = np.rint(self.means(differ[:, None])[:, 0] * self.size)
            found.append(counts / _needed(float(self.size), Share(0.0, always.n).allowed, each))
        if detector.together is not None:
            levels = [part.level for part in detector.varying if part.level is not None]
            joint = np.stack(values, axis=1)
            found.append(detector.together.evidence(levels, joint, self.size, TOGETHER * alpha, np.inf))
        return np.asarray(np.max(found, axis=0))


class Judge:
    """Judges all windows of a bank at once, from the fitted detector's own parts."""

    def __init__(self, traffic: Traffic, quotas: tuple[int, ...], windows: int, draw_bank: Any) -> None:
        self.traffic = traffic
        cells = list(traffic.cells.items())
        drawn = [
            (key, rows, draw_bank(len(rows), windows, quota, seed))
            for seed, ((key, rows), quota) in enumerate(zip(cells, quotas, strict=True))
        ]
        self.rows = np.concatenate([rows[bank.rows] for _, rows, bank in drawn], axis=1)
        self.inside: dict[tuple[str, str], Inside] = {}
        for place, name in enumerate(traffic.slices):
            for value in sorted({key[place] for key, _, _ in drawn}):
                some = [(rows, bank) for key, rows, bank in drawn if key[place] == value]
                self.inside[name, value] = Inside(traffic, some)

    def evidence(self, detector: SlicesDetector, alpha: float, limit: Limit = kept, split: bool = True) -> np.ndarray:
        """[windows]; `split` false is the mutant that gives every detector in every slice the whole level."""
        parts = sum(len(members) for members in detector.members.values()) if split else 1
        found = []
        for key, members in detector.members.items():
            inside = self.inside[key]
            if inside.size >= MINIMUM_WINDOW:
                found += [getattr(inside, name)(member, alpha / parts, limit) for name, member in members.items()]
        return np.asarray(np.max(found, axis=0))


def fitted(traffic: Traffic, rng: np.random.Generator, rows: int) -> SlicesDetector:
    detector = SlicesDetector.fit(traffic.reference(rng.integers(0, POOL, rows)))
    assert detector is not None
    return detector


def rates(
    kind: str, draw_bank: Any, references: int, windows: int, rows: int, times: int = 1, **how: Any
) -> tuple[np.ndarray, int]:
    """The alarm rate of each reference, and the rows of a window, which are `times` those of `TRAFFIC`."""
    make, quotas = TRAFFIC[kind]
    traffic, rng = make(), np.random.default_rng(19)
    judge = Judge(traffic, tuple(times * quota for quota in quotas), windows, draw_bank)
    taken = (fitted(traffic, rng, rows) for _ in range(references))
    return np.array([np.mean(judge.evidence(one, ALPHA, **how) >= 1.0) for one in taken]), judge.rows.shape[1]


ALPHA, REFERENCES, WINDOWS = 0.01, 1000, 10_000
FIVE, HEAVY = TRAFFIC
MUTANTS: dict[str, dict[str, Any]] = {
    "level not split over slices and detectors": {"split": False},
    "ignores reference error": {"limit": without_reference_error, "times": 4},
}


@pytest.mark.parametrize(("kind", "rows", "first"), [(FIVE, 2000, 1.0), (FIVE, 2000, 0.2), (HEAVY, 1600, 1.0)])
def test_windows_are_judged_as_the_detector_judges_them(
    kind: str, rows: int, first: float, draw_bank: Any, look_at: Any
) -> None:
    """`first`: with a fifth of its rows the first slice is too small to be judged."""
    make, (quota, *others) = TRAFFIC[kind]
    traffic, rng, alpha = make(), np.random.default_rng(3), 0.25
    judge = Judge(traffic, (int(first * quota), *others), 8, draw_bank)
    detector = fitted(traffic, rng, rows)
    assert len(detector.members) == len(judge.inside)
    found = judge.evidence(detector, alpha)
    signals = [detector.look({}, traffic.window(chosen), look_at(alpha))[0] for chosen in judge.rows]
    assert {signal.figures["slices_not_judged"] for signal in signals} == {int(first < 1.0)}
    assert np.allclose(found, [signal.evidence for signal in signals], rtol=1e-3, atol=1e-6)
    assert [bool(one >= 1.0) for one in found] == [signal.alarm for signal in signals]


def test_a_few_references_keep_the_promise_quick(draw_bank: Any) -> None:
    found, _ = rates(HEAVY, draw_bank, 8, 6000, 1300)
    assert ALPHA / 20 <= found.mean() <= ALPHA
    assert np.quantile(found, 0.95) <= 1.6 * ALPHA  # 60 alarms each: counting alone spreads the rates


@pytest.mark.parametrize("mutant", list(MUTANTS))
def test_mutants_fail_quick(mutant: str, draw_bank: Any) -> None:
    found, _ = rates(HEAVY, draw_bank, 3, 2000, 1300, **MUTANTS[mutant])
    assert found.max() > 2 * ALPHA


# Of 1,300 rows the smallest slice has 325 on average: in one reference of twenty it has fewer than 300 and is left out.
# In the third case a window's slices have a third of the reference's rows.
CASES = [(FIVE, 2000, 1), (HEAVY, 1300, 1), (HEAVY, 1600, 4)]


@pytest.mark.prove
@pytest.mark.parametrize(("kind", "rows", "times"), CASES)
def test_of_a_thousand_references_ninety_five_in_a_hundred_keep_the_promise(
    kind: str, rows: int, times: int, draw_bank: Any, prove_rates: Any
) -> None:
    found, size = rates(kind, draw_bank, REFERENCES, WINDOWS, rows, times)
    told = {"reference": f"{rows} rows", "window": f"{size} rows", "windows": WINDOWS}
    prove_rates(f"slices-{rows}-{size}", "slices", kind, ALPHA, found, **told)


@pytest.mark.prove
def test_mutants_of_the_whole_detector_fail(draw_bank: Any, prove_mutants: Any) -> None:
    found = {
        ("slices", mutant): rates(HEAVY, draw_bank, 200, 4000, 1600, **how)[0] / ALPHA
        for mutant, how in MUTANTS.items()
    }
    prove_mutants("slices", found)
