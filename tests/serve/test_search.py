"""Neighbours over HTTP: who may ask, what is answered, what is bounded, and that no name becomes a path."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from backstay.bundle.gallery import gallery
from backstay.journal.reader import Journal
from backstay.journal.searches import searches

SEARCH = "/v2/models/risk/search"
SPACE = "space-tiny"
# The tiny model embeds an age as (1, 2, 3) times the age: its direction is that of its sign.
ROWS = np.array([[1.0, 2.0, 3.0], [-1.0, -2.0, -3.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])


def put(place: Any, name: str, space: str = SPACE, rows: np.ndarray = ROWS) -> None:
    """A gallery under this name, as the project would list it."""
    path = place.folder / f"{name}.arrow"
    cities = [("Ulm", None, "Bern", "Graz")[i % 4] for i in range(len(rows))]
    made = gallery(space, [f"{name}-{i}" for i in range(len(rows))], rows, kept={"city": cities})
    listed = place.folder / "galleries.json"
    known = json.loads(listed.read_text()) if listed.is_file() else {}
    known[name] = {"id": made.write(path), "space": space, "path": str(path)}
    fresh = place.folder / "galleries.tmp"
    fresh.write_text(json.dumps(known))
    fresh.replace(listed)


@pytest.fixture(scope="module")
def tokens() -> dict[str, str]:
    return {}


@pytest.fixture
def searching(place, tokens):
    """A server over two galleries, one of another space; keys that may search, and that may only predict."""
    tokens["search"], tokens["predict"] = place.keys(("search",), ("predict", "feedback", "read"))
    place.token = tokens["search"]
    place.point(place.bundle(1.0, SPACE))
    put(place, "default")
    put(place, "foreign", "space-other")
    return place.start(max_rows=8, max_neighbours=3)


def test_neighbours_over_http(place, searching, tokens, ask):
    status, answer = searching.call("POST", SEARCH, {**ask(2.0, -3.0, k=3), "id": "q7"})
    assert status == 200, answer
    assert answer["id"] == "q7"
    assert answer["gallery"] == "default"
    first, second = answer["neighbours"]
    assert first[0] == {"id": "default-0", "cosine": 1.0, "kept": {"city": "Ulm"}}
    assert [n["id"] for n in first] == ["default-0", "default-3", "default-2"]
    assert first[1]["cosine"] == pytest.approx(3 / np.sqrt(14), abs=1e-6)
    assert second[0] == {"id": "default-1", "cosine": 1.0, "kept": {"city": None}}

    for parameters, code, word in (
        ({"k": 0}, 400, "1 to 3"),
        ({"k": 4}, 400, "1 to 3"),
        ({"k": True}, 400, "1 to 3"),
        ({"k": "2"}, 400, "1 to 3"),
        ({"gallery": 5}, 400, "text"),
        ({"gallery": "nowhere"}, 404, "no gallery 'nowhere'"),
        ({"gallery": "../default"}, 404, "no gallery"),
        ({"gallery": str(place.folder / "default.arrow")}, 404, "no gallery"),
        ({"gallery": "foreign"}, 409, "another embedding space"),
    ):
        status, answer = searching.call("POST", SEARCH, ask(2.0, **{"k": 1, **parameters}))
        assert (status, list(answer)) == (code, ["error"]), (parameters, answer)
        assert word in answer["error"]
    # An age of nothing is embedded as nothing, which has no direction.
    assert searching.call("POST", SEARCH, ask(0.0, k=1))[0] == 400
    assert searching.call("POST", SEARCH, ask(*[1.0] * 9, k=1))[0] == 413
    assert searching.call("GET", SEARCH)[0] == 405
    assert searching.call("POST", SEARCH, ask(2.0, k=1), token=tokens["predict"])[0] == 403
    assert searching.call("POST", SEARCH, ask(2.0, k=1), token="bsk_a.b")[0] == 401
    status, answer = searching.infer(ask(2.0))
    assert status == 403
    assert answer["error"].startswith("the key 'key0' may search, and here a key is wanted that may predict;")
    # What is searched for is no prediction: only what was inferred is in the log.
    assert searching.infer(ask(2.0, prediction_ids=["real"]), token=tokens["predict"])[0] == 200
    assert list(Journal(place.folder / "journal").ids("risk", "production")) == ["real"]


def test_a_logged_search_can_be_judged_and_names_nobody(place, tokens, ask):
    tokens["search"], tokens["predict"] = place.keys(("search",), ("predict", "feedback", "read"))
    place.token = tokens["search"]
    place.point(place.bundle(1.0, SPACE))
    put(place, "default")
    put(place, "large", rows=np.random.default_rng(0).normal(size=(40, 3)))
    server = place.start(log_searches=True, max_neighbours=3)
    status, answer = server.call("POST", SEARCH, ask(2.0, -3.0, k=2, gallery="large"))
    assert status == 200, answer
    assert [len(near) for near in answer["neighbours"]] == [2, 2]
    first, second = answer["search_ids"]
    said = [{"id": first, "value": answer["neighbours"][0][1]["id"], "kind": "found"}]
    said.append({"id": second, "value": "none", "kind": "found"})
    assert server.call("POST", "/v2/models/risk/feedback", said, token=tokens["predict"])[0] == 200
    assert "search_ids" not in server.call("POST", SEARCH, ask(2.0, k=2))[1]  # too small a gallery to describe lists
    feedback, _ = Journal(place.folder / "journal").feedback()
    found = searches(feedback, "risk", "production")
    assert [(s.id, s.place, s.gallery) for s in found] == [(first, 2, "large"), (second, 0, "large")]
    assert found[0].described[0] == answer["neighbours"][0][0]["cosine"]
    assert "large-" not in str([f.value for f in feedback if f.kind == "search"])
    assert sorted(f.kind for f in feedback) == ["found", "found", "search", "search"]


def test_a_gallery_that_is_replaced_is_searched_at_once(place, searching, ask):
    body = ask(2.0, k=1)
    assert searching.call("POST", SEARCH, body)[1]["neighbours"][0][0]["id"] == "default-0"
    put(place, "default", rows=ROWS[::-1])
    assert searching.call("POST", SEARCH, body)[1]["neighbours"][0][0]["id"] == "default-3"
    # A store that cannot be read leaves what was known.
    (place.folder / "galleries.json").write_text("{")
    assert searching.call("POST", SEARCH, body)[1]["neighbours"][0][0]["id"] == "default-3"


def test_a_release_of_another_space_is_refused_until_it_is_indexed(place, searching, ask):
    place.point(place.bundle(2.0, "space-next"))
    body = ask(2.0, k=1)
    for _ in range(100):
        status, answer = searching.call("POST", SEARCH, body)
        if status == 409:
            break
    assert status == 409, answer
    assert searching.call("POST", "/v2/models/risk/versions/2/search", body)[0] == 200
    put(place, "default", "space-next")
    assert searching.call("POST", SEARCH, body)[0] == 200
