from __future__ import annotations

import json

import numpy as np
import pytest

from backstay.kernel.clock import ManualClock
from backstay.kernel.errors import NotFound
from backstay.monitor.fitted import Detectors
from backstay.monitor.memory import Memory
from backstay.monitor.watch import watch_window


def test_cached_detectors_decide_as_fresh_ones(world, settings, begin):
    reference = world.reference(800)
    fresh = Detectors.fit(reference, settings)
    cached = Detectors.restore(reference, settings, json.loads(json.dumps(fresh.to_json())))
    window = world.window(shift=0.3, labels=30)
    memory, clock = Memory.start("r", begin), ManualClock(begin)
    assert watch_window(memory, window, cached, settings, clock) == watch_window(memory, window, fresh, settings, clock)


def test_a_cache_of_another_reference_is_not_used(world, settings):
    cached = Detectors.fit(world.reference(300), settings).to_json()
    other = world.reference(300)
    assert Detectors.restore(other, settings, cached).to_json() == Detectors.fit(other, settings).to_json()
    assert Detectors.restore(other, settings, None).key != cached["key"]


def test_a_cache_of_other_detectors_is_not_used(world, settings, make_settings):
    reference = world.reference(300)
    cached = Detectors.fit(reference, settings).to_json()
    fewer = make_settings(watch={"detectors": ["prediction"]})
    assert set(Detectors.restore(reference, fewer, cached).members) == {"prediction"}


def test_an_unknown_detector_is_named_with_the_known_ones(world, make_settings):
    settings = make_settings()
    watch = settings.watch.model_copy(update={"detectors": ("colums",)})
    with pytest.raises(NotFound, match="'columns'"):
        Detectors.fit(world.reference(100), settings.model_copy(update={"watch": watch}))


def test_what_ought_to_watch_and_cannot_is_told_with_its_fix(world, settings):
    detectors = Detectors.fit(world.reference(30, correct=None, columns=False), settings)
    assert detectors.members == {}
    assert "give at least 50 rows" in detectors.absent["embedding"]
    assert "labels" in detectors.absent["labelled_error"]
    assert "columns" not in detectors.absent
    assert detectors.budget(settings) is None


def test_shares_of_absent_detectors_go_to_the_others(world, settings, make_settings):
    every = Detectors.fit(world.reference(200), settings).budget(settings)
    some = Detectors.fit(world.reference(200, columns=False), settings).budget(settings)
    assert every is not None
    assert some is not None
    assert sum(every.share(name) for name in settings.watch.detectors) == pytest.approx(1.0)
    assert every.share("labelled_error") == every.share("confident_errors") == pytest.approx(0.2)
    assert some.share("labelled_error") == pytest.approx(0.25)
    weighted = make_settings(budget={"false_alarms_per_year": 2.0, "weights": {"prediction": 5.0}})
    own = Detectors.fit(world.reference(200), weighted).budget(weighted)
    assert own is not None
    assert own.share("prediction") == pytest.approx(2.0 * 5 / 9)


def test_columns_have_more_than_an_embedding_of_the_same_columns(world, settings):
    learnt = Detectors.fit(world.reference(200), settings).budget(settings)
    raw = Detectors.fit(world.reference(200, representation=None), settings).budget(settings)
    assert [learnt.share(name) for name in ("columns", "embedding")] == pytest.approx([0.2, 0.2])
    assert [raw.share(name) for name in ("columns", "embedding")] == pytest.approx([0.3, 0.1])
    assert raw.share("prediction") == pytest.approx(0.2)


def test_the_detectors_of_labels_divide_a_double_weight(world, make_settings):
    """Who has one of the two has all of it: without scores nothing is lost to a detector that cannot be."""
    names = ["embedding", "labelled_error", "confident_errors"]
    settings = make_settings(watch={"detectors": names})
    both = Detectors.fit(world.reference(300), settings)
    unsure = Detectors.fit(world.reference(300, scores=None), settings)
    assert [both.budget(settings).share(n) for n in names] == pytest.approx([1 / 3] * 3)
    assert unsure.budget(settings).share("labelled_error") == pytest.approx(2 / 3)
    assert "scores" in unsure.absent["confident_errors"]


def test_detectors_kept_before_there_was_one_of_confident_errors_are_fitted_anew(world, settings, make_settings):
    """A store of an older version: the names that it was made for differ, and nothing of it is read wrongly."""
    reference = world.reference(300)
    older = make_settings(watch={"detectors": ["embedding", "prediction", "columns", "labelled_error"]})
    cached = json.loads(json.dumps(Detectors.fit(reference, older).to_json()))
    assert "confident_errors" in Detectors.restore(reference, settings, cached).members
    assert "confident_errors" not in Detectors.restore(reference, older, cached).members


def test_a_detector_that_holds_reference_rows_is_not_cached_and_decides_the_same(world, make_settings, begin):
    settings = make_settings(watch={"detectors": ["prediction", "novelty", "schema"]})
    reference = world.reference(800)
    fresh = Detectors.fit(reference, settings)
    assert set(fresh.to_json()["members"]) == {"prediction", "schema"}
    cached = Detectors.restore(reference, settings, json.loads(json.dumps(fresh.to_json())))
    assert list(cached.members) == ["prediction", "novelty", "schema"]
    window = world.window(shift=0.3)
    memory, clock = Memory.start("r", begin), ManualClock(begin)
    assert watch_window(memory, window, cached, settings, clock) == watch_window(memory, window, fresh, settings, clock)


def test_the_reference_is_not_in_the_cache(world, settings):
    reference = world.reference(5000)
    text = json.dumps(Detectors.fit(reference, settings).to_json())
    assert len(text) < 100_000
    assert not np.any([str(value) in text for value in reference.columns["age"][:20]])
