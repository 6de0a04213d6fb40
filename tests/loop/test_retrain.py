"""A challenger: old rows and new labels, compared with the champion on rows that neither has learned from."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import backstay
from backstay.kernel.errors import BackstayError, NotFound
from backstay.kernel.records import Column, ColumnKind, LabelUse, Schema
from backstay.labels.training import training_labels
from backstay.loop.gate_rows import joined
from backstay.loop.label import live_rows
from backstay.loop.reference import without_use
from backstay.loop.retrain import apart_from


@pytest.fixture
def labelled(trained):
    """Every row of the day's traffic labelled by the reviewer."""
    rows = trained.log(150, 11, "u")
    wanted = zip(rows["id"].to_pylist(), rows["y"].to_pylist(), strict=True)
    trained.open().labels.answer([{"id": i, "label": y} for i, y in wanted])
    return trained


def test_a_challenger_is_compared_with_the_champion_on_the_same_rows(labelled):
    project = labelled.open()
    champion = project.releases.champion()
    offered = project.models.retrain()
    assert offered.model.parent == champion.model_id
    assert offered.verdict.champion == champion.model_id
    against = {c.against for c in offered.report.comparisons}
    assert champion.model_id in against
    assert {"control:majority", "control:raw_knn"} <= against
    assert project.releases.champion() == champion
    assert project.releases.promote(offered.model.id).reference_id == offered.model.reference_id


def test_training_and_gate_share_no_person(labelled):
    project = labelled.open()
    offered = project.models.retrain()
    learned, _ = project.ws.rows_of(offered.model.data_id)
    judged, _ = project.ws.rows_of(offered.verdict.data_id)
    assert set(learned["person"].to_pylist()).isdisjoint(judged["person"].to_pylist())
    assert any(i.startswith("u-") for i in learned["id"].to_pylist())
    assert any(i.startswith("u-") for i in judged["id"].to_pylist())
    gate = {r.prediction_id for r in project.ws.catalog.labels("orders", "production", use=LabelUse.GATE.value)}
    assert gate <= set(judged["id"].to_pylist())


def test_the_new_reference_is_the_newly_labelled_rows(labelled):
    project = labelled.open()
    offered = project.models.retrain()
    reference, _ = project.ws.rows_of(offered.model.reference_id)
    uses = dict(zip(reference["id"].to_pylist(), reference["backstay_use"].to_pylist(), strict=True))
    assert set(uses.values()) == {"train", "gate"}
    labels = {r.prediction_id: r.use.value for r in project.ws.catalog.labels("orders", "production")}
    assert all(labels[i] == use for i, use in uses.items() if i in labels)


def test_a_reference_too_thin_to_estimate_without_labels_is_told_before_promotion(labelled):
    offered = labelled.open().models.retrain()
    assert [f for f in offered.report.findings if f.check == "thin_reference"] == []
    file = labelled.folder / "backstay.toml"
    file.write_text(file.read_text().replace("label_free_minimum = 50", "label_free_minimum = 400"))
    again = labelled.open().models.retrain()
    (told,) = [f for f in again.report.findings if f.check == "thin_reference"]
    unseen = labelled.open().ws.rows_of(again.verdict.data_id)[0].num_rows
    assert f"its reference has {unseen} labelled rows that it did not learn from" in told.message
    assert "below 400" in told.message
    assert told.fix.startswith("raise retrain.labels to some 800")
    assert again.verdict.passed == offered.verdict.passed


def test_a_model_that_is_live_again_keeps_its_labels(labelled):
    project = labelled.later(8)
    project.monitor.watch()
    requests = project.labels.queue().requests
    project.labels.answer([{"id": r.prediction_id, "label": "yes"} for r in requests])
    labelled.log(120, 12, "v")
    seen = labelled.later(8).monitor.watch().latest
    accuracy = [e for e in seen.estimates if e.kind in ("ppi", "labels") and e.metric == "accuracy"]
    assert accuracy[0].labels > 0
    project = labelled.open()
    project.releases.promote(project.models.retrain().model.id)
    project.releases.rollback(reason="complaints")
    labelled.log(120, 13, "w")
    back = labelled.later(8).monitor.watch().latest
    assert back.release_id != seen.release_id
    again = [e for e in back.estimates if e.kind in ("ppi", "labels") and e.metric == "accuracy"]
    assert again[0].labels >= accuracy[0].labels
    assert back.label_age_days is not None
    assert back.budget_spent < seen.budget_spent


def test_nothing_new_to_learn_from(trained):
    with pytest.raises(BackstayError, match="no new labels"):
        trained.open().models.retrain()


def test_rows_of_a_file_are_learned_from_and_checked_for_leaks(labelled):
    project = labelled.open()
    gate = project.models.retrain().verdict.data_id
    rows, _ = project.ws.rows_of(gate)
    leaked = labelled.folder / "extra.parquet"
    pq.write_table(rows, leaked)
    offered = project.models.retrain(rows=leaked)
    assert not offered.verdict.passed
    assert any("overlap" in f.check for f in offered.report.findings if f.severity.value == "high")


def test_labels_of_rows_that_were_not_logged_are_left_out(labelled):
    project = labelled.open()
    ws = project.ws
    _, schema = ws.rows_of(project.releases.champion().reference_id)
    labels = training_labels(ws.catalog.labels("orders", "production"), ws.settings.labels)
    table = joined(live_rows(ws), labels, without_use(schema))
    assert table.num_rows == len(labels)
    assert table["y"].to_pylist() == [label.value for label in labels]


def test_there_must_be_something_live(trained, tmp_path):

    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "backstay.toml").write_text("version = 1\n")
    with pytest.raises(NotFound, match="no release"):
        backstay.open(tmp_path / "empty").models.retrain()


def test_rows_that_share_a_group_or_an_id_with_the_gate_are_not_learned_from():
    columns = tuple(Column(name, ColumnKind.CATEGORY) for name in ("id", "who"))
    schema = Schema(columns=columns, features=(), id="id", group="who")
    rows = pa.table({"id": ["a", "b", "c", "d", None], "who": ["ann", "bob", None, "cy", None]})
    gate = pa.table({"id": ["b", "e", None], "who": ["dan", "cy", None]})
    assert apart_from(rows, gate, schema).column("id").to_pylist() == ["a", "c", None]
