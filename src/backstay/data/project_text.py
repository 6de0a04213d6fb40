"""The words of a first project file: each section with the comments that a person corrects it by."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Seen:
    """Roles and kinds as found in the rows."""

    target: str
    id: str | None
    time: str | None
    group: str | None
    naive: bool
    kinds: dict[str, str]
    slices: tuple[str, ...]
    ignore: tuple[str, ...]
    classes: tuple[str, ...]
    features: tuple[str, ...]
    part: str | None
    left: tuple[str, ...]
    vector: str | None
    task: str = "classification"
    unwatched: tuple[str, ...] = ()
    numbers: tuple[tuple[str, str], ...] = ()
    """Columns of text whose values are numbers, and what to do about each."""
    judging: int | None = None
    """Rows with a label that would judge under the split as proposed."""


MIND = "# Mind: "


def minded(text: str) -> tuple[str, ...]:
    """What a project file says that a person should know before the first run."""
    return tuple(line.removeprefix(MIND) for line in text.splitlines() if line.startswith(MIND))


def top(name: str, rows: int, seen: Seen, *, predictions_only: bool = False) -> list[str]:
    """Version, name and task."""
    if seen.task == "regression":
        what, task = "a number to predict", ['task = "regression"  # the target is a number']
        return _head(name, rows, seen, what, task)
    listing = ", ".join(seen.classes[:8]) + (", ..." if len(seen.classes) > 8 else "")
    if seen.task == "multilabel":
        what, task = (
            f"sets of {len(seen.classes)} labels ({_comment(listing)})",
            ['task = "multilabel"  # sets of labels'],
        )
        return _head(name, rows, seen, what, task)
    task = (
        ['task = "predictions"  # the model lives elsewhere, only what it answers is known'] if predictions_only else []
    )
    return _head(name, rows, seen, f"{len(seen.classes)} classes ({_comment(listing)})", task)


def _head(name: str, rows: int, seen: Seen, what: str, task: list[str]) -> list[str]:
    return [
        "# Backstay's project file. It belongs under version control; secrets do not belong here.",
        f"# Proposed from {rows} rows: {len(seen.features)} features, {what}.",
        "# Every key is explained in docs/settings.md. What is left out has its default.",
        "",
        "version = 1",
        f"name = {_text(name)}",
        *task,
        "",
    ]


def data(
    source: Path,
    folder: Path | None,
    seen: Seen,
    *,
    list_features: bool = False,
    image_size: tuple[int, int] | None = None,
) -> list[str]:
    """Where the rows are, and what each column is. Args: image_size: what pictures of several sizes are brought to."""
    lines = ["[data]", f"source = {_text(_relative(source, folder))}", f"target = {_text(seen.target)}"]
    if image_size is not None:
        lines.append(
            f"image_size = {list(image_size)}  # height, width: pictures have several; smaller ones learn faster"
        )
    lines.append(
        f"id = {_text(seen.id)}  # unique per row"
        if seen.id
        else '# id = "..."  # a column with a value of its own per row'
    )
    lines.append(
        f"time = {_text(seen.time)}  # when the row happened"
        if seen.time
        else '# time = "..."  # when the row happened'
    )
    if seen.naive:
        lines.append(f"{MIND}the times carry no zone. Say which one they are in; until then they are refused.")
        lines.append('# time_zone = "Europe/Berlin"')
    lines.append(
        f"group = {_text(seen.group)}  # rows of one group stay on one side of the gate"
        if seen.group
        else '# group = "..."  # rows of one person, machine or document: they then stay on one side of the gate'
    )
    if list_features:
        # Answers of the model are kept beside the inputs, so they are left out of `features`, not ignored.
        lines.append(f"features = {_list(seen.features)}  # what the model sees; its answers are no inputs")
    if seen.ignore:
        names = _comment(", ".join(seen.ignore))
        lines.append(f"{MIND}no inputs, since nearly every row has a value of its own: {names}.")
        lines.append(f"ignore = {_list(seen.ignore)}")
    if seen.left and not list_features:
        lines.append(f"{MIND}not read: {_comment(', '.join(seen.left))}. Texts and vectors are learned from alone.")
        lines.append(f"# features = {_list(seen.left[:1])}")
    if list_features and "text" in seen.kinds.values() and len(seen.kinds) > 1:
        lines.append("# A text beside other columns is watched by its length and its gaps.")
    if seen.unwatched:
        lines.append(f"# Not watched: {_comment(', '.join(seen.unwatched))}.")
    lines.append("# Slices are measured on their own; the gate refuses a model that is worse on one of them.")
    lines.append(f"slices = {_list(seen.slices)}")
    lines += [f"{MIND}{_comment(name)} is text and reads as numbers: {fix}." for name, fix in seen.numbers]
    if any(k != "image" for k in seen.kinds.values()):
        lines += ["", "# How each feature is read. Correct what was taken for the wrong kind.", "[data.columns]"]
        lines += [f"{_text(n)} = {_text(k)}" for n, k in seen.kinds.items() if k != "image"]
    return [*lines, ""]


def split(seen: Seen) -> list[str]:
    """Which rows train, tune and judge."""
    if seen.part:
        comment = f"# The column {_comment(seen.part)} is an official split: its test rows are the gate's."
    else:
        comment = "# Rows are dealt by a hash, so that new rows move none of the old ones."
    by = ['# by = "time"  # the newest rows for the gate'] if seen.time and not seen.part else []
    return [*_few(seen), comment, "[data.split]", "train = 0.6", "tune = 0.15", f"gate = {GATE_SHARE}", *by, ""]


GATE_SHARE, MOST_SHARE = 0.25, 0.4
LEAST, PLENTY = 100, 225
"""Rows that the gate asks for, and rows under which even a model as good as its controls is mostly not surely within
0.02 of them: a flawless one was refused with 106 rows, and told that 210 may be needed."""


def _few(seen: Seen) -> list[str]:
    """Whether the gate will have rows enough to say yes."""
    rows = seen.judging
    if rows is None or rows >= PLENTY or (seen.task == "regression" and rows >= LEAST):
        return []
    more = f"give the gate more of them (gate = {MOST_SHARE})" if not seen.part else "give the test part more of them"
    if rows < LEAST and not seen.part and rows * MOST_SHARE / GATE_SHARE < LEAST:
        why = (
            f"gate.minimum_n asks for {LEAST}, which gate = {MOST_SHARE} would not give either: bring more rows, or "
            "lower minimum_n under [gate] and widen margin in [[gate.rules]], if so few may decide"
        )
    elif rows < LEAST:
        why = f"gate.minimum_n asks for {LEAST}: bring more rows, or {more}"
    else:
        why = (
            f"under {PLENTY} the gate mostly refuses even a good model, since a margin of 0.02 is hard to show: "
            f"bring more rows, {more}, or widen margin in [[gate.rules]]"
        )
    return [f"{MIND}some {rows} labelled rows would judge, and {why}."]


def value_policy() -> list[str]:
    """What learns a number, and figures without a unit by which it is judged."""
    return [
        "# A model without an encoder; the others stand in docs/regression.md.",
        "[train]",
        'model = "gradient_boosting"',
        "",
        "# skill: the share of the median's absolute error that the model takes away; a figure without a unit.",
        *(
            line
            for rule, margin in (("beats_controls", 0.02), ("no_worse_than_champion", 0.02), ("no_slice_worse", 0.05))
            for line in ("[[gate.rules]]", f'rule = "{rule}"', 'metric = "skill"', f"margin = {margin}", "")
        ),
    ]


def predictions(seen: Seen, prediction: str, score: str | None, positive: str | None) -> list[str]:
    """Columns of files of predictions, for a model that lives elsewhere."""
    lines = ["# Columns of the files of predictions.", "[predictions]", f"id = {_text(str(seen.id))}"]
    lines.append(f"prediction = {_text(prediction)}")
    if seen.time:
        lines.append(f"time = {_text(seen.time)}")
    if seen.vector:
        lines.append(f"embedding = {_text(seen.vector)}")
    if score:
        lines.append(f"score = {_text(score)}")
        # Of two classes the second in order is the one that a single score usually means.
        lines.append(
            f"positive = {_text(positive or seen.classes[-1])}  # the class that the score is the probability of"
        )
    if seen.group:
        lines.append(f"group = {_text(seen.group)}")
    return [*lines, ""]


def rest() -> list[str]:
    """Budget and retraining."""
    return [
        "# What the team accepts.",
        "[budget]",
        "false_alarms_per_year = 1.0",
        "labels_per_month = 50",
        "",
        "[retrain]",
        "auto_promote = false  # `watch --act` prepares a successor; a person promotes it",
        "",
    ]


def _relative(source: Path, folder: Path | None) -> str:
    if folder is None:
        return Path(source).as_posix()
    here, there = Path(folder).resolve(), Path(source).resolve()
    return Path(os.path.relpath(there, here)).as_posix() if there.is_relative_to(here) else there.as_posix()


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _list(values: Iterable[str]) -> str:
    return "[" + ", ".join(_text(v) for v in values) + "]"


def _comment(value: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in value)
