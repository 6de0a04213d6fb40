"""What a model must beat to be worth its keep: the commonest class, neighbours among the raw rows, and for text a
linear model on its words."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from backstay.kernel.errors import BackstayError
from backstay.kernel.records import ColumnKind, Schema
from backstay.maths.arrays import FloatArray, IntArray
from backstay.maths.neighbours import nearest, vote
from backstay.maths.softmax import SparseSoftmax
from backstay.maths.tfidf import TfIdf

TOP = 20
MOST_GALLERY = 20_000
CLIP = 6.0
FENCE = 9.0
LARGEST = 1e100
WORDS = 512
FOLDS = 5
# Of the thinning and of the folds: what a model is compared with is the same each time.
SEED = 0
MOST_WEIGHTS = 2_000_000
MOST_TERMS = 30_000


def majority(known: IntArray, rows: int) -> IntArray:
    """The commonest known class (the first of equals), for every row."""
    present = known[known >= 0]
    if len(present) == 0:
        raise BackstayError(
            f"none of {len(known)} labels is a class that the model knows", fix="give rows of the model's classes"
        )
    return np.full(rows, int(np.bincount(present).argmax()), dtype=np.int64)


def raw_knn(
    gallery: npt.NDArray[np.float32],
    known: IntArray,
    queries: npt.NDArray[np.float32],
    *,
    k: int,
    classes: int,
    leave_out: IntArray | None = None,
) -> FloatArray:
    """Class shares among the k nearest raw rows [m, classes]. A larger gallery is thinned to 20,000 rows.

    Args:
        gallery: rows [n, d] of the classes `known` [n]; -1 for an unknown one, which has no vote.
        leave_out: group codes; then gallery and queries are the same rows, and a row's own group is no neighbour.
    """
    places, distances = raw_neighbours(gallery, queries, k, leave_out)
    return vote(known, places, distances, classes)


def raw_neighbours(
    gallery: npt.NDArray[np.float32], queries: npt.NDArray[np.float32], k: int, leave_out: IntArray | None
) -> tuple[IntArray, FloatArray]:
    """Places [m, k] in the gallery, thinned to 20,000 rows, of each query's neighbours, and how far they are."""
    kept = thinned(len(gallery))
    apart = None if leave_out is None else (leave_out[kept], leave_out)
    places, distances = nearest(gallery[kept], queries, k, apart=apart)
    return kept[places], distances


def thinned(rows: int) -> IntArray:
    """The places of at most 20,000 rows, in order: the same draw for every control of one gallery."""
    if rows <= MOST_GALLERY:
        return np.arange(rows)
    return np.sort(np.random.default_rng(SEED).choice(rows, MOST_GALLERY, replace=False))


def tf_idf_linear(
    gallery: Sequence[str],
    known: IntArray,
    queries: Sequence[str],
    *,
    classes: int,
    leave_out: IntArray | None = None,
) -> FloatArray:
    """Probabilities [m, classes] of a logistic regression on weighted words, word pairs and letter runs.

    The baseline that text encoders fail to beat: 0.92 on banking77 (77 classes, 10,003 texts, some 10 CPU-seconds).
    A larger gallery is thinned to 20,000 texts. See `maths.tfidf` for the weights.

    Args:
        gallery: texts of the classes `known` [n]; those of an unknown class (-1) teach nothing.
        leave_out: group codes; then gallery and queries are the same rows, and each row is answered by a model of the
            other groups (five folds).
    """
    rng = np.random.default_rng(SEED)
    learned = np.flatnonzero(known >= 0)
    if len(learned) > MOST_GALLERY:
        learned = np.sort(rng.choice(learned, MOST_GALLERY, replace=False))
    if leave_out is None:
        return _linear(gallery, known, learned, queries, classes)
    groups = np.unique(leave_out, return_inverse=True)[1]
    fold = rng.permutation(np.arange(int(groups.max()) + 1) % FOLDS)[groups]
    found = np.zeros((len(queries), classes))
    for part in range(FOLDS):
        asked = np.flatnonzero(fold == part)
        if len(asked):
            rest = learned[fold[learned] != part]
            found[asked] = _linear(gallery, known, rest, [queries[i] for i in asked.tolist()], classes)
    return found


def _linear(
    gallery: Sequence[str], known: IntArray, learned: IntArray, queries: Sequence[str], classes: int
) -> FloatArray:
    if len(np.unique(known[learned])) < 2:
        shares = np.bincount(known[learned], minlength=classes) + 1e-9
        return np.tile(shares / shares.sum(), (len(queries), 1))
    texts = [gallery[i] for i in learned.tolist()]
    space = TfIdf.fit(texts, min(MOST_TERMS, MOST_WEIGHTS // classes))
    return SparseSoftmax.fit(space.rows(texts), known[learned], classes).predict_proba(space.rows(queries))


def raw_matrix(table: pa.Table, schema: Schema, learned: int | None = None) -> npt.NDArray[np.float32]:
    """The features as one matrix [n, d]: pixels in [0, 1], numbers standardised, common categories as indicators.

    Numbers are clipped at 6 standard deviations and carry an indicator of what is missing (which is put at the mean);
    wild values hardly move mean and deviation, see `_scale`. A category becomes indicators of its 20 commonest values.
    Vectors are as they are, over their mean length; a text is its words in 512 hashed places, the rarer the heavier, at
    length 1. Times have no distance here and are left out.

    Args:
        learned: how many rows at the beginning scales, common values and rarities are taken from; all, if not said.
    """
    first = table.num_rows if learned is None else learned
    parts: list[npt.NDArray[np.float32]] = []
    for name in schema.features:
        kind, column = schema.column(name).kind, table.column(name)
        if kind is ColumnKind.IMAGE:
            parts += [_pixels(chunk) for chunk in [pa.concat_arrays(column.chunks)]] if column.num_chunks else []
        elif kind in (ColumnKind.NUMBER, ColumnKind.INTEGER):
            parts.append(_number(column, first))
        elif kind is ColumnKind.VECTOR:
            parts.append(_vectors(column, first))
        elif kind is ColumnKind.TEXT:
            parts.append(_words([v or "" for v in column.to_pylist()], first))
        elif kind in (ColumnKind.CATEGORY, ColumnKind.BOOLEAN):
            parts.append(_category(column, first))
    if not parts:
        return np.zeros((table.num_rows, 1), dtype=np.float32)
    return np.concatenate(parts, axis=1)


def _pixels(chunk: pa.ExtensionArray) -> npt.NDArray[np.float32]:
    pixels = chunk.to_numpy_ndarray()
    flat: npt.NDArray[np.float32] = pixels.reshape(len(pixels), -1).astype(np.float32) / np.float32(255)
    return flat


def _number(column: pa.ChunkedArray, first: int) -> npt.NDArray[np.float32]:
    values = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False).astype(np.float64)
    known = np.isfinite(values)
    values = np.clip(values, -LARGEST, LARGEST)
    centre, scale = _scale(values[:first][known[:first]])
    scaled = np.where(known, (values - centre) / scale, 0.0)
    return np.column_stack([np.clip(scaled, -CLIP, CLIP), ~known]).astype(np.float32)


def _scale(values: FloatArray) -> tuple[float, float]:
    """Mean and standard deviation of values of which those far off are first drawn in to a fence.

    One value of 1e30, or a few of -999 for a gap, would else leave all others at one point, and a control that sees
    nothing lets every model pass. The fence stands nine times as far from the median as half of the values that differ
    from it: six deviations of a normal column, which it leaves as it is. Chosen by this, on no rows.
    """
    if not len(values):
        return 0.0, 1.0
    middle = float(np.median(values))
    away = np.abs(values - middle)
    reach = FENCE * float(np.median(away[away > 0])) if away.any() else 0.0
    drawn = np.clip(values, middle - reach, middle + reach)
    return float(drawn.mean()), float(drawn.std()) or 1.0


def _vectors(column: pa.ChunkedArray, first: int) -> npt.NDArray[np.float32]:
    rows = np.asarray(pc.list_flatten(column).to_numpy(), dtype=np.float32).reshape(len(column), -1)
    length = float(np.linalg.norm(rows[:first], axis=1).mean()) if len(rows[:first]) else 0.0
    return np.asarray(rows / np.float32(length or 1.0))


def _words(texts: Sequence[str], first: int) -> npt.NDArray[np.float32]:
    counts = np.zeros((len(texts), WORDS), dtype=np.float32)
    for row, text in enumerate(texts):
        for word in text.lower().split():
            counts[row, zlib.crc32(word.encode()) % WORDS] += 1
    rarity = np.log((1 + first) / (1 + (counts[:first] > 0).sum(axis=0))).astype(np.float32) + np.float32(1)
    weighed = np.log1p(counts) * rarity
    lengths = np.maximum(np.linalg.norm(weighed, axis=1, keepdims=True), np.float32(1e-12))
    return np.asarray(weighed / lengths)


def _category(column: pa.ChunkedArray, first: int) -> npt.NDArray[np.float32]:
    texts = np.array(["" if v is None else str(v) for v in column.to_pylist()])
    values, counts = np.unique(texts[:first], return_counts=True)
    common = values[np.argsort(-counts, kind="stable")[:TOP]]
    return np.asarray(texts[:, None] == common[None, :], dtype=np.float32)
