"""From rows to a verdict: nothing becomes live, the same twice is the same, leaks are found."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest

from backstay.kernel.errors import BackstayError, NotFound, Refused
from backstay.kernel.records import DataVersion, ModelRecord, Severity


def test_the_first_release_came_from_a_run(trained):
    project = trained.open()
    champion = project.releases.champion()
    assert champion.kind == "promoted"
    assert champion.measured
    record = project.ws.model_record(champion.model_id)
    assert record.origin == "trained"
    assert record.classes == ("no", "yes")
    assert record.figures
    assert champion.reference_id == record.reference_id


def test_the_parts_do_not_share_a_person(trained):
    ws = trained.open().ws
    versions = {v.role: v for v in ws.catalog.find("data", DataVersion)}
    gate, _ = ws.rows_of(versions["gate"].id)
    reference, _ = ws.rows_of(versions["reference"].id)
    tuned = {
        p
        for p, u in zip(reference["person"].to_pylist(), reference["backstay_use"].to_pylist(), strict=True)
        if u == "tune"
    }
    assert tuned.isdisjoint(gate["person"].to_pylist())
    assert set(reference["backstay_use"].to_pylist()) == {"tune", "gate"}


def test_a_second_run_on_the_same_rows_is_the_same_model_and_promotes_nothing(trained):
    project = trained.open()
    before = project.releases.champion()
    again = project.models.run()
    assert again.model.id == before.model_id
    assert project.releases.champion() == before
    assert len(project.ws.catalog.find("model", ModelRecord)) == 1


def test_a_leaking_column_is_found_and_blocks(trained):
    source = trained.folder / "orders.parquet"
    table = pq.read_table(source)
    pq.write_table(table.append_column("answer", table["y"]), source)
    audited = trained.open().data.audit()
    (leak,) = [f for f in audited.blocking if f.check == "target_leak"]
    assert leak.severity is Severity.HIGH
    assert "answer" in leak.columns
    offered = trained.open().models.run()
    assert not offered.verdict.passed
    with pytest.raises(Refused):
        trained.open().releases.promote(offered.model.id)


@pytest.mark.parametrize("key", ["source", "target"])
def test_a_project_without_rows_says_so(trained, key):
    file = trained.folder / "backstay.toml"
    file.write_text("\n".join(line for line in file.read_text().splitlines() if not line.startswith(f"{key} = ")))
    with pytest.raises(BackstayError, match=f"data.{key}"):
        trained.open().models.run()


def test_a_verdict_under_another_policy_promotes_nothing(trained):
    file = trained.folder / "backstay.toml"
    file.write_text(file.read_text().replace("epochs = 3", "epochs = 2"))
    offered = trained.open().models.run()
    assert offered.verdict.passed
    file.write_text(file.read_text().replace("margin = 0.2", "margin = 0.1"))
    with pytest.raises(Refused, match="policy"):
        trained.open().releases.promote(offered.model.id)


def test_nothing_is_released_before_a_promotion(trained, tmp_path):
    (tmp_path / "new").mkdir()
    for name in ("backstay.toml", "orders.parquet"):
        (tmp_path / "new" / name).write_bytes((trained.folder / name).read_bytes())
    import backstay

    project = backstay.open(tmp_path / "new")
    for ask in (project.releases.champion, project.monitor.watch, project.models.retrain):
        with pytest.raises(NotFound, match="no release"):
            ask()
    assert project.status().champion is None
