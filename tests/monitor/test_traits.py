from __future__ import annotations

import numpy as np
import pytest

from backstay.kernel.errors import BackstayError
from backstay.monitor.traits import image_traits


def test_fading_lowers_contrast_and_blur_lowers_sharpness():
    rng = np.random.default_rng(0)
    images = rng.random((20, 12, 12, 1))
    faded = 0.5 + (images - 0.5) * 0.5
    blurred = (images + np.roll(images, 1, axis=1) + np.roll(images, 1, axis=2)) / 3
    plain, fade, blur = (image_traits(x) for x in (images, faded, blurred))
    assert fade["contrast"].mean() == pytest.approx(plain["contrast"].mean() / 2, rel=1e-3)
    assert fade["sharpness"].mean() == pytest.approx(plain["sharpness"].mean(), rel=1e-3)
    assert blur["sharpness"].mean() < 0.9 * plain["sharpness"].mean()


def test_brightness_is_the_mean():
    np.testing.assert_allclose(image_traits(np.full((3, 4, 4), 7, dtype=np.uint8))["brightness"], 7.0)


def test_what_is_no_image_is_refused():
    with pytest.raises(BackstayError, match="shape"):
        image_traits(np.zeros((3, 4)))
