"""Where rows lie in a model's space, on two axes: the live one's reference beside the newest traffic."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from backstay.kernel.errors import BackstayError
from backstay.kernel.ids import fraction
from backstay.kernel.records import ModelRecord, Release
from backstay.loop.label import live_rows
from backstay.loop.lookup import window_results
from backstay.loop.reference import reference_of
from backstay.loop.window_rows import window_data
from backstay.loop.workspace import Workspace
from backstay.maths.projection import principal_plane
from backstay.render.space_map import SpaceMap

MOST = 1500
MOST_LIVE = 300
LEAST = 20
TSNE_SEED = 0
Method = Literal["pca", "tsne"]


def space_map(ws: Workspace, release: Release, method: Method = "pca") -> SpaceMap | None:
    """The picture's places; None for a model without embeddings, or too few rows.

    Reference rows and traffic are drawn by a hash of their place or id, so that the picture is the same each time.

    Args:
        method: "pca" keeps distances as well as a plane can; "tsne" keeps neighbours together and distances not at
            all (van der Maaten & Hinton 2008).
    """
    if release.reference_id is None:
        return None
    reference = reference_of(ws, release)
    if reference.representation is None or len(reference.representation) < LEAST:
        return None
    old = _drawn([str(i) for i in range(len(reference.representation))], MOST)
    known = reference.representation[old]
    return _map(known, reference.predicted[old], _newest(ws, release, known.shape[1]), method)


def space_of_model(ws: Workspace, record: ModelRecord, data_id: str, method: Method = "pca") -> SpaceMap | None:
    """The same of a model that need not be live: it is asked anew about rows of a data version."""
    if record.bundle is None:
        return None
    table, _ = ws.rows_of(data_id)
    outputs = ws.load_model(record).predict(table.take(_drawn([str(i) for i in range(table.num_rows)], MOST)))
    if outputs.embeddings is None or len(outputs.embeddings) < LEAST:
        return None
    known = outputs.embeddings.astype(np.float64)
    return _map(known, outputs.labels, np.zeros((0, known.shape[1])), method)


def _map(
    known: npt.NDArray[np.floating[Any]], answers: npt.NDArray[Any], new: npt.NDArray[np.floating[Any]], method: Method
) -> SpaceMap:
    classes = tuple(str(name) for name in answers)
    if method == "tsne":
        places = _neighbour_places(np.concatenate([known, new]))
        axes = ("t-SNE, first axis", "t-SNE, second axis")
        caption = (
            "t-SNE keeps neighbours together; how far apart groups lie, and how large they are, means nothing here."
        )
        return SpaceMap(places[: len(known)], classes, places[len(known) :], axes, caption)
    plane = principal_plane(known)
    first, second = (f"{share:.0%}" for share in plane.shares)
    axes = (f"first principal axis ({first} of the spread)", f"second ({second})")
    rings = "; rings are rows of the newest window" if len(new) else ""
    caption = (
        f"The two axes hold {sum(plane.shares):.0%} of the spread of the reference rows: what lies together here may "
        f"lie apart along the others. Colours are the model's answers{rings}."
    )
    placed = plane.place(new) if len(new) else np.zeros((0, 2))
    return SpaceMap(plane.place(known), classes, placed, axes, caption)


def _newest(ws: Workspace, release: Release, width: int) -> npt.NDArray[np.float64]:
    """Rows of the newest window of this release, as the detectors take them."""
    history = window_results(ws, release.id)
    nothing = np.zeros((0, width))
    if not history:
        return nothing
    rows = live_rows(ws, release=release.id, since=history[-1].start).between(history[-1].start, history[-1].end)
    if not len(rows):
        return nothing
    rows = rows.take(_drawn([str(i) for i in rows.ids], MOST_LIVE))
    _, schema = ws.rows_of(str(release.reference_id))
    found = window_data(rows, history[-1].start, history[-1].end, schema, ()).representation
    return nothing if found is None else found[np.isfinite(found).all(axis=1)].astype(np.float64)


def _drawn(keys: list[str], most: int) -> npt.NDArray[np.int64]:
    order = np.argsort([fraction(key, "space") for key in keys], kind="stable")
    return np.sort(order[:most]).astype(np.int64)


def _neighbour_places(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    try:
        from sklearn.manifold import TSNE
    except ModuleNotFoundError as error:
        raise BackstayError(
            "a t-SNE picture needs scikit-learn, which is not installed",
            fix="install it with `pip install 'backstay[learn]'`, or draw with --space pca",
        ) from error
    perplexity = min(30.0, (len(rows) - 1) / 3)
    return np.asarray(TSNE(perplexity=perplexity, init="pca", random_state=TSNE_SEED).fit_transform(rows), np.float64)
