"""Does what is learned in one place hold in another? The recipe is trained on each domain and judged on all of them.

Every model is measured on the gate rows of each domain, beside the nearest raw rows of the domain that it learned on
and beside the model that learned on the judged domain itself, on the same rows. Nothing is filed as a model: these are
measurements of the recipe, not candidates.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from backstay.bundle.model import Model, load
from backstay.bundle.sets import labels_of
from backstay.data.split import split
from backstay.kernel.errors import BackstayError, nearest
from backstay.kernel.ids import digest
from backstay.kernel.records import Comparison, Schema
from backstay.kernel.transfer import Cell, Domain, Transfer
from backstay.loop.examples import keep, project_rows, target_of, texts
from backstay.loop.gate_case import GateRows
from backstay.loop.pages import write_page
from backstay.loop.rulers import CONTROL, RULERS, Ruler
from backstay.loop.run import trainer
from backstay.loop.tasks import task_of
from backstay.loop.unlabelled import unlabelled_rows
from backstay.loop.workspace import Workspace

LEAST = {"train": 50, "tune": 10, "gate": 30}
MOST_DOMAINS = 8
Places = Mapping[str, npt.NDArray[np.int64]]


def transfer(ws: Workspace, by: str, *, page: Path | None = None) -> Transfer:
    """Train on each domain, judge on all.

    Args:
        by: a column of the project's rows; each of its values is a domain.
        page: where to write the result as a page.

    Raises:
        BackstayError: no such column, fewer than two domains with rows enough, more than eight, or a task whose
            model is not trained here.
    """
    if ws.settings.task not in RULERS:
        raise BackstayError(
            f"transfer trains the recipe on each domain, and the task is {ws.settings.task}: the model lives elsewhere",
            fix=f"name {by!r} in data.slices, so that the model's figures are told for each of its values",
        )
    table, schema = project_rows(ws)
    if by == schema.target:
        raise BackstayError(
            f"{by!r} is the target: rows of one class are no domain, a model would learn from one class alone",
            fix="name the column that tells where the rows come from, such as a site, a device or a year",
        )
    if by in ws.settings.data.ignore and by not in schema.names:
        raise BackstayError(
            f"{by!r} stands under data.ignore, so that its values are not read",
            fix="take it out of there: transfer itself keeps the column that tells domains from the models",
        )
    if by not in schema.names:
        raise BackstayError(
            f"there is no column {by!r} to tell domains by",
            fix=nearest(by, [name for name in schema.names if name != schema.target]),
        )
    # A column that is the same in all training rows would be a new value in every judged one.
    schema = replace(schema, features=tuple(name for name in schema.features if name != by))
    if not schema.features:
        raise BackstayError(f"without {by!r} no input is left", fix="name a column that the model does not need")
    version = keep(ws, table, schema, source=str(ws.settings.data.source), role="data")
    domains, left_out = _domains(table, by, split(table, schema, ws.settings.data.split))
    with tempfile.TemporaryDirectory(prefix="transfer-", dir=ws.state) as folder:
        models = _train(ws, table, schema, domains, version.id, Path(folder))
        cells = _judge(RULERS[ws.settings.task], table, schema, domains, models, version.id)
    found = Transfer(
        model=ws.name,
        by=by,
        metric=RULERS[ws.settings.task].metric,
        data_id=version.id,
        recipe=digest(ws.settings.train.model_dump(mode="json")),
        domains=tuple(
            Domain(name, len(parts["train"]), len(parts["tune"]), len(parts["gate"])) for name, parts in domains.items()
        ),
        cells=cells,
        left_out=left_out,
        sentence=_sentence(RULERS[ws.settings.task], cells),
    )
    with ws.ledger.transaction() as tx:
        body = {"by": by, "data": version.id, "recipe": found.recipe, "domains": list(domains), "said": found.sentence}
        tx.append("transfer", body, actor=ws.actor)
    if page is not None:
        from backstay.render.transfer_page import transfer_page

        write_page(page, transfer_page(found))
    return found


def _domains(table: pa.Table, by: str, parts: Places) -> tuple[dict[str, Places], tuple[str, ...]]:
    """The parts of each domain that has rows enough, and a word on each that has not."""
    values = texts(table, by)
    found: dict[str, Places] = {}
    left_out: list[str] = []
    for name in sorted(set(values)):
        own = {part: rows[values[rows] == name] for part, rows in parts.items()}
        short = [f"{len(own[part])} for {part} of {least}" for part, least in LEAST.items() if len(own[part]) < least]
        if short:
            left_out.append(f"{name}: {', '.join(short)} rows")
        else:
            found[str(name)] = own
    if not 2 <= len(found) <= MOST_DOMAINS:
        raise BackstayError(
            f"{by!r} has {len(found)} values with rows enough to learn from and be judged on "
            f"({', '.join(f'{least} for {part}' for part, least in LEAST.items())})",
            fix=f"name a column with 2 to {MOST_DOMAINS} of them",
        )
    return found, tuple(left_out)


def _train(
    ws: Workspace, table: pa.Table, schema: Schema, domains: Mapping[str, Places], data_id: str, folder: Path
) -> dict[str, Model]:
    """One model a domain, each with the classes or labels of its own training rows."""
    judged = table.take(pa.array(np.concatenate([parts["gate"] for parts in domains.values()])))
    fit = trainer(ws, unlabelled_rows(ws, schema, judged).table)
    models: dict[str, Model] = {}
    for name, parts in domains.items():
        ws.progress.say(f"learning on {name}")
        try:
            trained = fit(
                table,
                schema,
                {"train": parts["train"], "tune": parts["tune"]},
                ws.settings.train,
                **_named(ws, table.take(pa.array(parts["train"])), schema),
                workdir=folder,
                bundles=folder,
                progress=ws.progress,
                data_id=data_id,
            )
        except BackstayError as error:
            raise BackstayError(f"learning on {name!r}: {error.what}", fix=error.fix) from error
        models[name] = load(trained.bundle_directory, expected_id=trained.model_id)
    return models


def _named(ws: Workspace, training: pa.Table, schema: Schema) -> dict[str, tuple[str, ...]]:
    """The argument for classes, or labels, where the task has such."""
    classes = task_of(ws).classes
    if classes is None:
        return {}
    found = classes(texts(training, target_of(schema)).tolist())
    if ws.settings.task == "classification" and len(found) < 2:
        raise BackstayError(f"its training rows are all {found[0]!r}", fix="tell domains otherwise")
    return {"classes": found}


def _judge(
    ruler: Ruler,
    table: pa.Table,
    schema: Schema,
    domains: Mapping[str, Places],
    models: Mapping[str, Model],
    data_id: str,
) -> tuple[Cell, ...]:
    # Sets are judged on all labels that a model knows or a row has: what a model does not know it misses.
    told = table.take(pa.array(np.concatenate([parts["gate"] for parts in domains.values()])))
    names: tuple[str, ...] = ()
    if ruler.metric == "micro_f1":
        labels = labels_of(texts(told, target_of(schema)).tolist())
        names = tuple(sorted({*labels, *(name for model in models.values() for name in model.classes)}))
    cells: list[Cell] = []
    for judged_on, parts in domains.items():
        rows = GateRows(table.take(pa.array(parts["gate"])), schema, f"{data_id}#gate#{judged_on}")
        at_home = ruler.answered(models[judged_on], rows, names)
        for learned_on, model in models.items():
            training = table.take(pa.array(domains[learned_on]["train"]))
            answered = at_home if learned_on == judged_on else ruler.answered(model, rows, names)
            control = ruler.figure(ruler.beside(model, rows, names, training), rows, of=f"control:{CONTROL}")
            loss = None
            if learned_on != judged_on:
                loss = ruler.difference(answered, at_home, rows, against=judged_on)
            cells.append(Cell(learned_on, judged_on, ruler.figure(answered, rows), control, loss))
    return tuple(cells)


def _sentence(ruler: Ruler, cells: tuple[Cell, ...]) -> str:
    """The largest loss, and whether it is more than chance."""
    away = [(cell, cell.loss) for cell in cells if cell.loss is not None]
    odd = next((cell for cell, loss in away if not np.isfinite(loss.difference)), None)
    if odd is not None:
        return f"Learned on {odd.learned_on}, judged on {odd.judged_on}: an answer is not finite, so nothing is told."
    cell, loss = min(away, key=lambda pair: pair[1].difference)
    if loss.difference >= 0:
        return f"No model that learned elsewhere is behind the one learned there, in any of {len(away)} ways."
    lost = sum(1 for _, other in away if other.interval is not None and other.interval.high < 0)
    than = "more" if loss.interval is not None and loss.interval.high < 0 else "no more"
    return (
        f"Learned on {cell.learned_on}, judged on {cell.judged_on}: {_lost(ruler, loss)} against a model learned "
        f"there, {than} than chance would do; {lost} of {len(away)} ways to transfer lose more than chance."
    )


def _lost(ruler: Ruler, loss: Comparison) -> str:
    span = loss.interval
    if span is None:
        return ruler.lost(loss.difference, "")
    if ruler.metric == "accuracy":
        return ruler.lost(loss.difference, f" ({-span.high:.1%} to {-span.low:.1%})")
    return ruler.lost(loss.difference, f" ({-span.high:.4g} to {-span.low:.4g})")
