"""Models as Python objects through the whole loop: adopted, succeeded by way of the gate, served and watched."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC, LinearSVC

import backstay
from backstay.bundle.manifest import Manifest
from backstay.journal.writer import JournalWriter
from backstay.kernel.clock import ManualClock
from backstay.kernel.errors import BackstayError
from backstay.loop.keys import active
from backstay.loop.serve import pointer
from backstay.project import Project
from backstay.serve.app import App
from backstay.serve.live import Live
from backstay.serve.metrics import Metrics

START = datetime(2026, 1, 5, tzinfo=UTC)
MORE = "\n[watch]\nminimum_rows = 50\n\n[serve]\nrequire_key = false\n"
Rows = tuple[pd.DataFrame, list[Any]]


class Served:
    """The live model behind the server's routes, without a socket."""

    def __init__(self, project: Project) -> None:
        ws, metrics = project.ws, Metrics()
        self.live = Live(lambda: pointer(ws), lambda: active(ws), metrics, lambda _: None)
        self.live.start()
        self.journal = JournalWriter(ws.state / "journal", minimum_free_bytes=0)
        self.app = App(ws.settings, self.live, self.journal, metrics, ws.clock)
        self.name = ws.name

    def infer(self, rows: pd.DataFrame, stem: str) -> dict[str, list[Any]]:
        manifest: Manifest = self.live.current.model.manifest
        inputs = []
        for spec in manifest.inputs:
            column = rows[spec.columns[0]]
            values = [None if v is None or v != v else v for v in column.tolist()]
            inputs.append({"name": spec.name, "datatype": spec.datatype, "shape": [len(rows), 1], "data": values})
        body = {"inputs": inputs, "parameters": {"prediction_ids": [f"{stem}-{i}" for i in range(len(rows))]}}
        status, answer = self.ask(f"/v2/models/{self.name}/infer", json.dumps(body).encode())
        assert status == 200, answer
        return {output["name"]: output["data"] for output in answer["outputs"]}

    def ask(self, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": path, "headers": [(b"host", b"localhost")]}
        asyncio.run(self.app(scope, receive, send))
        return sent[0]["status"], json.loads(sent[1]["body"])


@contextmanager
def served(project: Project) -> Iterator[Served]:
    server = Served(project)
    try:
        yield server
    finally:
        server.app._batcher.close()
        server.live.stop()
        server.journal.close()


def customers(n: int, seed: int) -> Rows:
    """Tenure with gaps and a plan; who stays hangs on both."""
    rng = np.random.default_rng(seed)
    tenure, plan = rng.normal(size=n) * 10, rng.choice(["a", "b"], n)
    stays = np.where(tenure / 10 + (plan == "a") + rng.normal(size=n) * 0.2 > 0.5, "yes", "no")
    tenure[rng.random(n) < 0.05] = np.nan
    return pd.DataFrame({"tenure": tenure, "plan": plan.astype(object)}), stays.tolist()


def requests(n: int, seed: int) -> Rows:
    """Sentences that ask for money back or for a parcel."""
    rng = np.random.default_rng(seed)
    money = ["my", "card", "was", "charged", "twice", "please", "refund", "the", "payment", "of", "Zürich"]
    parcel = ["where", "is", "the", "parcel", "that", "was", "shipped,", "it", "has", "not", "arrived", "on", "Monday"]
    meant = rng.choice(["money", "parcel"], n)
    said = [" ".join(rng.choice(money if m == "money" else parcel, rng.integers(4, 12))) + "!" for m in meant]
    return pd.DataFrame({"said": said}, dtype=object), meant.tolist()


def prices(n: int, seed: int) -> Rows:
    """Size and place of a flat, and its price."""
    rng = np.random.default_rng(seed)
    size, place = rng.uniform(20, 150, n), rng.choice(["north", "sea"], n)
    price = size * 3 + np.where(place == "sea", 90, 0) + rng.normal(size=n) * 5
    return pd.DataFrame({"size": size, "place": place.astype(object)}), price.tolist()


def by_columns(last: Any, number: str, text: str) -> Any:
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    texts = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return make_pipeline(make_column_transformer((numbers, [number]), (texts, [text])), last)


CASES: dict[str, tuple[Callable[[int, int], Rows], Any, Any]] = {
    "svc": (customers, by_columns(SVC(), "tenure", "plan"), by_columns(LogisticRegression(), "tenure", "plan")),
    "text": (
        requests,
        make_pipeline(TfidfVectorizer(), LogisticRegression()),
        make_pipeline(TfidfVectorizer(ngram_range=(1, 2), stop_words="english"), LinearSVC()),
    ),
    "number": (
        prices,
        by_columns(RandomForestRegressor(12, min_samples_leaf=20, random_state=0), "size", "place"),
        by_columns(GradientBoostingRegressor(random_state=0), "size", "place"),
    ),
}


def written(folder: Path, rows: Rows, stem: str) -> Path:
    path = folder / f"{stem}.parquet"
    rows[0].assign(truth=rows[1], id=[f"{stem}-{i}" for i in range(len(rows[1]))]).to_parquet(path)
    return path


def seen_by(rows: pd.DataFrame) -> Any:
    """Texts as a vectorizer takes them, a frame as all else does."""
    return rows.get("said", rows)


@pytest.mark.parametrize("name", CASES)
def test_from_adoption_to_the_watch(tmp_path: Path, name: str) -> None:
    source, first, second = CASES[name]
    known = source(300, 0)
    clock = ManualClock(START)
    adopted = backstay.adopt(
        first.fit(seen_by(known[0]), known[1]),
        reference=written(tmp_path, source(240, 1), "reference"),
        target="truth",
        row_id="id",
        name="shop",
        folder=tmp_path,
        clock=clock,
    )
    assert adopted.model.task.value == ("regression" if name == "number" else "classification")
    (tmp_path / "backstay.toml").write_text((tmp_path / "backstay.toml").read_text() + MORE)
    project = backstay.open(tmp_path, clock=clock, actor="ada")
    said = " ".join(adopted.report.notes)
    assert ("no chances" in said or "not chances" in said) is (name == "svc")

    clock.advance(timedelta(days=1))
    trained = source(300, 5)
    successor = second.fit(seen_by(trained[0]), trained[1])
    offered = project.models.offer(successor, trained_on=written(tmp_path, trained, "trained"))
    assert any(c.against == adopted.model.id for c in offered.report.comparisons)
    checks = {finding.check for finding in offered.report.findings}
    assert ("scores_are_no_chances" in checks) is (name == "text")
    assert offered.verdict.passed, offered.verdict.reasons
    project.releases.promote(offered.model.id, reason="better")

    clock.advance(timedelta(days=1))
    live, truth = source(120, 9)
    project = backstay.open(tmp_path, clock=clock, actor="ada")
    with served(project) as server:
        found: list[Any] = []
        for start in range(0, 120, 40):
            answer = server.infer(live[start : start + 40], f"live-{start}")
            found += answer["value" if name == "number" else "label"]
    wanted = successor.predict(seen_by(live)).tolist()
    if name == "number":
        np.testing.assert_allclose(found, wanted, rtol=1e-9)
    else:
        assert found == wanted

    clock.advance(timedelta(days=8))
    window = backstay.open(tmp_path, clock=clock, actor="ada").monitor.watch().windows[-1]
    assert window.rows == 120
    assert window.condition.value != "worse"
    ids = [f"live-{start}-{i}" for start in range(0, 120, 40) for i in range(40)]
    backstay.open(tmp_path, clock=clock, actor="ada").labels.answer(
        [{"id": i, "label": str(t)} for i, t in zip(ids, truth, strict=True)]
    )


def test_pickles_are_refused_with_what_to_do(tmp_path: Path) -> None:
    import pickle

    written(tmp_path, customers(60, 1), "reference")
    for file in ("model.pkl", "model.joblib", "model.onnx"):
        (tmp_path / file).write_bytes(pickle.dumps({"any": "thing"}, protocol=4))
        with pytest.raises(BackstayError) as refused:
            backstay.adopt(
                tmp_path / file, reference=tmp_path / "reference.parquet", target="truth", row_id="id", folder=tmp_path
            )
        assert "pickle" in refused.value.what
        assert "onnx" in refused.value.fix.lower()
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "model.joblib",
        "model.onnx",
        "model.pkl",
        "reference.parquet",
    ]


def test_sets_of_labels_are_adopted_by_their_target(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(240, 2))
    model = OneVsRestClassifier(LogisticRegression()).fit(x, (x > 0).astype(int))
    truth = [[name for name, v in zip(("big", "cold"), row, strict=True) if v > 0] for row in x]
    columns = {"a": x[:, 0], "b": x[:, 1], "truth": truth, "id": [f"r{i}" for i in range(240)]}
    pq.write_table(pa.table(columns), tmp_path / "reference.parquet")
    adopted = backstay.adopt(
        model, reference=tmp_path / "reference.parquet", target="truth", row_id="id", folder=tmp_path
    )
    assert adopted.model.task.value == "multilabel"
    found = backstay.open(tmp_path).models.predict(pa.table({"a": [1.0], "b": [-2.0], "id": ["x"]}))
    assert found.table.column("labels").to_pylist() == [["big"]]


@pytest.mark.slow
@pytest.mark.parametrize("task", ["regression", "multilabel"])
def test_torch_modules_answer_numbers_and_sets(tmp_path: Path, task: str) -> None:
    import torch

    rng = np.random.default_rng(0)
    x = rng.normal(size=(240, 2))
    truth = (3 * x[:, 0] - x[:, 1]).tolist()
    if task == "multilabel":
        truth = [[name for name, v in zip(("big", "cold"), row, strict=True) if v > 0] for row in x]
    columns = {"a": x[:, 0], "b": x[:, 1], "truth": truth, "id": [f"r{i}" for i in range(240)]}
    pq.write_table(pa.table(columns), tmp_path / "reference.parquet")
    (tmp_path / "backstay.toml").write_text(
        f'version = 1\nname = "shop"\ntask = "{task}"\n\n'
        '[data]\nsource = "reference.parquet"\ntarget = "truth"\nid = "id"\nfeatures = ["a", "b"]\n'
    )
    weights = [[3.0, -1.0]] if task == "regression" else [[9.0, 0.0], [0.0, 9.0]]
    module = torch.nn.Linear(2, len(weights))
    with torch.no_grad():
        module.weight.copy_(torch.tensor(weights))
        module.bias.zero_()
    given = {} if task == "regression" else {"outputs": ["logits"], "classes": ["big", "cold"]}
    adopted = backstay.adopt(
        module,
        example=torch.zeros(2, 2),
        reference=tmp_path / "reference.parquet",
        target="truth",
        folder=tmp_path,
        **given,
    )
    assert adopted.model.task.value == task
    found = backstay.open(tmp_path).models.predict(pa.table({"a": [1.0], "b": [-2.0], "id": ["x"]}))
    said = found.table.column("value" if task == "regression" else "labels").to_pylist()[0]
    assert said == (pytest.approx(5.0) if task == "regression" else ["big"])


def test_a_task_that_the_object_does_not_answer_is_refused(tmp_path: Path) -> None:
    known = prices(200, 0)
    model = by_columns(RandomForestRegressor(3), "size", "place").fit(*known)
    path = written(tmp_path, known, "reference")
    (tmp_path / "backstay.toml").write_text(
        'version = 1\nname = "shop"\n\n[data]\nsource = "reference.parquet"\ntarget = "place"\nid = "id"\n'
    )
    with pytest.raises(BackstayError, match='task = "regression"'):
        backstay.adopt(model, reference=path, target="place", folder=tmp_path)


def test_columns_that_the_model_does_not_read_are_no_features(tmp_path: Path) -> None:
    frame, stays = customers(300, 0)
    model = by_columns(SVC(), "tenure", "plan").fit(frame, stays)
    path = written(tmp_path, (frame.assign(noise=np.arange(300) % 7), stays), "reference")
    backstay.adopt(model, reference=path, target="truth", row_id="id", folder=tmp_path)
    table = pa.table({"tenure": [1.0, None], "plan": ["a", "new"], "id": ["x", "y"]})
    assert backstay.open(tmp_path).models.predict(table).rows == 2


def test_a_pipeline_fitted_on_a_whole_frame_is_asked_for_the_columns_that_it_reads(tmp_path: Path) -> None:
    frame, stays = customers(300, 0)
    whole = frame.assign(truth=stays, id=[f"r{i}" for i in range(300)])[["id", "plan", "truth", "tenure"]]
    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), ["tenure"]),
        (OneHotEncoder(handle_unknown="ignore"), ["plan"]),
    )
    model = make_pipeline(columns, LogisticRegression()).fit(whole, stays)
    path = tmp_path / "reference.parquet"
    pq.write_table(pa.Table.from_pandas(whole, preserve_index=False), path)
    adopted = backstay.adopt(model, reference=path, target="truth", row_id="id", folder=tmp_path)
    project = backstay.open(tmp_path)
    assert project.settings.data.features == ("plan", "tenure")
    assert adopted.report.find("accuracy").n == 300
    found = project.models.predict(path)
    assert found.table.column("label").to_pylist() == model.predict(whole).tolist()
    assert adopted.report.find("accuracy").value == pytest.approx(np.mean(model.predict(whole) == np.array(stays)))
