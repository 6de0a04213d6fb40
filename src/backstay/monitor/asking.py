"""Asking people for labels in words that hold: never for more rows than the log still has to draw from."""

from __future__ import annotations

from dataclasses import replace

from backstay.kernel.records import WindowResult

_REQUEST = "`backstay label --request "
_PLEASE = "Please label {}: that tells"


def please(wanted: int, halfwidth: float, unasked: int | None) -> str:
    """What so many labels would tell.

    Args:
        unasked: logged rows that can still be drawn at random for a label; None where nobody counted.

    >>> please(50, 0.08, None)
    'Please label 50: that tells the accuracy to within 8.0%.'
    >>> please(50, 0.08, 20)
    'Labels of 50 rows drawn at random would tell the accuracy to within 8.0%.'
    """
    asked = f"{_PLEASE.format(wanted)} the accuracy to within {halfwidth:.1%}."
    return asked if unasked is None else _possible(asked, wanted, unasked)


def ask_for(wanted: int, unasked: int | None) -> str:
    """A request for labels that will not be refused.

    >>> ask_for(50, 20)
    'Label 20 rows drawn at random: `backstay label --request 20`, then answer them. 30 more are wanted: ask for them \
when there is more traffic.'
    """
    n = wanted if unasked is None else min(wanted, unasked)
    if n == 0:
        return (
            "No logged row is left to draw at random: answer those that wait (`backstay label`), and once the next "
            f"window has traffic ask for more: {_REQUEST}{wanted}`."
        )
    rest = "" if n == wanted else f" {wanted - n} more are wanted: ask for them when there is more traffic."
    return f"Label {n} rows drawn at random: {_REQUEST}{n}`, then answer them.{rest}"


def renewed(result: WindowResult, unasked: int) -> WindowResult:
    """A window that was judged earlier, with its request for labels as it stands now."""
    wanted = result.labels_requested
    if not wanted:
        return result
    advice = tuple(ask_for(wanted, unasked) if _REQUEST in line else line for line in result.advice)
    return replace(result, advice=advice, headline=_possible(result.headline, wanted, unasked))


def _possible(said: str, wanted: int, unasked: int) -> str:
    """What was said without asking for rows that are not there."""
    if unasked >= wanted:
        return said
    return said.replace(_PLEASE.format(wanted), f"Labels of {wanted} rows drawn at random would tell")
