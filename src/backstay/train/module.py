"""Somebody's `torch.nn.Module` as a bundle's graph: exported from an example, named, and compared with itself."""

from __future__ import annotations

import inspect
import re
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pyarrow as pa
import torch
from torch import Tensor, nn

from backstay.bundle.datatypes import FLOATS
from backstay.bundle.inputs import arrays_for
from backstay.bundle.inspect import inspect_onnx
from backstay.bundle.manifest import Manifest
from backstay.bundle.model import Model, Outputs, both_sides, open_session
from backstay.kernel.errors import BackstayError, nearest
from backstay.kernel.records import Schema
from backstay.maths.arrays import FloatArray
from backstay.train.convert.comparison import Compared
from backstay.train.convert.fitted import Conversion
from backstay.train.convert.frames import NUMERIC
from backstay.train.convert.made_up import asked as made_up
from backstay.train.convert.parity import require_parity
from backstay.train.export import OPSET, quiet, rename_value, strip_traces

_COLOURS = re.compile("\x1b\\[[0-9;]*m")
_RAISED_BY = re.compile(r"raised this error:\n +File .+\n +(.+)")
ROLES = ("scores", "logits", "embedding", "value")
_ROWS = 512
_IR = 10


def graph_of(
    module: nn.Module,
    example: Any,
    table: pa.Table,
    schema: Schema,
    *,
    outputs: Sequence[str] = (),
    classes: tuple[str, ...],
    ordered: bool,
    task: str = "classification",
) -> Conversion:
    """The graph and what belongs to it.

    Args:
        example: a tensor (or a tuple of them) that the module takes, rows first; its row count may vary later.
        outputs: what each output is: "scores" (probabilities), "logits", "embedding" or "value"; inferred when empty.
        classes: in the order of the scores where `ordered`, else the values of the target.
        table: reference rows on which graph and module must agree to 1e-5.
        task: "classification"; "regression" for a module with one number a row among its outputs ("value"); or
            "multilabel" for one with a chance or logit for each of `classes`, which are in the set from 0.5 on.

    Raises:
        BackstayError: the export fails, an output is not recognised, or the two differ.
    """
    given = _two_rows(example)
    was_training = module.training
    module.eval()
    try:
        found = _outputs_of(module, given)
        roles = tuple(outputs) or (_one_number(found) if task == "regression" else _inferred(found, len(classes), task))
        _check(roles, found, task)
        columns = _columns(given, schema)
        named = _Named(module, roles, given[0].dtype if columns else None, task)
        if columns:
            given = tuple(given[0].double()[:, [i]] for i in range(len(columns)))
        content = _export(named, given, roles, columns or _input_names(module, len(given)))
        draft = _inspect(content, schema, classes, task)
        if ordered and task == "classification":
            draft = replace(draft, classes=classes)
        compared = _compare(named, content, draft, table.slice(0, _ROWS).select(list(schema.features)))
    finally:
        module.train(was_training)
    return Conversion(content, draft, compared=compared)


class _Named(nn.Module):
    """The module with its outputs in a row, and probabilities where it gives logits.

    Args:
        matrix: the type of the one matrix that the module takes; then its columns come each on their own.
        task: of sets of labels each label has its own sigmoid, and its membership is a first output.
    """

    def __init__(self, module: nn.Module, roles: tuple[str, ...], matrix: torch.dtype | None, task: str) -> None:
        super().__init__()
        self.module = module
        self.roles = roles
        self.matrix = matrix
        self.task = task

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        if self.matrix is not None:
            tensors = (torch.cat(tensors, dim=1).to(self.matrix),)
        sets = self.task == "multilabel"
        made = tuple(
            _probabilities(value, sets) if role == "logits" else value
            for role, value in zip(self.roles, _in_a_row(self.module(*tensors)), strict=True)
        )
        if not sets:
            return made
        chances = made[next(i for i, role in enumerate(self.roles) if role in ("scores", "logits"))]
        return (chances >= 0.5, *made)


def _probabilities(logits: Tensor, sets: bool) -> Tensor:
    if sets or logits.dim() == 1 or logits.shape[1] == 1:
        return torch.sigmoid(logits)
    return torch.softmax(logits, dim=1)


def _in_a_row(answer: Any) -> tuple[Tensor, ...]:
    if isinstance(answer, Tensor):
        return (answer,)
    values = tuple(answer.values()) if isinstance(answer, dict) else tuple(answer)
    if not values or not all(isinstance(v, Tensor) for v in values):
        raise BackstayError("the module answers something else than tensors", fix="wrap it in one that does")
    return values


def _two_rows(example: Any) -> tuple[Tensor, ...]:
    """The example with two rows or more: from a single row the exporter would conclude that there is always one."""
    if isinstance(example, (Tensor, np.ndarray)):
        example = (example,)
    given = tuple(torch.from_numpy(e) if isinstance(e, np.ndarray) else e for e in example or ())
    if not given or not all(isinstance(e, Tensor) and e.dim() > 0 and len(e) for e in given):
        raise BackstayError(
            "a torch module needs an example of its input",
            fix="give a tensor with rows first: `example=torch.zeros(2, 3)`",
        )
    return tuple(torch.cat([e, e]) if len(e) == 1 else e for e in given)


@torch.no_grad()
def _outputs_of(module: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    try:
        return _in_a_row(module(*given))
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        reason = str(error).strip().splitlines()[0][:200]
        raise BackstayError(
            f"the module fails on its example: {reason}", fix="give an example as the module takes it"
        ) from error


def _one_number(found: tuple[Tensor, ...]) -> tuple[str, ...]:
    """The value is the only output of one number a row; a wider one beside it is an embedding."""
    narrow = [i for i, v in enumerate(found) if v.is_floating_point() and (v.dim() == 1 or v.shape[1:] == (1,))]
    if len(narrow) != 1:
        raise BackstayError(
            f"{len(narrow)} of the module's {len(found)} outputs have one number a row "
            f"(shapes {[tuple(v.shape) for v in found]})",
            fix='name them in their order: `outputs=("value", "embedding")`',
        )
    wide = [i for i, v in enumerate(found) if i != narrow[0] and v.is_floating_point() and v.dim() == 2]
    return tuple("embedding" if wide == [i] else "value" if i == narrow[0] else "passed_on" for i in range(len(found)))


def _inferred(found: tuple[Tensor, ...], classes: int, task: str) -> tuple[str, ...]:
    """Scores are the only output as wide as there are classes; of several, the only one that holds probabilities.

    One number a row is never guessed at: a logit may lie between 0 and 1 by chance.
    """
    wide = [i for i, v in enumerate(found) if v.is_floating_point() and v.dim() == 2 and v.shape[1] == classes]
    sure = [i for i in wide if task == "classification" and _are_probabilities(found[i])]
    place = (sure or wide)[0] if len(sure or wide) == 1 else None
    left = [i for i, v in enumerate(found) if i != place and v.is_floating_point() and v.dim() == 2]
    if place is None:
        raise BackstayError(
            f"which of the module's {len(found)} outputs are the scores of {classes} classes is not clear "
            f"(shapes {[tuple(v.shape) for v in found]})",
            fix='name them in their order: `outputs=("logits", "embedding")`. Of one number a row for two classes, '
            'outputs=("logits",) before the sigmoid and ("scores",) after it',
        )
    roles = ["value"] * len(found)
    roles[place] = "scores" if sure else "logits"
    if len(left) == 1:
        roles[left[0]] = "embedding"
    return tuple(roles)


def _are_probabilities(value: Tensor) -> bool:
    within = bool(((value >= -1e-6) & (value <= 1 + 1e-6)).all())
    return within and bool(((value.sum(dim=1) - 1).abs() < 1e-3).all())


def _check(roles: tuple[str, ...], found: tuple[Tensor, ...], task: str) -> None:
    for role in roles:
        if role not in ROLES and role != "passed_on":
            raise BackstayError(f"there is no kind of output {role!r}", fix=nearest(role, ROLES))
    if len(roles) != len(found):
        raise BackstayError(
            f"the module has {len(found)} outputs, {len(roles)} were named", fix="name each, in their order"
        )
    if task == "regression":
        if roles.count("value") != 1 or {"scores", "logits"} & set(roles) or roles.count("embedding") > 1:
            raise BackstayError(
                f"the outputs are {', '.join(roles)}",
                fix="of a regression one must be the value, and one may be an embedding",
            )
        return
    if sum(role in ("scores", "logits") for role in roles) != 1 or roles.count("embedding") > 1:
        raise BackstayError(
            f"the outputs are {', '.join(roles)}", fix="one must be scores or logits, and one may be an embedding"
        )


def _columns(given: tuple[Tensor, ...], schema: Schema) -> list[str]:
    """The columns of the one matrix that the module takes, where they are numbers: the bundle then takes each on its
    own, as all bundles of tables do, and can stand behind the inputs of another one."""
    kinds = {schema.column(name).kind for name in schema.features}
    fits = len(given) == 1 and given[0].dim() == 2 and given[0].shape[1] == len(schema.features)
    return list(schema.features) if fits and given[0].is_floating_point() and kinds <= set(NUMERIC) else []


def _input_names(module: nn.Module, count: int) -> list[str]:
    """The module's own names of its inputs: of several, each is a column."""
    names = [p.name for p in inspect.signature(module.forward).parameters.values() if p.kind == p.POSITIONAL_OR_KEYWORD]
    return names[:count] if len(names) >= count else [f"input_{i}" for i in range(count)]


def _export(named: _Named, given: tuple[Tensor, ...], roles: tuple[str, ...], inputs: list[str]) -> bytes:
    batch = torch.export.Dim("batch", min=1)
    places = [f"input_{i}" for i in range(len(given))]
    roles = (*(["members"] if named.task == "multilabel" else []), *roles)
    outputs = [f"output_{i}" for i in range(len(roles))]
    try:
        with quiet():
            program = torch.onnx.export(
                named.eval(),
                given,
                dynamo=True,
                opset_version=OPSET,
                input_names=places,
                output_names=outputs,
                dynamic_shapes={"tensors": tuple({0: batch} for _ in given)},
                verbose=False,
            )
    except Exception as error:  # torch raises many types of its own; nothing is kept
        raise BackstayError(
            f"torch cannot export the module: {_cause(error)}",
            fix="avoid Python branches on values and operations that ONNX lacks in forward, or export it yourself and "
            "bring the ONNX file",
        ) from error
    if program is None:
        raise BackstayError("torch.onnx.export answered nothing", fix="export it yourself and bring the ONNX file")
    model = strip_traces(program.model_proto)
    model.ir_version = _IR
    for old, name in zip(places, inputs, strict=True):
        rename_value(model.graph, old, name)
    for place, (old, role) in enumerate(zip(outputs, roles, strict=True)):
        number = "value" if named.task == "regression" else f"value_{place}"
        name = {"logits": "scores", "value": number, "passed_on": f"value_{place}"}.get(role, role)
        rename_value(model.graph, old, f"out_{name}" if name in inputs else name)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def _cause(error: BaseException) -> str:
    """What went wrong first: torch wraps it in banners of its own. With the line of code, where torch names it."""
    while error.__cause__ is not None:
        error = error.__cause__
    said = _COLOURS.sub("", str(error)).strip()
    line = _RAISED_BY.search(said)
    reason = said.splitlines()[0].partition(" (unhinted")[0][:300] if said else type(error).__name__
    return f"{reason} (at `{line[1].strip()[:120]}`)" if line else reason


def _inspect(content: bytes, schema: Schema, classes: tuple[str, ...], task: str) -> Manifest:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(content)
        return inspect_onnx(path, tuple(schema.column(name) for name in schema.features), classes, task=task)


@torch.no_grad()
def _compare(named: _Named, content: bytes, draft: Manifest, table: pa.Table) -> Compared:
    """Every output that is understood, on these rows, on some made up around them, and on the first ones one by one.

    Rows with a gap for which the module answers NaN are left out: it says that it cannot answer them.
    """
    model = Model(Path(), draft, open_session(content))
    plain = [table, *(table.slice(i, 1) for i in range(min(3, table.num_rows)))]
    columns = all(spec.datatype in FLOATS and spec.adapter == "column" for spec in draft.inputs)
    asked = [rows for _, rows in made_up(table)] if columns and table.num_rows else plain
    roles = (*(["members"] if named.task == "multilabel" else []), *named.roles)
    count, gap = 0, 0.0
    for rows in asked:
        arrays = arrays_for(draft, rows)
        wanted = named(*(torch.from_numpy(np.array(arrays[spec.name])) for spec in draft.inputs))
        found = model.run(arrays)
        answered = ~(_has_nan(list(arrays.values())) & _has_nan([value.numpy() for value in wanted]))
        kept = rows.filter(pa.array(answered))
        for role, value in zip(roles, wanted, strict=True):
            both = _both(role, value, found, named.task, len(draft.classes))
            if both is None:
                continue
            ours, theirs = None if both[0] is None else both[0][answered], both[1][answered]
            scale = max(1.0, float(np.nanmax(np.abs(theirs), initial=0.0, where=np.isfinite(theirs))))
            gap = max(
                gap,
                require_parity(theirs / scale, ours if ours is None else ours / scale, rows=kept, what="the module"),
            )
        count += kept.num_rows
    if not count:
        raise BackstayError(
            "the module answers NaN for every reference row, each of which has a gap",
            fix="fill the gaps in its forward, or give rows without gaps",
        )
    return Compared(count, gap)


def _has_nan(arrays: Sequence[npt.NDArray[Any]]) -> npt.NDArray[np.bool_]:
    """In which rows a number of these arrays [n, ...] is missing."""
    found = [np.isnan(a).reshape(len(a), -1).any(axis=1) for a in arrays if a.dtype.kind == "f"]
    none = np.zeros(len(arrays[0]), dtype=np.bool_)
    return np.asarray(np.any([none, *found], axis=0), dtype=np.bool_)


def _both(
    role: str, value: Tensor, found: Outputs, task: str, classes: int
) -> tuple[FloatArray | None, FloatArray] | None:
    """What the graph and what the module say of one output, doubles [n, columns]; None of what is passed on."""
    theirs = value.numpy().astype(np.float64)
    if role == "passed_on" or (role == "value" and task != "regression"):
        return None
    if role == "members":
        # A chance of one half to the last digit may fall on either side.
        return None
    ours = found.numbers if role == "value" else found.embeddings if role == "embedding" else found.scores
    if role in ("scores", "logits"):
        theirs = both_sides(theirs, classes if task == "classification" else 0).astype(np.float64)
    theirs = theirs.reshape(len(theirs), -1)
    return None if ours is None else ours.astype(np.float64).reshape(len(theirs), -1), theirs
