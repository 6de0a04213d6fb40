"""Where among the inputs a change lies: clusters of like rows that hold another share of the traffic than before."""

from __future__ import annotations

import math
from dataclasses import dataclass

from backstay.kernel.records.measured import Interval


@dataclass(frozen=True, slots=True)
class Cell:
    """One cluster of like rows whose share changed.

    Args:
        before, now: its share of the reference rows and of the window's, 0 to 1.
        times: limits of now / before; from 0 or to infinity where the counts leave that possible.
        p_value: exact, two-sided, of "the same share", before the other clusters are thought of.
        words: what its rows have in common that others have not, the most telling first.
        example_ids: prediction ids of rows of the window; of a cluster that grew, rows like those that were added.
        reference_rows: places in the reference, from 0, of rows like those that are missing now; of one that shrank.
    """

    before: float
    now: float
    times: Interval
    p_value: float
    words: tuple[str, ...] = ()
    example_ids: tuple[str, ...] = ()
    reference_rows: tuple[int, ...] = ()

    @property
    def grew(self) -> bool:
        return self.now > self.before

    @property
    def line(self) -> str:
        """The cluster in one line; in brackets what is usual among the reference rows.

        >>> Cell(0.02, 0.1, Interval(3.1, 7.04), 1e-9, ("plan gold 93% (12%)",)).line
        '2.0% -> 10.0% of the rows, 5 times (3.1 to 7.04): plan gold 93% (12%)'
        >>> Cell(0.0, 0.1, Interval(12.0, math.inf), 1e-9).line
        '0.0% -> 10.0% of the rows, none before (at least 12 times)'
        """
        if self.before <= 0.0:
            told = f"none before (at least {self.times.low:.3g} times)"
        else:
            high = "any number" if math.isinf(self.times.high) else f"{self.times.high:.3g}"
            told = f"{self.now / self.before:.2g} times ({self.times.low:.3g} to {high})"
        common = f": {'; '.join(self.words)}" if self.words else ""
        return f"{self.before:.1%} -> {self.now:.1%} of the rows, {told}{common}"


@dataclass(frozen=True, slots=True)
class Located:
    """The clusters whose share changed, asked for because a detector raised an alarm: no alarm of its own.

    Args:
        by: the detector that alarmed, in whose inputs the clusters lie.
        cells: those that changed most, the largest change of share first; `changed` is how many changed in all.
        tested: clusters whose shares were compared.
        rows, rows_before: independent rows of the window and of the reference that were counted.
        sampled: rows of the window among which these were, where they are a sample of a larger one; otherwise 0.
        level: the expected part of wrongly named clusters among those named, at most.
        why_not: why no cluster was compared; "" where some were.
    """

    by: str
    cells: tuple[Cell, ...] = ()
    changed: int = 0
    tested: int = 0
    rows: int = 0
    rows_before: int = 0
    sampled: int = 0
    level: float = 0.1
    why_not: str = ""

    @property
    def headline(self) -> str:
        """How many clusters changed, of how many, or why that is not known.

        >>> Located("embedding", changed=2, tested=32, rows=500, rows_before=1000).headline
        '2 of 32 clusters of like rows hold another share than before'
        """
        if self.why_not:
            return f"not told by clusters of rows: {self.why_not}"
        if not self.changed:
            return f"none of {self.tested} clusters of like rows stands out: the change is spread over many"
        hold = "holds" if self.changed == 1 else "hold"
        most = f"; the {len(self.cells)} that changed most are shown" if 0 < len(self.cells) < self.changed else ""
        return f"{self.changed} of {self.tested} clusters of like rows {hold} another share than before{most}"

    @property
    def counted(self) -> str:
        """What the shares are of; "" where nothing was counted."""
        if self.why_not:
            return ""
        of = f" of a sample of {self.sampled:,}" if self.sampled else ""
        return f"counted: {self.rows:,} independent rows{of} now, {self.rows_before:,} of the reference"
