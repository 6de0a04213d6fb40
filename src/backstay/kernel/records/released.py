"""Models, what made them live, and the chain of what happened."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from backstay.kernel.records.json_value import Json


class Task(StrEnum):
    """What a model answers: a class or a number; `predictions` is a classifier that lives elsewhere."""

    CLASSIFICATION = "classification"
    REGRESSION = "regression"
    MULTILABEL = "multilabel"
    PREDICTIONS = "predictions"


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """A model that the project knows. `bundle` is the blob id of its bundle, None for predictions only."""

    id: str
    model: str
    task: Task
    origin: str
    created_at: datetime
    bundle: str | None = None
    data_id: str | None = None
    reference_id: str | None = None
    parent: str | None = None
    classes: tuple[str, ...] = ()
    recipe: Json = field(default_factory=dict)
    figures: Json = field(default_factory=dict)


class ReleaseKind(StrEnum):
    """How a release became live."""

    ADOPTED = "adopted"
    PROMOTED = "promoted"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True)
class Release:
    """What made a model live. The newest release of a model and environment is its champion."""

    id: str
    sequence: int
    model: str
    environment: str
    model_id: str
    kind: ReleaseKind
    measured: bool
    actor: str
    reason: str
    created_at: datetime
    reference_id: str | None = None
    verdict_id: str | None = None
    previous: str | None = None


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One link of the hash chain: `hash` covers every other field, `prev` is the hash of the row before."""

    seq: int
    at: datetime
    actor: str
    kind: str
    body: Json
    prev: str
    hash: str
    clock: str = "system"
