"""Rows that were logged with less than others, or with columns of another type: they silence nobody and end no look."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import backstay
from backstay.journal.rows import Rows
from backstay.journal.writer import JournalWriter
from backstay.kernel.clock import ManualClock
from backstay.kernel.records import Column, ColumnKind, Condition, Schema
from backstay.loop.label import live_rows
from backstay.loop.unlike_columns import unlike_columns
from backstay.loop.window_rows import window_data
from backstay.serve.outside import outside_entries

START = datetime(2026, 3, 2, tzinfo=UTC)


def answered(n, seed, begin, *, moved=0.0):
    """A week of answers with their inputs; the chance follows `a`."""
    rng = np.random.default_rng(seed)
    a = rng.normal(size=n) + moved
    chance = 1.0 / (1.0 + np.exp(-2.0 * a))
    return pa.table(
        {
            "id": [f"{seed}-{i}" for i in range(n)],
            "at": pa.array([begin + timedelta(days=6.9 * i / n) for i in range(n)]),
            "a": a,
            "city": rng.choice(["x", "y"], n).tolist(),
            "zip": rng.integers(10_000, 99_999, n),
            "score": chance,
            "prediction": np.where(chance > 0.5, "yes", "no").tolist(),
            "y": np.where(rng.random(n) < chance, "yes", "no").tolist(),
        }
    )


class Place:
    def __init__(self, folder):
        self.folder, self.clock = folder, ManualClock(START)

    @property
    def project(self):
        return backstay.open(self.folder, clock=self.clock, actor="ada")

    def log(self, week, *, moved=0.0, n=300, **columns):
        """Log a week; named columns are put in the place of its own."""
        table = answered(n, week + 1, START + timedelta(days=7 * week), moved=moved).drop_columns(["y"])
        for name, values in columns.items():
            table = table.set_column(table.column_names.index(name), name, values)
        self.clock.advance(START + timedelta(days=7 * (week + 1)) - self.clock.now())
        return self.project.monitor.log(table)

    def post(self, *items):
        """What a key that may only predict can have logged."""
        project = self.project
        release, scope = project.ws.champion(), project.ws.scope
        entries = outside_entries(json.dumps(items).encode(), release, ("no", "yes"), now=self.clock.now(), **scope)
        with JournalWriter(project.ws.journal.directory) as writer:
            writer.append_predictions(entries)

    def watch(self):
        watched = self.project.monitor.watch(close_now=True)
        return watched, {signal.detector: signal for signal in watched.latest.signals}


@pytest.fixture(scope="module")
def adopted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("far")
    pq.write_table(answered(600, 0, START - timedelta(days=30)), folder / "reference.parquet")
    backstay.adopt(
        None, reference=folder / "reference.parquet", target="y", predictions_only=True, row_id="id", time="at",
        prediction="prediction", score="score", positive="yes", features=["a", "city"], name="far", folder=folder,
        clock=ManualClock(START),
    )  # fmt: skip
    file = folder / "backstay.toml"
    named = 'detectors = ["embedding", "prediction", "columns", "schema"]\nminimum_rows = 50\n'
    file.write_text(f"{file.read_text()}\n[watch]\n{named}")
    return folder


@pytest.fixture
def place(adopted, tmp_path):
    shutil.copytree(adopted, tmp_path / "far")
    return Place(tmp_path / "far")


def test_a_key_that_may_only_predict_cannot_silence_the_monitor(place):
    place.log(0)
    place.post({"id": "q", "prediction": "yes"}, {"id": "e", "prediction": "no", "embedding": [1.0, 2.0, 3.0]})
    assert not [s for s in place.watch()[1].values() if s.alarm]
    place.log(1, moved=1.0)
    place.post({"id": "q2", "prediction": "yes"}, {"id": "e2", "prediction": "no", "embedding": [9.0]})
    for _ in range(2):
        _, signals = place.watch()
        assert {name for name, s in signals.items() if s.alarm} >= {"embedding", "prediction", "columns"}
        assert signals["columns"].message.endswith("; 2 rows have no inputs: left out")
        assert signals["prediction"].message.endswith("; 2 rows have no scores: left out")
        place.project.ws.journal.compact({})
    rows = live_rows(place.project.ws)
    assert rows.scored.sum() == rows.described.sum() == 600
    assert np.isfinite(rows.scores[rows.scored]).all()
    assert len(rows) == 604


def test_text_for_numbers_is_told_and_ends_no_look(place):
    place.log(0)
    place.watch()
    values = [f"{v:.3f} EUR" if i < 30 else f"{v:.3f}" for i, v in enumerate(np.random.default_rng(9).normal(size=300))]
    logged = place.log(1, a=pa.array(values), zip=pa.array(["0A-12"] * 300))
    assert logged.notes == (
        f"column 'a' holds text, the reference has numbers: 30 of 300 values are no numbers and count as missing "
        f"(first: {values[0]!r})",
        "column 'zip' holds text, the reference has numbers: 300 of 300 values are no numbers and count as missing "
        "(first: '0A-12')",
    )
    watched, signals = place.watch()
    assert any("column 'a' holds no number in 30 of 300 rows" in note for note in watched.notes)
    assert signals["schema"].alarm
    assert signals["schema"].moved[0].startswith("a: numbers before, text in 10.0% of rows now (")
    assert signals["columns"].figures["judged"]
    place.log(2)
    assert not place.watch()[1]["schema"].alarm
    assert len(place.project.labels.request(3).requests) >= 3
    assert place.project.status().logged_rows == 900
    rows = live_rows(place.project.ws)
    assert rows.inputs.schema.field("a").type == pa.large_string()
    assert rows.inputs.column("zip").to_pylist()[300] == "0A-12"


def test_categories_and_times_of_several_types_end_no_look(place):
    place.log(0, zip=pa.array([START] * 300))
    place.log(
        1, city=pa.array(["x"] * 150 + ["y"] * 150).dictionary_encode(), zip=pa.array([datetime(2026, 1, 1)] * 300)
    )
    place.log(
        2,
        city=pa.array([True] * 300),
        zip=pa.array([START], pa.timestamp("ns", "Europe/Rome")).take(pa.array([0] * 300)),
    )
    _, signals = place.watch()
    assert signals["columns"].figures["judged"]
    assert live_rows(place.project.ws).inputs.schema.field("zip").type == pa.timestamp("us", "UTC")


def renamed(week, column="a"):
    """A week of a file whose column has got another name."""
    table = answered(300, week + 1, START + timedelta(days=7 * week)).drop_columns(["y"])
    return table.rename_columns([f"{name}_new" if name == column else name for name in table.column_names])


def test_a_column_that_every_file_of_the_log_lacks_raises_an_alarm(place):
    place.clock.advance(timedelta(days=7))
    logged = place.project.monitor.log(renamed(0))
    assert logged.notes == (
        "column 'a' is not there: missing in every row (columns that the reference lacks: 'a_new')",
    )
    watched, signals = place.watch()
    assert watched.latest.condition is Condition.MOVED
    assert "a: missing 0.0% -> 100.0%" in watched.latest.headline
    assert {name for name, s in signals.items() if s.alarm} == {"embedding", "columns", "schema"}


def test_what_is_said_of_a_column_that_is_gone_does_not_hang_on_other_files_of_the_log(place, tmp_path):
    other = Place(shutil.copytree(place.folder, tmp_path / "other"))
    other.log(-1)
    found = []
    for one in (place, other):
        one.clock.advance(START + timedelta(days=7) - one.clock.now())
        one.project.monitor.log(renamed(0))
        found.append(one.project.monitor.watch(close_now=True).windows[-1])
    alone, beside = ({s.detector: s.alarm for s in window.signals} for window in found)
    assert alone == beside
    assert alone["columns"]


def test_a_note_for_each_column_of_another_type():
    kinds = {"n": "number", "c": "category", "t": "text", "m": "time", "v": "vector", "b": "boolean", "i": "image"}
    shapes = {"v": (2,), "i": (2, 2, 1)}
    schema = Schema(tuple(Column(n, ColumnKind(k), shape=shapes.get(n, ())) for n, k in kinds.items()), tuple(kinds))
    fine = pa.table({"n": [1], "c": [3], "t": pa.nulls(1), "m": [START], "v": [[1.0, 2.0]], "b": [True]})
    assert unlike_columns(fine.drop_columns(["n"]), schema) == ("column 'n' is not there: missing in every row",)
    other = fine.drop_columns(["n", "c"]).append_column("N", pa.nulls(1))
    assert unlike_columns(other, schema) == (
        "columns 'n', 'c' are not there: missing in every row (columns that the reference lacks: 'N')",
    )
    assert unlike_columns(pa.table({"x": [1]}), schema) == (
        "no input of the reference is there ('n', 'c', 't', 'b'): inputs of these rows cannot be watched",
    )
    assert unlike_columns(fine, schema) == ()
    assert unlike_columns(None, schema) == ()
    odd = pa.table({"n": ["7"], "c": [[1]], "t": [1], "m": ["2026"], "v": ["x"], "b": [1], "i": ["a.png"]})
    assert unlike_columns(odd, schema) == (
        "column 'n' holds text, the reference has numbers: all of it reads as numbers, and is taken so",
        "column 'c' holds lists, the reference has text",
        "column 't' holds numbers, the reference has text",
        "column 'm' holds text, the reference has times",
        "column 'v' holds text, the reference has lists",
        "column 'b' holds numbers, the reference has truth values",
        "column 'i' holds text, the reference has pictures",
    )


def test_vectors_and_pictures_that_cannot_be_read_are_inputs_that_lack():
    n = 5
    texts = np.array([str(i) for i in range(n)], dtype=object)
    pixels = pa.FixedShapeTensorArray.from_numpy_ndarray(np.full((4, 2, 2, 1), 255, np.uint8))
    image = pa.chunked_array([pixels, pa.nulls(1, pixels.type)])
    vector = pa.array([[1.0, 2.0], None, [1.0], [np.nan, 1.0], [3.0, 4.0]])

    def seen(name, kind, values, shape, **more):
        rows = Rows(texts, np.full(n, np.datetime64("2026-03-02", "us")), texts, texts, **more)
        schema = Schema((Column(name, ColumnKind(kind), shape=shape),), (name,))
        rows = (
            Rows.concat([rows])
            if values is None
            else Rows(texts, rows.times, texts, texts, inputs=pa.table({name: values}), **more)
        )
        return window_data(rows, START, START + timedelta(days=1), schema, ())

    of_vectors = seen("v", "vector", vector, (2,))
    assert of_vectors.lacks["representation"].tolist() == [False, True, True, True, False]
    assert of_vectors.representation[4].tolist() == [3.0, 4.0]
    of_pictures = seen("i", "image", image, (2, 2, 1))
    assert of_pictures.lacks["representation"].tolist() == [False] * 4 + [True]
    assert of_pictures.representation[0].tolist() == [1.0] * 4
    # One row with an embedding does not hide what the others look like; embeddings of all rows come first.
    few = np.array([True, *[False] * 4])
    beside = seen("i", "image", image, (2, 2, 1), embeddings=np.zeros((n, 3), np.float32), embedded=few)
    assert beside.representation.shape == (5, 4)
    assert seen("i", "image", image, (2, 2, 1), embeddings=np.zeros((n, 3), np.float32)).representation.shape == (5, 3)
    assert seen("v", "vector", pa.array(["x"] * n), (2,)).representation is None
