"""A shelf loads by name, late, and names the nearest where there is none."""

from __future__ import annotations

import pytest

from backstay.kernel.errors import NotFound
from backstay.kernel.registry import Shelf


def test_a_name_loads_its_target() -> None:
    import json

    assert Shelf("codec", "example.none", {"json": "json:loads"})["json"] is json.loads


def test_nothing_is_imported_before_it_is_asked_for() -> None:
    shelf = Shelf("thing", "example.none", {"broken": "no_such_module_anywhere:x"})
    assert "broken" in shelf
    assert list(shelf) == ["broken"]
    with pytest.raises(ModuleNotFoundError):
        shelf["broken"]


def test_a_wrong_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(NotFound, match="did you mean 'columns'"):
        Shelf("detector", "example.none", {"columns": "x:y", "embedding": "x:z"})["column"]
