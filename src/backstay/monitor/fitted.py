"""The detectors that a reference allows, fitted once and kept as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backstay.kernel.errors import BackstayError
from backstay.kernel.ids import digest
from backstay.kernel.records import Json
from backstay.maths.budget import AlarmBudget
from backstay.monitor.detectors import DETECTORS, OF_LABELS, Detector
from backstay.monitor.inputs import InputSpace
from backstay.monitor.reference import Reference
from backstay.monitor.seasons import like_rows
from backstay.monitor.traffic import WindowData
from backstay.settings import Settings

VERSION = 4
# Labels are the only witness of a changed meaning and come in small numbers: a double share for their detectors, which
# those that are there divide between them, so that neither takes from the detectors of what moved.
WEIGHT_OF_LABELS = 2.0
# Where `embedding` reads the columns themselves, for want of learnt vectors, the two look at the same rows: the tests
# of the columns see more of what small changes do to tables, and have three parts of four of their double weight.
PART_OF_COLUMNS = 0.75
# What these hold is reference rows: they are fitted anew each time rather than kept where data is not.
KEEPS_ROWS = ("exchangeability", "novelty")
COLUMNS, EMBEDDING = "columns", "embedding"
# Detectors that compare a window's rows with reference rows, and so with rows of the same hours where asked to.
SEASONAL = (COLUMNS, EMBEDDING, "novelty", "prediction", "slices")


@dataclass(frozen=True, slots=True, eq=False)
class Detectors:
    """Reference, its input space, the fitted detectors by name, and why those are absent that ought to be there."""

    reference: Reference
    space: InputSpace | None
    members: Mapping[str, Detector]
    absent: Mapping[str, str]
    key: str

    @staticmethod
    def fit(reference: Reference, settings: Settings, key: str | None = None) -> Detectors:
        """Fit every detector that the settings name. One that lacks something is absent, with the reason.

        One that does not apply (columns, for images) is left out without a word. `key` names the fitted detectors
        where they are never kept: by default it is a hash of all that the reference holds.

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
        key = _key(reference, settings) if key is None else key
        return Detectors(reference, InputSpace.fit(reference), members, absent, key)

    @staticmethod
    def restore(reference: Reference, settings: Settings, cached: Json | None) -> Detectors:
        """From what `to_json` gave when it was made of the same reference and settings, else fitted afresh."""
        if cached is None or cached.get("key") != _key(reference, settings):
            return Detectors.fit(reference, settings)
        absent, members = dict(cached["absent"]), dict[str, Detector]()
        for name in settings.watch.detectors:
            if name in cached["members"]:
                members[name] = DETECTORS[name].from_json(cached["members"][name])
            elif name in KEEPS_ROWS and name not in absent:
                fitted = DETECTORS[name].fit(reference)
                if fitted is not None:
                    members[name] = fitted
        return Detectors(reference, InputSpace.fit(reference), members, absent, str(cached["key"]))

    def of_season(self, window: WindowData, settings: Settings) -> tuple[Mapping[str, Detector], Mapping[str, str]]:
        """The detectors for this window, those of rows fitted to reference rows of the same hours, and why not.

        Raises BackstayError when a season is asked for and it is not known when the reference rows happened.
        """
        season = settings.watch.season
        names = [name for name in self.members if name in SEASONAL]
        if season == "none" or not names:
            return self.members, {}
        if self.reference.times is None:
            raise BackstayError(
                f'watch.season = "{season}", and it is not known when the reference rows happened',
                fix="name their column of times as data.time and adopt or promote anew, or leave watch.season out",
            )
        if window.whole is not None:
            return self.members, dict.fromkeys(names, f"sketches of a window are not told by the {season}")
        rows = like_rows(self.reference.times, window.times, season)
        if rows is None:
            return self.members, dict.fromkeys(names, f"the reference has no rows of the same part of the {season}")
        like, members, failed = self.reference.take(rows), dict(self.members), {}
        for name in names:
            try:
                fitted = DETECTORS[name].fit(like)
            except BackstayError as error:
                failed[name] = f"of the same part of the {season} there are too few reference rows: {error}"
                continue
            if fitted is not None:
                members[name] = fitted
        return members, failed

    def to_json(self) -> dict[str, Any]:
        """JSON types only. The reference itself is not in it: it is data, kept where data is."""
        return {
            "key": self.key,
            "members": {n: member.to_json() for n, member in self.members.items() if n not in KEEPS_ROWS},
            "absent": dict(self.absent),
        }

    def budget(self, settings: Settings) -> AlarmBudget | None:
        """The false-alarm budget over the detectors that are present; the shares of absent ones go to the others."""
        if not self.members:
            return None
        labelled = WEIGHT_OF_LABELS / max(sum(name in self.members for name in OF_LABELS), 1)
        usual = {name: labelled if name in OF_LABELS else 1.0 for name in self.members}
        if self.space is not None and self.space.parts and {COLUMNS, EMBEDDING} <= self.members.keys():
            usual |= {COLUMNS: 2.0 * PART_OF_COLUMNS, EMBEDDING: 2.0 * (1.0 - PART_OF_COLUMNS)}
        weights = {name: settings.budget.weights.get(name, usual[name]) for name in self.members}
        return AlarmBudget(settings.budget.false_alarms_per_year, weights)


def _key(reference: Reference, settings: Settings) -> str:
    return digest({"version": VERSION, "reference": reference.digest, "detectors": list(settings.watch.detectors)})
