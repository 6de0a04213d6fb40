"""The schema of backstay.toml: what a reviewer should see in a diff. Secrets come from the environment only."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from backstay.kernel.errors import BackstayError, NotFound, nearest
from backstay.kernel.ids import digest

FILE_NAME = "backstay.toml"
VERSION = 1


class Section(BaseModel):
    """A table of the project file. Unknown keys are errors that name the nearest known key."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SplitSettings(Section):
    """How rows are dealt to training, tuning (early stopping, calibration) and the gate.

    By hash, so that appending rows moves none of the others.
    """

    train: float = Field(0.6, gt=0, lt=1)
    tune: float = Field(0.15, gt=0, lt=1)
    gate: float = Field(0.25, gt=0, lt=1)
    by: Literal["hash", "time"] = "hash"

    @model_validator(mode="after")
    def _whole(self) -> SplitSettings:
        if abs(self.train + self.tune + self.gate - 1) > 1e-9:
            raise ValueError("train, tune and gate must add up to 1")
        return self


class DataSettings(Section):
    """Where the rows are and what their columns mean."""

    source: str | None = None
    target: str | None = None
    id: str | None = None
    time: str | None = None
    group: str | None = None
    time_zone: str | None = None
    features: tuple[str, ...] | None = None
    ignore: tuple[str, ...] = ()
    slices: tuple[str, ...] = ()
    columns: dict[str, Literal["number", "integer", "category", "text", "boolean", "time", "image"]] = {}
    split: SplitSettings = SplitSettings()


class PredictionSettings(Section):
    """Column names in files of predictions that another system made."""

    id: str = "id"
    time: str | None = None
    prediction: str = "prediction"
    score: str | None = None
    positive: str | None = None
    scores: dict[str, str] = {}
    embedding: str | None = None
    group: str | None = None


class TrainSettings(Section):
    """The recipe. Two runs with the same recipe, data, seed, threads and versions give the same bundle."""

    encoder: str = "auto"
    objective: str = "cross_entropy"
    epochs: int = Field(20, ge=1, le=10_000)
    patience: int = Field(4, ge=1)
    batch_size: int = Field(256, ge=2)
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(1e-4, ge=0)
    dimension: int = Field(64, ge=2, le=4096)
    temperature: float = Field(0.1, gt=0)
    seed: int = Field(0, ge=0)
    threads: int = Field(1, ge=1)


class Rule(Section):
    """One rule of the gate. Which keys matter depends on the rule: see docs/gate.md."""

    rule: str
    metric: str = "accuracy"
    value: float | None = None
    margin: float = Field(0.0, ge=0)
    alpha: float = Field(0.05, gt=0, lt=0.5)
    minimum_n: int = Field(30, ge=1)
    control: str | None = None


class GateSettings(Section):
    """The policy. Its digest is written into every verdict; a verdict under another policy promotes nothing."""

    minimum_n: int = Field(100, ge=1)
    rules: tuple[Rule, ...] = (
        Rule(rule="beats_controls", margin=0.02),
        Rule(rule="no_worse_than_champion", margin=0.02),
        Rule(rule="no_slice_worse", margin=0.05),
    )

    @property
    def digest(self) -> str:
        return digest(self.model_dump(mode="json"))


class BudgetSettings(Section):
    """What the team accepts: false alarms a year over all detectors, and labels a month."""

    false_alarms_per_year: float = Field(1.0, gt=0, le=100)
    labels_per_month: int = Field(50, ge=0)
    weights: dict[str, Annotated[float, Field(gt=0)]] = {}


class WatchSettings(Section):
    """How traffic is cut into windows and when an estimate is believed."""

    window_days: float = Field(7.0, gt=0, le=400)
    minimum_rows: int = Field(100, ge=20)
    detectors: tuple[str, ...] = ("embedding", "prediction", "columns", "labelled_error")
    tolerance: float = Field(0.02, ge=0, lt=0.5)
    label_free_minimum: int = Field(500, ge=50)
    maximum_label_age_days: float = Field(90.0, gt=0)
    quiet_windows: int = Field(2, ge=1)


class LabelSettings(Section):
    """Whose labels are believed, and what they may be used for."""

    trusted_sources: tuple[str, ...] = ("review",)
    census_sources: tuple[str, ...] = ()
    train_share: float = Field(0.5, gt=0, lt=1)
    source_cap: float = Field(0.1, ge=0, le=1)


class RetrainSettings(Section):
    """What an error costs, what retraining costs, and whether the loop may promote by itself."""

    value_per_error: float = Field(1.0, ge=0)
    predictions_per_day: float | None = None
    horizon_days: float = Field(90.0, gt=0)
    cost_training: float = Field(50.0, ge=0)
    cost_per_label: float = Field(0.5, ge=0)
    cost_risk: float = Field(50.0, ge=0)
    labels: int = Field(500, ge=1)
    cool_down_days: float = Field(7.0, ge=0)
    auto_promote: bool = False


class ServeSettings(Section):
    """Limits of the server. It binds to loopback and asks for a key unless told otherwise."""

    host: str = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65535)
    require_key: bool = True
    max_rows: int = Field(4096, ge=1)
    max_body_bytes: int = Field(32 * 2**20, ge=1024)
    max_batch_rows: int = Field(64, ge=1)
    log_inputs: Literal["all", "hashed", "none"] = "all"
    on_log_failure: Literal["refuse", "answer_unlogged"] = "refuse"
    minimum_free_bytes: int = Field(64 * 2**20, ge=0)


class StoreSettings(Section):
    """Where the state is. Relative paths are relative to the project file."""

    path: str = ".backstay"


class Settings(Section):
    """One model in one environment: the top of the project file, with its overrides merged in."""

    version: int = VERSION
    name: str = Field("model", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
    environment: str = Field("production", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
    task: Literal["classification", "predictions"] = "classification"
    data: DataSettings = DataSettings()
    predictions: PredictionSettings = PredictionSettings()
    train: TrainSettings = TrainSettings()
    gate: GateSettings = GateSettings()
    budget: BudgetSettings = BudgetSettings()
    watch: WatchSettings = WatchSettings()
    labels: LabelSettings = LabelSettings()
    retrain: RetrainSettings = RetrainSettings()
    serve: ServeSettings = ServeSettings()
    store: StoreSettings = StoreSettings()


def find(start: Path) -> Path:
    """The project file in this folder or the nearest one above."""
    for folder in (start.resolve(), *start.resolve().parents):
        if (folder / FILE_NAME).is_file():
            return folder / FILE_NAME
    raise NotFound(
        f"no {FILE_NAME} in {start} or above",
        fix="begin with `backstay adopt MODEL.onnx ...` or `backstay init DATA ...`, or name the project with --project",
    )


def read(path: Path) -> dict[str, Any]:
    """The project file as it stands."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise NotFound(f"there is no project file {path}", fix="name one with --project") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BackstayError(f"{path} is not valid TOML: {error}", fix="mend the line that it names") from error


def model_names(document: dict[str, Any]) -> list[str]:
    """The models of a project: the one at the top, and those under [models.NAME]."""
    return [str(document.get("name", "model")), *document.get("models", {})]


def parse(document: dict[str, Any], *, model: str | None = None, environment: str | None = None) -> Settings:
    """Settings of one model in one environment. [models.NAME] and then [environments.NAME] override the top.

    >>> parse({"version": 1, "models": {"b": {"train": {"epochs": 3}}}}, model="b").train.epochs
    3
    """
    base = {k: v for k, v in document.items() if k not in ("models", "environments")}
    version = base.get("version", VERSION)
    if not isinstance(version, int) or version > VERSION:
        raise BackstayError(
            f"the project file has version {version!r}, this Backstay reads up to {VERSION}",
            fix="install a newer Backstay, or correct `version`",
        )
    if version < VERSION:
        raise BackstayError(f"the project file has version {version}", fix="run `backstay upgrade`, it backs up first")
    if model is not None and model != base.get("name", "model"):
        others = document.get("models", {})
        if model not in others:
            raise NotFound(f"the project has no model {model!r}", fix=nearest(model, model_names(document)))
        base = _merge({**base, "name": model}, others[model])
    if environment is not None and environment != base.get("environment", "production"):
        overrides = document.get("environments", {})
        if environment not in overrides:
            known = [base.get("environment", "production"), *overrides]
            raise NotFound(f"the project has no environment {environment!r}", fix=nearest(environment, known))
        base = _merge({**base, "environment": environment}, overrides[environment])
    try:
        return Settings.model_validate(base)
    except ValidationError as error:
        raise _explain(error) from error


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        inner = merged.get(key)
        merged[key] = _merge(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return merged


def _explain(error: ValidationError) -> BackstayError:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        parent, name = first["loc"][:-1], str(first["loc"][-1])
        return BackstayError(
            f"{FILE_NAME}: unknown key {where!r}", fix=nearest(name, _known_keys(tuple(str(p) for p in parent)))
        )
    return BackstayError(
        f"{FILE_NAME}: {where or 'the file'}: {first['msg'].lower()} (it says {first['input']!r})",
        fix="see docs/settings.md for what it may be",
    )


def _known_keys(parents: tuple[str, ...]) -> Iterator[str]:
    section: type[BaseModel] = Settings
    for part in parents:
        if part.isdigit():
            section = Rule
            continue
        annotation = section.model_fields[part].annotation if part in section.model_fields else None
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            section = annotation
    return iter(section.model_fields)


def json_schema() -> dict[str, Any]:
    """JSON Schema of the project file, for editors."""
    return Settings.model_json_schema()
