"""Searches from the log to the window: reference queries by a plain loop, and what a look says of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
from tests.loop.conftest import Place, orders

from backstay.journal.entries import FOUND, Feedback
from backstay.journal.searches import searches
from backstay.journal.writer import JournalWriter
from backstay.loop.gallery import opened, remove
from backstay.loop.reference import reference_of
from backstay.loop.searched import Searched, known_queries
from backstay.maths.result_lists import result_list
from backstay.serve.search import Listed
from backstay.serve.search_log import SearchLog

SCOPE = ("orders", "production")


def with_searches(trained: Place) -> None:
    toml = trained.folder / "backstay.toml"
    toml.write_text(toml.read_text() + "\n[serve]\nlog_searches = true\n")


def search(trained: Place, queries, count: int) -> list[str]:
    """Searches as the server logs them."""
    ws = trained.open().ws
    model, gallery = ws.load_model(ws.model_record(ws.champion().model_id)), opened(ws, "default")
    places, cosines = gallery.find(model.predict(queries).embeddings[:count], 20, space=model.manifest.space_id)
    with JournalWriter(ws.journal.directory) as writer:
        keep = SearchLog(SCOPE, "y", writer, trained.clock)
        return keep(Listed("default", gallery, places, cosines, ws.champion().id))


def test_reference_queries_are_those_of_a_plain_loop(trained: Place):
    project = trained.open()
    # The gallery holds the reference rows as well: a query must not find itself, nor its person.
    project.models.index(trained.folder / "orders.parquet")
    ws, release = project.ws, project.ws.champion()
    reference, (table, _) = reference_of(ws, release), ws.rows_of(release.reference_id)
    found = known_queries(ws, release, reference, "default")
    gallery = opened(ws, "default")
    persons, labels = gallery.groups.to_pylist(), gallery.kept["y"].to_pylist()
    queries = [int(i) for i in reference.labelled]
    assert len(found.places) == len(queries) > 30
    for place, row in enumerate(queries[:25]):
        vector = reference.representation[row] / np.linalg.norm(reference.representation[row])
        cosines = gallery.vectors.astype(float) @ vector
        order = [int(j) for j in np.argsort(-cosines, kind="stable") if persons[j] != reference.groups[row]][:20]
        hits = [i + 1 for i, j in enumerate(order[:10]) if labels[j] == table.column("y")[row].as_py()]
        assert found.places[place] == (hits[0] if hits else 0)
        assert np.allclose(found.described[place], result_list(cosines[order][None, :])[0], atol=1e-5)


def test_a_look_tells_of_the_searches_of_its_window(trained: Place):
    with_searches(trained)
    trained.open().models.index(orders(90, 5, "g"))
    queries = orders(40, 6, "q")
    ids = search(trained, queries, 40)
    ws = trained.open().ws
    with JournalWriter(ws.journal.directory) as writer:
        said = queries.column("y").to_pylist()
        anybody = [Feedback(*SCOPE, i, "none", "key:a", 6, FOUND) for i in ids]
        believed = [Feedback(*SCOPE, i, y, "review", 7, FOUND) for i, y in zip(ids, said, strict=True)][:30]
        writer.append_feedback([*anybody, *believed])
    places = {s.id: s.place for s in searches(ws.journal.feedback()[0], *SCOPE, lambda source: source == "review")}
    measured = trained.open().models.search(queries, k=1).figures[0].value
    assert abs(np.mean([places[i] == 1 for i in ids[:30]]) - measured) < 0.2
    window = trained.later(7.5).monitor.watch(close_now=True).windows[-1]
    found = {(e.kind, e.metric): e for e in window.estimates if e.metric.startswith("hit_at")}
    assert set(found) == {(k, m) for k in ("labels", "label-free") for m in ("hit_at_1", "hit_at_10")}
    judged = found["labels", "hit_at_1"]
    assert (judged.labels, judged.n) == (30, 40)
    assert judged.value == np.mean([places[i] == 1 for i in ids[:30]])
    free = found["label-free", "hit_at_1"]
    assert (free.figures["reference_queries"], free.figures["gallery"]) == (81, "default")
    assert "of 81 reference queries" in free.refusals[0]


def test_without_the_setting_or_the_gallery_nothing_is_told(trained: Place):
    trained.open().models.index(orders(90, 5, "g"))
    search(trained, orders(10, 6, "q"), 10)
    ws = trained.open().ws
    release, reference = ws.champion(), reference_of(ws, ws.champion())
    begin, end = trained.clock.now() - timedelta(days=1), trained.clock.now() + timedelta(days=1)
    assert Searched(ws, release, reference).of(begin, end) is None
    with_searches(trained)
    project = trained.open()
    told = Searched(project.ws, release, reference)
    assert len(told.of(begin, end).described) == 10
    assert told.of(begin - timedelta(days=9), begin) is None
    assert known_queries(project.ws, release, replace(reference, truth=None), "default") is None
    remove(project.ws, "default")
    assert Searched(project.ws, release, reference).of(begin, end) is None


def test_an_erased_search_is_gone(trained: Place):
    with_searches(trained)
    trained.open().models.index(orders(90, 5, "g"))
    first, *rest = search(trained, orders(5, 6, "q"), 5)
    trained.open().data.forget(ids=[first], reason="asked")
    left = searches(trained.open().ws.journal.feedback()[0], *SCOPE)
    assert [s.id for s in left] == rest


def test_what_names_a_row_of_an_erased_person_as_found_is_gone_and_other_rows_of_its_name_stay(trained: Place):
    with_searches(trained)
    trained.open().models.index(orders(90, 5, "g"))
    ws = trained.open().ws
    ids = search(trained, orders(5, 6, "q"), 5)
    gallery = opened(ws, "default")
    person = gallery.groups.to_pylist()[0]
    named, other = (next(i for i, g in owners(gallery) if (g == person) is same) for same in (True, False))
    with JournalWriter(ws.journal.directory) as writer:
        writer.append_feedback(
            [Feedback(*SCOPE, i, n, "key:a", 7, FOUND) for i, n in zip(ids[:2], (named, other), strict=True)]
        )
    done = trained.open().data.forget(groups=[person], reason="asked")
    assert done.gallery_rows > 0
    left = [item.value for item in trained.open().ws.journal.feedback()[0] if item.kind == FOUND]
    assert other in left
    assert named not in left
    assert not any(named.encode() in path.read_bytes() for path in ws.journal.directory.glob("segments/f-*"))


def owners(gallery) -> list[tuple[str, str]]:
    return list(zip(gallery.ids.to_pylist(), gallery.groups.to_pylist(), strict=True))


def test_searches_leave_the_log_with_the_rows_of_their_days(trained: Place):
    with_searches(trained)
    toml = trained.folder / "backstay.toml"
    text = toml.read_text().replace("[watch]", "[watch]\nmaximum_label_age_days = 20")
    toml.write_text(text + "\n[log]\nkeep_days = 20\n")
    trained.open().models.index(orders(90, 5, "g"))
    ids = search(trained, orders(10, 6, "q"), 10)
    ws = trained.open().ws
    at = int(trained.clock.now().timestamp() * 1_000_000)
    with JournalWriter(ws.journal.directory) as writer:
        writer.append_feedback([Feedback(*SCOPE, ids[0], "yes", "key:a", at, FOUND)])
    project = trained.later(3)
    project.monitor.watch(close_now=True)
    assert len(searches(ws.journal.feedback()[0], *SCOPE)) == 10
    trained.later(12)
    trained.log(60, 2, "u")
    fresh = search(trained, orders(4, 7, "r"), 4)
    project = trained.later(8)
    project.monitor.watch()
    project.gc()
    assert [s.id for s in searches(ws.journal.feedback()[0], *SCOPE)] == fresh
    left = b"".join(path.read_bytes() for path in ws.journal.directory.glob("segments/f-*"))
    assert not any(one.encode() in left for one in ids)


def test_a_small_gallery_leaves_no_searches(trained: Place):
    trained.open().models.index(orders(12, 5, "g"))
    assert search(trained, orders(5, 6, "q"), 5) == []
