"""Hints name what was meant."""

from __future__ import annotations

from backstay.kernel.errors import nearest


def test_a_name_in_other_letters_is_the_one_that_was_meant() -> None:
    assert nearest("Y", ["x", "y"]).startswith("did you mean 'y'?")
    assert nearest("AGE", ["agee", "age"]).startswith("did you mean 'age'?")
    assert nearest("Straße", ["STRASSE", "strase"]).startswith("did you mean 'STRASSE'?")
    assert nearest("q", ["x", "y"]) == "known: x, y"
