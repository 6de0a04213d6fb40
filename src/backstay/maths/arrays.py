"""Array types and the checks that every statistic makes on what it is given."""

from __future__ import annotations

from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from backstay.kernel.errors import BackstayError

FloatArray: TypeAlias = npt.NDArray[np.float64]
SingleArray: TypeAlias = npt.NDArray[np.float32]
RealArray: TypeAlias = npt.NDArray[np.floating[Any]]
IntArray: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
AnyArray: TypeAlias = npt.NDArray[Any]

Precise = TypeVar("Precise", FloatArray, RealArray)


def vector(values: npt.ArrayLike, what: str) -> FloatArray:
    """`values` as a finite float array [n], n >= 1; `what` names it in the error."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size == 0:
        raise BackstayError(f"{what} has shape {array.shape}", fix="give one non-empty row of numbers [n]")
    return _finite(array, what)


def matrix(values: npt.ArrayLike, what: str) -> FloatArray:
    """`values` as a finite float array [n, d]; a vector becomes one column."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or 0 in array.shape:
        raise BackstayError(f"{what} has shape {array.shape}", fix="give a non-empty table of numbers [n, d]")
    return _finite(array, what)


def features_of(values: npt.ArrayLike, what: str) -> RealArray:
    """As `matrix`, but numbers that were made in single precision stay so: many features of many rows are dear."""
    if isinstance(values, np.ndarray) and values.dtype == np.float32 and values.ndim == 2 and values.size:
        return _finite(values, what)
    return matrix(values, what)


def indicators(values: npt.ArrayLike, what: str) -> FloatArray:
    """`values` as a vector of 0 and 1."""
    array = vector(values, what)
    if not np.all((array == 0.0) | (array == 1.0)):
        raise BackstayError(f"{what} holds values other than 0 and 1", fix="give 1 for correct and 0 for wrong")
    return array


def fraction(value: float, what: str) -> float:
    """`value` when it lies strictly between 0 and 1."""
    if not 0.0 < value < 1.0:
        raise BackstayError(f"{what} is {value!r}", fix="give a number strictly between 0 and 1")
    return float(value)


def same_length(first: AnyArray, second: AnyArray, what: str) -> None:
    """Raise unless both arrays have the same number of rows."""
    if len(first) != len(second):
        raise BackstayError(f"{what} differ in length: {len(first)} and {len(second)}", fix="give paired rows")


def surely_finite(array: RealArray) -> bool:
    """True only where all are finite; False where some are not, or so large that their squares overflow.

    In one pass and without an array of truth values: a sum of squares with a NaN or an infinity in it is no number.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        flat = array.reshape(-1) if array.flags.c_contiguous else np.asarray(array.sum()).reshape(-1)
        return bool(np.isfinite(np.dot(flat, flat)))


def _finite(array: Precise, what: str) -> Precise:
    if surely_finite(array):
        return array
    bad = int(array.size - np.count_nonzero(np.isfinite(array)))
    if bad:
        raise BackstayError(f"{what} holds {bad} values that are NaN or infinite", fix="drop or impute them first")
    return array
