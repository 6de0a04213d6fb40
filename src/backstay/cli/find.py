"""The verbs of embeddings: rows in a gallery, the like of others, clusters, images rebuilt."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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

if TYPE_CHECKING:
    from collections.abc import Mapping

    from backstay.loop.clusters import Clustered
    from backstay.loop.enhance import Enhanced
    from backstay.loop.gallery import Indexed
    from backstay.loop.search import Searched

NameOption = Annotated[str, typer.Option("--name", help="Which gallery.")]
SHOWN_ROWS = 20


def register(app: typer.Typer) -> None:
    """Add these verbs to the command line."""
    for verb, example in (
        (index, "backstay index catalogue.parquet --keep title"),
        (search, "backstay search new.parquet -k 5"),
        (cluster, "backstay cluster --output clusters"),
        (enhance, "backstay enhance noisy.png --output clear.png"),
    ):
        app.command(rich_help_panel=MORE, epilog=f"Example: {example}")(verb)


def index(
    source: Annotated[Path | None, typer.Argument(help="Rows to embed; left out, the galleries are listed.")] = None,
    name: NameOption = "default",
    keep: Annotated[list[str] | None, typer.Option(help="A column that a search shows; again for more.")] = None,
    add: Annotated[bool, typer.Option("--add", help="Put the rows behind those that are there.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Take this gallery away.")] = False,
    project: ProjectOption = HERE,
    model: ModelOption = None,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> int:
    """Embed rows with the live model into a gallery, in which `search` and the server look for the like of others."""
    models = opened(project, model, environment).models
    if remove:
        if source is not None or add or keep:
            raise BackstayError("--remove takes a gallery away and reads no rows", fix="give --name alone")
        answer(models.unindex(name), as_json, partial(_indexed, word="removed"))
    elif source is None:
        if add or keep:
            raise BackstayError("no rows were named", fix="give the file whose rows are to be indexed")
        answer(models.galleries(), as_json, _listed)
    else:
        answer(models.index(source, name=name, keep=keep or (), add=add), as_json, partial(_indexed, word="indexed"))
    return 0


def search(
    source: Annotated[Path | None, typer.Argument(help="Rows with the model's inputs.")] = None,
    like: Annotated[str | None, typer.Option(help="The id of a row of the gallery, instead of a file.")] = None,
    k: Annotated[int, typer.Option("-k", help="How many of the nearest.")] = 10,
    name: NameOption = "default",
    project: ProjectOption = HERE,
    model: ModelOption = None,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> int:
    """The rows of a gallery most like each row of a file, by cosine, every row looked at."""
    answer(opened(project, model, environment).models.search(source, like=like, k=k, name=name), as_json, _searched)
    return 0


def cluster(
    output: Annotated[
        Path, typer.Option(help="The folder to write rows, centres and figures to; not there yet, or empty.")
    ],
    rows: Annotated[Path | None, typer.Option(help="Rows with the model's inputs; left out, the model's data.")] = None,
    clusters: Annotated[
        int | None, typer.Option(help="How many; left out, that of 2 to 30 with the largest mean silhouette.")
    ] = None,
    by: Annotated[Path | None, typer.Option(help="A folder written before: its centres are kept.")] = None,
    candidate: Annotated[
        str | None, typer.Option(help="The id of a model, or its beginning; left out, the live one.")
    ] = None,
    vectors: Annotated[str | None, typer.Option(help="A column of vectors to cluster, with no model.")] = None,
    distance: Annotated[str | None, typer.Option(help="cosine (the default) or euclidean.")] = None,
    seed: Annotated[int, typer.Option(help="Of the starts and samples.", min=0)] = 0,
    project: ProjectOption = HERE,
    model: ModelOption = None,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> int:
    """Put rows into clusters by where the model embeds them, and say how good these are."""
    found = opened(project, model, environment).models.cluster(
        rows, clusters=clusters, output=output, by=by, candidate=candidate, vectors=vectors, distance=distance,
        seed=seed,
    )  # fmt: skip
    answer(replace(found, table=None), as_json, _clustered)
    return 0


def enhance(
    source: Annotated[Path, typer.Argument(help="One .png or .jpg, or rows with the model's images.")],
    output: Annotated[Path, typer.Option(help="Where the images go: .png for one, .parquet or .arrow for rows.")],
    project: ProjectOption = HERE,
    model: ModelOption = None,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> int:
    """Answer images with images: without noise and gaps, as the live model rebuilds them. Needs train.enhance."""
    done = opened(project, model, environment).models.enhance(source, output=output)
    answer(replace(done, table=None), as_json, _enhanced)
    return 0


def _enhanced(value: Enhanced) -> None:
    from backstay.cli.show import say

    say(f"enhanced {value.rows} {'image' if value.rows == 1 else 'images'} into {value.output}")


def _clustered(value: Clustered) -> None:
    from backstay.cli.show import say

    say(value.sentence)
    for part in value.parts:
        wide = "" if part.spread is None else f", {part.spread:.3f} from the centre"
        mix = ", ".join(f"{name} {share:.0%}" for name, share in part.labels.items())
        if part.mean is not None:
            mix = f"mean {part.mean:.4g}, deviation {part.deviation:.4g}"
        say(f"  {part.cluster}: {part.rows} rows{wide}" + (f"; {mix}" if mix else ""))
        if part.nearest:
            say(f"     like {', '.join(part.nearest)}")
    told = value.against
    if told is not None and told.adjusted_rand is not None:
        say(
            f"against {told.rows} labels: purity {told.purity:.3f} (one cluster {told.commonest:.3f}), adjusted Rand "
            f"{told.adjusted_rand:.3f}, normalised mutual information {told.normalised_mutual_information:.3f}"
        )
    elif told is not None and told.explained is not None:
        say(f"against {told.rows} numbers: {told.explained:.1%} of their variance lies between clusters")
    for note in value.notes:
        say(f"  note: {note}")
    say(f"written to {value.output}")


def _indexed(value: Indexed, *, word: str) -> None:
    from backstay.cli.show import say

    more = f", {value.added} of them now" if value.added not in (0, value.rows) else ""
    kept = f"; kept: {', '.join(value.kept)}" if value.kept else ""
    say(f"{word} {value.name}: {value.rows} rows of {value.dimension} numbers{more}, from {value.source}{kept}")
    say(f"  {value.space}, embedded by {value.model}")


def _listed(value: Mapping[str, Indexed]) -> None:
    from backstay.cli.show import say

    if not value:
        say("no gallery yet; make one with `backstay index FILE`")
    for gallery in value.values():
        _indexed(gallery, word="gallery")


def _searched(value: Searched) -> None:
    from backstay.cli.show import figure, say

    for row in value.asked[:SHOWN_ROWS]:
        say(row.id)
        for n in row.neighbours:
            kept = "  ".join(f"{name}={text}" for name, text in n.kept.items() if text is not None)
            say(f"  {n.cosine:+.4f}  {n.id}" + (f"  {kept}" if kept else ""))
    left = len(value.asked) - SHOWN_ROWS
    if left > 0:
        say(f"... and {left} rows more; --json has all of them")
    for measured in value.figures:
        say(figure(measured))
