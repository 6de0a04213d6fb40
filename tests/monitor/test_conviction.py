"""The limit by which labels may call a model worse, at the level of one look."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta

from backstay.monitor.conviction import FEWEST, upper_of_draw, upper_of_labels

RIGHT = np.array([1.0] * 30 + [0.0] * 10)


def test_the_limit_of_labels_is_one_sided_at_the_level_of_the_look():
    assert upper_of_labels(RIGHT, None, 0.001) == pytest.approx(beta.ppf(1 - 0.001, 31, 10))


def test_labels_of_few_groups_convict_later():
    groups = np.repeat(np.arange(8), 5)
    assert upper_of_labels(RIGHT, groups, 0.001) > upper_of_labels(RIGHT, None, 0.001) + 0.02


def test_few_labels_or_no_level_convict_nobody():
    assert upper_of_labels(np.zeros(FEWEST - 1), None, 0.01) == 1.0
    assert upper_of_labels(np.zeros(FEWEST), None, 0.01) < 0.5
    assert upper_of_labels(np.zeros(FEWEST), None, 0.0) == 1.0


@pytest.mark.parametrize(("labels", "convicts"), [((10, 10), True), ((10, 9), False), ((20, 0), False)])
def test_a_draw_convicts_with_enough_labels_and_some_of_each_stratum(labels, convicts):
    strata = [{"rows": 100, "labels": n, "right": 0} for n in labels]
    assert (upper_of_draw({"strata": strata}, 0.01) < 1.0) is convicts
