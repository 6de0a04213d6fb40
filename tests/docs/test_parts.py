"""Every plug-in of learning and watching tells all that its page must: by named parts, with settings that exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pydantic import BaseModel

from backstay.kernel.registry import Shelf
from backstay.monitor.detectors import DETECTORS
from backstay.settings import Settings
from backstay.settings.watch import WatchSettings
from backstay.train.encoders import ENCODERS
from backstay.train.estimators import ESTIMATORS
from backstay.train.estimators.numbers import REGRESSORS
from backstay.train.heads import HEADS
from backstay.train.objectives import OBJECTIVES

ROOT = Path(__file__).resolve().parents[2]
CHOICE = ("Prefer it", "Wrong", "Cost", "Source", "Options")
PARTS: dict[str, tuple[Shelf, tuple[str, ...]]] = {
    "objectives": (OBJECTIVES, ("Pulls together", "Pushes apart", "Formula", *CHOICE)),
    "encoders": (ENCODERS, CHOICE),
    "heads": (HEADS, CHOICE),
    "estimators": (ESTIMATORS, CHOICE),
    "regressors": (REGRESSORS, CHOICE),
    "detectors": (
        DETECTORS,
        (
            "Sees",
            "Compares",
            "Statistic",
            "Needs",
            "Promises",
            "Alarms for nothing",
            "Silent",
            "When it alarms",
            "Settings",
            "Source",
        ),
    ),
}
ENTRIES = [(kind, name) for kind, (shelf, _) in PARTS.items() for name in sorted(shelf.built_in)]
A_SETTING = re.compile(r"`([a-z]+)\.([a-z_]+)`")


@pytest.fixture(scope="module")
def shelves() -> Iterator[ModuleType]:
    """tools/doc_pages/shelves.py, which reads docstrings for the pages."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "tools")
        from doc_pages import shelves

        yield shelves


def lacking(told: dict[str, str], wanted: tuple[str, ...]) -> list[str]:
    """Parts that a docstring lacks, has empty, or tells before an earlier one; "" where it has no headline."""
    order = [name for name in told if name in wanted]
    missing = [name for name in ("", *wanted) if len(told.get(name, "").split()) < 1]
    return missing or [name for name, place in zip(order, wanted, strict=True) if name != place]


@pytest.mark.parametrize(("kind", "name"), ENTRIES)
def test_every_part_is_told(kind: str, name: str, shelves: ModuleType) -> None:
    """A plug-in whose docstring lacks a part fails, and so does one that tells them in another order."""
    shelf, wanted = PARTS[kind]
    told = shelves.parts(shelves.docstring(shelf, name))
    assert not lacking(told, wanted), f"{name} of {kind}: write **{lacking(told, wanted)[0]}:** into its docstring"
    if "Formula" in wanted:
        assert re.search(r"^    \S", told["Formula"], re.MULTILINE), f"{name} tells no formula"


def test_a_docstring_that_lacks_a_part_is_noticed(shelves: ModuleType) -> None:
    whole = "It learns.\n**Prefer it:** now.\n**Wrong:** then.\n**Cost:** n.\n**Source:** us.\n**Options:** none."
    assert lacking(shelves.parts(whole), CHOICE) == []
    assert lacking(shelves.parts(whole.replace("**Wrong:** then.\n", "")), CHOICE) == ["Wrong"]
    assert lacking(shelves.parts(whole.replace("**Cost:** n.", "**Cost:**")), CHOICE) == ["Cost"]
    assert lacking(shelves.parts(whole.removeprefix("It learns.\n")), CHOICE) == [""]
    swapped = whole.replace("**Cost:** n.\n**Source:** us.", "**Source:** us.\n**Cost:** n.")
    assert lacking(shelves.parts(swapped), CHOICE) == ["Source", "Cost"]


@pytest.mark.parametrize(("kind", "name"), ENTRIES)
def test_settings_that_are_named_exist(kind: str, name: str, shelves: ModuleType) -> None:
    """`watch.tolerance` and its like: a section of the project file and a key in it."""
    found = set(A_SETTING.findall(shelves.docstring(PARTS[kind][0], name)))
    wrong = [f"{section}.{key}" for section, key in found if section in SECTIONS and key not in SECTIONS[section]]
    assert not wrong
    if kind == "detectors":
        assert any(section in SECTIONS for section, _ in found)


def _sections() -> dict[str, set[str]]:
    """Keys of the project file by the name of their section."""
    found: dict[str, set[str]] = {}
    for name, field in Settings.model_fields.items():
        kind: Any = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found[name] = set(kind.model_fields)
    return found


SECTIONS = _sections()


@pytest.mark.parametrize("name", sorted(DETECTORS.built_in))
def test_who_looks_by_default_is_told(name: str, shelves: ModuleType) -> None:
    """A detector that looks only where it is named says so, and no other does."""
    usual = WatchSettings().detectors
    said = "Off unless `watch.detectors` names it." in " ".join(shelves.docstring(DETECTORS, name).split())
    assert said == (name not in usual)


def test_pages_of_a_folder_stand_in_its_index() -> None:
    for folder in ("learning", "detectors"):
        index = (ROOT / "docs" / f"{folder}.md").read_text()
        missing = [p.name for p in (ROOT / "docs" / folder).glob("*.md") if f"]({folder}/{p.name}" not in index]
        assert not missing
