"""Figures of the embeddings: do rows of one class lie together?"""

from __future__ import annotations

import numpy as np

from backstay.evaluate.case import Case
from backstay.evaluate.metrics import Figure
from backstay.maths.partition import drawn
from backstay.maths.partition import silhouette as silhouettes
from backstay.maths.retrieval import retrieval

NAN = float("nan")


def recall_at_1(case: Case) -> Figure:
    """Share of rows whose nearest other row (of another group) has their class, in [0, 1]. A tie counts as a miss."""
    return _figure(case, first=True)


def map_at_r(case: Case) -> Figure:
    """Mean average precision at R, R being the number of other rows of the query's class, in [0, 1]."""
    return _figure(case, first=False)


def silhouette(case: Case) -> Figure:
    """How much nearer rows lie to their own class than to the next one, by their embeddings, in [-1, 1]; mean.

    (b - a) / max(a, b) of each row: a is the mean distance to its class, b the least mean distance to another one. 0
    says that classes overlap, below 0 that rows lie nearer to another class. Of more than 4,000 rows a drawn part is
    measured.
    """
    if case.embeddings is None or not np.isfinite(case.embeddings).all():
        return Figure(NAN, 0)
    known = np.flatnonzero(case.labels >= 0)
    if len(np.unique(case.labels[known])) < 2:
        return Figure(NAN, 0)
    chosen = known[drawn(len(known), seed=0)]
    rows = silhouettes(case.embeddings[chosen], case.labels[chosen])
    groups = None if case.groups is None else case.groups[chosen]
    return Figure(float(rows.mean()), len(rows), rows=rows, groups=groups, limits=(-1.0, 1.0))


def _figure(case: Case, *, first: bool) -> Figure:
    if case.embeddings is None or not np.isfinite(case.embeddings).all():
        return Figure(NAN, 0)
    known = np.flatnonzero(case.labels >= 0)
    groups = None if case.groups is None else case.groups[known]
    found = retrieval(case.embeddings[known], case.labels[known], groups=groups)
    rows = found.hit if first else found.precision
    if len(rows) == 0:
        return Figure(NAN, 0)
    asked = None if groups is None else groups[found.queries]
    return Figure(float(rows.mean()), len(rows), rows=rows, groups=asked, binary=first, limits=(0.0, 1.0))
