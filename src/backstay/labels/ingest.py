"""Answers to labels: checked against what was predicted, each with its source and its one use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Label, LabelRequest
from backstay.labels.trust import REVIEW, is_trusted, use_of
from backstay.settings import LabelSettings

SHOWN = 5


def labels_from(
    given: Sequence[tuple[str, str, datetime]],
    *,
    groups: Mapping[str, str | None],
    requests: Mapping[str, LabelRequest],
    source: str,
    settings: LabelSettings,
    model: str,
    environment: str,
) -> list[Label]:
    """Labels for (prediction id, value, time), in the order given.

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
            f"{len(unknown)} of {len(given)} labels are for ids that were never logged "
            f"({', '.join(map(repr, unknown[:SHOWN]))}); nothing was added",
            fix="log the predictions first, or leave these rows out",
        )
    trusted = is_trusted(source, settings)
    seen: dict[str, str] = {}
    labels: list[Label] = []
    for prediction_id, value, at in given:
        if not value:
            raise BackstayError(f"the label of {prediction_id!r} is empty", fix="fill it in or leave the row out")
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
                adjudicated=source == REVIEW,
                use=use_of(group or prediction_id, None if request is None else request.purpose, source, settings),
                at=at,
                model=model,
                environment=environment,
                group=group,
                probability=None if request is None else request.probability,
                request_id=None if request is None else request.id,
            )
        )
    return labels
