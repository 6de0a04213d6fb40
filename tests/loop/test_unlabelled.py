"""Rows without labels beside the project's own: learned from, kept under their id, never measured on."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from backstay.kernel.errors import BackstayError
from backstay.kernel.records import DataVersion, Severity


def told(trained, settings: str, *, moved: float = 0.5, with_columns: tuple[str, ...] = ()) -> None:
    """A project whose file names 90 more rows, without labels: its own first ones, moved."""
    source = trained.folder / "orders.parquet"
    table = pq.read_table(source).slice(0, 90)
    found = pa.table({name: pc.add(table[name], moved) for name in ("a", "b")})
    for name in with_columns:
        found = found.append_column(name, table[name])
    pq.write_table(found, trained.folder / "more.parquet")
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


@pytest.mark.parametrize(
    ("moved", "with_columns", "match"),
    [(0.0, (), "by its features"), (0.5, ("id",), "by its id"), (0.5, ("person",), "by its group")],
)
def test_rows_of_the_gate_part_are_left_out_and_told_of(
    trained, moved: float, with_columns: tuple[str, ...], match: str
):
    """All 90 rows stand in the labelled file too; those dealt to the gate must not be learned from."""
    told(trained, 'objective = "vicreg"', moved=moved, with_columns=with_columns)
    project = trained.open()
    first = set(pq.read_table(trained.folder / "orders.parquet")["id"].to_pylist()[:90])
    versions = {v.role: v for v in project.ws.catalog.find("data", DataVersion)}
    in_gate = len(first & set(project.ws.rows_of(versions["gate"].id)[0]["id"].to_pylist()))
    assert 0 < in_gate < 90, match
    audited = [f for f in project.data.audit().findings if f.check == "unlabelled_overlap"]
    assert [(f.severity, f.count) for f in audited] == [(Severity.LOW, in_gate)]
    offered = project.models.run()
    assert offered.model.figures["train_rows"] == versions["data"].rows - versions["reference"].rows + 90 - in_gate
    assert f"{in_gate} of 90 unlabelled rows also stand in the gate part" in str(offered.report.findings)
    assert not [r for r in offered.verdict.reasons if "finding" in r and "behind" not in r], offered.verdict.reasons


def test_near_copies_of_gate_rows_stay_and_are_named(trained):
    told(trained, 'objective = "vicreg"', moved=1e-5)
    found = {f.check: f for f in trained.open().data.audit().findings}
    assert found["unlabelled_overlap_near"].severity is Severity.MEDIUM
    assert "have a near-copy in the unlabelled rows" in found["unlabelled_overlap_near"].message
    assert "unlabelled_overlap" not in found
