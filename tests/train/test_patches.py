"""The encoder of patches: its weights against plain loops, and a run from rows to a bundle."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import nn
from torch.nn import functional

from backstay.bundle.model import load
from backstay.kernel.errors import BackstayError
from backstay.kernel.ports import NoProgress
from backstay.kernel.records import Schema
from backstay.settings import TrainSettings
from backstay.train.direct_epochs import Aimed, direct_epochs
from backstay.train.encoders import patches
from backstay.train.encoders.patches import PatchEncoder, components, spherical_k_means
from backstay.train.examples import profile_of
from backstay.train.fitted import prepare
from backstay.train.heads.linear import LinearHead
from backstay.train.loop import fit
from backstay.train.network import Network
from backstay.train.options import Options
from backstay.train.untrained import untrained_embeddings
from backstay.train.work import Trained

Scans = tuple[pa.Table, Schema]
DIGITS = tuple("0123456789")
PARTS = {"train": np.arange(900), "tune": np.arange(900, 1200)}
RECIPE = TrainSettings(
    encoder="patches", dimension=32, encoder_options={"filters": 24}, augmentation=0.0, head_options={"ridge": 1e-6}
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pixels(rows: int, side: int, channels: int = 1) -> torch.Tensor:
    return torch.randint(0, 256, (rows, side, side, channels), generator=seeded(), dtype=torch.uint8)


def small(**more: int) -> PatchEncoder:
    torch.manual_seed(0)
    given = {"filters": 5, "side": 3, "step": 1, "grid": 2, **more}
    return PatchEncoder((9, 9, 2), 4, tune=False, **given)


@pytest.mark.parametrize("step", [1, 2])
def test_responses_are_those_of_a_plain_loop(step: int) -> None:
    encoder, images = small(step=step), pixels(3, 9, 2)
    with torch.no_grad():
        encoder.offsets.normal_(generator=seeded())
        told = encoder._pooled(images)
    scaled = images.numpy() / 255.0
    filters, offsets = encoder.filters.detach().double().numpy(), encoder.offsets.detach().double().numpy()
    places = list(range(0, 9 - 3 + 1, step))
    for row in range(3):
        sums, counts = np.zeros((2, 5, 2, 2)), np.zeros((2, 2))
        for i, top in enumerate(places):
            for j, left in enumerate(places):
                cut = scaled[row, top : top + 3, left : left + 3].transpose(2, 0, 1)
                patch = (cut - cut.mean()) / np.sqrt(cut.var() + 0.01)
                seen = (filters * patch).sum(axis=(1, 2, 3)) - offsets
                cell = (i * 2 // len(places), j * 2 // len(places))
                sums[0][:, *cell] += np.maximum(seen - 0.5, 0)
                sums[1][:, *cell] += np.maximum(-seen - 0.5, 0)
                counts[cell] += 1
        np.testing.assert_allclose(told[row], np.sqrt(sums / counts + 1e-4).ravel(), atol=1e-4)


def test_rows_alone_or_in_a_batch_that_is_cut_have_the_same_embedding() -> None:
    encoder, images = small(), pixels(patches._AT_ONCE + 3, 9, 2)
    with torch.no_grad():
        torch.testing.assert_close(encoder(images)[-1:], encoder(images[-1:]))


def test_directions_in_which_the_points_lie_are_found() -> None:
    axes = torch.eye(6)[:3]
    points = axes[torch.arange(300) % 3] * torch.rand(300, 1, generator=seeded()) + 0.01
    found = spherical_k_means(points, 3, seeded(4))
    torch.testing.assert_close((found @ axes.T).amax(dim=0), torch.ones(3), atol=0.02, rtol=0)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(3))


def test_components_are_those_of_the_whole_decomposition_at_variance_one() -> None:
    rows = torch.randn(200, 30, generator=seeded()) * torch.logspace(1, -2, 30)
    rows = rows - rows.mean(dim=0)
    made = components(rows, 5, seeded())
    there = rows @ made.T
    torch.testing.assert_close(there.T @ there / 200, torch.eye(5), atol=1e-3, rtol=0)
    _, spread, turn = torch.linalg.svd(rows, full_matrices=False)
    wanted = turn[:5] / (spread[:5, None] / 200**0.5)
    torch.testing.assert_close((functional.cosine_similarity(made, wanted)).abs(), torch.ones(5), atol=1e-3, rtol=0)


def test_large_pictures_are_shrunk_and_cells_hold_every_place_once() -> None:
    encoder = patches.PatchEncoder((70, 96, 3), 8, filters=4, side=6, step=2, grid=4, tune=False)
    assert encoder.shrink == 2
    assert encoder(torch.zeros(2, 70, 96, 3, dtype=torch.uint8)).shape == (2, 8)
    torch.testing.assert_close(encoder.cells.sum(dim=0), torch.ones(16))
    assert bool(((encoder.cells > 0).sum(dim=1) == 1).all())


@pytest.fixture(scope="module")
def run(scans: Scans, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(patches, "_PATCHES", 6000)
        return fit(*scans, PARTS, RECIPE, classes=DIGITS, workdir=tmp_path_factory.mktemp("patches"))


def test_without_a_step_it_is_ahead_of_the_same_encoder_untrained(scans: Scans, run: Trained) -> None:
    table, schema = scans
    asked = table.slice(1200)
    truth = np.array([int(v) for v in asked["y"].to_pylist()])
    model = load(run.bundle_directory, expected_id=run.model_id)
    told = model.predict(asked)
    assert run.figures["epochs"] == 1  # the one look: nothing is learned by steps
    assert run.figures["tune_accuracy"] > 0.9  # of the head that was fitted, not of one step's
    assert float((told.scores.argmax(axis=1) == truth).mean()) > 0.9
    known = table.take(PARTS["train"])
    codes = np.array([int(v) for v in known["y"].to_pylist()])
    drawn = untrained_embeddings(table, schema, PARTS["train"], RECIPE, (known, asked), classes=10)

    def neighbours(known: np.ndarray, asked: np.ndarray) -> float:
        return float((codes[(asked @ known.T).argmax(axis=1)] == truth).mean())

    assert neighbours(model.predict(known).embeddings, told.embeddings) > neighbours(*drawn)


def test_rows_without_labels_teach_it_whatever_the_objective(scans: Scans, tmp_path: Path) -> None:
    table, schema = scans
    recipe = RECIPE.model_copy(update={"encoder_options": {"filters": 8}, "dimension": 16})
    unlabelled = table.slice(1200, 300).drop_columns(["y"])
    found = {}
    for objective in ("cross_entropy", "vicreg"):
        made = recipe.model_copy(update={"objective": objective})
        where = tmp_path / objective
        told = fit(table, schema, PARTS, made, classes=DIGITS, workdir=where, unlabelled=unlabelled)
        assert told.figures["train_rows"] == 1200
        found[objective] = load(told.bundle_directory).predict(table.slice(1500)).embeddings
    np.testing.assert_array_equal(found["cross_entropy"], found["vicreg"])
    without = fit(table, schema, PARTS, recipe, classes=DIGITS, workdir=tmp_path / "without")
    alone = load(without.bundle_directory).predict(table.slice(1500)).embeddings
    assert not np.allclose(alone, found["vicreg"], atol=0.01)
    tuned = recipe.model_copy(update={"encoder_options": {"filters": 8, "tune": True}, "epochs": 1})
    told = fit(table, schema, PARTS, tuned, classes=DIGITS, workdir=tmp_path / "tuned", unlabelled=unlabelled)
    assert told.figures["train_rows"] == 1200


def learned(
    images: torch.Tensor, weights: torch.Tensor, recipe: TrainSettings, start: Network | None = None
) -> Network:
    """A network of `small` encoders that has been prepared, with the weights of another one to begin with."""
    encoder = small()
    encoder.tune = bool(recipe.encoder_options.get("tune"))
    network = Network(encoder, LinearHead(4, 2), "image")
    if start is not None:
        encoder.load_state_dict(start.encoder.state_dict())
    prepare(network, (images,), weights, recipe, NoProgress())
    return network


def same(one: Network, two: Network) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.encoder.parameters(), two.encoder.parameters(), strict=True))


def test_images_of_weight_0_are_not_learned_from_and_chance_is_the_seeds() -> None:
    images, half = pixels(40, 9, 2), torch.arange(40) < 20
    one = learned(images, half.float(), RECIPE)
    assert same(one, learned(images[:20], torch.ones(20), RECIPE))
    assert not same(one, learned(images, torch.ones(40), RECIPE))
    assert not same(one, learned(images, half.float(), RECIPE.model_copy(update={"seed": 1})))


def test_who_goes_on_from_a_model_does_not_learn_anew() -> None:
    images, every = pixels(40, 9, 2), torch.ones(40)
    first = learned(images, every, RECIPE)
    later = learned(pixels(40, 9, 2) // 2, every, RECIPE.model_copy(update={"seed": 5}), start=first)
    assert same(first, later)


def test_it_stays_as_it_is_unless_it_is_tuned() -> None:
    images, every = pixels(40, 9, 2), torch.ones(40)
    tuned = RECIPE.model_copy(update={"encoder_options": {"tune": True}})
    for recipe, frozen in ((RECIPE, True), (tuned, False)):
        network = learned(images, every, recipe)
        assert network.frozen is frozen
        assert all(p.requires_grad is not frozen for p in network.encoder.parameters())
        assert same(network, learned(images, every, RECIPE))


def test_epochs_towards_numbers_prepare_it_too(tmp_path: Path) -> None:
    images = pixels(40, 9, 2)
    aimed = Aimed((images,), torch.arange(40.0)[:, None] / 20 - 1, torch.ones(40))
    network = Network(small(), nn.Linear(4, 1), "image")
    recipe = RECIPE.model_copy(update={"epochs": 2, "batch_size": 20})
    each = partial(functional.mse_loss, reduction="none")
    direct_epochs(network, each, aimed, aimed, recipe, saved=tmp_path / "run.npz", progress=NoProgress())
    assert same(network, learned(images, torch.ones(40), RECIPE))


def test_more_directions_than_images_are_refused() -> None:
    with pytest.raises(BackstayError, match=r"has 3 training images, and train.dimension is 4"):
        small().learn((pixels(3, 9, 2),), seeded())


def test_other_rows_and_patches_that_do_not_fit_are_refused(scans: Scans) -> None:
    profile = profile_of(*scans, np.arange(50), Options("train.encoder_options", {}))
    with pytest.raises(BackstayError, match=r"side is 5; it must be from 1 to 4"):
        patches.build(profile, 4, Options("train.encoder_options", {"side": 5}))


def test_pictures_that_are_all_alike_are_refused_and_flat_ones_among_others_do_no_harm() -> None:
    flat = torch.full((8, 9, 9, 2), 7, dtype=torch.uint8)
    with pytest.raises(BackstayError, match="answers the same for all of 8 training images: it has collapsed"):
        small().learn((flat,), seeded())
    encoder = small()
    encoder.learn((torch.cat([flat, pixels(8, 9, 2)]),), seeded())
    assert all(bool(torch.isfinite(p).all()) for p in encoder.parameters())
    assert bool(torch.isfinite(encoder(flat)).all())
