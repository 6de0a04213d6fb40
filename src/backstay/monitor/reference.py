"""What live traffic is compared with: one fixed set of rows, chosen when the release was made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import AnyArray, BoolArray, FloatArray, RealArray, features_of, surely_finite
from backstay.maths.intervals import Bounds, proportion, proportion_effective_n
from backstay.monitor.traffic import group_codes

# What rows say of which the inputs alone are known.
NO_ANSWER = "(no answer)"
# More reference rows buy nothing that a test could show: of a larger reference some are drawn.
MOST_REFERENCE_ROWS = 200_000


class KnownAccuracy(NamedTuple):
    """Accuracy on the labelled reference rows: value, 95% interval, rows, and the independent rows they are worth."""

    value: float
    bounds: Bounds
    n: int
    n_effective: float


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """Reference rows [n]. Everything but `predicted` may be missing; what is missing cannot be watched.

    Args:
        predicted: the model's answers, class names.
        classes: all class names, in the order of `scores`.
        representation: embeddings or raw input rows [n, d], finite, in the same space as live traffic; None to
            have one made from `columns`.
        scores: [n, k].
        correct: 1 right, 0 wrong, NaN unknown. Only rows that the model was NOT trained on may be known: it is
            always right on rows that it has learnt by heart, and every estimate would be too good.
        groups: what rows share [n]; rows of one group are dependent.
        columns: input columns by name, floats with NaN or objects with None.
        traits: figures a row with which a change is described in words.
        none_label: what the model answers for rows of none of its classes; "" where it always names a class.
        slices: values of the columns by whose values results are told apart [n], objects with None; inputs or not.
        times: when each row happened, datetime64[us], UTC [n]; what `watch.season` goes by.
        truth: true class names [n], "" where not known: for estimates by class. `correct` alone serves for accuracy.
        numbers: the answers of a regression [n], in the target's unit; None for a model of classes.
        limit: how far such an answer may be from the truth to count as right in `correct`; None for classes.
        errors: how far each of `numbers` is off [n], NaN where not known or learned from.
        members: the answers of a multi-label model [n, 2k]: 1 for each of k labels that is said, then the chance of
            each; None for a model of classes. `labels` names them.
        learned: True for rows that the model was trained on [n]. It is surer of these than of any live row, so its
            answers to them and its embeddings of them are compared with nothing.
    """

    predicted: AnyArray
    classes: tuple[str, ...]
    representation: RealArray | None = None
    scores: FloatArray | None = None
    correct: FloatArray | None = None
    groups: AnyArray | None = None
    columns: Mapping[str, AnyArray] = field(default_factory=dict)
    traits: Mapping[str, FloatArray] = field(default_factory=dict)
    learned: BoolArray | None = None
    none_label: str = ""
    slices: Mapping[str, AnyArray] = field(default_factory=dict)
    times: AnyArray | None = None
    truth: AnyArray | None = None
    numbers: FloatArray | None = None
    limit: float | None = None
    errors: FloatArray | None = None
    members: FloatArray | None = None
    labels: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.predicted)

    @property
    def codes(self) -> AnyArray | None:
        return None if self.groups is None else group_codes(self.groups)

    @property
    def answered(self) -> bool:
        """False where only inputs are known, so that there is no accuracy to speak of."""
        return self.classes != (NO_ANSWER,)

    @property
    def of_classes(self) -> bool:
        """Whether each answer is one of `classes`: not a number, not a set of labels, not unknown."""
        return self.answered and self.numbers is None and self.members is None

    @property
    def labelled(self) -> AnyArray:
        """Row numbers of which it is known whether the model was right."""
        if self.correct is None:
            return np.empty(0, dtype=np.int64)
        return np.flatnonzero(np.isfinite(self.correct))

    def accuracy(self) -> KnownAccuracy | None:
        """Accuracy on the labelled rows; None without any."""
        rows = self.labelled
        if self.correct is None or len(rows) == 0:
            return None
        right = self.correct[rows]
        groups = None if self.codes is None else self.codes[rows]
        return KnownAccuracy(
            float(right.mean()), proportion(right, groups), len(rows), proportion_effective_n(right, groups)
        )

    def unlearned(self) -> Reference:
        """The rows that the model was not trained on: what its behaviour on live rows is compared with."""
        if self.learned is None or not np.any(self.learned):
            return self
        return self.take(np.flatnonzero(~self.learned))

    def take(self, rows: AnyArray) -> Reference:
        """The reference of these rows alone."""
        return Reference(
            predicted=self.predicted[rows],
            classes=self.classes,
            representation=None if self.representation is None else self.representation[rows],
            scores=None if self.scores is None else self.scores[rows],
            correct=None if self.correct is None else self.correct[rows],
            groups=None if self.groups is None else self.groups[rows],
            columns={name: values[rows] for name, values in self.columns.items()},
            traits={name: values[rows] for name, values in self.traits.items()},
            learned=None if self.learned is None else self.learned[rows],
            none_label=self.none_label,
            slices={name: values[rows] for name, values in self.slices.items()},
            truth=None if self.truth is None else self.truth[rows],
            times=None if self.times is None else self.times[rows],
            numbers=None if self.numbers is None else self.numbers[rows],
            limit=self.limit,
            errors=None if self.errors is None else self.errors[rows],
            members=None if self.members is None else self.members[rows],
            labels=self.labels,
        )

    @property
    def digest(self) -> str:
        """SHA-256 over all content: what cached detectors are bound to."""
        names = [list(self.classes), list(self.columns), list(self.traits)]
        total = hashlib.sha256(json.dumps([*names, self.none_label] if self.none_label else names).encode())
        parts = [self.predicted, self.representation, self.scores, self.correct, self.groups, self.learned]
        sliced = [part for name, values in self.slices.items() for part in (np.array([name], dtype=object), values)]
        timed = [] if self.times is None else [self.times.astype("datetime64[us]").astype(np.int64)]
        true = [] if self.truth is None else [np.array(["truth"], dtype=object), self.truth]
        numbers = [] if self.numbers is None else [self.numbers, np.array([self.limit or 0.0])]
        numbers += [] if self.errors is None else [self.errors]
        sets = [] if self.members is None else [self.members, np.array(self.labels, dtype=object)]
        more = (*sliced, *timed, *true, *numbers, *sets)
        for values in (*parts, *self.columns.values(), *self.traits.values(), *more):
            total.update(_digestible(values))
        return total.hexdigest()


def fit_reference(
    predicted: AnyArray,
    classes: tuple[str, ...] | None = None,
    *,
    representation: AnyArray | None = None,
    scores: AnyArray | None = None,
    correct: AnyArray | None = None,
    groups: AnyArray | None = None,
    columns: Mapping[str, AnyArray] | None = None,
    traits: Mapping[str, AnyArray] | None = None,
    learned: AnyArray | None = None,
    none_label: str = "",
    slices: Mapping[str, AnyArray] | None = None,
    truth: AnyArray | None = None,
    times: AnyArray | None = None,
) -> Reference:
    """A checked `Reference` from arrays of any numeric type (see there for what each means).

    `correct` may be booleans, or floats with NaN where it is not known. Where it is known of some rows only and
    `learned` is not given, the others are taken to have been learned: comparing live rows with rows that a model
    knows by heart would raise false alarms, leaving rows out costs power only. Raises BackstayError where lengths
    differ, where there are no rows, or where numbers are not finite.
    """
    answers = np.asarray(predicted, dtype=object)
    if len(answers) == 0:
        raise BackstayError("a reference without rows", fix="give the rows that the model is known to do well on")
    seen = tuple(sorted({str(answer) for answer in answers}))
    known = classes if classes is not None else seen
    unknown = sorted(set(seen) - set(known) - ({none_label} if none_label else set()))
    if unknown:
        raise BackstayError(
            f"the reference predicts {unknown[0]!r}, which is not among its classes", fix="name all classes"
        )
    right = None if correct is None else np.asarray(correct, dtype=np.float64)
    if right is not None and not np.all(np.isnan(right) | (right == 0.0) | (right == 1.0)):
        raise BackstayError("correct holds values other than 0, 1 and NaN", fix="give 1 right, 0 wrong, NaN unknown")
    if learned is None and right is not None and np.any(np.isfinite(right)):
        learned = np.isnan(right)
    reference = Reference(
        predicted=answers,
        classes=known,
        representation=None if representation is None else _representation(representation),
        scores=None if scores is None else _finite(scores, "scores"),
        correct=right,
        groups=None if groups is None else np.asarray(groups, dtype=object),
        columns={name: _typed(values) for name, values in (columns or {}).items()},
        traits={name: np.asarray(values, dtype=np.float64) for name, values in (traits or {}).items()},
        learned=None if learned is None else np.asarray(learned, dtype=np.bool_),
        none_label=none_label,
        slices={name: np.asarray(values, dtype=object) for name, values in (slices or {}).items()},
        truth=None if truth is None else np.asarray(["" if name is None else name for name in truth], dtype=object),
        times=None if times is None else np.asarray(times, dtype="datetime64[us]"),
    )
    _same_rows(reference)
    if reference.learned is not None and right is not None and np.any(np.isfinite(right[reference.learned])):
        raise BackstayError(
            "the reference counts answers to rows that the model was trained on as right or wrong",
            fix="give NaN in `correct` for learned rows",
        )
    return reference


def _same_rows(reference: Reference) -> None:
    parts: dict[str, AnyArray | None] = {
        "representation": reference.representation,
        "scores": reference.scores,
        "correct": reference.correct,
        "groups": reference.groups,
        "learned": reference.learned,
        "truth": reference.truth,
        "times": reference.times,
        **{f"column {name!r}": values for name, values in reference.columns.items()},
        **{f"trait {name!r}": values for name, values in reference.traits.items()},
        **{f"slice {name!r}": values for name, values in reference.slices.items()},
    }
    for name, values in parts.items():
        if values is not None and len(values) != len(reference):
            raise BackstayError(
                f"a reference of {len(reference)} rows has {len(values)} of {name}", fix="give one value a row"
            )
    if reference.scores is not None and reference.scores.shape[1] != len(reference.classes):
        raise BackstayError(
            f"{reference.scores.shape[1]} scores a row for {len(reference.classes)} classes", fix="give one a class"
        )


def _representation(values: AnyArray) -> RealArray:
    """Single precision is kept: embeddings are many numbers, and have no more digits."""
    single = np.asarray(values)
    return features_of(single, "representation") if single.dtype == np.float32 else _finite(values, "representation")


def _finite(values: AnyArray, what: str) -> FloatArray:
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2 or not (surely_finite(table) or np.all(np.isfinite(table))):
        raise BackstayError(
            f"{what} of shape {table.shape} with NaN or infinity, or not a table", fix="give finite numbers [n, d]"
        )
    return table


def _typed(values: AnyArray) -> AnyArray:
    """Numbers as float64, all else as objects: the two kinds of column that detectors know."""
    column = np.asarray(values)
    return column.astype(np.float64) if column.dtype.kind in "fiu" else column.astype(object)


def _digestible(values: AnyArray | None) -> bytes:
    """Bytes that differ whenever the values do: shape and type first, so that columns cannot run into each other."""
    if values is None:
        return b"\x00none"
    if values.dtype.kind == "O":
        body = json.dumps([value if value is None else str(value) for value in values]).encode()
    else:
        body = np.ascontiguousarray(values).tobytes()
    return f"\x00{values.dtype.kind}{values.shape}{len(body)}\x00".encode() + body
