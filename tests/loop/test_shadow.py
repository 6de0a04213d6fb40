"""The shadow: it finds a gain where there is one, none where there is none, and never sees the rows that judge it."""

from __future__ import annotations

import numpy as np
import pytest

from backstay.loop import act
from backstay.loop.label import live_rows
from backstay.loop.shadow import cross_fitted, shadow_gain
from backstay.maths.paired import paired_difference


def labelled(place, n: int, *, wrong: bool) -> None:
    """A census of drawn rows: the truth is what the model answers, or the reverse of what it learned."""
    rows = place.log(n, 5, "s")
    project = place.open()
    project.labels.request(n // 2, purpose="retrain")
    learned = dict(zip(rows.column("id").to_pylist(), rows.column("y").to_pylist(), strict=True))
    live = live_rows(project.ws)
    answered = dict(zip(map(str, live.ids), map(str, live.predictions), strict=True))
    other = {"yes": "no", "no": "yes"}
    asked = [r.prediction_id for r in project.labels.queue().requests if r.prediction_id in learned]
    given = [{"id": i, "label": other[learned[i]] if wrong else answered[i]} for i in asked]
    project.labels.answer(given)


def test_too_few_labels(trained):
    project = trained.open()
    gain, why = shadow_gain(project.ws, project.releases.champion())
    assert gain is None
    assert "0 labels for training were drawn with a known chance, 100 are needed" in why


def test_a_meaning_that_has_turned_round_is_worth_retraining(trained):
    labelled(trained, 600, wrong=True)
    project = trained.open()
    gain, why = shadow_gain(project.ws, project.releases.champion())
    assert why == ""
    assert gain.now > 0.7
    assert gain.after < 0.3
    assert gain.low > 0.4


def test_a_model_that_is_right_gains_nothing(trained):
    labelled(trained, 600, wrong=False)
    project = trained.open()
    gain, _ = shadow_gain(project.ws, project.releases.champion())
    assert gain.low <= 0.0


def test_labels_that_came_by_themselves_do_not_count(trained):
    rows = trained.log(600, 5, "s")
    given = [{"id": i, "label": "yes"} for i in rows.column("id").to_pylist()]
    project = trained.open()
    project.labels.answer(given)
    gain, why = shadow_gain(project.ws, project.releases.champion())
    assert gain is None
    assert "known chance" in why


def test_watching_uses_it_where_the_project_file_says_so(trained):
    file = trained.folder / "backstay.toml"
    file.write_text(file.read_text().replace("[retrain]", "[retrain]\nshadow = true"))
    labelled(trained, 600, wrong=True)
    seen = trained.later(8).monitor.watch()
    assert "a shadow on the same" in seen.decision.terms["error rate after, known from"]


def test_a_shadow_is_asked_once_a_window(trained, monkeypatch):
    file = trained.folder / "backstay.toml"
    file.write_text(file.read_text().replace("[retrain]", "[retrain]\nshadow = true"))
    too_few = trained.later(8).monitor.watch(close_now=True)
    assert any("no shadow: 0 labels" in note for note in too_few.notes)
    labelled(trained, 600, wrong=True)
    first = trained.later(16).monitor.watch(close_now=True).decision
    monkeypatch.setattr(act, "shadow_gain", lambda *_: pytest.fail("asked again"))
    assert trained.open().monitor.watch().decision == first
    monkeypatch.setattr(act, "shadow_gain", lambda *_: (None, "asked anew"))
    trained.log(600, 6, "next-")
    assert "asked anew" in trained.later(24).monitor.watch(close_now=True).notes


@pytest.mark.parametrize("seed", range(3))
def test_noise_is_not_learned_by_heart(seed):
    """Groups share one label and one feature: a fold that split them would look perfect."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(60), 5)
    features = np.repeat(rng.normal(size=(60, 30)), 5, axis=0)
    codes = np.repeat(rng.integers(0, 2, 60), 5)
    right = (cross_fitted(features, codes, groups, 2) == codes).astype(float)
    assert right.mean() < 0.7
    chance = np.full(300, 0.5)
    assert paired_difference(chance, right, groups).low < 0
