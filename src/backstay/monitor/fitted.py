"""The detectors that a reference allows, fitted once and kept as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backstay.kernel.errors import BackstayError
from backstay.kernel.ids import digest
from backstay.kernel.records import Json
from backstay.maths.budget import AlarmBudget
from backstay.monitor.detectors import DETECTORS, Detector
from backstay.monitor.inputs import InputSpace
from backstay.monitor.reference import Reference
from backstay.settings import Settings

VERSION = 1
# Labels are the only witness of a changed meaning and come in small numbers: their detector gets a double share.
WEIGHTS = {"labelled_error": 2.0}


@dataclass(frozen=True, slots=True, eq=False)
class Detectors:
    """Reference, its input space, the fitted detectors by name, and why those are absent that ought to be there."""

    reference: Reference
    space: InputSpace | None
    members: Mapping[str, Detector]
    absent: Mapping[str, str]
    key: str

    @staticmethod
    def fit(reference: Reference, settings: Settings) -> Detectors:
        """Fit every detector that the settings name. One that lacks something is absent, with the reason.

        One that does not apply (columns, for images) is left out without a word.

        Raises NotFound for a name that is not on the shelf.
        """
        members: dict[str, Detector] = {}
        absent: dict[str, str] = {}
        for name in settings.watch.detectors:
            try:
                fitted = DETECTORS[name].fit(reference)
            except BackstayError as error:
                if name not in DETECTORS:
                    raise
                absent[name] = str(error)
                continue
            if fitted is not None:
                members[name] = fitted
        return Detectors(reference, InputSpace.fit(reference), members, absent, _key(reference, settings))

    @staticmethod
    def restore(reference: Reference, settings: Settings, cached: Json | None) -> Detectors:
        """From what `to_json` gave when it was made of the same reference and settings, else fitted afresh."""
        if cached is None or cached.get("key") != _key(reference, settings):
            return Detectors.fit(reference, settings)
        members = {name: DETECTORS[name].from_json(state) for name, state in cached["members"].items()}
        return Detectors(reference, InputSpace.fit(reference), members, dict(cached["absent"]), str(cached["key"]))

    def to_json(self) -> dict[str, Any]:
        """JSON types only. The reference itself is not in it: it is data, kept where data is."""
        return {
            "key": self.key,
            "members": {name: member.to_json() for name, member in self.members.items()},
            "absent": dict(self.absent),
        }

    def budget(self, settings: Settings) -> AlarmBudget | None:
        """The false-alarm budget over the detectors that are present; the shares of absent ones go to the others."""
        if not self.members:
            return None
        weights = {name: settings.budget.weights.get(name, WEIGHTS.get(name, 1.0)) for name in self.members}
        return AlarmBudget(settings.budget.false_alarms_per_year, weights)


def _key(reference: Reference, settings: Settings) -> str:
    return digest({"version": VERSION, "reference": reference.digest, "detectors": list(settings.watch.detectors)})
