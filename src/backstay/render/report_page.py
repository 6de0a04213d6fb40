"""The story of a model: one timeline, what moved as pictures, and the tables that prove it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from backstay.kernel.records import LedgerRow, ModelRecord, Release, Report, Verdict
from backstay.render.chart_part import chart_part
from backstay.render.engine import fill
from backstay.render.images import contact_sheet, png_uri
from backstay.render.prose import anything
from backstay.render.space_map import SpaceMap, space_figure
from backstay.render.timeline import Timeline, build_timeline, reason_of


@dataclass(frozen=True, slots=True)
class Section:
    """A chapter of the report: paragraphs, and a table where `columns` are named."""

    title: str
    paragraphs: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Any, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class _Sheet:
    caption: str
    uri: str
    count: int


def report_page(
    title: str,
    timeline: Timeline | None = None,
    sections: Sequence[Section] = (),
    *,
    releases: Sequence[Release] = (),
    verdicts: Sequence[Verdict] = (),
    refusals: Sequence[LedgerRow] = (),
    reports: Sequence[Report] = (),
    ledger_head: str = "",
    ledger_problems: Sequence[str] = (),
    ledger_length: int | None = None,
    facts: Sequence[tuple[str, str]] = (),
    moved: Sequence[tuple[str, Sequence[npt.ArrayLike]]] = (),
    space: SpaceMap | None = None,
    narrative: Sequence[str] = (),
    how_made: str = "",
    names: Mapping[str, str] | None = None,
) -> str:
    """The whole story in one file.

    Args:
        refusals: ledger rows of promotions that were refused.
        facts: pairs of question and answer for the table at the top.
        moved: a caption and uint8 images of one shape, each pair one contact sheet.
        space: where rows lie in the space of embeddings.
        narrative: paragraphs that tell it in words.
        how_made: how the traffic and the figures came about.
        names: friendlier names for model ids.
    """
    chart = chart_part(build_timeline([], releases, names=names) if timeline is None else timeline)
    return fill(
        "report.html.j2",
        title=title,
        chart=chart,
        caption=chart.caption,
        sections=[(s, [["–" if cell is None else anything(cell) for cell in row] for row in s.rows]) for s in sections],
        releases=releases,
        verdicts=verdicts,
        refusals=[(row, reason_of(row) or "no reason was recorded") for row in refusals],
        reports=reports,
        ledger_head=ledger_head,
        ledger_problems=ledger_problems,
        ledger_length=ledger_length,
        facts=facts,
        sheets=[_sheet(caption, images) for caption, images in moved],
        space=None if space is None else space_figure(space),
        space_caption="" if space is None else space.caption,
        narrative=narrative,
        how_made=how_made,
        names=dict(names or {}),
    )


def model_report_page(
    report: Report, verdict: Verdict | None, model: ModelRecord, space: SpaceMap | None = None
) -> str:
    """The evaluation of one model: the gate's answer, what was measured, what it was compared with, findings.

    Args:
        space: where the rows that it was measured on lie in its space of embeddings.
    """
    return fill(
        "model.html.j2",
        title=f"{model.model}: evaluation of {model.id}",
        report=report,
        verdict=verdict,
        model=model,
        headline=_headlines(report),
        figures=[(name.replace("_", " "), anything(value)) for name, value in model.figures.items()],
        recipe=[(name.replace("_", " "), anything(value)) for name, value in model.recipe.items()],
        space=None if space is None else space_figure(space),
        space_caption="" if space is None else space.caption,
    )


def _headlines(report: Report) -> list[Any]:
    """The model's figures over all rows, for the top of the page."""
    return [m for m in report.measurements if m.of == "model" and not m.slice][:4]


def _sheet(caption: str, images: Sequence[npt.ArrayLike]) -> _Sheet:
    sheet = contact_sheet(images, across=8)
    return _Sheet(caption, "" if sheet is None else png_uri(sheet), len(images))
