"""`history --trend` on a project: what was watched and labelled is what is told, and nothing is written down."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest

import backstay
from backstay.kernel.errors import BackstayError


def test_the_trend_of_a_project(tiny):
    project = backstay.open(tiny.folder)
    project.models.predict(pq.read_table(tiny.file("rows.parquet")), record=True)
    waiting = project.labels.request(40).requests
    truth = ["yes" if i % 4 else "no" for i in range(len(waiting))]
    project.labels.answer([{"id": r.prediction_id, "label": t} for r, t in zip(waiting, truth, strict=True)])
    latest = project.monitor.watch(close_now=True).latest
    ledger = project.ws.ledger.head()
    page = tiny.folder / "pages" / "trend.html"
    found = project.releases.trend(page=page)
    assert (found.model, found.environment) == ("tiny", "production")
    (told,) = found.releases
    assert (told.sequence, told.windows, told.decay) == (1, 1, None)
    labelled = next(e for e in latest.estimates if e.kind in ("ppi", "labels"))
    assert (told.labels, told.right) == (labelled.labels, labelled.figures["right"])
    assert 0 < told.labels <= 40
    assert told.interval.low <= told.accuracy <= told.interval.high
    assert found.failed_changes.sentence == "not known yet, because nothing has been promoted yet"
    html = page.read_text()
    assert "Quality over releases" in html
    assert told.why in html
    assert project.ws.ledger.head() == ledger


@pytest.mark.parametrize("days", [0.0, -1.0, 4000.0, float("nan")])
def test_a_horizon_out_of_range(tiny, days):
    with pytest.raises(BackstayError, match="horizon"):
        backstay.open(tiny.folder).releases.trend(horizon_days=days)
