"""Rows put into clusters by where a model embeds them, or by vectors that the rows hold."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from backstay.kernel.codec import encode
from backstay.kernel.errors import BackstayError, nearest
from backstay.loop.cluster_folder import DISTANCES, Kept, check_place, read, write
from backstay.loop.cluster_parts import AgainstLabels, Part, against_labels, parts
from backstay.loop.cluster_rows import Embedded, embedded, of_column
from backstay.loop.workspace import Workspace
from backstay.maths.arrays import FloatArray
from backstay.maths.cosine import unit_rows
from backstay.maths.k_means import assign, choose, fit, steadiness
from backstay.maths.partition import silhouette

FAINT = 0.25
"""A mean silhouette below it is no structure worth the name (Kaufman & Rousseeuw 1990)."""
UNSTEADY = 0.5


@dataclass(frozen=True)
class Clustered:
    """Clusters of rows.

    Args:
        model: that embedded the rows; None where they hold the vectors themselves. space: of the centres.
        distance: "cosine" (rows at length 1) or "euclidean". source: the rows.
        chosen: who said how many: "asked", "silhouette", or "kept" where the centres are those of a folder.
        silhouettes: mean silhouette of each number of clusters that was tried.
        silhouette: mean over (at most 4,000 of) these rows, in [-1, 1]; None where one cluster holds them all.
        steadiness: mean adjusted Rand index between fits to two random halves; None where the centres are kept ones, or
            the rows are too few.
        against: how the clusters lie to the labels, where there are labels.
        notes: what these figures do not say.
        table: id, cluster and distance of every row; not part of the JSON.
    """

    model: str | None
    space: str
    distance: str
    source: str
    rows: int
    dimension: int
    clusters: int
    chosen: str
    seed: int
    silhouettes: dict[str, float]
    silhouette: float | None
    steadiness: float | None
    parts: tuple[Part, ...]
    against: AgainstLabels | None
    sentence: str
    notes: tuple[str, ...]
    output: str | None = None
    table: pa.Table = field(repr=False, compare=False, default=None)


def cluster(
    ws: Workspace,
    rows: Any = None,
    *,
    clusters: int | None = None,
    output: Path | None = None,
    by: Path | None = None,
    candidate: str | None = None,
    vectors: str | None = None,
    distance: str | None = None,
    seed: int = 0,
) -> Clustered:
    """Put rows into clusters by k-means, or into those of a folder.

    Args:
        rows: a file or frame; None takes the rows that the model's data hold (with `vectors`, the project's rows).
        clusters: how many; None takes the number of 2 to 30 with the largest mean silhouette.
        output: a folder for rows, centres and figures, which is not there yet.
        by: a folder that this wrote: its centres are kept, and nothing is fitted.
        candidate: the id of a model that embeds the rows, or its beginning; None takes the live one.
        vectors: a column of vectors that is clustered itself, with no model.
        distance: "cosine" (the default: only directions count, as in `search`) or "euclidean".

    Raises:
        BackstayError: no embeddings, one that is not finite, more clusters than rows, or centres of another space.
    """
    if output is not None:
        check_place(Path(output))
    _refuse_both(clusters, by, candidate, vectors, distance)
    kept = None if by is None else read(Path(by))
    found = of_column(ws, rows, vectors) if vectors is not None else embedded(ws, rows, candidate)
    if not len(found.vectors):
        raise BackstayError("there is no row to put into a cluster", fix="give rows")
    metric = kept.distance if kept is not None else distance or DISTANCES[0]
    if kept is not None:
        _refuse_other_space(kept, found, Path(str(by)))
    points = _points(found.vectors, metric)
    silhouettes: dict[str, float] = {}
    chosen = "kept" if kept is not None else "asked" if clusters is not None else "silhouette"
    if kept is not None:
        centres = kept.centres
    else:
        if clusters is None:
            choice = choose(points, seed=seed)
            clusters, silhouettes = choice.count, {str(k): v for k, v in choice.silhouettes.items()}
        centres = fit(points, clusters, seed=seed)
    cells, far = assign(points, centres)
    steady = None if kept is not None or len(centres) < 2 else _known(
        steadiness(points, len(centres), seed=seed, groups=found.groups)
    )  # fmt: skip
    inside = float(silhouette(points, cells).mean()) if len(np.unique(cells)) > 1 else None
    described = parts(
        cells, far, found.ids, len(centres),
        limits=None if kept is None else kept.limits, labels=found.labels, task=found.task,
    )  # fmt: skip
    against = against_labels(cells, found.labels, found.task)
    table = pa.table({"id": pa.array([str(i) for i in found.ids]), "cluster": cells, "distance": far})
    answer = Clustered(
        model=found.model,
        space=found.space,
        distance=metric,
        source=found.source,
        rows=len(cells),
        dimension=points.shape[1],
        clusters=len(centres),
        chosen=chosen,
        seed=seed,
        silhouettes=silhouettes,
        silhouette=inside,
        steadiness=steady,
        parts=described,
        against=against,
        sentence=_sentence(described, inside, steady, chosen),
        notes=_notes(inside, steady, against if found.learned else None, described, chosen),
        output=None if output is None else str(output),
        table=table,
    )
    if output is not None:
        about = {k: v for k, v in encode(replace(answer, table=None)).items() if k not in ("table", "output")}
        write(Path(output), about, centres, table)
        with ws.ledger.transaction() as tx:
            body = {"rows": len(cells), "source": found.source, "space": found.space, "clusters": len(centres)}
            tx.append("clusters", {**ws.scope, **body, "chosen": chosen, "said": answer.sentence}, actor=ws.actor)
    return answer


def _refuse_both(
    clusters: int | None, by: Path | None, candidate: str | None, vectors: str | None, distance: str | None
) -> None:
    if by is not None and (clusters is not None or distance is not None):
        raise BackstayError(
            "the kept centres say how many clusters there are and how far is measured", fix="leave out one"
        )
    if vectors is not None and candidate is not None:
        raise BackstayError("a column of vectors needs no model", fix="name the column or the model, not both")
    if distance is not None and distance not in DISTANCES:
        raise BackstayError(f"{distance!r} is no distance", fix=nearest(distance, DISTANCES))


def _refuse_other_space(kept: Kept, found: Embedded, folder: Path) -> None:
    if kept.space != found.space or kept.centres.shape[1] != found.vectors.shape[1]:
        raise BackstayError(
            f"the centres of {folder} are of the space {kept.space}, these rows lie in {found.space}: they cannot be "
            "compared",
            fix="name the model that embedded them with --candidate, or cluster anew",
        )


def _points(vectors: FloatArray, distance: str) -> FloatArray:
    """Rows as they are compared: at length 1 by cosine, of which Euclidean distance orders as cosine does."""
    return unit_rows(vectors, "row").astype(np.float64) if distance == "cosine" else vectors


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _sentence(described: tuple[Part, ...], inside: float | None, steady: float | None, chosen: str) -> str:
    rows = sum(part.rows for part in described)
    largest = max(described, key=lambda part: part.rows)
    how = {"asked": "asked for", "silhouette": "chosen by silhouette", "kept": "kept ones"}[chosen]
    words = [
        f"{len(described)} clusters ({how}) of {rows} rows, the largest with {largest.share:.0%} of them",
        "all rows in one" if inside is None else f"silhouette {inside:.2f}",
    ]
    if steady is not None:
        words.append(f"the same in two halves of the rows: {steady:.2f} (1 the same, 0 chance)")
    return "; ".join(words) + "."


def _notes(
    inside: float | None, steady: float | None, taught: AgainstLabels | None, described: tuple[Part, ...], chosen: str
) -> tuple[str, ...]:
    notes = []
    if inside is not None and inside < FAINT:
        notes.append(
            f"a silhouette below {FAINT:g}: rows of different clusters lie hardly further apart than like rows"
        )
    if steady is not None and steady < UNSTEADY:
        notes.append(f"steadiness below {UNSTEADY:g}: another sample of rows would be cut elsewhere")
    if taught is not None:
        notes.append("the model learned from most of these rows and their labels: figures against labels flatter it")
    beyond = sum(part.beyond for part in described)
    rows = sum(part.rows for part in described)
    if chosen == "kept" and beyond > 0:
        notes.append(
            f"{beyond} of {rows} rows lie farther from their centre than 99% of the rows that it was fitted to"
        )
    return tuple(notes)
