"""Pixels are what the files show: nothing is cut off, left on its side, turned grey or taken for another scale."""

from __future__ import annotations

from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from PIL import Image, ImageOps

from backstay.data.images import pixels_of, size_for
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


@pytest.mark.parametrize("ending", ["bmp", "tif", "webp", "PNG", "jpeg"])
def test_pictures_of_the_usual_kinds_are_read(tmp_path: Path, ending: str) -> None:
    folder(tmp_path, a=plain(3, "L"))
    (tmp_path / "b").mkdir()
    plain(90, "L").save(tmp_path / "b" / f"0.{ending}")
    found = read(tmp_path)
    assert found.column("label").to_pylist() == ["a", "b"]
    assert abs(int(pixels_of(found.column("image"))[1].mean()) - 90) <= 1


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("b/0.gif", "pictures of .* of a kind that is not read: 1, the first .*b/0.gif"),
        ("0.png", "pictures of .* lie in no folder of a class: 1, the first .*0.png"),
        ("a/more/0.png", "pictures of .* lie in no folder of a class: 1, the first .*a/more/0.png"),
    ],
)
def test_no_picture_is_left_out_unnoticed(tmp_path: Path, place: str, told: str) -> None:
    folder(tmp_path, a=plain(3, "L"), c=plain(5, "L"))
    (tmp_path / place).parent.mkdir(exist_ok=True)
    plain(90, "L").save(tmp_path / place)
    with pytest.raises(BackstayError, match=told):
        read(tmp_path)


def test_a_file_of_several_pictures_is_refused(tmp_path: Path) -> None:
    folder(tmp_path, a=plain(3, "L"))
    plain(3, "L").save(tmp_path / "a" / "1.tif", save_all=True, append_images=[plain(9, "L")])
    with pytest.raises(BackstayError, match=r"a/1.tif holds 2 pictures"):
        read(tmp_path)


def test_a_photo_with_a_preview_of_it_is_one_picture(tmp_path: Path) -> None:
    folder(tmp_path, a=plain(3, "L"))
    plain(90, "L").save(tmp_path / "a" / "1.jpg", "MPO", save_all=True, append_images=[plain(9, "L", (3, 2))])
    assert [round(float(p.mean())) for p in pixels_of(read(tmp_path).column("image"))] == [3, 90]


CUT_HEADER = b"\0" * 5
NO_PICTURES = {
    "cut header": b"\x89PNG\r\n\x1a\n\0\0\0\x05IHDR" + CUT_HEADER + crc32(b"IHDR" + CUT_HEADER).to_bytes(4, "big"),
    "text": b"no picture",
    "nothing": b"",
}


@pytest.mark.parametrize("content", NO_PICTURES.values(), ids=NO_PICTURES.keys())
def test_a_file_that_holds_no_picture_is_named(tmp_path: Path, content: bytes) -> None:
    folder(tmp_path, a=plain(3), b=plain(5))
    (tmp_path / "a" / "1.png").write_bytes(content)
    assert size_for(tmp_path) is None
    with pytest.raises(BackstayError, match=r"a/1.png cannot be read as an image"):
        read(tmp_path)


def test_a_note_whose_orientation_is_a_text_says_none(tmp_path: Path) -> None:
    folder(tmp_path, a=plain(3))
    entry = b"\x12\x01" + b"\x02\0" + b"\x02\0\0\0" + b"6\0\0\0"
    note = b"Exif\0\0II*\0\x08\0\0\0\x01\0" + entry + b"\0\0\0\0"
    plain(3).save(tmp_path / "a" / "1.jpg", exif=note)
    assert size_for(tmp_path) is None
    assert pixels_of(read(tmp_path).column("image")).shape == (2, 4, 6, 3)


def test_pictures_in_no_subfolder_are_rows_without_labels(tmp_path: Path) -> None:
    for name in ("0", "1"):
        plain(9, "L").save(tmp_path / f"{name}.png")
    (tmp_path / ".thumbnails").mkdir()
    plain(9, "L").save(tmp_path / ".thumbnails" / "0.png")
    found = read(tmp_path)
    assert found.column_names == ["id", "image"]
    assert found.column("id").to_pylist() == ["0.png", "1.png"]


def test_a_class_may_be_a_link_to_a_folder(tmp_path: Path) -> None:
    for name in ("elsewhere", "pictures"):
        (tmp_path / name).mkdir()
    folder(tmp_path / "elsewhere", b=plain(5, "L"))
    folder(tmp_path / "pictures", a=plain(3, "L"))
    (tmp_path / "pictures" / "b").symlink_to(tmp_path / "elsewhere" / "b", target_is_directory=True)
    assert read(tmp_path / "pictures").column("label").to_pylist() == ["a", "b"]


def test_one_picture_is_one_row_without_a_label(tmp_path: Path) -> None:
    plain(7, "L").save(tmp_path / "scan.png")
    found = read(tmp_path / "scan.png")
    assert found.column_names == ["id", "image"]
    assert found.column("id").to_pylist() == ["scan.png"]
    assert pixels_of(found.column("image")).shape == (1, 4, 6, 1)


def mixed(tmp_path: Path) -> Path:
    """A wide one, a high one, a small one, and one that was held sideways: 400 x 200 when it stands."""
    note = Image.Exif()
    note[0x0112] = 6
    for name, image in {"wide": (400, 200), "high": (200, 400), "small": (40, 20), "turned": (200, 400)}.items():
        (tmp_path / name).mkdir()
        more = {"exif": note} if name == "turned" else {}
        Image.new("L", image, 0).save(tmp_path / name / "0.jpg", quality=95, **more)
    return tmp_path


def test_images_of_several_sizes_are_refused_unless_a_size_is_said(tmp_path: Path) -> None:
    with pytest.raises(BackstayError, match=r"small/0.jpg is 40 x 20 pixels, .*high/0.jpg is 200 x 400") as caught:
        read(mixed(tmp_path))
    assert "data.image_size = [height, width]" in str(caught.value.fix)


def test_images_are_scaled_to_fit_and_the_rest_is_white(tmp_path: Path) -> None:
    found = pixels_of(read(mixed(tmp_path), image_size=(20, 40)).column("image"))[..., 0]
    high, small, turned, wide = found
    assert found.shape == (4, 20, 40)
    assert small.max() < 30
    assert wide.max() < 30
    assert turned.max() < 30
    assert high[:, 15:25].max() < 30
    assert high[:, :14].min() > 225
    assert high[:, 26:].min() > 225
    alone = pixels_of(read(tmp_path / "high" / "0.jpg", image_size=(20, 40)).column("image"))
    assert np.array_equal(alone[0, ..., 0], high)


def test_of_a_very_long_image_a_line_is_left(tmp_path: Path) -> None:
    folder(tmp_path, flat=plain(0, "L", (5000, 2)), high=plain(0, "L", (2, 5000)))
    flat, high = pixels_of(read(tmp_path, image_size=(9, 9)).column("image"))[..., 0]
    assert sorted(set(flat.max(axis=1).tolist())) == sorted(set(high.max(axis=0).tolist())) == [0, 255]
    assert flat[4].max() == high[:, 4].max() == 0


def test_the_size_that_is_proposed_is_the_median_and_not_large(tmp_path: Path) -> None:
    assert size_for(mixed(tmp_path)) == (64, 96)  # heights 20, 200, 200, 400; widths 40, 200, 400, 400
    (tmp_path / "small" / "0.jpg").write_bytes(b"nothing")
    assert size_for(tmp_path) is None
    (tmp_path / "one").mkdir()
    assert size_for(folder(tmp_path / "one", a=plain(0), b=plain(0))) is None
    (tmp_path / "long").mkdir()
    assert size_for(folder(tmp_path / "long", a=plain(0, size=(5000, 2)), b=plain(0, size=(9000, 3)))) == (2, 96)


@pytest.mark.parametrize("shape", [(31, 17), (17, 31), (50, 49), (12, 20), (200, 13), (6, 90)])
def test_what_clients_are_told_to_do_gives_the_same_pixels(tmp_path: Path, shape: tuple[int, int]) -> None:
    """docs/own_data.md names `ImageOps.pad`: a margin that is a pixel off would be a skew between training and live."""
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (shape[1], shape[0], 3)).astype(np.uint8))
    image.save(tmp_path / "0.png")
    for size in ((20, 12), (21, 32), (9, 9)):
        told = ImageOps.pad(image, size[::-1], Image.Resampling.LANCZOS, color="white")
        found = pixels_of(read(tmp_path / "0.png", image_size=size).column("image"))[0]
        assert np.array_equal(found, np.asarray(told))
