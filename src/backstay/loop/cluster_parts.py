"""What is said of clusters: how large and wide each is, which rows stand for it, and how the labels lie in them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from backstay.bundle.numbers import parsed
from backstay.bundle.sets import labels_in
from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import FloatArray, IntArray
from backstay.maths.partition import adjusted_rand, normalised_mutual_information

EXAMPLES = 5
MOST_LABELS = 5
LIMIT = 0.99
MISSING = "missing"
Texts = npt.NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class Part:
    """One cluster.

    Args:
        cluster: its number, 0 the one with most of the rows that the centres were fitted to.
        share: of all rows. spread: mean distance of its rows to the centre; None where it has no row.
        limit: distance that 99% of its rows stayed within when the centres were fitted.
        beyond: rows farther away than that.
        nearest: ids of the rows nearest to the centre, nearest first.
        labels: share of its labelled rows that have each of the five commonest labels.
        mean, deviation: of the numbers that its rows have, where the target is a number.
    """

    cluster: int
    rows: int
    share: float
    spread: float | None
    limit: float | None
    beyond: int
    nearest: tuple[str, ...]
    labels: dict[str, float] = field(default_factory=dict)
    mean: float | None = None
    deviation: float | None = None


@dataclass(frozen=True, slots=True)
class AgainstLabels:
    """How the clusters lie to the labels, over the rows that have one.

    Args:
        purity: share of rows whose label is the commonest of their cluster; `commonest` is what one cluster would have.
        adjusted_rand: pairs of rows on which both agree, 0 by chance and 1 the same (Hubert & Arabie 1985).
        normalised_mutual_information: over the mean of the entropies, 0 to 1; it rises with the number of clusters.
        explained: of numbers, the share of their variance that lies between the clusters.
    """

    rows: int
    purity: float | None = None
    commonest: float | None = None
    adjusted_rand: float | None = None
    normalised_mutual_information: float | None = None
    explained: float | None = None


def parts(
    cells: IntArray,
    far: FloatArray,
    ids: Texts,
    count: int,
    *,
    limits: tuple[float | None, ...] | None,
    labels: Texts | None,
    task: str,
) -> tuple[Part, ...]:
    """Every cluster, by its number.

    Args:
        cells, far: cluster of each row [n], and distance to its centre.
        limits: of the fitted rows; None where these are the fitted rows.
        labels: of the rows, as text; None where they have none.
    """
    found = []
    for cell in range(count):
        rows = np.flatnonzero(cells == cell)
        order = rows[np.argsort(far[rows], kind="stable")]
        limit = limits[cell] if limits is not None else float(np.quantile(far[rows], LIMIT)) if len(rows) else None
        mix, mean, deviation = _labels_of(None if labels is None else labels[rows], task)
        found.append(
            Part(
                cluster=cell,
                rows=len(rows),
                share=len(rows) / len(cells),
                spread=float(far[rows].mean()) if len(rows) else None,
                limit=limit,
                beyond=0 if limit is None else int((far[rows] > limit).sum()),
                nearest=tuple(str(ids[row]) for row in order[:EXAMPLES]),
                labels=mix,
                mean=mean,
                deviation=deviation,
            )
        )
    return tuple(found)


def against_labels(cells: IntArray, labels: Texts | None, task: str) -> AgainstLabels | None:
    """Figures of the clusters against the labels; None where no row has one. Of sets of labels only their number."""
    known = np.zeros(0, dtype=bool) if labels is None else labels != MISSING
    if labels is None or not known.any():
        return None
    cells, labels = cells[known], labels[known]
    if task == "multilabel":
        return AgainstLabels(len(cells))
    if task == "regression":
        return AgainstLabels(len(cells), explained=_explained(cells, _numbers(labels)))
    names, codes = np.unique(labels.astype(str), return_inverse=True)
    table = np.zeros((int(cells.max()) + 1, len(names)))
    np.add.at(table, (cells, codes.reshape(-1)), 1.0)
    return AgainstLabels(
        rows=len(cells),
        purity=float(table.max(axis=1).sum() / len(cells)),
        commonest=float(table.sum(axis=0).max() / len(cells)),
        adjusted_rand=adjusted_rand(cells, codes.reshape(-1)),
        normalised_mutual_information=normalised_mutual_information(cells, codes.reshape(-1)),
    )


def _labels_of(labels: Texts | None, task: str) -> tuple[dict[str, float], float | None, float | None]:
    known = np.array([], dtype=object) if labels is None else labels[labels != MISSING]
    if not len(known):
        return {}, None, None
    if task == "regression":
        numbers = _numbers(known)
        return {}, float(numbers.mean()), float(numbers.std())
    each = [labels_in(text) if task == "multilabel" else (str(text),) for text in known]
    names, counts = np.unique([name for names in each for name in names] or [""], return_counts=True)
    order = np.argsort(-counts, kind="stable")[:MOST_LABELS]
    return {str(names[i]): float(counts[i] / len(known)) for i in order if names[i] != ""}, None, None


def _numbers(labels: Texts) -> FloatArray:
    numbers = parsed(labels)
    bad = np.flatnonzero(~np.isfinite(numbers))
    if len(bad):
        raise BackstayError(
            f"{len(bad)} labels are no numbers, first {labels[bad[0]]!r}", fix="leave them empty, or correct them"
        )
    return numbers


def _explained(cells: IntArray, numbers: FloatArray) -> float | None:
    total = float(np.square(numbers - numbers.mean()).sum())
    if not total > 0.0:
        return None
    sizes, sums = np.bincount(cells), np.bincount(cells, weights=numbers)
    means = sums / np.maximum(sizes, 1)
    return float((sizes * np.square(means - numbers.mean())).sum() / total)
