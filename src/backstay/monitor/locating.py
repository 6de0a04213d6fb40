"""Where among the inputs does a change lie? Clusters of like rows whose share changed, each with rows to look at.

Asked only of a window of which a detector of inputs has said that it moved: it raises no alarm and spends nothing.
Clusters come of one half of the reference (at most 4,000 rows), the other half and the window are counted in them
(`maths.cells`, `maths.cell_counts`). Of rows of one group one counts, drawn by chance: the test asks for independent
rows. Rows to look at are those nearest to the centre of what came (the window's rows in the cluster, less as many
reference rows as its share was), or of what went: the cluster's own centre is that of rows that were always there.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Cell, Interval, Located, Signal
from backstay.maths.arrays import AnyArray, FloatArray, IntArray
from backstay.maths.cell_counts import Table, benjamini_hochberg, tables
from backstay.maths.cells import Cells
from backstay.maths.sketches.hashes import hash_ids
from backstay.monitor.fitted import COLUMNS, EMBEDDING, Detectors
from backstay.monitor.in_common import in_common
from backstay.monitor.inputs import InputSpace
from backstay.monitor.reference import Reference
from backstay.monitor.seasons import like_rows
from backstay.monitor.traffic import WindowData
from backstay.settings import Settings

SEED = 20_261_124
# Of the clusters that are named, at most this part is named wrongly, on average.
LEVEL = 0.1
MOST_CELLS = 32
FEWEST_CELLS = 4
# Reference rows that a cluster holds on average, and at the least, among those that are counted.
ROWS_A_CELL = 30
LEAST_A_CELL = 10
MOST_FITTED = 4000
MOST_COUNTED = 20_000
# Clusters that are told, and rows of each to look at.
MOST_TOLD = 8
EXAMPLES = 5


class Plan(NamedTuple):
    """How independent reference rows are used: `fitted` to cut cells, `counted` to count in them, at most how many
    cells, and how many fitted rows each holds at the least.

    >>> Plan.of(2000)
    Plan(fitted=1000, counted=1000, cells=32, least=10)
    """

    fitted: int
    counted: int
    cells: int
    least: int

    @staticmethod
    def of(rows: int) -> Plan:
        fitted = min(rows // 2, MOST_FITTED)
        counted = min(rows - fitted, MOST_COUNTED)
        least = int(np.ceil(LEAST_A_CELL * fitted / max(counted, 1)))
        return Plan(fitted, counted, min(MOST_CELLS, counted // ROWS_A_CELL), least)


def locate(signals: tuple[Signal, ...], window: WindowData, detectors: Detectors, settings: Settings) -> Located | None:
    """The clusters whose share changed; None where neither `embedding` nor `columns` alarmed."""
    alarmed = {signal.detector for signal in signals if signal.alarm}
    by = next((name for name in (EMBEDDING, COLUMNS) if name in alarmed), None)
    if by is None:
        return None
    space = _space(by, detectors)
    if space is None or not space.reads(window):
        return Located(by, why_not="the rows at hand lack the inputs")
    known = _reference_rows(detectors.reference, space, window, settings)
    plan = Plan.of(len(known))
    if plan.cells < FEWEST_CELLS:
        wanted = 2 * FEWEST_CELLS * ROWS_A_CELL
        return Located(by, why_not=f"{len(known)} independent reference rows, at least {wanted} are needed")
    found = _Counted.of(detectors.reference, window, space, known, plan)
    return Located(by, why_not="its reference rows are all alike") if found is None else found.located(by)


def _space(by: str, detectors: Detectors) -> InputSpace | None:
    """The space in which the detector looks: that of the embeddings, or of the columns."""
    if by == EMBEDDING or detectors.space is None or detectors.space.parts:
        return detectors.space
    return InputSpace.fit(replace(detectors.reference, representation=None))


def _reference_rows(reference: Reference, space: InputSpace, window: WindowData, settings: Settings) -> IntArray:
    """Places of independent reference rows to compare with, in random order."""
    rows: IntArray | None = np.arange(len(reference))
    if settings.watch.season != "none" and reference.times is not None:
        rows = like_rows(reference.times, window.times, settings.watch.season)
    if rows is None:
        return np.empty(0, dtype=np.int64)
    if not space.parts and reference.learned is not None:
        rows = rows[~reference.learned[rows]]
    order = rows[np.random.Generator(np.random.PCG64(SEED)).permutation(len(rows))]
    return _one_a_group(order, reference.codes)


def _window_rows(window: WindowData) -> IntArray:
    """Places of independent rows of the window, by the hash of their ids: in whatever order they came."""
    order = np.argsort(hash_ids(window.ids, SEED), kind="stable")
    return _one_a_group(order, window.codes)[:MOST_COUNTED]


def _one_a_group(order: IntArray, codes: AnyArray | None) -> IntArray:
    """The first row of each group, in the order given."""
    if codes is None:
        return order
    return order[np.sort(np.unique(codes[order], return_index=True)[1])]


class _Counted:
    """The rows of before and of now that were counted, where they lie, and the cells' tables."""

    def __init__(self, reference: Reference, window: WindowData, space: InputSpace, cells: Cells, known: IntArray):
        self.reference, self.window = reference, window
        self.known, self.live = known, _window_rows(window)
        self.before, self.now = _projected(space, cells, reference, known), _projected(space, cells, window, self.live)
        self.cell_before, self.cell_now = cells.of(self.before), cells.of(self.now)
        self.tables = tables(cells.count(self.cell_before), cells.count(self.cell_now))

    @staticmethod
    def of(reference: Reference, window: WindowData, space: InputSpace, known: IntArray, plan: Plan) -> _Counted | None:
        """None where the reference rows fall into no two cells."""
        rows = space.given(reference, known[: plan.fitted])
        try:
            cells = None if rows is None else Cells.fit(rows, plan.cells, plan.least, SEED)
        except BackstayError:
            return None
        counted = known[plan.fitted : plan.fitted + plan.counted]
        return None if cells is None else _Counted(reference, window, space, cells, counted)

    def located(self, by: str) -> Located:
        p_values = np.array([table.p_value for table in self.tables])
        changed = np.flatnonzero(benjamini_hochberg(p_values, LEVEL))
        level = 1.0 - LEVEL * len(changed) / len(self.tables)
        moved = np.array([abs(_shares(table)[1] - _shares(table)[0]) for table in self.tables])
        told = changed[np.argsort(-moved[changed], kind="stable")][:MOST_TOLD]
        return Located(
            by,
            cells=tuple(self._cell(int(cell), level) for cell in told),
            changed=len(changed),
            tested=len(self.tables),
            rows=len(self.live),
            rows_before=len(self.known),
            sampled=0 if self.window.whole is None else len(self.window),
            level=LEVEL,
        )

    def _cell(self, cell: int, level: float) -> Cell:
        table = self.tables[cell]
        before, now = _shares(table)
        low, high = table.ratio(level)
        old, new = np.flatnonzero(self.cell_before == cell), np.flatnonzero(self.cell_now == cell)
        grew = now > before
        source, rows = (self.window, self.live[new]) if grew else (self.reference, self.known[old])
        found = Cell(
            before,
            now,
            Interval(low, high, level, "Fisher, exact; widened for being picked"),
            table.p_value,
            in_common(source, rows, self.reference, self.known),
        )
        if grew:
            near = _nearest(self.now[new], self.before[old], len(self.live) / len(self.known))
            return replace(found, example_ids=tuple(str(row) for row in self.window.ids[self.live[new[near]]]))
        near = _nearest(self.before[old], self.now[new], len(self.known) / len(self.live))
        still = new[:EXAMPLES]
        return replace(
            found,
            example_ids=tuple(str(row) for row in self.window.ids[self.live[still]]),
            reference_rows=tuple(self.known[old[near]].tolist()),
        )


def _projected(space: InputSpace, cells: Cells, source: Reference | WindowData, rows: IntArray) -> FloatArray:
    found = space.given(source, rows)
    if found is None:
        raise BackstayError("the rows have no embeddings or inputs", fix="log them with every prediction")
    return cells.project(found)


def _shares(table: Table) -> tuple[float, float]:
    return table.before / table.rows_before, table.now / table.rows_now


def _nearest(more: FloatArray, fewer: FloatArray, weight: float) -> IntArray:
    """Which of the rows that are more [n, m] lie nearest to the mean of what they have beyond the others [k, m], each
    of which stands for `weight` of them."""
    excess = len(more) - weight * len(fewer)
    centre = (more.sum(axis=0) - weight * fewer.sum(axis=0)) / excess
    far = np.square(more - centre).sum(axis=1)
    return np.argsort(far, kind="stable")[:EXAMPLES].astype(np.int64)
