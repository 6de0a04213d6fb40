"""Compaction by day: no row lost or doubled wherever it is killed; the first of an id wins; old layouts are read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pyarrow.parquet as pq
import pytest

from backstay.journal import compaction, parts, reader
from backstay.journal.parts import to_table, write_part
from backstay.journal.reader import Journal
from backstay.journal.rows import Rows
from backstay.journal.tally import Tally
from backstay.journal.writer import JournalWriter
from backstay.kernel.errors import BackstayError

SCOPE = ("risk", "production")
DAY = 86_400_000_000
FIRST = datetime(2026, 3, 1, tzinfo=UTC)
START = int(FIRST.timestamp()) * 1_000_000


def log(folder, *entries):
    with JournalWriter(folder) as writer:
        for one in entries:
            writer.append_predictions([one])
    return Journal(folder)


def on_day(entry, number, *ids, hour=1, **more):
    return entry(*ids, at=START + number * DAY + hour * 3_600_000_000, **more)


def names(folder):
    return [p.name[:20] for p in sorted((folder / "parts" / "risk" / "production").glob("*.parquet"))]


def fresh(*ids, day=0, release="r1"):
    """Rows as an import makes them, without scores and inputs."""
    n = len(ids)
    texts = [np.array(v, dtype=object) for v in (list(ids), [release] * n, ["yes"] * n)]
    at = np.datetime64(FIRST.replace(tzinfo=None) + timedelta(days=day), "us")
    return Rows(texts[0], np.full(n, at), texts[1], texts[2])


def test_many_small_segments_of_a_day_become_one_file(tmp_path, entry, manifests):
    for number in range(6):
        journal = log(tmp_path, on_day(entry, number % 2, f"a{number}"), on_day(entry, 0, f"b{number}", hour=5))
    before = to_table(journal.rows(*SCOPE, manifests=manifests))
    assert journal.compact(manifests) == 6
    assert names(tmp_path) == ["day-2026-03-01-0000-", "day-2026-03-02-0000-"]
    assert to_table(journal.rows(*SCOPE)).sort_by("id").equals(before.sort_by("id"))
    # What comes later is joined to the files that are there.
    log(tmp_path, on_day(entry, 1, "later")).compact(manifests)
    assert len(names(tmp_path)) == 2
    assert set(journal.rows(*SCOPE).ids) == {*before.column("id").to_pylist(), "later"}
    assert len(journal.rows(*SCOPE)) == 13
    assert journal.rows(*SCOPE).inputs.column("age").null_count == 0


def test_rows_of_an_earlier_day_that_come_later_leave_the_files_of_later_days_alone(tmp_path, entry, manifests):
    log(tmp_path, on_day(entry, 2, "late")).compact(manifests)
    journal = log(tmp_path, on_day(entry, 0, "early"), on_day(entry, 1, "middle"))
    journal.compact(manifests)
    found = {p.name[4:14]: pq.read_table(p).column("id").to_pylist() for p in sorted(tmp_path.glob("parts/*/*/day-*"))}
    assert found == {"2026-03-01": ["early"], "2026-03-02": ["middle"], "2026-03-03": ["late"]}
    assert journal.rows(*SCOPE).duplicates == 0


def test_a_segment_whose_inputs_nobody_can_read_waits_for_its_manifest(tmp_path, entry, manifests):
    journal = log(tmp_path, on_day(entry, 0, "four"))
    assert (journal.compact({}), journal.unfinished()) == (0, 1)
    assert (journal.compact(manifests), journal.unfinished()) == (1, 0)
    assert journal.rows(*SCOPE).inputs.column("age").to_pylist() == [4.0]


def test_a_day_of_more_rows_is_cut_into_files(tmp_path, entry, manifests, monkeypatch):
    monkeypatch.setattr(compaction, "MOST_ROWS", 3)
    log(tmp_path, on_day(entry, 0, *"abcd")).compact(manifests)
    log(tmp_path, on_day(entry, 0, *"efghij", hour=2)).compact(manifests)
    paths = sorted((tmp_path / "parts" / "risk" / "production").glob("day-*"))
    assert [pq.read_metadata(p).num_rows for p in paths] == [3, 3, 3, 1]
    assert "".join(Journal(tmp_path).rows(*SCOPE).ids) == "abcdefghij"


@pytest.mark.parametrize(("lacking", "column"), [({"inputs": {}}, "in.age"), ({"scores": None}, "scores")])
def test_rows_of_unlike_columns_do_not_cost_each_other_any(tmp_path, entry, manifests, lacking, column):
    """A day on which the log's policy changed: what was logged of inputs before stays."""
    log(tmp_path, on_day(entry, 0, "with")).compact(manifests)
    log(tmp_path, on_day(entry, 0, "without", **lacking)).compact(manifests)
    journal = Journal(tmp_path)
    assert journal.rows(*SCOPE).ids.tolist() == ["with", "without"]
    whole, bare = [pq.read_schema(p).names for p in sorted((tmp_path / "parts" / "risk" / "production").glob("day-*"))]
    assert column in whole
    assert column not in bare


@pytest.mark.parametrize("lacking", [{"inputs": {}, "scores": None}, {"inputs": {}}, {"scores": None}])
def test_entries_of_one_segment_keep_what_they_have_each(tmp_path, entry, manifests, lacking):
    """An answer that was logged with less, between others, takes nothing from them: neither in memory nor on disk."""
    rows = [on_day(entry, 0, name, hour=h) for h, name in ((1, "h1"), (3, "h3"))]
    journal = log(tmp_path, rows[0], on_day(entry, 0, "q", hour=2, **lacking), rows[1])
    read = [journal.rows(*SCOPE, manifests=manifests)]
    journal.compact(manifests)
    read.append(journal.rows(*SCOPE))
    for found in read:
        assert found.ids.tolist() == ["h1", "q", "h3"]
        assert found.sound().all()
        bare = [True, False, True]
        if "scores" in lacking:
            assert found.scored.tolist() == np.isfinite(found.scores).all(axis=1).tolist() == bare
        else:
            assert found.scored is None
        ages = found.inputs.column("age").to_pylist()
        assert ages == ([2.0, None, 2.0] if "inputs" in lacking else [2.0, 1.0, 2.0])
        assert (None if found.described is None else found.described.tolist()) == (
            bare if "inputs" in lacking else None
        )


def test_the_first_row_of_an_id_counts_whatever_was_logged_with_it(tmp_path, entry, manifests):
    bare = {"inputs": {}, "scores": None}
    journal = log(
        tmp_path,
        on_day(entry, 0, "other", hour=1, **bare),
        on_day(entry, 0, "a", hour=2),
        on_day(entry, 0, "a", hour=3, labels=["no"], **bare),
    )
    for _ in range(2):
        found = journal.rows(*SCOPE, manifests=manifests)
        assert found.ids.tolist() == ["other", "a"]
        assert found.predictions.tolist() == ["yes", "yes"]
        assert found.scored.tolist() == [False, True]
        assert found.duplicates == 1
        journal.compact(manifests)


def test_a_second_row_of_an_id_is_dropped_and_counted_for_ever(tmp_path, entry, manifests):
    """Within a segment, over segments, and over days: the one that was logged first stays."""
    log(tmp_path, on_day(entry, 0, "a", labels=["no"]), on_day(entry, 0, "a", hour=2)).compact(manifests)
    journal = log(tmp_path, on_day(entry, 1, "a", "b"))
    assert journal.rows(*SCOPE, manifests=manifests).duplicates == 2
    journal.compact(manifests)
    rows = journal.rows(*SCOPE)
    assert dict(zip(rows.ids, rows.predictions, strict=True)) == {"a": "no", "b": "yes"}
    assert rows.duplicates == 2
    assert journal.tally(*SCOPE) == Tally(duplicates=2)


def test_a_range_opens_the_days_it_needs(tmp_path, entry, manifests, monkeypatch):
    for number in range(5):
        journal = log(tmp_path, on_day(entry, number, f"d{number}"))
    journal.compact(manifests)
    opened = []

    def told(path, columns=None):
        opened.append((path.name[4:14], columns))
        return parts.read_table(path, columns)

    monkeypatch.setattr(reader, "read_table", told)
    monkeypatch.setattr(compaction, "read_table", told)
    span = {"since": FIRST + timedelta(days=1), "until": FIRST + timedelta(days=2, hours=3)}
    assert journal.rows(*SCOPE, **span).ids.tolist() == ["d1", "d2"]
    assert opened == [("2026-03-02", None), ("2026-03-03", None)]
    opened.clear()
    # Rows that are not sorted yet lie inside: their ids are looked up among those of the other days, nothing else is.
    with JournalWriter(tmp_path) as writer:
        writer.append_predictions([on_day(entry, 1, "d4", "new", hour=4)])
        found = journal.rows(*SCOPE, **span, manifests=manifests)
        assert found.ids.tolist() == ["d1", "new", "d2"]
        assert found.duplicates == 1
        assert sorted(day for day, columns in opened if columns == ["id"]) == ["2026-03-01", "2026-03-04", "2026-03-05"]
        whole = journal.rows(*SCOPE, manifests=manifests)
        assert whole.ids.tolist() == ["d0", "d1", "new", "d2", "d3", "d4"]
        assert whole.duplicates == 1


def test_every_range_is_what_the_whole_log_says_of_it(tmp_path, entry, manifests):
    """Pruning against the plain way: read all, then cut. Half of it compacted, half not, ids repeated over days."""
    rng = np.random.default_rng(5)
    for number in range(12):
        ids = [f"i{k}" for k in rng.integers(0, 40, 3)]
        journal = log(tmp_path, *(on_day(entry, int(rng.integers(4)), i, hour=int(rng.integers(24))) for i in ids))
        if number == 6:
            journal.compact(manifests)
    whole = journal.rows(*SCOPE, manifests=manifests)
    for start in range(0, 96, 7):
        for end in range(start, 100, 13):
            since, until = FIRST + timedelta(hours=start), FIRST + timedelta(hours=end)
            found = journal.rows(*SCOPE, since=since, until=until, manifests=manifests)
            assert found.ids.tolist() == whole.between(since, until).ids.tolist()


def test_an_import_of_two_releases_is_sorted_into_a_file_of_each(tmp_path):
    folder = tmp_path / "parts" / "risk" / "production"
    write_part(folder, Rows.concat([fresh("a", "b"), fresh("c", release="r2"), fresh("d")]))
    Journal(tmp_path).compact({})
    files = [pq.read_table(p) for p in folder.glob("day-*")]
    found = sorted((f.column("id").to_pylist(), set(f.column("release").to_pylist())) for f in files)
    assert found == [(["a", "b", "d"], {"r1"}), (["c"], {"r2"})]


def test_a_range_told_in_another_zone_opens_the_days_of_utc(tmp_path, entry, manifests):
    journal = log(tmp_path, on_day(entry, 1, "a", hour=22))
    journal.compact(manifests)
    for hours in (5, -20):
        zone = timezone(timedelta(hours=hours))
        since, until = (FIRST.astimezone(zone) + timedelta(days=1, hours=hour) for hour in (21, 23))
        assert journal.rows(*SCOPE, since=since, until=until).ids.tolist() == ["a"]


def test_parts_of_the_earlier_layout_are_read_and_sorted_in(tmp_path, entry, manifests):
    """Until 0.1.0 a segment became one file of all its days, named after it; imports are still named like that."""
    folder = tmp_path / "parts" / "risk" / "production"
    old = Rows.concat([fresh("a", "b", day=0), fresh("c", day=2)])
    write_part(folder, old).rename(folder / "part-p-0199f2c06c2d3c1f5e8d6a7b9c0d1e2f-4711-0.parquet")
    write_part(folder, fresh("d", day=2, release="r2"))
    journal = Journal(tmp_path)
    before = journal.rows(*SCOPE)
    assert before.ids.tolist() == ["a", "b", "d", "c"]
    assert journal.rows(*SCOPE, since=FIRST + timedelta(days=1)).ids.tolist() == ["d", "c"]
    assert journal.compact(manifests) == 0
    assert names(tmp_path) == ["day-2026-03-01-0000-", "day-2026-03-03-0000-", "day-2026-03-03-0001-"]
    assert to_table(journal.rows(*SCOPE)).equals(to_table(before))
    assert journal.compact(manifests) == 0
    with pytest.raises(BackstayError, match="logged before"):
        journal.add(fresh("a", day=9), model="risk", environment="production")


@pytest.mark.parametrize("look_first", [True, False])
def test_killed_at_every_step_and_done_again(tmp_path, entry, manifests, kill, look_first):
    """Wherever it dies, all rows are there once; done again it comes to the same files and the same counts.

    What was begun is finished by whoever comes next: one who reads, or one who compacts.
    """
    duplicates = []
    for step in range(100):
        place = tmp_path / str(step)
        log(place, on_day(entry, 0, "a", "b"), on_day(entry, 1, "c", release="r2")).compact(manifests)
        write_part(place / "parts" / "risk" / "production", fresh("d", day=1))
        journal = log(
            place, on_day(entry, 0, "e", "a", hour=3), on_day(entry, 2, "f"), on_day(entry, 1, "g", model="x")
        )
        died = kill(step, lambda journal=journal: journal.compact(manifests))
        if look_first:
            rows = journal.rows(*SCOPE, manifests=manifests)
            assert rows.ids.tolist() == ["a", "b", "e", "d", "c", "f"]
            assert rows.duplicates == 1
        journal.compact(manifests)
        duplicates.append(journal.tally(*SCOPE).duplicates)
        assert journal.rows(*SCOPE).ids.tolist() == ["a", "b", "e", "d", "c", "f"]
        assert journal.rows(*SCOPE).described.tolist() == [True, True, True, False, True, True]
        assert list(journal.ids("x", "production")) == ["g"]
        assert [p.name for p in place.rglob("*.next")] == []
        assert not (place / "switch.json").exists()
        assert len(names(place)) == 4
        if not died:
            break
    assert 8 < step < 99
    assert set(duplicates) == {1}


def test_erasure_killed_at_every_step_and_done_again(tmp_path, entry, manifests, kill):
    for step in range(100):
        place = tmp_path / str(step)
        log(place, on_day(entry, 0, "a", "b", groups=["g", "h"])).compact(manifests)
        log(place, on_day(entry, 1, "c", groups=["g"]))
        journal = Journal(place)
        journal.compact(manifests)
        journal = log(place, on_day(entry, 2, "d", groups=["g"]), on_day(entry, 2, "e"))

        def erase(journal=journal):
            journal.forget(*SCOPE, groups=["g"], judged={"r1": 2})

        died = kill(step, erase)
        left = journal.rows(*SCOPE, manifests=manifests).ids.tolist()
        assert left in (["a", "b", "c", "d", "e"], ["b", "e"])
        if left != ["b", "e"]:
            erase()
        assert journal.tally(*SCOPE).judged == {"r1": 2}
        assert journal.rows(*SCOPE, manifests=manifests).ids.tolist() == ["b", "e"]
        journal.compact(manifests)
        assert sorted(journal.ids(*SCOPE)) == ["b", "e"]
        if not died:
            break
    assert 4 < step < 99


def test_a_full_disk_changes_nothing(tmp_path, entry, manifests, monkeypatch):
    journal = log(tmp_path, on_day(entry, 0, "a"))

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(pq, "write_table", full)
        with pytest.raises(BackstayError, match=r"No space left.*it is as it was"):
            journal.compact(manifests)
    assert journal.rows(*SCOPE, manifests=manifests).ids.tolist() == ["a"]
    assert journal.compact(manifests) == 1
    assert journal.rows(*SCOPE).ids.tolist() == ["a"]
