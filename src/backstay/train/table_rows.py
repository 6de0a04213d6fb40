"""Rows of numbers and categories for models without an encoder, and their way from a fitted model to a bundle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from backstay.bundle.inputs import arrays_for, table_from
from backstay.bundle.manifest import Manifest
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import ColumnKind
from backstay.kernel.registry import Shelf
from backstay.maths.arrays import IntArray
from backstay.train.convert.parity import harder
from backstay.train.estimators.contract import Problem, Rows
from backstay.train.estimators.reading import codes_of, numbers_of, refuse_infinite
from backstay.train.examples import Profile, profile_of
from backstay.train.options import Options
from backstay.train.work import Places, Trained, Work, behind_inputs

MADE_BY = ("backstay", "scikit-learn", "onnx", "numpy")
_PARITY_ROWS = 2000
_TABLE_KINDS = (ColumnKind.NUMBER, ColumnKind.INTEGER, ColumnKind.CATEGORY, ColumnKind.BOOLEAN)

_Made = TypeVar("_Made", covariant=True)


class Build(Protocol[_Made]):
    """What stands on a shelf of models."""

    def __call__(self, problem: Problem, options: Options) -> _Made: ...


class Fitted(Protocol):
    """What was fitted, with all that its graph is to answer."""

    def draft(self, work: Work) -> tuple[bytes, Manifest]:
        """The graph, and what the bundle says of itself."""

    def gap(self, table: pa.Table, content: bytes, draft: Manifest) -> float:
        """Largest difference of the graph from scikit-learn on these rows. Raises BackstayError above the limit."""


@dataclass(frozen=True, slots=True, eq=False)
class TableRows:
    """Both parts as a model reads them, and the numbers of the tune part's rows."""

    profile: Profile
    train: Rows
    tune: Rows
    tune_rows: Places

    @classmethod
    def of(cls, work: Work, train: Places, tune: Places, labels: IntArray | None = None) -> TableRows:
        """These rows. `labels` are of all rows of the table; 0 where none are given.

        Raises BackstayError for an infinite number.
        """
        profile = profile_of(work.table, work.schema, train)
        labels = np.zeros(work.table.num_rows, dtype=np.int64) if labels is None else labels
        weights = work.weights.astype(np.float64)
        parts: list[Rows] = []
        for places in (train, tune):
            taken = work.table.take(pa.array(places))
            numbers, codes = numbers_of(profile, taken), codes_of(profile, taken)
            parts.append(Rows(numbers, codes, labels[places], weights[places]))
            refuse_infinite(profile, numbers)
        return cls(profile, parts[0], parts[1], tune)

    def model(self, build: Build[_Made], work: Work, classes: int) -> _Made:
        """A fresh one for these columns. Raises BackstayError for an option that it does not have."""
        options = Options("train.model_options", work.recipe.model_options)
        levels = tuple(len(self.profile.levels[name]) for name in self.profile.categories)
        made = build(Problem(len(self.profile.numbers), levels, classes, work.recipe.seed), options)
        options.done()
        return made

    def keep(self, work: Work, fitted: Fitted, figures: Mapping[str, Any]) -> Trained:
        """The bundle, behind the inputs of the model that it is to succeed, once its graph answers as it must."""
        with work.told.step("export"):
            content, draft = fitted.draft(work)
            check = work.table.take(pa.array(self.tune_rows[:_PARITY_ROWS])).select(list(work.schema.features))
            asked = (check, harder(check, seed=work.recipe.seed))
            parity = max(fitted.gap(rows, content, draft) for rows in asked)
            content, successor = behind_inputs(content, draft, work.answering)
            if successor.inputs != draft.inputs:
                # Other inputs may round: what the graph is then asked is what scikit-learn is asked.
                seen = table_from(successor, arrays_for(successor, check))
                parity = max(parity, fitted.gap(seen, content, successor))
            counts = {"train_rows": len(self.train.weights), "tune_rows": len(self.tune.weights)}
            return work.keep(content, successor, {**figures, **counts}, parity=parity)


def unlabelled(profile: Profile, table: pa.Table) -> Rows:
    """Rows to be answered, as a model reads them."""
    nothing = np.zeros(table.num_rows)
    return Rows(numbers_of(profile, table), codes_of(profile, table), nothing.astype(np.int64), nothing)


def shelved(shelf: Shelf, work: Work) -> Any:
    """The recipe's model, not yet built. Raises BackstayError for an unknown one, or columns that none can read."""
    build = shelf[work.recipe.model]
    for name in work.schema.features:
        kind = work.schema.column(name).kind
        if kind not in _TABLE_KINDS:
            raise BackstayError(
                f"the feature {name!r} is {kind.value}; train.model = {work.recipe.model!r} reads numbers and "
                "categories",
                fix='use train.model = "encoder", or put the column under data.ignore',
            )
    return build


@contextmanager
def threads(count: int) -> Iterator[None]:
    """scikit-learn's threads, as the recipe says: sums are added in another order by another number of them."""
    with threadpool_limits(count):
        yield
