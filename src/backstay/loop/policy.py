"""Can the policy be asked of this project's models? Looked at before any work is done that it is to judge."""

from __future__ import annotations

from backstay.evaluate.metrics import METRICS
from backstay.evaluate.metrics.sets import SET_METRICS
from backstay.evaluate.metrics.values import VALUE_METRICS
from backstay.gate.decide import check_policy
from backstay.gate.evidence import HIGHER, LOWER
from backstay.kernel.errors import BackstayError, nearest
from backstay.loop.workspace import Workspace
from backstay.settings import Rule

BARS = ("at_least", "at_most")
# The rules that read a figure. Those of other packages may read what they like.
READING = (*BARS, "beats_controls", "better_than_champion", "no_slice_worse", "no_worse_than_champion")
FIGURES = {"regression": VALUE_METRICS, "multilabel": SET_METRICS}
# What is measured besides: of an encoder's neighbours, and of images that answer images.
BESIDES = ("knn_accuracy", "psnr")
CONTROLS = {
    "regression": ("mean", "median", "raw_knn", "raw_linear", "last_value"),
    "multilabel": ("most_frequent_set", "raw_knn", "raw_linear"),
}
OF_CLASSES = ("majority", "raw_knn", "tf_idf_linear", "raw_linear", "last_label")
ENCODERS = ("random_encoder", "damaged_input")


def check_gate(ws: Workspace) -> None:
    """Raises BackstayError for a rule, a figure or a control that is not there, and a bar without a value or from the
    wrong side: such a policy would let models pass that nobody asked anything of, or judge after hours of training."""
    policy = ws.settings.gate
    check_policy(policy)
    for rule in policy.rules:
        if rule.rule in READING:
            _check(rule, ws.settings.task)


def _check(rule: Rule, task: str) -> None:
    figures = {*FIGURES.get(task, METRICS), *BESIDES}
    if rule.metric not in figures:
        unsaid = " unless metric is set" if "metric" not in rule.model_fields_set else ""
        raise BackstayError(
            f"in [[gate.rules]] {rule.rule} reads {rule.metric!r}{unsaid}, which is no figure of a model whose task is "
            f"{task}",
            fix=nearest(rule.metric, figures),
        )
    if rule.rule in BARS:
        wrong, other = (LOWER, "at_most") if rule.rule == "at_least" else (HIGHER, "at_least")
        if rule.metric in wrong:
            raise BackstayError(
                f"in [[gate.rules]] {rule.rule} {rule.metric} would pass every model that is bad enough",
                fix=f"of {rule.metric} {'less' if wrong is LOWER else 'more'} is better: ask with {other}",
            )
        if rule.value is None:
            raise BackstayError(
                f"in [[gate.rules]] {rule.rule} {rule.metric} names no value", fix="set value to what is asked for"
            )
    controls = (*CONTROLS.get(task, OF_CLASSES), *ENCODERS)
    if rule.rule == "beats_controls" and rule.control is not None and rule.control not in controls:
        raise BackstayError(
            f"in [[gate.rules]] beats_controls names the control {rule.control!r}, which is not there",
            fix=nearest(rule.control, controls),
        )
