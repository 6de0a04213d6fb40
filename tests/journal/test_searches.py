"""What is kept of a search: numbers and marks, no names; and at which place a judge's row or label stood."""

from __future__ import annotations

from datetime import date

import pytest

from backstay.journal import writer as writing
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


def test_what_names_an_erased_row_as_found_goes_with_it(tmp_path):
    with JournalWriter(tmp_path) as writer:
        writer.append_feedback([entry(), judged("part-3"), judged("part-4", "s-2"), judged("part-5", "s-3")])
    # "part-3" by its id, "part-4" as a row of a gallery; another row of the log is called so too.
    log = Journal(tmp_path)
    log.forget(*SCOPE, ids=["part-3"], results=["part-4"])
    feedback, _ = log.feedback()
    assert [item.value for item in feedback if not is_blank(item)] == [entry().value, "part-5"]
    (path,) = (tmp_path / "segments").glob("f-*.seg")
    assert b"part-3" not in path.read_bytes()
    assert b"part-4" not in path.read_bytes()


def test_while_a_server_writes_what_is_erased_is_hidden_and_goes_once_it_has_ended(tmp_path):
    log = Journal(tmp_path)
    with JournalWriter(tmp_path) as writer:
        writer.append_feedback([entry(), judged("part-3"), entry("s-2"), judged("part-4", "s-2")])
        log.forget(*SCOPE, ids=["s-1"], results=["part-4"])
        left, _ = log.feedback()
        assert [(s.id, s.place) for s in searches(left, *SCOPE)] == [("s-2", None)]
        log.compact({})
        assert len(log.feedback()[0]) == 1
    (path,) = (tmp_path / "segments").glob("f-*.seg")
    assert b"s-1" in path.read_bytes()
    log.compact({})
    assert not any(name in path.read_bytes() for name in (b"s-1", b"part-3", b"part-4"))
    assert len([item for item in log.feedback()[0] if not is_blank(item)]) == 1
    assert not (tmp_path / "forgotten.json").exists()


def test_a_log_of_searches_is_cut_so_that_old_ones_can_leave_beside_a_running_server(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "ROTATE_BYTES", 2_000)
    with JournalWriter(tmp_path) as writer:
        for search in range(40):
            writer.append_feedback([entry(f"s-{search}", at=search)])
        log = Journal(tmp_path)
        _, cursor = log.feedback()
        assert len(cursor) > 3
        log.expire(*SCOPE, before=date(2026, 1, 1), manifests={}, cursor=cursor)
        left = searches(log.feedback()[0], *SCOPE)
        assert 0 < len(left) < 10  # those of the file that the server still writes
    log.expire(*SCOPE, before=date(2026, 1, 1), manifests={}, cursor=log.feedback()[1])
    assert log.feedback()[0] == []
