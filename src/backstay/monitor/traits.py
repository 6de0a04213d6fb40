"""Figures of an image that people have words for. They describe a change that a detector found; they test nothing."""

from __future__ import annotations

import numpy as np

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import AnyArray, FloatArray


def image_traits(images: AnyArray) -> dict[str, FloatArray]:
    """Brightness, contrast and sharpness of images [n, h, w] or [n, h, w, c], on the scale of their values.

    Brightness is the mean, contrast the standard deviation within an image, sharpness the mean step between
    neighbouring pixels over the contrast (so that fading alone does not look like blur).

    >>> traits = image_traits(np.zeros((2, 8, 8)))
    >>> sorted(traits), traits["sharpness"].tolist()
    (['brightness', 'contrast', 'sharpness'], [0.0, 0.0])
    """
    pixels = np.asarray(images, dtype=np.float32)
    if pixels.ndim not in (3, 4):
        raise BackstayError(f"images of shape {pixels.shape}", fix="give [rows, height, width] or [..., channels]")
    inner = tuple(range(1, pixels.ndim))
    contrast = pixels.std(axis=inner, dtype=np.float64)
    steps = [
        np.abs(np.diff(pixels, axis=axis)).mean(axis=inner, dtype=np.float64)
        for axis in (1, 2)
        if pixels.shape[axis] > 1
    ]
    mean_step = np.mean(steps, axis=0) if steps else np.zeros(len(pixels))
    return {
        "brightness": pixels.mean(axis=inner, dtype=np.float64),
        "contrast": contrast,
        "sharpness": np.divide(mean_step, contrast, out=np.zeros(len(pixels)), where=contrast > 1e-9),
    }
