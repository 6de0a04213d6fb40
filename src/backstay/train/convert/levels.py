"""Rows of which scikit-learn itself does not say what it answers: the last neighbour that counts and the first that
does not are equally near. Which of them it takes hangs on the last digit of a sum, and changes with the number of rows
that are asked together; such rows are not compared."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from backstay.maths.arrays import FloatArray

_LEVEL = 1e-9
_NEIGHBOURS = ("KNeighborsClassifier", "KNeighborsRegressor")
Level = npt.NDArray[np.bool_]


def level(model: Any, given: Any) -> Level | None:
    """Where neighbours are level [n]; None for models that look for none."""
    found: Level | None = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for part, read in _parts(model, given):
            own = _of_imputer(part, read) if type(part).__name__ == "KNNImputer" else _of_model(part, read)
            if own is not None:
                found = own if found is None else found | own
    return found


def _parts(model: Any, given: Any) -> Iterator[tuple[Any, Any]]:
    """The parts that look for neighbours, each with what it reads: in pipelines, searches and by columns."""
    model = getattr(model, "best_estimator_", model)
    name = type(model).__name__
    if name == "KNNImputer" or name in _NEIGHBOURS:
        yield model, given
    elif name == "Pipeline" and _holds(model):
        for place, (_, step) in enumerate(model.steps):
            read = model[:place].transform(given) if place and _holds(step) else given
            yield from _parts(step, read)
    elif name == "ColumnTransformer" and _holds(model):
        for _, step, columns in model.transformers_:
            if _holds(step):
                yield from _parts(step, given[columns] if hasattr(given, "columns") else given[:, columns])


def _holds(model: Any) -> bool:
    """Whether something in it looks for neighbours; asked first, since all else need not be computed twice."""
    model = getattr(model, "best_estimator_", model)
    inner = [step for _, step in getattr(model, "steps", [])] + [t[1] for t in getattr(model, "transformers_", [])]
    return type(model).__name__ in ("KNNImputer", *_NEIGHBOURS) or any(_holds(step) for step in inner)


def _of_model(model: Any, given: Any) -> Level | None:
    if model.n_neighbors >= model.n_samples_fit_:
        return None
    far, _ = model.kneighbors(given, n_neighbors=model.n_neighbors + 1)
    return np.asarray(far[:, -1] - far[:, -2] <= _LEVEL * np.maximum(far[:, -1], np.finfo(np.float64).tiny))


def _of_imputer(model: Any, given: Any) -> Level:
    from sklearn.metrics.pairwise import nan_euclidean_distances

    x = np.asarray(given, dtype=np.float64)
    far = np.nan_to_num(nan_euclidean_distances(x, model._fit_X, squared=True), nan=np.inf)
    # Distances are made of squares, and are no truer than the last digit of these.
    least = _LEVEL * (np.nansum(x**2, axis=1) + np.nanmax(np.nansum(model._fit_X**2, axis=1)))
    found: Level = np.zeros(len(x), dtype=np.bool_)
    for place in range(x.shape[1]):
        ordered: FloatArray = np.sort(far[:, ~model._mask_fit_X[:, place]], axis=1)
        count = model.n_neighbors
        if ordered.shape[1] <= count:
            continue
        with np.errstate(invalid="ignore"):
            close = ordered[:, count] - ordered[:, count - 1] <= least
        if model.weights == "distance":
            close |= ordered[:, 0] <= least
        found |= np.isnan(x[:, place]) & close
    return found
