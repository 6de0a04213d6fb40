"""Rows that a former release answered say nothing of the one that is live."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from backstay.loop.label import live_rows


def test_rows_of_a_former_release_are_neither_judged_nor_drawn_for_labels(trained):
    ws = trained.open().ws
    rows = live_rows(ws)
    former = replace(
        rows,
        ids=np.array([f"former-{i}" for i in range(len(rows))], dtype=object),
        releases=np.full(len(rows), "release-former", dtype=object),
    )
    ws.journal.add(former, **ws.scope)
    project = trained.later(8)
    (window,) = project.monitor.watch().windows
    assert window.rows == len(rows)
    project.labels.request(40)
    asked = {request.prediction_id for request in project.labels.queue().requests}
    assert len(asked) >= 40
    assert not any(row_id.startswith("former-") for row_id in asked)
