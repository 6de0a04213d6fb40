"""Columns of a table to standardised numbers and codes of categories, in numpy and again in a graph."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from backstay.bundle.inputs import text_of
from backstay.bundle.manifest import InputSpec
from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import FloatArray, IntArray
from backstay.train.convert.graph import ML, Graph
from backstay.train.estimators.contract import Tensors
from backstay.train.examples import Profile


def numbers_of(profile: Profile, table: pa.Table) -> FloatArray:
    """[n, p] in double precision: a model may ask on which side of a value a row lies, and float32 could move it."""
    columns = [
        (np.asarray(table.column(name).cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64) - mean) / deviation
        for name, mean, deviation in zip(profile.numbers, profile.means, profile.deviations, strict=True)
    ]
    return np.column_stack(columns) if columns else np.zeros((table.num_rows, 0))


def codes_of(profile: Profile, table: pa.Table) -> IntArray:
    """[n, q]: 0 unseen, 1 missing, from 2 on the known values."""
    found = np.zeros((table.num_rows, len(profile.categories)), np.int64)
    for place, name in enumerate(profile.categories):
        known = {text: i + 1 for i, text in enumerate(_keys(profile, name))}
        found[:, place] = [known.get(text_of(value), 0) for value in table.column(name).to_pylist()]
    return found


def refuse_infinite(profile: Profile, numbers: FloatArray) -> None:
    """Raise where a training row holds an infinite number."""
    infinite = np.isinf(numbers).any(axis=0)
    if infinite.any():
        name = profile.numbers[int(np.argmax(infinite))]
        raise BackstayError(f"the column {name!r} holds infinite numbers", fix="mend them, or leave them missing")


def write_reading(graph: Graph, profile: Profile, inputs: tuple[InputSpec, ...]) -> Tensors:
    """The graph of `numbers_of` and `codes_of` over one input a column."""
    names = {spec.columns[0]: graph.input(spec) for spec in inputs}
    numbers = None
    if profile.numbers:
        matrix = graph.side_by_side([names[name] for name in profile.numbers])
        centred = graph.op("Sub", matrix, graph.constant(np.array([profile.means])))
        numbers = graph.op("Div", centred, graph.constant(np.array([profile.deviations])))
    codes = [
        graph.op(
            "LabelEncoder",
            names[name],
            domain=ML,
            keys_strings=_keys(profile, name),
            values_int64s=list(range(1, len(_keys(profile, name)) + 1)),
            default_int64=0,
        )
        for name in profile.categories
    ]
    return Tensors(numbers, graph.side_by_side(codes) if codes else None)


def _keys(profile: Profile, name: str) -> list[str]:
    return ["", *profile.levels[name]]
