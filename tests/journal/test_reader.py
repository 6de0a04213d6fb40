"""The journal as a whole: first row wins, compaction changes nothing, erasure erases."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from backstay.journal.entries import Feedback, tensor
from backstay.journal.parts import to_table
from backstay.journal.reader import Journal
from backstay.journal.rows import Rows
from backstay.journal.writer import JournalWriter
from backstay.kernel.errors import BackstayError

SCOPE = ("risk", "production")


def log(folder, *entries):
    with JournalWriter(folder) as writer:
        for one in entries:
            writer.append_predictions([one])
    return Journal(folder)


def same(a: Rows, b: Rows) -> None:
    assert to_table(a).equals(to_table(b))


def test_rows_come_in_the_order_of_time_and_by_scope(tmp_path, entry, manifests):
    journal = log(tmp_path, entry("late", at=3_000_000), entry("early", at=1_000_000), entry("x", model="other"))
    rows = journal.rows(*SCOPE, manifests=manifests)
    assert rows.ids.tolist() == ["early", "late"]
    assert rows.times.tolist()[0] == datetime(1970, 1, 1, 0, 0, 1)
    cut = datetime(1970, 1, 1, 0, 0, 3, tzinfo=UTC)
    assert journal.rows(*SCOPE, until=cut).ids.tolist() == ["early"]
    assert journal.rows(*SCOPE, since=cut).ids.tolist() == ["late"]
    assert len(journal.rows("nobody", "production")) == 0


def test_the_first_row_of_an_id_wins_and_the_second_is_counted(tmp_path, entry):
    journal = log(tmp_path, entry("a", labels=["no"]), entry("a", "b"), entry("b", release="r2"))
    rows = journal.rows(*SCOPE)
    assert dict(zip(rows.ids, rows.predictions, strict=True)) == {"a": "no", "b": "yes"}
    assert rows.duplicates == 2
    # Whoever asks for the second release does not get the row that came second.
    assert len(journal.rows(*SCOPE, release="r2")) == 0


def test_a_release_keeps_its_scores_beside_one_of_another_shape(tmp_path, entry, manifests):
    wide = tensor(np.full((1, 3), 1 / 3, np.float32), "FP32")
    journal = log(tmp_path, entry("a"), entry("b", release="r2", scores=wide, embeddings=wide))
    assert journal.rows(*SCOPE, release="r1").scores.shape == (1, 2)
    assert journal.rows(*SCOPE, release="r2").embeddings.shape == (1, 3)
    assert journal.rows(*SCOPE).scores is None
    journal.compact(manifests)
    assert journal.rows(*SCOPE, release="r1").scores.shape == (1, 2)
    assert journal.rows(*SCOPE, release="r2").scores.shape == (1, 3)


def test_compaction_changes_nothing_but_the_files(tmp_path, entry, manifests):
    groups = ["g", None]
    context = {"office": ["x", None]}
    journal = log(
        tmp_path, entry("a", "b", groups=groups, context=context), entry("c", release="r2"), entry("d", model="other")
    )
    before = journal.rows(*SCOPE, manifests=manifests)
    assert journal.compact(manifests) == 1
    same(before, journal.rows(*SCOPE))
    assert list(journal.ids("other", "production")) == ["d"]
    assert not list((tmp_path / "segments").glob("p-*"))
    assert journal.compact(manifests) == 0


def test_a_segment_that_is_written_to_is_left_alone(tmp_path, entry, manifests):
    with JournalWriter(tmp_path) as writer:
        writer.append_predictions([entry("a")])
        assert Journal(tmp_path).compact(manifests) == 0


def test_inputs_without_a_manifest_are_not_thrown_away(tmp_path, entry, manifests):
    journal = log(tmp_path, entry("a"))
    assert journal.compact({}) == 0
    assert journal.rows(*SCOPE, manifests=manifests).inputs is not None


def test_adding_is_all_or_nothing(tmp_path, entry):
    journal = log(tmp_path, entry("a"))
    rows = journal.rows(*SCOPE)
    with pytest.raises(BackstayError, match=r"1 of 1 ids were logged before.*'a'.*nothing was added"):
        journal.add(rows, model="risk", environment="production")
    journal.add(rows, model="risk", environment="staging")
    assert journal.rows("risk", "staging").ids.tolist() == ["a"]
    with pytest.raises(BackstayError, match="logged before"):
        journal.add(rows, model="risk", environment="staging")


def test_feedback_is_read_once(tmp_path):
    def item(i):
        return Feedback("risk", "production", i, "yes", "key:app", 5)

    journal = Journal(tmp_path)
    assert journal.feedback() == ([], {})
    with JournalWriter(tmp_path) as writer:
        writer.append_feedback([item("a"), item("b")])
        found, cursor = journal.feedback()
        assert [f.prediction_id for f in found] == ["a", "b"]
        assert journal.feedback(cursor) == ([], cursor)
        writer.append_feedback([item("c")])
    with JournalWriter(tmp_path) as writer:
        writer.append_feedback([item("d")])
    assert [f.prediction_id for f in journal.feedback(cursor)[0]] == ["c", "d"]


def test_forgetting_by_id_and_by_group(tmp_path, entry, manifests):
    journal = log(tmp_path, entry("a", "b", "c", groups=["g", "h", None]), entry("d"))
    assert journal.forget(*SCOPE, ids=["d"], groups=["g"]) == 2
    assert journal.rows(*SCOPE, manifests=manifests).ids.tolist() == ["b", "c"]
    journal.compact(manifests)
    assert journal.rows(*SCOPE).ids.tolist() == ["b", "c"]
    # In the compacted files they go from the bytes, too.
    assert journal.forget(*SCOPE, groups=["h"]) == 1
    assert journal.rows(*SCOPE).ids.tolist() == ["c"]
    assert set(journal.ids(*SCOPE)) == {"c"}


def test_a_group_of_one_model_is_erased_in_that_model_alone(tmp_path, entry):
    mine = entry("a", "b", groups=["ann", "bob"], inputs={})
    others = entry("c", "d", model="churn", groups=["ann", "bob"], inputs={})
    journal = log(tmp_path, mine, others)
    assert journal.forget(*SCOPE, groups=["ann"]) == 1
    for _ in range(2):
        assert journal.rows(*SCOPE).ids.tolist() == ["b"]
        assert journal.rows("churn", "production").ids.tolist() == ["c", "d"]
        journal.compact({})


def test_an_id_of_one_model_is_erased_in_that_model_alone(tmp_path, entry):
    with JournalWriter(tmp_path) as writer:
        for model in ("risk", "churn"):
            writer.append_predictions([entry("order-1", "order-2", model=model, inputs={})])
            writer.append_feedback([Feedback(model, "production", "order-1", "yes", "key:app", 5)])
        journal = Journal(tmp_path)
        assert journal.forget(*SCOPE, ids=["order-1"]) == 1
        assert [f.model for f in journal.feedback()[0]] == ["churn"]
    for _ in range(2):
        assert journal.rows(*SCOPE).ids.tolist() == ["order-2"]
        assert journal.rows("churn", "production").ids.tolist() == ["order-1", "order-2"]
        assert journal.owners("churn", "production", ["order-1"]) == {"order-1": None}
        assert [f.prediction_id for f in journal.feedback()[0] if f.model == "churn"] == ["order-1"]
        journal.compact({})


def test_who_answered_a_row_is_known_whether_it_is_sorted_or_not(tmp_path, entry, manifests):
    journal = log(tmp_path, entry("a"), entry("b", release="r2"), entry("a", release="r2"))
    for _ in range(2):
        assert journal.answered_by(*SCOPE, {"a", "b", "c"}) == {"a": "r1", "b": "r2"}
        assert journal.answered_by("other", "production", {"a"}) == {}
        journal.compact(manifests)
