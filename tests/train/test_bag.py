from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from backstay.bundle.model import load
from backstay.bundle.tokens import PADDING, SPECIAL, Tokens
from backstay.data.schema import conform, infer_schema
from backstay.kernel.errors import BackstayError
from backstay.kernel.ports import NoProgress
from backstay.kernel.records import Schema
from backstay.settings import TrainSettings
from backstay.train.encoders import ENCODERS
from backstay.train.encoders.bag import Bag, runs_of
from backstay.train.examples import Profile, profile_of, tensors_of
from backstay.train.loop import fit
from backstay.train.options import Options

SMALL = {"vocabulary": 400, "length": 24, "width": 8, "buckets": 200, "windows": 6, "dropout": 0.1}
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
    encoder="bag", epochs=6, batch_size=32, dimension=8, learning_rate=0.02, encoder_options=SMALL, patience=6
)


def made(**more: float) -> tuple[Bag, torch.Tensor]:
    profile: Profile = profile_of(TABLE, SCHEMA, PARTS["train"], Options("o", SMALL))
    torch.manual_seed(0)
    encoder = ENCODERS["bag"](profile, 8, Options("o", {**SMALL, "dropout": 0.0, **more}))
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


class Killed(Exception):
    """The power fails."""


class Fails(NoProgress):
    """Fails when three epochs are told of."""

    def step(self, name, total=None):
        class Step:
            def __init__(self) -> None:
                self.told = 0

            def __enter__(self):
                return self

            def __exit__(self, *_: object) -> None:
                return None

            def __call__(self, amount: int = 1, note: str = "", **figures: float) -> None:
                self.told += amount
                if self.told == 3:
                    raise Killed

        return Step()


def test_a_run_that_was_killed_ends_at_the_same_model(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        fit(TABLE, SCHEMA, PARTS, RECIPE, classes=tuple(SAID), workdir=tmp_path / "broken", progress=Fails())
    assert list((tmp_path / "broken").glob("*.npz"))
    resumed = fit(TABLE, SCHEMA, PARTS, RECIPE, classes=tuple(SAID), workdir=tmp_path / "broken")
    whole = fit(TABLE, SCHEMA, PARTS, RECIPE, classes=tuple(SAID), workdir=tmp_path / "whole")
    assert resumed.model_id == whole.model_id


@pytest.mark.parametrize("windows", [0, 6])
def test_padding_changes_nothing(windows: int) -> None:
    encoder, codes = made(windows=windows)
    encoder.train()(codes)  # so that the statistics of batches are no longer 0 and 1
    encoder.eval()
    with torch.no_grad():
        plain = encoder(codes)
        # As the exported graph does it: nothing is cut off there.
        wide = torch.nn.functional.pad(codes, (0, 24 - codes.shape[1]), value=PADDING)
        assert (encoder(wide) - plain).abs().max() < 1e-6
        assert (torch.cat([encoder(row[None]) for row in codes[:20]]) - plain[:20]).abs().max() < 1e-6
        assert torch.isfinite(encoder(torch.zeros_like(codes[:3]))).all()
    assert torch.allclose(plain.norm(dim=1), torch.ones(len(plain)))


def test_the_sums_are_a_plain_loop() -> None:
    encoder, codes = made(windows=0)
    encoder.eval()
    with torch.no_grad():
        found = encoder(codes[:5])
        for place, row in enumerate(codes[:5].tolist()):
            said = [code for code in row if code != PADDING]
            words = sum(encoder.of_words.weight[code] for code in said)
            pairs = sum(
                encoder.of_pairs.weight[(one * 1_000_003 + two * 7_919) % 200]
                for one, two in zip(said, [*said[1:], 0], strict=True)
            )
            runs = torch.zeros(8)
            for code in said:
                places = [p for p in encoder.runs[code].tolist() if p]
                runs = (
                    runs + sum((encoder.of_runs.weight[p] for p in places), torch.zeros(8)) / max(len(places), 1) ** 0.5
                )
            sums = torch.cat([words, pairs, runs]) / len(said) ** 0.5
            expected = encoder.out(sums / (1 + encoder.norm.eps) ** 0.5)  # fresh statistics: mean 0, variance 1
            assert torch.allclose(found[place], expected / expected.norm(), atol=1e-5)


def test_the_order_of_two_words_is_seen() -> None:
    encoder, codes = made(windows=0)
    encoder.eval()
    row = codes[:1].clone()
    turned = row.clone()
    turned[0, 1], turned[0, 2] = row[0, 2], row[0, 1]
    with torch.no_grad():
        assert (encoder(row) - encoder(turned)).abs().max() > 1e-3


def test_runs_of_letters_are_shared_by_words_alike() -> None:
    spelt = [*SPECIAL, "verify", "verification", "x"]
    runs = runs_of(spelt, 5000)
    assert not runs[: len(SPECIAL)].any()
    sets = [{p for p in row if p} for row in runs.tolist()]
    shared = {
        1 + zlib.crc32(run) % 5000 for run in (b"ve", b"er", b"ri", b"if", b"ver", b"eri", b"rif", b"veri", b"erif")
    }
    assert shared <= sets[4]
    assert len(shared & sets[5]) >= 4  # a long word keeps 24 of its runs, and those that others keep too
    assert sets[6] == {1 + zlib.crc32(b"x ") % 5000}


def test_how_codes_are_spelt() -> None:
    profile = profile_of(TABLE, SCHEMA, PARTS["train"], Options("o", SMALL))
    tokens = Tokens(profile.tokenizer.encode())
    spelt = tokens.spelt()
    assert len(spelt) == tokens.size
    (codes,) = tokens.codes(["card"])
    assert "".join(spelt[c] for c in codes.tolist()[1:]) == "Ġcard"


@pytest.mark.parametrize(("options", "fault"), [({"buckets": 0}, "1 or more|from 1"), ({"widht": 3}, "no key 'widht'")])
def test_options_are_checked(options: dict[str, int], fault: str) -> None:
    profile = profile_of(TABLE, SCHEMA, PARTS["train"], Options("o", SMALL))
    with pytest.raises(BackstayError, match=fault):
        ENCODERS["bag"](profile, 8, Options("o", options))
