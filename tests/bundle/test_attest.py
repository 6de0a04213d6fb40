"""Signed bundles: what a signature covers, and every way in which it can stop to hold."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from backstay.access.signing import SigningKey
from backstay.bundle.attest import MOST_BYTES, PREDICATE, STATEMENT, sign_bundle, signers, subjects
from backstay.bundle.manifest import FORMAT_VERSION, InputSpec, Manifest, OutputSpec
from backstay.bundle.write import write_bundle
from backstay.kernel.errors import BackstayError, Tampered

ALICE, BOB = SigningKey(b"a" * 32), SigningKey(b"b" * 32)


def draft(classes: tuple[str, ...] = ("no", "yes")) -> Manifest:
    inputs = (InputSpec("a", "FP32", (-1, 1), "column", ("a",)),)
    return Manifest(FORMAT_VERSION, "classification", inputs, (OutputSpec("s", "FP32", (-1, 2), "scores"),), classes)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return tmp_path / write_bundle(tmp_path, b"graph", draft(), files={"tokenizer.json": b"{}"})


def test_a_signature_names_every_file_and_leaves_the_id_alone(bundle):
    before = Manifest.read(bundle / "manifest.json").id
    path = sign_bundle(bundle, ALICE)
    assert set(subjects(path.read_bytes())) == {"manifest.json", "model.onnx", "tokenizer.json"}
    assert Manifest.read(bundle / "manifest.json").id == before == bundle.name
    assert signers(bundle, [ALICE.public, BOB.public]) == (ALICE.public,)


def test_the_statement_is_in_toto_v1(bundle):
    import base64

    body = json.loads(base64.b64decode(json.loads(sign_bundle(bundle, ALICE).read_bytes())["payload"]))
    assert body["_type"] == STATEMENT
    assert body["predicateType"] == PREDICATE
    assert body["predicate"]["model"] == bundle.name
    assert all(len(subject["digest"]["sha256"]) == 64 for subject in body["subject"])


def test_several_sign_one_bundle_and_signing_again_changes_nothing(bundle):
    first = sign_bundle(bundle, ALICE).read_bytes()
    sign_bundle(bundle, BOB)
    assert sign_bundle(bundle, ALICE).read_bytes() == first
    assert set(signers(bundle, [ALICE.public, BOB.public])) == {ALICE.public, BOB.public}
    assert signers(bundle, [BOB.public]) == (BOB.public,)
    assert signers(bundle, []) == ()


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "manifest.json"])
def test_a_changed_file_breaks_it(bundle, name):
    sign_bundle(bundle, ALICE)
    path = bundle / name
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"no"', b'"on"') if name == "manifest.json" else content + b" ")
    with pytest.raises(Tampered, match="another bundle"):
        signers(bundle, [ALICE.public])


def test_a_missing_file_breaks_it(bundle):
    sign_bundle(bundle, ALICE)
    (bundle / "tokenizer.json").unlink()
    with pytest.raises(Tampered, match="cannot be read"):
        signers(bundle, [ALICE.public])


def test_the_signature_of_another_bundle_is_no_signature_of_this_one(bundle, tmp_path):
    other = tmp_path / write_bundle(tmp_path, b"graph", draft(("a", "b")))
    shutil.copytree(sign_bundle(other, ALICE).parent, bundle / "signatures")
    with pytest.raises(Tampered, match="another bundle"):
        signers(bundle, [ALICE.public])


def test_a_renamed_signature_of_somebody_else_is_not_counted(bundle):
    path = sign_bundle(bundle, BOB)
    path.rename(path.with_name(f"{ALICE.public.id}.dsse.json"))
    assert signers(bundle, [ALICE.public]) == ()


def test_rubbish_under_a_trusted_name_is_an_error_and_under_others_is_nothing(bundle):
    folder = bundle / "signatures"
    folder.mkdir()
    (folder / "somebody.dsse.json").write_bytes(b"\xff")
    assert signers(bundle, [ALICE.public]) == ()
    (folder / f"{ALICE.public.id}.dsse.json").write_bytes(b"\xff")
    with pytest.raises(Tampered, match="not JSON"):
        signers(bundle, [ALICE.public])
    (folder / f"{ALICE.public.id}.dsse.json").write_bytes(b" " * (MOST_BYTES + 1))
    with pytest.raises(Tampered, match="larger than any"):
        signers(bundle, [ALICE.public])


def test_nobody_signs_what_is_not_what_the_manifest_says(bundle):
    (bundle / "model.onnx").write_bytes(b"another graph")
    with pytest.raises(Tampered, match="not the file that the manifest names"):
        sign_bundle(bundle, ALICE)
    assert not (bundle / "signatures").exists()


def test_a_folder_that_cannot_be_written_leaves_nothing(bundle):
    (bundle / "signatures").write_bytes(b"in the way")
    with pytest.raises(BackstayError, match="could not be written"):
        sign_bundle(bundle, ALICE)
    assert sorted(p.name for p in bundle.iterdir()) == ["manifest.json", "model.onnx", "signatures", "tokenizer.json"]
