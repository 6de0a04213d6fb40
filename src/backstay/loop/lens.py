"""How the rows of a file or frame become traffic and a reference, where there is no project to say it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from backstay.bundle.manifest import NONE
from backstay.data.batches import Batches
from backstay.data.schema import conform, infer_schema
from backstay.data.watching import unwatched
from backstay.journal.importing import lists_of, refuse_no_times, scores_of, utc_times
from backstay.kernel.errors import BackstayError, nearest
from backstay.kernel.records import ColumnKind, Schema
from backstay.labels.known import refuse_unlike
from backstay.loop.examples import text
from backstay.maths.arrays import AnyArray
from backstay.maths.classification import declined
from backstay.maths.sketches.hashes import hash_ids
from backstay.monitor.inputs import columns_of
from backstay.monitor.reference import MOST_REFERENCE_ROWS, NO_ANSWER, Reference, fit_reference
from backstay.monitor.traffic import SCORES, WindowData
from backstay.settings import PredictionSettings

MOST_CLASSES = 2000
# Carried along for those rows that are sampled; no detector tests columns that the reference does not have.
LABEL = "(label)"
SHOWN_TEXT = 200


@dataclass(frozen=True, slots=True)
class Roles:
    """Which columns are more than inputs. `scores` holds a column for each class; `positive` is what `score` is of."""

    prediction: str | None = None
    score: str | None = None
    scores: Mapping[str, str] | None = None
    positive: str | None = None
    embedding: str | None = None
    label: str | None = None
    time: str | None = None
    group: str | None = None
    id: str | None = None

    @property
    def named(self) -> tuple[str, ...]:
        """The columns that have a role."""
        single = (self.prediction, self.score, self.embedding, self.label, self.time, self.group, self.id)
        return tuple(name for name in (*single, *(self.scores or {}).values()) if name is not None)


@dataclass(frozen=True, slots=True, eq=False)
class Lens:
    """Roles, the schema of the inputs, and the model's classes, learnt from the reference.

    Of the columns in `presence` only gaps are watched: times always move, and so do names. `unwatched` says what no
    detector reads. `width` is that of the embeddings.
    """

    roles: Roles
    schema: Schema
    classes: tuple[str, ...]
    time_zone: str | None = None
    none_label: str = ""
    presence: tuple[str, ...] = ()
    unwatched: tuple[str, ...] = ()
    width: int | None = None

    @staticmethod
    def fit(
        source: Batches,
        roles: Roles,
        *,
        features: tuple[str, ...] | None,
        ignore: tuple[str, ...],
        time_zone: str | None,
        timed: bool = False,
        live: Sequence[str] | None = None,
    ) -> tuple[Lens, Reference]:
        """Read the reference through, with its times if `timed`; `live` names the columns of the traffic.

        Raises BackstayError for a column that is not there or cannot be read.
        """
        optional = (roles.id,) if timed else (roles.time, roles.id)
        missing = [name for name in roles.named if name not in source.names and name not in optional]
        if missing:
            raise BackstayError(f"the reference has no column {missing[0]!r}", fix=nearest(missing[0], source.names))
        table = _drawn(source)
        inputs = table.select([n for n in table.column_names if n not in roles.named or n == roles.group])
        schema = infer_schema(inputs, group=roles.group, features=features, ignore=ignore, watching=True)
        image = next((n for n in schema.features if schema.column(n).kind is ColumnKind.IMAGE), None)
        if image is not None:
            raise BackstayError(f"the column {image!r} holds images", fix="give their embeddings, or adopt the model")
        answers = None if roles.prediction is None else texts_of(table.column(roles.prediction))
        classes = () if answers is None else tuple(sorted(set(answers.tolist())))
        if len(classes) > MOST_CLASSES:
            raise BackstayError(
                f"the column {roles.prediction!r} holds {len(classes)} different answers, too many to be classes",
                fix="do not name it as prediction: it is then watched as a column of numbers",
            )
        if (roles.score or roles.scores) and not classes:
            raise BackstayError("scores are named and predictions are not", fix="name the prediction column as well")
        scored = tuple(roles.scores) if roles.scores else classes
        # An answer that has no score, since it is none of the classes.
        none_label = NONE if roles.scores and NONE in classes and NONE not in scored else ""
        presence = _presence(schema, named=features is not None, live=live)
        read = [n for n in schema.features if schema.column(n).kind is not ColumnKind.VECTOR]
        free = [n for n in inputs.column_names if n not in ignore and n != roles.group]
        told = schema.features if features is not None else free
        known = {*source.names, *roles.named, *ignore}
        new = [f"{n} (not in the reference)" for n in live or () if features is None and n not in known]
        unread = (*unwatched(inputs.select(told), {*read, *presence}), *new)
        lens = Lens(roles, schema, scored, time_zone, none_label, presence, unread)
        reference = lens._reference(table, answers, roles.time if timed else None)
        wide = reference.representation
        return replace(lens, width=None if wide is None else wide.shape[1]), reference

    def reads(self, names: Sequence[str]) -> list[str]:
        """The columns to read of traffic that has these. Labels may be lacking: they come later, or never."""
        label = self.roles.label
        read = (*self.schema.features, *self.presence, *self.roles.named)
        wanted = [name for name in dict.fromkeys(read) if name != label]
        for name in wanted:
            if name not in names:
                fix = nearest(name, names)
                if name not in self.roles.named:
                    fix = f"{fix}; or leave it out with ignore="
                raise BackstayError(f"the traffic has no column {name!r}", fix=fix)
        return [*wanted, label] if label is not None and label in names else wanted

    @property
    def notes(self) -> tuple[str, ...]:
        """What is not watched, or by its gaps alone, for people."""
        lines = []
        if self.unwatched:
            lines.append(f"Not watched: {', '.join(self.unwatched)}.")
        if self.presence:
            lines.append(f"Watched for gaps only, being times or names: {', '.join(self.presence)}.")
        return tuple(lines)

    def window(self, table: pa.Table, first: int, start: datetime) -> WindowData:
        """A part of the traffic.

        Args:
            first: the place of its first row in the source, from which rows without ids get theirs.
            start: the time of rows where no time column is named.
        """
        roles = self.roles
        rows = table.num_rows
        scores = self._scores(table, gaps=True)
        embeddings = lists_of(table, roles.embedding)
        if embeddings is not None and embeddings.shape[1] != self.width:
            raise BackstayError(
                f"the embeddings of the traffic are {embeddings.shape[1]} wide, those of the reference {self.width}",
                fix="give both from the same model",
            )
        columns = {**self._columns(table), **self._texts(table)}
        if roles.label in table.column_names:
            columns[LABEL] = _labels(table.column(roles.label))
        if roles.time is None:
            times = np.full(rows, np.datetime64(start.astimezone(UTC).replace(tzinfo=None), "us"))
        else:
            times = _times(table, roles.time, self.time_zone)
        return WindowData(
            start=start,
            end=start + timedelta(days=1),
            ids=np.arange(first, first + rows) if roles.id is None else texts_of(table.column(roles.id)),
            times=times,
            predicted=_answers(table, roles),
            representation=embeddings,
            scores=scores,
            groups=None if roles.group is None else _labels(table.column(roles.group)),
            columns=columns,
            lacks=_gaps(scores),
        )

    def scoreless(self, source: Batches) -> bool:
        """Whether some rows of the traffic have no score."""
        roles = self.roles
        named = [roles.score] if roles.score else list((roles.scores or {}).values())
        return bool(named) and any(_gaps(self._scores(table, gaps=True)) for table in source.read(named))

    def _columns(self, table: pa.Table) -> dict[str, AnyArray]:
        read = tuple(name for name in self.schema.features if name not in self.presence)
        inputs = Schema(columns=tuple(self.schema.column(name) for name in read), features=read)
        found = columns_of(conform(table, inputs), inputs) if read else {}
        return {**found, **{f"presence of {name}": _there(table.column(name)) for name in self.presence}}

    def _texts(self, table: pa.Table) -> dict[str, AnyArray]:
        """The beginnings of texts, of which only the length is tested: for those rows that are shown."""
        names = [name for name in self.schema.features if self.schema.column(name).kind is ColumnKind.TEXT]
        # Gaps alone have no type of their own.
        said = {name: table.column(name).cast(pa.large_string()) for name in names}
        return {name: _words(pc.utf8_slice_codeunits(of, 0, SHOWN_TEXT), None) for name, of in said.items()}

    def _scores(self, table: pa.Table, *, gaps: bool = False) -> AnyArray | None:
        roles = self.roles
        if roles.score is None and not roles.scores:
            return None
        names = PredictionSettings(score=roles.score, scores=dict(roles.scores or {}), positive=roles.positive)
        found = scores_of(table, names, self.classes, gaps=gaps)
        return None if found is None else found.astype(np.float64)

    def _reference(self, table: pa.Table, answers: AnyArray | None, timed_by: str | None) -> Reference:
        embeddings = lists_of(table, self.roles.embedding)
        correct = None
        if self.roles.label is not None and answers is not None:
            labels = _labels(table.column(self.roles.label))
            refuse_unlike(labels, answers, label=self.roles.label, prediction=str(self.roles.prediction))
            correct = np.array(
                [
                    np.nan if b is None else float(a == b or declined(a, b, self.classes, self.none_label))
                    for a, b in zip(answers, labels, strict=True)
                ]
            )
        return fit_reference(
            np.full(table.num_rows, NO_ANSWER, dtype=object) if answers is None else answers,
            self.classes or None,
            representation=embeddings,
            scores=self._scores(table),
            correct=correct,
            groups=None if self.roles.group is None else _labels(table.column(self.roles.group)),
            columns=self._columns(table),
            learned=np.zeros(table.num_rows, dtype=np.bool_),
            none_label=self.none_label,
            times=None if timed_by is None else _times(table, timed_by, self.time_zone),
        )


def _gaps(scores: AnyArray | None) -> dict[str, AnyArray]:
    """Which rows have no score, where some have none."""
    if scores is None or not np.isnan(scores).any():
        return {}
    return {SCORES: np.asarray(np.isnan(scores).any(axis=1))}


def _times(table: pa.Table, name: str, time_zone: str | None) -> AnyArray:
    refuse_no_times(table.column(name), name)
    return utc_times(table.column(name), name, time_zone)


def _answers(table: pa.Table, roles: Roles) -> AnyArray:
    if roles.prediction is None:
        return np.broadcast_to(np.array(NO_ANSWER, dtype=object), table.num_rows)
    return texts_of(table.column(roles.prediction))


def _presence(schema: Schema, *, named: bool, live: Sequence[str] | None) -> tuple[str, ...]:
    """Times that are watched, and names and keys beside other columns, as far as the traffic has them."""
    roles = {schema.target, schema.id, schema.time, schema.group}
    free = [c for c in schema.columns if c.name not in roles and (live is None or c.name in live)]
    times = [c.name for c in free if c.kind is ColumnKind.TIME and (not named or c.name in schema.features)]
    words = [c.name for c in free if c.kind is ColumnKind.TEXT and not named and c.name not in schema.features]
    return tuple(name for name in schema.names if name in {*times, *words})


def _there(column: pa.ChunkedArray) -> AnyArray:
    return np.asarray(np.array([None, "there"], dtype=object)[column.is_valid().to_numpy().astype(np.int64)])


def _drawn(source: Batches) -> pa.Table:
    """All rows, or about 200,000 of more, chosen by a hash of their place."""
    if source.rows <= MOST_REFERENCE_ROWS:
        return pa.concat_tables(list(source.read()))
    share = MOST_REFERENCE_ROWS / source.rows
    kept, first = [], 0
    for table in source.read():
        hashes = hash_ids(np.arange(first, first + table.num_rows), seed=3)
        kept.append(table.filter(pa.array(hashes < np.uint64(share * 2.0**64))))
        first += table.num_rows
    return pa.concat_tables(kept)


def texts_of(column: pa.ChunkedArray) -> AnyArray:
    """A column as text [n], as labels are compared; null becomes 'missing'."""
    return _words(column, "missing")


def _labels(column: pa.ChunkedArray) -> AnyArray:
    """A column as text [n], None where there is no value."""
    return _words(column, None)


def _words(column: pa.ChunkedArray, gap: str | None) -> AnyArray:
    """Each distinct value is put into words once."""
    if pa.types.is_nested(column.type):
        raise BackstayError(
            f"a column of answers, labels, groups or ids holds {column.type}", fix="give one value in each row"
        )
    coded = column.combine_chunks().dictionary_encode()
    words = np.array([*(text(value) for value in coded.dictionary.to_pylist()), gap], dtype=object)
    places = coded.indices.fill_null(len(words) - 1).to_numpy(zero_copy_only=False)
    return np.asarray(words[places], dtype=object)
