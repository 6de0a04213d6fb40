"""What `backstay transfer` answers: a model learned on one domain, judged on another."""

from __future__ import annotations

from dataclasses import dataclass

from backstay.kernel.records import Comparison, Measurement


@dataclass(frozen=True, slots=True)
class Domain:
    """Rows with one value of the column that tells domains apart."""

    name: str
    train: int
    tune: int
    gate: int


@dataclass(frozen=True, slots=True)
class Cell:
    """A model learned on one domain, judged on the gate rows of another (or the same).

    Args:
        figure: on the gate rows of `judged_on`: accuracy of classes, mean absolute error of numbers, micro F1 of sets.
        control: of the nearest raw rows of `learned_on`, on the same rows.
        loss: how much better this model is than the one learned on `judged_on` itself, on the same rows, so that
            negative is what transferring costs, of an error too; None on the diagonal.
    """

    learned_on: str
    judged_on: str
    figure: Measurement
    control: Measurement
    loss: Comparison | None = None


@dataclass(frozen=True, slots=True)
class Transfer:
    """The whole table, a row a domain learned on and a column a domain judged on.

    Args:
        by: the column of domains; it is no input of the models.
        metric: what is measured.
        left_out: domains with too few rows, and how many they have.
        sentence: the result in words.
    """

    model: str
    by: str
    metric: str
    data_id: str
    recipe: str
    domains: tuple[Domain, ...]
    cells: tuple[Cell, ...]
    left_out: tuple[str, ...]
    sentence: str

    def cell(self, learned_on: str, judged_on: str) -> Cell:
        return next(c for c in self.cells if (c.learned_on, c.judged_on) == (learned_on, judged_on))
