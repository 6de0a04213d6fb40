"""What is kept of a search: numbers and marks, no names; and at which place a judge's row or label stood."""

from __future__ import annotations

import pytest

from backstay.journal.blanking import blank_feedback, is_blank
from backstay.journal.entries import FOUND, Feedback
from backstay.journal.reader import Journal
from backstay.journal.searches import NONE, search_entry, searches
from backstay.journal.writer import JournalWriter

SCOPE = ("parts", "production")
ROWS = tuple(f"part-{i}" for i in range(12))
LABELS = (*["bolt"] * 3, None, *["nut"] * 8)


def entry(search_id: str = "s-1", at: int = 5) -> Feedback:
    numbers = (0.9, 0.1, 0.2, 0.7, 0.05, 0.1, 1 / 3)
    return search_entry(
        SCOPE, search_id, at, gallery="default", release="r1", described=numbers, rows=ROWS, labels=LABELS
    )


def judged(said: str, search_id: str = "s-1") -> Feedback:
    return Feedback(*SCOPE, search_id, said, "key:shop", 9, FOUND)


def test_no_name_is_kept():
    kept = entry().value
    assert not any(name in kept for name in (*ROWS, "bolt", "nut"))
    assert len(kept) < 320
    other = entry("s-2").value
    assert other != kept  # marks are salted: equal lists of two searches are not seen to be equal


@pytest.mark.parametrize(
    ("said", "place"),
    [("part-0", 1), ("part-9", 10), ("part-10", 0), ("bolt", 1), ("nut", 5), ("screw", 0), (NONE, 0), ("None", 0)],
)
def test_a_right_row_or_its_label_tells_the_place(said, place):
    (found,) = searches([entry(), judged(said)], *SCOPE)
    assert found.place == place
    assert (found.gallery, found.release, found.at) == ("default", "r1", 5)
    assert found.described == (0.9, 0.1, 0.2, 0.7, 0.05, 0.1, 0.333333)


def test_the_first_judgement_counts_and_others_are_nobodys():
    log = [entry(), entry("s-2"), judged("part-1"), judged("part-0"), judged("part-0", "s-9")]
    assert [(s.id, s.place) for s in searches(log, *SCOPE)] == [("s-1", 2), ("s-2", None)]
    assert searches(log, "parts", "staging") == []


def test_a_client_cannot_write_one_and_a_blanked_one_is_gone(tmp_path):
    forged = entry("s-3")
    forged = Feedback(*SCOPE, "s-3", forged.value, "key:shop", 5, forged.kind)
    with JournalWriter(tmp_path) as writer:
        writer.append_feedback([entry(), forged, judged("bolt")])
    feedback, _ = Journal(tmp_path).feedback()
    assert [s.id for s in searches(feedback, *SCOPE)] == ["s-1"]
    (path,) = (tmp_path / "segments").glob("f-*.seg")
    assert blank_feedback(path, lambda item, _: item.prediction_id == "s-1") == (2, 1)
    feedback, _ = Journal(tmp_path).feedback()
    assert sum(is_blank(item) for item in feedback) == 2
    assert searches(feedback, *SCOPE) == []
