"""What a client says of predictions: one JSON object or a list of them, all taken or none."""

from __future__ import annotations

import msgspec
import numpy as np

from backstay.bundle.numbers import parsed
from backstay.bundle.sets import labels_in, set_text
from backstay.journal.entries import FOUND, Feedback
from backstay.kernel.errors import BackstayError
from backstay.serve.problems import Problem
from backstay.serve.protocol import MOST_ID

MOST_FEEDBACK = 10_000
MOST_VALUE = 1024
MOST_SECONDS = 30 * 86_400
FEEDBACK_KINDS = ("label", "rating", "override", "seeded", "click", "conversion", "dwell", FOUND)


class FeedbackItem(msgspec.Struct):
    """What a client says of a prediction. A list is a set of labels."""

    id: str
    value: str | int | float | bool | list[str]
    kind: str = "label"
    seconds: float | None = None


_feedback = msgspec.json.Decoder(list[FeedbackItem])


def feedback_entries(
    body: bytes, model: str, environment: str, *, source: str, at: int, task: str = "classification"
) -> list[Feedback]:
    """The entries of a request's body. Raises Problem.

    Args:
        source: who says so. at: when, in microseconds since 1970. task: of the model, which says what a label is.
    """
    try:
        items = _feedback.decode(body if body.lstrip()[:1] == b"[" else b"[" + body + b"]")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(400, f"the body is not feedback: {error}", 'send {"id": ..., "value": ...} or a list') from error
    if not 0 < len(items) <= MOST_FEEDBACK:
        raise Problem(413 if items else 400, f"{len(items)} entries, 1 to {MOST_FEEDBACK} are taken at a time")
    return [entry_of(item, (model, environment), source, at, task) for item in items]


def entry_of(item: FeedbackItem, scope: tuple[str, str], source: str, at: int, task: str) -> Feedback:
    """One item as it is logged. Raises Problem for what nothing could be learned from."""
    if item.kind not in FEEDBACK_KINDS:
        raise Problem(400, f"{item.kind[:50]!r} is not a kind of feedback", f"known: {', '.join(FEEDBACK_KINDS)}")
    value = _label(item, task) if item.kind == "label" else _text(item.value)
    if not 0 < len(item.id) <= MOST_ID or not 0 < len(value) <= MOST_VALUE:
        raise Problem(400, "an id or a value is empty or too long", f"up to {MOST_ID} and {MOST_VALUE} characters")
    seconds = 0.0 if item.seconds is None else item.seconds
    if not 0.0 <= seconds <= MOST_SECONDS:
        raise Problem(400, f"a decision of {seconds:g} seconds", f"give seconds between 0 and {MOST_SECONDS}")
    return Feedback(*scope, item.id, value, source, at, item.kind, seconds)


def _label(item: FeedbackItem, task: str) -> str:
    """A label as answers of this task are written. What nothing could be learned from is refused, not stored."""
    whose = f"the label of {item.id[:100]!r}"
    if task == "multilabel":
        try:
            return set_text(labels_in(item.value))
        except BackstayError as error:
            raise Problem(400, f"{whose} is no set of labels: {error.what}", error.fix) from error
    if isinstance(item.value, list):
        raise Problem(400, f"{whose} is a list, and this model gives one answer a row", "send the one true value")
    value = _text(item.value)
    if task == "regression" and np.isnan(parsed([value])[0]):
        raise Problem(400, f"{whose} is {value[:50]!r}, which is no number", "send the true value as a number")
    return value


def _text(value: str | int | float | bool | list[str]) -> str:
    if isinstance(value, list):
        return set_text(value)
    return str(value).lower() if isinstance(value, bool) else str(value)
