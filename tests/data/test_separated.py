"""Separated text as people's spreadsheets write it."""

from __future__ import annotations

from pathlib import Path

import pytest

from backstay.data.read import read
from backstay.kernel.errors import BackstayError


def put(folder: Path, text: str, name: str = "rows.csv") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_semicolons_and_decimal_commas_of_a_spreadsheet(tmp_path: Path) -> None:
    rows = read(put(tmp_path, '\ufeffa;b;note;y\r\n1,5;2;"x;y";ja\r\n;3;"1,5 m";nein\r\n-0,25;4;;ja\r\n'))
    assert rows.to_pydict() == {
        "a": [1.5, None, -0.25],
        "b": [2, 3, 4],
        "note": ["x;y", "1,5 m", None],
        "y": ["ja", "nein", "ja"],
    }


def test_points_stay_points_between_semicolons(tmp_path: Path) -> None:
    rows = read(put(tmp_path, "a;b;c\n1.5;1,5;x\n2.25;2,5;y\n"))
    assert rows.to_pydict() == {"a": [1.5, 2.25], "b": [1.5, 2.5], "c": ["x", "y"]}


def test_tabs_in_a_csv_and_names_with_other_marks(tmp_path: Path) -> None:
    assert read(put(tmp_path, "a\tb\n1\t2,5\n")).to_pydict() == {"a": [1], "b": ["2,5"]}
    assert read(put(tmp_path, '"a,b";c\n1;2\n')).column_names == ["a,b", "c"]
    assert read(put(tmp_path, '"a;b",c\n1,2\n')).column_names == ["a;b", "c"]
    assert read(put(tmp_path, "one\n1\n2\n")).to_pydict() == {"one": [1, 2]}


def test_a_broken_row_between_semicolons_is_named(tmp_path: Path) -> None:
    with pytest.raises(BackstayError, match="line 3 has 3 fields where the header has 2") as caught:
        read(put(tmp_path, "a;b\n1;2\n3;4;5\n"))
    assert "';'" in str(caught.value.fix)


def test_an_index_of_pandas_and_packed_files_get_advice(tmp_path: Path) -> None:
    with pytest.raises(BackstayError, match="column 1 has no name") as caught:
        read(put(tmp_path, ",a,y\n0,1,x\n1,2,y\n"))
    assert "index=False" in str(caught.value.fix)
    for name, advice in (("rows.csv.gz", "unpack it"), ("rows.xlsx", "save the sheet as .csv")):
        with pytest.raises(BackstayError, match="which is not read") as caught:
            read(put(tmp_path, "whatever", name))
        assert advice in str(caught.value.fix)


def test_a_header_that_cannot_be_split_is_left_to_the_reading(tmp_path: Path) -> None:
    assert read(put(tmp_path, "a" * 200_000 + "\n1\n")).num_rows == 1
