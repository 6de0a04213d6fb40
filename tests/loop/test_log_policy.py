"""A log without inputs: refused where it blinds a detector of the model at hand, honoured where that was meant."""

from __future__ import annotations

import pytest

import backstay
from backstay.journal.entries import Predictions
from backstay.journal.writer import JournalWriter
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Decision
from backstay.loop.act import carry_out


def without_inputs(folder, detectors='["embedding", "prediction"]', kept="none"):
    """The project file asks for a log without inputs, says that no challenger comes of it, and names its detectors."""
    file = folder / "backstay.toml"
    text = file.read_text()
    for section, line in (
        ("watch", f"detectors = {detectors}"),
        ("retrain", "from_log = false"),
        ("serve", f'log_inputs = "{kept}"'),
    ):
        head = f"[{section}]\n"
        text = text.replace(head, f"{head}{line}\n") if head in text else f"{text}\n{head}{line}\n"
    file.write_text(text)


@pytest.mark.parametrize("kept", ["none", "hashed"])
def test_adopting_a_model_that_no_detector_could_see_leaves_nothing(tiny, tmp_path, kept):
    folder = tmp_path / "new"
    folder.mkdir()
    (folder / "backstay.toml").write_text('version = 1\nname = "t"\n[data]\ntarget = "y"\nid = "id"\n')
    without_inputs(folder, kept=kept)
    adopt = {"reference": tiny.file("ref.parquet"), "target": "y", "folder": folder}
    with pytest.raises(BackstayError, match=f'log_inputs = "{kept}".*no embedding.*"embedding" in watch') as caught:
        backstay.adopt(tiny.file("champion.onnx"), **adopt)
    assert 'take "embedding" out of watch.detectors' in caught.value.fix
    assert not list((folder / ".backstay" / "bundles").glob("*"))
    assert not list(backstay.open(folder).ws.catalog.every_release())
    text = (folder / "backstay.toml").read_text().replace('"embedding", ', "")
    (folder / "backstay.toml").write_text(text)
    assert backstay.adopt(tiny.file("champion.onnx"), **adopt).release.sequence == 1


def test_promoting_and_serving_such_a_model_is_refused_and_changes_nothing(tiny):
    project = backstay.open(tiny.folder)
    offered = project.models.offer(tiny.folder / "good.onnx")
    without_inputs(tiny.folder)
    before = tiny.tables()
    project = backstay.open(tiny.folder)
    with pytest.raises(BackstayError, match="puts out no embedding"):
        project.releases.promote(offered.model.id)
    with pytest.raises(BackstayError, match="puts out no embedding"):
        project.releases.serve(require_key=False)
    assert tiny.tables() == before


def test_a_model_with_embeddings_is_seen_without_inputs(trained, monkeypatch):
    without_inputs(trained.folder)
    monkeypatch.setattr("backstay.loop.serve.run_server", lambda *_, **__: None)
    trained.open().releases.serve(require_key=False)


def test_a_project_that_keeps_no_inputs_says_so_and_goes_on(trained):
    """No row to learn from: it watches, takes labels, judges what is made elsewhere, and does not retrain."""
    without_inputs(trained.folder, detectors='["embedding", "prediction", "labelled_error"]')
    project = trained.open()
    release = project.releases.champion()
    at = int(trained.clock.now().timestamp() * 1e6)
    entry = Predictions("orders", "production", release.id, release.model_id, at, ["s-1", "s-2"], ["yes", "no"])
    with JournalWriter(trained.folder / ".backstay" / "journal") as writer:
        writer.append_predictions([entry])
    project = trained.later(8)
    project.labels.answer([{"id": f"t-{i:03d}", "label": "yes"} for i in range(120)] + [{"id": "s-1", "label": "no"}])
    assert project.monitor.watch(act=True).windows
    with pytest.raises(BackstayError, match=r"from_log = false.*nothing is learned from the log") as caught:
        project.models.retrain()
    assert "--rows" in caught.value.fix
    with pytest.raises(BackstayError, match="of no use here"):
        project.labels.request(5, purpose="retrain")
    bundle = project.ws.bundles / str(project.ws.model_record(release.model_id).bundle)
    offered = project.models.offer(bundle / "model.onnx")
    # Judged on the reference rows that nothing learned from, although labels for the gate have come in.
    told = project.ws.data_version(offered.verdict.data_id)
    assert told.source.startswith("data-")


def test_the_agent_says_that_a_new_model_is_made_elsewhere(trained):
    without_inputs(trained.folder)
    project = trained.open()
    acted, promoted, (said,) = carry_out(project.ws, Decision(True, "it pays"), project.releases.champion())
    assert (acted, promoted) == (None, None)
    assert "adopt --challenger" in said
    assert project.ws.catalog.requests("orders", "production", status="open") == []
