"""How often a search finds what it should: hit@1 and hit@10 by the scores of result lists, and by judged searches."""

from __future__ import annotations

import numpy as np

from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Estimate, Interval
from backstay.maths.arrays import FloatArray, IntArray
from backstay.maths.intervals import bernoulli_sequence, proportion
from backstay.maths.labelfree import LabelFree
from backstay.maths.labelfree_losses import Described, estimate_loss
from backstay.monitor.label_free import seeded
from backstay.monitor.traffic import Searches, WindowData

DEPTHS = (1, 10)
DRAWS = 60
LEAST_JUDGED = 20
LEAST_OF_A_KIND = 10
CONTRADICTION_LEVEL = 0.99
METHOD = "weighted logistic on result scores, bootstrap"
ASSUMPTION = "valid only if a result list with these scores is as often right as on the reference"
JUDGED = "the searches that somebody judged are like those that nobody did; nobody drew them"


def search_estimates(window: WindowData) -> tuple[Estimate, ...]:
    """For each depth what labels say, where enough searches were judged, and what scores say; none without searches."""
    searches = window.searches
    if searches is None:
        return ()
    found: list[Estimate] = []
    for depth in DEPTHS:
        judged = _judged(searches, depth)
        free = _without_labels(window, searches, depth, judged)
        found += [free] if judged is None else [judged, free]
    return tuple(found)


def _hits(places: IntArray, depth: int) -> FloatArray:
    return np.asarray((places >= 1) & (places <= depth), dtype=np.float64)


def _judged(searches: Searches, depth: int) -> Estimate | None:
    hits = _hits(searches.judged, depth)
    if len(hits) < LEAST_JUDGED:
        return None
    low, high = proportion(hits)
    wide, always = proportion(hits, level=CONTRADICTION_LEVEL), bernoulli_sequence(float(hits.sum()), len(hits))
    return Estimate(
        kind="labels",
        metric=f"hit_at_{depth}",
        value=float(hits.mean()),
        interval=Interval(low, high, 0.95, "exact"),
        n=len(searches.described),
        assumption=JUDGED,
        labels=len(hits),
        figures={
            "gallery": searches.gallery,
            "low_99": wide.low,
            "high_99": wide.high,
            "anytime_low": always.low,
            "anytime_high": always.high,
        },
    )


def _without_labels(window: WindowData, searches: Searches, depth: int, judged: Estimate | None) -> Estimate:
    hits = _hits(searches.places, depth)
    reasons = _rare(hits, depth)
    found: LabelFree | None = None
    if not reasons:
        try:
            found = _estimate(window, searches, hits, depth)
            reasons = (*found.reasons, *_contradicted(found, judged, depth))
        except BackstayError as error:
            reasons = (str(error),)
    given = found is not None and not reasons
    value = found.estimate if found is not None and given else None
    limits = None
    if found is not None and value is not None and found.low is not None and found.high is not None:
        limits = Interval(found.low, found.high, 0.95, METHOD)
    return Estimate(
        kind="label-free",
        metric=f"hit_at_{depth}",
        value=value,
        interval=limits,
        n=len(searches.described),
        assumption=ASSUMPTION,
        refusals=reasons,
        figures={
            "gallery": searches.gallery,
            "reference_queries": len(hits),
            "on_reference": float(hits.mean()) if len(hits) else None,
            "ess_ratio": None if found is None else found.ess_ratio,
            "outlier_share": None if found is None else found.outlier_share,
            "withheld": None if found is None else found.estimate,
        },
    )


def _estimate(window: WindowData, searches: Searches, hits: FloatArray, depth: int) -> LabelFree:
    return estimate_loss(
        Described(searches.known, searches.known, searches.groups),
        hits,
        Described(searches.described, searches.described),
        rng=seeded(f"hit@{depth} {searches.gallery} {window.start.isoformat()}"),
        draws=DRAWS,
    )


def _rare(hits: FloatArray, depth: int) -> tuple[str, ...]:
    """Too few right or wrong answers to learn from what scores tell them apart."""
    fewest = int(min(hits.sum(), len(hits) - hits.sum()))
    if fewest >= LEAST_OF_A_KIND:
        return ()
    return (
        f"of {len(hits)} reference queries {fewest} did, or did not, find their label within {depth}: at least "
        f"{LEAST_OF_A_KIND} of either kind are needed",
    )


def _contradicted(found: LabelFree, judged: Estimate | None, depth: int) -> tuple[str, ...]:
    if judged is None or found.estimate is None:
        return ()
    low, high = (float(judged.figures[name]) for name in ("low_99", "high_99"))
    if low <= found.estimate <= high:
        return ()
    return (
        f"judged searches put hit@{depth} between {low:.1%} and {high:.1%} where result scores promise "
        f"{found.estimate:.1%}: being right no longer goes with the scores as it did",
    )
