"""Whole detectors of answers, each fitted to 1,000 references by its own `fit`: the alarm rate of each over one bank of
null windows, drawn from a pool that is the whole truth (as in `test_whole_inputs.py`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from scipy.special import ndtri

from backstay.maths.meanshift import MeanShift
from backstay.maths.threshold import find_threshold
from backstay.monitor.detectors.group_answers import FEWEST, GroupAnswersDetector
from backstay.monitor.detectors.numbers import NumbersDetector
from backstay.monitor.detectors.prediction import SHARE, PredictionDetector, _codes
from backstay.monitor.detectors.rates import REFERENCE_DELTA
from backstay.monitor.detectors.sets import SetsDetector
from backstay.monitor.reference import Reference, fit_reference
from backstay.monitor.traffic import WindowData

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
POOL = 20_000
ALPHA, REFERENCES = 0.01, 1000


@dataclass(frozen=True)
class Answers:
    """All rows that there are: what a model answers, with scores, as numbers or as sets, and the slice of each."""

    predicted: np.ndarray
    classes: tuple[str, ...]
    scores: np.ndarray | None = None
    numbers: np.ndarray | None = None
    members: np.ndarray | None = None
    site: np.ndarray | None = None

    def parts(self, rows: np.ndarray) -> dict[str, Any]:
        names = ("scores", "numbers", "members")
        given = {name: getattr(self, name)[rows] for name in names if getattr(self, name) is not None}
        return given if self.site is None else {**given, "slices": {"site": self.site[rows]}}

    def reference(self, rows: np.ndarray) -> Reference:
        given = self.parts(rows)
        plain = {name: given.pop(name) for name in ("numbers", "members") if name in given}
        if "members" in plain:
            plain["labels"] = tuple(f"l{i}" for i in range(plain["members"].shape[1] // 2))
        return replace(fit_reference(self.predicted[rows], self.classes, **given), **plain)

    def window(self, rows: np.ndarray) -> WindowData:
        n = len(rows)
        ids = np.array([f"r{i}" for i in range(n)], dtype=object)
        times = np.full(n, np.datetime64("2026-01-05", "us"))
        return WindowData(BEGIN, BEGIN + timedelta(days=7), ids, times, self.predicted[rows], **self.parts(rows))


def classes(count: int) -> Answers:
    """A classifier whose rows are of all kinds of sureness, some classes rare."""
    rng = np.random.default_rng(7)
    logits, shares = rng.normal(size=(POOL, count)), 0.75 ** np.arange(count)
    truth = rng.choice(count, POOL, p=shares / shares.sum())
    logits[np.arange(POOL), truth] += rng.uniform(0.0, 9.0, POOL)
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    names = np.array([f"c{i}" for i in range(count)], dtype=object)
    return Answers(names[scores.argmax(axis=1)], tuple(names), scores)


def words() -> Answers:
    """Answers without scores."""
    return replace(classes(6), scores=None)


def numbers() -> Answers:
    """A regression with a long tail."""
    rng = np.random.default_rng(9)
    return Answers(np.full(POOL, "a number", dtype=object), ("a number",), numbers=np.exp(rng.normal(size=POOL)))


def sets() -> Answers:
    """Six labels, some said seldom, that go together."""
    rng = np.random.default_rng(10)
    common = rng.normal(size=(POOL, 1))
    chances = 1.0 / (1.0 + np.exp(-common - rng.normal(size=(POOL, 6)) - np.linspace(0.0, -3.0, 6)))
    members = np.concatenate([chances >= 0.5, chances], axis=1).astype(np.float64)
    return Answers(np.full(POOL, "a set of labels", dtype=object), ("a set of labels",), members=members)


def by_site(count: int) -> Answers:
    """Three sites, of some rows unknown, that get two or three answers more or less often."""
    rng = np.random.default_rng(11)
    sites = rng.choice(3, POOL, p=(0.2, 0.4, 0.4))
    names = np.array(["no", "yes", "ask"][:count], dtype=object)
    answers = (rng.random(POOL) < np.array([0.3, 0.5, 0.4])[sites]).astype(int)
    answers[rng.random(POOL) < 0.3 * (count - 2)] = count - 1
    site = np.array(["north", "south", "west"], dtype=object)[sites]
    site[rng.random(POOL) < 0.05] = None
    return Answers(names[answers], tuple(names), site=site)


Limit = Callable[[MeanShift, int, float], float]


def kept(shift: MeanShift, rows: int, alpha: float) -> float:
    return shift.threshold(rows, alpha)


def without_reference_error(shift: MeanShift, rows: int, alpha: float) -> float:
    return find_threshold(shift.spectrum, rows, alpha).uninflated


def distances(shift: MeanShift, means: np.ndarray) -> np.ndarray:
    moved = means - shift.mean
    if shift.projection is not None:
        moved = moved @ shift.projection
    return np.einsum("ij,ij->i", moved, moved)


class Judge:
    """Judges all windows of a bank. What does not hang on the reference is found once."""

    def __init__(self, answers: Answers, bank: Any) -> None:
        self.answers, self.bank, self.means = answers, bank, dict[Any, np.ndarray]()

    def fit(self, rows: np.ndarray) -> Any:
        shelf = PredictionDetector if self.answers.site is None else GroupAnswersDetector
        return shelf.fit(self.answers.reference(rows))

    def evidence(self, detector: Any, alpha: float, **parts: Any) -> np.ndarray:
        """[windows] of the detector of whatever kind the answers are."""
        if isinstance(detector, GroupAnswersDetector):
            return self.gaps(detector, alpha, **parts)
        if isinstance(detector, NumbersDetector):
            return self.number(detector, alpha)
        return self.said(detector, alpha, **parts)

    def said(self, detector: Any, alpha: float, limit: Limit = kept, split: bool = True) -> np.ndarray:
        """Classes or sets; `split` false is the mutant that gives each of two tests the whole level."""
        if isinstance(detector, SetsDetector):
            tests, features = [(detector.shift, slice(None))], lambda: self.answers.members
        else:
            tests = [(test.shift, test.part) for test in detector._tests()]
            codes = _codes(self.answers.predicted, detector.classes) if "codes" not in self.means else None
            self.means.setdefault("codes", codes)
            features = lambda: detector.map.features(self.means["codes"], self.answers.scores)  # noqa: E731
        if "features" not in self.means:
            self.means["features"] = self.bank.means(features())
        means, each = self.means["features"], alpha if len(tests) == 1 or not split else SHARE * alpha
        found = [distances(shift, means[:, part]) / limit(shift, self.bank.size, each) for shift, part in tests]
        return np.max(found, axis=0)

    def number(self, detector: NumbersDetector, alpha: float) -> np.ndarray:
        """The shares of the column's cells and its mean, at half the level each."""
        (part,) = detector.column.varying
        means, found = self.bank.means(part.map.features(self.answers.numbers)), []
        for shift, of in ((part.shift, slice(None)), (part.level, slice(-1, None))):
            limit = shift.threshold(self.bank.size, alpha / part.tests, family=part.tests)
            found.append(distances(shift, means[:, of]) / limit)
        return np.max(found, axis=0)

    def gaps(self, detector: GroupAnswersDetector, alpha: float, delta: float = REFERENCE_DELTA) -> np.ndarray:
        """Gaps of answers between groups; `delta` of a half is the mutant that takes the reference's gap for exact."""
        level, found = float(ndtri(1.0 - alpha / len(detector.gaps) / 2.0)), [np.zeros(len(self.bank.rows))]
        for (_, value, answer), before in detector.gaps.items():
            gap, error, judged = self._gap(value, answer)
            allowed = float(ndtri(1.0 - delta)) * before.error + level * error
            found.append(np.where(judged, np.abs(gap - before.value) / np.maximum(allowed, 1e-12), 0.0))
        return np.max(found, axis=0)

    def _gap(self, value: str, answer: str) -> tuple[np.ndarray, ...]:
        """Of every window the gap, its standard error and whether it is judged."""
        if (value, answer) not in self.means:
            inside = self.answers.site == value
            others = np.array([site is not None for site in self.answers.site]) & ~inside
            got = self.answers.predicted == answer
            marks = np.stack([inside & got, inside, others & got, others], axis=1)
            a, n, b, k = self.bank.counts(marks).T
            judged = np.min([a, n - a, b, k - b], axis=0) >= FEWEST
            p, q = a / np.maximum(n, 1.0), b / np.maximum(k, 1.0)
            error = np.sqrt(p * (1 - p) / np.maximum(n, 1.0) + q * (1 - q) / np.maximum(k, 1.0))
            self.means[value, answer] = np.stack([p - q, error, judged])
        gap, error, judged = self.means[value, answer]
        return gap, error, judged > 0


KINDS: dict[str, Callable[[], Answers]] = {
    "three classes": lambda: classes(3),
    "ten classes": lambda: classes(10),
    "six classes, no scores": words,
    "numbers": numbers,
    "sets of six labels": sets,
    "two answers at three sites": lambda: by_site(2),
    "three answers at three sites": lambda: by_site(3),
}


def rows_of(rng: np.random.Generator, rows: int) -> np.ndarray:
    return rng.integers(0, POOL, rows)


@pytest.mark.parametrize("kind", list(KINDS))
def test_windows_are_judged_as_the_detector_judges_them(kind: str, draw_bank: Any, look_at: Any) -> None:
    answers, rng, alpha = KINDS[kind](), np.random.default_rng(3), 0.2
    judge = Judge(answers, draw_bank(POOL, 15, 150))
    for _ in range(2):
        detector = judge.fit(rows_of(rng, 2000))
        found = judge.evidence(detector, alpha)
        signals = [detector.look({}, answers.window(rows), look_at(alpha))[0] for rows in judge.bank.rows]
        assert all(signal.figures["judged"] for signal in signals)
        assert np.allclose(found, [signal.evidence for signal in signals], rtol=1e-4)
        assert [bool(one >= 1.0) for one in found] == [signal.alarm for signal in signals]


def rates(kind: str, bank: Any, references: int, rows: int, alpha: float, **parts: Any) -> np.ndarray:
    """The alarm rate of each reference."""
    judge, rng = Judge(KINDS[kind](), bank), np.random.default_rng(19)
    fitted = (judge.fit(rows_of(rng, rows)) for _ in range(references))
    return np.array([np.mean(judge.evidence(one, alpha, **parts) >= 1.0) for one in fitted])


@pytest.mark.parametrize("kind", ["ten classes", "two answers at three sites"])
def test_a_few_references_keep_the_promise_quick(kind: str, draw_bank: Any) -> None:
    found = rates(kind, draw_bank(POOL, 3000, 150), 30, 1000, 0.02)
    assert 0.02 / 20 <= found.mean() <= 0.02
    assert np.quantile(found, 0.95) <= 1.6 * 0.02  # 60 alarms each: counting alone spreads the rates


# What each mutant of a detector is told otherwise; of gaps the window is as large as the reference.
MUTANTS: list[tuple[str, str, str, dict[str, Any]]] = [
    ("prediction", "ten classes", "ignores reference error", {"limit": without_reference_error}),
    ("prediction", "sets of six labels", "ignores reference error", {"limit": without_reference_error}),
    ("group_answers", "two answers at three sites", "takes the reference's gaps for exact", {"delta": 0.5}),
]


@pytest.mark.parametrize(("detector", "kind", "mutant", "parts"), MUTANTS)
def test_mutants_fail_quick(
    detector: str,
    kind: str,
    mutant: str,
    parts: dict[str, Any],
    draw_bank: Any,
) -> None:
    found = rates(kind, draw_bank(POOL, 1500, 500), 20, 500, 0.02, **parts)
    assert found.max() > 2 * 0.02


@pytest.mark.prove
@pytest.mark.parametrize("kind", list(KINDS))
def test_of_a_thousand_references_ninety_five_in_a_hundred_keep_the_promise(
    kind: str, draw_bank: Any, prove_rates: Any
) -> None:
    detector, size = ("group_answers", 600) if "sites" in kind else ("prediction", 200)
    found = rates(kind, draw_bank(POOL, 20_000, size), REFERENCES, 1000, ALPHA)
    told = {"reference": "1000 rows", "window": f"{size} rows", "windows": 20_000}
    prove_rates(f"{detector}-{kind.replace(' ', '-').replace(',', '')}", detector, kind, ALPHA, found, **told)


@pytest.mark.prove
def test_mutants_of_whole_detectors_fail(draw_bank: Any, prove_mutants: Any) -> None:
    bank = draw_bank(POOL, 5000, 500)
    prove_mutants(
        "answers",
        {
            (detector, f"{mutant} ({kind})"): rates(kind, bank, 200, 1000, ALPHA, **parts) / ALPHA
            for detector, kind, mutant, parts in MUTANTS
        },
    )
