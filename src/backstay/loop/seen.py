"""What a look without a project found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from backstay.kernel.codec import encode
from backstay.kernel.records import Condition, Estimate, Located, Signal, WindowResult
from backstay.maths.sketches.profile import ColumnProfile
from backstay.monitor.reference import Reference
from backstay.monitor.traffic import WindowData
from backstay.render.examples import Example

NAME = "model"
PLACE = "standalone"
SHOWN = 12


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """The windows, oldest first, and rows to show. `condition` and what follows it are of the newest window.

    `profile` tells, where it was asked for, of each column the missing rate, distinct values and quantiles.
    """

    windows: tuple[WindowResult, ...]
    examples: Mapping[str, Example] = field(default_factory=dict)
    reference_examples: tuple[Example, ...] = ()
    missed_examples: Mapping[int, Example] = field(default_factory=dict)
    profile: Mapping[str, ColumnProfile] = field(default_factory=dict)

    @property
    def latest(self) -> WindowResult:
        return self.windows[-1]

    @property
    def condition(self) -> Condition:
        return self.latest.condition

    @property
    def headline(self) -> str:
        return self.latest.headline

    @property
    def signals(self) -> tuple[Signal, ...]:
        return self.latest.signals

    @property
    def located(self) -> Located | None:
        """Clusters of rows whose share changed; None where no detector of inputs alarmed."""
        return self.latest.located

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        return self.latest.estimates

    @property
    def moved(self) -> tuple[str, ...]:
        """What moved, in words, of all detectors that alarm."""
        return tuple(words for signal in self.signals if signal.alarm for words in signal.moved)

    @property
    def rows(self) -> int:
        """Rows of all windows."""
        return sum(window.rows for window in self.windows)

    @property
    def alarming(self) -> bool:
        """Whether any window raised an alarm, or the labels of the newest say that the model is worse."""
        return any(window.new_alarms for window in self.windows) or self.condition is Condition.WORSE

    def to_json(self) -> list[dict[str, Any]]:
        """JSON types only: one object a window."""
        found: list[dict[str, Any]] = encode(list(self.windows))
        return found

    def page(self, path: str | Path) -> Path:
        """Write the newest window's page: one HTML file that needs nothing else."""
        # Drawing needs matplotlib, which a look without a page can do without.
        from backstay.loop.pages import write_page
        from backstay.render.watch_page import watch_page

        html = watch_page(
            self.latest,
            self.windows,
            model=self.latest.model,
            environment=self.latest.environment,
            examples=self.examples,
            reference_examples=self.reference_examples,
            missed_examples=self.missed_examples,
            released=False,
        )
        return write_page(Path(path), html)

    def __repr__(self) -> str:
        count = "1 window" if len(self.windows) == 1 else f"{len(self.windows)} windows"
        return f"Seen({self.condition.value}: {count}, {self.rows} rows. {self.headline})"


def examples_of(window: WindowData, wanted: set[str], *, hidden: str = "") -> dict[str, Example]:
    """Those of a window's rows that are wanted, by id, as people can look at them."""
    named = [(place, str(row)) for place, row in enumerate(window.ids.tolist()) if str(row) in wanted]
    return {row: _example(window, place, hidden) for place, row in named}


def wanted_of(result: WindowResult) -> set[str]:
    """Ids of rows to look at: those that signals name, the first twelve, and those of clusters that grew."""
    named = dict.fromkeys(row for signal in result.signals for row in signal.example_ids)
    cells = () if result.located is None else result.located.cells
    return {*list(named)[:SHOWN], *(row for cell in cells if cell.grew for row in cell.example_ids)}


def missed_of(result: WindowResult, reference: Reference) -> dict[int, Example]:
    """Rows of before, by place, of clusters that shrank."""
    cells = () if result.located is None else result.located.cells
    return {row: _example(reference, row, "") for cell in cells for row in cell.reference_rows}


def reference_examples(reference: Reference) -> tuple[Example, ...]:
    """Twelve rows, spread over the reference."""
    places = np.linspace(0, len(reference) - 1, min(SHOWN, len(reference))).astype(np.int64)
    return tuple(_example(reference, place, "") for place in places.tolist())


def _example(rows: WindowData | Reference, place: int, hidden: str) -> Example:
    columns = {name: values[place] for name, values in rows.columns.items() if name != hidden}
    known = {name: value for name, value in columns.items() if value is not None and value == value}
    return Example(
        None, known, str(rows.predicted[place]), None if rows.scores is None else float(rows.scores[place].max())
    )
