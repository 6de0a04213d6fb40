"""Labels asked for where they tell most: the newest window, drawn by doubt, and what they say of it."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from backstay.kernel.errors import BackstayError
from backstay.kernel.records import LabelUse


def judged(place, n: int = 200, seed: int = 5):
    """A week of traffic, judged."""
    place.clock.advance(timedelta(days=1))
    place.log(n, seed, "w")
    place.clock.advance(timedelta(days=7))
    project = place.open()
    project.monitor.watch()
    return project


def drawn(project):
    return [r for r in project.ws.catalog.requests("orders", "production") if r.draw is not None]


def answer(project, requests, wrong: int = 0) -> None:
    """What the model answered, but for the first few."""
    from backstay.loop.label import live_rows

    rows = live_rows(project.ws)
    said = dict(zip(map(str, rows.ids), map(str, rows.predictions), strict=True))
    other = {"yes": "no", "no": "yes"}
    project.labels.answer(
        [
            {"id": r.prediction_id, "label": other[said[r.prediction_id]] if i < wrong else said[r.prediction_id]}
            for i, r in enumerate(requests)
        ]
    )


def stratified(result):
    return next((e for e in result.estimates if e.kind == "stratified"), None)


def test_rows_of_the_newest_window_are_drawn_by_stratum_with_their_chance(trained):
    project = judged(trained)
    before = {r.prediction_id for r in project.labels.queue().requests}
    project.labels.request(40, purpose="window")
    asked = drawn(project)
    assert len(asked) == 40
    assert not before & {r.prediction_id for r in asked}
    window = project.monitor.watch().latest
    assert {r.draw for r in asked} == {window.id}
    (row,) = project.ws.ledger.rows("draw")
    for stratum, told in enumerate(row.body["strata"]):
        mine = [r for r in asked if r.stratum == stratum]
        assert (len(mine), {r.probability for r in mine}) == (told["drawn"], {told["probability"]})
        assert told["probability"] == pytest.approx(told["drawn"] / told["rows"])
    assert sum(s["rows"] for s in row.body["strata"]) == window.rows - len(before)
    doubtful, sure = (s["probability"] for s in row.body["strata"])
    assert doubtful > sure


def test_a_second_request_tops_the_draw_up_and_asks_nobody_twice(trained):
    project = judged(trained)
    project.labels.request(30, purpose="window")
    first = drawn(project)
    project.labels.request(10, purpose="window")
    both = drawn(project)
    assert len({r.prediction_id for r in both}) == len(both) == 40
    assert both[:30] == first
    rows = [[s["rows"] for s in row.body["strata"]] for row in project.ws.ledger.rows("draw")]
    assert rows[0] == rows[1]


def test_the_same_request_on_a_copy_draws_the_same_rows(trained, tmp_path):
    import shutil

    project = judged(trained)
    copy = tmp_path / "copy"
    shutil.copytree(trained.folder, copy)
    project.labels.request(30, purpose="window")
    twin = type(trained)(copy, trained.clock.now()).open()
    twin.labels.request(30, purpose="window")
    assert {r.prediction_id for r in drawn(project)} == {r.prediction_id for r in drawn(twin)}


def test_the_estimate_weights_the_strata_and_the_standing_sample_does_not_see_these_labels(trained):
    project = judged(trained)
    project.labels.request(40, purpose="window")
    asked = drawn(project)
    answer(project, asked, wrong=5)
    uses = {label.use for label in project.ws.catalog.labels("orders", "production")}
    assert uses == {LabelUse.STANDING}
    trained.log(100, 6, "x")
    trained.clock.advance(timedelta(days=7))
    result = trained.open().monitor.watch().latest
    found = stratified(result)
    strata = found.figures["strata"]
    weights = np.array([s["rows"] for s in strata]) / found.n
    shares = np.array([s["right"] / s["labels"] for s in strata])
    assert found.value == pytest.approx(weights @ shares)
    assert found.interval.low < found.value < found.interval.high
    assert (found.labels, found.figures["right"]) == (40, 35)
    assert "Of 40 drawn by doubt from the window of" in result.headline
    # Counted once, where its weight is known: not by the uniform estimate, nor by the detector, nor the trend.
    assert not [e for e in result.estimates if e.kind in ("labels", "ppi") and e.metric == "accuracy"]
    assert result.figures["labels_counted"] == []
    labelled = next(s for s in result.signals if s.detector == "labelled_error")
    assert labelled.evidence == 0


def test_an_estimate_waits_for_what_is_hard_to_answer(trained):
    project = judged(trained)
    project.labels.request(40, purpose="window")
    answer(project, drawn(project)[:30])
    trained.log(100, 6, "x")
    trained.clock.advance(timedelta(days=7))
    found = stratified(trained.open().monitor.watch().latest)
    assert (found.value, found.refusals, found.labels_needed) == (
        None,
        ("10 of 40 rows drawn by doubt wait for their label",),
        10,
    )


def test_many_errors_among_the_drawn_say_worse(trained):
    project = judged(trained)
    project.labels.request(40, purpose="window")
    answer(project, drawn(project), wrong=40)
    trained.log(100, 6, "x")
    trained.clock.advance(timedelta(days=7))
    assert trained.open().monitor.watch().latest.condition.value == "worse"


@pytest.mark.parametrize(
    ("n", "said"),
    [(51, "0 of the 50 that budget.window_labels_per_month"), (29, "30 or more"), (0, "cannot be drawn")],
)
def test_a_draw_that_cannot_be(trained, n, said):
    project = judged(trained)
    with pytest.raises(BackstayError, match=said):
        project.labels.request(n, purpose="window")
    assert drawn(project) == []


def test_the_budget_is_of_a_month(trained):
    project = judged(trained)
    project.labels.request(45, purpose="window")
    with pytest.raises(BackstayError, match="45 of the 50"):
        project.labels.request(6, purpose="window")
    trained.clock.advance(timedelta(days=31))
    trained.open().labels.request(6, purpose="window")


def test_before_the_first_window_there_is_nothing_to_draw_from(trained):
    with pytest.raises(BackstayError, match="no window of this release has been judged"):
        trained.open().labels.request(30, purpose="window")


def test_a_draw_waits_until_its_window_is_mature(trained):
    file = trained.folder / "backstay.toml"
    file.write_text(file.read_text() + "\n[labels]\nmaturity_days = 14\n")
    project = judged(trained)
    project.labels.request(40, purpose="window")
    answer(project, drawn(project))
    found = []
    for week in range(3):
        trained.log(100, 7 + week, f"x{week}")
        trained.clock.advance(timedelta(days=7))
        found.append(stratified(trained.open().monitor.watch().latest))
    assert [e is None for e in found] == [True, False, False]


def test_a_uniform_draw_leaves_that_window_alone_where_the_doubtful_rows_are_gone(trained):
    project = judged(trained)
    project.labels.request(40, purpose="window")
    with pytest.raises(BackstayError, match="0 unasked ones of this release are logged outside"):
        project.labels.request(10, purpose="estimate")
    trained.log(60, 6, "later")
    project.labels.request(10, purpose="estimate")
    uniform = [r for r in project.ws.catalog.requests("orders", "production") if r.purpose == "estimate"]
    assert len(uniform) == 10
    assert all(r.prediction_id.startswith("later") for r in uniform)


def test_a_draw_of_more_than_a_month_ago_says_nothing_of_now(trained):
    project = judged(trained)
    project.labels.request(40, purpose="window")
    answer(project, drawn(project))
    found = []
    for week in range(6):
        trained.log(60, 7 + week, f"x{week}")
        trained.clock.advance(timedelta(days=7))
        found.append(stratified(trained.open().monitor.watch().latest))
    assert [e is None for e in found] == [False] * 4 + [True] * 2
