"""Galleries: what is written comes back, another space is refused, bytes that changed are noticed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backstay.bundle.gallery import Gallery, GalleryFile, gallery, read_gallery
from backstay.kernel.errors import BackstayError, NotFound, Tampered

SPACE = "space-a"


def made(n: int = 5, stem: str = "r") -> Gallery:
    rng = np.random.default_rng(n)
    return gallery(
        SPACE,
        [f"{stem}{i}" for i in range(n)],
        rng.normal(size=(n, 3)),
        groups=[f"g{i // 2}" for i in range(n)],
        kept={"label": [None if i == 0 else str(i % 2) for i in range(n)]},
    )


def kept(tmp_path: Path, what: Gallery) -> GalleryFile:
    path = tmp_path / "gallery"
    return GalleryFile(what.write(path), what.space, path)


def test_what_is_written_comes_back(tmp_path: Path):
    before = made()
    after = read_gallery(kept(tmp_path, before))
    assert after.space == SPACE
    assert after.ids.to_pylist() == ["r0", "r1", "r2", "r3", "r4"]
    assert after.groups.to_pylist() == ["g0", "g0", "g1", "g1", "g2"]
    assert np.array_equal(after.vectors, before.vectors)
    assert after.vectors.dtype == np.float32
    assert [after.shown(i) for i in (0, 1)] == [{"label": None}, {"label": "1"}]


def test_the_same_rows_have_the_same_id(tmp_path: Path):
    assert made().write(tmp_path / "a") == made().write(tmp_path / "b")
    assert made().write(tmp_path / "a") != made(4).write(tmp_path / "b")


def test_each_row_is_nearest_to_itself(tmp_path: Path):
    found = read_gallery(kept(tmp_path, made()))
    places, cosines = found.find(found.vectors * 7.0, 1, space=SPACE)
    assert places[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert cosines[:, 0] == pytest.approx(1.0, abs=1e-6)


def test_another_space_is_refused():
    with pytest.raises(BackstayError, match="space-a, the model embeds into space-b"):
        made().find(np.ones((1, 3)), 1, space="space-b")
    with pytest.raises(BackstayError, match="no embedding space"):
        made().find(np.ones((1, 3)), 1, space="")
    other = gallery("space-b", ["x"], np.ones((1, 3)), kept={"label": ["1"]})
    with pytest.raises(BackstayError, match="space-b"):
        made().joined(other)


def test_rows_are_added_once():
    whole = made().joined(made(3, "s"))
    assert len(whole) == 8
    assert whole.ids.to_pylist()[-1] == "s2"
    assert np.array_equal(whole.vectors[5:], made(3, "s").vectors)
    with pytest.raises(BackstayError, match="3 ids are in the gallery already: 'r0'"):
        made().joined(made(3))
    with pytest.raises(BackstayError, match="other columns"):
        made().joined(gallery(SPACE, ["x"], np.ones((1, 3))))


def test_rows_are_taken_out():
    rest = made().take(np.array([True, False, True, True, False]))
    assert rest.ids.to_pylist() == ["r0", "r2", "r3"]
    assert np.array_equal(rest.vectors, made().vectors[[0, 2, 3]])
    assert rest.groups.to_pylist() == ["g0", "g1", "g1"]
    assert rest.shown(2) == {"label": "1"}


def test_changed_bytes_are_noticed(tmp_path: Path):
    file = kept(tmp_path, made())
    content = bytearray(file.path.read_bytes())
    content[len(content) // 2] ^= 1
    file.path.write_bytes(content)
    with pytest.raises(Tampered, match="does not hash"):
        read_gallery(file)
    file.path.unlink()
    with pytest.raises(NotFound):
        read_gallery(file)


def test_bad_rows_are_refused():
    with pytest.raises(BackstayError, match="'a' is there twice"):
        gallery(SPACE, ["a", "b", "a"], np.ones((3, 2)))
    with pytest.raises(BackstayError, match="no row"):
        gallery(SPACE, [], np.ones((0, 2)))
    with pytest.raises(BackstayError, match="row 1 has no direction"):
        gallery(SPACE, ["a", "b"], np.array([[1.0, 0.0], [0.0, 0.0]]))
