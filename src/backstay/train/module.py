"""Somebody's `torch.nn.Module` as a bundle's graph: exported from an example, named, and compared with itself."""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
import torch
from torch import Tensor, nn

from backstay.bundle.datatypes import FLOATS
from backstay.bundle.inputs import arrays_for
from backstay.bundle.inspect import inspect_onnx
from backstay.bundle.manifest import Manifest
from backstay.bundle.model import Model, both_sides, open_session
from backstay.kernel.errors import BackstayError, nearest
from backstay.kernel.records import Schema
from backstay.train.convert.frames import NUMERIC
from backstay.train.convert.parity import harder, require_parity
from backstay.train.export import OPSET, quiet, rename_value, strip_traces

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
) -> tuple[bytes, Manifest]:
    """The graph and the draft of its manifest.

    Args:
        example: a tensor (or a tuple of them) that the module takes, rows first; its row count may vary later.
        outputs: what each output is: "scores" (probabilities), "logits", "embedding" or "value"; inferred when empty.
        classes: in the order of the scores where `ordered`, else the values of the target.
        table: reference rows on which graph and module must agree to 1e-5.

    Raises:
        BackstayError: the export fails, an output is not recognised, or the two differ.
    """
    given = _two_rows(example)
    was_training = module.training
    module.eval()
    try:
        found = _outputs_of(module, given)
        roles = tuple(outputs) or _inferred(found, len(classes))
        _check(roles, found)
        columns = _columns(given, schema)
        named = _Named(module, roles, given[0].dtype if columns else None)
        if columns:
            given = tuple(given[0].double()[:, [i]] for i in range(len(columns)))
        content = _export(named, given, roles, columns or _input_names(module, len(given)))
        draft = _inspect(content, schema, classes)
        if ordered:
            draft = replace(draft, classes=classes)
        _compare(named, content, draft, table.slice(0, _ROWS).select(list(schema.features)))
    finally:
        module.train(was_training)
    return content, draft


class _Named(nn.Module):
    """The module with its outputs in a row, and probabilities where it gives logits.

    Args:
        matrix: the type of the one matrix that the module takes; then its columns come each on their own.
    """

    def __init__(self, module: nn.Module, roles: tuple[str, ...], matrix: torch.dtype | None) -> None:
        super().__init__()
        self.module = module
        self.roles = roles
        self.matrix = matrix

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        if self.matrix is not None:
            tensors = (torch.cat(tensors, dim=1).to(self.matrix),)
        return tuple(
            _probabilities(value) if role == "logits" else value
            for role, value in zip(self.roles, _in_a_row(self.module(*tensors)), strict=True)
        )


def _probabilities(logits: Tensor) -> Tensor:
    if logits.dim() == 1 or logits.shape[1] == 1:
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
    given = (example,) if isinstance(example, Tensor) else tuple(example or ())
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


def _inferred(found: tuple[Tensor, ...], classes: int) -> tuple[str, ...]:
    """Scores are the only output as wide as there are classes; of several, the only one that holds probabilities.

    One number a row is never guessed at: a logit may lie between 0 and 1 by chance.
    """
    wide = [i for i, v in enumerate(found) if v.is_floating_point() and v.dim() == 2 and v.shape[1] == classes]
    sure = [i for i in wide if _are_probabilities(found[i])]
    place = (sure or wide)[0] if len(sure or wide) == 1 else None
    left = [i for i, v in enumerate(found) if i != place and v.is_floating_point() and v.dim() == 2]
    if place is None:
        raise BackstayError(
            f"which of the module's {len(found)} outputs are the scores of {classes} classes is not clear "
            f"(shapes {[tuple(v.shape) for v in found]})",
            fix='name them in their order: `outputs=("logits", "embedding")`',
        )
    roles = ["value"] * len(found)
    roles[place] = "scores" if sure else "logits"
    if len(left) == 1:
        roles[left[0]] = "embedding"
    return tuple(roles)


def _are_probabilities(value: Tensor) -> bool:
    within = bool(((value >= -1e-6) & (value <= 1 + 1e-6)).all())
    return within and bool(((value.sum(dim=1) - 1).abs() < 1e-3).all())


def _check(roles: tuple[str, ...], found: tuple[Tensor, ...]) -> None:
    for role in roles:
        if role not in ROLES:
            raise BackstayError(f"there is no kind of output {role!r}", fix=nearest(role, ROLES))
    if len(roles) != len(found):
        raise BackstayError(
            f"the module has {len(found)} outputs, {len(roles)} were named", fix="name each, in their order"
        )
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
        reason = str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
        raise BackstayError(
            f"torch cannot export the module: {reason}",
            fix="avoid Python branches on values in forward, or export it yourself and bring the ONNX file",
        ) from error
    if program is None:
        raise BackstayError("torch.onnx.export answered nothing", fix="export it yourself and bring the ONNX file")
    model = strip_traces(program.model_proto)
    model.ir_version = _IR
    for old, name in zip(places, inputs, strict=True):
        rename_value(model.graph, old, name)
    for place, (old, role) in enumerate(zip(outputs, roles, strict=True)):
        name = {"logits": "scores", "value": f"value_{place}"}.get(role, role)
        rename_value(model.graph, old, f"out_{name}" if name in inputs else name)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def _inspect(content: bytes, schema: Schema, classes: tuple[str, ...]) -> Manifest:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(content)
        return inspect_onnx(path, tuple(schema.column(name) for name in schema.features), classes)


@torch.no_grad()
def _compare(named: _Named, content: bytes, draft: Manifest, table: pa.Table) -> None:
    """Scores and embeddings on these rows, on the same with gaps, and on the first rows one by one."""
    model = Model(Path(), draft, open_session(content))
    asked = [table, *(table.slice(i, 1) for i in range(min(3, table.num_rows)))]
    if all(spec.datatype in FLOATS for spec in draft.inputs):
        asked.append(harder(table, unseen=False))
    for rows in asked:
        arrays = arrays_for(draft, rows)
        wanted = named(*(torch.from_numpy(np.array(arrays[spec.name])) for spec in draft.inputs))
        found = model.run(arrays)
        for role, value in zip(named.roles, wanted, strict=True):
            if role == "value":
                continue
            ours = found.embeddings if role == "embedding" else found.scores
            theirs = value.numpy().astype(np.float64)
            theirs = theirs if role == "embedding" else both_sides(theirs, len(draft.classes)).astype(np.float64)
            scale = max(1.0, float(np.nanmax(np.abs(theirs), initial=0.0)))
            require_parity(
                theirs / scale, None if ours is None else ours.astype(np.float64) / scale, rows=rows, what="the module"
            )
