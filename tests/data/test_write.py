from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from backstay.data.images import image_array
from backstay.data.read import read
from backstay.data.write import write_table
from backstay.kernel.errors import BackstayError


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet", "arrow", "jsonl"])
def test_round_trip(tmp_path: Path, ending: str) -> None:
    table = pa.table({"id": ["a", "b"], "p": [0.25, None]})
    write_table(table, tmp_path / "deep" / f"out.{ending}")
    assert read(tmp_path / "deep" / f"out.{ending}").to_pylist() == table.to_pylist()
    assert len(list((tmp_path / "deep").iterdir())) == 1


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    images = pa.table({"image": image_array(np.zeros((2, 2, 2, 1), np.uint8))})
    with pytest.raises(BackstayError, match=r"end the file in \.parquet"):
        write_table(images, tmp_path / "out.csv")
    with pytest.raises(BackstayError, match="which is not written"):
        write_table(images, tmp_path / "out.xlsx")
    with pytest.raises(BackstayError, match="is a folder"):
        write_table(images, tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(BackstayError, match="cannot be written"):
        write_table(images, tmp_path / "file" / "out.parquet")
    assert [f.name for f in tmp_path.iterdir()] == ["file"]
