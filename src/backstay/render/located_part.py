"""Where a change lies, for the page: each cluster of rows that changed, with rows to look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from backstay.kernel.records import Cell, Located
from backstay.render.examples import Example
from backstay.render.tiles import Tile, tiles


@dataclass(frozen=True, slots=True)
class CellPart:
    """One cluster, ready for the template: its line, and rows of now or, of one that shrank, of before."""

    line: str
    grew: bool
    rows: tuple[Tile, ...]


@dataclass(frozen=True, slots=True)
class LocatedPart:
    """The section, ready for the template."""

    headline: str
    counted: str
    level: str
    cells: tuple[CellPart, ...]


def located_part(
    located: Located | None, examples: Mapping[str, Example], reference: Mapping[int, Example]
) -> LocatedPart | None:
    """None where nothing was asked. `examples` are rows of the window by id, `reference` rows of then by place."""
    if located is None:
        return None
    return LocatedPart(
        headline=located.headline,
        counted=located.counted,
        level=f"{located.level:.0%}",
        cells=tuple(_cell(cell, examples, reference) for cell in located.cells),
    )


def _cell(cell: Cell, examples: Mapping[str, Example], reference: Mapping[int, Example]) -> CellPart:
    if cell.grew:
        rows = tiles([examples[row] for row in cell.example_ids if row in examples], "now")
    else:
        rows = tiles([reference[row] for row in cell.reference_rows if row in reference], "before")
    return CellPart(cell.line, cell.grew, rows)
