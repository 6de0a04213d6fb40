"""The words of a project, said for somebody who has none: settings become arguments, the release the reference."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from backstay.kernel.errors import BackstayError
from backstay.kernel.records import WindowResult
from backstay.loop.standalone_settings import DEFAULT_DAYS

COMMAND = "`backstay "
_PHRASES = tuple(
    (re.compile(pattern), words)
    for pattern, words in (
        (r"declare data\.time_zone", "give time_zone="),
        (r"declare another kind: data\.columns\.(.+)$", r"leave it out with ignore: \1"),
        (r"declare another kind for it", "leave it out with ignore="),
        (r"as data\.time and adopt or promote anew, or leave watch\.season out", "with time=, or leave season out"),
        (r"watch\.season = ", "season="),
        (r", or leave it out of watch\.detectors", ""),
        (r"\(named by (?:predictions|data)\.(\w+)\)", r"(named by \1=)"),
        (r"predictions\.scores names no column", "scores= names no column"),
        (r"no row has a label since the watch began, (\d+) days ago", r"no row of the \1 days of traffic has a label"),
        (r"\blog (scores|all columns)\b", r"give \1"),
        (r"No standing labels yet", "No labels yet"),
        # Settings that an argument is called after; not in quotes, where a column may be called so.
        (r"(?<!['\w.])(?:data|predictions)\.(features|ignore|time|group|id|time_zone|positive|score|scores)\b", r"\1="),
        (r"(?<!['\w.])data\.target\b", "label="),
    )
)
_OLD = r"(?:no row has a label since the watch began,|the newest labelled row is from)"
_INSTEAD = {
    "label --request": "Have {} more rows labelled, drawn at random, and look again with their column as label=.",
    "rollback": "Train a new model on newer rows; if a new model did it, go back to the one before.",
}


def argued(text: str) -> str:
    """A sentence about a project as one about arguments.

    >>> argued('the times in "at" have no zone; declare data.time_zone (for example "UTC")')
    'the times in "at" have no zone; give time_zone= (for example "UTC")'
    >>> argued("take it out of data.features or of data.ignore")
    'take it out of features= or of ignore='
    """
    for pattern, words in _PHRASES:
        text = pattern.sub(words, text)
    return text


@contextmanager
def plainly() -> Iterator[None]:
    """What goes wrong inside is said for somebody who has no project file."""
    try:
        yield
    except BackstayError as error:
        raise type(error)(argued(error.what), fix=argued(error.fix)) from error


def told_alone(result: WindowResult, timed: bool = True) -> WindowResult:
    """The window in words that fit: advice to use the command line becomes advice on what to give.

    Args:
        timed: rows have times; of rows without, nothing is said of days.
    """
    said = argued if timed else _undated
    return replace(
        result,
        headline=said(result.headline),
        advice=tuple(line for line in (_advice(line, result.labels_requested) for line in result.advice) if line),
        estimates=tuple(replace(e, refusals=tuple(map(said, e.refusals))) for e in result.estimates),
        signals=tuple(replace(s, message=argued(s.message)) for s in result.signals),
    )


def _undated(text: str) -> str:
    """Without the days that a window of rows without times counts as.

    >>> _undated("Of 50 labelled in the last 7 days 44 were right; accuracy is between 75.7% and 95.5%.")
    'Of 50 labelled 44 were right; accuracy is between 75.7% and 95.5%.'
    >>> _undated("no row has a label since the watch began, 98 days ago: at most 90 are allowed")
    'no row of the last 14 windows has a label'
    """
    text = re.sub(r" labelled in the last (?:month|\d+ (?:days|hours|minutes))", " labelled", text)
    return argued(re.sub(rf"{_OLD} (\d+) days ago: at most \d+ are allowed", _unlabelled, text))


def _unlabelled(days: re.Match[str]) -> str:
    return f"no row of the last {round(int(days[1]) / DEFAULT_DAYS)} windows has a label"


def _advice(line: str, wanted: int) -> str:
    if COMMAND not in line:
        return argued(line)
    return next((words.format(wanted) for verb, words in _INSTEAD.items() if verb in line), "")
