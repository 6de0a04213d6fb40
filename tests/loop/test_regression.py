"""A model that answers a number, from rows to labels."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import backstay
from backstay.data.proposal import propose
from backstay.kernel.clock import ManualClock
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Condition
from backstay.project import Project
from backstay.settings import parse

START = datetime(2026, 1, 5, tzinfo=UTC)
TOML = """
version = 1
name = "prices"
task = "regression"

[data]
source = "prices.parquet"
target = "price"
id = "id"
slices = ["place"]

[train]
model = "ridge"

[watch]
minimum_rows = 50

[budget]
labels_per_month = 400

[retrain]
labels = 60
"""


def prices(n: int, seed: int, stem: str, *, dearer: float = 0.0) -> pa.Table:
    rng = np.random.default_rng(seed)
    size, place = rng.uniform(20, 150, n), rng.choice(["north", "sea"], n)
    return pa.table(
        {
            "id": [f"{stem}-{i:04d}" for i in range(n)],
            "size": size,
            "place": place.tolist(),
            "price": size * 3 + np.where(place == "sea", 90, 0) + rng.normal(0, 10, n) + dearer,
        }
    )


class Place:
    def __init__(self, folder: Path) -> None:
        self.folder, self.clock = folder, ManualClock(START)

    def open(self) -> Project:
        return backstay.open(self.folder, clock=self.clock, actor="ada")

    def log(self, n: int, seed: int, stem: str) -> None:
        self.open().models.predict(prices(n, seed, stem).drop_columns(["price"]), record=True)

    def later(self, days: float) -> Project:
        self.clock.advance(timedelta(days=days))
        return self.open()


@pytest.fixture
def live(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    (tmp_path / "backstay.toml").write_text(TOML)
    pq.write_table(prices(600, 0, "p"), tmp_path / "prices.parquet")
    place.open().models.run()
    place.open().releases.promote(reason="the first")
    place.clock.advance(timedelta(days=1))
    return place


def label_all(project: Project, truth: Callable[[str], float]) -> int:
    waiting = project.labels.queue().requests
    project.labels.answer([{"id": r.prediction_id, "label": truth(r.prediction_id)} for r in waiting])
    return len(waiting)


def known(seed: int, stem: str, n: int, dearer: float = 0.0) -> Callable[[str], float]:
    table = prices(n, seed, stem, dearer=dearer)
    worth = dict(zip(table.column("id").to_pylist(), table.column("price").to_pylist(), strict=True))
    return worth.__getitem__


def test_a_run_measures_in_the_unit_and_judges_without_one(live: Place) -> None:
    offered = live.open().models.run()
    figures = {m.metric: m.value for m in offered.report.measurements if m.of == "model" and not m.slice}
    assert 6 < figures["mae"] < 10
    assert figures["skill"] > 0.8
    assert {c.against for c in offered.report.comparisons} >= {"control:mean", "control:median", "control:raw_knn"}
    assert {"no_slice_worse skill", "beats_controls skill"} <= {o.rule for o in offered.verdict.outcomes}
    assert any(m.slice == "place=sea" for m in offered.report.measurements)
    assert offered.verdict.passed


def test_answers_are_numbers_and_the_log_keeps_them_to_the_last_digit(live: Place) -> None:
    found = live.open().models.predict(prices(60, 4, "t"), record=True)
    assert found.table.column_names == ["id", "value"]
    rows = live.open().ws.journal.rows("prices", "production", manifests=live.open().ws.manifests_by_release())
    logged = dict(zip(rows.ids.tolist(), rows.predictions.tolist(), strict=True))
    for name, value in zip(*(found.table.column(c).to_pylist() for c in ("id", "value")), strict=True):
        assert float(logged[name]) == value


def test_labels_tell_the_mean_error_and_a_dearer_world_convicts(live: Place) -> None:
    live.log(300, 1, "t")
    live.later(8).monitor.watch()
    assert label_all(live.open(), known(1, "t", 300)) > 30
    live.log(300, 2, "u")
    calm = live.later(8).monitor.watch().windows[-1]
    assert calm.condition is not Condition.WORSE
    mean = next(e for e in calm.estimates if e.metric == "mae")
    assert mean.interval is not None
    assert mean.kind == "ppi"
    assert "were right; the mean error is between" in calm.headline
    assert re.search(r"On the reference accuracy was 9\d\.\d% \(.* rows\), the mean error \d", calm.headline)
    assert "confident_errors" not in " ".join(calm.advice)
    # The true mean error is 8; one interval in twenty may miss it, and rows are drawn anew in each run.
    assert mean.interval.low < 9.5
    assert mean.interval.high > 6.5
    free = next(e for e in calm.estimates if e.kind == "label-free")
    assert free.value is None
    assert "only labels tell" in free.refusals[0]
    assert "A number counts as right within" in calm.headline
    label_all(live.open(), known(2, "u", 300, dearer=120.0))
    live.log(300, 3, "v")
    after = live.later(8).monitor.watch().windows[-1]
    assert after.condition is Condition.WORSE
    assert "labelled_error" in {s.detector for s in after.signals if s.alarm}


def test_answers_that_move_alarm_with_their_mean(live: Place) -> None:
    live.log(200, 1, "t")
    quiet = live.later(8).monitor.watch().windows[-1]
    assert not [s for s in quiet.signals if s.alarm]
    table = prices(300, 2, "m").drop_columns(["price"])
    larger = table.set_column(1, "size", pa.array(table.column("size").to_numpy() + 60))
    live.open().models.predict(larger, record=True)
    moved = live.later(8).monitor.watch().windows[-1]
    signal = next(s for s in moved.signals if s.detector == "prediction")
    assert signal.alarm
    assert "the answer: mean" in signal.moved[0]


def test_a_label_that_is_no_number_is_refused_and_nothing_is_added(live: Place) -> None:
    live.log(60, 1, "t")
    with pytest.raises(BackstayError, match="1 labels are no numbers, first 'dear'"):
        live.open().labels.answer([{"id": "t-0001", "label": "dear"}, {"id": "t-0002", "label": "300"}])
    assert live.open().ws.catalog.labels("prices", "production") == []


def test_retraining_learns_from_labels_that_are_numbers(live: Place) -> None:
    live.log(300, 1, "t")
    live.open().labels.request(150, purpose="retrain")
    label_all(live.open(), known(1, "t", 300))
    offered = live.later(1).models.retrain()
    assert offered.model.task.value == "regression"
    assert any(m.of == "champion" and m.metric == "mae" for m in offered.report.measurements)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"rule": "at_least", "metric": "mae", "value": 1.0}, "less is better: ask with at_most"),
        ({"rule": "at_most", "metric": "skill", "value": 1.0}, "more is better: ask with at_least"),
    ],
)
def test_a_bar_from_the_wrong_side_is_refused(live: Place, rule: dict[str, Any], said: str) -> None:
    body = ", ".join(f"{k} = {json.dumps(v)}" for k, v in rule.items())
    (live.folder / "backstay.toml").write_text(f"{TOML}\n[gate]\nrules = [{{ {body} }}]\n")
    with pytest.raises(BackstayError) as refusal:
        live.open().models.run()
    assert said in refusal.value.fix


def test_a_bar_in_the_unit_passes_on_its_upper_end(live: Place) -> None:
    for value, passes in ((9.5, True), (8.0, False)):
        rule = f'{{ rule = "at_most", metric = "mae", value = {value} }}'
        (live.folder / "backstay.toml").write_text(f"{TOML}\n[gate]\nrules = [{rule}]\n")
        assert live.open().models.run().verdict.passed is passes


def test_a_backfill_says_that_it_is_not_built(live: Place) -> None:
    with pytest.raises(BackstayError, match="answers numbers is not built"):
        live.open().monitor.backfill(live.folder / "prices.parquet")


def test_a_strangers_graph_is_adopted_by_its_number(live: Place, tmp_path: Path) -> None:
    bundle = next((live.folder / ".backstay").rglob("model.onnx"))
    file = tmp_path / "theirs.onnx"
    file.write_bytes(bundle.read_bytes())
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    (fresh / "backstay.toml").write_text(TOML.replace("prices.parquet", "../prices.parquet"))
    adopted = backstay.adopt(file, reference=live.folder / "prices.parquet", target="price", folder=fresh)
    assert adopted.model.task.value == "regression"
    assert adopted.report is not None
    assert adopted.report.find("mae") is not None


def test_init_proposes_regression_for_fractions_and_when_told(tmp_path: Path) -> None:
    pq.write_table(prices(200, 0, "p"), tmp_path / "p.parquet")
    text = propose(tmp_path / "p.parquet", target="price", folder=tmp_path)
    assert 'task = "regression"' in text
    assert "0 classes" not in text
    whole = prices(200, 0, "p").set_column(3, "price", pa.array(np.arange(200)))
    pq.write_table(whole, tmp_path / "w.parquet")
    with pytest.raises(BackstayError, match="different values"):
        propose(tmp_path / "w.parquet", target="price", folder=tmp_path)
    assert 'task = "regression"' in propose(tmp_path / "w.parquet", target="price", folder=tmp_path, task="regression")


def test_the_defaults_of_a_regression_speak_of_numbers() -> None:
    settings = parse({"version": 1, "task": "regression"})
    assert {rule.metric for rule in settings.gate.rules} == {"skill"}
    assert (settings.train.objective, settings.train.head) == ("huber", "value")
    assert parse({"version": 1}).train.objective == "cross_entropy"
