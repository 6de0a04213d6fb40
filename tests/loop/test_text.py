"""Sentences in a csv file to served answers, and back as rows to learn from: the whole loop on text."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pytest

import backstay
from backstay.journal.writer import JournalWriter
from backstay.kernel.clock import ManualClock
from backstay.loop.keys import active
from backstay.loop.label import live_rows
from backstay.loop.serve import pointer
from backstay.project import Project
from backstay.serve.app import App
from backstay.serve.live import Live
from backstay.serve.metrics import Metrics

START = datetime(2026, 1, 5, tzinfo=UTC)

INTENTS = {
    "card_lost": ("I lost my {}", "my {} was stolen", "block the {} at once"),
    "card_late": ("when will my {} arrive", "the {} has not come yet", "still waiting for the {}"),
    "refund": ("I want my money back for the {}", "please refund the {}", "the {} must be refunded"),
    "limit": ("raise the limit of my {}", "how much may I spend with the {}", "the {} has too low a limit"),
    "pin": ("I forgot the code of my {}", "the {} asks for a number I do not know", "change the pin of the {}"),
    "fees": ("why was I charged for the {}", "what does the {} cost a month", "a strange fee on my {}"),
}
THINGS = ("card", "credit card", "debit card", "new card", "virtual card", "Visa", "old card", "café card 😀")
TAILS = ("", " please", " today", " again", " and quickly", "?", "!", " since Monday")
TRAIN = """
[train]
epochs = 14
patience = 14
batch_size = 32
dimension = 16
learning_rate = 0.01
augmentation = 0.0

[train.encoder_options]
vocabulary = 400
length = 24
width = 32
layers = 1
heads = 2
dropout = 0.0

[gate]
minimum_n = 40
rules = [ { rule = "beats_controls", margin = 0.15 }, { rule = "no_worse_than_champion", margin = 0.3 } ]

[watch]
minimum_rows = 50
label_free_minimum = 50

[serve]
require_key = false
minimum_free_bytes = 0
"""


def sentences(n: int, seed: int) -> tuple[list[str], list[str]]:
    rng = np.random.default_rng(seed)
    meant = rng.choice(list(INTENTS), n).tolist()
    said = [
        INTENTS[m][rng.integers(3)].format(THINGS[rng.integers(len(THINGS))]) + TAILS[rng.integers(len(TAILS))]
        for m in meant
    ]
    return said, meant


class Served:
    """The live model behind the server's routes, without a socket."""

    def __init__(self, project: Project) -> None:
        ws = project.ws
        metrics = Metrics()
        self.live = Live(lambda: pointer(ws), lambda: active(ws), metrics, lambda _: None)
        self.live.start()
        self.journal = JournalWriter(ws.state / "journal", minimum_free_bytes=0)
        self.app = App(ws.settings, self.live, self.journal, metrics, ws.clock)

    def ask(self, path: str, body: bytes | None = None) -> tuple[int, dict[str, Any]]:
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body or b"", "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": "POST" if body else "GET",
            "path": path,
            "headers": [(b"host", b"localhost")],
        }
        asyncio.run(self.app(scope, receive, send))
        return sent[0]["status"], json.loads(sent[1]["body"])

    def infer(self, texts: list[str | None], ids: list[str]) -> tuple[int, dict[str, Any]]:
        tensor = {"name": "said", "datatype": "BYTES", "shape": [len(texts), 1], "data": texts}
        body = {"inputs": [tensor], "parameters": {"prediction_ids": ids}}
        return self.ask("/v2/models/requests/infer", json.dumps(body).encode())

    def close(self) -> None:
        self.app._batcher.close()
        self.live.stop()
        self.journal.close()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ManualClock]:
    folder = tmp_path_factory.mktemp("requests")
    said, meant = sentences(700, 0)
    pacsv.write_csv(pa.table({"said": said, "intent": meant}), folder / "requests.csv")
    clock = ManualClock(START)
    return folder, clock


def test_the_whole_loop_on_text(place: tuple[Path, ManualClock]) -> None:
    folder, clock = place
    backstay.init(folder / "requests.csv", target="intent", folder=folder, name="requests")
    proposed = (folder / "backstay.toml").read_text()
    assert '"said" = "text"' in proposed
    (folder / "backstay.toml").write_text(proposed + TRAIN)
    project = backstay.open(folder, clock=clock, actor="ada")
    offered = project.models.run()
    assert {"control:majority", "control:raw_knn", "control:tf_idf_linear"} <= {
        c.against for c in offered.report.comparisons
    }
    accuracy = {m.of: m.value for m in offered.report.measurements if m.metric == "accuracy" and not m.slice}
    assert accuracy["model"] > 0.9
    assert accuracy["control:tf_idf_linear"] > 0.95
    assert offered.verdict.passed, offered.verdict.reasons
    project.releases.promote(reason="the first")

    clock.advance(timedelta(days=1))
    said, meant = sentences(150, 5)
    server = Served(project)
    try:
        status, described = server.ask("/v2/models/requests")
        assert described["inputs"] == [{"name": "said", "datatype": "BYTES", "shape": [-1, 1]}]
        answers: list[str] = []
        for start in range(0, 150, 30):
            ids = [f"live-{i}" for i in range(start, start + 30)]
            status, answer = server.infer(said[start : start + 30], ids)
            assert status == 200, answer
            answers += next(o for o in answer["outputs"] if o["name"] == "label")["data"]
        assert np.mean(np.array(answers) == meant) > 0.9
        status, odd = server.infer(["", None, "x" * 5000, "😀" * 40], ["o1", "o2", "o3", "o4"])
        assert status == 200
        assert len(odd["outputs"][0]["data"]) == 4
        wrong = b'{"inputs":[{"name":"said","datatype":"BYTES","shape":[1,1],"data":["\xff\xfe"]}]}'
        assert server.ask("/v2/models/requests/infer", wrong)[0] == 400
        codes = b'{"inputs":[{"name":"said","datatype":"INT64","shape":[1,3],"data":[3,4,5]}]}'
        assert server.ask("/v2/models/requests/infer", codes)[0] == 400
    finally:
        server.close()

    clock.advance(timedelta(days=1))
    project = backstay.open(folder, clock=clock, actor="ada")
    logged = live_rows(project.ws)
    there = dict(zip(logged.ids.tolist(), logged.inputs.column("said").to_pylist(), strict=True))
    assert [there[f"live-{i}"] for i in range(150)] == said
    assert there["o1"] is None
    assert there["o3"] == "x" * 5000
    watched = project.monitor.watch(close_now=True)
    assert watched.windows or watched.pending is not None
    project.labels.answer([{"id": f"live-{i}", "label": m} for i, m in enumerate(meant)])
    again = project.models.retrain()
    assert again.model.parent == offered.model.id
    learned, _ = project.ws.rows_of(again.model.data_id)
    assert set(said) & set(learned.column("said").to_pylist())
    project.releases.promote(again.model.id, reason="the second")
