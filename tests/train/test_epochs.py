"""The trainer: cached gradients, what is looked at, when it stops, what it says, rows without labels."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from backstay.bundle.model import load
from backstay.kernel.errors import BackstayError
from backstay.kernel.ports import NoProgress
from backstay.settings import TrainSettings
from backstay.train import held_out
from backstay.train.course import device_of, step_size
from backstay.train.epochs import _seed, run_epochs
from backstay.train.heads.linear import LinearHead
from backstay.train.held_out import Look, behind, nearest_classes, stopped
from backstay.train.loop import fit
from backstay.train.network import Network
from backstay.train.objectives import contract
from backstay.train.objectives.contract import Batch, EmbeddingObjective, Objective, embed_view
from backstay.train.objectives.nt_xent import NTXent
from backstay.train.objectives.supcon import SupCon
from backstay.train.objectives.triplet import Triplet
from backstay.train.part import Part

ROWS, WIDTH = 40, 6


class Plain(nn.Module):
    """An encoder with dropout, whose norm (if any) keeps running statistics."""

    def __init__(self, dropout: float = 0.0, norm: bool = False) -> None:
        super().__init__()
        middle = nn.BatchNorm1d(16) if norm else nn.LayerNorm(16)
        self.body = nn.Sequential(nn.Linear(WIDTH, 16), middle, nn.ReLU(), nn.Dropout(dropout), nn.Linear(16, 8))

    def forward(self, x: Tensor) -> Tensor:
        return functional.normalize(self.body(x), dim=1)


def network_of(**options: Any) -> Network:
    torch.manual_seed(0)
    return Network(Plain(**options), LinearHead(8, 3)).double().train()


def rows(seed: int = 0) -> Part:
    x = torch.randn(ROWS, WIDTH, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return Part((x,), torch.arange(ROWS) % 3, torch.ones(ROWS, dtype=torch.float64))


def batch(cached: int) -> Batch:
    part = rows()
    return Batch(part.tensors, part.labels, part.weights, torch.Generator().manual_seed(5), 1.0, cached)


def slopes(network: Network, objective: Objective, cached: int) -> tuple[float, dict[str, Tensor]]:
    torch.manual_seed(1)
    network.zero_grad()
    objective.zero_grad()
    loss = objective.loss(network, batch(cached))
    loss.backward()
    found = {**dict(network.encoder.named_parameters()), **dict(objective.named_parameters())}
    return float(loss.detach()), {k: p.grad.clone() for k, p in found.items()}


@pytest.mark.parametrize(("objective", "views"), [(SupCon(0.2), 1), (NTXent(0.2, 8, 16).double(), 2)])
def test_cached_gradients_are_those_of_the_whole_batch(objective: EmbeddingObjective, views: int) -> None:
    assert objective.views == views
    network = network_of()
    whole_loss, whole = slopes(network, objective, 0)
    cached_loss, cached = slopes(network, objective, 16)
    assert cached_loss == pytest.approx(whole_loss, rel=1e-12)
    assert set(whole) == set(cached)
    for name in whole:
        torch.testing.assert_close(cached[name], whole[name], rtol=1e-6, atol=1e-12)


def test_cached_gradients_repeat_their_dropout() -> None:
    """The second pass of a chunk draws what the first drew: the slopes are those of one graph over all chunks."""
    network, objective = network_of(dropout=0.4), SupCon(0.2)
    _, cached = slopes(network, objective, 16)
    torch.manual_seed(1)
    network.zero_grad()
    x = batch(0).view()[0]
    z = torch.cat([network.encoder(piece) for piece in (x[:16], x[16:])])
    part = rows()
    objective.of((z,), part.labels, part.weights).backward()
    for name, parameter in network.encoder.named_parameters():
        torch.testing.assert_close(cached[name], parameter.grad, rtol=1e-6, atol=1e-12)


def test_cached_chunks_count_once_in_running_statistics() -> None:
    one, two = network_of(norm=True), network_of(norm=True)
    slopes(one, SupCon(0.2), 16)
    x = batch(0).view()[0]
    for piece in (x[:16], x[16:]):
        two.encoder(piece)
    assert torch.equal(one.encoder.body[1].running_mean, two.encoder.body[1].running_mean)
    assert one.encoder.body[1].momentum == 0.1


def test_cached_rows_hold_one_chunk_of_activations() -> None:
    """Within the forward pass no chunk keeps a graph of its inside."""
    seen: list[bool] = []
    network = network_of()
    network.encoder.body[2].register_forward_hook(lambda _, __, out: seen.append(out.requires_grad))
    saved: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t.numel()) or t, lambda t: t):
        embed_view(network, batch(16))
        few = sum(saved)
        saved.clear()
        embed_view(network, batch(0))
    assert few < sum(saved) / 2
    assert len(seen) == 3


def test_neighbours_vote() -> None:
    known = functional.normalize(torch.randn(300, 4, generator=torch.Generator().manual_seed(0)), dim=1)
    labels = (known[:, 0] > 0).long()
    queries = functional.normalize(torch.randn(50, 4, generator=torch.Generator().manual_seed(1)), dim=1)
    plain = []
    for q in queries:
        order = sorted(range(300), key=lambda i: -float(q @ known[i]))[:20]
        votes = [sum(1 + 1e-3 * float(q @ known[i]) for i in order if labels[i] == c) for c in (0, 1)]
        plain.append(votes.index(max(votes)))
    assert nearest_classes(queries, known, labels, 2).tolist() == plain


def test_only_so_many_rows_are_looked_at_and_always_the_same(monkeypatch) -> None:
    monkeypatch.setattr(held_out, "MOST_ROWS", 15)
    look = Look.of(rows(), rows(1), SupCon(0.1), TrainSettings(seed=3))
    again = Look.of(rows(), rows(1), SupCon(0.1), TrainSettings(seed=3))
    assert len(look.train) == len(look.tune) == 15
    assert torch.equal(look.train.tensors[0], again.train.tensors[0])
    other = Look.of(rows(), rows(1), SupCon(0.1), TrainSettings(seed=4))
    assert not torch.equal(look.train.tensors[0], other.train.tensors[0])


@pytest.mark.parametrize(
    ("setting", "objective", "by_neighbours"),
    [
        ("auto", SupCon(0.1), False),
        ("auto", NTXent(0.1, 8, 0), True),
        ("knn", SupCon(0.1), True),
        ("loss", NTXent(0.1, 8, 0), False),
    ],
)
def test_what_decides_when_to_stop(setting: str, objective: Objective, by_neighbours: bool) -> None:
    look = Look.of(rows(), rows(1), objective, TrainSettings(early_stopping=setting))
    figures = look.figures(network_of(), objective)
    assert ("tune_knn" in figures) is by_neighbours
    assert behind(figures) == (1 - figures["tune_knn"] if by_neighbours else figures["tune_loss"])


def test_progress_is_by_neighbours_where_they_are_known() -> None:
    assert behind({"tune_loss": 3.0, "tune_knn": 0.75}) == 0.25
    assert behind({"tune_loss": 3.0}) == 3.0
    rising = [{"tune_loss": 1.0 + i, "tune_knn": 0.5 + i / 10} for i in range(4)]
    assert not stopped(rising, 2)
    assert stopped([{"tune_loss": h["tune_loss"]} for h in rising], 2)


def trained(sheet, tmp_path: Path, table: pa.Table | None = None, progress=None, unlabelled=None, **recipe: Any):
    parts = {"train": np.arange(400), "tune": np.arange(400, 500)}
    settings = TrainSettings(**{"epochs": 3, "batch_size": 64, "dimension": 16, **recipe})
    return fit(
        sheet[0] if table is None else table,
        sheet[1],
        parts,
        settings,
        classes=("no", "yes"),
        workdir=tmp_path,
        progress=progress,
        unlabelled=unlabelled,
    )


def test_rows_without_a_label_are_learned_from_where_labels_are_not_needed(sheet, tmp_path: Path) -> None:
    table, _ = sheet
    told = [v if i % 4 == 0 or i >= 400 else None for i, v in enumerate(table["y"].to_pylist())]
    lean = table.set_column(table.column_names.index("y"), "y", pa.array(told))
    found = trained(sheet, tmp_path / "a", lean, objective="nt_xent", epochs=4)
    assert found.figures["train_rows"] == 400
    assert found.figures["tune_knn"] > 0.6
    held_out_rows = table.slice(500)
    outputs = load(found.bundle_directory).predict(held_out_rows)
    assert np.mean(outputs.labels == np.array(held_out_rows["y"].to_pylist())) > 0.6
    assert trained(sheet, tmp_path / "b", lean, objective="supcon", epochs=1).figures["train_rows"] == 100


def test_unlabelled_rows_of_their_own(sheet, tmp_path: Path) -> None:
    features = sheet[0].select(list(sheet[1].features))
    with_more = trained(sheet, tmp_path / "a", objective="nt_xent", epochs=1, unlabelled=features.slice(500, 80))
    assert with_more.figures["train_rows"] == 480
    with pytest.raises(BackstayError, match="80 unlabelled rows, and the objective 'supcon' needs labels"):
        trained(sheet, tmp_path / "c", objective="supcon", unlabelled=features.slice(500, 80))


def test_a_wrong_option_is_named(sheet, tmp_path: Path) -> None:
    with pytest.raises(BackstayError, match=r"train\.objective_options has no key 'margn'; did you mean 'margin'"):
        trained(sheet, tmp_path, objective="triplet", objective_options={"margn": 0.5})
    with pytest.raises(BackstayError, match=r"train\.encoder_options has no key 'dept'"):
        trained(sheet, tmp_path, encoder_options={"dept": 1})
    with pytest.raises(BackstayError, match=r"train\.head_options has no key 'x'"):
        trained(sheet, tmp_path, head_options={"x": 1})


def test_settings_reach_the_steps(tmp_path: Path, monkeypatch) -> None:
    def loss(objective: Objective, **more: Any) -> float:
        recipe = TrainSettings(epochs=1, batch_size=20, **more)
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        network, part = network_of(dropout=0.3), rows()
        return run_epochs(network, objective, part, part, recipe, saved=folder, progress=NoProgress())[0]["loss"]

    plain = loss(Triplet("all"))
    assert loss(Triplet("all")) == plain
    assert loss(Triplet("hard")) != plain
    assert loss(Triplet("all"), augmentation=0.0) != plain
    assert loss(Triplet("all"), samples_per_class=10) != plain
    pieces: list[int] = []
    real = contract.checkpoint
    monkeypatch.setattr(contract, "checkpoint", lambda f, n, x, **more: pieces.append(len(x)) or real(f, n, x, **more))
    assert loss(Triplet("all"), cached_rows=8) == pytest.approx(plain, rel=0.5)
    assert pieces
    assert set(pieces) == {8, 10}  # 18 rows: 3 classes, 6 of each; the last two are too few to be alone


def test_the_bar_tells_loss_speed_and_time_left(sheet, tmp_path: Path) -> None:
    notes: list[str] = []

    class Listens(NoProgress):
        def step(self, name: str, total: int | None = None) -> Any:
            step = super().step(name, total)
            if name != "train":
                return step

            class Heard:
                def __enter__(self) -> Any:
                    return lambda amount=1, note="", **figures: notes.append(note)

                def __exit__(self, *_: object) -> None:
                    return None

            return Heard()

    trained(sheet, tmp_path, progress=Listens())
    assert len(notes) == 3
    assert all(re.fullmatch(r"loss [\d.]+, tune [\d.]+, [\d,]+ rows/s, at most [\d,]+ s left", n) for n in notes)
    assert notes[-1].endswith("at most 0 s left")


def test_a_triplet_loss_that_stands_at_its_margin_stops_the_run(tmp_path: Path) -> None:
    """Embeddings that are narrow but no point yet: the loss says what the deviation alone would let pass."""

    class Narrow(Plain):
        def forward(self, x: Tensor) -> Tensor:
            return functional.normalize(0.8 * self.body(x).detach() + 1.0 + 0 * self.body(x), dim=1)

    torch.manual_seed(0)
    network = Network(Narrow(), LinearHead(8, 3)).double()
    recipe = TrainSettings(epochs=3, batch_size=20, learning_rate=1e-4)
    part = rows()
    with pytest.raises(BackstayError, match=r"collapsed.*the loss stands at 2, that of a single point"):
        run_epochs(network, Triplet("all", 2.0), part, part, recipe, saved=tmp_path / "a.npz", progress=NoProgress())


def test_a_gpu_that_is_not_there(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device_of(TrainSettings(device="auto")).type == "cpu"
    with pytest.raises(BackstayError, match=r'train\.device is "cuda" and torch sees no GPU'):
        device_of(TrainSettings(device="cuda"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert device_of(TrainSettings(device="auto")).type == "cuda"
    assert device_of(TrainSettings()).type == "cpu"


def test_one_cycle_rises_for_a_fifth_and_falls_to_nothing_step_by_step():
    recipe = TrainSettings(schedule="one_cycle", learning_rate=1.0, epochs=5)
    rates = [step_size(recipe, 5, epoch, place / 10) for epoch in range(5) for place in range(10)]
    top = rates.index(max(rates))
    assert (rates[0], top, rates[top]) == (pytest.approx(0.04), 10, pytest.approx(1.0))
    assert all(a < b for a, b in pairwise(rates[: top + 1]))
    assert all(a > b for a, b in pairwise(rates[top:]))
    assert 0 < rates[-1] < 0.01


def test_cosine_falls_by_epochs_alone():
    recipe = TrainSettings(learning_rate=1.0, epochs=4)
    assert [step_size(recipe, 4, e, 0.9) for e in range(4)] == pytest.approx([1.0, 0.853553, 0.5, 0.146447], abs=1e-6)


def test_each_epoch_of_each_seed_draws_anew():
    seeds = [_seed(TrainSettings(seed=seed), epoch) for seed in (0, 1) for epoch in (0, 1, 2)]
    assert len(set(seeds)) == 6
    assert seeds[:3] == [_seed(TrainSettings(seed=0), epoch) for epoch in (0, 1, 2)]


def test_the_head_learns_from_one_part_and_is_calibrated_by_the_other(tmp_path: Path, monkeypatch) -> None:
    asked = {}
    monkeypatch.setattr(LinearHead, "fit", lambda _, x, y, w: asked.update(fit=(len(x), len(y), len(w))))
    monkeypatch.setattr(LinearHead, "calibrate", lambda _, logits, y: asked.update(calibrate=(len(logits), len(y))))
    tune = rows(1).take(torch.arange(10))
    recipe = TrainSettings(epochs=1, device="cpu", batch_size=20)
    run_epochs(network_of(), SupCon(0.2), rows(0), tune, recipe, saved=tmp_path / "run.npz", progress=NoProgress())
    assert asked == {"fit": (ROWS, ROWS, ROWS), "calibrate": (10, 10)}
