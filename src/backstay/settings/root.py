"""The top of the project file: one model in one environment."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from backstay.settings.data import DataSettings, PredictionSettings
from backstay.settings.gate import ANOMALY_RULES, SET_RULES, VALUE_RULES, GateSettings, Rule
from backstay.settings.notify import NotifySettings
from backstay.settings.retrain import RetrainSettings
from backstay.settings.section import Section
from backstay.settings.serve import LogSettings, ServeSettings, SigningSettings, StoreSettings
from backstay.settings.train import ENCODER, TrainSettings
from backstay.settings.watch import BudgetSettings, LabelSettings, WatchSettings

VERSION = 1
# What an encoder's recipe and the policy are, unless said otherwise, for a target that is no class.
OTHERWISE: dict[str, tuple[dict[str, Any], tuple[Rule, ...]]] = {
    "regression": ({"objective": "huber", "head": "value", "augmentation": 0.0}, VALUE_RULES),
    "multilabel": ({"objective": "binary_cross_entropy", "head": "labels"}, SET_RULES),
}


class Settings(Section):
    """One model in one environment: the top of the project file, with its overrides merged in."""

    version: int = VERSION
    """Version of this file's schema; `backstay upgrade` moves it."""
    name: str = Field("model", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
    """What the model is called, in addresses and in the ledger."""
    environment: str = Field("production", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
    """Where it runs; each environment has its own releases."""
    task: Literal["classification", "regression", "multilabel", "predictions"] = "classification"
    """"regression": the target is a number. "multilabel": the target is a set of labels. "predictions": the model lives
    elsewhere and only its answers are known."""
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
    notify: NotifySettings = NotifySettings()
    """Who is told."""
    store: StoreSettings = StoreSettings()
    """Where the state is."""

    @model_validator(mode="before")
    @classmethod
    def _of_other_targets(cls, given: Any) -> Any:
        """Where the target is no class, or the answer a rank, the parts that speak of classes have other defaults."""
        train, gate = (_table(given, name) for name in ("train", "gate"))
        if train is None or gate is None:
            return given
        rules: tuple[Rule, ...] | None = ANOMALY_RULES if train.get("head") == "anomaly" else None
        task = str(given.get("task"))
        if task in OTHERWISE:
            recipe, rules = OTHERWISE[task]
            if train.get("model", ENCODER) == ENCODER:
                given = {**given, "train": {**recipe, "early_stopping": "loss", **train}}
        if rules is None:
            return given
        gate.setdefault("rules", [rule.model_dump() for rule in rules])
        return {**given, "gate": gate}


def _table(given: Any, name: str) -> dict[str, Any] | None:
    """A table of the file as it was given; None where it is no table, which is told elsewhere."""
    found = (given.get(name) or {}) if isinstance(given, dict) else None
    return dict(found) if isinstance(found, dict | Section) else None
