from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from backstay.journal.entries import Feedback
from backstay.kernel.codec import decode, encode
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Label, LabelRequest, LabelUse
from backstay.labels.ingest import labels_from, sort_feedback
from backstay.settings import LabelSettings

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
LOGGED = {f"p{i}": (f"g{i // 2}" if i < 4 else None) for i in range(8)}
REQUEST = LabelRequest("request-1", "p0", "m", "prod", "standing", 0.25, AT)


def take(given: list[tuple[str, str]], source: str = "review", settings: LabelSettings | None = None) -> list[Label]:
    return labels_from(
        [(i, v, AT) for i, v in given],
        groups=LOGGED,
        requests={"p0": REQUEST},
        source=source,
        settings=settings or LabelSettings(),
        model="m",
        environment="prod",
    )


def posted(prediction_id: str, value: str, source: str = "key:a", minute: int = 0) -> Feedback:
    at = int((AT + timedelta(minutes=minute)).timestamp() * 1e6)
    return Feedback("m", "prod", prediction_id, value, source, at)


def test_an_answer_to_a_request_carries_its_chance_and_its_purpose() -> None:
    answer, other = take([("p0", "a"), ("p5", "b")])
    assert (answer.use, answer.probability, answer.request_id, answer.group) == (
        LabelUse.STANDING,
        0.25,
        "request-1",
        "g0",
    )
    assert (answer.trusted, answer.adjudicated, answer.source) == (True, True, "review")
    assert (other.probability, other.request_id, other.group) == (None, None, None)
    assert other.use in (LabelUse.TRAIN, LabelUse.GATE)


def test_a_stranger_cannot_answer_a_request() -> None:
    (label,) = take([("p0", "a")], source="key:a")
    assert (label.use, label.probability, label.request_id) == (LabelUse.TRAIN, None, None)
    assert (label.trusted, label.adjudicated) == (False, False)


def test_review_that_the_project_does_not_trust_adjudicates_nothing() -> None:
    (label,) = take([("p0", "a")], settings=LabelSettings(trusted_sources=("clinic",)))
    assert (label.trusted, label.adjudicated, label.use) == (False, False, LabelUse.TRAIN)


def test_rows_of_one_group_have_one_use() -> None:
    pairs = {f"p{i}": f"g{i // 2}" for i in range(200)}
    found = labels_from(
        [(row, "a", AT) for row in pairs],
        groups=pairs,
        requests={},
        source="review",
        settings=LabelSettings(),
        model="m",
        environment="prod",
    )
    assert all(a.use is b.use for a, b in zip(found[::2], found[1::2], strict=True))
    assert {label.use for label in found} == {LabelUse.TRAIN, LabelUse.GATE}


def test_ids_that_were_never_logged_are_named_and_nothing_is_added() -> None:
    with pytest.raises(BackstayError, match="6 of 7 labels") as error:
        take([("p1", "a"), *((f"x{i}", "a") for i in range(6))])
    assert "'x0', 'x1', 'x2', 'x3', 'x4')" in str(error.value)
    assert "nothing was added" in str(error.value)


@pytest.mark.parametrize(("given", "told"), [([("p1", "")], "is empty"), ([("p1", "a"), ("p1", "b")], "'a' and 'b'")])
def test_a_file_that_contradicts_itself_or_has_gaps_is_refused(given: list[tuple[str, str]], told: str) -> None:
    with pytest.raises(BackstayError, match=told):
        take(given)


def test_feedback_of_the_log_becomes_labels_that_survive_the_store() -> None:
    found = sort_feedback([posted("p1", "a"), posted("p2", "b", "key:b")], LOGGED)
    assert found.by_source == {"key:a": [("p1", "a", AT)], "key:b": [("p2", "b", AT)]}
    (label,) = labels_from(
        found.by_source["key:a"],
        groups=LOGGED,
        requests={},
        source="key:a",
        settings=LabelSettings(),
        model="m",
        environment="prod",
    )
    assert decode(Label, encode(label)) == label


def test_nonsense_from_one_key_never_stops_the_intake() -> None:
    said = [("p1", "a", 0), ("p1", "b", 1), ("p2", "", 0), ("ghost", "a", 0), ("p1", "a", 0)]
    nonsense = [posted(row, value, minute=minute) for row, value, minute in said]
    honest = [posted("p3", "b", "key:b")]
    found = sort_feedback([*nonsense, *honest], LOGGED)
    assert found.by_source == {"key:a": [("p1", "a", AT)], "key:b": [("p3", "b", AT)]}
    assert (found.unknown, found.empty, found.contradicted) == (1, 1, 1)


def test_the_order_of_the_log_does_not_matter() -> None:
    items = [posted(f"p{i % 4}", "ab"[i % 2], f"key:{i % 3}", i) for i in range(24)]
    assert sort_feedback(items, LOGGED) == sort_feedback(items[::-1], LOGGED)
