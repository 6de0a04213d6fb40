"""Answers of a model that lives elsewhere, as they are logged."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from backstay.kernel.records import Release, ReleaseKind
from backstay.serve.outside import outside_entries
from backstay.serve.problems import Problem

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
RELEASE = Release(
    id="release-1",
    sequence=1,
    model="risk",
    environment="production",
    model_id="model-1",
    kind=ReleaseKind.ADOPTED,
    measured=False,
    actor="ann",
    reason="live",
    created_at=NOW,
)


def entry(**changes):
    body = json.dumps({"id": "a", "prediction": "yes", **changes}).encode()
    (found,) = outside_entries(body, RELEASE, ("no", "yes"), model="risk", environment="production", now=NOW)
    return found


def test_scores_are_kept_in_the_order_of_the_classes_however_they_are_sent():
    for scores in ({"no": 0.25, "yes": 0.75}, {"yes": 0.75, "no": 0.25}):
        kept = entry(scores=scores).scores
        assert np.frombuffer(kept.data, np.float32).tolist() == [0.25, 0.75]


def test_a_time_is_a_moment_in_any_zone_and_now_where_none_is_told():
    told = entry(time="2026-03-01T12:30:00+02:00")
    assert told.at == int((NOW - timedelta(minutes=90)).timestamp()) * 1_000_000
    assert entry().at == int(NOW.timestamp()) * 1_000_000


def test_clocks_may_be_a_day_ahead_and_no_more():
    assert entry(time=(NOW + timedelta(hours=23)).isoformat()).ids == ["a"]
    with pytest.raises(Problem, match="more than a day ahead"):
        entry(time=(NOW + timedelta(hours=25)).isoformat())
