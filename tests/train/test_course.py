"""The frame of training by steps: which epoch's weights stay, when it ends, and that a killed run ends as if it had not
been."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from backstay.kernel.errors import BackstayError
from backstay.kernel.ports import NoProgress, Progress, Tick
from backstay.settings import TrainSettings
from backstay.train import course
from backstay.train.course import Course, run_course
from backstay.train.heads.linear import LinearHead
from backstay.train.held_out import kept, stopped
from backstay.train.length import Length, length_of
from backstay.train.network import Network

RECIPE = TrainSettings(epochs=8, patience=2, learning_rate=0.01, device="cpu")
State = dict[str, Tensor]


class Killed(Exception):
    """The process is gone."""


class Notes:
    """Progress that remembers what was told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    @contextmanager
    def step(self, name: str, total: int | None = None) -> Iterator[Tick]:
        yield self._tick

    def _tick(self, amount: int = 1, note: str = "", **figures: float) -> None:
        self.said.append(note)


class Run:
    """A course whose tune losses are given; it remembers the weights after each epoch, and the seeds it was given."""

    def __init__(self, losses: Sequence[float], killed_in: int | None = None) -> None:
        torch.manual_seed(0)
        self.network = Network(nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.2), nn.Linear(8, 4)), LinearHead(4, 2))
        self.losses, self.killed_in = losses, killed_in
        self.recipe = RECIPE.model_copy(update={"epochs": len(losses)})
        self.after: list[State] = []
        self.seeds: list[int] = []
        self.spread = 0.5

    def to_end(self, folder: Path, progress: Progress | None = None) -> list[dict[str, float]]:
        x = torch.randn(12, 3, generator=torch.Generator().manual_seed(1))
        whole = Course(
            network=self.network,
            learner=self.network,
            rows=12,
            seed=self._seed,
            order=lambda generator: list(torch.randperm(12, generator=generator).split(4)),
            loss=lambda rows, _generator, _device: self.network.encoder(x[rows]).square().mean(),
            look=self._look,
        )
        return run_course(
            whole,
            self.recipe,
            saved=folder / "run.npz",
            progress=progress or NoProgress(),
        )

    def _seed(self, epoch: int) -> int:
        self.seeds.append(epoch)
        return 100 + epoch

    def _look(self) -> dict[str, float]:
        epoch = self.seeds[-1]
        if epoch == self.killed_in:
            raise Killed
        self.after.append({name: value.clone() for name, value in self.network.state_dict().items()})
        return {"tune_loss": self.losses[epoch], "feature_std": self.spread, "effective_rank": 3.0}


def same(first: State, second: State) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


def test_the_best_epoch_stays_and_two_without_progress_end_it(tmp_path: Path) -> None:
    run = Run([3.0, 1.0, 2.0, 2.5, 0.1, 0.1])
    history = run.to_end(tmp_path)
    assert [h["tune_loss"] for h in history] == [3.0, 1.0, 2.0, 2.5]
    assert same(run.network.state_dict(), run.after[1])
    assert not same(run.after[1], run.after[3])


def test_a_run_that_stops_early_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three steps an epoch."""
    losses, told = [3.0, 1.0, 2.0, 2.0, 0.1], Notes()
    Run(losses).to_end(tmp_path, told)
    assert told.said[-1] == (
        "stopped after epoch 4 of 5 (12 steps), that of epoch 2 is kept; so few steps teach little: "
        "raise train.patience above 2, or lower train.batch_size"
    )
    monkeypatch.setattr(course, "FEW_STEPS", 12)
    Run(losses).to_end(tmp_path / "again", told)
    assert told.said[-1] == "stopped after epoch 4 of 5 (12 steps), that of epoch 2 is kept"


def test_of_equal_epochs_the_last_stays_and_its_figures_are_told(tmp_path: Path) -> None:
    run = Run([3.0, 1.0, 1.0])
    history = run.to_end(tmp_path)
    assert same(run.network.state_dict(), run.after[2])
    assert kept(history) is history[2]


@pytest.mark.parametrize(
    ("losses", "over"),
    [([2.0, 1.0], False), ([2.0, 1.0, 3.0], False), ([2.0, 1.0, 3.0, 4.0], True), ([1.0, 1.0, 1.0], True)],
)
def test_no_progress_is_none_in_all_of_the_last_epochs(losses: list[float], over: bool) -> None:
    assert stopped([{"tune_loss": loss} for loss in losses], 2) is over


@pytest.mark.parametrize("losses", [[4.0, 3.0, 2.0, 1.0], [3.0, 1.0, 2.0, 2.5]], ids=["ever better", "best before"])
def test_a_killed_run_goes_on_where_it_was_and_ends_at_the_same_weights(tmp_path: Path, losses: list[float]) -> None:
    (tmp_path / "whole").mkdir()
    whole = Run(losses)
    wanted = whole.to_end(tmp_path / "whole")
    first = Run(losses, killed_in=2)
    with pytest.raises(Killed):
        first.to_end(tmp_path)
    again = Run(losses)
    assert again.to_end(tmp_path) == wanted
    assert again.seeds == [2, 3]
    assert same(again.network.state_dict(), whole.network.state_dict())


@pytest.mark.parametrize(
    ("steps", "given", "wanted"),
    [
        (1, {}, Length(300, 60)),
        (7, {}, Length(43, 9)),
        (15, {}, Length(20, 4)),
        (900, {}, Length(20, 4)),
        (2, {"epochs": 3}, Length(3, 30)),
        (2, {"patience": 5}, Length(150, 5)),
    ],
)
def test_few_rows_have_more_epochs_unless_the_recipe_says(steps: int, given: dict[str, int], wanted: Length) -> None:
    assert length_of(TrainSettings(**given), steps) == wanted


def test_a_run_of_few_steps_an_epoch_waits_by_steps(tmp_path: Path) -> None:
    """Three steps an epoch: twenty epochs without progress end it, of at most a hundred."""
    run = Run([2.0, 1.0, *[1.5] * 98])
    run.recipe = TrainSettings(learning_rate=0.01, device="cpu")
    assert len(run.to_end(tmp_path)) == 22


@pytest.mark.parametrize("frozen", [True, False])
def test_a_narrow_encoder_is_refused_unless_it_came_so(tmp_path: Path, frozen: bool) -> None:
    run = Run([2.0, 1.0])
    run.spread, run.network.frozen = 0.01, frozen
    if frozen:
        assert len(run.to_end(tmp_path)) == 1
    else:
        with pytest.raises(BackstayError, match="the encoder has collapsed"):
            run.to_end(tmp_path)
