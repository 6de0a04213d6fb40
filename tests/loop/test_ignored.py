"""Columns that data.ignore names: misspelt ones would be learned from."""

from __future__ import annotations

import pytest

from backstay.kernel.errors import BackstayError
from backstay.loop.examples import project_rows


def ignoring(trained, *names: str):
    file = trained.folder / "backstay.toml"
    said = ", ".join(f'"{name}"' for name in names)
    file.write_text(file.read_text().replace("[data]\n", f"[data]\nignore = [{said}]\n"))
    return project_rows(trained.open().ws)[1]


def test_a_misspelt_column_is_refused(trained):
    with pytest.raises(BackstayError, match=r"data\.ignore names the column 'Persn', which is not there") as refusal:
        ignoring(trained, "Persn")
    assert "did you mean 'person'" in refusal.value.fix


def test_one_that_is_gone_from_the_file_is_not(trained):
    assert "b" not in ignoring(trained, "b", "refunded_at").features
