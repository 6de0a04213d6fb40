"""What an encoder of a table must beat besides neighbours: a linear model on the same columns, and nothing more."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from backstay.evaluate.controls import MOST_GALLERY, SEED
from backstay.kernel.records import ColumnKind, Schema
from backstay.maths.arrays import BoolArray, FloatArray, IntArray
from backstay.maths.softmax import SparseSoftmax

# Rows x columns x answers of one pass: some seconds of one core for all of them.
MOST_WORK = 200_000_000
LEAST_ROWS = 1000
_TABLE = (ColumnKind.NUMBER, ColumnKind.INTEGER, ColumnKind.CATEGORY, ColumnKind.BOOLEAN)
_WHOLE = (ColumnKind.IMAGE, ColumnKind.TEXT, ColumnKind.VECTOR)


def of_a_table(schema: Schema) -> bool:
    """Whether the features are numbers and categories: of images, texts and vectors a line through raw values says
    little, or has a control of its own."""
    kinds = {schema.column(name).kind for name in schema.features}
    return bool(kinds & set(_TABLE)) and not kinds & set(_WHOLE)


def raw_linear(
    gallery: npt.NDArray[np.float32],
    known: IntArray,
    queries: npt.NDArray[np.float32],
    *,
    classes: int,
) -> FloatArray:
    """Probabilities [m, classes] of a logistic regression on raw rows, as `evaluate.controls.raw_matrix` makes them.

    log loss summed over rows + |w|^2 / 2, offsets free: what scikit-learn's `LogisticRegression` minimises as it comes.
    The penalty is not chosen on any rows. 20,000 rows are learned from at most, fewer where columns and classes are
    many.

    Args:
        gallery: rows [n, d] of the classes `known` [n]; those of an unknown class (-1) teach nothing.
    """
    learned = _thinned(np.flatnonzero(known >= 0), gallery.shape[1] * classes)
    codes = known[learned]
    if len(np.unique(codes)) < 2:
        shares = np.bincount(codes, minlength=classes) + 1e-9
        return np.tile(shares / shares.sum(), (len(queries), 1))
    # Of two classes the difference of both weights counts, which is penalised half as much as one weight would be.
    ridge = (2.0 if classes == 2 else 1.0) / len(learned)
    model = SparseSoftmax.fit(_sparse(gallery[learned]), codes, classes, ridge)
    return model.predict_proba(_sparse(queries))


def raw_linear_values(
    gallery: npt.NDArray[np.float32], known: FloatArray, queries: npt.NDArray[np.float32]
) -> FloatArray:
    """Numbers [m] of a ridge regression on raw rows: (y - Xw)^2 summed over rows + |w|^2, the mean free.

    Args:
        gallery: rows [n, d] with the numbers `known` [n]; those that are not finite teach nothing.
    """
    learned = _thinned(np.flatnonzero(np.isfinite(known)), gallery.shape[1] * 10)
    rows, y = gallery[learned].astype(np.float64), known[learned]
    centre, mean = rows.mean(axis=0), float(y.mean())
    rows -= centre
    weights = np.linalg.solve(rows.T @ rows + np.eye(rows.shape[1]), rows.T @ (y - mean))
    return np.asarray((queries.astype(np.float64) - centre) @ weights + mean)


def raw_linear_sets(gallery: npt.NDArray[np.float32], known: BoolArray, queries: npt.NDArray[np.float32]) -> FloatArray:
    """The chance of each label [m, labels] by a logistic regression for each, as `raw_linear`.

    Args:
        gallery: rows [n, d] with the labels `known` [n, labels].
    """
    return np.column_stack([raw_linear(gallery, has.astype(np.int64), queries, classes=2)[:, 1] for has in known.T])


def _thinned(rows: IntArray, width: int) -> IntArray:
    most = min(MOST_GALLERY, max(LEAST_ROWS, MOST_WORK // max(width, 1)))
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(SEED).choice(rows, most, replace=False))


def _sparse(rows: npt.NDArray[np.float32]) -> sp.csr_array:
    return sp.csr_array(rows.astype(np.float64))
