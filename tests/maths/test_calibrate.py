from __future__ import annotations

import json

import numpy as np
import pytest

from backstay.kernel.errors import BackstayError
from backstay.maths.calibrate import Platt, Temperature, debiased_calibration_error, safe_logit


def test_platt_finds_the_map_that_made_the_labels() -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=20_000) * 3
    y = (rng.random(20_000) < 1 / (1 + np.exp(-(0.5 * z + 1)))).astype(float)
    found = Platt.fit(z, y)
    assert (found.slope, found.intercept) == pytest.approx((0.5, 1.0), abs=0.06)
    assert Platt.from_json(json.loads(json.dumps(found.to_json()))) == found
    assert found.apply(np.array([0.0]))[0] == pytest.approx(1 / (1 + np.exp(-found.intercept)))


def test_platt_never_becomes_certain() -> None:
    p = Platt.fit(np.linspace(-1, 1, 20), np.ones(20)).apply(np.array([0.0]))
    assert 0.9 < p[0] < 1.0


@pytest.mark.parametrize("bias", [False, True])
def test_temperature_finds_the_map_that_made_the_labels(bias: bool) -> None:
    rng = np.random.default_rng(1)
    z = rng.normal(size=(20_000, 3)) * 4
    offset = np.array([0.8, 0.0, -0.8]) if bias else np.zeros(3)
    y = (z / 2.5 + offset + rng.gumbel(size=z.shape)).argmax(axis=1)
    found = Temperature.fit(z, y, bias=bias)
    assert found.temperature == pytest.approx(2.5, rel=0.05)
    assert np.allclose(np.array(found.bias) - np.mean(found.bias), offset, atol=0.08)
    assert Temperature.from_json(json.loads(json.dumps(found.to_json()))) == found
    assert np.allclose(found.apply(z[:5]).sum(axis=1), 1)


@pytest.mark.parametrize("n", [15, 300])
def test_where_all_rows_are_right_the_next_one_is_not_certain(n: int) -> None:
    """Without smoothed targets the scores would be 1, and the first mistake would cost 37 nats and more."""
    codes = np.arange(n) % 3
    found = Temperature.fit(8.0 * np.eye(3)[codes], codes)
    assert found.apply(8.0 * np.eye(3))[0] == pytest.approx([(n + 1) / (n + 2), *[0.5 / (n + 2)] * 2], rel=1e-2)


def test_temperature_takes_log_probabilities_for_logits() -> None:
    z = np.random.default_rng(0).normal(size=(50, 3))
    same = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    y = z.argmax(axis=1)
    y[:20] = 0
    assert Temperature.fit(z, y).temperature == pytest.approx(Temperature.fit(same, y).temperature, rel=1e-3)


def calibrated(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    confidence = 0.5 + 0.5 * rng.random(n)
    return confidence, (rng.random(n) < confidence).astype(float)


def test_debiased_square_is_zero_on_average_for_a_calibrated_model() -> None:
    rng = np.random.default_rng(2)
    squares = [debiased_calibration_error(*calibrated(200, rng), draws=10).squared for _ in range(500)]
    assert abs(np.mean(squares)) <= 2 * np.std(squares) / np.sqrt(500)


def test_the_plug_in_estimate_would_fail_that_test() -> None:
    rng = np.random.default_rng(2)
    plug_in = []
    for _ in range(200):
        confidence, correct = calibrated(200, rng)
        order = np.argsort(confidence)
        gaps = [(correct[cell] - confidence[cell]).mean() ** 2 for cell in np.array_split(order, 15)]
        plug_in.append(np.mean(gaps))
    assert np.mean(plug_in) > 10 * np.std(plug_in) / np.sqrt(200)


def test_a_miscalibrated_model_is_measured_and_covered() -> None:
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(150):
        confidence = np.full(800, 0.9) + rng.normal(size=800) * 1e-6
        correct = (rng.random(800) < 0.8).astype(float)
        error, low, high, squared = debiased_calibration_error(confidence, correct, draws=100)
        covered += low <= 0.1 <= high
        assert error == pytest.approx(np.sqrt(max(squared, 0)))
    assert covered >= 130


def test_confidences_out_of_range_are_refused() -> None:
    with pytest.raises(BackstayError, match="outside 0 to 1"):
        debiased_calibration_error(np.array([0.1, 0.2, 0.3, 1.2]), np.ones(4))
    with pytest.raises(BackstayError, match="logit for each class"):
        Temperature.fit(np.zeros((3, 2)), np.array([0, 1, 2]))
    assert np.all(np.isfinite(safe_logit(np.array([0.0, 1.0]))))
