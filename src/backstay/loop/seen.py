"""What a look without a project found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from backstay.kernel.codec import encode
from backstay.kernel.records import Condition, Estimate, Located, Signal, WindowResult
from backstay.loop.overview import counted, gravest, headline
from backstay.maths.sketches.profile import ColumnProfile
from backstay.monitor.reference import Reference
from backstay.monitor.traffic import WindowData
from backstay.render.examples import Example

NAME = "model"
PLACE = "standalone"
SHOWN = 12


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """The windows, oldest first, and rows to show.

    `condition` is the gravest of all windows, and `headline` tells how many moved, which, and how things stand now;
    `moved` and `examples` are of all windows that alarm. `signals` and `located` are of the gravest window, the newest
    of several; `estimates` are of the newest window, as is all of `latest`. `timed`: whether windows have times.

    `profile` tells, where it was asked for, of each column the missing rate, distinct values and quantiles. `notes`
    name the columns that are not watched; they stand among the newest window's advice, too.
    """

    windows: tuple[WindowResult, ...]
    examples: Mapping[str, Example] = field(default_factory=dict)
    reference_examples: tuple[Example, ...] = ()
    missed_examples: Mapping[int, Example] = field(default_factory=dict)
    profile: Mapping[str, ColumnProfile] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    timed: bool = True

    def noting(self, notes: tuple[str, ...]) -> Seen:
        """The same with notes, which the newest window's page shows as well."""
        newest = replace(self.latest, advice=(*self.latest.advice, *notes))
        return replace(self, windows=(*self.windows[:-1], newest), notes=notes)

    @property
    def latest(self) -> WindowResult:
        """The newest window: how things stand now."""
        return self.windows[-1]

    @property
    def gravest(self) -> WindowResult:
        """The window whose condition is the gravest, the newest of several."""
        return gravest(self.windows)

    @property
    def condition(self) -> Condition:
        """The gravest of all windows; `latest.condition` is what stands now."""
        return self.gravest.condition

    @property
    def headline(self) -> str:
        """Of several windows: how many moved, which, what the gravest says and what the newest."""
        return headline(self.windows, self.timed)

    @property
    def signals(self) -> tuple[Signal, ...]:
        """What each detector said of the gravest window."""
        return self.gravest.signals

    @property
    def located(self) -> Located | None:
        """Clusters of rows whose share changed in the gravest window; None where no detector of inputs alarmed."""
        return self.gravest.located

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """How good the model is now: of the newest window."""
        return self.latest.estimates

    @property
    def moved(self) -> tuple[str, ...]:
        """What moved, in words, of all detectors that alarm in any window, oldest first, each said once."""
        alarms = (signal for window in self.windows for signal in window.signals if signal.alarm)
        return tuple(dict.fromkeys(words for signal in alarms for words in signal.moved))

    @property
    def rows(self) -> int:
        """Rows of all windows."""
        return sum(window.rows for window in self.windows)

    @property
    def alarming(self) -> bool:
        """Whether any window raised an alarm, or the labels of any say that the model is worse."""
        return any(window.new_alarms for window in self.windows) or self.condition is Condition.WORSE

    def to_json(self) -> list[dict[str, Any]]:
        """JSON types only: one object a window."""
        found: list[dict[str, Any]] = encode(list(self.windows))
        return found

    def page(self, path: str | Path) -> Path:
        """Write the newest window's page: one HTML file that needs nothing else. It names the windows that moved."""
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
            notes=() if len(self.windows) == 1 else (counted(self.windows, self.timed),),
            released=False,
        )
        return write_page(Path(path), html)

    def __repr__(self) -> str:
        count = "1 window" if len(self.windows) == 1 else f"{len(self.windows)} windows"
        return f"Seen({' '.join([f'{self.condition.value}: {count}, {self.rows} rows.', self.headline, *self.notes])})"


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
