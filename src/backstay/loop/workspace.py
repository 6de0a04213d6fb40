"""What every verb works on: one model of one project in one environment, and the adapters that hold its state."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypedDict

import pyarrow as pa

from backstay.bundle.manifest import Manifest
from backstay.bundle.model import Model, load
from backstay.data.row_names import with_text_names
from backstay.data.schema import conform
from backstay.data.snapshot import load as load_rows
from backstay.journal.reader import Journal
from backstay.kernel.clock import Clock
from backstay.kernel.errors import BackstayError, NotFound
from backstay.kernel.ports import Blobs, Catalog, Ledger, Progress
from backstay.kernel.records import DataVersion, ModelRecord, Release, Schema
from backstay.loop.erasures import standing
from backstay.settings import Settings

USE_COLUMN = "backstay_use"


class Scope(TypedDict):
    """Which model in which environment a record belongs to."""

    model: str
    environment: str


@dataclass(frozen=True)
class Workspace:
    """Settings and state of one model, ready for use.

    Args:
        root: folder of the project file; relative paths of the settings begin here.
        state: folder of the store (`.backstay`).
        actor: who is acting, as the ledger will name them.
    """

    root: Path
    file: Path
    state: Path
    settings: Settings
    catalog: Catalog
    ledger: Ledger
    blobs: Blobs
    clock: Clock
    progress: Progress
    actor: str

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def environment(self) -> str:
        return self.settings.environment

    @property
    def scope(self) -> Scope:
        """The keyword arguments that file a record under this model and environment."""
        return Scope(model=self.name, environment=self.environment)

    @property
    def bundles(self) -> Path:
        return self.state / "bundles"

    @cached_property
    def journal(self) -> Journal:
        return Journal(self.state / "journal")

    def champion(self) -> Release:
        """The live release. Raises NotFound when nothing has been released yet."""
        release = self.catalog.champion(self.name, self.environment)
        if release is None:
            raise NotFound(
                f"model {self.name!r} has no release in {self.environment!r} yet",
                fix="adopt one with `backstay adopt`, or `backstay run` and then `backstay promote`",
            )
        return release

    def model_record(self, model_id: str) -> ModelRecord:
        return self.catalog.get("model", model_id, ModelRecord)

    def load_model(self, record: ModelRecord) -> Model:
        """The model's bundle, every hash checked. Raises BackstayError where only its predictions are known."""
        if record.bundle is None:
            raise BackstayError(
                f"of model {record.id} only predictions are known, so it cannot be run here",
                fix="log its predictions with `backstay log`, or adopt its ONNX file",
            )
        return load(self.bundles / record.bundle, expected_id=record.id)

    def none_label(self, record: ModelRecord) -> str:
        """What the model answers for rows of none of its classes; "" where it always names a class."""
        if record.bundle is None:
            return ""
        return Manifest.read(self.bundles / record.bundle / "manifest.json").none_label

    def manifests(self) -> dict[str, Manifest]:
        """Manifest by model id, of every model of this project that has a bundle: how the journal reads tensors."""
        records = self.catalog.find("model", ModelRecord, model=self.name)
        return {r.id: Manifest.read(self.bundles / r.bundle / "manifest.json") for r in records if r.bundle}

    def manifests_by_release(self) -> dict[str, Manifest]:
        """Manifest by release id: how the tensors that a release was asked with are read back."""
        by_model = self.manifests()
        releases = self.catalog.releases(self.name, self.environment)
        return {r.id: by_model[r.model_id] for r in releases if r.model_id in by_model}

    def manifests_of_all(self) -> dict[str, Manifest]:
        """Manifest by release id, of every model and environment: what compacting the whole log needs."""
        bundles = {r.id: r.bundle for r in self.catalog.find("model", ModelRecord)}
        found: dict[str, Manifest] = {}
        for release in self.catalog.every_release():
            bundle = bundles.get(release.model_id)
            if bundle is not None:
                found[release.id] = Manifest.read(self.bundles / bundle / "manifest.json")
        return found

    def data_version(self, data_id: str) -> DataVersion:
        """The record of a data version, or of what stands in its place where rows of it were erased."""
        return self.catalog.get("data", standing(self.catalog, data_id), DataVersion)

    def rows_of(self, data_id: str) -> tuple[pa.Table, Schema]:
        """The rows of a data version, checked against its id; ids and groups as text, also where it kept numbers."""
        version = self.data_version(data_id)
        table, schema = load_rows(version, self.blobs), with_text_names(version.schema)
        return (table, schema) if schema == version.schema else (conform(table, schema), schema)
