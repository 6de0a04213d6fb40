"""Several looks at a picture: fixed slight moves whose embeddings are averaged, in the exported graph too."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from backstay.bundle.model import load
from backstay.kernel.errors import BackstayError
from backstay.settings import TrainSettings
from backstay.train.encoders import ENCODERS
from backstay.train.encoders.conv import ConvEncoder
from backstay.train.encoders.looks import FURTHEST, moved, moves
from backstay.train.examples import Profile, tensors_of
from backstay.train.heads.linear import LinearHead
from backstay.train.loop import fit
from backstay.train.network import Network, build, embed, glanced
from backstay.train.options import Options
from backstay.train.weights import start_of


def encoder_of(looks: int) -> ConvEncoder:
    torch.manual_seed(0)
    return ConvEncoder((12, 10, 1), torch.tensor([0.5]), torch.tensor([0.3]), 8, width=4, looks=looks)


def pixels(rows: int = 5) -> torch.Tensor:
    return torch.randint(0, 256, (rows, 12, 10, 1), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


def test_moves_are_slight_and_come_with_their_opposites() -> None:
    found = moves(101)
    assert found.shape == (100, 2, 3)
    torch.testing.assert_close(found[0::2, :, 2], -found[1::2, :, 2])
    assert float(found[:, 0, 2].abs().max()) <= 2 * FURTHEST[4]
    turn = torch.atan2(found[:, 1, 0] - found[:, 0, 1], found[:, 0, 0] + found[:, 1, 1])
    assert float(turn.abs().max()) < FURTHEST[0] + 0.05
    assert abs(float(turn.mean())) < 0.01
    assert float(turn.std()) > 0.4 * FURTHEST[0]
    areas = torch.linalg.det(found[:, :, :2])
    assert math.exp(-2 * FURTHEST[1]) * 0.95 < float(areas.min()) < 0.95
    assert 1.05 < float(areas.max()) < math.exp(2 * FURTHEST[1]) * 1.05
    # A longer row of looks begins as a shorter one does.
    torch.testing.assert_close(moves(7), found[:6])


def test_moved_is_torchs_own_grid() -> None:
    images = torch.rand(3, 2, 9, 7, generator=torch.Generator().manual_seed(2))
    for move in (*moves(4), torch.tensor([[1.0, 0, 0], [0, 1, 0]])):
        grid = functional.affine_grid(move.expand(3, 2, 3), [3, 2, 9, 7], align_corners=False)
        expected = functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
        torch.testing.assert_close(moved(images, move), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(moved(images, torch.tensor([[1.0, 0, 0], [0, 1, 0]])), images, atol=1e-5, rtol=0)


def test_the_answer_is_the_mean_direction() -> None:
    many, one = encoder_of(4).eval(), encoder_of(1).eval()
    assert many.state_dict().keys() == one.state_dict().keys()
    with torch.no_grad():
        plain = ((pixels().float() / 255 - 0.5) / 0.3).permute(0, 3, 1, 2)
        looks = [plain, *(moved(plain, move) for move in moves(4))]
        # As pixels again, so that the encoder itself reads each look.
        each = [one((x.permute(0, 2, 3, 1) * 0.3 + 0.5) * 255) for x in looks]
        torch.testing.assert_close(many(pixels()), functional.normalize(sum(each), dim=1), atol=1e-5, rtol=0)
        assert float((many(pixels()) - one(pixels())).abs().max()) > 1e-3


def test_training_and_glances_look_once() -> None:
    many, one = encoder_of(4), encoder_of(1)
    torch.testing.assert_close(many.train()(pixels()), one.train()(pixels()), rtol=0, atol=0)
    networks = [Network(e, LinearHead(8, 2), "image") for e in (many, one)]
    torch.testing.assert_close(*(glanced(n, (pixels(),)) for n in networks), rtol=0, atol=0)
    assert not many.glancing
    assert not torch.equal(*(embed(n, (pixels(),)) for n in networks))


def test_a_bundle_answers_by_its_looks(scans, tmp_path: Path) -> None:  # type: ignore[no-untyped-def] # fixture
    table, schema = scans
    order = np.random.default_rng(2).permutation(table.num_rows)
    parts = {"train": order[:300], "tune": order[300:400]}
    classes = tuple(sorted({v.as_py() for v in table.column("y")}))
    options = {"width": 8, "looks": 3}
    recipe = TrainSettings(epochs=1, objective="supcon", dimension=8, encoder_options=options, learning_rate=0.005)
    trained = fit(table, schema, parts, recipe, classes=classes, workdir=tmp_path)
    assert trained.parity < 1e-4
    model, some = load(trained.bundle_directory), table.slice(0, 50)
    kept, told = start_of(model), model.predict(some).embeddings
    three, one = (
        build(kept.profile, recipe.model_copy(update={"encoder_options": o}), 2) for o in (options, {"width": 8})
    )
    for network in (three, one):
        kept.into(network)
    rows = tensors_of(kept.profile, some)
    np.testing.assert_allclose(told, embed(three, rows).numpy(), atol=1e-4)
    assert np.abs(told - embed(one, rows).numpy()).max() > 1e-3


def test_looks_are_whole_and_one_or_more() -> None:
    profile = Profile("scan", (12, 10, 1), (), (), (0.5,), (0.3,), {})
    with pytest.raises(BackstayError, match="looks is 0"):
        ENCODERS["conv"](profile, 8, Options("train.encoder_options", {"looks": 0}))
    assert len(ENCODERS["conv"](profile, 8, Options("train.encoder_options", {"looks": 9})).moves) == 8
