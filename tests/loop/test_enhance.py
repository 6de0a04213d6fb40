"""An image for an image: trained, judged by what it was given, asked for by file, by frame and over HTTP."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import backstay
from backstay.cli.main import run
from backstay.data.images import image_array, pixels_of
from backstay.evaluate.enhancement import damaged, psnr
from backstay.journal.writer import JournalWriter
from backstay.kernel.clock import ManualClock
from backstay.kernel.errors import BackstayError
from backstay.loop.serve import pointer
from backstay.project import Project
from backstay.serve.app import App
from backstay.serve.live import Live
from backstay.serve.metrics import Metrics

TOML = """
version = 1
name = "scans"

[data]
source = "scans.parquet"
target = "digit"

[train]
objective = "denoising"
enhance = true
epochs = 8
patience = 8
dimension = 32
learning_rate = 0.005
batch_size = 64

[gate]
minimum_n = 40
rules = [ { rule = "beats_controls", margin = 0.9, surely_behind = 0.9 } ]

[serve]
require_key = false
"""


@pytest.fixture(scope="module")
def scans() -> np.ndarray:
    return (load_digits().images * 15.9).astype(np.uint8)[..., None]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, scans: np.ndarray) -> Project:
    """Trained on 1,200 scans and promoted; nobody changes it."""
    folder = tmp_path_factory.mktemp("scans")
    (folder / "backstay.toml").write_text(TOML)
    labels = [str(d) for d in load_digits().target[:1200]]
    pq.write_table(pa.table({"image": image_array(scans[:1200]), "digit": labels}), folder / "scans.parquet")
    opened = backstay.open(folder, clock=ManualClock(datetime(2026, 1, 5, tzinfo=UTC)), actor="ada")
    offered = opened.models.run()
    assert offered.verdict.passed, offered.verdict.reasons
    figures = {m.of: m for m in offered.report.measurements if m.metric == "psnr"}
    assert figures["model"].interval.low > figures["control:damaged_input"].interval.high
    opened.releases.promote(reason="clears scans")
    return opened


def test_new_images_come_back_nearer_to_the_clean_ones(project: Project, scans: np.ndarray):
    clean = scans[1200:1300]
    given = damaged(clean, hidden=0.3, seed=5)
    done = project.models.enhance(pa.table({"image": image_array(given), "note": ["x"] * 100}))
    answered = pixels_of(done.table.column("image"))
    assert answered.shape == clean.shape
    assert psnr(clean, answered).mean() > psnr(clean, given).mean() + 2.0
    assert done.table.column("note").to_pylist() == ["x"] * 100


def test_files_in_and_out_by_the_command_line(project: Project, scans: np.ndarray, tmp_path: Path, capsys):
    where = ["--project", str(project.ws.root)]
    given = damaged(scans[1300:1303], hidden=0.3)
    Image.fromarray(given[0, ..., 0]).save(tmp_path / "one.png")
    assert run(["enhance", str(tmp_path / "one.png"), "--output", str(tmp_path / "clear.png"), *where]) == 0
    assert "enhanced 1 image into" in capsys.readouterr().out
    wanted = pixels_of(project.models.enhance(pa.table({"image": image_array(given)})).table.column("image"))
    assert np.array_equal(np.asarray(Image.open(tmp_path / "clear.png")), wanted[0, ..., 0])
    pq.write_table(pa.table({"image": image_array(given)}), tmp_path / "rows.parquet")
    assert run(["enhance", str(tmp_path / "rows.parquet"), "--output", str(tmp_path / "out.parquet"), *where]) == 0
    assert np.array_equal(pixels_of(pq.read_table(tmp_path / "out.parquet").column("image")), wanted)
    assert run(["enhance", str(tmp_path / "rows.parquet"), "--output", str(tmp_path / "out.png"), *where]) == 2
    Image.fromarray(np.zeros((9, 8), np.uint8)).save(tmp_path / "tall.png")
    assert run(["enhance", str(tmp_path / "tall.png"), "--output", str(tmp_path / "no.png"), *where]) == 2
    assert "8x8x1" in capsys.readouterr().err
    assert run(["enhance", str(tmp_path / "nowhere.png"), "--output", str(tmp_path / "no.png"), *where]) == 2
    assert "there is no file" in capsys.readouterr().err
    assert not (tmp_path / "no.png").exists()


def call(app: App, path: str, body: bytes) -> tuple[int, dict[bytes, bytes], bytes]:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
    asyncio.run(app({"type": "http", "method": "POST", "path": path, "headers": headers}, receive, send))
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]


def test_over_http(project: Project, scans: np.ndarray, tmp_path: Path):
    metrics = Metrics()
    live = Live(lambda: pointer(project.ws), list, metrics, lambda _: None)
    live.start()
    journal = JournalWriter(tmp_path / "journal", minimum_free_bytes=0)
    app = App(project.settings, live, journal, metrics, project.ws.clock)
    try:
        given = damaged(scans[1300:1302], hidden=0.3)
        name = live.current.model.manifest.inputs[0].name
        tensor = {"name": name, "datatype": "UINT8", "shape": [2, 8, 8, 1], "data": given.reshape(-1).tolist()}
        wanted = live.current.model.enhancer.run(given)
        path = "/v2/models/scans/enhance"
        status, _, body = call(app, path, json.dumps({"inputs": [tensor], "id": "q"}).encode())
        answer = json.loads(body)
        assert status == 200, answer
        assert answer["id"] == "q"
        output = answer["outputs"][0]
        assert (output["name"], output["datatype"], output["shape"]) == ("enhanced", "UINT8", [2, 8, 8, 1])
        assert output["data"] == wanted.reshape(-1).tolist()
        asked = {"inputs": [tensor], "parameters": {"binary_data_output": True}}
        status, headers, body = call(app, path, json.dumps(asked).encode())
        assert status == 200
        assert body[int(headers[b"inference-header-content-length"]) :] == wanted.tobytes()
        wrong = {**tensor, "shape": [1, 9, 8, 1], "data": [0] * 72}
        assert call(app, path, json.dumps({"inputs": [wrong]}).encode())[0] == 400
        live.current.model.enhancer = None
        status, _, body = call(app, path, json.dumps({"inputs": [tensor]}).encode())
        assert status == 409
        assert b"train.enhance" in body
    finally:
        live.stop()
        journal.close()


@pytest.mark.parametrize(
    ("changes", "told"),
    [('objective = "nt_xent"', "'nt_xent' does not learn to"), ('objective = "denoising"', "these rows are no images")],
)
def test_what_cannot_be_rebuilt_is_refused(tmp_path: Path, scans: np.ndarray, changes: str, told: str):
    (tmp_path / "backstay.toml").write_text(TOML.replace('objective = "denoising"', changes))
    labels = [str(d) for d in load_digits().target[:200]]
    column = image_array(scans[:200]) if "nt_xent" in changes else pa.array(np.arange(200.0))
    pq.write_table(pa.table({"image": column, "digit": labels}), tmp_path / "scans.parquet")
    with pytest.raises(BackstayError, match=told):
        backstay.open(tmp_path).models.run()
