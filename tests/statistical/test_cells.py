"""Clusters whose share changed: how often one is named with nothing having changed, and what is found of a change.

The recipe is that of `monitor.locating`. Worlds are mixtures of ten clusters of a tenth each; the change gives a tenth
of all rows to one of them, which then holds 19%. Worlds and figures were fixed before the first run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from backstay.maths.cell_counts import benjamini_hochberg, tables
from backstay.maths.cells import Cells
from backstay.monitor.locating import LEVEL, SEED, Plan

CLUSTERS = 10
GROWN = 0.1
LAW = 20_000


@dataclass(frozen=True)
class World:
    """Ten normal clusters of spread 1 about centres of spread `apart` in so many dimensions."""

    width: int
    apart: float

    def draw(self, rng: np.random.Generator, rows: int, *, shift: float = 0.0) -> np.ndarray:
        """Rows [n, d], of which a share `shift` more comes of the first cluster."""
        centres = np.random.default_rng(self.width).normal(size=(CLUSTERS, self.width)) * self.apart
        which = rng.integers(CLUSTERS, size=rows)
        which[rng.random(rows) < shift] = 0
        return centres[which] + rng.normal(size=(rows, self.width))


@dataclass(frozen=True)
class Found:
    """One window: which cells are named, which way each moved, and how the law of the traffic moved [K]."""

    named: np.ndarray
    moved: np.ndarray
    law: np.ndarray

    @property
    def right(self) -> np.ndarray:
        return self.named & (np.sign(self.moved) == np.sign(self.law))

    @property
    def mass(self) -> float:
        """The part of the share that came which lies in cells that are named for it."""
        came = np.maximum(self.law, 0.0)
        return float(came[self.right].sum() / came.sum())


def looks(
    world: World, n: int, m: int, references: int, windows: int, *, shift: float = 0.0, honest: bool = True
) -> Iterator[list[Found]]:
    """The windows of each reference. A mutant that is not honest counts the rows that its cells were cut by."""
    rng = np.random.default_rng([world.width, n, m, references])
    plan = Plan.of(n)
    for _ in range(references):
        reference = world.draw(rng, plan.fitted + plan.counted)
        counted = reference[plan.fitted :]
        cells = Cells.fit(reference[: plan.fitted] if honest else counted, plan.cells, plan.least, SEED)
        before = _counts(cells, counted)
        law = np.zeros(len(cells))
        if shift:
            law = (_counts(cells, world.draw(rng, LAW, shift=1.0)) - _counts(cells, world.draw(rng, LAW))) / LAW * shift
        places = cells.of(cells.project(world.draw(rng, m * windows, shift=shift))).reshape(windows, m)
        yield [_found(before, cells.count(place), law) for place in places]


def _counts(cells: Cells, rows: np.ndarray) -> np.ndarray:
    return cells.count(cells.of(cells.project(rows)))


def _found(before: np.ndarray, now: np.ndarray, law: np.ndarray) -> Found:
    named = benjamini_hochberg(np.array([table.p_value for table in tables(before, now)]), LEVEL)
    return Found(named, now / now.sum() - before / before.sum(), law)


def rates(*given: object, **options: object) -> np.ndarray:
    """For each reference the share of windows in which any cell is named."""
    return np.array([np.mean([found.named.any() for found in windows]) for windows in looks(*given, **options)])


WORLD = World(64, 0.5)


def test_with_nothing_changed_a_cell_is_named_in_a_tenth_of_windows_at_most_quick() -> None:
    """300 windows of 20 fixed references; the error is that of references, whose windows share their luck."""
    found = rates(WORLD, 2000, 500, 20, 15)
    assert found.mean() <= LEVEL + 3 * found.std(ddof=1) / np.sqrt(len(found))


def test_a_mutant_that_counts_the_rows_its_cells_were_cut_by_names_far_more_quick() -> None:
    mutant = rates(WORLD, 2000, 2000, 16, 5, honest=False)
    assert mutant.mean() > LEVEL + 3 * mutant.std(ddof=1) / np.sqrt(len(mutant))


def test_a_cluster_that_grew_is_found_quick() -> None:
    found = [one for windows in looks(WORLD, 2000, 500, 4, 10, shift=GROWN) for one in windows]
    assert np.mean([(one.right & (one.law > 0)).any() for one in found]) >= 0.75


@pytest.mark.prove
def test_cells(prove_table: Callable[..., None]) -> None:
    rows: list[dict[str, object]] = []
    for world in (World(8, 1.5), World(64, 0.5), World(256, 0.2)):
        for n, m in ((2000, 500), (2000, 2000), (20_000, 2000)):
            null = rates(world, n, m, 100, 20)
            mutant = rates(world, n, m, 25, 20, honest=False)
            changed = [one for windows in looks(world, n, m, 50, 4, shift=GROWN) for one in windows]
            named = [one for one in changed if one.named.any()]
            rows.append(
                {
                    "dimensions": world.width,
                    "reference rows": n,
                    "window rows": m,
                    "unchanged: any cell named": float(null.mean()),
                    "95th percentile of references": float(np.quantile(null, 0.95)),
                    "mutant, cells of the rows counted": float(mutant.mean()),
                    "+10%: a grown cell named": float(np.mean([(one.right & (one.law > 0)).any() for one in changed])),
                    "named wrongly": float(np.mean([1 - one.right.sum() / one.named.sum() for one in named])),
                    "of the moved mass": float(np.mean([one.mass for one in changed])),
                }
            )
            assert null.mean() <= LEVEL + 3 * null.std(ddof=1) / np.sqrt(len(null))
            assert rows[-1]["named wrongly"] <= LEVEL
    assert max(float(str(row["mutant, cells of the rows counted"])) for row in rows) > 2 * LEVEL
    prove_table("cells", rows)
