from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from backstay.data.audit import CHECKS, audit, overlap
from backstay.data.audit.label_errors import doubts, ridge_scores
from backstay.data.audit.matrix import row_matrix
from backstay.data.audit.nearest import nearest
from backstay.data.audit.target_leak import told_by
from backstay.data.images import image_array
from backstay.data.schema import conform, infer_schema
from backstay.data.split import split
from backstay.kernel.records import Finding, Schema, Severity
from backstay.settings import SplitSettings


def look(table: pa.Table, parts: dict[str, np.ndarray] | None = None, **roles: str) -> dict[str, Finding]:
    schema = infer_schema(table, target="y", **roles)  # type: ignore[arg-type] # roles are all text
    rows = conform(table, schema)
    parts = split(rows, schema, SplitSettings()) if parts is None else parts
    return {f.check: f for f in audit(rows, schema, parts, data_id="data-1")}


def with_column(table: pa.Table, name: str, values: object) -> pa.Table:
    return table.append_column(name, pa.array(values))


def test_sound_rows_have_nothing_grave(people: pa.Table) -> None:
    found = look(people)
    assert not [f for f in found.values() if f.severity is Severity.HIGH], found


def test_every_check_has_a_name_on_the_shelf() -> None:
    for name in CHECKS:
        assert callable(CHECKS[name])
    # No module of a check may shadow the package's own functions.
    from backstay.data import audit as package

    assert callable(package.overlap)
    assert callable(package.audit)
    assert set(CHECKS) >= {"overlap", "target_leak", "label_errors", "single_class", "duplicates", "time_order"}


def test_a_feature_that_tells_the_target(people: pa.Table) -> None:
    labels = np.array(people.column("y").to_pylist())
    noise = np.random.default_rng(0).normal(0, 0.1, 600)
    for leak in (
        np.where(labels == "yes", "closed", "open"),
        (labels == "yes") + noise,
        np.where(labels == "yes", 1.0, np.nan),
    ):
        finding = look(with_column(people, "after", leak))["target_leak"]
        assert finding.severity is Severity.HIGH
        assert finding.columns == ("after",)


def test_a_strong_honest_feature_is_no_leak(people: pa.Table) -> None:
    labels = np.array(people.column("y").to_pylist()) == "yes"
    flipped = labels ^ (np.random.default_rng(0).random(600) < 0.07)
    assert "target_leak" not in look(with_column(people, "hint", flipped))


def test_rows_that_the_gate_shares(people: pa.Table) -> None:
    both = pa.concat_tables([people, people.slice(0, 60)])
    parts = {"train": np.arange(150, 660), "tune": np.arange(0), "gate": np.arange(150)}
    finding = look(both, parts)["overlap"]
    assert finding.severity is Severity.HIGH
    assert finding.count == 60
    assert finding.example_rows[:3] == (0, 1, 2)
    assert "overlap" not in look(people, {"train": np.arange(150, 600), "gate": np.arange(150)})


def test_coarse_rows_coincide_by_chance() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 4, 2000), rng.integers(0, 5, 2000)
    table = pa.table({"a": a, "b": b, "y": np.where(rng.random(2000) < 0.3 + 0.1 * a, "n", "p")})
    assert look(table, {"train": np.arange(1500), "gate": np.arange(1500, 2000)})["overlap"].severity is Severity.LOW


def test_people_say_the_same_thing_again() -> None:
    rng = np.random.default_rng(0)
    things = [f"please send me thing number {i}" for i in range(300)]

    def said(n: int, among: int) -> pa.Table:
        places = rng.integers(0, among, n)
        return pa.table({"said": [things[i] for i in places], "y": [str(i % 2) for i in places]})

    train = said(400, 300)
    schema = infer_schema(train, target="y", kinds={"said": "text"}, features=["said"])
    chance = next(f for f in overlap(train, said(100, 300), schema, "d") if f.check == "overlap")
    assert chance.severity is Severity.LOW
    lonely = pa.table({"said": things[:200], "y": ["a", "b"] * 100})
    copied = next(f for f in overlap(lonely, lonely.slice(0, 50), schema, "d") if f.check == "overlap")
    assert copied.severity is Severity.HIGH


def images(pixels: np.ndarray) -> tuple[pa.Table, Schema]:
    table = pa.table({"image": image_array(pixels), "y": [str(i % 2) for i in range(len(pixels))]})
    schema = infer_schema(table, target="y")
    return conform(table, schema), schema


def test_near_copies_of_images() -> None:
    rng = np.random.default_rng(0)
    train, gate = (rng.integers(0, 240, (n, 12, 12, 1), dtype=np.uint8) for n in (300, 100))
    (table, schema), (honest, _) = images(train), images(gate)
    assert overlap(table, honest, schema, "data-1") == ()
    touched = gate.copy()
    touched[:40] = train[:40] + rng.integers(0, 4, (40, 12, 12, 1), dtype=np.uint8)
    (finding,) = overlap(table, images(touched)[0], schema, "data-1")
    assert (finding.check, finding.severity, finding.count) == ("near_overlap", Severity.HIGH, 40)
    (exact,) = overlap(table, images(train[:5])[0], schema, "data-1")
    assert (exact.check, exact.severity, exact.count) == ("overlap", Severity.HIGH, 5)


def test_near_copies_of_numeric_rows(people: pa.Table) -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(800, 6))
    x[600:] += 0.0
    leaked = x.copy()
    leaked[600:660] = x[:60] + rng.normal(0, 1e-3, (60, 6))
    for rows, expected in ((x, False), (leaked, True)):
        table = pa.table({**{f"f{i}": rows[:, i] for i in range(6)}, "y": ["a", "b"] * 400})
        found = look(table, {"train": np.arange(600), "gate": np.arange(600, 800)})
        assert ("near_overlap" in found) is expected


def test_shared_ids_and_groups(people: pa.Table) -> None:
    table = with_column(with_column(people, "id", range(600)), "who", [i % 50 for i in range(600)])
    schema = infer_schema(table, target="y", id="id", group="who")
    rows = conform(table, schema)
    found = overlap(rows.slice(0, 500), rows.slice(490), schema, "data-1")
    assert {f.check for f in found} == {"overlap", "groups_across_parts"}
    assert all(f.severity is Severity.HIGH for f in found)
    assert found[0].count == 10
    parts = {"train": np.arange(400), "tune": np.arange(400, 450), "gate": np.arange(450, 600)}
    assert look(table, parts, id="id", group="who")["groups_across_parts"].example_rows[0] == 450
    assert "groups_across_parts" not in look(table, id="id", group="who")


def test_what_tunes_a_model_leaks_like_what_it_learns_from(people: pa.Table) -> None:
    who = [f"p{i}" for i in range(600)] + [f"p{i}" for i in range(60)]
    both = with_column(pa.concat_tables([people, people.slice(0, 60)]), "who", who)
    parts = {"train": np.arange(150, 600), "tune": np.arange(600, 660), "gate": np.arange(150)}
    found = look(both, parts, group="who")
    assert (found["overlap"].count, found["groups_across_parts"].count) == (60, 60)


def test_rows_without_a_group_share_none(people: pa.Table) -> None:
    table = with_column(people, "who", [None if i % 2 else f"p{i}" for i in range(600)])
    assert "groups_across_parts" not in look(table, group="who")


def test_near_copies_are_named_by_their_rows_in_the_table() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(800, 6))
    x[700:] = x[:100] + rng.normal(0, 1e-3, (100, 6))
    table = pa.table({**{f"f{i}": x[:, i] for i in range(6)}, "y": ["a", "b"] * 400})
    found = look(table, {"train": np.arange(600), "gate": np.arange(600, 800)})["near_overlap"]
    assert found.example_rows
    assert min(found.example_rows) >= 700


def test_what_is_learned_by_heart_tells_nothing_of_held_out_rows() -> None:
    labels = np.random.default_rng(0).integers(0, 2, 400)
    assert told_by(np.arange(400), labels) < 0.6
    assert told_by(labels, labels) == 1.0


def test_duplicates_and_contradictions(people: pa.Table) -> None:
    twice = pa.concat_tables([with_column(people, "id", range(600))] * 2)
    found = look(twice, {"train": np.arange(1200)}, id="id")["duplicates"]
    assert found.count == 600
    opposite = people.set_column(
        4, "y", pa.array(["no" if v == "yes" else "yes" for v in people.column("y").to_pylist()])
    )
    assert (
        look(pa.concat_tables([people, opposite.slice(0, 30)]), {"train": np.arange(630)})["contradictions"].count == 60
    )


def test_missing_constant_identifiers(people: pa.Table) -> None:
    table = with_column(people, "hole", [None if i % 3 else 1.0 + i for i in range(600)])
    table = with_column(with_column(table, "same", ["k"] * 600), "serial", range(1000, 1600))
    found = look(table)
    assert found["missing"].severity is Severity.MEDIUM
    assert found["constant"].columns == ("same",)
    assert found["identifiers"].columns == ("serial",)


def test_texts_and_vectors_beside_other_columns_are_named(people: pa.Table) -> None:
    said = with_column(people, "said", [f"where is my card number {i}" for i in range(600)])
    both = with_column(said, "names", [f"n-{i}-{'x' * 60}" for i in range(600)])
    schema = infer_schema(both, target="y")
    assert not {"said", "names"} & set(schema.features)
    findings = [f for f in audit(conform(both, schema), schema, {}, data_id="d") if f.check == "unread_columns"]
    assert {f.columns for f in findings} == {("said",), ("names",)}
    told = next(f for f in findings if f.columns == ("said",))
    assert told.severity is Severity.MEDIUM
    assert "'said' holds texts, which are learned from alone" in told.message
    assert "data.features = ['said']" in told.fix
    assert "unread_columns" not in {f.check for f in audit(both, schema, {}, data_id="d", named=True)}
    assert "unread_columns" not in look(people)
    alone = infer_schema(said.select(["said", "y"]), target="y")
    assert alone.features == ("said",)
    assert "unread_columns" not in {f.check for f in audit(said, alone, {}, data_id="d")}


def test_classes(people: pa.Table) -> None:
    labels = np.array(people.column("y").to_pylist())
    order = np.argsort(labels, kind="stable")
    no = int((labels == "no").sum())
    found = look(people.take(pa.array(order)), {"train": np.arange(no), "gate": np.arange(no, 600)})
    assert found["single_class"].severity is Severity.HIGH
    assert found["unseen_classes"].severity is Severity.HIGH
    rare = people.set_column(4, "y", pa.array(["rare", "rare", *labels[2:]]))
    assert found["single_class"].count
    assert "rare" in look(rare, {"train": np.arange(600)})["imbalance"].message


def test_classes_that_may_be_a_number_are_said_to_be(people: pa.Table) -> None:
    numbers = people.set_column(4, "y", pa.array([str(i % 200) for i in range(600)]))
    parts = {"train": np.arange(150), "gate": np.arange(150, 600)}
    assert 'set task = "regression"' in look(numbers, parts)["unseen_classes"].fix
    names = people.set_column(4, "y", pa.array([f"c{i % 200}" for i in range(600)]))
    assert "regression" not in look(names, parts)["unseen_classes"].fix


def test_time_order(people: pa.Table) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    table = with_column(people, "t", [start + timedelta(hours=i) for i in range(600)])
    assert "time_order" in look(table, time="t")
    assert "time_order" not in look(table, {"train": np.arange(400), "gate": np.arange(400, 600)}, time="t")


def test_wrong_labels_are_listed() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(900, 4))
    labels = (x[:, 0] + x[:, 1] > 0).astype(int)
    x[:, 0] += 2.5 * labels
    wrong = rng.choice(900, 45, replace=False)
    labels[wrong] = 1 - labels[wrong]
    table = pa.table({**{f"f{i}": x[:, i] for i in range(4)}, "y": labels})
    finding = look(table, {"train": np.arange(900)})["label_errors"]
    assert finding.severity is Severity.MEDIUM
    assert np.isin(finding.example_rows, wrong).mean() >= 0.8


def test_both_votes_find_more_than_chance_and_a_given_classifier_is_used() -> None:
    rng = np.random.default_rng(1)
    x = np.vstack([rng.normal(-2, 1, (100, 3)), rng.normal(2, 1, (100, 3))]).astype(np.float32)
    y = np.repeat([0, 1], 100)
    calls = []

    def fit(a: np.ndarray, b: np.ndarray, c: np.ndarray, k: int) -> np.ndarray:
        calls.append(len(a))
        return ridge_scores(a, b, c, k)

    agree, margin = doubts(x, y, 2, fit)
    assert len(calls) == 3
    assert agree.mean() > 0.95
    assert (margin > 0).mean() > 0.95


@pytest.mark.parametrize("itself", [True, False])
def test_nearest_agrees_with_a_plain_loop(itself: bool) -> None:
    x = np.random.default_rng(2).normal(size=(300, 5)).astype(np.float32)
    distances, places = nearest(x[:40], x, 3, itself=itself)
    for i in range(40):
        plain = [(float(np.linalg.norm(x[i] - x[j])), j) for j in range(300) if not (itself and i == j)]
        wanted = sorted(plain)[:3]
        assert places[i].tolist() == [j for _, j in wanted]
        np.testing.assert_allclose(distances[i], [d for d, _ in wanted], atol=1e-5)


def test_matrix_scale_comes_from_the_first_table(people: pa.Table) -> None:
    schema = infer_schema(people, target="y")
    rows = conform(people, schema)
    first, second = row_matrix([rows.slice(0, 300), rows.slice(300)], schema)
    assert first.shape[1] == second.shape[1]
    again = row_matrix([rows.slice(0, 300), rows.slice(300, 5)], schema)[1]
    np.testing.assert_allclose(again[:, 0], second[:5, 0])
    assert np.isfinite(first).all()
