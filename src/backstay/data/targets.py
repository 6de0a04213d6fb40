"""The target as classes: text for every value, and a refusal of what is no classification."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from backstay.kernel.errors import BackstayError

MOST_FRACTIONS = 10
FEW = 20
MOST_NUMBERS, ROWS_EACH = 30, 10
"""More different numbers than this, with fewer rows each on the average, may as well be measured as be classes."""


def class_texts(column: pa.ChunkedArray) -> npt.NDArray[np.object_]:
    """Labels as text: str(int) for whole numbers, true/false for truth values, "missing" for null.

    >>> class_texts(pa.chunked_array([[1.0, 0.0, None]])).tolist()
    ['1', '0', 'missing']
    """
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    encoded = column.combine_chunks().dictionary_encode()
    names = np.array([*(_text(v) for v in encoded.dictionary.to_pylist()), "missing"], dtype=object)
    codes = pc.fill_null(encoded.indices, len(names) - 1).to_numpy(zero_copy_only=False)
    return np.asarray(names[codes])


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def check_target(column: pa.ChunkedArray, name: str) -> None:
    """Raise for a target that is no classification: one class, fractions of many sizes, a value of its own a row."""
    if isinstance(column.type, pa.BaseExtensionType):
        raise BackstayError(f"the target {name!r} holds images", fix="name the column of labels as data.target")
    present = column.drop_null()
    if pa.types.is_dictionary(present.type):
        present = present.cast(present.type.value_type)
    distinct = pc.unique(present)
    if len(distinct) < 2:
        only = f" ({distinct[0]})" if len(distinct) else ""
        raise BackstayError(
            f"the target {name!r} has {'one class' + only if len(distinct) else 'no values'}",
            fix="give rows of at least two classes, or name another target",
        )
    if many_fractions(column):
        raise BackstayError(
            f"the target {name!r} holds {len(distinct)} different fractions: that is regression",
            fix='set task = "regression" in the project file, cut the target into classes, or name another one',
        )
    if len(distinct) > max(FEW, len(present) // 2):
        raise BackstayError(
            f"the target {name!r} has {len(distinct)} different values in {len(present)} rows, hardly two rows a class",
            fix='name a target with few classes; numbers are learned with task = "regression" in the project file',
        )


def many_fractions(column: pa.ChunkedArray) -> bool:
    """Whether a target is a measured number: more than ten different ones, not all of them whole.

    >>> many_fractions(pa.chunked_array([[i / 4 for i in range(40)]])), many_fractions(pa.chunked_array([[1, 2, 3]]))
    (True, False)
    """
    if not (pa.types.is_floating(column.type) or pa.types.is_decimal(column.type)):
        return False
    values = np.asarray(pc.unique(column.drop_null()).cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)
    return len(values) > MOST_FRACTIONS and bool(np.any(values != np.rint(values)))


def refuse_undecided(column: pa.ChunkedArray, name: str) -> None:
    """Raise for numbers of which nobody can see whether they are classes or measured: many, with few rows each."""
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        return
    present = column.drop_null()
    distinct = len(pc.unique(present))
    if distinct > MOST_NUMBERS and len(present) < ROWS_EACH * distinct:
        raise BackstayError(
            f"the target {name!r} holds {distinct} different numbers in {len(present)} rows, which may be classes or "
            "a number to predict",
            fix="say which: --task regression for a number to predict, --task classification for classes",
        )
