"""The schema of backstay.toml: what a reviewer should see in a diff. Secrets come from the environment only."""

from backstay.settings.data import DataSettings, PredictionSettings, SplitSettings
from backstay.settings.file import FILE_NAME, environment_names, find, json_schema, model_names, parse, read
from backstay.settings.gate import GateSettings, Rule
from backstay.settings.notify import MailSettings, NotifySettings
from backstay.settings.retrain import RetrainSettings
from backstay.settings.root import VERSION, Settings
from backstay.settings.serve import LogSettings, ServeSettings, SigningSettings, StoreSettings
from backstay.settings.train import ENCODER, TrainSettings
from backstay.settings.watch import BudgetSettings, LabelSettings, WatchSettings

__all__ = [
    "ENCODER",
    "FILE_NAME",
    "VERSION",
    "BudgetSettings",
    "DataSettings",
    "GateSettings",
    "LabelSettings",
    "LogSettings",
    "MailSettings",
    "NotifySettings",
    "PredictionSettings",
    "RetrainSettings",
    "Rule",
    "ServeSettings",
    "Settings",
    "SigningSettings",
    "SplitSettings",
    "StoreSettings",
    "TrainSettings",
    "WatchSettings",
    "environment_names",
    "find",
    "json_schema",
    "model_names",
    "parse",
    "read",
]
