"""Predictions that were made elsewhere and are only logged here: POST /v2/models/M/predictions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime

import msgspec
import numpy as np

from backstay.journal.entries import Predictions, tensor
from backstay.journal.skew import AHEAD
from backstay.kernel.clock import parse_time
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Release
from backstay.serve.problems import Problem
from backstay.serve.protocol import MOST_ID

MOST_AT_ONCE = 10_000
MOST_MILLISECONDS = 30 * 86_400_000


class OutsidePrediction(msgspec.Struct, forbid_unknown_fields=True):
    """One answer of a model that lives elsewhere.

    `scores` are probabilities by class; `time` is ISO 8601 with a zone, now when it is left out; `latency_ms` is how
    many milliseconds the answer took.
    """

    id: str
    prediction: str | int | bool
    scores: dict[str, float] | None = None
    embedding: list[float] | None = None
    group: str | None = None
    time: str | None = None
    latency_ms: float | None = None


_decoder = msgspec.json.Decoder(list[OutsidePrediction])


def outside_entries(
    body: bytes, release: Release, classes: Sequence[str], *, model: str, environment: str, now: datetime
) -> list[Predictions]:
    """Log entries of a request body: one object or a list. Raises Problem, and then nothing is to be logged."""
    try:
        items = _decoder.decode(body if body.lstrip()[:1] == b"[" else b"[" + body + b"]")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(
            400, f"the body is not predictions: {error}", 'send {"id": ..., "prediction": ...} or a list'
        ) from error
    if not 0 < len(items) <= MOST_AT_ONCE:
        raise Problem(413 if items else 400, f"{len(items)} predictions, 1 to {MOST_AT_ONCE} are taken at a time")
    if len({item.id for item in items}) < len(items):
        raise Problem(400, "an id comes more than once", "give each prediction an id of its own")
    return [_entry(item, release, tuple(classes), model, environment, now) for item in items]


def _entry(
    item: OutsidePrediction, release: Release, classes: tuple[str, ...], model: str, environment: str, now: datetime
) -> Predictions:
    if not 0 < len(item.id) <= MOST_ID:
        raise Problem(400, f"an id has {len(item.id)} characters", f"give 1 to {MOST_ID}")
    label = str(item.prediction).lower() if isinstance(item.prediction, bool) else str(item.prediction)
    if classes and label not in classes:
        raise Problem(400, f"{item.id!r} predicts {label[:100]!r}", f"the classes are {', '.join(classes[:20])}")
    try:
        at = now if item.time is None else parse_time(item.time)
    except BackstayError as error:
        raise Problem(400, f"{item.id!r}: {error.what}", error.fix) from error
    if at > now + AHEAD:
        raise Problem(400, f"{item.id!r} is dated more than a day ahead of now, {now:%Y-%m-%d %H:%M} UTC", "correct it")
    return Predictions(
        model=model,
        environment=environment,
        release=release.id,
        model_id=release.model_id,
        at=int(at.timestamp() * 1_000_000),
        ids=[item.id],
        labels=[label],
        scores=None if item.scores is None else tensor(_scores(item, classes), "FP32"),
        embeddings=None if item.embedding is None else tensor(_embedding(item), "FP32"),
        groups=None if item.group is None else [item.group],
        waited=_waited(item),
    )


def _scores(item: OutsidePrediction, classes: tuple[str, ...]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    given = item.scores or {}
    if set(given) != set(classes) or not all(0.0 <= p <= 1.0 for p in given.values()):
        raise Problem(
            400, f"the scores of {item.id!r} are not one probability a class", f"give {', '.join(classes[:20])}"
        )
    return np.array([[given[c] for c in classes]], dtype=np.float32)


def _embedding(item: OutsidePrediction) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    values = item.embedding or []
    if not values or not all(math.isfinite(v) for v in values):
        raise Problem(400, f"the embedding of {item.id!r} is empty or not finite", "give finite numbers")
    return np.array([values], dtype=np.float32)


def _waited(item: OutsidePrediction) -> int:
    """Microseconds, at least one: 0 means that nobody knows."""
    if item.latency_ms is None:
        return 0
    if not 0.0 <= item.latency_ms <= MOST_MILLISECONDS:
        raise Problem(
            400,
            f"the answer of {item.id!r} took {item.latency_ms:g} milliseconds",
            f"give latency_ms as 0 to {MOST_MILLISECONDS:,}, or leave it out",
        )
    return max(round(item.latency_ms * 1000.0), 1)
