"""The other verbs: data in and out, labels, retraining, and looking back."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from backstay.cli.options import (
    HERE,
    MORE,
    EnvironmentOption,
    JsonOption,
    ModelOption,
    ProjectOption,
    answer,
    opened,
)
from backstay.kernel.errors import BackstayError


class Space(StrEnum):
    """How the space of embeddings is drawn."""

    PCA = "pca"
    TSNE = "tsne"


def register(app: typer.Typer) -> None:
    """Add these verbs to the command line."""
    for verb, example in (
        (log, "backstay log yesterday.parquet"),
        (label, "backstay label --request 50, then backstay label --answers reviewed.csv"),
        (notify, "backstay notify --test"),
        (retrain, "backstay retrain"),
        (teach, "backstay teach cumin cumin.parquet"),
        (transfer, "backstay transfer office --page transfer.html"),
        (predict, "backstay predict new.parquet --output answers.parquet"),
        (audit, "backstay audit"),
        (history, "backstay history --trend --page trend.html"),
        (report, "backstay report --page report.html"),
    ):
        app.command(rich_help_panel=MORE, epilog=f"Example: {example}")(verb)


def log(
    source: Annotated[
        Path, typer.Argument(help="csv, parquet, arrow or JSON lines: a row a prediction, each with an id.")
    ],
    project: ProjectOption = HERE,
    model: ModelOption = None,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> int:
    """Log predictions that were made elsewhere. All rows or none; ids seen before are refused."""
    from backstay.cli import show

    answer(opened(project, model, environment).monitor.log(source), as_json, show.logged)
    return 0


def label(
    answers: Annotated[
        Path | None, typer.Option(help="Rows with columns id and label (and at, kind, where known): csv, parquet, ...")
    ] = None,
    source: Annotated[str, typer.Option(help="Who says so. Sources are trusted in the project file.")] = "review",
    request: Annotated[int | None, typer.Option(help="Draw this many more rows for review.")] = None,
    purpose: Annotated[
        str, typer.Option(help="What the drawn rows are for: estimate, window (by doubt) or retrain.")
    ] = "estimate",
    export: Annotated[Path | None, typer.Option(help="Write the open requests, with their inputs, to a file.")] = None,
    close_past: Annotated[
        bool, typer.Option("--close-past", help="Ask no more for rows of releases that are not live.")
    ] = False,
    project: ProjectOption = HERE,
    model: ModelOption = None,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> int:
    """The review queue: what waits for a label, asking for more, and handing labels in."""
    from backstay.cli import show

    labels = opened(project, model, environment).labels
    if close_past:
        labels.close_past()
    if request is not None:
        labels.request(request, purpose=purpose)
    if answers is not None:
        answer(labels.answer(answers, source=source), as_json, show.labelled)
    else:
        answer(labels.queue(export=export), as_json, show.queue)
    return 0


def notify(
    test: Annotated[bool, typer.Option("--test", help="Send one test message now, to see whether it arrives.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be sent, and send nothing.")] = False,
    project: ProjectOption = HERE,
    model: ModelOption = None,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> int:
    """Tell webhooks and mail addresses of [notify] what has happened; `backstay watch` does so by itself."""
    from backstay.cli import show

    monitor = opened(project, model, environment).monitor
    if dry_run:
        answer(monitor.unsent(), as_json, show.messages)
    else:
        answer(monitor.notify(test=test), as_json, show.notified)
    return 0


def retrain(
    project: ProjectOption = HERE,
    model: ModelOption = None,
    environment: EnvironmentOption = None,
    rows: Annotated[
        Path | None, typer.Option(help="Labelled rows to learn from besides the labels of the queue.")
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """Train a challenger on old rows and new labels, compare it with the champion, ask the gate."""
    from backstay.cli import show

    offered = opened(project, model, environment).models.retrain(rows=rows)
    answer(offered, as_json, show.offered)
    return 0 if offered.verdict.passed else 3


def teach(
    name: Annotated[str, typer.Argument(help="The class, as labels write it.")],
    examples: Annotated[Path, typer.Argument(help="Rows of that class alone; the column of labels may be absent.")],
    gate_share: Annotated[float, typer.Option(help="Share of the examples that judges the class.")] = 0.5,
    project: ProjectOption = HERE,
    model: ModelOption = None,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> int:
    """Give the live model one more class by examples, without training, and ask the gate."""
    from backstay.cli import show

    offered = opened(project, model, environment).models.teach(name, examples, gate_share=gate_share)
    answer(offered, as_json, show.offered)
    return 0 if offered.verdict.passed else 3


def transfer(
    by: Annotated[str, typer.Argument(help="The column whose values are the domains.")],
    page: Annotated[Path | None, typer.Option(help="Where to write the HTML page.")] = None,
    project: ProjectOption = HERE,
    model: ModelOption = None,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> int:
    """Train the recipe on each domain and judge it on all: does what is learned here hold there?"""
    from backstay.cli import show

    answer(opened(project, model, environment).models.transfer(by, page=page), as_json, show.transferred)
    return 0


def predict(
    source: Annotated[Path, typer.Argument(help="Rows with the model's inputs.")],
    output: Annotated[Path, typer.Option(help="Where the answers go: .parquet, .csv, .arrow or .jsonl.")],
    record: Annotated[bool, typer.Option("--log", help="Log them as live predictions too.")] = False,
    project: ProjectOption = HERE,
    model: ModelOption = None,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> int:
    """Answer a file of rows with the live model."""
    from backstay.cli import show

    predicted = opened(project, model, environment).models.predict(source, output=output, record=record)
    # The answers themselves are in the file.
    answer(replace(predicted, table=None), as_json, show.predicted)
    return 0


def audit(
    project: ProjectOption = HERE,
    model: ModelOption = None,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> int:
    """Look for what spoils a model before it is trained. Exit code 3 when a finding of high severity is open."""
    from backstay.cli import show

    audited = opened(project, model, environment).data.audit()
    answer(audited, as_json, show.audited)
    return 3 if audited.blocking else 0


def history(
    trend: Annotated[
        bool,
        typer.Option("--trend", help="Decay of each release, lead time, failed changes, time to restore."),
    ] = False,
    page: Annotated[Path | None, typer.Option(help="With --trend: where to write the HTML page.")] = None,
    horizon: Annotated[
        float | None,
        typer.Option(help="With --trend: days ahead in which a release may meet its threshold; 365 if not given."),
    ] = None,
    project: ProjectOption = HERE,
    model: ModelOption = None,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> int:
    """What was live when, who decided, why, and what was refused. With --trend: where quality is going."""
    from backstay.cli import show

    releases = opened(project, model, environment).releases
    if trend:
        from backstay.cli.trend import trend as show_trend

        ahead = {} if horizon is None else {"horizon_days": horizon}
        answer(releases.trend(page=page, **ahead), as_json, partial(show_trend, page=page))
    elif page is not None:
        raise BackstayError("--page is the page of a trend", fix="say `backstay history --trend --page FILE`")
    elif horizon is not None:
        raise BackstayError("--horizon is how far a trend looks", fix="say `backstay history --trend --horizon DAYS`")
    else:
        answer(releases.history(), as_json, show.history)
    return 0


def report(
    candidate: Annotated[
        str | None, typer.Argument(help="Model id or its beginning: what was measured of it, and the gate's verdict.")
    ] = None,
    page: Annotated[Path | None, typer.Option(help="Where to write the HTML page.")] = None,
    space: Annotated[Space, typer.Option(help="How the space of embeddings is drawn.")] = Space.PCA,
    project: ProjectOption = HERE,
    model: ModelOption = None,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> int:
    """The whole story on one page: timeline, releases and refusals, what moved, measurements; or one model's."""
    from backstay.cli import show

    monitor = opened(project, model, environment).monitor
    answer(monitor.report(candidate, page=page, space=space.value), as_json, show.reported)
    return 0
