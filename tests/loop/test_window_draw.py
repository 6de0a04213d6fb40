"""Labels asked for where they tell most: the newest window, drawn by doubt, and what they say of it."""

from __future__ import annotations

from dataclasses import replace
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


def advised(result) -> str:
    return next((line for line in result.advice if "label --request" in line), "")


def test_advice_after_a_whole_window_was_drawn_by_doubt_is_advice_that_works(trained):
    file = trained.folder / "backstay.toml"
    file.write_text(file.read_text().replace("[budget]", "[budget]\nwindow_labels_per_month = 400"))
    trained.clock.advance(timedelta(days=7))
    project = trained.open()
    project.monitor.watch()
    rest = 150 - len(project.labels.queue().requests)
    project.labels.request(rest, purpose="window")
    with pytest.raises(BackstayError, match="about every row of the newest window"):
        project.labels.request(5, purpose="window")
    answer(project, project.labels.queue().requests, wrong=60)
    trained.clock.advance(timedelta(days=1))
    look = trained.open().monitor.watch(close_now=True)
    result = look.latest
    assert not look.windows
    assert "No logged row is left to draw at random" in advised(result)
    assert "Please label" not in result.headline


def test_advice_asks_for_no_more_rows_than_can_be_drawn(trained):
    project = judged(trained)
    project.labels.request(30, purpose="window")
    asked = drawn(project)
    answer(project, asked, wrong=12)
    trained.log(60, 6, "few")
    # Rows drawn to train with cannot be drawn again, and their labels are none that an estimate waits for.
    trained.open().labels.request(45, purpose="retrain")
    trained.clock.advance(timedelta(days=1))
    result = trained.open().monitor.watch(close_now=True).latest
    n = int(advised(result).split("--request ")[1].split("`")[0])
    assert 0 < n < result.labels_requested
    assert "more are wanted" in advised(result)
    trained.open().labels.request(n)


def test_rows_older_than_the_newest_are_drawn_where_these_have_been_asked_about(trained):
    trained.log(450, 8, "many")
    project = trained.open()
    project.labels.request(380)
    project.labels.request(100)
    asked = [r.prediction_id for r in project.labels.queue().requests]
    assert len(set(asked)) == 480


def test_the_reason_why_no_answer_is_doubtful_is_the_one_that_applies():
    from backstay.loop.window_draw import _blind
    from backstay.monitor.reference import fit_reference

    answers = np.array(["yes", "no"] * 30, dtype=object)
    scores = np.full((60, 2), 0.5)
    known = np.arange(60) % 3 > 0

    def why(**given) -> str:
        reference = fit_reference(answers[: len(given.get("correct", answers))], **given)
        return _blind(reference).what

    assert "the model gives no scores" in why(correct=known)
    assert "40 reference rows that it has not learned from have labels, and 50 are needed" in why(
        scores=scores[:40], correct=known[:40]
    )
    assert "right, or wrong, on all of the 60" in why(scores=scores, correct=np.ones(60))
    whole = fit_reference(answers, scores=scores, correct=known)
    assert "the model gives no scores" in _blind(whole, scored=False).what
    assert "answers numbers" in _blind(replace(whole, numbers=np.zeros(60), limit=1.0)).what
