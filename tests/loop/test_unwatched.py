"""What is watched beside numbers and categories, and what is named as not watched: without a project and with one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import backstay
from backstay.data.schema import infer_schema
from backstay.kernel.clock import ManualClock
from backstay.kernel.errors import BackstayError
from backstay.loop.examples import project_rows

NOW = datetime(2026, 3, 2, tzinfo=UTC)


def frame(rows: int, seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "x": rng.normal(size=rows),
            "plan": pa.array(rng.choice(["gold", "plain"], rows)),
            "at": pa.array([NOW + timedelta(minutes=i) for i in range(rows)]),
        }
    )


def look(traffic, reference, **how) -> backstay.loop.seen.Seen:
    return backstay.watch(traffic, reference=reference, clock=ManualClock(NOW), **how)


def said(rows: int, seed: int, words: int) -> list[str]:
    rng = np.random.default_rng(seed)
    known = ["order", "refund", "card", "lost", "please", "help", "account", "blocked"]
    return [" ".join(rng.choice(known, 1 + rng.poisson(words))) for _ in range(rows)]


def with_more(table: pa.Table, seed: int, *, words: int = 12) -> pa.Table:
    """Columns beside numbers: a text, a date, a key, and two that nothing reads."""
    rows = table.num_rows
    more = {
        "said": said(rows, seed, words),
        "seen": table["at"].cast(pa.timestamp("us")),
        "key": [f"k{seed}-{i}" for i in range(rows)],
        "record": [{"a": 1}] * rows,
        "list": [[1.0, 2.0]] * rows,
    }
    for name, values in more.items():
        table = table.append_column(name, values if isinstance(values, pa.ChunkedArray) else pa.array(values))
    return table.drop_columns(["at"])


@pytest.fixture(scope="module")
def wide() -> pa.Table:
    return with_more(frame(2500, 0), 7)


def test_free_text_beside_numbers_is_watched(wide) -> None:
    same = look(with_more(frame(800, 3), 8), wide)
    assert not same.alarming
    assert same.notes == (
        "Not watched: record (struct), list (lists of numbers).",
        "Watched for gaps only, being times or names: seen, key.",
    )
    assert all(same.latest.advice.count(note) == 1 for note in same.notes)
    assert "Not watched: record" in repr(same)
    longer = look(with_more(frame(800, 3), 8, words=24), wide)
    assert any(words.startswith("length of said: mean") for words in longer.moved)


@pytest.mark.parametrize(
    ("name", "words"),
    [("said", "length of said: missing 0.0% -> 100.0%"), ("seen", "presence of seen"), ("key", "presence of key")],
)
def test_a_text_a_date_or_a_key_that_is_gone_is_seen(wide, name, words) -> None:
    traffic = with_more(frame(800, 3), 8)
    empty = traffic.set_column(traffic.column_names.index(name), name, pa.nulls(800))
    assert any(told.startswith(words) for told in look(empty, wide, detectors=["columns"]).moved)


def test_what_is_not_watched_is_told_of_the_columns_that_were_asked_for(wide) -> None:
    traffic = with_more(frame(800, 3), 8).append_column("new", pa.array([1.0] * 800))
    told = "Not watched: record (struct), list (lists of numbers), new (not in the reference)."
    assert told in look(traffic, wide).notes
    assert look(traffic, wide, features=["x"]).notes == ()
    assert look(traffic, wide, ignore=["record", "list", "new", "seen", "key"]).notes == ()
    assert look(traffic, wide, features=["x", "list"]).notes == ("Not watched: list (lists of numbers).",)
    without = look(traffic.drop_columns(["seen"]), wide)  # a date that traffic does not have is none of its inputs
    assert "Watched for gaps only, being times or names: key." in without.notes
    with pytest.raises(BackstayError, match=r"no column 'said'.*ignore="):
        look(traffic.drop_columns(["said"]), wide)


def answered(rows: int, seed: int, begin: datetime) -> pa.Table:
    """What a model elsewhere said of rows with a note."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=rows)
    return pa.table(
        {
            "id": [f"r{seed}-{i}" for i in range(rows)],
            "at": pa.array([begin + timedelta(minutes=10 * i) for i in range(rows)]),
            "x": x,
            "note": said(rows, seed, 12),
            "due": pa.array([begin.date()] * rows),
            "prediction": np.where(x > 0, "yes", "no"),
            "score": 1.0 / (1.0 + np.exp(-3.0 * x)),
            "y": np.where(x + rng.normal(size=rows) > 0, "yes", "no"),
        }
    )


@pytest.fixture
def elsewhere(tmp_path: Path) -> backstay.Project:
    pq.write_table(answered(600, 0, NOW - timedelta(days=90)).drop_columns(["due"]), tmp_path / "reference.parquet")
    backstay.adopt(
        None, reference=tmp_path / "reference.parquet", target="y", predictions_only=True, score="score",
        positive="yes", row_id="id", time="at", name="tiny", folder=tmp_path, clock=ManualClock(NOW),
    )  # fmt: skip
    return backstay.open(tmp_path, clock=ManualClock(NOW + timedelta(days=8)))


def test_a_text_beside_the_numbers_of_a_model_elsewhere_is_watched(elsewhere) -> None:
    assert elsewhere.settings.data.features == ("x", "note")
    assert elsewhere.settings.data.columns["note"] == "text"
    rows = answered(400, 1, NOW).drop_columns(["y", "due"])
    empty = rows.set_column(rows.column_names.index("note"), "note", pa.nulls(400, pa.string()))
    elsewhere.monitor.log(empty)
    (window,) = elsewhere.monitor.watch(close_now=True).windows
    columns = next(signal for signal in window.signals if signal.detector == "columns")
    assert columns.alarm
    assert any(words.startswith("length of note: missing") for words in columns.moved)


def test_training_reads_the_columns_that_it_read_before(elsewhere) -> None:
    assert project_rows(elsewhere.ws)[1].features == ("x",)
    table = answered(60, 2, NOW).select(["x", "note"])
    assert infer_schema(table).features == ("x",)
    assert infer_schema(table, watching=True).features == ("x", "note")


def test_a_successor_made_elsewhere_reads_the_numbers_or_the_text_as_well(elsewhere) -> None:
    table = answered(600, 3, NOW).to_pandas()
    numbers = LogisticRegression().fit(table[["x"]], table["y"])
    assert elsewhere.models.offer(numbers).model.origin == "offered"
    parts = [("number", "passthrough", ["x"]), ("words", CountVectorizer(), "note")]
    both = make_pipeline(ColumnTransformer(parts), LogisticRegression()).fit(table[["x", "note"]], table["y"])
    offered = elsewhere.models.offer(both)
    assert {name for given in elsewhere.ws.load_model(offered.model).manifest.inputs for name in given.columns} == {
        "x",
        "note",
    }
