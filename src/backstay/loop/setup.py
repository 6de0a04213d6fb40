"""Begin: write the project file that everything else reads."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backstay.data.project_text import minded
from backstay.data.proposal import propose, propose_adoption
from backstay.kernel.errors import BackstayError
from backstay.loop.whole_file import write_whole
from backstay.settings import FILE_NAME, Settings, StoreSettings, parse, read


@dataclass(frozen=True)
class Begun:
    """The project file that was written. `notes`: what to know of it before the first run."""

    file: str
    text: str
    notes: tuple[str, ...] = ()


def begin(
    source: Path,
    *,
    target: str | None,
    time: str | None,
    group: str | None,
    name: str | None,
    folder: Path,
    force: bool,
    task: str | None = None,
) -> Begun:
    """Look at the data and write a commented project file. An existing one is kept unless `force`."""
    file = folder / FILE_NAME
    if file.exists() and not force:
        raise BackstayError(f"{file} is already there", fix="edit it, or replace it with --force")
    text = propose(source, target=target, time=time, group=group, name=name, folder=folder, task=task)
    write(file, text)
    return Begun(str(file), text, minded(text))


def project_for_adoption(
    folder: Path,
    reference: Path,
    target: str,
    *,
    predictions_only: bool,
    model: Any = None,
    features: tuple[str, ...] = (),
    **columns: Any,
) -> Path:
    """The project file of an adoption: the existing one, or a new one that fits the reference rows.

    Args:
        model: the object that is adopted, which may say itself what it answers and which columns it reads.
        features: the columns that it reads, in its order, where it does not.
    """
    file = folder / FILE_NAME
    if file.exists():
        parse(read(file))
        return file
    from backstay.train.convert.frames import names_read

    names = features or names_read(model)
    text = propose_adoption(
        reference,
        target=target,
        predictions_only=predictions_only,
        folder=folder,
        task=task_of_object(model),
        features=None if names is None else tuple(map(str, names)),
        **columns,
    )
    write(file, text)
    return file


def task_of_object(model: Any) -> str | None:
    """What a fitted scikit-learn regressor answers, by its own tags; None for anything else: its target tells."""
    tags = getattr(model, "__sklearn_tags__", None)
    if tags is None or isinstance(model, type):
        return None
    return "regression" if getattr(tags(), "estimator_type", None) == "regressor" else None


@contextmanager
def nothing_left_of_failure(folder: Path) -> Iterator[None]:
    """What a first adoption began and could not finish is taken away again.

    Otherwise the next attempt would meet a project file that the failed one wrote, and heed it instead of its options.
    """
    file, state = folder / FILE_NAME, folder / StoreSettings().path
    ours = [path for path in (file, state) if not path.exists()]
    try:
        yield
    except BaseException:
        if file in ours:
            file.unlink(missing_ok=True)
            if state in ours:
                shutil.rmtree(state, ignore_errors=True)
        raise


def refuse_other_columns(settings: Settings, *, predictions_only: bool, **columns: Any) -> None:
    """What was said beside a project file that says otherwise would be passed over in silence: refuse it."""
    data, answers = settings.data, settings.predictions
    there = {
        "target": data.target,
        "row_id": data.id,
        "time": data.time,
        "group": data.group,
        "prediction": answers.prediction,
        "score": answers.score,
        "positive": answers.positive,
        "slices": data.slices,
        "features": data.features,
        "name": settings.name,
    }
    for name, said in columns.items():
        if said and (tuple(said) if name in ("slices", "features") else said) != there[name]:
            raise BackstayError(
                f"{name} was said to be {said!r}, and {FILE_NAME} has {there[name]!r}",
                fix="correct the project file, or leave the option out",
            )
    if predictions_only and settings.task != "predictions":
        raise BackstayError(
            f"the project file says task = {settings.task!r}", fix='set task = "predictions", or name the model\'s file'
        )


def write(file: Path, text: str) -> None:
    """Write a project file that parses, whole or not at all."""
    import tomllib

    parse(tomllib.loads(text))
    write_whole(file, text, fix="choose a folder that you may write to, with --project")
