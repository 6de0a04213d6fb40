"""Data versions whose rows were partly erased: what stands in their place."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from backstay.kernel.ports import Catalog

KIND = "erasure"


@dataclass(frozen=True, slots=True)
class Erasure:
    """That the bytes of a data version are gone, and the id of the same rows without those that were erased."""

    data_id: str
    replaced_by: str
    rows: int
    at: datetime


def erasures(catalog: Catalog) -> dict[str, Erasure]:
    """Every erasure of the project by the id of the version that it emptied."""
    return {e.data_id: e for e in catalog.find(KIND, Erasure)}


def erased_since(catalog: Catalog, data_id: str, moment: datetime) -> bool:
    """Whether rows of this version have been erased since: places in it are then those of other rows."""
    gone, found = erasures(catalog), False
    while data_id in gone:
        found = found or gone[data_id].at >= moment
        data_id = gone[data_id].replaced_by
    return found


def standing(catalog: Catalog, data_id: str) -> str:
    """The version that holds these rows today: the version itself, unless rows of it were erased."""
    gone = erasures(catalog)
    while data_id in gone:
        data_id = gone[data_id].replaced_by
    return data_id
