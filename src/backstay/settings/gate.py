"""[gate]: the policy."""

from __future__ import annotations

from pydantic import Field

from backstay.kernel.ids import digest
from backstay.settings.section import Section


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
    surely_behind: float = Field(0.0, ge=0)
    """beats_controls: how far an encoder may be proved to be behind a control; `margin` is for what is not known. Raise
    it where something is bought with accuracy, such as "none of these"."""
    alpha: float = Field(0.05, gt=0, lt=0.5)
    """One-sided level of the rule's test."""
    minimum_n: int = Field(30, ge=1)
    """no_slice_worse judges slices from so many rows on."""
    control: str | None = None
    """beats_controls looks at this control only: majority, raw_knn, tf_idf_linear for texts, raw_linear for tables with
    an encoder, or last_label with data.time (of a regression mean, median, raw_knn, raw_linear, last_value; of sets of
    labels most_frequent_set, raw_knn, raw_linear); without it also at the encoder's own neighbours against those by the
    raw input and by the untrained encoder."""


# What asks of a regression what the usual policy asks of a classifier, in a figure that has no unit.
VALUE_RULES = (
    Rule(rule="beats_controls", metric="skill", margin=0.02),
    Rule(rule="no_worse_than_champion", metric="skill", margin=0.02),
    Rule(rule="no_slice_worse", metric="skill", margin=0.05),
)


# The same of sets of labels: how much of the two sets, the answered and the true, is common to both, row by row.
SET_RULES = (
    Rule(rule="beats_controls", metric="jaccard", margin=0.02),
    Rule(rule="no_worse_than_champion", metric="jaccard", margin=0.02),
    Rule(rule="no_slice_worse", metric="jaccard", margin=0.05),
)


# The same of a model with the head "anomaly", which ranks: accuracy hardly tells it from "always normal". Slices are
# still judged by the answers at its level, since few hold anomalies enough to rank.
ANOMALY_RULES = (
    Rule(rule="beats_controls", metric="auc", margin=0.02),
    Rule(rule="no_worse_than_champion", metric="auc", margin=0.02),
    Rule(rule="no_slice_worse", margin=0.05),
)


class GateSettings(Section):
    """The policy. Its digest is written into every verdict; a verdict under another policy promotes nothing."""

    minimum_n: int = Field(100, ge=1)
    """Fewest rows that may decide anything."""
    rules: tuple[Rule, ...] = (
        Rule(rule="beats_controls", margin=0.02),
        Rule(rule="no_worse_than_champion", margin=0.02),
        Rule(rule="no_slice_worse", margin=0.05),
    )
    """All must pass; of a regression the same three read `skill`, of sets of labels `jaccard`, and of a model with the
    head "anomaly" the first two read `auc`.
    minimum_n and no_open_findings are asked besides, whatever stands here."""

    @property
    def digest(self) -> str:
        return digest(self.model_dump(mode="json"))
