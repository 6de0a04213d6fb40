"""Signed models from end to end: signed when made, asked for when they go live, checked when they are served."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backstay.access.signing import SIGNING_VARIABLE, SigningKey, new_secret
from backstay.cli.main import run
from backstay.kernel.errors import BackstayError, Refused, Tampered
from backstay.project import Project

SECRET = new_secret()
PUBLIC = SigningKey.parse(SECRET).public


@pytest.fixture(autouse=True)
def unarmed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SIGNING_VARIABLE, raising=False)


def demand(folder: Path, *, require: bool = True, key: str = str(PUBLIC)) -> None:
    file = folder / "backstay.toml"
    text = file.read_text().split("[signing]")[0]
    file.write_text(f'{text}\n[signing]\ntrusted = ["{key}"]\nrequire = {str(require).lower()}\n')


def offered(folder: Path) -> str:
    """A successor that passes the gate."""
    made = Project.open(folder).models.offer(folder / "good.onnx")
    assert made.verdict.passed
    return made.model.id


def bundle(folder: Path, model_id: str) -> Path:
    return folder / ".backstay" / "bundles" / model_id


def kinds(folder: Path) -> list[str]:
    return [row.kind for row in Project.open(folder).ws.ledger.rows()]


def test_what_is_made_while_a_key_is_there_is_signed_and_goes_live(tiny, monkeypatch):
    demand(tiny.folder)
    monkeypatch.setenv(SIGNING_VARIABLE, SECRET)
    model_id = offered(tiny.folder)
    monkeypatch.delenv(SIGNING_VARIABLE)
    project = Project.open(tiny.folder)
    assert project.releases.promote().model_id == model_id
    rows = [row.body for row in project.ws.ledger.rows("signed")]
    assert [(body["candidate"], body["key"], body["public"]) for body in rows] == [(model_id, PUBLIC.id, str(PUBLIC))]
    assert "signed" in [row.kind for row in project.releases.history().events]


def test_what_nobody_signed_is_refused_on_record_until_somebody_does(tiny, monkeypatch):
    demand(tiny.folder)
    model_id = offered(tiny.folder)
    with pytest.raises(Refused, match="no signature of a trusted key"):
        Project.open(tiny.folder).releases.promote()
    assert kinds(tiny.folder)[-1] == "promotion_refused"
    monkeypatch.setenv(SIGNING_VARIABLE, SECRET)
    signed = Project.open(tiny.folder).releases.sign(model_id[:14])
    assert (signed.model, signed.key, signed.trusted) == (model_id, PUBLIC.id, True)
    assert Project.open(tiny.folder).releases.promote().model_id == model_id


def test_a_stranger_s_signature_does_not_help(tiny, monkeypatch):
    demand(tiny.folder)
    monkeypatch.setenv(SIGNING_VARIABLE, new_secret())
    offered(tiny.folder)
    assert not Project.open(tiny.folder).releases.sign().trusted
    with pytest.raises(Refused, match="no signature of a trusted key"):
        Project.open(tiny.folder).releases.promote()


def test_a_signature_that_does_not_hold_is_refused_even_where_none_is_asked_for(tiny, monkeypatch):
    demand(tiny.folder, require=False)
    monkeypatch.setenv(SIGNING_VARIABLE, SECRET)
    model_id = offered(tiny.folder)
    path = bundle(tiny.folder, model_id) / "signatures" / f"{PUBLIC.id}.dsse.json"
    document = json.loads(path.read_text())
    document["payload"] = document["payload"][:-8] + "AAAAAAAA"
    path.write_text(json.dumps(document))
    with pytest.raises(Refused, match="not that of key"):
        Project.open(tiny.folder).releases.promote()


def test_rolling_back_to_what_nobody_signed_is_refused_on_record(tiny, monkeypatch):
    monkeypatch.setenv(SIGNING_VARIABLE, SECRET)
    offered(tiny.folder)
    Project.open(tiny.folder).releases.promote()
    demand(tiny.folder)
    with pytest.raises(Refused, match="no signature"):
        Project.open(tiny.folder).releases.rollback(reason="complaints")
    assert kinds(tiny.folder)[-1] == "rollback_refused"
    former = Project.open(tiny.folder).releases.history().releases[0]
    Project.open(tiny.folder).releases.sign(former.model_id)
    assert Project.open(tiny.folder).releases.rollback(reason="complaints").model_id == former.model_id


def test_adopting_asks_too(tiny, tmp_path, monkeypatch):
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    (fresh / "backstay.toml").write_text('version = 1\nname = "fresh"\n[data]\ntarget = "y"\nid = "id"\n')
    demand(fresh)
    arguments = ["adopt", tiny.file("champion.onnx"), "--reference", tiny.file("ref.parquet")]
    arguments += ["--target", "y", "--project", str(fresh)]
    assert run(arguments) == 3
    assert Project.open(fresh).status().champion is None
    monkeypatch.setenv(SIGNING_VARIABLE, SECRET)
    assert run(arguments) == 0


def test_verify_names_what_is_unsigned_or_was_signed_for_other_bytes(tiny, monkeypatch):
    demand(tiny.folder, require=False)
    assert Project.open(tiny.folder).verify().sound
    demand(tiny.folder)
    assert "no signature of a trusted key" in Project.open(tiny.folder).verify().problems[0]
    monkeypatch.setenv(SIGNING_VARIABLE, SECRET)
    live = Project.open(tiny.folder).releases.sign()
    assert Project.open(tiny.folder).verify().sound
    path = Path(live.file)
    path.write_bytes(path.read_bytes().replace(b'"sig": "', b'"sig": "AAAA'))
    assert any("does not hold" in problem for problem in Project.open(tiny.folder).verify().problems)


def test_a_server_keeps_the_old_model_when_the_new_one_is_not_signed(tiny, monkeypatch, serving_process):
    monkeypatch.setenv(SIGNING_VARIABLE, SECRET)
    Project.open(tiny.folder).releases.sign()
    monkeypatch.delenv(SIGNING_VARIABLE)
    offered(tiny.folder)
    strict = (tiny.folder / "backstay.toml").read_text()
    demand(tiny.folder)
    server = serving_process(tiny.folder)
    (tiny.folder / "backstay.toml").write_text(strict)
    Project.open(tiny.folder).releases.promote()  # by somebody whose project file asks for less
    told = next(event for event in map(json.loads, server.process.stdout) if event["event"] == "swap_failed")
    assert "no signature of a trusted key" in told["error"]
    status, answer = server.call("GET", "/v2/models/tiny")
    assert status == 200
    assert answer["versions"][-1] == "1"


def test_a_server_does_not_start_on_what_is_not_signed(tiny):
    demand(tiny.folder)
    Project.open(tiny.folder).keys.create("app", scopes=("predict",))
    with pytest.raises(Refused, match="no signature"):
        Project.open(tiny.folder).releases.serve(port=0, announce=lambda _: None)


def test_a_new_key_is_printed_once_and_kept_nowhere(tiny, capsys):
    before = tiny.files(), tiny.tables()
    assert run(["sign", "--new-key", "--json", "--project", tiny.file("")]) == 0
    made = json.loads(capsys.readouterr().out)
    assert SigningKey.parse(made["secret"]).public == SigningKey.parse(made["secret"]).public
    assert str(SigningKey.parse(made["secret"]).public) == made["public"]
    assert (tiny.files(), tiny.tables()) == before
    assert run(["sign", "--new-key"]) == 0
    text = capsys.readouterr().out
    assert f"{SIGNING_VARIABLE}=" in text
    assert "trusted = [" in text


def test_the_secret_is_in_no_file_of_the_project_and_in_no_message(tiny, monkeypatch, capsys):
    monkeypatch.setenv(SIGNING_VARIABLE, SECRET)
    assert run(["sign", "--json", "--project", str(tiny.folder)]) == 0
    assert run(["sign", "--project", str(tiny.folder)]) == 0
    said = capsys.readouterr()
    assert SECRET not in said.out + said.err
    assert "signing.trusted" in said.out
    assert not [p for p in tiny.folder.rglob("*") if p.is_file() and SECRET.encode() in p.read_bytes()]


def test_what_cannot_be_signed(tiny, monkeypatch):
    with pytest.raises(BackstayError, match="no key to sign with"):
        Project.open(tiny.folder).releases.sign()
    monkeypatch.setenv(SIGNING_VARIABLE, SECRET)
    with pytest.raises(BackstayError, match="no model"):
        Project.open(tiny.folder).releases.sign("model-nowhere")
    live = Project.open(tiny.folder).releases.history().releases[0].model_id
    (bundle(tiny.folder, live) / "model.onnx").write_bytes(b"another graph")
    with pytest.raises(Tampered, match="not the file"):
        Project.open(tiny.folder).releases.sign()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[signing]\nrequire = true\n", "no key is trusted"),
        ('[signing]\ntrusted = ["ed25519:short"]\n', "trusted"),
        ("[signing]\ntrust = []\n", "trusted"),
    ],
)
def test_settings_that_could_never_work_are_refused(tiny, text, said):
    file = tiny.folder / "backstay.toml"
    file.write_text(file.read_text() + "\n" + text)
    with pytest.raises(BackstayError, match=said):
        Project.open(tiny.folder)


def test_a_backup_keeps_signatures(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv(SIGNING_VARIABLE, SECRET)
    signed = Project.open(tiny.folder).releases.sign()
    Project.open(tiny.folder).gc()
    Project.open(tiny.folder).backup(tmp_path / "copy")
    assert list((tmp_path / "copy" / "bundles").glob(f"*/signatures/{signed.key}.dsse.json"))
