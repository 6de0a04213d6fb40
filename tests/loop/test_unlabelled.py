"""Rows without labels beside the project's own: learned from, kept under their id, never measured on."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest

from backstay.kernel.errors import BackstayError
from backstay.kernel.records import DataVersion


def told(trained, settings: str) -> None:
    """A project whose file names 90 more rows, without labels."""
    source = trained.folder / "orders.parquet"
    table = pq.read_table(source)
    pq.write_table(table.select(["a", "b"]).slice(0, 90), trained.folder / "more.parquet")
    file = trained.folder / "backstay.toml"
    text = file.read_text().replace("[data]\n", '[data]\nunlabelled = "more.parquet"\n')
    file.write_text(text.replace("[train]\n", f"[train]\n{settings}\n"))


def test_they_are_learned_from_and_kept(trained):
    told(trained, 'objective = "vicreg"')
    project = trained.open()
    offered = project.models.run()
    versions = {v.role: v for v in project.ws.catalog.find("data", DataVersion)}
    assert versions["unlabelled"].rows == 90
    assert versions["unlabelled"].schema.names == ("a", "b")
    labelled = versions["data"].rows - versions["reference"].rows
    assert offered.model.figures["train_rows"] == labelled + 90
    assert max(m.n for m in offered.report.measurements) == versions["gate"].rows


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ('objective = "supcon"', "90 unlabelled rows, and the objective 'supcon' needs labels"),
        ('model = "tree"', r"train\.model = 'tree' needs labels"),
    ],
)
def test_what_needs_labels_refuses_them(trained, settings: str, complaint: str):
    told(trained, settings)
    with pytest.raises(BackstayError, match=complaint):
        trained.open().models.run()
