from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from backstay.bundle.model import load
from backstay.bundle.tokens import PADDING
from backstay.data.schema import conform, infer_schema
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Schema
from backstay.settings import TrainSettings
from backstay.train.encoders import ENCODERS
from backstay.train.encoders.terms import Terms
from backstay.train.examples import profile_of, tensors_of
from backstay.train.loop import fit
from backstay.train.options import Options

SMALL = {"vocabulary": 400, "length": 24, "buckets": 200, "dropout": 0.2}
SAID = {"card": "my {} is lost", "parcel": "where is the {} now", "refund": "{} please"}


def told() -> tuple[pa.Table, Schema]:
    rng = np.random.default_rng(0)
    meant = rng.choice(list(SAID), 240)
    said = [f"{SAID[m].format(m)} {rng.integers(99)}" for m in meant]
    table = pa.table({"said": said, "intent": meant.tolist()})
    schema = infer_schema(table, target="intent", kinds={"said": "text"}, features=["said"])
    return conform(table, schema), schema


TABLE, SCHEMA = told()
PARTS = {"train": np.arange(180), "tune": np.arange(180, 240)}
RECIPE = TrainSettings(
    encoder="terms", epochs=6, batch_size=32, dimension=8, learning_rate=0.02, encoder_options=SMALL, patience=6
)


def made(**more: float) -> tuple[Terms, torch.Tensor]:
    profile = profile_of(TABLE, SCHEMA, PARTS["train"], Options("o", SMALL))
    torch.manual_seed(0)
    encoder = ENCODERS["terms"](profile, 8, Options("o", {**SMALL, **more}))
    return encoder, tensors_of(profile, TABLE)[0]


def test_it_learns_and_the_same_run_gives_the_same_model(tmp_path: Path) -> None:
    out = fit(TABLE, SCHEMA, PARTS, RECIPE, classes=tuple(SAID), workdir=tmp_path / "one")
    assert out.parity < 1e-4
    assert out.figures["tune_accuracy"] > 0.9
    again = fit(TABLE, SCHEMA, PARTS, RECIPE, classes=tuple(SAID), workdir=tmp_path / "two")
    assert again.model_id == out.model_id
    model = load(out.bundle_directory)
    odd = pa.table({"said": pa.array([None, "", "my 😀 card", "parcel " * 300, "x"], pa.string())})
    both = model.predict(odd)
    assert np.isfinite(both.scores).all()
    for row in range(5):
        assert np.abs(model.predict(odd.slice(row, 1)).embeddings - both.embeddings[row]).max() < 1e-5


def test_padding_changes_nothing() -> None:
    encoder, codes = made()
    encoder.eval()
    with torch.no_grad():
        plain = encoder(codes)
        # As the exported graph does it: nothing is cut off there.
        wide = torch.nn.functional.pad(codes, (0, 24 - codes.shape[1]), value=PADDING)
        assert (encoder(wide) - plain).abs().max() < 1e-6
        assert (torch.cat([encoder(row[None]) for row in codes[:20]]) - plain[:20]).abs().max() < 1e-6
        nothing = encoder(torch.zeros_like(codes[:2]))
    assert torch.allclose(plain.norm(dim=1), torch.ones(len(plain)))
    assert torch.equal(nothing, torch.eye(8)[[7, 7]])  # a text without terms has the place of its own


def test_the_sums_are_a_plain_loop() -> None:
    encoder, codes = made()
    encoder.eval()
    with torch.no_grad():
        for table in (encoder.of_words, encoder.of_pairs, encoder.of_runs):
            table.weight.mul_(100)  # so that the sums count beside the 1
        found = encoder(codes[:5])
        for place, row in enumerate(codes[:5].tolist()):
            said = [code for code in row if code != PADDING]
            pairs = [(one * 1_000_003 + two * 7_919) % 200 for one, two in zip(said, [*said[1:], 0], strict=True)]
            runs = [p for code in said for p in encoder.runs[code].tolist() if p]
            words = sum(encoder.of_words.weight[code] for code in said) + sum(encoder.of_pairs.weight[p] for p in pairs)
            letters = sum(encoder.of_runs.weight[p] for p in runs)
            sums = words / (2 * len(said)) ** 0.5 + letters / len(runs) ** 0.5
            expected = torch.cat([sums, torch.ones(1)])
            assert torch.allclose(found[place], expected / expected.norm(), atol=1e-5)


def test_terms_are_left_out_in_training_alone() -> None:
    encoder, codes = made(dropout=0.5)
    with torch.no_grad():
        assert torch.equal(encoder.eval()(codes), encoder(codes))
        assert not torch.equal(encoder.train()(codes), encoder(codes))
        still = made(dropout=0.0)[0]
        assert torch.equal(still.train()(codes), still.eval()(codes))


def test_a_term_that_was_never_learned_adds_next_to_nothing() -> None:
    encoder, codes = made()
    with torch.no_grad():
        before = encoder.eval()(codes)
    assert (before[:, -1] > 0.98).all()  # all sums begin near nothing
    assert (before[:, :-1].abs().sum(dim=1) > 1e-3).all()  # and yet apart, or the untrained control would mean nothing


@pytest.mark.parametrize(("options", "fault"), [({"buckets": 0}, "1 or more|from 1"), ({"width": 3}, "no key 'width'")])
def test_options_are_checked(options: dict[str, int], fault: str) -> None:
    profile = profile_of(TABLE, SCHEMA, PARTS["train"], Options("o", SMALL))
    with pytest.raises(BackstayError, match=fault):
        ENCODERS["terms"](profile, 8, Options("o", options))
