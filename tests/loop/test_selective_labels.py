"""Labels that nobody drew say nothing of the traffic, however many and whoever sends them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from backstay.loop.label import live_rows


def answers(project, ids) -> list[dict[str, str]]:
    """Labels that call every answer wrong."""
    rows = live_rows(project.ws)
    said = dict(zip(map(str, rows.ids), map(str, rows.predictions), strict=True))
    return [{"id": i, "label": {"yes": "no", "no": "yes"}[said[i]]} for i in ids]


def look(place):
    place.log(100, 6, "x")
    place.clock.advance(timedelta(days=7))
    return place.open().monitor.watch().latest


def from_labels(result):
    return [e for e in result.estimates if e.kind in ("labels", "ppi", "stratified")]


@pytest.mark.parametrize("drawn", [False, True])
def test_forty_wrong_answers_convict_only_where_chance_chose_the_rows(trained, drawn):
    project = trained.open()
    ids = [f"t-{i:03d}" for i in range(40)]
    if drawn:
        ids = [r.prediction_id for r in project.labels.request(40).requests]
    project.labels.answer(answers(project, ids))
    labels = project.ws.catalog.labels("orders", "production")
    assert {label.probability is not None for label in labels} == {drawn}
    result = look(trained)
    assert bool(from_labels(result)) is drawn
    assert (result.condition.value == "worse") is drawn
    assert (next(s for s in result.signals if s.detector == "labelled_error").evidence > 0) is drawn


def test_an_answer_to_a_draw_by_somebody_who_is_not_trusted_has_no_chance(trained):
    project = trained.open()
    ids = [r.prediction_id for r in project.labels.request(40).requests]
    project.labels.answer(answers(project, ids), source="key:app")
    assert {label.probability for label in project.ws.catalog.labels("orders", "production")} == {None}
    assert from_labels(look(trained)) == []
