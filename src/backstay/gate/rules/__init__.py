"""The shelf of rules. A rule is a function `check(report, rule, context) -> RuleOutcome` that fails closed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from backstay.kernel.records import Report, RuleOutcome
from backstay.kernel.registry import Shelf
from backstay.settings import Rule


@dataclass(frozen=True, slots=True)
class Context:
    """What a rule may know besides the report: who is champion, and the fewest rows that count."""

    champion: str | None
    minimum_n: int


class Check(Protocol):
    """One rule. What is missing or not a number is refused, never passed over."""

    def __call__(self, report: Report, rule: Rule, context: Context, /) -> RuleOutcome: ...


RULES = Shelf(
    "rule",
    "backstay.rules",
    {
        "at_least": "backstay.gate.rules.at_least:check",
        "at_most": "backstay.gate.rules.at_most:check",
        "beats_controls": "backstay.gate.rules.beats_controls:check",
        "better_than_champion": "backstay.gate.rules.better_than_champion:check",
        "minimum_n": "backstay.gate.rules.minimum_n:check",
        "no_open_findings": "backstay.gate.rules.no_open_findings:check",
        "no_slice_worse": "backstay.gate.rules.no_slice_worse:check",
        "no_worse_than_champion": "backstay.gate.rules.no_worse_than_champion:check",
    },
)
