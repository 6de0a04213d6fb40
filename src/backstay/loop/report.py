"""The whole story of a model on one page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from backstay.kernel.errors import NotFound
from backstay.kernel.records import ColumnKind, Report, Verdict
from backstay.loop.label import live_rows
from backstay.loop.look import own_rows
from backstay.loop.lookup import window_results
from backstay.loop.pages import write_page
from backstay.loop.reference import pixels_of
from backstay.loop.space import Method, space_map, space_of_model
from backstay.loop.workspace import Workspace
from backstay.render.report_page import Section, model_report_page, report_page
from backstay.render.timeline import REFUSALS, build_timeline

IMAGES = 16
MOST_REPORTS = 6


@dataclass(frozen=True)
class Reported:
    """Where the page is."""

    page: str


def report(ws: Workspace, candidate: str | None = None, *, page: Path | None = None, space: Method = "pca") -> Reported:
    """Write the report; beside the project file unless told otherwise.

    Args:
        candidate: a model's id or its beginning: what was measured of this model and what the gate said, instead of
            the whole story.
        space: how the picture of the space of embeddings is drawn: see `space_map`.
    """
    if candidate is not None:
        return _of_model(ws, ws.catalog.resolve("model", candidate), page, space)
    return Reported(str(write_report(ws, page or ws.root / "report.html", space=space)))


def _of_model(ws: Workspace, model_id: str, page: Path | None, space: Method) -> Reported:
    """The newest evaluation of one model, and the newest verdict on it."""
    reports = ws.catalog.find("report", Report, **ws.scope, newest_first=True)
    measured = next((one for one in reports if one.model_id == model_id), None)
    if measured is None:
        raise NotFound(
            f"model {model_id} has not been measured",
            fix="offer it to the gate, with labelled rows: `backstay adopt --challenger`",
        )
    verdicts = ws.catalog.find("verdict", Verdict, **ws.scope, newest_first=True)
    said = next((one for one in verdicts if one.candidate == model_id), None)
    record = ws.model_record(model_id)
    html = model_report_page(measured, said, record, space_of_model(ws, record, measured.data_id, space))
    return Reported(str(write_page(page or ws.root / f"report-{model_id[:12]}.html", html)))


def write_report(
    ws: Workspace,
    page: Path,
    *,
    title: str | None = None,
    truth: Mapping[str, float] | None = None,
    facts: Sequence[tuple[str, str]] = (),
    sections: Sequence[Section] = (),
    narrative: Sequence[str] = (),
    how_made: str = "",
    space: Method = "pca",
) -> Path:
    """The report, with what only a demo can add: the truth of each window, and a narrative."""
    releases = ws.catalog.releases(ws.name, ws.environment)
    ledger = own_rows(ws)
    results = window_results(ws)
    verdicts = ws.catalog.find("verdict", Verdict, **ws.scope)
    reports = ws.catalog.find("report", Report, **ws.scope, newest_first=True, limit=MOST_REPORTS)
    rows, head = ws.ledger.head()
    html = report_page(
        title or f"{ws.name} in {ws.environment}",
        build_timeline(results, releases, ledger, truth),
        sections,
        releases=releases,
        verdicts=verdicts,
        refusals=[row for row in ledger if row.kind in REFUSALS],
        reports=list(reversed(reports)),
        ledger_head=head,
        ledger_problems=ws.ledger.verify(),
        ledger_length=rows,
        facts=facts,
        moved=moved_images(ws),
        space=space_map(ws, releases[-1], space) if releases else None,
        narrative=narrative,
        how_made=how_made,
    )
    return write_page(page, html)


def moved_images(ws: Workspace) -> list[tuple[str, list[npt.NDArray[np.uint8]]]]:
    """Reference images of each release beside rows that raised an alarm under it; empty for tables."""
    found: list[tuple[str, list[npt.NDArray[np.uint8]]]] = []
    for release in ws.catalog.releases(ws.name, ws.environment):
        alarms = [w for w in window_results(ws, release.id) if any(s.alarm and s.example_ids for s in w.signals)]
        if release.reference_id is None or not alarms:
            continue
        table, schema = ws.rows_of(release.reference_id)
        name = next((c.name for c in schema.columns if c.kind is ColumnKind.IMAGE), None)
        if name is None:
            continue
        first = alarms[0]
        wanted = [i for s in first.signals if s.alarm for i in s.example_ids][:IMAGES]
        rows = live_rows(ws, release=release.id)
        places = [i for i, row_id in enumerate(rows.ids) if str(row_id) in set(wanted)]
        if rows.inputs is None or not places or name not in rows.inputs.column_names:
            continue
        if not isinstance(rows.inputs.schema.field(name).type, pa.FixedShapeTensorType):
            continue
        before = np.linspace(0, table.num_rows - 1, min(IMAGES, table.num_rows)).astype(np.int64)
        old = pixels_of(table.take(pa.array(before)), name)
        new = pixels_of(rows.inputs.take(pa.array(places)), name)
        found.append((f"before: reference of release {release.sequence}", list(old)))
        found.append((f"alarm in the window to {first.end:%Y-%m-%d}", list(new)))
    return found
