"""From an Arrow type and its values to the kind of a column, and from a kind to the one Arrow type."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from backstay.data.images import image_array, pixels_of
from backstay.data.vectors import as_vectors, is_list, vector_type
from backstay.data.zones import MOMENT, moments
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Column, ColumnKind

TEXT_LENGTH = 40
TEXT_DISTINCT = 1000
TEXT_WORDS = 3
SENTENCES = 20
COLOURS = 3
ARROW = {
    ColumnKind.NUMBER: pa.float64(),
    ColumnKind.INTEGER: pa.int64(),
    ColumnKind.CATEGORY: pa.string(),
    ColumnKind.TEXT: pa.string(),
    ColumnKind.BOOLEAN: pa.bool_(),
    ColumnKind.TIME: MOMENT,
}


def kind_of(column: pa.ChunkedArray) -> ColumnKind | None:
    """The kind that a column's type and values suggest; None for a type that has no kind (structs, lists of texts)."""
    kind = column.type
    if is_list(kind):
        whole = pa.types.is_floating(kind.value_type) or pa.types.is_fixed_size_list(kind)
        return ColumnKind.VECTOR if whole and _is_number(kind.value_type) else None
    if isinstance(kind, pa.FixedShapeTensorType):
        return ColumnKind.IMAGE if kind.value_type == pa.uint8() and len(kind.shape) == 3 else None
    if pa.types.is_dictionary(kind):
        return _simple(kind.value_type) or ColumnKind.CATEGORY
    if _is_text(kind):
        return _text_or_category(column)
    if pa.types.is_uint64(kind) and (pc.max(column).as_py() or 0) >= 1 << 63:
        return ColumnKind.CATEGORY  # so great only hashes are, which name things, and no integer of ours holds them
    return _simple(kind)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def _simple(kind: pa.DataType) -> ColumnKind | None:
    if pa.types.is_boolean(kind):
        return ColumnKind.BOOLEAN
    if pa.types.is_integer(kind):
        return ColumnKind.INTEGER
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return ColumnKind.NUMBER
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return ColumnKind.TIME
    return ColumnKind.CATEGORY if pa.types.is_null(kind) else None


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _text_or_category(column: pa.ChunkedArray) -> ColumnKind:
    text = column.cast(pa.large_string())
    distinct = pc.count_distinct(text).as_py()
    length = pc.mean(pc.utf8_length(text)).as_py() or 0.0
    long = length > TEXT_LENGTH and distinct > len(column) // 2
    many = distinct > max(TEXT_DISTINCT, len(column) // 2)
    sentences = distinct >= max(SENTENCES, len(column) // 4) and words_of(text) >= TEXT_WORDS
    return ColumnKind.TEXT if long or many or sentences else ColumnKind.CATEGORY


def words_of(column: pa.ChunkedArray) -> float:
    """Mean number of words in a text; what is missing has none."""
    text = pc.fill_null(column.cast(pa.large_string()), "")
    counts = pc.list_value_length(pc.utf8_split_whitespace(pc.utf8_trim_whitespace(text)))
    return float(pc.mean(counts).as_py() or 0.0)


def arrow_type(column: Column) -> pa.DataType:
    """The one Arrow type of a column in memory."""
    if column.kind is ColumnKind.IMAGE:
        return pa.fixed_shape_tensor(pa.uint8(), column.shape)
    if column.kind is ColumnKind.VECTOR:
        return vector_type(column.shape[0])
    return ARROW[column.kind]


def as_kind(values: pa.ChunkedArray, column: Column) -> pa.ChunkedArray:
    """Values in the type of their kind. Raises BackstayError, naming the column, when they do not fit."""
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pa.types.is_string_view(values.type):
        values = values.cast(pa.large_string())
    if column.kind is ColumnKind.TIME:
        return moments(values, column.name)
    if column.kind is ColumnKind.IMAGE:
        return _image(values, column)
    if column.kind is ColumnKind.VECTOR:
        return as_vectors(values, column.name, column.shape[0])
    if column.kind in (ColumnKind.CATEGORY, ColumnKind.TEXT):
        return _texts(values, column)
    try:
        if column.kind is ColumnKind.BOOLEAN and pa.types.is_floating(values.type):
            values = values.cast(pa.int64())
        if column.kind is ColumnKind.NUMBER and pa.types.is_integer(values.type):
            return values.cast(pa.float64(), safe=False)
        return values.cast(arrow_type(column))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise BackstayError(
            f"column {column.name!r} is read as {column.kind.value} but holds other values "
            f"({str(error).splitlines()[0]})",
            fix=f"correct the rows, or declare another kind: data.columns.{column.name}",
        ) from error


def _texts(values: pa.ChunkedArray, column: Column) -> pa.ChunkedArray:
    try:
        if pa.types.is_floating(values.type):
            # 1.0 and 1 are the same category: a missing value elsewhere must not rename the others.
            finite = pc.if_else(pc.is_finite(values), values, None)
            if pc.all(pc.equal(pc.floor(finite), finite)).as_py() is not False:
                values = finite.cast(pa.int64())
        return values.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise BackstayError(
            f"column {column.name!r} holds {values.type}, which is not text ({str(error).splitlines()[0]})",
            fix="leave it out with data.ignore, or convert it to text",
        ) from error


def _image(values: pa.ChunkedArray, column: Column) -> pa.ChunkedArray:
    kind = arrow_type(column)
    if values.null_count:
        raise BackstayError(
            f"column {column.name!r} has {values.null_count} missing images", fix="leave those rows out"
        )
    if isinstance(values.type, pa.FixedShapeTensorType):
        if column.shape[-1] == COLOURS and tuple(values.type.shape) == (*column.shape[:2], 1):
            # A folder of grey pictures alone, beside rows among which one is coloured.
            values = image_array(np.repeat(pixels_of(values), COLOURS, axis=-1))
        if tuple(values.type.shape) != column.shape or values.type.value_type != pa.uint8():
            raise BackstayError(
                f"images in {column.name!r} are {tuple(values.type.shape)}, the schema says {column.shape}",
                fix="bring the images to the schema's height, width and channels",
            )
        chunks = [c.storage if isinstance(c, pa.ExtensionArray) else c for c in values.chunks]
        return pa.chunked_array([pa.ExtensionArray.from_storage(kind, c) for c in chunks], kind)
    raise BackstayError(
        f"column {column.name!r} holds {values.type}, not images", fix="give uint8 fixed-shape tensors [h, w, c]"
    )
