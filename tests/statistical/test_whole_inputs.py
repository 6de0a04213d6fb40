"""Whole detectors of inputs, each fitted to 1,000 references by its own `fit`: the alarm rate of each over one bank of
null windows, drawn from a pool that is the whole truth.

The windows are judged all at once, from the fitted detector's own parts. That this is what its `look` says of them is
tested first, on real windows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom

from backstay.maths.meanshift import LEAST_ALPHA, MeanShift
from backstay.maths.threshold import find_threshold
from backstay.monitor.detectors import DETECTORS
from backstay.monitor.detectors.columns import TOGETHER
from backstay.monitor.detectors.copies import BLOCK, in_blocks
from backstay.monitor.detectors.distances import distances_to, projected
from backstay.monitor.detectors.geometry import GeometryDetector
from backstay.monitor.detectors.novelty import NoveltyDetector
from backstay.monitor.detectors.rates import Share, _needed
from backstay.monitor.detectors.schema import SchemaDetector
from backstay.monitor.reference import Reference, fit_reference
from backstay.monitor.traffic import WindowData

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
POOL = 10_000


@dataclass(frozen=True)
class Traffic:
    """All rows that there are: an embedding of each, or columns."""

    representation: np.ndarray | None
    columns: dict[str, np.ndarray]

    def reference(self, rows: np.ndarray) -> Reference:
        given = {} if self.representation is None else {"representation": self.representation[rows]}
        columns = {name: values[rows] for name, values in self.columns.items()}
        return fit_reference(np.full(len(rows), "a", dtype=object), ("a", "b"), columns=columns or None, **given)

    def window(self, rows: np.ndarray) -> WindowData:
        n = len(rows)
        return WindowData(
            BEGIN,
            BEGIN + timedelta(days=7),
            np.array([f"r{i}" for i in range(n)], dtype=object),
            np.datetime64("2026-01-05", "us") + np.arange(n),
            np.full(n, "a", dtype=object),
            representation=None if self.representation is None else self.representation[rows],
            columns={name: values[rows] for name, values in self.columns.items()},
        )


def embedded(width: int = 32) -> Traffic:
    """Eight clusters whose directions vary less and less, in single precision, as an encoder gives them."""
    rng = np.random.default_rng(7)
    centres = rng.normal(size=(8, width)) * 1.2
    rows = rng.normal(size=(POOL, width)) * np.arange(1, width + 1) ** -0.3
    return Traffic((centres[rng.integers(0, 8, POOL)] + rows).astype(np.float32), {})


def table() -> Traffic:
    """Six columns: normal, one that goes with it, skewed, mostly nought with gaps, categories, one value only."""
    rng = np.random.default_rng(11)
    age = rng.normal(size=POOL)
    visits = np.where(rng.random(POOL) < 0.9, 0.0, np.exp(rng.normal(size=POOL)))
    visits[rng.random(POOL) < 0.02] = np.nan
    shares = 0.6 ** np.arange(10)
    return Traffic(
        None,
        {
            "age": age,
            "income": 0.6 * age + 0.8 * rng.normal(size=POOL),
            "amount": np.exp(1.5 * rng.normal(size=POOL)),
            "visits": visits,
            "plan": rng.choice(np.array(list("abcdefghij"), dtype=object), POOL, p=shares / shares.sum()),
            "country": np.full(POOL, "NL", dtype=object),
        },
    )


def heavy() -> Traffic:
    """Columns that invite false alarms: long tails, hundreds of rare categories, rare gaps."""
    rng = np.random.default_rng(13)
    number = np.exp(2.0 * rng.normal(size=POOL))
    number[rng.random(POOL) < 0.002] = np.nan
    rare = np.array([f"c{i}" for i in rng.zipf(1.7, POOL)], dtype=object)
    coin = np.where(rng.random(POOL) < 0.5, "heads", "tails").astype(object)
    return Traffic(None, {"number": number, "rare": rare, "coin": coin})


Limit = Callable[..., float]


def kept(shift: MeanShift, rows: int, alpha: float, family: int = 1) -> float:
    return shift.threshold(rows, alpha, family=family)


def without_reference_error(shift: MeanShift, rows: int, alpha: float, family: int = 1) -> float:
    return find_threshold(shift.spectrum, rows, alpha, np.inf, family).uninflated


def distances(shift: MeanShift, means: np.ndarray) -> np.ndarray:
    moved = means - shift.mean
    if shift.projection is not None:
        moved = moved @ shift.projection
    return np.einsum("ij,ij->i", moved, moved)


def embedding(detector: Any, traffic: Traffic, bank: Any, alpha: float, limit: Limit = kept) -> np.ndarray:
    """Evidence of every window; of each of the two tests at half the level, the larger."""
    found = []
    for map_, shift in ((detector.fourier, detector.shift), (detector.classifier.map, detector.classifier.shift)):
        means = bank.means(map_.features(traffic.representation))
        found.append(distances(shift, means) / limit(shift, bank.size, alpha / 2))
    return np.max(found, axis=0)


def columns(detector: Any, traffic: Traffic, bank: Any, alpha: float, split: float = 1.0) -> np.ndarray:
    """The strongest column's evidence or that of all means together. `split` of the mutant undoes the split of the
    level over the columns."""
    each = split * alpha * (1.0 - (0.0 if detector.together is None else TOGETHER)) / len(detector.names)
    found, values = [], []
    for part in detector.varying:
        means = bank.means(part.map.features(traffic.columns[part.name]))
        level = max(each / part.tests, LEAST_ALPHA)
        limit = part.shift.threshold(bank.size, level, family=detector.tests)
        found.append(distances(part.shift, means) / limit)
        if part.level is not None:
            limit = part.level.threshold(bank.size, level, family=detector.tests)
            found.append(distances(part.level, means[:, -1:]) / limit)
            values.append(means[:, -1])
    for always in detector.constant:
        differ = bank.counts((traffic.columns[always.name] != always.value)[:, None])[:, 0]
        found.append(differ / _needed(float(bank.size), Share(0.0, always.n).allowed, each))
    if detector.together is not None:
        levels = [part.level for part in detector.varying if part.level is not None]
        joint = detector.together.evidence(levels, np.stack(values, axis=1), bank.size, TOGETHER * alpha, np.inf)
        found.append(joint)
    return np.max(found, axis=0)


def geometry(detector: GeometryDetector, traffic: Traffic, bank: Any, alpha: float, limit: Limit = kept) -> np.ndarray:
    rows = np.asarray(traffic.representation, dtype=np.float64)
    means = bank.means(detector.shape.features(rows))
    return distances(detector.shift, means) / limit(detector.shift, bank.size, alpha)


def beyond(detector: NoveltyDetector, traffic: Traffic) -> np.ndarray:
    """Rows of the pool that are farther than the limit."""
    every = traffic.window(np.arange(POOL))
    return distances_to(detector.gallery, projected(detector.space, every, np.arange(POOL))) > detector.limit


def novelty(detector: NoveltyDetector, traffic: Traffic, bank: Any, alpha: float) -> np.ndarray:
    far = bank.counts(beyond(detector, traffic)[:, None])[:, 0]
    return far / _needed(float(bank.size), detector.beyond.allowed, alpha)


class Coded:
    """Columns as codes, so that what a window's rows have in common is found for all windows at once."""

    def __init__(self, traffic: Traffic, bank: Any) -> None:
        self.values, self.codes, self.alike = {}, {}, {}
        for name, column in traffic.columns.items():
            found = np.unique(column.astype(str), return_index=True, return_inverse=True)
            self.values[name], self.codes[name] = column[found[1]], found[2]
            inside = found[2][bank.rows]
            self.alike[name] = np.all(inside == inside[:, :1], axis=1)
        whole = np.unique(np.stack(list(self.codes.values()), axis=1), axis=0, return_inverse=True)[1].reshape(-1)
        self.whole = whole[bank.rows]
        blocks = np.sort(self.whole.reshape(len(bank.rows), -1, BLOCK), axis=2)
        self.copies = np.any(blocks[:, :, 1:] == blocks[:, :, :-1], axis=2).sum(axis=1)
        self._dealt: dict[int, np.ndarray] = {}

    def again(self, rows: int) -> np.ndarray:
        """Copies in each block of so many random rows, of each window [windows, blocks]."""
        if rows not in self._dealt:
            every = np.arange(self.whole.shape[1])
            self._dealt[rows] = np.array([in_blocks(keys, every, rows)[0] for keys in self.whole])
        return self._dealt[rows]


def schema(
    detector: SchemaDetector, coded: Coded, bank: Any, alpha: float, exact: bool = False, anywhere: bool = True
) -> np.ndarray:
    """`exact`: the mutant that takes the reference's shares for those of the traffic. Without `anywhere` copies are
    sought among neighbours alone."""
    each = alpha / (3 * len(detector.known) + 1)

    def against(share: Share, marked: np.ndarray, n: float, level: float = each) -> np.ndarray:
        return marked / _needed(n, max(share.value, 1e-9) if exact else share.allowed, level)

    size = detector.anywhere.size_for(bank.size) if anywhere else None
    level = each if size is None else each / 2
    found = [against(detector.copies, coded.copies, float(bank.size // BLOCK), level)]
    if size is not None:
        blocks = coded.again(size.rows)
        found.append(against(size.more, (blocks > size.most).sum(axis=1), float(blocks.shape[1]), level))
    for part in detector.known:
        codes = coded.codes[part.name]
        gaps = np.array([value is None or value != value for value in coded.values[part.name]])[codes]
        marks = bank.counts(np.stack([gaps, part.breaks(coded.values[part.name])[codes]], axis=1))
        found += [against(share, marks[:, i], bank.size) for i, share in enumerate((part.missing, part.beyond))]
        if part.largest < 1.0:
            found.append(coded.alike[part.name] * (bank.size - 1) * np.log(part.largest) / np.log(each))
    return np.max(found, axis=0)


def exactly(detector: NoveltyDetector, traffic: Traffic, rows: int, alpha: float) -> float:
    """The chance that a window alarms, given the reference."""
    least = int(np.ceil(_needed(float(rows), detector.beyond.allowed, alpha) - 1e-9))
    return float(binom.sf(least - 1, rows, beyond(detector, traffic).mean()))


TRAFFIC: dict[str, Callable[[], Traffic]] = {
    "embedding": embedded,
    "columns": table,
    "geometry": embedded,
    "novelty": embedded,
    "schema": heavy,
}
JUDGES: dict[str, Callable[..., np.ndarray]] = {
    "embedding": embedding,
    "columns": columns,
    "geometry": geometry,
    "novelty": novelty,
    "schema": lambda detector, traffic, bank, alpha: schema(detector, Coded(traffic, bank), bank, alpha),
}


def fitted(name: str, traffic: Traffic, rng: np.random.Generator, rows: int) -> Any:
    return DETECTORS[name].fit(traffic.reference(rng.integers(0, POOL, rows)))


@pytest.mark.parametrize(("name", "size"), [*((name, 100) for name in JUDGES), ("schema", 400)])
def test_windows_are_judged_as_the_detector_judges_them(name: str, size: int, draw_bank: Any, look_at: Any) -> None:
    """Windows of 100 rows are too short to look for copies anywhere, those of 400 are not."""
    traffic, rng, alpha = TRAFFIC[name](), np.random.default_rng(3), 0.25
    bank = draw_bank(POOL, 12, size)
    for _ in range(2):
        detector = fitted(name, traffic, rng, 600)
        found = JUDGES[name](detector, traffic, bank, alpha)
        assert name != "schema" or (detector.anywhere.size_for(size) is None) == (size == 100)
        signals = [detector.look({}, traffic.window(rows), look_at(alpha))[0] for rows in bank.rows]
        assert np.allclose(found, [signal.evidence for signal in signals], rtol=1e-3, atol=1e-6)
        assert [bool(one >= 1.0) for one in found] == [signal.alarm for signal in signals]


def rates(name: str, traffic: Traffic, bank: Any, references: int, rows: int, alpha: float, **parts: Any) -> np.ndarray:
    """The alarm rate of each reference."""
    rng, found = np.random.default_rng(19), []
    coded = Coded(traffic, bank) if name == "schema" else None
    for _ in range(references):
        detector = fitted(name, traffic, rng, rows)
        judged = JUDGES[name] if coded is None else schema
        found.append(np.mean(judged(detector, coded or traffic, bank, alpha, **parts) >= 1.0))
    return np.asarray(found)


def test_a_few_references_keep_the_promise_quick(draw_bank: Any) -> None:
    traffic, alpha = embedded(), 0.02
    found = rates("embedding", traffic, draw_bank(POOL, 2000, 100), 12, 1000, alpha)
    assert found.mean() <= alpha
    assert np.quantile(found, 0.95) <= 1.6 * alpha  # 40 alarms each: counting alone spreads the rates


def test_mutants_of_whole_detectors_fail_quick(draw_bank: Any) -> None:
    bank, alpha = draw_bank(POOL, 1000, 300), 0.02
    for name, rows in (("embedding", 600), ("schema", 1000)):
        (mutant,) = MUTANTS[name].values()
        mutant = mutant if name != "schema" else {**mutant, "anywhere": False}  # that is slow; test_copies.py has it
        assert rates(name, TRAFFIC[name](), bank, 10, rows, alpha, **mutant).max() > 1.5 * alpha


# What each mutant of a detector is told otherwise.
MUTANTS: dict[str, dict[str, dict[str, Any]]] = {
    "embedding": {"ignores reference error": {"limit": without_reference_error}},
    "columns": {"level not split over the columns": {"split": 6.0}},
    "geometry": {"ignores reference error": {"limit": without_reference_error}},
    "schema": {"ignores reference error": {"exact": True}},
}
ALPHA, REFERENCES = 0.01, 1000
CASES = [
    ("embedding", 1000, 200, 10_000),
    ("columns", 1000, 200, 20_000),
    ("geometry", 1000, 200, 20_000),
    ("schema", 1000, 200, 20_000),
    ("schema", 4000, 1000, 10_000),
]
# Rare things are tested, each against an upper limit of its own, and counts of a few rows jump: far below the level.
CAREFUL = {"schema": 1 / 200}


@pytest.mark.prove
@pytest.mark.parametrize(("name", "rows", "size", "windows"), CASES)
def test_of_a_thousand_references_ninety_five_in_a_hundred_keep_the_promise(
    name: str, rows: int, size: int, windows: int, draw_bank: Any, prove_rates: Any
) -> None:
    found = rates(name, TRAFFIC[name](), draw_bank(POOL, windows, size), REFERENCES, rows, ALPHA)
    traffic = {"embedding": "eight clusters", "geometry": "eight clusters", "schema": "rare values, gaps"}
    told = {"reference": f"{rows} rows", "window": f"{size} rows", "windows": windows}
    prove_rates(
        f"{name}-{rows}",
        name,
        traffic.get(name, "six columns"),
        ALPHA,
        found,
        least=CAREFUL.get(name, 1 / 20),
        **told,
    )


@pytest.mark.prove
@pytest.mark.parametrize(("rows", "size"), [(1000, 200), (4000, 1000)])
def test_novelty_of_a_thousand_references(rows: int, size: int, prove_rates: Any) -> None:
    """The chance of an alarm given the reference, exactly."""
    traffic, rng = embedded(), np.random.default_rng(19)
    chances = [exactly(fitted("novelty", traffic, rng, rows), traffic, size, ALPHA) for _ in range(REFERENCES)]
    told = {"reference": f"{rows} rows", "window": f"{size} rows", "windows": "exact"}
    prove_rates(f"novelty-{rows}", "novelty", "eight clusters", ALPHA, np.asarray(chances), **told)


def test_the_exact_chance_is_that_of_the_windows_quick(draw_bank: Any) -> None:
    traffic, rng, bank = embedded(), np.random.default_rng(5), draw_bank(POOL, 5000, 200)
    # A reference that was lucky, so that alarms are not rare.
    for marked in (3.0, 5.0):
        detector = replace(fitted("novelty", traffic, rng, 1000), beyond=Share(marked, 1000.0))
        counted = np.mean(novelty(detector, traffic, bank, 0.05) >= 1.0)
        expected = exactly(detector, traffic, 200, 0.05)
        assert abs(counted - expected) <= 4 * np.sqrt(expected * (1 - expected) / 5000)


@pytest.mark.prove
def test_mutants_of_whole_detectors_fail(draw_bank: Any, prove_mutants: Any) -> None:
    found = {}
    for name, mutants in MUTANTS.items():
        for mutant, parts in mutants.items():
            bank = draw_bank(POOL, 4000, 500)
            found[name, mutant] = rates(name, TRAFFIC[name](), bank, 200, 1000, ALPHA, **parts) / ALPHA
    traffic, rng, exact = embedded(), np.random.default_rng(19), Share(1e4, 1e6)
    taken = [replace(fitted("novelty", traffic, rng, 1000), beyond=exact) for _ in range(200)]
    chances = np.array([exactly(detector, traffic, 500, ALPHA) for detector in taken])
    found["novelty", "takes the reference's hundredth for exact"] = chances / ALPHA
    prove_mutants("inputs", found)
