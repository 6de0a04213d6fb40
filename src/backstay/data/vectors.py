"""Vectors: a list of numbers a row, all of one length (embeddings that were computed elsewhere)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from backstay.kernel.errors import BackstayError


def vector_type(length: int) -> pa.DataType:
    """The one Arrow type of vectors of this length.

    >>> vector_type(3).list_size
    3
    """
    return pa.list_(pa.field("item", pa.float32()), length)


def is_list(kind: pa.DataType) -> bool:
    """Whether rows of this type are lists, of whatever."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def vector_array(values: npt.NDArray[np.float32]) -> pa.ChunkedArray:
    """Vectors [n, d] as one column; the inverse of `vectors_of`."""
    flat = pa.array(np.ascontiguousarray(values, dtype=np.float32).reshape(-1))
    kind = vector_type(values.shape[1])
    return pa.chunked_array([pa.FixedSizeListArray.from_arrays(flat, type=kind)], kind)


def vectors_of(column: pa.ChunkedArray) -> npt.NDArray[np.float32]:
    """A conformed vector column as [n, d]."""
    flat = pc.list_flatten(column).to_numpy()
    return np.asarray(flat, dtype=np.float32).reshape(len(column), column.type.list_size)


def usual_length(column: pa.ChunkedArray, name: str) -> int:
    """The commonest length of the lists. Raises BackstayError where none has a number in it."""
    if pa.types.is_fixed_size_list(column.type):
        return int(column.type.list_size)
    counts = [c for c in pc.value_counts(pc.list_value_length(column)).to_pylist() if c["values"]]
    if not counts:
        raise BackstayError(f"the lists in column {name!r} are all empty", fix="leave it out with data.ignore")
    return int(max(counts, key=lambda c: (c["counts"], c["values"]))["values"])


def as_vectors(values: pa.ChunkedArray, name: str, length: int) -> pa.ChunkedArray:
    """Lists of any float or integer type as vectors of this length; a missing list stays missing.

    Raises BackstayError, with the row, for a list of another length or with a null, NaN or infinity in it.
    """
    if values.null_count == len(values):
        return pa.chunked_array([pa.nulls(len(values), vector_type(length))])
    if not is_list(values.type) or not _numeric(values.type.value_type):
        raise BackstayError(
            f"column {name!r} holds {values.type}, not lists of numbers", fix=f"give {length} numbers a row"
        )
    lengths = np.asarray(pc.fill_null(pc.list_value_length(values), -1).to_numpy(), dtype=np.int64)
    there = lengths != -1
    wrong = there & (lengths != length)
    if wrong.any():
        told = f"has {lengths[int(np.flatnonzero(wrong)[0])]} numbers where {length} are usual"
        _refuse(wrong, name, told, "give every row a vector of one length, or leave the column out with data.ignore")
    flat = pc.list_flatten(values).cast(pa.float64()).to_numpy(zero_copy_only=False)
    wide = np.zeros((len(values), length), dtype=np.float32)
    with np.errstate(over="ignore"):
        wide[there] = flat.reshape(-1, length).astype(np.float32)
    bad = np.asarray(~np.isfinite(wide).all(axis=1), dtype=np.bool_)
    _refuse(bad, name, "holds a null, NaN or infinity", "leave those rows out, or compute their vectors again")
    if there.all():
        return vector_array(wide)
    flat_array = pa.array(wide.reshape(-1))
    kind = vector_type(length)
    return pa.chunked_array([pa.FixedSizeListArray.from_arrays(flat_array, type=kind, mask=pa.array(~there))], kind)


def refuse_gaps(values: pa.ChunkedArray, name: str) -> None:
    """A vector that a model is to read must be there. Raises BackstayError with the first row that has none."""
    _refuse(values.is_null().to_numpy(), name, "has no vector", "fill it in, or leave those rows out")


def _numeric(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def _refuse(bad: npt.NDArray[np.bool_], name: str, what: str, fix: str) -> None:
    rows = np.flatnonzero(bad)
    if len(rows):
        more = f" (and {len(rows) - 1} more)" if len(rows) > 1 else ""
        raise BackstayError(f"row {rows[0] + 1} of column {name!r}{more} {what}", fix=fix)
