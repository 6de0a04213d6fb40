"""A class added by examples alone: digits 0 to 8 are known, 9 comes out as none of these, 20 nines are shown."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.datasets import load_digits
from tests.loop.conftest import START, Place

import backstay
from backstay.bundle.manifest import NONE
from backstay.cli.main import run
from backstay.evaluate.metrics import METRICS
from backstay.journal.writer import JournalWriter
from backstay.kernel.errors import BackstayError, Refused
from backstay.kernel.records import ModelRecord
from backstay.loop.gate_case import GateRows, case
from backstay.loop.keys import active
from backstay.loop.reference import reference_of
from backstay.loop.serve import pointer
from backstay.project import Project
from backstay.serve.app import App
from backstay.serve.live import Live
from backstay.serve.metrics import Metrics

TOML = """
version = 1
name = "digits"

[data]
source = "digits.parquet"
target = "digit"
id = "id"
columns = { pixels = "vector" }

[train]
objective = "supcon"
head = "HEAD"
head_options = { OPTIONS }
epochs = 12
dimension = 64
learning_rate = 0.003

[gate]
minimum_n = 100
rules = [
    { rule = "beats_controls", margin = 0.1, surely_behind = 0.05 },
    { rule = "no_worse_than_champion", margin = 0.02 },
    { rule = "no_slice_worse", margin = 0.05 },
]

[watch]
minimum_rows = 50
label_free_minimum = 50

[serve]
require_key = false
minimum_free_bytes = 0
"""


def digits(*wanted: int, start: int = 0, stop: int | None = None) -> pa.Table:
    """Rows of scikit-learn's digits of these values, in their order."""
    data = load_digits()
    places = np.flatnonzero(np.isin(data.target, wanted))[start:stop]
    pixels = (data.data[places] / 16).astype(np.float32)
    return pa.table(
        {
            "id": [f"d{i}" for i in places],
            "pixels": pa.FixedSizeListArray.from_arrays(pa.array(pixels.reshape(-1)), 64),
            "digit": [str(v) for v in data.target[places]],
        }
    )


def trained(folder: Path, head: str, options: str) -> Place:
    folder.mkdir(exist_ok=True)
    pq.write_table(digits(*range(9)), folder / "digits.parquet")
    (folder / "backstay.toml").write_text(TOML.replace("HEAD", head).replace("OPTIONS", options))
    place = Place(folder, START)
    offered = place.open().models.run()
    assert offered.verdict.passed, offered.verdict.reasons
    place.open().releases.promote(offered.model.id)
    return place


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("digits"), "knn", "k = 5, none_of_these = 0.05")


@pytest.fixture
def place(made, tmp_path):
    return made.copy(tmp_path / "project")


def served(project: Project, rows: pa.Table, stem: str) -> list[str]:
    """What a server would answer to these rows, asked and logged in process."""
    server = Served(project)
    values = [v for row in rows.column("pixels").to_pylist() for v in row]
    tensor = {"name": "pixels", "datatype": "FP32", "shape": [rows.num_rows, 64], "data": values}
    ids = [f"{stem}{i}" for i in range(rows.num_rows)]
    status, body = server.ask({"inputs": [tensor], "parameters": {"prediction_ids": ids}})
    assert status == 200, body
    return next(o["data"] for o in body["outputs"] if o["name"] == "label")


class Served:
    """The server's application over a project, without a process."""

    def __init__(self, project: Project) -> None:
        ws = project.ws
        metrics = Metrics()
        live = Live(lambda: pointer(ws), lambda: active(ws), metrics, lambda _: None)
        live.start()
        self.app = App(ws.settings, live, JournalWriter(ws.state / "journal", minimum_free_bytes=0), metrics, ws.clock)

    def ask(self, question: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": json.dumps(question).encode(), "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        path = "/v2/models/digits/infer"
        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "query_string": b"",
            "headers": [(b"host", b"localhost")],
        }
        asyncio.run(self.app(scope, receive, send))
        return sent[0]["status"], json.loads(sent[1]["body"])


def mostly(said: list[str], label: str) -> bool:
    return said.count(label) > 0.6 * len(said)


def answers(project: Project, rows: pa.Table) -> np.ndarray:
    found = project.models.predict(rows.drop_columns(["digit"]))
    return np.array(found.table.column("label").to_pylist(), dtype=object)


def test_nines_are_none_of_these_until_twenty_are_shown(place):
    project = place.open()
    unseen = digits(9, start=20)
    assert np.mean(answers(project, unseen) == NONE) > 0.6
    live = project.ws.model_record(project.releases.champion().model_id)
    old = project.ws.load_model(live)
    offered = project.models.teach("9", digits(9, stop=20))
    assert offered.verdict.passed, offered.verdict.reasons
    assert project.releases.champion().model_id == live.id
    release = project.releases.promote(offered.model.id)
    assert release.model_id == offered.model.id
    nines = answers(project, unseen)
    assert np.mean(nines == "9") > 0.6
    new = project.ws.load_model(offered.model)
    assert new.manifest.space_id == old.manifest.space_id
    assert new.classes == (*old.classes, "9")
    both = digits(*range(10))
    np.testing.assert_array_equal(new.predict(both).embeddings, old.predict(both).embeddings)
    assert offered.model.parent == live.id


def test_the_report_has_the_old_classes_as_a_slice_and_the_new_ones_recall(place):
    offered = place.open().models.teach("9", digits(9, stop=20))
    slices = {m.slice: m for m in offered.report.measurements if m.metric == "accuracy" and m.of == "model"}
    new = slices["classes=9"]
    assert (new.n, new.interval.method) == (10, "Clopper-Pearson")
    assert slices["classes=known before"].n > 300
    champion = offered.report.champion
    compared = {c.slice: c for c in offered.report.comparisons if (c.against, c.metric) == (champion, "accuracy")}
    assert abs(compared["classes=known before"].difference) < 0.03
    assert "10 examples, without training; of 10 other examples of it" in offered.report.notes[0]


def test_served_and_watched_nines_are_none_of_these_and_then_nines(place):
    project = place.open()
    unseen = digits(9, start=20)
    assert mostly(served(project, unseen, "a"), NONE)
    told = project.labels.answer([{"id": f"a{i}", "label": "9"} for i in range(30)])
    assert told.added == 30
    watched = place.later(7.5).monitor.watch(close_now=True)
    signals = {s.detector: s for s in watched.latest.signals}
    assert signals["prediction"].alarm
    assert any(NONE in moved for moved in signals["prediction"].moved)
    project = place.open()
    project.releases.promote(project.models.teach("9", digits(9, stop=20)).model.id)
    assert mostly(served(project, unseen, "b"), "9")
    # Ready to be watched on the answer that the old release did not have.
    assert place.later(7.5).monitor.watch(close_now=True).latest.rows == unseen.num_rows


def test_none_of_these_is_right_for_a_class_that_the_model_does_not_know(place):
    project = place.open()
    release = project.releases.champion()
    record = project.ws.model_record(release.model_id)
    reference = reference_of(project.ws, release)
    assert reference.none_label == NONE
    both = digits(*range(10))
    _, schema = project.ws.rows_of(record.data_id)
    labels = np.array(both.column("digit").to_pylist(), dtype=object)
    asked = case(
        project.ws.load_model(record).predict(both), labels, record.classes, GateRows(both, schema, "data"), NONE
    )
    nines = labels == "9"
    said = answers(project, both) == NONE
    assert asked.right[nines].tolist() == said[nines].astype(float).tolist()
    assert METRICS["unknown_recall"](asked).value == said[nines].mean() > 0.5
    assert METRICS["called_none"](asked).value == said[~nines].mean()
    assert METRICS["unknown_auc"](asked).value > 0.9


def test_a_later_retraining_knows_the_class_too(place):
    project = place.open()
    project.releases.promote(project.models.teach("9", digits(9, stop=20)).model.id)
    pq.write_table(digits(9, start=20, stop=60), place.folder / "more.parquet")
    offered = place.open().models.retrain(rows=place.folder / "more.parquet")
    assert "9" in offered.model.classes
    assert "classes=9" not in {m.slice for m in offered.report.measurements}


def test_the_command_line_teaches_too(place, capsys):
    pq.write_table(digits(9, stop=20).drop_columns(["digit"]), place.folder / "nines.parquet")
    assert run(["teach", "9", str(place.folder / "nines.parquet"), "--project", str(place.folder)]) == 0
    assert "classes=9" in capsys.readouterr().out


def test_class_means_can_be_taught_as_well(tmp_path):
    project = trained(tmp_path / "means", "prototype", "none_of_these = 0.05").open()
    unseen = digits(9, start=20)
    assert np.mean(answers(project, unseen) == NONE) > 0.4
    offered = project.models.teach("9", digits(9, stop=20))
    assert offered.verdict.passed, offered.verdict.reasons
    project.releases.promote(offered.model.id)
    assert np.mean(answers(project, unseen) == "9") > 0.4


REFUSED = {
    "a class that it has": ("3", lambda: digits(9, stop=20), "has the answer '3' already"),
    "the answer for none": (NONE, lambda: digits(9, stop=20), "already"),
    "no name": (" ", lambda: digits(9, stop=20), "no name"),
    "too few": ("9", lambda: digits(9, stop=9), "at least 5 on either side"),
    "other labels": ("9", lambda: digits(8, 9, stop=20), "hold rows labelled '8'"),
    "no features": ("9", lambda: digits(9, stop=20).drop_columns(["pixels"]), "pixels"),
    "another length": (
        "9",
        lambda: digits(9, stop=20).set_column(1, "pixels", pa.array([[0.0] * 9] * 20, pa.list_(pa.float32()))),
        "pixels",
    ),
    "no ids": ("9", lambda: digits(9, stop=20).drop_columns(["id"]), "id"),
}


@pytest.mark.parametrize("case_", REFUSED)
def test_what_cannot_be_taught_is_refused_and_leaves_nothing(place, case_):
    name, rows, says = REFUSED[case_]
    project = place.open()
    before = len(project.ws.catalog.find("model", ModelRecord))
    with pytest.raises(BackstayError, match=says):
        project.models.teach(name, rows())
    assert len(project.ws.catalog.find("model", ModelRecord)) == before


def test_rows_that_judge_are_refused_by_id_and_by_content(place):
    project = place.open()
    record = project.ws.model_record(project.releases.champion().model_id)
    reference, _ = project.ws.rows_of(record.reference_id)
    judges = reference.filter(pa.array([u == "gate" for u in reference.column("backstay_use").to_pylist()]))
    taken = judges.select(["id", "pixels"]).slice(0, 20)
    with pytest.raises(BackstayError, match="20 of 20 examples are among the rows that judge candidates, by their ids"):
        project.models.teach("9", taken)
    renamed = taken.set_column(0, "id", pa.array([f"new{i}" for i in range(20)]))
    with pytest.raises(BackstayError, match="feature by feature"):
        project.models.teach("9", renamed)


def test_a_class_that_lies_among_the_old_ones_is_refused_by_the_gate(place):
    """All digits again under one name: the old classes would be lost, and the gate says so whatever its rules are."""
    project = place.open()
    again = digits(*range(9)).drop_columns(["digit"])
    moved = [[0.99 * v for v in row] for row in again.column("pixels").to_pylist()]
    again = again.set_column(0, "id", pa.array([f"x{i}" for i in range(again.num_rows)]))
    again = again.set_column(1, "pixels", pa.array(moved, pa.list_(pa.float32(), 64)))
    offered = project.models.teach("anything", again, gate_share=0.05)
    assert not offered.verdict.passed
    assert "old_classes" in {f.check for f in offered.report.findings}
    with pytest.raises(Refused):
        project.releases.promote(offered.model.id)


def test_a_model_with_another_head_cannot_be_taught(tiny):
    project = backstay.open(tiny.folder, actor="ada")
    with pytest.raises(BackstayError, match=r"train\.head = \"knn\" or \"prototype\""):
        project.models.teach("maybe", tiny.file("rows.parquet"))
