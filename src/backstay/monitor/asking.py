"""Asking people for labels in words that hold: first for rows that wait already, and never for more rows than the log
still has to draw from."""

from __future__ import annotations

from dataclasses import replace

from backstay.kernel.records import WindowResult

_REQUEST = "`backstay label --request "
_PLEASE = "Please label {}: that tells"
_ANSWER = "Answer the "
_HOW = "`backstay label --export to_review.csv`, fill in `label`, then `backstay label --answers to_review.csv`"


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


def ask_for(wanted: int, unasked: int | None, waiting: int = 0) -> str:
    """A request for labels that will not be refused, and for no more than is wanted beside what waits.

    Args:
        waiting: drawn rows of this release that wait for their label already.

    >>> ask_for(50, 20)
    'Label 20 rows drawn at random: `backstay label --request 20`, then answer them. 30 more are wanted: ask for them \
when there is more traffic.'
    >>> ask_for(50, 900, 30)
    'Answer the 30 rows that wait: `backstay label --export to_review.csv`, fill in `label`, then `backstay label \
--answers to_review.csv`. Then label 20 more, drawn at random: `backstay label --request 20`.'
    """
    left = max(wanted - waiting, 0)
    answer = f"{_ANSWER}{waiting} row{'s that wait' if waiting > 1 else ' that waits'}: {_HOW}. " if waiting else ""
    n = left if unasked is None else min(left, unasked)
    if n == 0 and left:
        those = "" if waiting else " answer those that wait (`backstay label`), and"
        return (
            f"{answer}No {'other' if waiting else 'logged'} row is left to draw at random:{those} once the next "
            f"window has traffic ask for more: {_REQUEST}{left}`."
        )
    if n == 0:
        return answer.rstrip()
    rest = "" if n == left else f" {left - n} more are wanted: ask for them when there is more traffic."
    if waiting:
        return f"{answer}Then label {n} more, drawn at random: {_REQUEST}{n}`.{rest}"
    return f"Label {n} rows drawn at random: {_REQUEST}{n}`, then answer them.{rest}"


def renewed(result: WindowResult, unasked: int, waiting: int = 0) -> WindowResult:
    """A window that was judged earlier, with its request for labels as it stands now."""
    wanted = result.labels_requested
    if not wanted:
        return result
    asks = (line.startswith(_ANSWER) or _REQUEST in line for line in result.advice)
    told = ask_for(wanted, unasked, waiting)
    advice = (told if asked else line for asked, line in zip(asks, result.advice, strict=True))
    return replace(result, advice=tuple(advice), headline=_possible(result.headline, wanted, unasked + waiting))


def _possible(said: str, wanted: int, unasked: int) -> str:
    """What was said without asking for rows that are not there."""
    if unasked >= wanted:
        return said
    return said.replace(_PLEASE.format(wanted), f"Labels of {wanted} rows drawn at random would tell")
