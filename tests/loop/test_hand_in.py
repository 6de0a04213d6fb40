"""What is handed in by file: labels that mean something, what was done with answers, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import backstay
from backstay.cli.main import run
from backstay.journal.entries import Feedback
from backstay.journal.writer import JournalWriter
from backstay.kernel.errors import BackstayError
from backstay.loop.label import ingest_feedback


def feedback(project) -> list[tuple[str, str, str, str, float]]:
    return [(f.prediction_id, f.kind, f.value, f.source, f.seconds) for f in project.ws.journal.feedback()[0]]


def labels(project) -> dict[str, str]:
    return {label.prediction_id: label.value for label in project.ws.catalog.labels("orders", "production")}


@pytest.mark.parametrize(
    ("values", "fix"),
    [
        (["true", "false"], "write 'no', 'yes', as the model answers"),
        (["NO", "Yes"], "case counts"),
        (["a", "b", "c", "d", "e"], "where a class is new"),
    ],
)
def test_labels_of_which_none_is_a_class_are_refused_with_both_lists(trained, values, fix) -> None:
    project = trained.open()
    rows = [{"id": f"t-00{i}", "label": value} for i, value in enumerate(values)]
    with pytest.raises(BackstayError) as refused:
        project.labels.answer(rows)
    assert all(repr(value) in refused.value.what for value in values)
    assert "its classes are 'no', 'yes'" in refused.value.what
    assert fix in refused.value.fix
    assert labels(project) == {}


def test_a_few_labels_of_a_new_class_alone_are_taken_and_noted(trained) -> None:
    """Who answers the queue row by row hands in one label at a time."""
    done = trained.open().labels.answer([{"id": "t-001", "label": "maybe"}])
    assert (done.added, done.notes) == (1, ("1 label names no class of the model: 'maybe'",))


def test_a_new_class_among_known_ones_is_taken_and_noted(trained) -> None:
    project = trained.open()
    given = {"t-001": "yes", "t-002": "maybe", "t-003": "often", "t-004": "maybe"}
    done = project.labels.answer([{"id": i, "label": v} for i, v in given.items()])
    assert done.added == 4
    assert done.notes == ("3 labels name no class of the model: 'maybe', 'often'",)
    assert labels(project) == given
    # Once it was handed in with others the new class is known to be meant.
    assert project.labels.answer([{"id": "t-005", "label": "maybe"}]).notes == (
        "1 label names no class of the model: 'maybe'",
    )


def test_strange_labels_that_came_over_http_are_noted(trained) -> None:
    at = int(trained.clock.now().timestamp() * 1e6)
    with JournalWriter(trained.folder / ".backstay" / "journal") as writer:
        writer.append_feedback([Feedback("orders", "production", "t-001", "true", "key:app", at)])
    assert ingest_feedback(trained.open().ws) == ["1 label names no class of the model: 'true' (said by key:app)"]


def test_a_correction_is_told_and_what_was_said_first_stands(trained, capsys) -> None:
    project = trained.open()
    project.labels.answer([{"id": "t-001", "label": "yes"}, {"id": "t-002", "label": "no"}])
    done = project.labels.answer([{"id": "t-001", "label": "no"}, {"id": "t-002", "label": "no"}])
    assert (done.added, done.repeated, done.contradicted, done.by_use) == (0, 1, 1, {})
    assert labels(project)["t-001"] == "yes"
    other = project.labels.answer([{"id": "t-001", "label": "no"}], source="key:app")
    assert (other.added, other.contradicted) == (1, 0)
    file = trained.folder / "again.csv"
    file.write_text("id,label\nt-001,no\n")
    assert run(["label", "--answers", str(file), "--project", str(trained.folder)]) == 0
    said = capsys.readouterr().out
    assert "0 labels added (trusted), 0 seen before" in said
    assert "1 contradicts what this source said before, which stands" in said


def test_a_contradiction_over_http_of_what_was_taken_in_before_is_told(trained) -> None:
    at = int(trained.clock.now().timestamp() * 1e6)
    project = trained.open()
    for value, told in (("yes", []), ("no", ["1 labels contradict what the same source had said before"])):
        with JournalWriter(trained.folder / ".backstay" / "journal") as writer:
            writer.append_feedback([Feedback("orders", "production", "t-001", value, "key:app", at)])
        assert ingest_feedback(project.ws) == told


@pytest.mark.parametrize("empty", [None, "", "  ", float("nan")])
def test_rows_without_a_label_are_left_out_and_nothing_but_such_rows_is_refused(trained, empty) -> None:
    project = trained.open()
    with pytest.raises(BackstayError, match="none of the 1 rows has a label; nothing was added"):
        project.labels.answer([{"id": "t-001", "label": empty}])
    other = 1.0 if isinstance(empty, float) else "yes"
    if isinstance(empty, float):
        return
    done = project.labels.answer([{"id": "t-001", "label": empty}, {"id": "t-002", "label": other}])
    assert (done.added, done.notes) == (1, ("1 row has no label: left out",))


def test_trust_is_told_of_the_source_whatever_came_of_its_labels(trained) -> None:
    project = trained.open()
    rows = [{"id": "t-001", "label": "yes"}]
    assert project.labels.answer(rows).trusted
    assert project.labels.answer(rows).trusted
    assert not project.labels.answer(rows, source="key:app").trusted


KINDS = [
    {"id": "t-001", "kind": "click", "label": "true", "seconds": None},
    {"id": "t-002", "kind": "rating", "label": "4", "seconds": None},
    {"id": "t-003", "kind": "override", "label": "no", "seconds": 12.5},
    {"id": "t-004", "kind": "label", "label": "yes", "seconds": None},
    {"id": "t-005", "kind": None, "label": "no", "seconds": None},
]


def test_other_kinds_go_to_feedback_and_labels_to_labels(trained, capsys) -> None:
    project = trained.open()
    file = trained.folder / "said.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in KINDS))
    how = ["label", "--answers", str(file), "--source", "panel", "--project", str(trained.folder)]
    assert run([*how, "--json"]) == 0
    done = json.loads(capsys.readouterr().out)
    assert done["added"] == 2
    assert done["feedback"] == {"click": 1, "rating": 1, "override": 1}
    assert labels(project) == {"t-004": "yes", "t-005": "no"}
    assert feedback(project) == [
        ("t-001", "click", "true", "panel", 0.0),
        ("t-002", "rating", "4", "panel", 0.0),
        ("t-003", "override", "no", "panel", 12.5),
    ]
    assert done["notes"] == ["no detector reads this feedback: name engagement or label_quality in watch.detectors"]
    # A file that is handed in again says nothing new.
    assert run(how) == 0
    assert len(feedback(project)) == 3
    assert ingest_feedback(project.ws) == []


def test_labels_beside_truth_values_are_read_as_they_are_written(trained) -> None:
    project = trained.open()
    file = trained.folder / "said.csv"
    file.write_text("id,kind,value\nt-001,click,true\nt-002,override,false\nt-003,,1\n")
    with pytest.raises(BackstayError, match="they are '1', its classes are 'no', 'yes'"):
        project.labels.answer(file)
    file.write_text("id,kind,value\nt-001,click,true\nt-002,click,0\nt-003,override,\n")
    done = project.labels.answer(file)
    assert done.notes[0] == "1 row has no label: left out"
    assert [entry[:3] for entry in feedback(project)] == [("t-001", "click", "true"), ("t-002", "click", "0")]


def test_what_no_server_would_take_is_refused_and_nothing_is_written(trained) -> None:
    project = trained.open()
    for row, said in (
        ({"id": "t-001", "kind": "clik", "label": "true"}, "'clik' is not a kind of feedback"),
        ({"id": "t-001", "kind": "found", "label": "x"}, "'found' is not a kind of feedback"),
        ({"id": "nobody", "kind": "click", "label": "true"}, "never logged or left the log"),
        ({"id": "t-001", "kind": "override", "label": "no", "seconds": -3.0}, "a decision of -3 seconds"),
        ({"id": "t-001", "kind": "override", "label": "no", "seconds": "long"}, "the seconds of 't-001' are 'long'"),
        ({"id": "t-001", "kind": "click", "label": "x" * 2000}, "empty or too long"),
    ):
        with pytest.raises(BackstayError, match=said):
            project.labels.answer(pa.Table.from_pylist([row]))
        with pytest.raises(BackstayError, match=r"nothing was added|not a kind"):
            project.labels.answer([{"id": "t-009", "kind": "label", "label": "yes"}, row][::-1])
    assert feedback(project) == []
    assert labels(project) == {}


def test_feedback_alone_may_call_its_column_value(trained) -> None:
    project = trained.open()
    done = project.labels.answer([{"id": "t-001", "kind": "dwell", "value": 31.5}])
    assert (done.added, done.feedback) == (0, {"dwell": 1})
    assert feedback(project)[0][:3] == ("t-001", "dwell", "31.5")


def bools(rows: int = 300, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=rows)
    return pd.DataFrame({"x": x, "answer": (x > 0).astype(int), "truth": x + rng.normal(size=rows) > 0})


def test_a_target_written_in_another_way_than_the_answers_is_not_adopted(tmp_path) -> None:
    file = tmp_path / "reference.parquet"
    bools().assign(id=range(300)).to_parquet(file)
    how = {
        "row_id": "id",
        "target": "truth",
        "predictions_only": True,
        "prediction": "answer",
        "name": "tiny",
        "folder": tmp_path,
    }
    with pytest.raises(BackstayError) as refused:
        backstay.adopt(None, reference=file, **how)
    assert refused.value.what == (
        "no true value in 'truth' is among the answers in 'answer': the former are 'false', 'true', the latter '0', '1'"
    )
    assert refused.value.fix == "write 1 for true and 0 for false, as the model answers"


def test_nor_is_it_believed_without_a_project() -> None:
    how = {"prediction": "answer", "label": "truth", "features": ["x"], "detectors": ["columns"]}
    with pytest.raises(BackstayError, match="no true value in 'truth' is among the answers in 'answer'"):
        backstay.watch(bools(), reference=bools(600, 1), **how)
    written = bools(600, 1).assign(truth=lambda rows: rows["truth"].astype(int))
    with pytest.raises(BackstayError, match="the former are 'false', 'true', the latter '0', '1'"):
        backstay.watch(bools(), reference=written, **how)
    few = bools().assign(truth=lambda rows: pd.Series(["new", *[None] * (len(rows) - 1)]))
    assert backstay.watch(few, reference=written, **how).estimates


def test_feedback_by_file_reaches_the_detectors_that_read_it(trained) -> None:
    file = trained.folder / "backstay.toml"
    file.write_text(file.read_text().replace("[watch]\n", '[watch]\ndetectors = ["engagement", "label_quality"]\n'))
    project = trained.open()
    ids = [str(i) for i in project.ws.journal.ids("orders", "production")]
    said = [{"id": i, "kind": "override", "value": "overridden", "seconds": 30.0} for i in ids[:120]]
    said += [{"id": i, "kind": "click", "value": "true", "seconds": None} for i in ids[:50]]
    done = project.labels.answer(said, source="ada")
    assert (done.feedback, done.notes) == ({"override": 120, "click": 50}, ())
    window = trained.later(8).monitor.watch(close_now=True).latest
    told = {signal.detector: signal for signal in window.signals}
    assert "corrected 100 of the last 100" in told["label_quality"].message
    assert told["engagement"].message == "not judged: learning what is usual: 1 of 2 windows"
