"""What every objective keeps with every encoder: finite losses, gradients, repeatability, odd batches, resumption."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from tests.train.shelves import (
    AIMS,
    CLASSES,
    DIMENSION,
    LABELS,
    LEARNS_FROM,
    MISREAD,
    NAMES,
    PAIRS,
    QUICK,
    READS,
    REFUSED,
    ROWS,
    SPLIT,
    VALUE_OBJECTIVES,
    made,
    objective_of,
    parts,
    prepared,
    recipe_of,
    rows,
    with_target,
)
from torch import Tensor

from backstay.bundle.model import load
from backstay.kernel.errors import BackstayError
from backstay.kernel.ports import NoProgress
from backstay.settings import TrainSettings
from backstay.train import value_loop
from backstay.train.encoders import ENCODERS
from backstay.train.epochs import run_epochs
from backstay.train.examples import tensors_of
from backstay.train.loop import fit
from backstay.train.network import Network, embed
from backstay.train.network_run import PARITY
from backstay.train.objectives import OBJECTIVES
from backstay.train.objectives.contract import Batch, Objective, embed_view
from backstay.train.options import Options
from backstay.train.part import Part
from backstay.train.rows import with_unlabelled
from backstay.train.value_network import build_value, loss_of


def test_every_entry_of_the_shelves_has_been_decided_on() -> None:
    """A new encoder or objective is not in the suite by itself: shelves.py is to say what it reads, or learns from."""
    assert set(ENCODERS.built_in) == set(READS)
    assert set(OBJECTIVES.built_in) == set(LEARNS_FROM)
    for objective in (*VALUE_OBJECTIVES, "mean"):
        recipe = TrainSettings(objective=objective)
        if objective == "mean":
            with pytest.raises(BackstayError, match='"huber" or "squared"'):
                loss_of(recipe)
        else:
            assert float(loss_of(recipe)(torch.tensor(1.0), torch.tensor(1.0))) == 0.0


@pytest.mark.parametrize(("objective", "kind"), REFUSED)
def test_rows_that_an_objective_cannot_learn_from_are_refused(objective: str, kind: str) -> None:
    encoder = next(e for e, reads in READS.items() if reads == kind)
    with pytest.raises(BackstayError, match=f'the objective "{objective}" .* of kind {kind}; take train.objective = '):
        objective_of(objective, prepared(encoder)[0])


@pytest.mark.parametrize(("encoder", "kind"), MISREAD)
def test_rows_that_an_encoder_cannot_read_are_refused(encoder: str, kind: str) -> None:
    profile, _ = prepared(encoder, kind)
    with pytest.raises(BackstayError, match=f'the encoder "{encoder}" reads'):
        ENCODERS[encoder](profile, DIMENSION, Options("train.encoder_options", {}))


def batch_of(tensors: tuple[Tensor, ...], chosen: Tensor, labels: Tensor | None = None, cached: int = 0) -> Batch:
    found = LABELS[chosen] if labels is None else labels
    generator = torch.Generator().manual_seed(1)
    return Batch(
        tuple(t[chosen] for t in tensors), found, torch.ones(len(chosen)), generator, 1.0, cached, aims=AIMS[chosen]
    )


def gradients(network: Network, objective: Objective, batch: Batch) -> tuple[float, list[Tensor]]:
    torch.manual_seed(2)
    loss = objective.loss(network, batch)
    assert loss.dim() == 0
    network.zero_grad()
    objective.zero_grad()
    loss.backward()
    found = [p.grad for p in network.encoder.parameters()]
    return float(loss.detach()), [g.clone() for g in found if g is not None]


@pytest.mark.parametrize(("objective", "encoder"), PAIRS)
def test_a_step_is_finite_reaches_the_encoder_and_can_be_repeated(objective: str, encoder: str) -> None:
    network, own, tensors = made(objective, encoder)
    with torch.no_grad():
        embeddings, scores, classes = network.eval()(*(t[:5] for t in tensors))
    assert (embeddings.shape, scores.shape, classes.shape) == ((5, DIMENSION), (5, CLASSES), (5,))
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(5))
    loss, found = gradients(network.train(), own, batch_of(tensors, torch.arange(12)))
    assert np.isfinite(loss)
    assert found
    assert all(torch.isfinite(g).all() for g in found)
    assert sum(float(g.abs().sum()) for g in found) > 0
    network, own, _ = made(objective, encoder)
    again, same = gradients(network, own, batch_of(tensors, torch.arange(12)))
    assert again == loss
    assert all(torch.equal(one, two) for one, two in zip(found, same, strict=True))


@pytest.mark.parametrize(("objective", "encoder"), PAIRS)
def test_odd_batches_do_not_break_it(objective: str, encoder: str) -> None:
    network, found, tensors = made(objective, encoder)
    one_class = torch.nonzero(LABELS == 1)[:6, 0]
    for chosen, labels in ((one_class, None), (torch.tensor([4]), None), (torch.arange(5), torch.full((5,), -1))):
        if labels is not None and found.needs_labels:
            continue
        loss, slopes = gradients(network, found, batch_of(tensors, chosen, labels))
        assert np.isfinite(loss)
        assert all(torch.isfinite(g).all() for g in slopes)


@pytest.mark.parametrize("objective", OBJECTIVES.built_in)
def test_rows_without_weight_do_not_count(objective: str) -> None:
    network, found, tensors = made(objective, "mlp")
    generator = torch.Generator().manual_seed(1)
    loss = found.loss(network, Batch(tensors, LABELS, torch.zeros(ROWS), generator, aims=AIMS))
    assert np.isfinite(float(loss.detach()))


@pytest.mark.parametrize(("objective", "encoder"), QUICK)
def test_an_encoder_that_answers_nan_is_refused(objective: str, encoder: str, tmp_path, monkeypatch) -> None:
    network, found, _ = made(objective, encoder)
    real = network.encoder.forward
    monkeypatch.setattr(network.encoder, "forward", lambda *tensors: real(*tensors) * float("nan"))
    with pytest.raises(BackstayError, match="became nan"):
        run_epochs(
            network,
            found,
            *parts(encoder),
            recipe_of(objective, encoder, epochs=1),
            saved=tmp_path / "run.npz",
            progress=NoProgress(),
        )


class Killed(Exception):
    """The power fails."""


class Fails(NoProgress):
    """Fails while the second epoch of training is being told of."""

    def step(self, name: str, total: int | None = None) -> Any:
        class Step:
            told = 0

            def __enter__(self) -> Any:
                return self

            def __exit__(self, *_: object) -> None:
                return None

            def __call__(self, amount: int = 1, note: str = "", **figures: float) -> None:
                self.told += amount
                if self.told == 2:
                    raise Killed

        return Step()


@pytest.mark.parametrize(("objective", "encoder"), QUICK)
def test_interrupted_and_resumed_is_the_same_network(objective: str, encoder: str, tmp_path) -> None:
    recipe = recipe_of(objective, encoder, epochs=4, patience=4)
    ends = []
    for name, progress in (("whole", NoProgress()), ("broken", Fails()), ("broken", NoProgress())):
        network, found, _ = made(objective, encoder)
        torch.manual_seed(len(ends))  # what the process drew before must not matter
        try:
            history = run_epochs(
                network, found, *parts(encoder), recipe, saved=tmp_path / f"{name}.npz", progress=progress
            )
        except Killed:
            continue
        ends.append((history, network.state_dict(), found.state_dict()))
    (whole, weights, own), (resumed, same, own_too) = ends
    assert whole == resumed
    assert len(whole) == 4
    assert all(torch.equal(weights[k], same[k]) for k in weights)
    assert all(torch.equal(own[k], own_too[k]) for k in own)


def fitted(objective: str, encoder: str, folder: Path, *, progress: Any = None, bert: str = "", epochs: int = 4) -> Any:
    """The whole run, to a bundle; its parity of torch and ONNX Runtime is checked in it."""
    table, schema = with_target(READS[encoder], numeric=objective in VALUE_OBJECTIVES)
    recipe = recipe_of(objective, encoder, bert, epochs=epochs, patience=epochs)
    if objective in VALUE_OBJECTIVES:
        recipe = recipe.model_copy(update={"head": "value"})
        return value_loop.fit(table, schema, SPLIT, recipe, workdir=folder, progress=progress)
    teacher = None
    if objective == "distil":
        taught = fitted("supcon", encoder, folder / "teacher", bert=bert, epochs=2)
        teacher = load(taught.bundle_directory)
    return fit(table, schema, SPLIT, recipe, classes=NAMES, workdir=folder, progress=progress, teacher=teacher)


def answers_are_the_same(encoder: str, trained: Any) -> None:
    """Of all rows, some of which are no training rows: answers are finite, and the same for a row alone."""
    model = load(trained.bundle_directory, expected_id=trained.model_id)
    table = rows(READS[encoder])[0]
    whole, one = model.predict(table), model.predict(table.slice(5, 1))
    assert whole.embeddings is not None
    assert one.embeddings is not None
    assert np.isfinite(whole.embeddings).all()
    np.testing.assert_allclose(one.embeddings[0], whole.embeddings[5], atol=1e-5)
    assert trained.parity <= PARITY


@pytest.mark.parametrize("encoder", READS)
def test_what_is_exported_answers_as_torch_does(encoder: str, tmp_path: Path) -> None:
    answers_are_the_same(encoder, fitted("cross_entropy", encoder, tmp_path, epochs=1))


def texts_of(words: int) -> pa.Table:
    """Unlabelled texts of so many words, none of them as long as the longest of the table or none as short."""
    return pa.table({"x": [" ".join(["blue", "wave", "path"][(i + k) % 3] for k in range(words)) for i in range(20)]})


@pytest.mark.parametrize("words", [1, 9])
@pytest.mark.parametrize("encoder", [e for e, kind in READS.items() if kind == "text"])
def test_unlabelled_texts_of_another_length_are_learned_from(encoder: str, words: int) -> None:
    """Shorter and longer ones than those of the table: what is filled up is the same text still."""
    network, objective, tensors = made("nt_xent", encoder)
    profile, more = prepared(encoder)[0], texts_of(words)
    taught = with_unlabelled(Part(tensors, LABELS, torch.ones(ROWS)), profile, more, None)
    whole = embed(network, taught.tensors)
    torch.testing.assert_close(whole[:ROWS], embed(network, tensors), atol=1e-5, rtol=0)
    torch.testing.assert_close(whole[ROWS:], embed(network, tensors_of(profile, more)), atol=1e-5, rtol=0)
    chosen = torch.arange(ROWS - 8, ROWS + 8)
    batch = Batch(
        tuple(t[chosen] for t in taught.tensors),
        taught.labels[chosen],
        taught.weights[chosen],
        torch.Generator().manual_seed(1),
    )
    loss, slopes = gradients(network.train(), objective, batch)
    assert np.isfinite(loss)
    assert sum(float(g.abs().sum()) for g in slopes) > 0


def test_a_run_with_unlabelled_texts_of_another_length(tmp_path: Path) -> None:
    table, schema = with_target("text")
    recipe = recipe_of("nt_xent", "bag", epochs=1)
    trained = fit(table, schema, SPLIT, recipe, classes=NAMES, workdir=tmp_path, unlabelled=texts_of(9))
    assert trained.figures["train_rows"] == 36 + 20
    answers_are_the_same("bag", trained)


@pytest.mark.parametrize("encoder", READS)
@pytest.mark.parametrize("objective", VALUE_OBJECTIVES)
def test_a_step_towards_numbers(objective: str, encoder: str) -> None:
    """The regression losses: finite, reaching the encoder, repeatable, and a batch of one row."""
    profile, tensors = prepared(encoder)
    recipe = recipe_of(objective, encoder).model_copy(update={"head": "value"})
    truth, loss = LABELS.float(), loss_of(recipe)

    def step(chosen: Tensor) -> tuple[float, list[Tensor]]:
        torch.manual_seed(0)
        network = build_value(profile, recipe).train()
        embeddings = embed_view(network, batch_of(tensors, chosen))
        cost = loss(network.head(embeddings)[:, 0], truth[chosen]).mean()
        cost.backward()  # type: ignore[no-untyped-call]
        return float(cost.detach()), [p.grad for p in network.encoder.parameters() if p.grad is not None]

    (cost, slopes), (again, same) = step(torch.arange(12)), step(torch.arange(12))
    assert np.isfinite(cost)
    assert sum(float(g.abs().sum()) for g in slopes) > 0
    assert again == cost
    assert all(torch.equal(a, b) for a, b in zip(slopes, same, strict=True))
    alone, slopes = step(torch.tensor([4]))
    assert np.isfinite(alone)
    assert all(torch.isfinite(g).all() for g in slopes)


@pytest.mark.slow
@pytest.mark.parametrize(("objective", "encoder"), PAIRS + [(o, e) for o in VALUE_OBJECTIVES for e in READS])
def test_interrupted_and_resumed_is_the_same_bundle(objective: str, encoder: str, tmp_path: Path) -> None:
    found = []
    for name, progress in (("whole", NoProgress()), ("broken", Fails()), ("broken", NoProgress())):
        try:
            trained = fitted(objective, encoder, tmp_path / name, progress=progress)
        except Killed:
            continue
        found.append(trained.model_id)
    assert len(found) == 2
    assert found[0] == found[1]
    answers_are_the_same(encoder, trained)
