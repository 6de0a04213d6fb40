"""A model that answers sets of labels, from rows to a successor."""

from __future__ import annotations

import html
import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import backstay
from backstay.bundle.sets import members, texts_of
from backstay.data.proposal import propose
from backstay.kernel.clock import ManualClock
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Condition, Report, Verdict
from backstay.project import Project
from backstay.settings import parse

START = datetime(2026, 1, 5, tzinfo=UTC)
LABELS = ("damp", "fire", "theft")
TOML = """
version = 1
name = "claims"
task = "multilabel"

[data]
source = "claims.parquet"
target = "causes"
id = "id"
slices = ["place"]

[train]
dimension = 8
epochs = 12
learning_rate = 0.03
batch_size = 64
augmentation = 0.0

[watch]
minimum_rows = 50

[budget]
labels_per_month = 400

[retrain]
labels = 60
"""


def claims(n: int, seed: int, stem: str, *, as_text: bool = False) -> pa.Table:
    """Rows of which three columns each tell of a cause, by how far they are from 0; some have none."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    signs = np.random.default_rng(seed + 1000).choice([-1.0, 1.0], size=(n, 3))
    there = x + rng.normal(0, 0.25, (n, 3)) > np.array([0.2, 0.6, 0.9])
    names = texts_of(there, LABELS).tolist()
    sets = [";".join(json.loads(name)) or "[]" for name in names] if as_text else [json.loads(name) for name in names]
    return pa.table(
        {
            "id": [f"{stem}-{i:04d}" for i in range(n)],
            "place": rng.choice(["north", "sea"], n).tolist(),
            **{f"x{i}": (signs * np.exp(x / 2))[:, i] for i in range(3)},
            "causes": sets,
        }
    )


class Place:
    def __init__(self, folder: Path) -> None:
        self.folder, self.clock = folder, ManualClock(START)

    def open(self) -> Project:
        return backstay.open(self.folder, clock=self.clock, actor="ada")

    def log(self, table: pa.Table) -> None:
        self.open().models.predict(table.drop_columns(["causes"]), record=True)

    def later(self, days: float) -> Project:
        self.clock.advance(timedelta(days=days))
        return self.open()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("claims"))
    (place.folder / "backstay.toml").write_text(TOML)
    pq.write_table(claims(900, 0, "c"), place.folder / "claims.parquet")
    place.open().models.run()
    place.open().releases.promote(reason="the first")
    return place


@pytest.fixture
def live(trained: Place, tmp_path: Path) -> Place:
    """A copy of the trained project, so that no test sees another's traffic."""
    folder = tmp_path / "claims"
    shutil.copytree(trained.folder, folder)
    place = Place(folder)
    place.clock.advance(timedelta(days=1))
    return place


def label_all(project: Project, truth: Callable[[str], object]) -> int:
    waiting = project.labels.queue().requests
    project.labels.answer([{"id": r.prediction_id, "label": truth(r.prediction_id)} for r in waiting])
    return len(waiting)


def known(table: pa.Table) -> Callable[[str], list[str]]:
    return dict(zip(table.column("id").to_pylist(), table.column("causes").to_pylist(), strict=True)).__getitem__


def test_a_run_measures_sets_and_the_usual_policy_judges_them(trained: Place) -> None:
    ws = trained.open().ws
    report, verdict = ws.catalog.find("report", Report)[0], ws.catalog.find("verdict", Verdict)[0]
    figures = {m.metric: m.value for m in report.measurements if m.of == "model" and not m.slice}
    assert figures["micro_f1"] > 0.7
    assert {"macro_f1", "mean_average_precision", "subset_accuracy", "jaccard", "hamming_loss"} < set(figures)
    assert {c.against.removeprefix("control:") for c in report.comparisons} == {
        "most_frequent_set",
        "raw_knn",
        "raw_linear",
    }
    assert {"minimum_n", "beats_controls jaccard", "no_slice_worse jaccard"} <= {o.rule for o in verdict.outcomes}
    assert any(m.slice == "place=sea" for m in report.measurements)
    assert verdict.passed, verdict.reasons


def test_answers_are_lists_and_the_log_keeps_their_text(live: Place) -> None:
    found = live.open().models.predict(claims(60, 4, "t"), record=True)
    assert found.table.column_names == ["id", "labels", *(f"p({name})" for name in LABELS)]
    ws = live.open().ws
    rows = ws.journal.rows("claims", "production", manifests=ws.manifests_by_release())
    logged = dict(zip(rows.ids.tolist(), rows.predictions.tolist(), strict=True))
    for row_id, labels in zip(*(found.table.column(c).to_pylist() for c in ("id", "labels")), strict=True):
        assert json.loads(logged[row_id]) == labels
    truth = members([json.dumps(v) for v in claims(60, 4, "t").column("causes").to_pylist()], LABELS)
    said = members([json.dumps(v) for v in found.table.column("labels").to_pylist()], LABELS)
    assert float((truth == said).mean()) > 0.8


def test_separated_text_holds_the_sets_as_text(live: Place) -> None:
    live.open().models.predict(claims(20, 4, "t"), output=live.folder / "answers.csv")
    assert '"[""' in (live.folder / "answers.csv").read_text()


def test_calm_traffic_is_quiet_and_labels_tell_of_whole_sets(live: Place) -> None:
    first, second = claims(300, 1, "t"), claims(300, 2, "u")
    live.log(first)
    quiet = live.later(8).monitor.watch().windows[-1]
    assert not [s for s in quiet.signals if s.alarm]
    assert {s.detector for s in quiet.signals if s.figures.get("judged")} >= {"prediction", "embedding", "columns"}
    assert label_all(live.open(), known(first)) > 30
    live.log(second)
    calm = live.later(8).monitor.watch().windows[-1]
    assert calm.condition is not Condition.WORSE
    free = next(e for e in calm.estimates if e.kind == "label-free")
    assert free.value is None
    assert "only labels tell" in free.refusals[0]
    # From now on theft is never true: sets that say so are wrong, and most others with it.
    label_all(live.open(), lambda row_id: ["flood"])
    live.log(claims(300, 3, "v"))
    after = live.later(8).monitor.watch().windows[-1]
    assert after.condition is Condition.WORSE
    assert "labelled_error" in {s.detector for s in after.signals if s.alarm}


def test_a_label_that_swells_alarms_by_its_name(live: Place) -> None:
    table = claims(300, 2, "m")
    place = table.column_names.index("x2")
    live.log(table.set_column(place, "x2", pa.array(table.column("x2").to_numpy() + 1.5)))
    moved = live.later(8).monitor.watch(page=live.folder / "watch.html").windows[-1]
    signal = next(s for s in moved.signals if s.detector == "prediction")
    assert signal.alarm
    assert "'theft' in the set" in signal.moved[0]
    assert signal.moved[0].split(":")[0] in html.unescape((live.folder / "watch.html").read_text())


def test_a_label_that_is_no_set_is_refused_and_nothing_is_added(live: Place) -> None:
    live.log(claims(60, 1, "t"))
    with pytest.raises(BackstayError, match="1 labels are no sets, first"):
        live.open().labels.answer([{"id": "t-0001", "label": '["fire"'}, {"id": "t-0002", "label": "fire"}])
    assert live.open().ws.catalog.labels("claims", "production") == []


def test_however_a_set_is_written_it_is_one_label(live: Place) -> None:
    live.log(claims(60, 1, "t"))
    written = ["fire;damp", '["damp", "fire"]', "damp ; fire"]
    live.open().labels.answer([{"id": f"t-000{i}", "label": text} for i, text in enumerate(written)])
    labels = live.open().ws.catalog.labels("claims", "production")
    assert {label.value for label in labels} == {'["damp", "fire"]'}


def test_retraining_learns_from_labels_that_are_sets(live: Place) -> None:
    table = claims(300, 1, "t")
    live.log(table)
    live.open().labels.request(150, purpose="retrain")
    label_all(live.open(), known(table))
    # A model a label is trained in no time; that a successor is of another kind makes no difference.
    (live.folder / "backstay.toml").write_text(TOML.replace("[train]", '[train]\nmodel = "gradient_boosting"'))
    offered = live.later(1).models.retrain()
    assert offered.model.task.value == "multilabel"
    assert offered.model.classes == LABELS
    assert any(m.of == "champion" and m.metric == "jaccard" for m in offered.report.measurements)
    assert "no_worse_than_champion jaccard" in {o.rule for o in offered.verdict.outcomes}


def test_one_model_a_label_goes_the_same_way(live: Place) -> None:
    bar = '[[gate.rules]]\nrule = "at_least"\nmetric = "micro_f1"\nvalue = 0.6\n'
    recipe = TOML.replace("[train]", '[train]\nmodel = "gradient_boosting"')
    (live.folder / "backstay.toml").write_text(f"{recipe}\n{bar}")
    offered = live.open().models.run()
    assert offered.verdict.passed, offered.verdict.reasons
    assert any(c.metric == "jaccard" and c.against == offered.report.champion for c in offered.report.comparisons)
    live.open().releases.promote(offered.model.id, reason="smaller")
    live.log(claims(200, 1, "t"))
    window = live.later(8).monitor.watch().windows[-1]
    assert "prediction" in {s.detector for s in window.signals if s.figures.get("judged")}


def test_a_strangers_graph_is_adopted_by_its_sets(live: Place, tmp_path: Path) -> None:
    file, fresh = tmp_path / "theirs.onnx", tmp_path / "fresh"
    file.write_bytes(next((live.folder / ".backstay").rglob("model.onnx")).read_bytes())
    fresh.mkdir()
    (fresh / "backstay.toml").write_text(TOML.replace("claims.parquet", "../claims/claims.parquet"))
    adopted = backstay.adopt(file, reference=live.folder / "claims.parquet", target="causes", folder=fresh)
    assert adopted.model.task.value == "multilabel"
    assert adopted.report is not None
    found = adopted.report.find("micro_f1")
    assert found is not None
    assert found.value > 0.7


def test_a_backfill_says_that_it_is_not_built(live: Place) -> None:
    with pytest.raises(BackstayError, match="answers sets of labels is not built"):
        live.open().monitor.backfill(live.folder / "claims.parquet")


def test_init_proposes_sets_for_lists_and_when_told(tmp_path: Path) -> None:
    pq.write_table(claims(200, 0, "c"), tmp_path / "c.parquet")
    text = propose(tmp_path / "c.parquet", target="causes", folder=tmp_path)
    assert 'task = "multilabel"' in text
    assert "sets of 3 labels (damp, fire, theft)" in text
    pq.write_table(claims(200, 0, "c", as_text=True), tmp_path / "t.parquet")
    assert "multilabel" not in propose(tmp_path / "t.parquet", target="causes", folder=tmp_path)
    assert 'task = "multilabel"' in propose(tmp_path / "t.parquet", target="causes", folder=tmp_path, task="multilabel")


def test_the_defaults_of_sets_speak_of_sets() -> None:
    settings = parse({"version": 1, "task": "multilabel"})
    assert {rule.metric for rule in settings.gate.rules} == {"jaccard"}
    assert (settings.train.objective, settings.train.head) == ("binary_cross_entropy", "labels")


def test_a_draw_by_doubt_says_that_sets_have_no_doubt(live: Place) -> None:
    with pytest.raises(BackstayError, match="a chance for each label, and none that the whole set is right") as refused:
        live.open().labels.request(200, purpose="window")
    assert "no scores" not in str(refused.value)
