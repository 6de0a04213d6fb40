from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from scipy.stats import binom

from backstay.kernel.errors import BackstayError
from backstay.monitor.detectors.group_answers import GroupAnswersDetector
from backstay.monitor.measures import Whole
from backstay.monitor.reference import fit_reference
from backstay.monitor.traffic import WindowData

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
SITES = ("north", "south", "west")
GRANTED = {"north": 0.3, "south": 0.5, "west": 0.4}


def drawn(rng, n, granted, classes=("no", "yes")):
    site = rng.choice(np.array(SITES, dtype=object), n, p=(0.2, 0.4, 0.4))
    chance = np.array([granted[s] for s in site])
    answer = np.where(rng.random(n) < chance, classes[-1], classes[0]).astype(object)
    if len(classes) == 3:
        answer[rng.random(n) < 0.3] = classes[1]
    site[rng.random(n) < 0.05] = None
    return site, answer


def reference(rng, n=3000, granted=GRANTED, classes=("no", "yes"), **parts):
    site, answer = drawn(rng, n, granted, classes)
    return fit_reference(answer, classes, slices={"site": site}, **parts)


def window(rng, n=1000, granted=GRANTED, classes=("no", "yes"), **parts):
    site, answer = drawn(rng, n, granted, classes)
    ids = np.array([f"r{i}" for i in range(n)], dtype=object)
    times = np.full(n, np.datetime64("2026-01-05", "us"))
    given = {"slices": {"site": site}, **parts}
    return WindowData(BEGIN, BEGIN + timedelta(days=7), ids, times, answer, **given)


def test_a_group_that_is_granted_less_is_named_with_its_rows(look):
    rng = np.random.default_rng(1)
    detector = GroupAnswersDetector.fit(reference(rng))
    given = window(rng, granted={**GRANTED, "north": 0.05})
    signal, _ = detector.look({}, given, look(0.004))
    assert signal.alarm
    assert signal.moved[0].startswith("site=north, answer 'yes': ")
    shown = [int(row[1:]) for row in signal.example_ids]
    assert {(given.slices["site"][i], given.predicted[i]) for i in shown} == {("north", "no")}


def test_all_groups_granted_less_alike_is_no_change_of_gaps(look):
    rng = np.random.default_rng(2)
    detector = GroupAnswersDetector.fit(reference(rng))
    fewer = {site: share - 0.2 for site, share in GRANTED.items()}
    assert not detector.look({}, window(rng, granted=fewer), look(0.01))[0].alarm


def test_three_classes_and_the_direction_of_the_change(look):
    rng = np.random.default_rng(3)
    classes = ("a", "b", "c")
    detector = GroupAnswersDetector.fit(reference(rng, classes=classes))
    signal, _ = detector.look({}, window(rng, granted={**GRANTED, "north": 0.9}, classes=classes), look(0.004))
    assert signal.alarm
    assert any(words.startswith("site=north, answer 'c': ") for words in signal.moved)


def test_rows_of_one_person_count_once(look):
    rng = np.random.default_rng(4)
    detector = GroupAnswersDetector.fit(reference(rng))
    persons = np.array([f"p{i // 50}" for i in range(1000)], dtype=object)
    moved = window(rng, granted={**GRANTED, "north": 0.05}, groups=persons)
    signal, _ = detector.look({}, moved, look(0.004))
    assert not signal.alarm
    assert signal.message == "not judged: no group has rows enough, with an answer and without"


def test_what_cannot_be_judged_says_so(look):
    rng = np.random.default_rng(5)
    detector = GroupAnswersDetector.fit(reference(rng))
    assert "no column 'site'" in detector.look({}, window(rng, slices={}), look())[0].message
    assert GroupAnswersDetector.fit(fit_reference(np.array(["a", "b"] * 20))) is None
    with pytest.raises(BackstayError, match="no group of site has 10 reference rows"):
        GroupAnswersDetector.fit(reference(rng, 20))


def test_json_and_back_gives_the_same_signal(look):
    rng = np.random.default_rng(6)
    detector = GroupAnswersDetector.fit(reference(rng))
    again = GroupAnswersDetector.from_json(json.loads(json.dumps(detector.to_json())))
    given = window(rng)
    assert again == detector
    assert again.look({}, given, look()) == detector.look({}, given, look())


def rates(look, references, windows, alpha, n=600):
    rng = np.random.default_rng(7)
    found = []
    for _ in range(references):
        detector = GroupAnswersDetector.fit(reference(rng, 1000))
        alarms = [detector.look({}, window(rng, n), look(alpha, tolerance=0.0))[0].alarm for _ in range(windows)]
        found.append(np.mean(alarms))
    return np.array(found)


def test_unchanged_gaps_are_quiet(look):
    found = rates(look, 5, 30, 0.05)
    assert 150 * found.mean() <= binom.ppf(0.999, 150, 1.5 * 0.05)


@pytest.mark.prove
def test_ninety_five_of_a_hundred_references_keep_the_promise(look):
    alpha = 0.05
    found = rates(look, 100, 200, alpha)
    print(found.mean(), np.quantile(found, 0.95))
    assert found.mean() <= alpha
    assert np.quantile(found, 0.95) <= 1.5 * alpha


def test_a_window_of_sketches_is_not_judged(look):
    rng = np.random.default_rng(9)
    detector = GroupAnswersDetector.fit(reference(rng))
    signal, _ = detector.look({}, window(rng, whole=Whole(100_000, {})), look(0.01))
    assert signal.message == "not judged: sketches of a window do not tell groups apart"
