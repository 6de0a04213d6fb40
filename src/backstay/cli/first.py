"""The verbs of the first ten minutes: adopt, init, run, promote, rollback, serve, watch."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backstay.cli.all_models import keep_watching_all, refuse_what_is_of_one, watch_all
from backstay.cli.options import (
    FIRST,
    HERE,
    EnvironmentOption,
    JsonOption,
    ModelOption,
    ProjectOption,
    answer,
    complain,
    line,
    opened,
)
from backstay.kernel.errors import BackstayError

if TYPE_CHECKING:
    from backstay.loop.watch import Watched
    from backstay.verbs.monitor import MonitorVerbs


def register(app: typer.Typer) -> None:
    """Add these verbs to the command line."""
    for verb, example in (
        (adopt, "backstay adopt model.onnx --reference last_quarter.parquet --target churn"),
        (init, "backstay init customers.parquet --target churn --time signed_up"),
        (run, "backstay run"),
        (promote, "backstay promote --reason 'better on the harbour scans'"),
        (rollback, "backstay rollback --reason 'complaints from the north office'"),
        (serve, "BACKSTAY_KEY=$(backstay key create app) backstay serve --port 8080"),
        (watch, "backstay watch --page watch.html"),
    ):
        app.command(rich_help_panel=FIRST, epilog=f"Example: {example}")(verb)


def adopt(
    model: Annotated[Path | None, typer.Argument(help="An ONNX file. Leave it out with --predictions-only.")] = None,
    reference: Annotated[
        Path | None, typer.Option(help="Rows on which the model is known to be well, with their true labels.")
    ] = None,
    target: Annotated[str | None, typer.Option(help="The column of true labels.")] = None,
    predictions_only: Annotated[
        bool, typer.Option("--predictions-only", help="The model lives elsewhere: only what it answered is known.")
    ] = False,
    prediction: Annotated[str | None, typer.Option(help="Column of predicted labels (predictions only).")] = None,
    score: Annotated[str | None, typer.Option(help="Column of the positive class's probability.")] = None,
    positive: Annotated[str | None, typer.Option(help="The positive class of --score.")] = None,
    row_id: Annotated[str | None, typer.Option("--id", help="Column of row ids.")] = None,
    time: Annotated[str | None, typer.Option(help="Column of times.")] = None,
    group: Annotated[str | None, typer.Option(help="Column that names whose rows belong together.")] = None,
    slices: Annotated[str, typer.Option(help="Columns to slice results by, separated by commas.")] = "",
    features: Annotated[
        str, typer.Option(help="Columns that the model reads, in its order, separated by commas, if not all.")
    ] = "",
    classes: Annotated[
        str, typer.Option(help="Classes in the order of its scores, separated by commas, if it names none.")
    ] = "",
    name: Annotated[str | None, typer.Option(help="What to call the model (a new project).")] = None,
    challenger: Annotated[
        bool, typer.Option("--challenger", help="Offer a successor to the gate instead; it does not become live.")
    ] = False,
    trained_on: Annotated[
        Path | None, typer.Option(help="The rows that the successor was trained on, to be checked for leakage.")
    ] = None,
    project: ProjectOption = HERE,
    which: ModelOption = None,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> int:
    """Take over a live model: watch it from today, release it marked as unmeasured."""
    from backstay.cli import show
    from backstay.progress import reporter
    from backstay.project import adopt as begin

    named = tuple(s.strip() for s in features.split(",") if s.strip())
    # A class may hold a comma: then it stands in double quotes.
    order = tuple(next(csv.reader([classes], skipinitialspace=True))) if classes else ()
    if challenger:
        if named:
            raise BackstayError(
                "--features is for a first adoption: a successor is given what the live model's project file names",
                fix="leave it out, or correct data.features",
            )
        offered = opened(project, which, environment).models.offer(model, trained_on=trained_on, classes=order)
        answer(offered, as_json, show.offered)
        return 0 if offered.verdict.passed else 3
    adopted = begin(
        model,
        reference=reference,
        target=target,
        predictions_only=predictions_only,
        prediction=prediction,
        score=score,
        positive=positive,
        row_id=row_id,
        time=time,
        group=group,
        slices=tuple(s for s in slices.split(",") if s),
        features=named,
        classes=order,
        name=name,
        folder=project,
        which=which,
        environment=environment,
        progress=reporter(),
    )
    answer(adopted, as_json, show.adopted)
    return 0


def init(
    source: Annotated[Path, typer.Argument(help="csv, parquet, arrow, JSON lines, npz, or a folder per class.")],
    target: Annotated[str, typer.Option(help="The column to predict.")] = "",
    time: Annotated[str | None, typer.Option(help="Column of times.")] = None,
    group: Annotated[str | None, typer.Option(help="Column that names whose rows belong together.")] = None,
    name: Annotated[str | None, typer.Option(help="What to call the model.")] = None,
    task: Annotated[
        str | None, typer.Option(help="classification, regression or multilabel; told by the target if left out.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing backstay.toml.")] = False,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> int:
    """Look at the data and write a commented backstay.toml."""
    from backstay.cli import show
    from backstay.project import init as begin

    begun = begin(
        source, target=target or None, time=time, group=group, name=name, folder=project, force=force, task=task
    )
    answer(begun, as_json, show.begun)
    return 0


def run(
    project: ProjectOption = HERE,
    model: ModelOption = None,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> int:
    """Data, audit, train, evaluate, gate. It never promotes; exit code 3 when the gate says no."""
    from backstay.cli import show

    offered = opened(project, model, environment).models.run()
    answer(offered, as_json, show.offered)
    return 0 if offered.verdict.passed else 3


def promote(
    candidate: Annotated[
        str | None, typer.Argument(help="Model id or its beginning; the newest candidate if left out.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why, for the ledger.")] = "",
    project: ProjectOption = HERE,
    model: ModelOption = None,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> int:
    """Make a candidate live, if the gate's verdict on it passed. Exit code 3 until it has."""
    from backstay.cli import show

    release = opened(project, model, environment).releases.promote(candidate, reason=reason)
    answer(release, as_json, show.released)
    return 0


def rollback(
    to: Annotated[
        str | None, typer.Option(help="A former release, by number or id; the one before this if left out.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why, for the ledger. A rollback needs a reason, not a verdict.")] = "",
    project: ProjectOption = HERE,
    model: ModelOption = None,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> int:
    """Go back to a former release at once."""
    from backstay.cli import show

    release = opened(project, model, environment).releases.rollback(to, reason=reason)
    answer(release, as_json, show.released)
    return 0


def serve(
    host: Annotated[str | None, typer.Option(help="Address to bind to; loopback unless told otherwise.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 picks a free one and prints it.")] = None,
    no_key: Annotated[bool, typer.Option("--no-key", help="Answer without a key. Loopback only.")] = False,
    project: ProjectOption = HERE,
    model: ModelOption = None,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> int:
    """Answer requests with the live model (Open Inference Protocol v2), and log every prediction."""
    from backstay.cli import show

    announce = show.announce_json if as_json else show.announce
    opened(project, model, environment).releases.serve(host=host, port=port, require_key=not no_key, announce=announce)
    return 0


def watch(
    now: Annotated[bool, typer.Option("--now", help="Close the window that is still filling and judge it.")] = False,
    rows: Annotated[Path | None, typer.Option(help="Judge the rows of this file instead; nothing is recorded.")] = None,
    act: Annotated[
        bool, typer.Option("--act", help="Retrain when it pays; promote only where the project file allows it.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what --act would do, and do none of it.")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Print the arithmetic behind the advice.")] = False,
    page: Annotated[
        Path | None, typer.Option(help="Where to write the HTML page; with --all a folder of pages.")
    ] = None,
    metrics: Annotated[
        Path | None, typer.Option(help="Where to write the newest windows' figures for Prometheus.")
    ] = None,
    every: Annotated[
        float | None, typer.Option(help="Look again after so many minutes, until stopped: the agent.")
    ] = None,
    backfill: Annotated[
        Path | None, typer.Option(help="Judge a past that was never logged: Parquet, a file or a folder, streamed.")
    ] = None,
    every_model: Annotated[
        bool, typer.Option("--all", help="Every live model of the project, in every environment.")
    ] = False,
    project: ProjectOption = HERE,
    model: ModelOption = None,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> int:
    """Is the model still well? Probably fine, moved, worse, or please label these. Exit code 3 on a new alarm,
    and as long as labels say that it is worse.
    """
    if every_model:
        refuse_what_is_of_one(rows=rows, backfill=backfill, model=model, environment=environment)
    if every is not None and (rows is not None or now or dry_run or backfill is not None):
        raise BackstayError(
            "--every looks again and again at what is logged", fix="leave out --rows, --now, --dry-run and --backfill"
        )
    if every_model and every is not None:
        keep_watching_all(
            project, minutes=every, act=act, explain=explain, as_json=as_json, pages=page, metrics=metrics
        )
    if every_model:
        return watch_all(
            project, now=now, act=act, dry_run=dry_run, explain=explain, as_json=as_json, pages=page, metrics=metrics
        )
    monitor = opened(project, model, environment).monitor
    if every is not None:
        monitor.keep_watching(
            every_seconds=60.0 * every,
            tell=line if as_json else _teller(monitor, explain=explain, every=every),
            complain=lambda error: complain(error, as_json),
            act=act,
            page=page,
            metrics=metrics,
        )
    if backfill is not None:
        if rows is not None or now or act or dry_run or page is not None or metrics is not None:
            raise BackstayError(
                "--backfill judges files alone",
                fix="leave out --rows, --now, --act, --dry-run, --page and --metrics",
            )
        watched = monitor.backfill(backfill)
    elif rows is not None:
        if now or act or dry_run or page is not None or metrics is not None:
            raise BackstayError(
                "--rows judges the rows of a file and records nothing",
                fix="leave out --now, --act, --dry-run, --page and --metrics",
            )
        watched = monitor.examine(rows)
    else:
        watched = monitor.watch(close_now=now, act=act, dry_run=dry_run, page=page, metrics=metrics)
    alone = rows is not None or backfill is not None
    answer(watched, as_json, _teller(monitor, explain=explain, history=not alone))
    sys.stdout.flush()
    return 3 if watched.alarming else 0


def _teller(
    monitor: MonitorVerbs, *, explain: bool, history: bool = True, every: float | None = None
) -> Callable[[Watched], None]:
    """How a look is shown: drawn where a person sits at a terminal, else lines of text.

    Args:
        history: whether the windows of the log belong to what is shown; else those of this look alone.
        every: minutes between two looks of the agent, which draws each in the place of the one before.
    """
    from backstay.cli import show

    if not sys.stdout.isatty():
        return lambda value: show.watched(value, explain=explain)
    from backstay.cli import view

    def drawn(value: Watched) -> None:
        windows = monitor.windows() if history else value.windows
        if every is None:
            view.draw(value, windows, explain=explain)
        else:
            now = datetime.now().astimezone()
            footer = f"looked at {now:%H:%M}, again in {every:g} minutes; Ctrl-C ends it"
            view.redraw(value, windows, explain=explain, footer=footer)

    return drawn
