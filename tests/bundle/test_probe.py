"""A foreign model is asked once with made-up rows."""

from __future__ import annotations

import numpy as np
import pytest

from backstay.bundle.manifest import InputSpec, OutputSpec
from backstay.bundle.probe import ROWS, made_up, probe
from backstay.kernel.errors import BackstayError

INPUTS = (InputSpec("x", "FP32", (-1, 3), "features", ("a", "b", "c")),)
OUTPUTS = (OutputSpec("y", "FP32", (-1, -1), "value"),)


class Answers:
    """A session that answers in this shape."""

    def __init__(self, *shape: int) -> None:
        self.shape = shape

    def run(self, _wanted: list[str], arrays: dict[str, np.ndarray]) -> list[np.ndarray]:
        assert arrays["x"].shape == (ROWS, 3)
        return [np.zeros(self.shape, dtype=np.float32)]


def test_the_shapes_are_those_of_the_answers():
    assert probe(Answers(ROWS, 5), INPUTS, OUTPUTS, (), own=True) == {"y": (-1, 5)}


@pytest.mark.parametrize("shape", [(1, 5), (5, ROWS), ()])
def test_answers_that_are_not_one_a_row_are_refused(shape):
    with pytest.raises(BackstayError, match="asked with 8 rows, the output 'y' has shape"):
        probe(Answers(*shape), INPUTS, OUTPUTS, (), own=True)


def test_made_up_rows_are_the_same_each_time():
    assert np.array_equal(made_up(INPUTS)["x"], made_up(INPUTS)["x"])
