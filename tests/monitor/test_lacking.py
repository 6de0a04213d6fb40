"""Rows that lack scores or inputs: left out by who reads them, counted by all others, and never a blindfold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backstay.kernel.clock import ManualClock
from backstay.monitor.fitted import Detectors
from backstay.monitor.lacking import having, read_by
from backstay.monitor.memory import Memory
from backstay.monitor.sample import RowSample, joined, take
from backstay.monitor.watch import watch_window

EVERY = ["embedding", "prediction", "columns", "schema", "novelty", "labelled_error", "service"]


def bare(window, places):
    """The window with rows that were logged without scores, embedding and inputs."""
    lacks = np.zeros(len(window), dtype=np.bool_)
    lacks[places] = True
    blank = {name: np.where(lacks, np.nan if v.dtype.kind == "f" else None, v) for name, v in window.columns.items()}
    return replace(
        window,
        scores=np.where(lacks[:, None], np.nan, window.scores),
        representation=np.where(lacks[:, None], np.nan, window.representation),
        columns=blank,
        traits={},
        lacks=dict.fromkeys(("scores", "representation", "columns"), lacks),
    )


def looked(window, detectors, settings, begin):
    return watch_window(Memory.start("r", begin), replace(window, traits={}), detectors, settings, ManualClock(begin))


@pytest.fixture
def watched(world, make_settings):
    settings = make_settings(watch={"detectors": EVERY})
    return Detectors.fit(world.reference(1500), settings), settings


def test_bare_rows_cost_no_detector_its_eyes_and_are_told(world, watched, begin):
    detectors, settings = watched
    window = world.window(n=400, shift=0.6)
    places = np.arange(0, 400, 40)
    found, _ = looked(bare(window, places), detectors, settings, begin)
    rest = take(window, np.delete(np.arange(400), places))
    alone, _ = looked(rest, detectors, settings, begin)
    assert found.rows == 400
    for one, other in zip(found.signals, alone.signals, strict=True):
        assert one.alarm == other.alarm
        assert one.evidence == pytest.approx(other.evidence)
        if one.detector in ("labelled_error", "service"):
            assert "left out" not in one.message
        else:
            assert one.figures["left_out"] == 10
            assert one.message.endswith(": left out")
            assert one.n == 390
    said = {signal.detector: signal.message.rsplit("; ", 1)[-1] for signal in found.signals}
    assert said["prediction"] == "10 rows have no scores: left out"
    assert said["columns"] == "10 rows have no inputs: left out"
    assert {s.detector for s in found.signals if s.alarm} >= {"embedding", "prediction", "columns"}
    free = next(e for e in found.estimates if e.kind == "label-free" and e.metric == "accuracy")
    without = next(e for e in alone.estimates if e.kind == "label-free" and e.metric == "accuracy")
    assert (free.value, free.refusals) == (without.value, without.refusals)


def test_whole_windows_are_not_copied(world, watched):
    detectors, _ = watched
    window = world.window()
    assert all(having(window, read_by(name, detectors)) is window for name in (*EVERY, "of another package"))


def test_marks_are_taken_joined_and_kept_with_the_rows(world):
    window = bare(world.window(n=20), [3])
    window = replace(window, strange={"age": np.array([None] * 19 + ["x"], dtype=object)})
    whole = world.window(1, n=5)
    both = joined([replace(window, traits={}), replace(whole, traits={})])
    assert both.lacks["scores"].tolist() == [i == 3 for i in range(25)]
    assert both.strange["age"].tolist() == [None] * 19 + ["x"] + [None] * 5
    kept = RowSample.from_json(RowSample().add(window).to_json()).rows
    assert kept.lacks["columns"].sum() == 1
    assert kept.ids[kept.lacks["columns"]].tolist() == [window.ids[3]]
    assert kept.ids[[v is not None for v in kept.strange["age"]]].tolist() == [window.ids[19]]
