"""Rows that come again anywhere in the window (`schema`): the alarm rate of each of many fixed references.

A row is a number here: rows are alike where their numbers are, which is all that the test sees of them. In some traffic
rows repeat by nature: categories, small grids of numbers, and forms that are sent half of the time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from backstay.monitor.detectors.copies import FIRST, Copies, Size, in_blocks
from backstay.monitor.detectors.rates import Share, _needed

ALPHA, REFERENCES = 0.01, 1000
Draw = Callable[[np.random.Generator, int], np.ndarray]


def unlike(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.integers(0, 2**62, n).astype(np.uint64)


def categories(rng: np.random.Generator, n: int) -> np.ndarray:
    """Three columns: a name by Zipf's law, one of three plans, one of ten ages."""
    names = rng.zipf(1.7, n) % 1000
    return (names * 30 + rng.integers(0, 3, n) * 10 + rng.integers(0, 10, n)).astype(np.uint64)


def grid(rng: np.random.Generator, n: int) -> np.ndarray:
    """Two counts below 60: by so many cells most rows repeat in a long window and few in a short one."""
    return (rng.binomial(60, 0.4, n) * 100 + rng.integers(0, 60, n)).astype(np.uint64)


def forms(rng: np.random.Generator, n: int) -> np.ndarray:
    """Half of the rows are one of thirty forms, the others like no other."""
    return np.where(rng.random(n) < 0.5, rng.integers(0, 30, n), rng.integers(30, 2**62, n)).astype(np.uint64)


TRAFFIC: dict[str, Draw] = {"no two alike": unlike, "categories": categories, "grid": grid, "forms": forms}


def bank(draw: Draw, windows: int, size: int, rows: int) -> np.ndarray:
    """Copies in each block of each window [windows, blocks]."""
    rng = np.random.default_rng(23)
    return np.array([in_blocks(draw(rng, size), np.arange(size), rows)[0] for _ in range(windows)])


def rates(
    draw: Draw,
    references: int,
    rows: int,
    windows: int,
    size: int,
    judge: Callable[[Size, np.ndarray], tuple[int, float]] | None = None,
) -> np.ndarray:
    """The alarm rate of each reference at `ALPHA`. `judge`: what a mutant takes for usual, and for allowed."""
    rng, found = np.random.default_rng(19), []
    given: np.ndarray | None = None
    for _ in range(references):
        keys = draw(rng, rows)
        usual = Copies.fit(keys, None).size_for(size)
        assert usual is not None
        if given is None:
            given = bank(draw, windows, size, usual.rows)
        most, allowed = usual.most, usual.more.allowed
        if judge is not None:
            most, allowed = judge(usual, keys)
        marked = (given > most).sum(axis=1)
        found.append(np.mean(marked / _needed(float(given.shape[1]), allowed, ALPHA) >= 1.0))
    return np.asarray(found)


def without_reference_error(size: Size, keys: np.ndarray) -> tuple[int, float]:
    return size.most, max(size.more.value, 1e-9)


def smaller_blocks(size: Size, keys: np.ndarray) -> tuple[int, float]:
    """What is usual is learnt from blocks of half as many rows: unlike is compared with unlike."""
    copies, _ = in_blocks(keys, np.arange(len(keys)), size.rows // 2)
    most = int(copies[:FIRST].max())
    return most, Share.of(copies[FIRST:] > most).allowed


MUTANTS = {"ignores reference error": without_reference_error, "smaller blocks in the reference": smaller_blocks}


@pytest.mark.parametrize("name", TRAFFIC)
def test_windows_are_judged_as_the_detector_judges_them(name: str) -> None:
    draw, rng = TRAFFIC[name], np.random.default_rng(5)
    for rows, size in ((1000, 400), (600, 2000)):
        copies = Copies.fit(draw(rng, rows), None)
        usual = copies.size_for(size)
        assert usual is not None
        for _ in range(5):
            keys = draw(rng, size)
            evidence, _ = copies.look(keys, None, usual, 0.05)
            marked = (in_blocks(keys, np.arange(size), usual.rows)[0] > usual.most).sum()
            assert evidence == pytest.approx(marked / _needed(float(size // usual.rows), usual.more.allowed, 0.05))


@pytest.mark.parametrize("name", TRAFFIC)
def test_a_few_references_keep_the_promise_quick(name: str) -> None:
    found = rates(TRAFFIC[name], 60, 1000, 400, 400)
    assert found.mean() <= ALPHA
    assert np.quantile(found, 0.9) <= 1.5 * ALPHA


def test_mutants_fail_quick() -> None:
    for mutant in MUTANTS.values():
        assert np.quantile(rates(categories, 60, 1000, 400, 1000, mutant), 0.9) > 1.5 * ALPHA


@pytest.mark.prove
@pytest.mark.parametrize(("rows", "size", "windows"), [(1000, 400, 10_000), (1000, 4000, 4000), (4000, 1000, 10_000)])
def test_of_a_thousand_references_ninety_five_in_a_hundred_keep_the_promise(
    rows: int, size: int, windows: int, prove_table: Any
) -> None:
    table = []
    for name, draw in TRAFFIC.items():
        found = rates(draw, REFERENCES, rows, windows, size)
        table.append(
            {
                "traffic": name,
                "reference": f"{rows} rows",
                "window": f"{size} rows",
                "windows": windows,
                "alpha": ALPHA,
                "references": REFERENCES,
                "mean rate / alpha": float(found.mean() / ALPHA),
                "95th percentile / alpha": float(np.quantile(found, 0.95) / ALPHA),
                "99th percentile / alpha": float(np.quantile(found, 0.99) / ALPHA),
            }
        )
        assert found.mean() <= ALPHA
        assert np.quantile(found, 0.95) <= 1.5 * ALPHA
    prove_table(f"copies-{rows}-{size}", table)


@pytest.mark.prove
def test_mutants_fail(prove_table: Any) -> None:
    table = []
    for mutant, judge in MUTANTS.items():
        for name in ("categories", "grid"):
            found = rates(TRAFFIC[name], 200, 1000, 4000, 1000, judge) / ALPHA
            table.append(
                {
                    "mutant": mutant,
                    "traffic": name,
                    "references": len(found),
                    "mean rate / alpha": float(found.mean()),
                    "95th percentile / alpha": float(np.quantile(found, 0.95)),
                }
            )
            assert np.quantile(found, 0.95) > 1.5
    prove_table("copies-mutants", table)


@pytest.mark.prove
def test_power(prove_table: Any) -> None:
    """A window that holds some of its own rows a second time, under new ids, at a level of 0.0001."""
    table = []
    for rows, size in ((1000, 1000), (4000, 1000), (4000, 4000), (20_000, 20_000)):
        for share in (0.05, 0.1, 0.25, 0.5):
            row: dict[str, object] = {"reference": f"{rows} rows", "window": f"{size} rows", "sent twice": share}
            for name, draw in TRAFFIC.items():
                rng, seen = np.random.default_rng(29), []
                for _ in range(100):
                    copies = Copies.fit(draw(rng, rows), None)
                    fresh = int(size * (1 - share))
                    keys = draw(rng, fresh)
                    keys = np.concatenate([keys, keys[: size - fresh]])
                    usual = copies.size_for(size)
                    assert usual is not None
                    seen.append(copies.look(keys, None, usual, 1e-4)[0] >= 1.0)
                row[name] = float(np.mean(seen))
            table.append(row)
    prove_table("copies-power", table)
    assert table[-1]["no two alike"] == 1.0
