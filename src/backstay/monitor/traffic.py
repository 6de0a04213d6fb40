"""One window of traffic as the monitor sees it: rows, and labels that have come in since the last look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from backstay.kernel.clock import utc
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Label, LabelUse
from backstay.maths.arrays import AnyArray, BoolArray, FloatArray, IntArray, RealArray
from backstay.monitor.late_rows import Untold
from backstay.monitor.measures import Whole

# Parts that rows of a window can lack.
SCORES, REPRESENTATION, COLUMNS = "scores", "representation", "columns"


@dataclass(frozen=True, slots=True)
class LabelledRow:
    """A logged prediction of this release whose true value has come in.

    Args:
        predicted_at: when the prediction was made; `arrived_at` is when its label came.
        scores: the model's scores for the row, in class order, None where it gave none.
        census: the label is of a source that labels every row, so that nobody chose which.
        declined: the model answered "none of these", and the true value is none of the classes that it knows.
        error: how far the answer of a regression is from its label, in the target's unit; None for classes.
        limit: how far it may be to count as right, fixed with the reference.
        slices: the row's values in the columns by which results are told apart, where it has one.
    """

    label: Label
    predicted: str
    predicted_at: datetime
    scores: tuple[float, ...] | None = None
    census: bool = False
    declined: bool = False
    slices: Mapping[str, str] = field(default_factory=dict)
    error: float | None = None
    limit: float = 0.0

    @property
    def correct(self) -> bool:
        if self.error is not None:
            return self.error <= self.limit
        return self.declined or self.predicted == self.label.value

    @property
    def arrived_at(self) -> datetime:
        return self.label.at

    @property
    def representative(self) -> bool:
        """Whether the row may stand for all traffic: trusted, of the standing sample, drawn with a known chance.

        A row drawn by doubt may not: there are more of the doubtful than traffic has (see `Drawn`).
        """
        drawn = self.census or (self.label.probability is not None and 0.0 < self.label.probability <= 1.0)
        return self.label.trusted and self.label.use is LabelUse.STANDING and drawn and self.label.draw is None


@dataclass(frozen=True, slots=True)
class Opinion:
    """What somebody says of a logged prediction of this release, or did with it.

    Args:
        kind: "label" (of a trusted source), "override", "seeded", "click", "conversion", "dwell" or "rating"; what
            each means: docs/serving.md.
        at: when it came; `predicted_at` is when the prediction was made.
        seconds: that a person took to decide, None where it was not told.
    """

    prediction_id: str
    kind: str
    value: str
    source: str
    at: datetime
    predicted: str
    predicted_at: datetime
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Drawn:
    """What has come of a draw by doubt from one window of this release, by stratum, the most doubtful first.

    Args:
        rows: of the stratum that nobody had been asked about. labels: known of these. right: right ones of the labels.
        waiting: rows of the draw that wait for their label.
    """

    start: datetime
    end: datetime
    rows: tuple[int, ...]
    labels: tuple[int, ...]
    right: tuple[int, ...]
    waiting: int


@dataclass(frozen=True, slots=True, eq=False)
class Rival:
    """Rows that another release answered in the same window, and what people did with them.

    Args:
        ids: prediction ids [n], objects; times: datetime64[us], UTC [n]; groups: as in `WindowData`.
        planned: the share of rows that was meant for this other release; None where nobody said.
    """

    release: str
    ids: AnyArray
    times: AnyArray
    groups: AnyArray | None = None
    opinions: tuple[Opinion, ...] = ()
    planned: float | None = None

    @property
    def parts(self) -> tuple[AnyArray, AnyArray, AnyArray | None]:
        """Ids, times, and groups as integers."""
        return self.ids, self.times, None if self.groups is None else group_codes(self.groups)


@dataclass(frozen=True, slots=True, eq=False)
class Searches:
    """Searches of one gallery in a window, and queries of the reference of which it is known what they found.

    Args:
        described: result lists in numbers [n, 7] (`maths.result_lists.result_list`).
        known: the same of reference queries [q, 7], and `places` [q] of their first right result, from 1; 0 for none
            among the first ten. groups: what reference queries share [q].
        judged: places of the first right result of searches of a month that somebody judged [any number].
    """

    gallery: str
    described: FloatArray
    known: FloatArray
    places: IntArray
    judged: IntArray
    groups: AnyArray | None = None


@dataclass(frozen=True, slots=True, eq=False)
class WindowData:
    """Rows of one release in [start, end), and what was learnt of the release since the last look.

    Args:
        ids: prediction ids [n], objects.
        times: datetime64[us], UTC [n].
        representation: embeddings or raw input rows [n, d], in the same space as the reference; None when only
            predictions (or only `columns`) are known.
        scores: [n, k] in class order. `predicted`: class names [n].
        groups: what rows share (a customer, a source scan) [n]; rows of one group are dependent.
        columns: input columns by name: floats with NaN for numbers, objects with None for categories.
        traits: figures a row that describe a change in words (brightness, contrast): never tested, only told.
        labels: labels of any rows of this release. All that are known may be given each time: the memory drops
            those that it has counted, and leaves those of rows after `end` for a later window.
        numbers: the answers of a regression [n]; `predicted` then holds the same word for all.
        members: the answers of a multi-label model as in `Reference`; `predicted` then holds the same word for all.
        untold: logged rows that no window will judge, told once with this one: late ones, and those in windows that a
            backfill judged.
        whole: given where the rows here are a random sample of the window: the tests then read these sketches of all
            its rows, and the sample serves for examples and for estimates.
        latencies: milliseconds that each row's request waited [n], NaN where not known.
        opinions: feedback that has come on rows of this release up to `end`, in order of arrival; all of it each time:
            detectors that read it remember how far they have read.
        slices: values of the columns by which results are told apart [n], objects with None; inputs or not.
        rival: rows of another release that answered at the same time.
        failures: when requests failed that were not answered, datetime64[us], UTC [any number].
        drawn: the newest draw by doubt of this release, mostly of an earlier window, with its labels.
        unasked: logged rows of this release that can still be drawn at random for a label; None where nobody counted.
        waiting: rows of this release that were drawn for an estimate and wait for their label.
        searches: that were answered in this window; None where none was logged.
        answered: logged rows of which `labels` tell, as rows of a window: for what is foretold of them by their inputs.
        lacks: by part ("scores", "representation", "columns") the rows that were logged without it [n]; only parts that
            some rows have and some have not. In its place they have NaN or None, which means nothing.
        strange: by column of numbers what it holds that is no number, as text [n], objects with None where all is well.
    """

    start: datetime
    end: datetime
    ids: AnyArray
    times: AnyArray
    predicted: AnyArray
    representation: RealArray | None = None
    scores: FloatArray | None = None
    groups: AnyArray | None = None
    columns: Mapping[str, AnyArray] = field(default_factory=dict)
    traits: Mapping[str, FloatArray] = field(default_factory=dict)
    labels: tuple[LabelledRow, ...] = ()
    untold: Untold = field(default_factory=Untold)
    whole: Whole | None = None
    numbers: FloatArray | None = None
    members: FloatArray | None = None
    latencies: FloatArray | None = None
    failures: AnyArray | None = None
    opinions: tuple[Opinion, ...] = ()
    rival: Rival | None = None
    slices: Mapping[str, AnyArray] = field(default_factory=dict)
    drawn: Drawn | None = None
    unasked: int | None = None
    waiting: int = 0
    answered: WindowData | None = None
    searches: Searches | None = None
    lacks: Mapping[str, BoolArray] = field(default_factory=dict)
    strange: Mapping[str, AnyArray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if utc(self.end) <= utc(self.start):
            raise BackstayError(f"a window from {self.start} to {self.end}", fix="give an end after the start")
        parts: dict[str, AnyArray | None] = {
            "times": self.times,
            "predicted": self.predicted,
            "representation": self.representation,
            "scores": self.scores,
            "groups": self.groups,
            "numbers": self.numbers,
            "members": self.members,
            "latencies": self.latencies,
            **{f"column {name!r}": values for name, values in self.columns.items()},
            **{f"trait {name!r}": values for name, values in self.traits.items()},
            **{f"slice {name!r}": values for name, values in self.slices.items()},
            **{f"marks for {name!r}": values for name, values in (*self.lacks.items(), *self.strange.items())},
        }
        if self.whole is not None and self.groups is not None:
            raise BackstayError(
                "a window of sketches with groups", fix="watch rows that belong to groups as rows, not by sketches"
            )
        for name, values in parts.items():
            if values is not None and len(values) != len(self.ids):
                raise BackstayError(
                    f"a window of {len(self.ids)} rows has {len(values)} {name}", fix="give one value a row"
                )

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def rows(self) -> int:
        """Rows of the window, those that are known by sketches only included."""
        return len(self.ids) if self.whole is None else self.whole.rows

    @property
    def days(self) -> float:
        return (self.end - self.start).total_seconds() / 86_400

    @property
    def codes(self) -> AnyArray | None:
        """Groups as integers, or None. A row without a group is a group of its own."""
        return None if self.groups is None else group_codes(self.groups)


def group_codes(groups: AnyArray) -> AnyArray:
    """Integers for group names [n]; None, NaN and "" mean that the row stands alone."""
    labels = [
        f"\x00{row}" if group is None or group != group or group == "" else str(group)
        for row, group in enumerate(groups)
    ]
    return np.asarray(np.unique(labels, return_inverse=True)[1], dtype=np.int64).reshape(-1)
