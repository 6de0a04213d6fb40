from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
from PIL import Image

from backstay.data.images import image_array, pixels_of, write_image
from backstay.data.read import read
from backstay.kernel.errors import BackstayError, NotFound


def test_every_table_format_gives_the_same_values(tmp_path: Path) -> None:
    rows = pa.table({"a": [1, 2, None], "b": ["x", None, 'z,\n"q"'], "c": [0.5, 1.5, 2.5]})
    (tmp_path / "r.csv").write_text('a,b,c\n1,x,0.5\n2,,1.5\n,"z,\n""q""",2.5\n')
    (tmp_path / "r.tsv").write_text('a\tb\tc\n1\tx\t0.5\n2\t\t1.5\n\t"z,\n""q"""\t2.5\n')
    (tmp_path / "r.jsonl").write_text(
        '{"a":1,"b":"x","c":0.5}\n{"a":2,"b":null,"c":1.5}\n{"a":null,"b":"z,\\n\\"q\\"","c":2.5}\n'
    )
    pq.write_table(rows, tmp_path / "r.parquet")
    feather.write_feather(rows, str(tmp_path / "r.arrow"))
    for file in sorted(tmp_path.iterdir()):
        assert read(file).to_pylist() == rows.to_pylist(), file.name
    assert read(pl.from_arrow(rows)).to_pylist() == rows.to_pylist()
    assert read(rows.to_pandas()).column("c").to_pylist() == [0.5, 1.5, 2.5]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("broken.csv", b"a,b\n1,2\n3,4,5\n", "line 3 has 3 fields"),
        ("short.csv", b'a,b\n"x\ny",2\n3\n', "line 4 has 1 fields"),
        ("empty.csv", b"", "is empty"),
        ("header.csv", b"a,b\n", "has no rows"),
        ("twice.csv", b"a,a\n1,2\n", "2 columns named 'a'"),
        ("unnamed.csv", b"a,\n1,2\n", "column 2 has no name"),
        ("latin.csv", b"a,b\nM\xfcller,2\n", "line 2 is not UTF-8"),
        ("rows.jsonl", b'{"a":1}\n{"a":\n', "line 2: not JSON"),
        ("list.jsonl", b'{"a":1}\n[1]\n', "line 2: a JSON list"),
        ("cut.parquet", b"PAR1xxxx", "cannot be read as Parquet"),
        ("cut.arrow", b"ARROW1xxxx", "cannot be read as Arrow"),
        ("cut.npz", b"PK\x03\x04rest", "not a whole npz"),
        ("rows.xlsx", b"whatever", "'.xlsx', which is not read"),
        ("rows.pkl", b"anything", "is a pickle"),
        ("hidden.csv", pickle.dumps([1, 2]), "is a pickle"),
    ],
    ids=lambda value: "bytes" if isinstance(value, bytes) else None,
)
def test_bad_files_are_named_with_a_fix(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BackstayError) as caught:
        read(tmp_path / name)
    assert says in caught.value.what
    assert name in caught.value.what
    assert caught.value.fix


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there is no file"):
        read(tmp_path / "nowhere.csv")


def test_types_are_inferred_over_the_whole_file(tmp_path: Path) -> None:
    (tmp_path / "late.csv").write_text("a\n" + "1\n" * 700_000 + "x\n")
    assert read(tmp_path / "late.csv").column("a").type == pa.string()


def test_npz_official_split(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (30, 6, 5), dtype=np.uint8)
    np.savez(tmp_path / "d.npz", x_train=x[:20], y_train=np.arange(20) % 2, x_test=x[20:], y_test=np.arange(10) % 2)
    table = read(tmp_path / "d.npz")
    assert table.column_names == ["image", "label", "part"]
    assert table.column("part").to_pylist() == ["train"] * 20 + ["test"] * 10
    np.testing.assert_array_equal(pixels_of(table.column("image"))[..., 0], x)


def test_npz_floats_and_extras(tmp_path: Path) -> None:
    x = np.linspace(0, 1, 2 * 3 * 3).reshape(2, 3, 3)
    np.savez(tmp_path / "d.npz", x=x, y=np.array(["a", "b"]), writer=np.array([4, 5]))
    table = read(tmp_path / "d.npz")
    assert table.column("writer").to_pylist() == [4, 5]
    assert int(pixels_of(table.column("image")).max()) == 255


def test_npz_without_labels(tmp_path: Path) -> None:
    np.savez(tmp_path / "images.npz", x=np.zeros((2, 3, 3), np.uint8), id=np.array(["a", "b"]))
    assert read(tmp_path / "images.npz").column_names == ["image", "id"]
    np.savez(tmp_path / "vectors.npz", x=np.zeros((2, 3)))
    assert read(tmp_path / "vectors.npz").column_names == ["vector"]


@pytest.mark.parametrize("shape", [(9, 8, 2), (9, 8, 5), (8, 8, 12), (5, 7, 9), (1, 6, 3)])
def test_npz_images_of_any_channels(tmp_path: Path, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).integers(0, 256, (6, *shape), dtype=np.uint8)
    np.savez(tmp_path / "d.npz", x=x, y=np.arange(6) % 2)
    column = read(tmp_path / "d.npz").column("image")
    assert tuple(column.type.shape) == shape
    np.testing.assert_array_equal(pixels_of(column), x)


def test_npz_images_with_channels_before_height_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.zeros((4, 3, 32, 32), np.uint8), y=np.arange(4) % 2)
    with pytest.raises(BackstayError, match=r"3 channels seem to come before .*transpose\(0, 2, 3, 1"):
        read(tmp_path / "d.npz")


def test_a_png_holds_colours_only(tmp_path: Path) -> None:
    with pytest.raises(BackstayError, match="5 channels does not go into a png"):
        write_image(np.zeros((4, 4, 5), np.uint8), tmp_path / "i.png")
    assert not list(tmp_path.iterdir())


def test_what_is_no_archive_is_not_told_how_to_unpickle(tmp_path: Path) -> None:
    (tmp_path / "d.npz").write_text("hello")
    with pytest.raises(BackstayError, match="it is no zip archive"):
        read(tmp_path / "d.npz")


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"x": np.zeros((2, 3, 3), np.uint8), "y": np.array([{}, 1], dtype=object)}, "pickled objects"),
        ({"x": np.zeros((2, 3, 3), np.uint8), "y": np.zeros(3)}, "one label for each row of x"),
        ({"x": np.zeros((2, 3), np.uint8), "y": np.zeros(2)}, "[n, height, width]"),
        ({"x": np.full((2, 3, 3), -4.0), "y": np.zeros(2)}, "from -4 to -4"),
        ({"z": np.zeros(2)}, "has the arrays z"),
        ({"x": np.zeros(()), "y": np.zeros(())}, "one label for each row of x"),
        ({"x": np.zeros(())}, "[n, height, width]"),
        ({"y": np.zeros(2)}, "x alone where rows need no labels"),
    ],
)
def test_bad_npz(tmp_path: Path, arrays: dict[str, np.ndarray], says: str) -> None:
    np.savez(tmp_path / "d.npz", **arrays)
    with pytest.raises(BackstayError) as caught:
        read(tmp_path / "d.npz")
    assert says in str(caught.value)


def test_folder_per_class(tmp_path: Path) -> None:
    for label, shade in (("cat", 10), ("dog", 200)):
        (tmp_path / label).mkdir()
        for i in range(2):
            Image.fromarray(np.full((4, 6), shade + i, np.uint8)).save(tmp_path / label / f"{i}.png")
    table = read(tmp_path)
    assert table.column("label").to_pylist() == ["cat", "cat", "dog", "dog"]
    assert pixels_of(table.column("image"))[:, 0, 0, 0].tolist() == [10, 11, 200, 201]
    assert table.column("id")[0].as_py() == "cat/0.png"
    Image.fromarray(np.zeros((5, 6), np.uint8)).save(tmp_path / "dog" / "9.png")
    with pytest.raises(BackstayError, match=r"image_size = \[height, width\]"):
        read(tmp_path)
    (tmp_path / "dog" / "9.png").write_bytes(b"no image")
    with pytest.raises(BackstayError, match="cannot be read as an image"):
        read(tmp_path)


def test_images_survive_take_and_concat() -> None:
    pixels = np.arange(4 * 2 * 2, dtype=np.uint8).reshape(4, 2, 2, 1)
    table = pa.table({"image": image_array(pixels)})
    both = pa.concat_tables([table.take(pa.array([3, 0])), table.slice(1, 2)])
    np.testing.assert_array_equal(pixels_of(both.column("image")), pixels[[3, 0, 1, 2]])


def test_what_is_no_source() -> None:
    with pytest.raises(BackstayError, match="cannot be read from a int"):
        read(7)


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (pd.DataFrame([[1, 2]], columns=["x", "x"]), "DataFrame cannot be read as rows: Duplicate column names"),
        (pd.DataFrame({"x": ["a", 1, "b"]}, dtype=object), "column x"),
        (pd.Series([1.0, 2.0]), "Series cannot be read as rows"),
        (pd.DataFrame({"x": [1j]}), "column x"),
    ],
)
def test_a_frame_that_arrow_refuses_is_refused_in_our_words(frame: object, said: str) -> None:
    with pytest.raises(BackstayError) as refused:
        read(frame)
    assert said in refused.value.what
    assert "one kind of value in each column" in str(refused.value.fix)
