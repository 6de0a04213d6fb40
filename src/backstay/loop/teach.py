"""A class more for the live model, made of examples alone: no training, the same encoder, the same gate."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from backstay.bundle.heads import has_head, with_class
from backstay.bundle.manifest import Manifest
from backstay.bundle.model import Model
from backstay.bundle.write import MODEL_FILE, write_bundle
from backstay.data.audit import overlap
from backstay.data.fingerprints import fingerprints
from backstay.data.schema import conform
from backstay.data.split import deal
from backstay.evaluate.paired import compare
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Finding, ModelRecord, Schema, Severity
from backstay.loop.examples import bring, groups_of, keep, target_of, texts
from backstay.loop.gate_case import GateRows, case
from backstay.loop.gate_rows import freshest_gate
from backstay.loop.gating import Offered, offer
from backstay.loop.label import live_rows
from backstay.loop.log_policy import refuse_blind
from backstay.loop.policy import check_gate
from backstay.loop.reference import uses_of, with_use, without_use
from backstay.loop.retrain import apart_from, old_rows
from backstay.loop.run import file_model
from backstay.loop.sign import check_key
from backstay.loop.workspace import Workspace
from backstay.maths.intervals import proportion

LEAST = 5
MARGIN = 0.05
SLICE = "classes"
BEFORE = "known before"
HALF = 0.5


def teach(ws: Workspace, name: str, source: Any, *, gate_share: float = 0.5) -> Offered:
    """Offer the live model with one class more. Never promotes.

    Args:
        name: the class, as labels write it.
        source: rows of that class alone; a column of true labels may be absent.
        gate_share: the share of them that judges and does not enter the head.

    Raises:
        BackstayError: the live model does not answer by examples or has the class, the examples are too few, are no
            rows of this model, hold other labels, or are among the rows that judge candidates.
    """
    check_gate(ws)
    check_key()
    champion = ws.champion()
    live = ws.model_record(champion.model_id)
    model = ws.load_model(live)
    content = (model.path / MODEL_FILE).read_bytes()
    _refuse_name(model, content, name)
    if not 0.0 < gate_share < 1.0:
        raise BackstayError(f"a share of {gate_share:g} of the examples for the gate", fix="give one between 0 and 1")
    if champion.reference_id is None:
        raise BackstayError("the live release has no reference rows", fix="adopt with --reference first")
    with ws.progress.step("examples"):
        reference, wide = ws.rows_of(champion.reference_id)
        schema = without_use(wide)
        examples = _examples(ws, source, schema, name)
        before = freshest_gate(ws, champion, live_rows(ws), schema)
        _refuse_seen(examples, before.table, schema)
        parts = deal(examples, schema, gate_share)
        _refuse_few(parts)
        gallery, judging = (examples.take(pa.array(parts[part])) for part in ("train", "gate"))
    old = old_rows(ws, champion, reference, schema)
    with ws.progress.step("class"):
        changed, draft = with_class(content, model.manifest, name, _embeddings(model, gallery))
        draft = replace(
            draft,
            data_id=None if live.data_id is None else _learned(ws, pa.concat_tables([old, gallery]), schema, name),
            reference_data_id=_reference(ws, reference, gallery, judging, schema, name),
        )
        record = _filed(ws, live, model, changed, draft)
    table = pa.concat_tables([before.table.select(list(schema.names)), judging])
    rows = GateRows(table, schema, keep(ws, table, schema, source=f"{before.data_id}+{name}", role="gate").id)
    candidate = ws.load_model(record)
    recall, few = _recall(candidate, judging, schema, name, rows.data_id)
    apart = schema.id is not None or schema.group is not None
    with ws.progress.step("measure"):
        report, verdict = offer(
            ws,
            record,
            rows,
            training=apart_from(pa.concat_tables([old, gallery]), table, schema) if apart else None,
            findings=(
                *overlap(gallery, table, schema, data_id=rows.data_id),
                *_old_classes(ws, (candidate, record), (model, live), before),
                *few,
            ),
            notes=(f"the class {name!r} was added by {gallery.num_rows} examples, without training; {recall}",),
            also={SLICE: np.array([BEFORE] * before.table.num_rows + [name] * judging.num_rows, dtype=object)},
        )
    return Offered(record, report, verdict)


def _refuse_name(model: Model, content: bytes, name: str) -> None:
    if not has_head(content):
        raise BackstayError(
            "the live model has no head that answers by examples, so a class cannot be added to it",
            fix='train one with train.head = "knn" or "prototype", and promote it',
        )
    if not name.strip():
        raise BackstayError("the class has no name", fix="name it as labels write it")
    if name in model.classes or name == model.manifest.none_label:
        raise BackstayError(
            f"the live model has the answer {name!r} already",
            fix="to teach it more of a class that it knows, label rows and use `backstay retrain`",
        )


def _examples(ws: Workspace, source: Any, schema: Schema, name: str) -> pa.Table:
    """The examples under the schema of the reference rows, each with the class as its label."""
    given = bring(ws, source)
    target = target_of(schema)
    if target in given.column_names:
        others = sorted(set(texts(given, target)) - {name})
        if others:
            raise BackstayError(
                f"the examples of {name!r} hold rows labelled {others[0]!r}", fix="give rows of the new class alone"
            )
        given = given.drop_columns([target])
    given = given.append_column(target, pa.array([name] * given.num_rows, pa.string()))
    for column in schema.columns:
        if column.name not in given.column_names and column.nullable and column.name not in schema.features:
            given = given.append_column(column.name, pa.nulls(given.num_rows))
    return conform(given, schema)


def _refuse_seen(examples: pa.Table, gate: pa.Table, schema: Schema) -> None:
    """Rows that judge candidates must not be what a candidate is made of."""
    by_id = () if schema.id is None else (schema.id,)
    for names, what in ((by_id, "by their ids"), (schema.features, "feature by feature")):
        if not names:
            continue
        same = np.isin(fingerprints(examples, schema, names), fingerprints(gate, schema, names))
        if same.any():
            raise BackstayError(
                f"{same.sum()} of {len(same)} examples are among the rows that judge candidates, {what}",
                fix="leave them out: they judge the new class as they are",
            )


def _refuse_few(parts: dict[str, Any]) -> None:
    few = min(len(parts["train"]), len(parts["gate"]))
    if few < LEAST:
        raise BackstayError(
            f"{len(parts['train'])} examples would make the class and {len(parts['gate'])} would judge it",
            fix=f"give more, of more groups: at least {LEAST} on either side",
        )


def _embeddings(model: Model, rows: pa.Table) -> npt.NDArray[np.float32]:
    found = model.predict(rows).embeddings
    if found is None:
        raise BackstayError("the live model gives no embeddings", fix="report this with the bundle")
    return found


def _learned(ws: Workspace, table: pa.Table, schema: Schema, name: str) -> str:
    """What the model was made of, by which a later retraining knows the class too."""
    return keep(ws, table, schema, source=f"class {name}", role="data").id


def _reference(
    ws: Workspace, reference: pa.Table, gallery: pa.Table, judging: pa.Table, schema: Schema, name: str
) -> str:
    """What its detectors will start from: the reference of the live release and the examples."""
    uses = [*uses_of(reference), *["train"] * gallery.num_rows, *["gate"] * judging.num_rows]
    whole = pa.concat_tables([reference.select(list(schema.names)), gallery, judging])
    return keep(ws, *with_use(whole, schema, uses), source=f"class {name}#reference", role="reference").id


def _filed(ws: Workspace, live: ModelRecord, model: Model, content: bytes, draft: Manifest) -> ModelRecord:
    """Write the bundle with whatever else the live one holds, and file it as its child."""
    refuse_blind(ws, draft)
    files = {n: (model.path / n).read_bytes() for n in model.manifest.files if n != MODEL_FILE}
    model_id = write_bundle(ws.bundles, content, draft, files=files)
    record = ModelRecord(
        id=model_id,
        model=ws.name,
        task=live.task,
        origin="class added",
        created_at=ws.clock.now(),
        bundle=model_id,
        data_id=draft.data_id,
        reference_id=draft.reference_data_id,
        parent=live.id,
        classes=draft.classes,
        recipe=live.recipe,
    )
    file_model(ws, record)
    return record


def _old_classes(
    ws: Workspace, new: tuple[Model, ModelRecord], old: tuple[Model, ModelRecord], before: GateRows
) -> tuple[Finding, ...]:
    """Not worse on the rows of before by the policy's margin for slices: asked whatever the policy's rules are."""
    labels = texts(before.table, target_of(before.schema))
    ours, theirs = (
        case(model.predict(before.table), labels, model.classes, before, ws.none_label(record))
        for model, record in (new, old)
    )
    found = compare(ours, theirs, against=old[1].id, data_id=before.data_id, slices={})[0]
    margin = next((r.margin for r in ws.settings.gate.rules if r.rule == "no_slice_worse"), MARGIN)
    if found.one_sided_low > -margin:
        return ()
    return (
        Finding(
            check="old_classes",
            severity=Severity.HIGH,
            message=f"on {found.n} rows of before, accuracy may fall by {margin:g} or more: {found.difference:+.3f}, "
            f"at least {found.one_sided_low:+.3f}",
            fix="the new class lies among the old ones: train it with them by `backstay retrain --rows`",
            data_id=before.data_id,
        ),
    )


def _recall(
    model: Model, judging: pa.Table, schema: Schema, name: str, data_id: str
) -> tuple[str, tuple[Finding, ...]]:
    """How many of the examples that judge are found, in words, and a finding where it is surely fewer than half."""
    hits = (model.predict(judging).labels == name).astype(np.float64)
    low, high = proportion(hits, groups_of(judging, schema))
    said = (
        f"of {len(hits)} other examples of it {int(hits.sum())} are found: {hits.mean():.3f} ({low:.3f} to {high:.3f})"
    )
    if high >= HALF:
        return said, ()
    finding = Finding(
        check="added_class",
        severity=Severity.HIGH,
        message=f"the new class is not found: {said}",
        fix="give more examples, or train it with the others by `backstay retrain --rows`",
        data_id=data_id,
    )
    return said, (finding,)
