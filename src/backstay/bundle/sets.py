"""Sets of labels as text and as a table of members: the target and the answers of a multi-label model, wherever kept.

A set has one text: a JSON list, sorted, each label once. So that sets can be logged, compared and joined as labels are.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import BoolArray

SEPARATOR = ";"
"""What stands between labels in a text that is no JSON list."""


def set_text(labels: Iterable[str]) -> str:
    """The one text of a set.

    >>> set_text(["b", "a", "b"]), set_text([])
    ('["a", "b"]', '[]')
    """
    return json.dumps(sorted(set(labels)), ensure_ascii=False)


def labels_in(value: Any) -> tuple[str, ...]:
    """The labels of a set, sorted: a list of labels, a JSON list, or labels with `;` between them.

    Raises BackstayError for anything else: a list within a list, JSON that is cut off, a missing label.

    >>> labels_in("red; green"), labels_in('["a;b"]'), labels_in([2, 1]), labels_in("")
    (('green', 'red'), ('a;b',), ('1', '2'), ())
    """
    if isinstance(value, str):
        text = value.strip()
        parts = _json_list(text) if text.startswith("[") else [p for p in text.split(SEPARATOR) if p.strip()]
    elif isinstance(value, (list, tuple, set, frozenset, np.ndarray)):
        parts = list(value)
    else:
        raise BackstayError(f"{value!r} is no set of labels", fix='give a list of labels, or text: "a;b", ["a", "b"]')
    return tuple(sorted({_label(part, value) for part in parts}))


def _json_list(text: str) -> list[Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise BackstayError(
            f"{text[:80]!r} begins like a JSON list and is none", fix='write ["a", "b"], or a;b with no bracket'
        ) from error
    return list(found)


def _label(part: Any, whole: Any) -> str:
    if isinstance(part, bool) or not isinstance(part, (str, int, np.integer)):
        raise BackstayError(
            f"the set {str(whole)[:80]} holds {part!r}, which is no label", fix="give labels as texts or whole numbers"
        )
    label = str(part).strip()
    if not label:
        raise BackstayError(f"the set {str(whole)[:80]} holds an empty label", fix="leave it out of the set")
    return label


def sets_as_text(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """A column of sets, lists or texts, as their one text; gaps stay gaps.

    Raises BackstayError, with the row, for a value that is no set.

    >>> sets_as_text(pa.chunked_array([["b;a", None, ""]]), "tags").to_pylist()
    ['["a", "b"]', None, '[]']
    """
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind = column.type
    listed = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    worded = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    if not (listed or worded or pa.types.is_null(kind)) or isinstance(kind, pa.BaseExtensionType):
        raise BackstayError(
            f"the target {name!r} holds {kind}, not sets of labels",
            fix='give lists of texts, or texts such as "a;b" or ["a", "b"]',
        )
    found: list[str | None] = []
    known: dict[str, str] = {}
    for row, value in enumerate(column.to_pylist(), 1):
        if value is None:
            found.append(None)
            continue
        key = repr(value)
        if key not in known:
            try:
                known[key] = set_text(labels_in(value))
            except BackstayError as error:
                raise BackstayError(f"the target {name!r}, row {row}: {error.what}", fix=error.fix) from error
        found.append(known[key])
    return pa.chunked_array([pa.array(found, pa.string())])


def labels_of(texts: Iterable[Any]) -> tuple[str, ...]:
    """Every label that occurs in these sets, sorted.

    >>> labels_of(['["b"]', "[]", '["a", "b"]'])
    ('a', 'b')
    """
    return tuple(sorted({label for text in set(texts) for label in labels_in(text)}))


def members(texts: Sequence[Any] | npt.NDArray[np.object_], labels: Sequence[str]) -> BoolArray:
    """Which label is in which set [n, labels]. What is none of `labels` is passed over.

    >>> members(['["b"]', '["a", "c"]'], ("a", "b")).tolist()
    [[False, True], [True, False]]
    """
    places = {label: place for place, label in enumerate(labels)}
    rows: dict[str, BoolArray] = {}
    found = np.zeros((len(texts), len(labels)), dtype=np.bool_)
    for row, text in enumerate(texts):
        key = str(text)
        if key not in rows:
            rows[key] = np.zeros(len(labels), dtype=np.bool_)
            rows[key][[places[label] for label in labels_in(text) if label in places]] = True
        found[row] = rows[key]
    return found


def texts_of(table: BoolArray, labels: Sequence[str]) -> npt.NDArray[np.object_]:
    """The text of each row's set [n].

    >>> texts_of(np.array([[True, False], [False, False]]), ("b", "a")).tolist()
    ['["b"]', '[]']
    """
    known: dict[bytes, str] = {}
    found = np.empty(len(table), dtype=object)
    for row, mask in enumerate(np.asarray(table, dtype=np.bool_)):
        key = mask.tobytes()
        if key not in known:
            known[key] = set_text(label for label, there in zip(labels, mask.tolist(), strict=True) if there)
        found[row] = known[key]
    return found
