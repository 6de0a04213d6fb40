"""PSNR by hand, damage as told, and a comparison that sees who is nearer."""

from __future__ import annotations

import math

import numpy as np
import pytest

from backstay.evaluate.enhancement import CONTROL, damaged, measured_enhancement, psnr


def clean(n: int = 20) -> np.ndarray:
    return np.random.default_rng(0).integers(60, 200, (n, 6, 5, 3)).astype(np.uint8)


def test_psnr_is_the_formula():
    first, second = clean(4), damaged(clean(4), hidden=0.2)
    for row in range(4):
        away = [float(a) - float(b) for a, b in zip(first[row].ravel(), second[row].ravel(), strict=True)]
        mean = sum(d * d for d in away) / len(away)
        assert psnr(first, second)[row] == pytest.approx(10 * math.log10(255**2 / mean))
    assert np.isfinite(psnr(first, first)).all()


def test_damage_hides_whole_pixels_and_adds_noise():
    images = clean(200)
    given = damaged(images, hidden=0.3)
    black = (given == 0).all(axis=3)
    assert black.mean() == pytest.approx(0.3, abs=0.02)
    noise = (given.astype(float) - images)[~black]
    assert noise.std() == pytest.approx(25.0, rel=0.05)
    assert np.array_equal(damaged(images, hidden=0.0, noise=0.0), images)
    assert np.array_equal(given, damaged(images, hidden=0.3))


def test_the_control_is_the_input_itself():
    images = clean()
    groups = np.repeat(np.arange(10), 2)

    def compare(enhance):
        figures, compared = measured_enhancement(enhance, images, hidden=0.3, noise=25.0, groups=groups, data_id="d")
        assert [m.of for m in figures] == ["model", CONTROL]
        assert figures[0].value - figures[1].value == pytest.approx(compared[0].difference)
        assert compared[0].against == CONTROL
        return figures, compared[0]

    # One that knows the truth, one that gives back what it got, and one that makes it worse.
    assert compare(lambda given: images)[1].one_sided_low > 20
    same = compare(lambda given: given)[1]
    assert same.difference == same.one_sided_low == 0.0
    assert compare(lambda given: given * 0)[1].difference < 0
    assert compare(lambda given: images)[0][0].interval is not None
