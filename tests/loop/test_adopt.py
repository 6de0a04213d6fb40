"""Taking over a model, one of which only predictions are known, and offering a successor made elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import backstay
from backstay.kernel.clock import ManualClock
from backstay.kernel.errors import BackstayError, Refused
from backstay.loop.value_gating import refuse_other_task

START = datetime(2026, 1, 5, tzinfo=UTC)


def answers(n: int, seed: int, stem: str, *, wrong: float = 0.1) -> pa.Table:
    """What a model that lives elsewhere said, with the truth."""
    rng = np.random.default_rng(seed)
    truth = rng.random(n) < 0.5
    said = np.where(rng.random(n) < wrong, ~truth, truth)
    score = np.clip(np.where(said, 0.9, 0.1) + rng.normal(scale=0.03, size=n), 0.01, 0.99)
    at = [START + timedelta(minutes=5 * i) for i in range(n)]
    return pa.table(
        {
            "id": [f"{stem}-{i}" for i in range(n)],
            "at": pa.array(at, pa.timestamp("us", tz="UTC")),
            "said": np.where(said, "yes", "no").tolist(),
            "p": score,
            "truth": np.where(truth, "yes", "no").tolist(),
        }
    )


@pytest.fixture
def elsewhere(tmp_path):
    """A project that knows only predictions."""
    pq.write_table(answers(600, 0, "r"), tmp_path / "ref.parquet")
    clock = ManualClock(START + timedelta(days=3))
    adopted = backstay.adopt(
        None, reference=tmp_path / "ref.parquet", target="truth", predictions_only=True, prediction="said", score="p",
        positive="yes", row_id="id", time="at", name="theirs", folder=tmp_path, clock=clock, actor="ada",
    )  # fmt: skip
    return tmp_path, clock, adopted


def test_an_adopted_model_is_live_and_unmeasured(tiny):
    project = backstay.open(tiny.folder)
    champion = project.releases.champion()
    assert (champion.kind, champion.measured, champion.sequence) == ("adopted", False, 1)
    (verdict,) = list(project.ws.ledger.rows("verdict"))
    assert verdict.body["candidate"] == champion.model_id


def test_adopting_twice_is_refused(tiny):
    with pytest.raises(Refused, match="release 1"):
        backstay.adopt(tiny.file("good.onnx"), reference=tiny.file("ref.parquet"), target="y", folder=tiny.folder)


def test_a_successor_without_training_rows_is_offered_with_a_finding(tiny):
    offered = backstay.open(tiny.folder).models.offer(tiny.folder / "good.onnx")
    assert [f.check for f in offered.report.findings] == ["training_rows_unknown"]
    assert offered.verdict.passed
    assert offered.model.origin == "offered"


def test_a_successor_trained_on_the_gate_rows_is_refused(tiny):
    offered = backstay.open(tiny.folder).models.offer(tiny.folder / "good.onnx", trained_on=tiny.folder / "ref.parquet")
    assert not offered.verdict.passed
    assert any("overlap" in f.check for f in offered.report.findings)
    assert any("high" in reason or "overlap" in reason for reason in offered.verdict.reasons)


def test_training_rows_must_be_as_the_model_saw_them(tiny):
    pq.write_table(pq.read_table(tiny.file("ref.parquet")).drop_columns(["b"]), tiny.file("part.parquet"))
    with pytest.raises(BackstayError, match="no column 'b'"):
        backstay.open(tiny.folder).models.offer(tiny.folder / "good.onnx", trained_on=tiny.folder / "part.parquet")


def test_a_model_that_lives_elsewhere_is_watched(elsewhere):
    folder, clock, adopted = elsewhere
    assert adopted.report is None
    assert adopted.verdict is None
    assert adopted.model.bundle is None
    project = backstay.open(folder, clock=clock)
    assert project.settings.task == "predictions"
    clock.advance(timedelta(days=7))
    fresh = answers(400, 1, "n").drop_columns(["truth"])
    late = [START + timedelta(days=4, minutes=5 * i) for i in range(400)]
    fresh = fresh.set_column(1, "at", pa.array(late, pa.timestamp("us", tz="UTC")))
    logged = project.monitor.log(fresh)
    assert logged.rows == 400
    assert logged.first < logged.last
    seen = project.monitor.watch(close_now=True)
    assert seen.latest is not None
    assert seen.latest.rows == 400
    assert not seen.new_alarms


def test_what_lives_elsewhere_cannot_be_run_here(elsewhere):
    folder, clock, _ = elsewhere
    project = backstay.open(folder, clock=clock)
    with pytest.raises(BackstayError, match="only predictions are known"):
        project.models.predict(folder / "ref.parquet")
    with pytest.raises(BackstayError, match=r"data\.features is empty"):
        project.data.audit()


def test_a_file_and_predictions_only_contradict(elsewhere, tiny):
    folder, clock, _ = elsewhere
    with pytest.raises(BackstayError, match="knows only predictions"):
        backstay.adopt(
            tiny.file("good.onnx"), reference=folder / "ref.parquet", target="truth", folder=folder, clock=clock
        )


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"row_id": "key"}, "row_id"),
        ({"time": "when"}, "time"),
        ({"group": "customer"}, "group"),
        ({"name": "another"}, "name"),
        ({"predictions_only": True}, "task"),
    ],
)
def test_options_that_the_project_file_contradicts_are_refused(tiny, said, told):
    with pytest.raises(BackstayError, match=told):
        backstay.adopt(
            tiny.file("good.onnx"), reference=tiny.file("ref.parquet"), target="y", folder=tiny.folder, **said
        )


def test_a_model_of_another_kind_of_answer_is_no_successor():
    refuse_other_task("predictions", "classification")
    with pytest.raises(BackstayError, match="the live model does classification, this one does regression"):
        refuse_other_task("classification", "regression")
