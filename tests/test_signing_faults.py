"""Signatures in the wrong place: what would let one bundle pass for another, or an attempt go unrecorded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from backstay.access.signing import SIGNING_VARIABLE, SigningKey, new_secret, unseal
from backstay.bundle.attest import sign_bundle, signers
from backstay.cli.main import run
from backstay.kernel.errors import BackstayError, Refused, Tampered
from backstay.project import Project

SECRET = new_secret()
PUBLIC = SigningKey.parse(SECRET).public


@pytest.fixture(autouse=True)
def unarmed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SIGNING_VARIABLE, raising=False)


def demand(folder: Path, *, require: bool = True) -> None:
    file = folder / "backstay.toml"
    text = file.read_text().split("[signing]")[0]
    file.write_text(f'{text}\n[signing]\ntrusted = ["{PUBLIC}"]\nrequire = {str(require).lower()}\n')


def live_bundle(folder: Path) -> Path:
    return folder / ".backstay" / "bundles" / Project.open(folder).releases.history().releases[-1].model_id


def promoted_while_signed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SIGNING_VARIABLE, SECRET)
    Project.open(folder).models.offer(folder / "good.onnx")
    Project.open(folder).releases.promote()
    monkeypatch.delenv(SIGNING_VARIABLE)
    demand(folder)


def test_nobody_signs_another_model_in_the_folder_of_the_named_one(tiny, monkeypatch):
    successor = Project.open(tiny.folder).models.offer(tiny.folder / "good.onnx").model.id
    live = live_bundle(tiny.folder)
    shutil.rmtree(live)
    shutil.copytree(live.with_name(successor), live)
    monkeypatch.setenv(SIGNING_VARIABLE, SECRET)
    with pytest.raises(Tampered, match="holds another bundle"):
        Project.open(tiny.folder).releases.sign(live.name)
    assert not (live / "signatures").exists()
    assert list(Project.open(tiny.folder).ws.ledger.rows("signed")) == []


def test_a_trusted_signature_is_not_passed_over_because_it_was_renamed(tiny):
    live = live_bundle(tiny.folder)
    path = sign_bundle(live, SigningKey.parse(SECRET))
    path.rename(path.with_name("x.dsse.json"))
    assert signers(live, [PUBLIC]) == (PUBLIC,)
    (live / "model.onnx").write_bytes((live / "model.onnx").read_bytes() + b" ")
    with pytest.raises(Tampered, match="another bundle"):
        signers(live, [PUBLIC])


def test_a_signer_counts_once(tiny):
    live, (a, b) = live_bundle(tiny.folder), (SigningKey(b"a" * 32), SigningKey(b"b" * 32))
    first, second = (sign_bundle(live, key) for key in (a, b))
    document = json.loads(first.read_text())
    document["signatures"] += json.loads(second.read_text())["signatures"]
    first.write_text(json.dumps(document))
    assert sorted(k.id for k in signers(live, [a.public, b.public])) == sorted((a.public.id, b.public.id))


def test_what_cannot_be_read_is_named(tiny):
    live = live_bundle(tiny.folder)
    (live / "signatures" / f"{PUBLIC.id}.dsse.json").mkdir(parents=True)
    with pytest.raises(Tampered, match="cannot be read"):
        signers(live, [PUBLIC])


def test_an_envelope_nested_without_end_is_no_envelope():
    with pytest.raises(Tampered, match="not JSON"):
        unseal(b"[" * 500_000, "kind", [PUBLIC], "of a test")


def test_verify_asks_for_a_signature_of_what_is_live_only(tiny, monkeypatch):
    promoted_while_signed(tiny.folder, monkeypatch)
    assert Project.open(tiny.folder).verify().problems == ()


def test_history_tells_of_a_refused_rollback(tiny, monkeypatch):
    promoted_while_signed(tiny.folder, monkeypatch)
    with pytest.raises(Refused):
        Project.open(tiny.folder).releases.rollback(reason="complaints")
    assert Project.open(tiny.folder).releases.history().events[-1].kind == "rollback_refused"


def test_a_refused_adoption_is_on_record(tiny, tmp_path):
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    (fresh / "backstay.toml").write_text('version = 1\nname = "fresh"\n[data]\ntarget = "y"\nid = "id"\n')
    demand(fresh)
    arguments = ["adopt", tiny.file("champion.onnx"), "--reference", tiny.file("ref.parquet")]
    assert run([*arguments, "--target", "y", "--project", str(fresh)]) == 3
    assert Project.open(fresh).releases.history().events[-1].kind == "adoption_refused"


def test_a_key_that_is_none_is_noticed_before_anything_is_made(tiny, monkeypatch):
    monkeypatch.setenv(SIGNING_VARIABLE, "not a key")
    before = tiny.tables()
    with pytest.raises(BackstayError, match="holds no signing key"):
        Project.open(tiny.folder).models.offer(tiny.folder / "good.onnx")
    assert tiny.tables() == before
