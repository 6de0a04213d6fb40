from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from backstay.bundle.manifest import Manifest
from backstay.bundle.model import load
from backstay.bundle.tokens import PADDING, TOKENIZER_FILE
from backstay.data.schema import conform, infer_schema
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Schema
from backstay.settings import TrainSettings
from backstay.train.encoders import ENCODERS
from backstay.train.examples import profile_of, tensors_of
from backstay.train.loop import fit
from backstay.train.options import Options

SMALL = {"vocabulary": 400, "length": 24, "width": 16, "layers": 1, "heads": 2, "dropout": 0.0}
THINGS = {"card": ("card", "plastic"), "parcel": ("parcel", "package"), "refund": ("refund", "money back")}
FRAMES = ("where is my {}?", "I lost the {}!", "tell me about the {} please", "no {} yet after {n} days", "{}")


def told(n: int, seed: int) -> tuple[pa.Table, Schema]:
    rng = np.random.default_rng(seed)
    meant = rng.choice(list(THINGS), n)
    said = [FRAMES[rng.integers(len(FRAMES))].format(THINGS[m][rng.integers(2)], n=rng.integers(1, 99)) for m in meant]
    table = pa.table({"said": said, "intent": meant.tolist()})
    schema = infer_schema(table, target="intent", kinds={"said": "text"}, features=["said"])
    return conform(table, schema), schema


TABLE, SCHEMA = told(240, 0)
PARTS = {"train": np.arange(180), "tune": np.arange(180, 240)}
RECIPE = TrainSettings(
    epochs=8, batch_size=32, dimension=8, learning_rate=0.02, encoder_options=SMALL, augmentation=0.0, patience=8
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("text")
    out = fit(TABLE, SCHEMA, PARTS, RECIPE, classes=tuple(THINGS), workdir=folder)
    assert out.parity < 1e-4
    assert out.figures["cut_texts"] == 0
    assert out.figures["tune_accuracy"] > 0.9
    return out.bundle_directory


def test_the_bundle_answers_texts_of_any_length_and_number(trained: Path) -> None:
    model = load(trained)
    assert model.manifest.format_version == 2
    assert TOKENIZER_FILE in model.manifest.files
    fresh, _ = told(100, 7)
    answers = model.predict(fresh)
    assert (answers.labels == np.array(fresh.column("intent").to_pylist(), dtype=object)).mean() > 0.9
    odd = pa.table({"said": pa.array([None, "", "my 😀 card", "parcel " * 300, "x"], pa.string())})
    both = model.predict(odd)
    assert np.isfinite(both.scores).all()
    for row in range(5):
        alone = model.predict(odd.slice(row, 1))
        assert np.abs(alone.scores - both.scores[row]).max() < 1e-5
        assert np.abs(alone.embeddings - both.embeddings[row]).max() < 1e-5
    assert both.scores[0].tolist() == pytest.approx(both.scores[1].tolist())


def test_the_same_run_gives_the_same_model(trained: Path, tmp_path: Path) -> None:
    again = fit(TABLE, SCHEMA, PARTS, RECIPE, classes=tuple(THINGS), workdir=tmp_path)
    assert again.bundle_directory.name == trained.name
    assert Manifest.read(trained / "manifest.json").space_id


def test_padding_changes_nothing() -> None:
    profile = profile_of(TABLE, SCHEMA, PARTS["train"], Options("o", SMALL))
    encoder = ENCODERS["text"](profile, 8, Options("o", SMALL)).eval()
    (codes,) = tensors_of(profile, TABLE)
    with torch.no_grad():
        plain = encoder(codes)
        wide = torch.nn.functional.pad(codes, (0, 24 - codes.shape[1]), value=PADDING)
        assert (encoder(wide) - plain).abs().max() < 1e-6
        assert (torch.cat([encoder(row[None]) for row in codes]) - plain).abs().max() < 1e-6
        assert (encoder._rows(codes) - plain).abs().max() < 1e-6
        assert torch.isfinite(encoder(torch.zeros_like(codes[:3]))).all()
    assert torch.allclose(plain.norm(dim=1), torch.ones(len(plain)))


def test_what_is_cut_is_counted() -> None:
    long = TABLE.set_column(0, "said", pa.array([" ".join(["word"] * (1 + i % 40)) for i in range(240)]))
    profile = profile_of(long, SCHEMA, PARTS["train"], Options("o", SMALL))
    assert 0 < profile.cut < 180
    assert profile.cut == sum(1 + 1 + i % 40 > 24 for i in range(180))


def test_text_stands_alone() -> None:
    beside = TABLE.append_column("n", pa.array(np.arange(240.0)))
    schema = infer_schema(beside, target="intent", kinds={"said": "text"}, features=["n", "said"])
    with pytest.raises(BackstayError, match=r"a text column \('said'\) beside 1 other"):
        profile_of(conform(beside, schema), schema, PARTS["train"])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"width": 30, "heads": 4}, "heads cannot share"),
        ({"vocabulary": 10}, "from 300"),
        ({"wdith": 64}, "no key 'wdith'"),
    ],
)
def test_options_are_checked(tmp_path: Path, options: dict[str, int], told: str) -> None:
    recipe = RECIPE.model_copy(update={"encoder_options": options})
    with pytest.raises(BackstayError, match=told):
        fit(TABLE, SCHEMA, PARTS, recipe, classes=tuple(THINGS), workdir=tmp_path)


def test_the_encoder_for_texts_wants_a_text() -> None:
    table = pa.table({"n": np.arange(240.0), "intent": TABLE.column("intent")})
    schema = infer_schema(table, target="intent")
    profile = profile_of(conform(table, schema), schema, PARTS["train"])
    for name in ("text", "bag", "vectors"):
        with pytest.raises(BackstayError, match="features hold none"):
            ENCODERS[name](profile, 8, Options("o", {}))
