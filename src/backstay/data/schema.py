"""What the columns mean: inferred once, then applied to every row that comes later."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import pyarrow as pa

from backstay.data.kinds import arrow_type, as_kind, kind_of
from backstay.data.numbers import check_numbers
from backstay.data.parts import part_column
from backstay.data.row_names import TEXTS, naming, row_names, with_text_names
from backstay.data.sets import check_sets
from backstay.data.targets import check_target
from backstay.data.vectors import is_list, refuse_gaps, usual_length
from backstay.data.watching import is_free_text
from backstay.kernel.errors import BackstayError, nearest
from backstay.kernel.records import Column, ColumnKind, Schema

NOT_FEATURES = frozenset({ColumnKind.TEXT, ColumnKind.TIME, ColumnKind.VECTOR})
# What a target must be, by task; where nothing is said, classes.
TARGETS = {"regression": check_numbers, "multilabel": check_sets}
ALONE = frozenset({ColumnKind.TEXT, ColumnKind.VECTOR})


def infer_schema(
    table: pa.Table,
    *,
    target: str | None = None,
    id: str | None = None,  # noqa: A002 - the settings' word for it
    time: str | None = None,
    group: str | None = None,
    kinds: Mapping[str, str] | None = None,
    features: Iterable[str] | None = None,
    ignore: Iterable[str] = (),
    task: str = "classification",
    watching: bool = False,
) -> Schema:
    """The schema of these rows: what is declared holds, the rest is inferred from types and values.

    Features are, unless named, all columns that have no role, are not ignored, and are neither times
    nor the column of an official split; free text and vectors only where nothing else is left, since they are
    learned from alone. Columns of types that have no kind (structs, lists of texts) are left out. An empty
    list of features may be said: of a model that lives elsewhere only its answers may be known.

    Args:
        watching: nothing is learned from these columns, so free text is a feature beside others too.

    Raises BackstayError for a column that is not there, and a target that the task cannot learn.
    """
    kinds = dict(kinds or {})
    ignored = set(ignore)
    roles = {"target": target, "id": id, "time": time, "group": group}
    for what, name in [*((f"data.{r}", n) for r, n in roles.items()), *(("data.columns", n) for n in kinds)]:
        _present(table, name, what)
    for name in features or ():
        _present(table, name, "data.features")
    _apart(roles, features)
    columns = []
    for name in table.column_names:
        if name in ignored and name not in roles.values():
            continue
        column = _column(table, name, kinds, roles)
        if column is not None:
            columns.append(column)
    part = part_column(table)
    taken = {n for n in roles.values() if n} | {part}
    known = {c.name for c in columns}
    if features is None:
        said = {
            c.name for c in columns if watching and c.kind is ColumnKind.TEXT and is_free_text(table.column(c.name))
        }
        free = [c for c in columns if c.name not in taken]
        chosen = tuple(c.name for c in free if c.kind not in NOT_FEATURES or c.name in said)
        chosen = chosen or tuple(c.name for c in free if c.kind in ALONE)
    else:
        chosen = tuple(features)
        without_kind = [n for n in chosen if n not in known]
        if without_kind:
            raise BackstayError(
                f"feature {without_kind[0]!r} is ignored, or of a type that is not supported",
                fix="take it out of data.features or of data.ignore",
            )
    if target is not None:
        TARGETS.get(task, check_target)(table.column(target), target)
    if target is not None and not chosen and features is None:
        raise BackstayError("no column is left as a feature", fix="name some in data.features, or ignore fewer")
    schema = Schema(columns=tuple(columns), features=chosen, target=target, id=id, time=time, group=group)
    return with_text_names(schema)


def without_text(schema: Schema) -> Schema:
    """The same columns, of whose features texts and vectors beside others are left out, as nothing learns from both."""
    plain = tuple(name for name in schema.features if schema.column(name).kind not in ALONE)
    return replace(schema, features=plain or schema.features)


def _column(table: pa.Table, name: str, kinds: Mapping[str, str], roles: Mapping[str, str | None]) -> Column | None:
    values = table.column(name)
    kind: ColumnKind | None
    if name in kinds:
        kind = ColumnKind(kinds[name])
    elif name == roles["time"]:
        kind = ColumnKind.TIME
    else:
        kind = kind_of(values)
        if name in (roles["id"], roles["group"], roles["target"]) and kind in (ColumnKind.TEXT, ColumnKind.TIME):
            kind = ColumnKind.CATEGORY
    if kind is None:
        if name in roles.values():
            raise BackstayError(
                f"column {name!r} holds {values.type}, which is not supported", fix="give it simple values"
            )
        return None
    shape: tuple[int, ...] = ()
    if kind is ColumnKind.IMAGE:
        if not isinstance(values.type, pa.FixedShapeTensorType):
            raise BackstayError(f"column {name!r} holds {values.type}, not images", fix="declare another kind for it")
        shape = tuple(values.type.shape)
    if kind is ColumnKind.VECTOR:
        if not is_list(values.type):
            raise BackstayError(
                f"column {name!r} holds {values.type}, not lists of numbers", fix="declare another kind for it"
            )
        shape = (usual_length(values, name),)
    return Column(name, kind, nullable=name not in (roles["target"], roles["id"]), shape=shape)


def _present(table: pa.Table, name: str | None, what: str) -> None:
    if name is not None and name not in table.column_names:
        raise BackstayError(
            f"{what} names the column {name!r}, which is not there", fix=nearest(name, table.column_names)
        )


def _apart(roles: Mapping[str, str | None], features: Iterable[str] | None) -> None:
    named = [n for n in roles.values() if n]
    twice = sorted({n for n in named if named.count(n) > 1})
    if twice:
        raise BackstayError(f"column {twice[0]!r} has two roles", fix="give target, id, time and group a column each")
    if features is not None and roles["target"] in tuple(features):
        raise BackstayError(f"the target {roles['target']!r} is among the features", fix="take it out of data.features")


def conform(table: pa.Table, schema: Schema) -> pa.Table:
    """Rows in the schema's columns, order and types. Raises BackstayError for a missing column or a misfit value."""
    columns, names = [], naming(schema)
    for column in schema.columns:
        _present(table, column.name, "the schema")
        values = table.column(column.name)
        values = as_kind(row_names(values) if column.name in names and column.kind in TEXTS else values, column)
        if not column.nullable and values.null_count:
            first = next(i for i, v in enumerate(values, 1) if not v.is_valid)
            role = "target" if column.name == schema.target else "id"
            raise BackstayError(
                f"the {role} {column.name!r} is missing in {values.null_count} rows, first in row {first}",
                fix="fill in those values, or leave those rows out",
            )
        if column.kind is ColumnKind.VECTOR and column.name in schema.features:
            refuse_gaps(values, column.name)
        columns.append(values)
    fields = [pa.field(c.name, arrow_type(c)) for c in schema.columns]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))
