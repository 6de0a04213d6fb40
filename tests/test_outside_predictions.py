"""A model that lives elsewhere tells its answers over HTTP; labels follow, and both are watched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import backstay
from backstay.loop.label import live_rows
from backstay.project import Project


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("elsewhere") / "project"
    folder.mkdir()
    rng = np.random.default_rng(0)
    score = rng.uniform(size=400)
    truth = rng.uniform(size=400) < score
    rows = pa.table(
        {
            "id": [f"old-{i}" for i in range(400)],
            "prediction": ["yes" if s > 0.5 else "no" for s in score],
            "score": score,
            "y": ["yes" if t else "no" for t in truth],
        }
    )
    pq.write_table(rows, folder / "reference.parquet")
    backstay.adopt(
        None,
        reference=folder / "reference.parquet",
        target="y",
        predictions_only=True,
        score="score",
        positive="yes",
        row_id="id",
        name="tiny",
        folder=folder,
    )
    return folder


@pytest.fixture(scope="module")
def server(elsewhere: Path, serving_process: Callable[..., Any]) -> Any:
    return serving_process(elsewhere)


def answered(n: int, stem: str = "new") -> list[dict[str, Any]]:
    rng = np.random.default_rng(1)
    found = []
    for i, p in enumerate(rng.uniform(size=n)):
        scores = {"yes": float(p), "no": 1.0 - float(p)}
        found.append(
            {"id": f"{stem}-{i}", "prediction": "yes" if p > 0.5 else "no", "scores": scores, "group": f"g{i % 50}"}
        )
    return found


def test_answers_are_logged_labelled_and_watched(elsewhere: Path, server: Any) -> None:
    assert server.call("GET", "/v2/health/ready")[0] == 200
    items = answered(200)
    items[0]["latency_ms"], items[1]["latency_ms"] = 12.5, 0
    status, told = server.call("POST", "/v2/models/tiny/predictions", items)
    assert (status, told["accepted"]) == (200, 200)
    status, told = server.call("POST", "/v2/models/tiny/feedback", {"id": "new-0", "value": "yes"})
    assert status == 200
    status, told = server.call("POST", "/v2/models/tiny/infer", {"inputs": []})
    assert status == 404
    assert "/predictions" in told["error"]

    project = Project.open(elsewhere)
    assert project.status().logged_rows == 200
    waits = live_rows(project.ws).latencies
    assert waits is not None
    assert sorted(waits[~np.isnan(waits)].tolist()) == [0.001, 12.5]
    watched = project.monitor.watch(close_now=True)
    assert watched.windows[0].rows == 200
    assert not watched.new_alarms
    labels = project.ws.catalog.labels("tiny", "production")
    assert [(label.prediction_id, label.source, label.trusted) for label in labels] == [("new-0", "key:app", False)]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"{", "not predictions"),
        ([], "0 predictions"),
        ({"id": "x", "prediction": "maybe"}, "'maybe'"),
        ({"id": "", "prediction": "yes"}, "0 characters"),
        ({"id": "x", "prediction": "yes", "scores": {"yes": 0.9}}, "one probability a class"),
        ({"id": "x", "prediction": "yes", "scores": {"yes": 1.9, "no": -0.9}}, "one probability a class"),
        ({"id": "x", "prediction": "yes", "time": "2026-03-01T12:00:00"}, "no zone"),
        ({"id": "x", "prediction": "yes", "time": "2936-03-01T12:00:00Z"}, "more than a day ahead"),
        ({"id": "x", "prediction": "yes", "embedding": []}, "embedding"),
        ({"id": "x", "prediction": "yes", "latency_ms": -1.0}, "-1 milliseconds"),
        ({"id": "x", "prediction": "yes", "latency_ms": 1e300}, "1e+300 milliseconds"),
        ({"id": "x", "prediction": "yes", "latency_ms": "fast"}, "latency_ms"),
        ({"id": "x", "prediction": "yes", "extra": 1}, "extra"),
        ([{"id": "x", "prediction": "yes"}, {"id": "x", "prediction": "no"}], "more than once"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_logged(elsewhere: Path, server: Any, body: Any, says: str) -> None:
    before = Project.open(elsewhere).status().logged_rows
    status, told = server.call("POST", "/v2/models/tiny/predictions", body)
    assert status == 400
    assert says in told["error"]
    assert Project.open(elsewhere).status().logged_rows == before


def test_a_key_for_feedback_may_not_log(elsewhere: Path, serving_process: Callable[..., Any]) -> None:
    token = Project.open(elsewhere).keys.create("reviewer", scopes=("feedback",)).token
    server = serving_process(elsewhere, token)
    assert server.call("POST", "/v2/models/tiny/predictions", answered(1, "late"))[0] == 403
