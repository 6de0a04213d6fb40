"""What two or more parts need of the outside world. Adapters live in `store`; tests may bring their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, TypeVar

from backstay.kernel.records import Json, Label, LabelRequest, LedgerRow, Release

T = TypeVar("T")


class Blobs(Protocol):
    """Immutable bytes by content id: each blob is a file."""

    def put_file(self, blob_id: str, source: Path) -> Path:
        """Copy a file in under this id: temporary name, fsync, rename. Already there: nothing happens."""
        ...

    def path(self, blob_id: str) -> Path:
        """Where it is. Raises NotFound."""
        ...

    def __contains__(self, blob_id: object) -> bool: ...

    def ids(self) -> Iterator[str]: ...

    def remove(self, blob_id: str) -> int:
        """Remove it; answers how many bytes that freed."""
        ...


class Transaction(Protocol):
    """Everything that commits together or not at all."""

    def put(self, kind: str, record_id: str, record: Any, *, model: str = "", environment: str = "") -> None:
        """Insert a record (a frozen dataclass). The same id with other content raises Conflict."""
        ...

    def append(self, kind: str, body: Json, *, actor: str) -> LedgerRow:
        """Append to the hash chain."""
        ...

    def champion(self, model: str, environment: str) -> Release | None: ...

    def get(self, kind: str, record_id: str, as_type: type[T]) -> T:
        """Raises NotFound."""
        ...

    def add_release(self, release: Release, *, actor: str, kind: str, body: Json) -> None:
        """Insert a release together with the ledger row that makes it; the newest release is the live one.

        Raises Conflict when its sequence is taken.
        """
        ...

    def set_state(self, key: str, value: Json) -> None: ...

    def get_state(self, key: str) -> Json | None: ...


class Ledger(Protocol):
    """The hash chain and the transactions that write to it."""

    def transaction(self) -> AbstractContextManager[Transaction]:
        """One writer at a time (BEGIN IMMEDIATE). Raises Conflict when another writer does not let go."""
        ...

    def rows(self, kind: str | None = None, *, after: int = 0) -> Iterator[LedgerRow]:
        """In their order; of one kind, and from behind row number `after` only, where that is asked for."""
        ...

    def head(self) -> tuple[int, str]:
        """Number and hash of the last row; (0, 64 zeros) when empty."""
        ...

    def verify(self, expected_head: tuple[int, str] | None = None) -> list[str]:
        """Sentences that name edited, deleted and reordered rows and truncation; empty when sound."""
        ...


class Catalog(Protocol):
    """Records of every kind, detector state, labels, releases. Reading needs no transaction."""

    def revisions(self) -> AbstractContextManager[Callable[[], object]]:
        """Within it a question that costs next to nothing: an answer equal to an earlier one means nothing changed.

        What is asked raises BackstayError when the store is gone, held by others or damaged.
        """
        ...

    def get(self, kind: str, record_id: str, as_type: type[T]) -> T:
        """Raises NotFound with the nearest ids."""
        ...

    def find(
        self,
        kind: str,
        as_type: type[T],
        *,
        model: str | None = None,
        environment: str | None = None,
        newest_first: bool = False,
        limit: int | None = None,
    ) -> list[T]:
        """In the order in which they were put, or newest first."""
        ...

    def resolve(self, kind: str, prefix: str) -> str:
        """The only id that begins with this prefix. Raises NotFound, or BackstayError when several do."""
        ...

    def champion(self, model: str, environment: str) -> Release | None: ...

    def releases(self, model: str, environment: str) -> list[Release]: ...

    def every_release(self) -> list[Release]:
        """Of all models and environments, in the order in which they were made."""
        ...

    def get_state(self, key: str) -> Json | None: ...

    def states(self, prefix: str) -> Mapping[str, Json]: ...

    # Labels and the review queue have tables of their own: they are many, and are asked for by id and time.
    def add_labels(self, labels: list[Label]) -> int:
        """Insert; a (prediction id, source) seen before is not replaced. Answers how many are new."""
        ...

    def labels(self, model: str, environment: str, *, use: str | None = None) -> list[Label]: ...

    def add_requests(self, requests: list[LabelRequest]) -> int: ...

    def requests(self, model: str, environment: str, *, status: str | None = None) -> list[LabelRequest]: ...

    def close_requests(self, request_ids: list[str], status: str) -> None: ...

    def erase(
        self,
        model: str,
        environment: str,
        prediction_ids: list[str],
        *,
        states: Mapping[str, Json] = ...,
        records: Mapping[tuple[str, str], Any] = ...,
    ) -> tuple[int, int]:
        """Remove the labels and requests of these predictions for good; answers how many of each.

        Args:
            states: what stands from now on in place of states that named them, by key.
            records: the same of records, by kind and id: the one way in which a record ever changes.
        """
        ...


class Progress(Protocol):
    """How long work tells how far it is: a bar on a terminal, structured lines elsewhere, nothing in tests."""

    def step(self, name: str, total: int | None = None) -> AbstractContextManager[Tick]: ...

    def say(self, message: str) -> None: ...


class Tick(Protocol):
    """One step's counter: so much more is done, what a person is told of it, and the same in figures for a log."""

    def __call__(self, amount: int = 1, note: str = "", **figures: float) -> None: ...


class _Silent:
    def __enter__(self) -> _Silent:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def __call__(self, amount: int = 1, note: str = "", **figures: float) -> None:
        return None


class NoProgress:
    """Says nothing."""

    def step(self, name: str, total: int | None = None) -> AbstractContextManager[Tick]:
        return _Silent()

    def say(self, message: str) -> None:
        return None
