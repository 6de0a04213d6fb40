from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from backstay.kernel.errors import BackstayError
from backstay.render.images import contact_sheet, png, png_uri, scaled


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 3), (5, 7, 4), (1, 1)])
def test_png_reads_back_as_the_same_pixels(shape):
    image = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    with Image.open(io.BytesIO(png(image))) as found:
        assert np.array_equal(np.asarray(found).reshape(shape), image)


@pytest.mark.parametrize("channels", [2, 5, 12])
def test_channels_that_are_no_colours_are_drawn_as_their_mean(channels):
    image = np.random.default_rng(1).integers(0, 256, (5, 7, channels), dtype=np.uint8)
    with Image.open(io.BytesIO(png(image))) as found:
        assert np.array_equal(np.asarray(found), np.rint(image.mean(axis=2)).astype(np.uint8))


def test_scaling_repeats_pixels():
    image = np.arange(6, dtype=np.uint8).reshape(2, 3)
    big = scaled(image, 8)
    assert big.shape == (8, 12, 1)
    assert np.array_equal(big[::4, ::4, 0], image)
    assert np.array_equal(big[3::4, 3::4, 0], image)


def test_a_sheet_holds_every_image_in_order():
    images = [np.full((8, 8, 3), 10 * i, np.uint8) for i in range(10)]
    sheet = contact_sheet(images, across=8, least=8, gap=2)
    assert sheet is not None
    assert sheet.shape == (18, 48, 3)
    assert [int(sheet[y, x, 0]) for y in (0, 10) for x in range(0, 50, 10)] == [10 * i for i in range(10)]
    assert contact_sheet([]) is None
    with pytest.raises(BackstayError, match="different shapes"):
        contact_sheet([images[0], np.zeros((4, 4, 1), np.uint8)])


@pytest.mark.parametrize("bad", [np.zeros((2, 2)), np.zeros((2, 2, 0), np.uint8), np.zeros((0, 2), np.uint8), [1, 2]])
def test_what_is_not_an_image_is_refused(bad):
    with pytest.raises(BackstayError, match="give uint8"):
        png_uri(bad)
