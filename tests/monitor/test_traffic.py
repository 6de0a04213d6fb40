from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backstay.kernel.errors import BackstayError
from backstay.kernel.records import LabelUse
from backstay.monitor.traffic import group_codes


def test_rows_without_a_group_stand_alone():
    codes = group_codes(np.array(["a", None, "a", float("nan"), "", "b"], dtype=object))
    assert codes[0] == codes[2]
    assert len(set(codes.tolist())) == 5


@pytest.mark.parametrize(
    ("changes", "representative"),
    [
        ({}, True),
        ({"probability": None}, False),
        ({"probability": 0.0}, False),
        ({"probability": None, "census": True}, True),
        ({"trusted": False}, False),
        ({"use": LabelUse.TRAIN}, False),
        ({"use": LabelUse.GATE}, False),
    ],
)
def test_only_labels_drawn_with_a_known_chance_speak_for_the_traffic(make_label, begin, changes, representative):
    assert make_label("1", "cat", "dog", begin, **changes).representative is representative


def test_a_row_drawn_by_doubt_does_not_speak_for_the_traffic(make_label, begin):
    row = make_label("1", "cat", "dog", begin)
    assert not replace(row, label=replace(row.label, draw="window-1", stratum=0)).representative


def test_a_window_with_parts_of_another_length_is_refused(world):
    window = world.window(n=50)
    with pytest.raises(BackstayError, match="50 rows has 3 scores"):
        type(window)(window.start, window.end, window.ids, window.times, window.predicted, scores=np.ones((3, 2)))


def test_a_window_that_ends_before_it_starts_is_refused(world):
    window = world.window(n=50)
    with pytest.raises(BackstayError, match="an end after the start"):
        type(window)(window.end, window.start, window.ids, window.times, window.predicted)
