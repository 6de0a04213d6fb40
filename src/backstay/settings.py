"""The schema of backstay.toml: what a reviewer should see in a diff. Secrets come from the environment only."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from backstay.kernel.errors import BackstayError, NotFound, nearest
from backstay.kernel.ids import digest

FILE_NAME = "backstay.toml"
VERSION = 1
ENCODER = "encoder"


class Section(BaseModel):
    """A table of the project file. Unknown keys are errors that name the nearest known key."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class SplitSettings(Section):
    """How rows are dealt to training, tuning (early stopping, calibration) and the gate.

    By hash, so that appending rows moves none of the others.
    """

    train: float = Field(0.6, gt=0, lt=1)
    """Share of rows that models learn from."""
    tune: float = Field(0.15, gt=0, lt=1)
    """Share for early stopping and calibration."""
    gate: float = Field(0.25, gt=0, lt=1)
    """Share that judges, and that nothing learns from."""
    by: Literal["hash", "time"] = "hash"
    """Deal by "hash" of the group, the id or else the row's content, or by "time": the newest rows to the gate."""

    @model_validator(mode="after")
    def _whole(self) -> SplitSettings:
        if abs(self.train + self.tune + self.gate - 1) > 1e-9:
            raise ValueError("train, tune and gate must add up to 1")
        return self


class DataSettings(Section):
    """Where the rows are and what their columns mean."""

    source: str | None = None
    """File or folder of rows, relative to the project file."""
    unlabelled: str | None = None
    """File or folder of more rows, without labels, for objectives that learn without them; never measured on."""
    target: str | None = None
    """Column of true labels."""
    id: str | None = None
    """Column with a value of its own per row."""
    time: str | None = None
    """Column that says when the row happened."""
    group: str | None = None
    """Column of persons, machines or documents: rows of one group stay on one side of the gate."""
    time_zone: str | None = None
    """IANA name of the zone of times that carry none; without it such times are refused."""
    features: tuple[str, ...] | None = None
    """Columns that the model sees; all that have no other role when absent."""
    ignore: tuple[str, ...] = ()
    """Columns to leave out."""
    slices: tuple[str, ...] = ()
    """Columns by whose values results are measured on their own."""
    columns: dict[str, Literal["number", "integer", "category", "text", "boolean", "time", "image", "vector"]] = {}
    """How a column is read, by column name."""
    split: SplitSettings = SplitSettings()
    """How rows are dealt."""


class PredictionSettings(Section):
    """Column names in files of predictions that another system made."""

    id: str = "id"
    """Column of prediction ids."""
    time: str | None = None
    """Column of times; the time of logging when absent."""
    prediction: str = "prediction"
    """Column of predicted labels."""
    score: str | None = None
    """Column of one class's probability."""
    positive: str | None = None
    """The class that `score` is the probability of; of two classes the second when absent."""
    scores: dict[str, str] = {}
    """Column of the probability of each class, by class; instead of `score`."""
    embedding: str | None = None
    """Column of embeddings, a list of numbers a row."""
    group: str | None = None
    """Column that names whose rows belong together."""


class TrainSettings(Section):
    """The recipe. Two runs with the same recipe, data, seed, threads and versions give the same bundle."""

    model: str = ENCODER
    """"encoder" trains an encoder, an objective and a head; the others, for tables, stand in docs/learning.md."""
    model_options: dict[str, float | int | str | bool] = {}
    """Options of a model without an encoder; docs/learning.md names them."""
    encoder: str = "auto"
    """"auto" takes conv for images and mlp for tables; see docs/learning.md."""
    objective: str = "cross_entropy"
    """What training minimises; see docs/learning.md."""
    head: str = "linear"
    """What turns embeddings into scores; see docs/learning.md."""
    encoder_options: dict[str, float | int | str | bool] = {}
    """Options of the encoder; docs/learning.md names them."""
    objective_options: dict[str, float | int | str | bool] = {}
    """Options of the objective; docs/learning.md names them."""
    head_options: dict[str, float | int | str | bool] = {}
    """Options of the head; docs/learning.md names them."""
    epochs: int = Field(20, ge=1, le=10_000)
    """Most passes over the training rows."""
    patience: int = Field(4, ge=1)
    """Epochs without progress on the tuning rows after which training stops."""
    early_stopping: Literal["auto", "loss", "knn"] = "auto"
    """What progress is: a lower "loss" of the tuning rows, or more of them whose nearest training rows are of their
    class ("knn"); "auto" takes loss for objectives that learn from labels and knn for the others."""
    batch_size: int = Field(256, ge=2)
    """Rows a step."""
    samples_per_class: int = Field(0, ge=0, le=1000)
    """Rows a class in a batch of few classes; 0 leaves it to the objective: 4 where it needs partners, else any."""
    cached_rows: int = Field(0, ge=0)
    """Rows held in memory at once within a step, for batches larger than memory; 0 holds them all."""
    augmentation: float = Field(1.0, ge=0, le=10)
    """Strength of the random changes to training rows; 0 leaves them as they are."""
    flip: bool = False
    """Mirror half of the training images left to right; not where that changes what they show, as with digits."""
    learning_rate: float = Field(1e-3, gt=0)
    """Step size at its highest."""
    schedule: Literal["cosine", "one_cycle"] = "cosine"
    """How the step size goes: "cosine" falls from its highest, epoch by epoch; "one_cycle" rises for a fifth of the
    steps, then falls, step by step, which allows larger steps in few epochs (Smith & Topin 2018)."""
    weight_decay: float = Field(1e-4, ge=0)
    """Pull of the weights towards zero."""
    dimension: int = Field(64, ge=2, le=4096)
    """Length of an embedding."""
    temperature: float = Field(0.1, gt=0)
    """Temperature of the contrastive objective; smaller looks at harder pairs."""
    seed: int = Field(0, ge=0)
    """Of everything that is random in training."""
    threads: int = Field(1, ge=1)
    """Threads of the training process; part of what makes a bundle repeatable."""
    device: Literal["auto", "cpu", "cuda"] = "cpu"
    """Where training computes: "cuda" is a GPU, with half precision in the encoder; "auto" takes one if there is one.
    Bundles are the same bytes again on a CPU only."""


class Rule(Section):
    """One rule of the gate. Which keys matter depends on the rule: see docs/rules.md."""

    rule: str
    """Name of the rule."""
    metric: str = "accuracy"
    """Metric that the rule reads; see docs/metrics.md."""
    value: float | None = None
    """What at_least and at_most ask for."""
    margin: float = Field(0.0, ge=0)
    """How far behind still passes, in units of the metric."""
    alpha: float = Field(0.05, gt=0, lt=0.5)
    """One-sided level of the rule's test."""
    minimum_n: int = Field(30, ge=1)
    """no_slice_worse judges slices from so many rows on."""
    control: str | None = None
    """beats_controls looks at this control only: majority, raw_knn, or tf_idf_linear for texts; without it also at the
    encoder's own neighbours against those by the raw input and by the untrained encoder."""


class GateSettings(Section):
    """The policy. Its digest is written into every verdict; a verdict under another policy promotes nothing."""

    minimum_n: int = Field(100, ge=1)
    """Fewest rows that may decide anything."""
    rules: tuple[Rule, ...] = (
        Rule(rule="beats_controls", margin=0.02),
        Rule(rule="no_worse_than_champion", margin=0.02),
        Rule(rule="no_slice_worse", margin=0.05),
    )
    """All must pass; minimum_n and no_open_findings are asked besides, whatever stands here."""

    @property
    def digest(self) -> str:
        return digest(self.model_dump(mode="json"))


class BudgetSettings(Section):
    """What the team accepts: false alarms a year over all detectors, and labels a month."""

    false_alarms_per_year: float = Field(1.0, gt=0, le=100)
    """Expected false alarms a year that the team accepts, over all detectors."""
    labels_per_month: int = Field(50, ge=0)
    """Labels that the team gives each month for the standing sample."""
    weights: dict[str, Annotated[float, Field(gt=0)]] = {}
    """A detector's part of the false alarms relative to the others, by name."""


class WatchSettings(Section):
    """How traffic is cut into windows and when an estimate is believed."""

    window_days: float = Field(7.0, gt=0, le=400)
    """Length of a window."""
    minimum_rows: int = Field(100, ge=20)
    """A window with fewer rows is joined to the next."""
    detectors: tuple[str, ...] = ("embedding", "prediction", "columns", "labelled_error")
    """Which ones watch; see docs/detectors.md."""
    tolerance: float = Field(0.02, ge=0, lt=0.5)
    """How much accuracy may fall below the reference before it counts as worse."""
    label_free_minimum: int = Field(500, ge=50)
    """Labelled reference rows below which accuracy is not estimated without labels."""
    maximum_label_age_days: float = Field(90.0, gt=0)
    """Without a label newer than this, accuracy is no longer estimated from inputs alone."""
    quiet_windows: int = Field(2, ge=1)
    """Windows without a signal that end an alarm episode."""


class LabelSettings(Section):
    """Whose labels are believed, and what they may be used for."""

    trusted_sources: tuple[str, ...] = ("review",)
    """Sources that are believed. Keys that post feedback are `key:NAME`."""
    census_sources: tuple[str, ...] = ()
    """Trusted sources that label every row, late or soon: a third of their labels are the standing sample."""
    train_share: float = Field(0.5, gt=0, lt=1)
    """Share of the trusted labels that is learned from; the rest goes to the gate."""
    source_cap: float = Field(0.1, ge=0, le=1)
    """Most that one untrusted source may be of the training rows."""


class RetrainSettings(Section):
    """What an error costs, what retraining costs, and whether the loop may promote by itself."""

    value_per_error: float = Field(1.0, ge=0)
    """Cost of one wrong answer, in your currency, as all costs here."""
    predictions_per_day: float | None = None
    """Rows answered a day; counted over the last four windows when absent."""
    horizon_days: float = Field(90.0, gt=0)
    """How long a retrained model is expected to be of use."""
    cost_training: float = Field(50.0, ge=0)
    """Cost of training once."""
    cost_per_label: float = Field(0.5, ge=0)
    """Cost of one label."""
    cost_risk: float = Field(50.0, ge=0)
    """What replacing a live model costs in care and risk."""
    labels: int = Field(500, ge=1)
    """New labels to have for training and gate before retraining."""
    cool_down_days: float = Field(7.0, ge=0)
    """No retraining so soon after a promotion."""
    auto_promote: bool = False
    """Whether `watch --act` may promote what passed the gate."""
    from_log: bool = True
    """Whether challengers learn from logged rows; false: they are made elsewhere, and judged on reference rows."""


class ServeSettings(Section):
    """Limits of the server. It binds to loopback and asks for a key unless told otherwise."""

    host: str = "127.0.0.1"
    """Address to bind to. One that others can reach demands keys."""
    port: int = Field(8080, ge=0, le=65535)
    """Port; 0 picks a free one and prints it."""
    require_key: bool = True
    """Whether requests need a key."""
    max_rows: int = Field(4096, ge=1)
    """Most rows in one request."""
    max_body_bytes: int = Field(32 * 2**20, ge=1024)
    """Most bytes in one request."""
    max_batch_rows: int = Field(64, ge=1)
    """Most rows that are run through the model together."""
    log_inputs: Literal["all", "hashed", "none"] = "all"
    """What is kept of inputs: "all", "hashed" (a SHA-256 a row), or "none". Without them no detector that reads
    inputs can watch and nothing can be learned from the log: leave "columns" out of `watch.detectors` and set
    `retrain.from_log = false`, or this is refused."""
    on_log_failure: Literal["refuse", "answer_unlogged"] = "refuse"
    """When the log cannot be written: "refuse" (507), or "answer_unlogged" and count it."""
    minimum_free_bytes: int = Field(64 * 2**20, ge=0)
    """Free disk space below which nothing more is logged."""


class LogSettings(Section):
    """How long logged rows are kept. Reference data, gate rows, labels and the ledger are not the log: they stay."""

    keep_days: int | None = Field(None, ge=1)
    """Whole UTC days after which predictions and feedback leave the log, at `gc` and `watch --act`; for ever when
    absent. At least two windows and `watch.maximum_label_age_days`; what no window has judged yet waits."""


class SigningSettings(Section):
    """Whose signature makes a model fit to go live. The private key comes from BACKSTAY_SIGNING_KEY only."""

    trusted: tuple[Annotated[str, Field(pattern=r"^ed25519:[A-Za-z0-9+/]{43}=$")], ...] = ()
    """Public keys, as `backstay sign --new-key` prints them: "ed25519:...". A signature of one of them that does not
    hold is an error, wherever the model is used."""
    require: bool = False
    """Whether a model needs the signature of a trusted key to be promoted, rolled back to, or served."""

    @model_validator(mode="after")
    def _somebody(self) -> SigningSettings:
        if self.require and not self.trusted:
            raise ValueError("require = true and no key is trusted: nothing could ever go live; name one in trusted")
        return self


class StoreSettings(Section):
    """Where the state is. Relative paths are relative to the project file."""

    path: str = ".backstay"
    """Folder of all state, on a local disk."""


class Settings(Section):
    """One model in one environment: the top of the project file, with its overrides merged in."""

    version: int = VERSION
    """Version of this file's schema; `backstay upgrade` moves it."""
    name: str = Field("model", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
    """What the model is called, in addresses and in the ledger."""
    environment: str = Field("production", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
    """Where it runs; each environment has its own releases."""
    task: Literal["classification", "predictions"] = "classification"
    """"predictions": the model lives elsewhere and only its answers are known."""
    data: DataSettings = DataSettings()
    """The rows."""
    predictions: PredictionSettings = PredictionSettings()
    """Columns in files of predictions."""
    train: TrainSettings = TrainSettings()
    """The recipe."""
    gate: GateSettings = GateSettings()
    """The policy."""
    budget: BudgetSettings = BudgetSettings()
    """What the team accepts."""
    watch: WatchSettings = WatchSettings()
    """How traffic is judged."""
    labels: LabelSettings = LabelSettings()
    """Whose labels count."""
    retrain: RetrainSettings = RetrainSettings()
    """When retraining pays."""
    serve: ServeSettings = ServeSettings()
    """The server."""
    log: LogSettings = LogSettings()
    """How long logged rows are kept."""
    signing: SigningSettings = SigningSettings()
    """Whose signature counts."""
    store: StoreSettings = StoreSettings()
    """Where the state is."""


def find(start: Path) -> Path:
    """The project file in this folder or the nearest one above."""
    for folder in (start.resolve(), *start.resolve().parents):
        if (folder / FILE_NAME).is_file():
            return folder / FILE_NAME
    raise NotFound(
        f"no {FILE_NAME} in {start} or above",
        fix="begin with `backstay adopt MODEL.onnx ...` or `backstay init DATA ...`, or name one with --project",
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
        settings = Settings.model_validate(base)
    except ValidationError as error:
        raise _explain(error) from error
    problems = [*_blinded(settings), *_too_short(settings)]
    if problems:
        raise BackstayError(
            f"{FILE_NAME}: {'; '.join(what for what, _ in problems)}", fix="; ".join(fix for _, fix in problems)
        )
    return settings


def _blinded(settings: Settings) -> Iterator[tuple[str, str]]:
    """What a log without inputs makes impossible, as far as the project file alone can tell; and a way out of each."""
    retrain, kept = settings.retrain, settings.serve.log_inputs
    if retrain.auto_promote and not retrain.from_log:
        yield (
            "retrain.auto_promote = true is about what `watch --act` retrains, and retrain.from_log = false forbids it",
            "set retrain.auto_promote = false",
        )
    # Where only predictions are known no server of ours logs anything: what an import holds is in the import.
    if kept == "all" or settings.task == "predictions":
        return
    what = f'serve.log_inputs = "{kept}" keeps no inputs'
    if "columns" in settings.watch.detectors:
        yield (
            f'{what}, and the detector "columns" in watch.detectors reads them',
            'take "columns" out of watch.detectors, or set serve.log_inputs = "all"',
        )
    if retrain.from_log:
        able = "retrain.auto_promote = true and " if retrain.auto_promote else ""
        yield (
            f"{what}, and {able}retrain.from_log = true would have challengers learn from them",
            "set retrain.from_log = false and auto_promote = false and offer challengers with `backstay adopt "
            '--challenger`, or set serve.log_inputs = "all"',
        )


def _too_short(settings: Settings) -> Iterator[tuple[str, str]]:
    """A log that forgets what windows, late labels and the standing sample still need."""
    kept, watch = settings.log.keep_days, settings.watch
    if kept is None:
        return
    if kept < 2 * watch.window_days:
        yield (
            f"log.keep_days = {kept} is shorter than two windows of watch.window_days = {watch.window_days:g}: rows "
            "are drawn for labels when their window closes, and looked at while the next one fills",
            f"keep {math.ceil(2 * watch.window_days)} days or more, or shorten the windows",
        )
    if kept < watch.maximum_label_age_days:
        yield (
            f"log.keep_days = {kept} is shorter than watch.maximum_label_age_days = {watch.maximum_label_age_days:g}: "
            "a label that comes so late would find no row",
            f"keep {math.ceil(watch.maximum_label_age_days)} days or more, or lower watch.maximum_label_age_days",
        )


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
