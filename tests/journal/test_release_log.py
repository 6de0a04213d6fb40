"""A release's log read bit by bit is the log: the whole reading, which is kept here, is the oracle."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from backstay.journal import release_log
from backstay.journal.entries import Predictions, tensor
from backstay.journal.parts import NO_NUMBERS, from_table, head_of, read_table
from backstay.journal.reader import Journal
from backstay.journal.rows import Rows
from backstay.journal.writer import JournalWriter

SCOPE = ("risk", "production")
DAY = 86_400_000_000
START = datetime(1970, 1, 1, tzinfo=UTC)


def objects(values: list[object]) -> np.ndarray:
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found


def imported(rng: np.random.Generator, n: int, ids: list[str], release: str) -> Rows:
    """Rows of one import: what is logged of them, and as which type, differs from import to import."""
    scores = rng.random((n, int(rng.choice([2, 2, 2, 3])))).astype(np.float32) if rng.random() < 0.8 else None
    embeddings = rng.normal(size=(n, 4)).astype(np.float32) if rng.random() < 0.7 else None
    for values in (scores, embeddings):
        if values is not None and rng.random() < 0.3:
            values[rng.integers(n)] = np.nan
    columns = {}
    if rng.random() < 0.8:
        ages = rng.integers(0, 90, n)
        columns["age"] = pa.array([str(a) for a in ages]) if rng.random() < 0.2 else pa.array(ages)
        if rng.random() < 0.5:
            columns["city"] = pa.array(rng.choice(["Rome", "Oslo"], n).tolist()).dictionary_encode()
        if rng.random() < 0.3:
            columns["nothing"] = pa.nulls(n)
        elif rng.random() < 0.5:
            columns["nothing"] = pa.array(rng.normal(size=n))
    times = np.sort(rng.integers(0, 6 * DAY, n)) // 1_000_000_000 * 1_000_000_000  # many at one moment
    return Rows(
        ids=objects(ids),
        times=times.astype("timedelta64[us]") + np.datetime64(0, "us"),
        releases=objects([release] * n),
        predictions=objects(["yes"] * n),
        scores=scores,
        embeddings=embeddings,
        groups=objects([f"g{i % 3}" if i % 4 else None for i in range(n)]) if rng.random() < 0.3 else None,
        latencies=rng.random(n) if rng.random() < 0.3 else None,
        inputs=pa.table(columns) if columns else None,
    )


def grown(folder, manifests, seed: int) -> Journal:
    """A log with all that one can hold: sorted days, imports, segments, repeated and hidden ids."""
    rng = np.random.default_rng(seed)
    journal = Journal(folder)
    count = 0
    for step in range(9):
        n = int(rng.integers(3, 30))
        ids = [f"i{count + i}" for i in range(n)]
        count += n
        release = "r1" if rng.random() < 0.7 else "r2"
        if rng.random() < 0.5:
            journal.add(imported(rng, n, ids, release), model=SCOPE[0], environment=SCOPE[1])
        else:
            scores = rng.random((n, 2)).astype(np.float32)
            scores[0, 0] = np.nan if rng.random() < 0.3 else 0.5
            again = [f"i{int(rng.integers(count))}" for _ in range(2)]
            with JournalWriter(folder) as writer:
                writer.append_predictions([segment(ids + again, release, scores, int(rng.integers(6 * DAY)))])
        if step in (3, 6):
            journal.compact(manifests)
        if step == 7:
            journal.forget(*SCOPE, ids=["i3", f"i{count - 1}"])
    return journal


def segment(ids: list[str], release: str, scores: np.ndarray, at: int) -> Predictions:
    n = len(ids)
    return Predictions(
        model=SCOPE[0],
        environment=SCOPE[1],
        release=release,
        model_id="model-1",
        at=at,
        ids=ids,
        labels=["no"] * n,
        scores=tensor(np.resize(scores, (n, 2)), "FP32"),
        inputs={
            "age": tensor(np.full((n, 1), 7.0, np.float32), "FP32"),
            "city": tensor(np.array([["Bern"]] * n, dtype=object), "BYTES"),
        },
    )


def same(found: Rows, whole: Rows) -> None:
    for name in ("ids", "times", "releases", "predictions", "groups"):
        assert np.array_equal(getattr(found, name), getattr(whole, name)), name
    for name in ("scores", "embeddings", "latencies"):
        one, two = (getattr(rows, name) for rows in (found, whole))
        assert (one is None) == (two is None), name
        assert one is None or np.array_equal(one, two, equal_nan=True), name
    assert (found.inputs is None) == (whole.inputs is None)
    if found.inputs is not None:
        assert found.inputs.schema == whole.inputs.schema
        assert found.inputs.to_pylist() == whole.inputs.to_pylist()
    for name in ("scored", "embedded", "described"):
        one, two = (getattr(rows, name) for rows in (found, whole))
        everything = np.ones(len(whole), dtype=np.bool_)
        assert np.array_equal(everything if one is None else one, everything if two is None else two), name


@pytest.mark.parametrize("seed", range(6))
def test_read_bit_by_bit_it_is_the_whole(tmp_path, manifests, seed):
    journal = grown(tmp_path, manifests, seed)
    rng = np.random.default_rng(seed)
    for release, since, until in (("r1", None, None), ("r2", None, None), ("r1", 2.3, 4.9), ("r3", None, None)):
        span = {
            name: START + timedelta(days=day) for name, day in (("since", since), ("until", until)) if day is not None
        }
        whole = journal.rows(*SCOPE, release=release, manifests=manifests, **span)
        with journal.log(*SCOPE, release=release, manifests=manifests, **span) as log:
            assert np.array_equal(log.times, whole.times)
            assert np.array_equal(log.sound(), whole.sound())
            if not len(whole):
                assert len(log) == 0
                continue
            ids = [str(i) for i in rng.choice(whole.ids, 7)] + ["never"]
            places = np.flatnonzero(np.isin(whole.ids, ids))
            for rows, of in ((whole, log), (whole.take(whole.sound()), log.take(log.sound()))):
                for low in np.arange(-0.5, 6.5, 0.8):
                    start, end = START + timedelta(days=low), START + timedelta(days=low + 0.8)
                    if len(there := rows.between(start, end)):
                        same(of.between(start, end), there)
                    else:
                        assert not len(of.between(start, end))
                here = np.flatnonzero(np.isin(rows.ids, ids))
                if len(here):
                    same(of.of_ids(ids), rows.take(here))
                late = rows.times > rows.times[len(rows) // 2]
                assert sorted(of.ids_where(late)) == sorted(rows.ids[late])
                columns = of.inputs(["age", "unheard of"])
                expected = None if rows.inputs is None or "age" not in rows.inputs.column_names else rows.inputs
                assert (columns is None) == (expected is None)
                if columns is not None:
                    given, known = columns.column("age"), expected.column("age")
                    assert given.type == known.type
                    assert sorted(map(str, given.to_pylist())) == sorted(map(str, known.to_pylist()))
            narrow = log.of_ids(ids, inputs=["age"], embeddings=False)
            assert narrow.embeddings is None
            assert narrow.ids.tolist() == whole.ids[places].tolist()
            assert narrow.inputs is None or narrow.inputs.column_names == ["age"]


def test_only_files_that_hold_what_is_wanted_are_read(tmp_path, manifests, monkeypatch):
    journal = Journal(tmp_path)
    rng = np.random.default_rng(0)
    for day in range(5):
        rows = Rows(
            ids=objects([f"d{day}-{i}" for i in range(10)]),
            times=np.full(10, np.datetime64(day * DAY, "us")),
            releases=objects(["r1"] * 10),
            predictions=objects(["yes"] * 10),
            embeddings=rng.normal(size=(10, 4)).astype(np.float32),
            inputs=pa.table({"age": rng.normal(size=10)}),
        )
        journal.add(rows, model=SCOPE[0], environment=SCOPE[1])
    journal.compact(manifests)
    read: list[tuple[str, list[str] | None]] = []

    def counted(path, columns=None):
        read.append((path.name[:14], columns))
        return read_table(path, columns)

    monkeypatch.setattr(release_log, "read_table", counted)
    with journal.log(*SCOPE, release="r1", manifests=manifests) as log:
        assert log.sound().all()
        assert {columns is not None and set(columns) == {"time", "release"} for _, columns in read} == {True}
        read.clear()
        assert len(log.between(START + timedelta(days=2), START + timedelta(days=4))) == 20
        assert read == [("day-1970-01-03", None), ("day-1970-01-04", None)]
        read.clear()
        log.between(START + timedelta(days=3), START + timedelta(days=5))
        assert read == [("day-1970-01-05", None)]
        read.clear()
        assert log.of_ids({"d1-3"}, inputs=(), embeddings=False).ids.tolist() == ["d1-3"]
        wide = [(name, columns) for name, columns in read if columns != ["id"]]
        assert [name for name, _ in wide] == ["day-1970-01-02"]
        assert not {"embedding", "in.age"} & set(wide[0][1])


def test_the_head_of_a_file_tells_which_rows_are_no_numbers_and_files_without_it_are_asked(tmp_path):
    rng = np.random.default_rng(1)
    rows = imported(rng, 20, [f"i{i}" for i in range(20)], "r1")
    scores = rng.random((20, 2)).astype(np.float32)
    scores[[3, 11]] = [[np.nan, 0.0], [np.inf, 1.0]]
    fine = rng.normal(size=(20, 3)).astype(np.float32)
    journal = Journal(tmp_path)
    whole = Rows(
        rows.ids, rows.times, rows.releases, rows.predictions, scores, fine, inputs=pa.table({"a": scores[:, 1]})
    )
    journal.add(whole, model=SCOPE[0], environment=SCOPE[1])
    (path,) = (tmp_path / "parts" / "risk" / "production").glob("*.parquet")
    head = head_of(path)
    assert np.flatnonzero(~head.finite["scores"]).tolist() == [3, 11]
    assert head.finite["embedding"] is None
    assert (head.rows, head.scores, head.embeddings) == (20, 2, 3)
    assert head.inputs == from_table(read_table(path)).inputs.schema
    assert from_table(read_table(path)).inputs.schema.metadata is None
    with journal.log(*SCOPE, release="r1") as log:
        assert np.array_equal(log.sound(), whole.take(np.argsort(whole.times, kind="stable")).sound())
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata(None), path)  # as earlier versions wrote it
    assert NO_NUMBERS not in (pq.read_schema(path).metadata or {})
    assert head_of(path).finite == {}
    with journal.log(*SCOPE, release="r1") as log:
        assert int((~log.sound()).sum()) == 2


def test_owners_are_those_of_the_rows(tmp_path, manifests):
    for seed in range(2):
        journal = grown(tmp_path / str(seed), manifests, seed)
        whole = journal.rows(*SCOPE, manifests=manifests)
        groups = whole.groups if whole.groups is not None else [None] * len(whole)
        expected = dict(zip(whole.ids, groups, strict=True))
        assert journal.owners(*SCOPE, [*whole.ids, "never"]) == expected
        some = whole.ids[:5].tolist()
        assert journal.owners(*SCOPE, some) == {row_id: expected[row_id] for row_id in some}
        assert journal.owners(*SCOPE, []) == {}


def test_nobody_rearranges_what_is_being_read(tmp_path, manifests):
    import threading

    journal = grown(tmp_path, manifests, 5)
    done = threading.Event()
    with journal.log(*SCOPE, release="r1", manifests=manifests) as log:
        other = threading.Thread(target=lambda: (Journal(tmp_path).compact(manifests), done.set()))
        other.start()
        assert not done.wait(0.3)
        assert len(log.between(START, START + timedelta(days=9))) == len(log)
    other.join()
    assert done.is_set()
