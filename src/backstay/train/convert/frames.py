"""Rows as scikit-learn was given them: a data frame where it knows names of columns, else a matrix, or texts."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from backstay.bundle.inputs import text_of, vector_values
from backstay.kernel.errors import BackstayError, nearest
from backstay.kernel.records import ColumnKind, Schema

NUMERIC = (ColumnKind.NUMBER, ColumnKind.INTEGER)
READABLE = (*NUMERIC, ColumnKind.BOOLEAN, ColumnKind.CATEGORY, ColumnKind.TEXT)


def names_read(model: Any) -> tuple[str, ...] | None:
    """Names of the columns that a model asks for, None where it knows none.

    A `ColumnTransformer` at its head asks for those of its steps alone: it may have been fitted on a whole frame, with
    ids and the target among the columns.
    """
    names = getattr(model, "feature_names_in_", None)
    if names is None:
        return None
    places = places_read(model)
    return tuple(str(name) for name in (names if places is None else [names[i] for i in places]))


def places_read(model: Any) -> list[int] | None:
    """Which of the columns that it was fitted on the `ColumnTransformer` at the head of a model reads; None without."""
    model = getattr(model, "best_estimator_", model)
    if type(model).__name__ == "Pipeline":
        return places_read(model.steps[0][1])
    if type(model).__name__ != "ColumnTransformer":
        return None
    places = model._transformer_to_input_indices
    steps = [name for name, step, _ in model.transformers_ if not (isinstance(step, str) and step == "drop")]
    return sorted({int(i) for name in steps for i in places.get(name, [])})


def columns_read(model: Any, schema: Schema) -> tuple[str, ...]:
    """The columns that a fitted model reads, in its order.

    Raises:
        BackstayError: it was fitted on other columns, or on another number of them.
    """
    names = names_read(model)
    wide = vector_length(schema.features, schema)
    if names is None and wide:
        if getattr(model, "n_features_in_", wide) != wide:
            raise BackstayError(
                f"the model was fitted on {model.n_features_in_} columns, the vectors in {schema.features[0]!r} have "
                f"{wide} numbers",
                fix="give reference rows with the vectors that it was fitted on",
            )
        return schema.features
    if names is None:
        count = getattr(model, "n_features_in_", 1)
        if count != len(schema.features):
            raise BackstayError(
                f"the model was fitted on {count} columns, the reference rows have {len(schema.features)} feature "
                f"columns ({', '.join(schema.features[:12])})",
                fix="name those that it reads, in its order: `adopt --features a,b`, or data.features of the project "
                "file",
            )
        names = schema.features
    for name in names:
        if name not in schema.features:
            raise BackstayError(
                f"the model was fitted on a column {name!r}, which is no feature of the reference rows",
                fix=nearest(str(name), schema.features),
            )
        kind = schema.column(name).kind
        if kind not in READABLE:
            raise BackstayError(
                f"the column {name!r} is {kind.value}, which the exporter of scikit-learn models cannot read",
                fix="declare it a number or a category under data.columns",
            )
    return tuple(map(str, names))


def vector_length(names: Sequence[str], schema: Schema) -> int:
    """How many numbers the one column of vectors holds; 0 where the columns are something else."""
    if len(names) != 1 or schema.column(names[0]).kind is not ColumnKind.VECTOR:
        return 0
    return int(schema.column(names[0]).shape[0])


def frame_of(model: Any, names: tuple[str, ...], table: pa.Table, schema: Schema) -> Any:
    """What `predict` is asked with. A vectorizer is the only first step that counts no columns: it is given texts."""
    wide = vector_length(names, schema)
    if wide:
        return vector_values(table.column(names[0]), names[0], wide).astype(np.float64)
    missing = None if _knows_none(model) else np.nan
    columns = {name: _column(table, name, schema, missing) for name in names}
    if hasattr(model, "feature_names_in_"):
        try:
            # No dependency of ours: whoever fitted on a data frame has it.
            pandas = import_module("pandas")
        except ModuleNotFoundError as error:
            raise BackstayError(
                "the model was fitted on a data frame, and comparing its answers needs pandas",
                fix="install it with `pip install pandas`",
            ) from error
        # Told the type of each column, since pandas would make NaN of None among texts.
        return pandas.DataFrame({name: pandas.Series(c, dtype=c.dtype) for name, c in columns.items()})
    if not hasattr(model, "n_features_in_"):
        return columns[names[0]]
    kind = np.float64 if all(c.dtype == np.float64 for c in columns.values()) else object
    return np.column_stack([c.astype(kind) for c in columns.values()])


def _column(table: pa.Table, name: str, schema: Schema, missing: float | None) -> npt.NDArray[Any]:
    values = table.column(name)
    if schema.column(name).kind in READABLE[:3]:
        numbers = [float("nan") if v is None else float(v) for v in values.to_pylist()]
        return np.array(numbers, dtype=np.float64)
    texts = np.empty(len(values), dtype=object)
    texts[:] = [text_of(v) or missing for v in values.to_pylist()]
    return texts


def _knows_none(model: Any) -> bool:
    """Whether an encoder in it has learned None, not NaN, as what is missing."""
    if any(any(v is None for v in c) for c in getattr(model, "categories_", [])):
        return True
    inner = [step for _, step in getattr(model, "steps", [])] + [t[1] for t in getattr(model, "transformers_", [])]
    preprocessor = getattr(model, "_preprocessor", None)
    return any(_knows_none(step) for step in [*inner, preprocessor] if step is not None)
