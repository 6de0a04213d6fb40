"""Answers to labels: checked against what was predicted, each with its source and its one use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Label, LabelRequest
from backstay.labels.trust import REVIEW, is_trusted, use_of
from backstay.settings import LabelSettings

SHOWN = 5
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Given = tuple[str, str, datetime]


class Posted(Protocol):
    """Feedback as it lies in the log; `at` is when it came, in microseconds since 1970, UTC."""

    @property
    def prediction_id(self) -> str: ...
    @property
    def value(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def at(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Sorted:
    """Feedback by source, and how much of it was left in the log and why.

    Args:
        by_source: (prediction id, value, time) that `labels_from` takes; sources and ids in order.
        unknown: for ids that were never logged. empty: without a value. contradicted: the same source had said
            something else of the same row before.
    """

    by_source: dict[str, list[Given]]
    unknown: int
    empty: int
    contradicted: int


def sort_feedback(posted: Iterable[Posted], logged: Mapping[str, object]) -> Sorted:
    """What strangers posted, made fit for `labels_from`. Never raises: nobody can stop the intake by posting nonsense.

    Of a source that says two things of one row the first one stands, here as in the store.

    Args:
        logged: has every prediction id that was logged.
    """
    first: dict[tuple[str, str], Given] = {}
    unknown = empty = contradicted = 0
    for item in sorted(posted, key=lambda p: (p.source, p.prediction_id, p.at, p.value)):
        if item.prediction_id not in logged:
            unknown += 1
        elif not item.value:
            empty += 1
        else:
            at = EPOCH + timedelta(microseconds=item.at)
            kept = first.setdefault((item.source, item.prediction_id), (item.prediction_id, item.value, at))
            contradicted += kept[1] != item.value
    by_source: dict[str, list[Given]] = {}
    for (source, _), given in first.items():
        by_source.setdefault(source, []).append(given)
    return Sorted(by_source, unknown, empty, contradicted)


def labels_from(
    given: Sequence[Given],
    *,
    groups: Mapping[str, str | None],
    requests: Mapping[str, LabelRequest],
    source: str,
    settings: LabelSettings,
    model: str,
    environment: str,
) -> list[Label]:
    """Labels for (prediction id, value, time), in the order given: all of them, or an error and none.

    Args:
        groups: group by prediction id, of every prediction that was logged; an id that is not here is unknown.
        requests: open requests by prediction id: they say what a row was drawn for, and with which chance. They
            count for trusted sources only, so that nobody can slip an answer into the standing sample.

    Raises:
        BackstayError: ids that were never logged, an id twice with different values, or an empty value.
    """
    unknown = [i for i, _, _ in given if i not in groups]
    if unknown:
        raise BackstayError(
            f"{len(unknown)} of {len(given)} labels are for ids that were never logged or left the log "
            f"({', '.join(map(repr, unknown[:SHOWN]))}); nothing was added",
            fix="log the predictions first, or leave these rows out",
        )
    trusted = is_trusted(source, settings)
    seen: dict[str, str] = {}
    labels: list[Label] = []
    for prediction_id, value, at in given:
        if not value:
            raise BackstayError(
                f"the label of {prediction_id!r} is empty; nothing was added", fix="fill it in or leave the row out"
            )
        if seen.setdefault(prediction_id, value) != value:
            raise BackstayError(
                f"{prediction_id!r} is labelled {seen[prediction_id]!r} and {value!r}; nothing was added",
                fix="give each row one label",
            )
        request = requests.get(prediction_id) if trusted else None
        group = groups[prediction_id]
        labels.append(
            Label(
                prediction_id=prediction_id,
                value=value,
                source=source,
                trusted=trusted,
                adjudicated=trusted and source == REVIEW,
                use=use_of(group or prediction_id, None if request is None else request.purpose, source, settings),
                at=at,
                model=model,
                environment=environment,
                group=group,
                probability=None if request is None else request.probability,
                request_id=None if request is None else request.id,
                draw=None if request is None else request.draw,
                stratum=None if request is None else request.stratum,
            )
        )
    return labels
