"""A policy that cannot be asked is refused before anything is trained."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from backstay.gate.evidence import HIGHER, LOWER
from backstay.kernel.errors import BackstayError, NotFound
from backstay.loop.policy import BESIDES, METRICS, SET_METRICS, VALUE_METRICS, check_gate
from backstay.settings import GateSettings, Rule


def ask(task: str = "classification", **rule: object) -> None:
    policy = GateSettings(rules=(Rule.model_validate(rule),))
    check_gate(SimpleNamespace(settings=SimpleNamespace(gate=policy, task=task)))


@pytest.mark.parametrize(
    ("rule", "what", "fix"),
    [
        ({"rule": "at_least", "metric": "acuracy", "value": 0.5}, "reads 'acuracy'", "did you mean 'accuracy'"),
        ({"rule": "no_worse_than_champion", "metric": "mape"}, "reads 'mape'", "known: accuracy"),
        ({"rule": "at_least", "metric": "accuracy"}, "names no value", "set value"),
        ({"rule": "at_least", "metric": "log_loss", "value": 0.1}, "bad enough", "ask with at_most"),
        ({"rule": "at_most", "metric": "recall", "value": 0.9}, "bad enough", "ask with at_least"),
        ({"rule": "beats_controls", "control": "raw_liner"}, "'raw_liner'", "did you mean 'raw_linear'"),
        ({"rule": "beats_controls", "metric": "mae"}, "a model whose task is classification", "known:"),
    ],
)
def test_what_cannot_be_asked_is_refused(rule, what, fix):
    with pytest.raises(BackstayError) as refusal:
        ask(**rule)
    assert what in refusal.value.what
    assert fix in refusal.value.fix


def test_a_rule_that_is_not_there_is_refused():
    with pytest.raises(NotFound, match="no rule named 'at_leest'"):
        ask(rule="at_leest")


def test_numbers_and_sets_have_figures_and_controls_of_their_own():
    ask("regression", rule="at_most", metric="mae", value=3.0)
    ask("regression", rule="beats_controls", metric="skill", control="median")
    ask("multilabel", rule="beats_controls", metric="jaccard", control="most_frequent_set")
    with pytest.raises(BackstayError, match="reads 'accuracy' unless metric is set"):
        ask("regression", rule="no_worse_than_champion", margin=0.02)
    with pytest.raises(BackstayError, match="the control 'majority'"):
        ask("regression", rule="beats_controls", metric="skill", control="majority")


@pytest.mark.parametrize("task", ["classification", "regression", "multilabel", "predictions"])
def test_the_usual_policy_can_be_asked(task):
    from backstay.settings import Settings

    settings = Settings.model_validate({"task": task})
    check_gate(SimpleNamespace(settings=settings))


def test_of_every_figure_of_ours_it_is_known_which_side_is_better():
    """Otherwise a bar from the wrong side would pass whatever is bad enough."""
    ours = {*METRICS.built_in, *VALUE_METRICS.built_in, *SET_METRICS.built_in, *BESIDES}
    assert ours == LOWER | HIGHER
    assert not LOWER & HIGHER


def test_run_refuses_before_it_reads_the_rows(trained):
    file = trained.folder / "backstay.toml"
    file.write_text(file.read_text().replace("margin = 0.2 } ]", 'metric = "mape" } ]'))
    (trained.folder / "orders.parquet").unlink()
    with pytest.raises(BackstayError, match="reads 'mape'"):
        trained.open().models.run()
