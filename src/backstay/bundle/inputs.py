"""Arrow tables to input tensors and back. Strings are `str` before they reach the graph: bytes would be *unseen*."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from backstay.bundle.datatypes import FLOATS, numpy_dtype
from backstay.bundle.manifest import InputSpec, Manifest
from backstay.kernel.errors import BackstayError, nearest

Arrays = dict[str, npt.NDArray[Any]]


def arrays_for(manifest: Manifest, table: pa.Table) -> Arrays:
    """The input tensors for these rows, by input name.

    Raises:
        BackstayError: a column is missing, has the wrong type or shape, or has gaps that the model cannot take.
    """
    for name in manifest.columns:
        if name not in table.column_names:
            raise BackstayError(
                f"the rows have no column {name!r}, which the model reads", fix=nearest(name, table.column_names)
            )
    return {spec.name: _tensor(spec, table) for spec in manifest.inputs}


def table_from(manifest: Manifest, arrays: Arrays) -> pa.Table:
    """The columns that these tensors were made of: the inverse of `arrays_for`. NaN and "" come back as null."""
    columns: dict[str, pa.Array] = {}
    for spec in manifest.inputs:
        if spec.name not in arrays:
            raise BackstayError(f"the tensor {spec.name!r} is missing", fix=nearest(spec.name, arrays))
        values = np.asarray(arrays[spec.name])
        if spec.column_shape:
            columns[spec.columns[0]] = _image_column(spec, values)
        elif spec.adapter == "vector":
            columns[spec.columns[0]] = _vector_column(values)
        elif spec.adapter == "matrix":
            for place, name in enumerate(spec.columns):
                columns[name] = _column(spec, values[:, place])
        else:
            columns[spec.columns[0]] = _column(spec, values.reshape(len(values)))
    return pa.table(columns)


def text_of(value: Any) -> str:
    """One category as the graph compares it: null is "", bytes are UTF-8, and 3.0 is "3": one gap makes floats of all.

    >>> [text_of(v) for v in (3.0, 3, 1.5, True, b"x", None)]
    ['3', '3', '1.5', 'true', 'x', '']
    """
    if value is None:
        return ""
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError as error:
            raise BackstayError(f"{value[:40]!r} is not UTF-8", fix="encode text as UTF-8") from error
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value != value:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def image_pixels(column: pa.ChunkedArray | pa.Array, name: str, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """An image column as uint8 [rows, height, width, channels]."""
    if not isinstance(column.type, pa.FixedShapeTensorType):
        raise BackstayError(f"the column {name!r} holds {column.type}, not images", fix="give an image column")
    if tuple(column.type.shape) != shape:
        raise BackstayError(
            f"the images in {name!r} are {tuple(column.type.shape)}, the model takes {shape}",
            fix="resize them to (height, width, channels) as the model was trained",
        )
    if column.null_count:
        raise BackstayError(f"{column.null_count} images in {name!r} are missing", fix="drop these rows")
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    parts = [c.to_numpy_ndarray() for c in chunks if len(c)]
    return np.concatenate(parts) if parts else np.zeros((0, *shape), np.uint8)


def vector_values(column: pa.ChunkedArray | pa.Array, name: str, length: int) -> npt.NDArray[np.float32]:
    """A column of number lists as float32 [rows, length]; the first row that is none of that length is named."""
    kind = column.type
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
        raise BackstayError(f"the column {name!r} holds {kind}, not vectors", fix=f"give lists of {length} numbers")
    lengths = pc.fill_null(pc.list_value_length(column), -1).to_numpy(zero_copy_only=False)
    wrong = np.flatnonzero(lengths != length)
    if len(wrong):
        told = "no vector" if lengths[wrong[0]] < 0 else f"{lengths[wrong[0]]} numbers"
        raise BackstayError(
            f"row {wrong[0] + 1} of {name!r} has {told}, the model takes {length}", fix="give whole vectors"
        )
    flat = pc.list_flatten(column).cast(pa.float32()).to_numpy(zero_copy_only=False)
    wide: npt.NDArray[np.float32] = np.asarray(flat, dtype=np.float32).reshape(len(column), length)
    bad = np.flatnonzero(~np.isfinite(wide).all(axis=1))
    if len(bad):
        raise BackstayError(f"row {bad[0] + 1} of {name!r} holds a null, NaN or infinity", fix="drop these rows")
    return wide


def channels_first(spec: InputSpec) -> bool:
    """Whether the tensor is [rows, channels, height, width] while the column is height, width, channels."""
    if len(spec.shape) != 4:
        return False
    height, width, channels = spec.column_shape
    fits_last = fits(spec.shape[1:], (height, width, channels))
    return not fits_last and fits(spec.shape[1:], (channels, height, width))


def fits(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Whether a tensor's shape, -1 where any size will do, takes this one."""
    return all(s in (-1, w) for s, w in zip(shape, wanted, strict=True))


def _tensor(spec: InputSpec, table: pa.Table) -> npt.NDArray[Any]:
    if spec.column_shape:
        pixels = image_pixels(table.column(spec.columns[0]), spec.columns[0], spec.column_shape)
        if channels_first(spec):
            pixels = pixels.transpose(0, 3, 1, 2)
        elif len(spec.shape) < 4:
            pixels = pixels.reshape(len(pixels), *(spec.column_shape[:2] if len(spec.shape) == 3 else (-1,)))
        return np.ascontiguousarray(pixels, dtype=numpy_dtype(spec.datatype))
    if spec.adapter == "vector":
        wide = vector_values(table.column(spec.columns[0]), spec.columns[0], spec.shape[1])
        return np.ascontiguousarray(wide, dtype=numpy_dtype(spec.datatype))
    columns = [_values(spec, name, table.column(name)) for name in spec.columns]
    if spec.adapter == "matrix":
        return (
            np.ascontiguousarray(np.column_stack(columns))
            if table.num_rows
            else np.zeros((0, len(columns)), numpy_dtype(spec.datatype))
        )
    return columns[0].reshape((-1, 1)) if len(spec.shape) == 2 else columns[0]


def _values(spec: InputSpec, name: str, column: pa.ChunkedArray) -> npt.NDArray[Any]:
    if spec.datatype == "BYTES":
        texts = np.empty(len(column), dtype=object)
        texts[:] = [text_of(v) for v in column.to_pylist()]
        return texts
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())  # as training reads them
    if column.null_count and spec.datatype not in FLOATS:
        raise BackstayError(
            f"{column.null_count} values of {name!r} are missing and the model takes {spec.datatype} there",
            fix="fill them in, or export the model with a float input and an imputer",
        )
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type) or pa.types.is_boolean(column.type)):
        if column.null_count == len(column):
            return np.full(len(column), np.nan, dtype=numpy_dtype(spec.datatype))
        raise BackstayError(
            f"the column {name!r} holds {column.type}, the model takes {spec.datatype} there", fix="give numbers"
        )
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    wide = np.asarray(column.to_numpy())
    if spec.datatype in FLOATS:
        return wide.astype(numpy_dtype(spec.datatype))
    return _whole(wide, name, spec.datatype)


def _whole(values: npt.NDArray[Any], name: str, datatype: str) -> npt.NDArray[Any]:
    narrow: npt.NDArray[Any]
    with np.errstate(invalid="ignore"):
        narrow = values.astype(numpy_dtype(datatype))
    if not np.array_equal(narrow, values):
        bad = values[np.flatnonzero(narrow != values)[0]]
        raise BackstayError(f"{name!r} holds {bad}, which is no {datatype}", fix="give whole numbers within its range")
    return narrow


def _column(spec: InputSpec, values: npt.NDArray[Any]) -> pa.Array:
    if spec.datatype == "BYTES":
        return pa.array([text_of(v) or None for v in values.tolist()], pa.string())
    if spec.datatype in FLOATS:
        return pa.array(values.astype(np.float64), pa.float64(), from_pandas=True)
    if spec.datatype == "BOOL":
        return pa.array(values.astype(bool), pa.bool_())
    return pa.array(values.astype(np.int64), pa.int64())


def _vector_column(values: npt.NDArray[Any]) -> pa.Array:
    flat = pa.array(np.ascontiguousarray(values, dtype=np.float32).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])


def _image_column(spec: InputSpec, values: npt.NDArray[Any]) -> pa.Array:
    height, width, channels = spec.column_shape
    if channels_first(spec):
        values = values.transpose(0, 2, 3, 1)
    shaped = values.reshape(len(values), height, width, channels)
    pixels = np.clip(np.rint(shaped), 0, 255).astype(np.uint8) if shaped.dtype != np.uint8 else shaped
    kind = pa.fixed_shape_tensor(pa.uint8(), spec.column_shape)
    storage = pa.FixedSizeListArray.from_arrays(
        pa.array(np.ascontiguousarray(pixels).reshape(-1)), height * width * channels
    )
    return pa.ExtensionArray.from_storage(kind, storage)
