"""How fast, and how long yet: by a clock that the test turns."""

from __future__ import annotations

import pytest

from backstay.train.pace import Pace


class Heard:
    def __init__(self) -> None:
        self.told: list[tuple[int, str, dict[str, float]]] = []
        self.now = 100.0

    def __call__(self, amount: int = 1, note: str = "", **figures: float) -> None:
        self.told.append((amount, note, figures))

    def pace(self, kind: str = "table", rows: int = 100, epochs: int = 4) -> Pace:
        return Pace(self, kind, rows, epochs, clock=lambda: self.now)


def test_an_epoch_tells_loss_speed_and_time_left() -> None:
    heard = Heard()
    pace = heard.pace()
    for _ in range(4):
        heard.now += 0.5
        pace.step(25, 1.5)
    heard.told.clear()
    pace.epoch({"loss": 1.25, "tune_loss": 2.0, "feature_std": 0.5})
    assert heard.told == [
        (
            1,
            "loss 1.250, tune 2.000, 50 rows/s, at most 6 s left",
            {"loss": 1.25, "tune_loss": 2.0, "feature_std": 0.5, "rows_per_second": 50.0, "most_seconds_left": 6.0},
        )
    ]


def test_within_an_epoch_no_more_than_once_a_second() -> None:
    heard = Heard()
    pace = heard.pace(rows=1000)
    for _ in range(40):
        heard.now += 0.125
        pace.step(10, 0.5)
    assert len(heard.told) == 5
    assert heard.told[0][:2] == (0, "loss 0.500, 80 rows/s, at most 49 s left")
    assert heard.told[-1][2]["most_seconds_left"] == pytest.approx(45.0)


@pytest.mark.parametrize(
    ("kind", "unit"), [("image", "images"), ("text", "texts"), ("vector", "rows"), ("codes", "rows")]
)
def test_images_are_called_so(kind: str, unit: str) -> None:
    heard = Heard()
    pace = heard.pace(kind)
    heard.now += 2
    pace.step(100, 0.5)
    assert f"50 {unit}/s" in heard.told[0][1]
    assert heard.told[0][2][f"{unit}_per_second"] == 50.0


def test_neighbours_are_told_where_they_decide_and_nothing_is_left_at_the_end() -> None:
    heard = Heard()
    pace = heard.pace(rows=10, epochs=1)
    heard.now += 1
    pace.step(12, 0.5)  # a sampler may see a row more than once
    pace.epoch({"loss": 0.5, "tune_loss": 1.0, "tune_knn": 0.875})
    assert heard.told[-1][1] == "loss 0.500, knn 0.875, 12 rows/s, at most 0 s left"


def test_a_clock_that_stands_still_divides_by_nothing() -> None:
    heard = Heard()
    heard.pace().epoch({"loss": 0.5, "tune_loss": 1.0})
    assert heard.told[0][2]["rows_per_second"] == 0.0
