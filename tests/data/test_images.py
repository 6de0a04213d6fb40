"""Pixels are what the files show: nothing is cut off, left on its side, turned grey or taken for another scale."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backstay.data.images import pixels_of
from backstay.data.read import read
from backstay.kernel.errors import BackstayError


def folder(tmp_path: Path, **images: Image.Image) -> Path:
    """One image of each class, in the order of the names."""
    for name, image in images.items():
        (tmp_path / name).mkdir()
        image.save(tmp_path / name / "0.png")
    return tmp_path


def plain(value: object, mode: str = "RGB", size: tuple[int, int] = (6, 4)) -> Image.Image:
    return Image.new(mode, size, value)


@pytest.mark.parametrize("dtype", [np.float64, np.int64, np.int16])
def test_whole_pixels_that_stop_far_below_255_are_of_another_scale(tmp_path: Path, dtype: type) -> None:
    np.savez(tmp_path / "digits.npz", x=(np.arange(17 * 9).reshape(17, 3, 3) % 17).astype(dtype))
    with pytest.raises(BackstayError, match="from 0 to 16: pixels go to 255") as caught:
        read(tmp_path / "digits.npz")
    assert "x / 16" in str(caught.value.fix)
    np.savez(tmp_path / "dark.npz", x=np.full((2, 3, 3), 16, np.uint8))
    assert pixels_of(read(tmp_path / "dark.npz").column("image")).max() == 16
    np.savez(tmp_path / "light.npz", x=np.full((2, 3, 3), 200, dtype))
    assert pixels_of(read(tmp_path / "light.npz").column("image")).max() == 200


def test_images_of_sixteen_bits_are_refused(tmp_path: Path) -> None:
    deep = Image.fromarray(np.linspace(0, 46000, 24).reshape(4, 6).astype(np.uint16))
    with pytest.raises(BackstayError, match=r"scan/0.png has more than 8 bits") as caught:
        read(folder(tmp_path, blank=plain(0, "L"), scan=deep))
    assert "scale it to 8 bits" in str(caught.value.fix)


def test_a_photo_that_was_held_sideways_stands_upright(tmp_path: Path) -> None:
    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[:, :5] = 255
    note = Image.Exif()
    note[0x0112] = 6
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.fromarray(pixels).save(tmp_path / name / "0.jpg", exif=note, quality=95)
    found = pixels_of(read(tmp_path).column("image"))
    assert found.shape == (2, 30, 20, 3)
    assert found[0, :4].min() > 200
    assert found[0, 8:].max() < 50


def test_colours_stay_where_the_first_image_is_grey(tmp_path: Path) -> None:
    found = pixels_of(read(folder(tmp_path, a=plain(90, "L"), b=plain((200, 0, 0)))).column("image"))
    assert found[:, 0, 0].tolist() == [[90, 90, 90], [200, 0, 0]]


def test_what_is_transparent_is_white(tmp_path: Path) -> None:
    hidden, half = plain((200, 0, 0, 0), "RGBA"), plain((0, 0, 0, 128), "RGBA")
    found = pixels_of(read(folder(tmp_path, a=hidden, b=half, c=plain((0, 9, 0)))).column("image"))
    assert found[:, 0, 0].tolist() == [[255, 255, 255], [127, 127, 127], [0, 9, 0]]


def test_grey_images_with_transparency_stay_grey(tmp_path: Path) -> None:
    found = pixels_of(read(folder(tmp_path, a=plain((30, 0), "LA"), b=plain((30, 255), "LA"))).column("image"))
    assert found[:, 0, 0].tolist() == [[255], [30]]


def test_hidden_files_are_no_images(tmp_path: Path) -> None:
    folder(tmp_path, a=plain(3, "L"), b=plain(5, "L"))
    (tmp_path / "a" / "._0.png").write_bytes(b"of another system")
    assert read(tmp_path).column("id").to_pylist() == ["a/0.png", "b/0.png"]
