"""What `beats_controls` says of encoders: surely behind by however little is refused, and refusals do not contradict
themselves."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from backstay.gate.rules import RULES, Context
from backstay.kernel.records import Interval
from backstay.settings import Rule

LIVE = Context(champion=None, minimum_n=30)


def ask(report, **fields):
    return RULES["beats_controls"](report, Rule(rule="beats_controls", margin=0.02, **fields), LIVE)


@pytest.fixture
def given(compared):
    """A comparison with the interval beside it."""

    def make(difference, low, high, against="control:tf_idf_linear", metric="accuracy", bound=None, n=3080):
        found = compared(difference, low if bound is None else bound, against=against, metric=metric, n=n)
        return replace(found, interval=Interval(low, high))

    return make


@pytest.fixture
def encoder(report, measured, compared, given):
    """A report on an encoder whose neighbours are ahead of their controls, unless others are given."""

    def make(*comparisons, knn=True, space=()):
        names = {c.against for c in space}
        ahead = [
            given(0.05, 0.03, 0.07, against=f"control:{name}", metric="knn_accuracy")
            for name in ("raw_knn", "random_encoder")
            if f"control:{name}" not in names
        ]
        majority = compared(0.5, 0.4, against="control:majority")
        figures = [measured(), measured(metric="knn_accuracy")][: 2 if knn else 1]
        return report(majority, *comparisons, *(ahead if knn else []), *space, measurements=figures)

    return make


def test_an_encoder_surely_behind_a_control_within_the_margin_is_refused_with_the_gap(encoder, given):
    outcome = ask(encoder(given(-0.0062, -0.0115, -0.0008)))
    assert not outcome.passed
    assert outcome.message == (
        "surely behind tf_idf_linear by 0.006 (0.001 to 0.011): the encoder brings nothing for this metric"
    )
    assert not ask(encoder(given(-0.0062, -0.0115, -0.0008)), control="tf_idf_linear").passed


def test_an_encoder_that_may_be_level_passes_and_is_told_what_it_was_measured_behind(encoder, given):
    outcome = ask(encoder(given(-0.0042, -0.0115, 0.0031)))
    assert outcome.passed
    assert outcome.message == (
        "behind none of 2 controls by 0.02; measured behind tf_idf_linear by 0.004 (0.003 ahead to 0.011 behind)"
    )
    assert ask(encoder(given(-0.0042, -0.0115, 0.0))).passed


def test_a_model_without_an_encoder_keeps_the_margin_and_is_told_the_gap(encoder, given, compared):
    outcome = ask(encoder(given(-0.0062, -0.0115, -0.0008), knn=False))
    assert outcome.passed
    assert outcome.message.endswith("measured behind tf_idf_linear by 0.006 (0.001 to 0.011)")
    bare = ask(encoder(compared(-0.006, -0.01, against="control:raw_knn"), knn=False))
    assert bare.message.endswith("measured behind raw_knn by 0.006")


def test_a_line_that_is_surely_ahead_refuses_an_encoder_of_numbers_too(encoder, given):
    line = given(-0.0062, -0.0115, -0.0008, against="control:raw_linear")
    assert "surely behind raw_linear by 0.006" in ask(encoder(line, knn=False)).message


def test_what_is_bought_with_accuracy_may_be_allowed(encoder, given):
    none_of_these = given(-0.034, -0.059, -0.012, against="control:raw_knn", bound=-0.015)
    space = given(-0.034, -0.059, -0.012, against="control:raw_knn", metric="knn_accuracy", bound=-0.015)
    assert ask(encoder(none_of_these, space=[space]), surely_behind=0.012).passed
    outcome = ask(encoder(none_of_these, space=[space]), surely_behind=0.011)
    assert not outcome.passed
    assert outcome.message.startswith(
        "surely behind raw_knn by 0.034 (0.012 to 0.059), allowed is 0.011: the encoder brings nothing for this metric"
    )
    assert "surely behind those by the raw input" in outcome.message


def test_an_interval_that_is_not_a_number_or_missing_decides_nothing_in_favour(encoder, given, compared):
    assert not ask(encoder(given(-0.006, -0.0115, math.nan))).passed
    assert not ask(encoder(compared(-0.006, -0.01, worse=0.02, against="control:raw_knn"))).passed
    assert ask(encoder(compared(-0.006, -0.01, worse=0.03, against="control:raw_knn"))).passed


@pytest.mark.parametrize(
    ("name", "words"), [("raw_knn", "the raw input"), ("random_encoder", "the same encoder untrained")]
)
def test_neighbours_surely_behind_are_refused_within_the_margin(encoder, given, name, words):
    outcome = ask(encoder(space=[given(-0.008, -0.015, -0.001, against=f"control:{name}", metric="knn_accuracy")]))
    assert not outcome.passed
    assert outcome.message == (
        "the encoder may be of no use: nearest neighbours in its space are surely behind those by "
        f"{words} by 0.008 (0.001 to 0.015)"
    )


def test_too_few_rows_are_called_that_and_nothing_measured_ahead_is_called_behind(encoder, given):
    few = given(0.013, -0.04, 0.06, against="control:random_encoder", metric="knn_accuracy", bound=-0.0355, n=85)
    ahead = given(0.004, -0.05, 0.05, against="control:raw_knn", bound=-0.036, n=85)
    level = given(0.0, -0.05, 0.05, bound=-0.0348, n=85)
    assert ask(encoder(ahead, level, space=[few])).message == (
        "may be behind simple controls by more than the margin of 0.02: "
        "raw_knn (0.004 ahead, but 85 rows cannot exclude 0.036 behind: up to 240 may be needed), "
        "tf_idf_linear (level, but 85 rows cannot exclude 0.035 behind: up to 260 may be needed); "
        "the encoder may be of no use: nearest neighbours in its space may be behind those by the same encoder "
        "untrained (0.013 ahead, but 85 rows cannot exclude 0.035 behind: up to 190 may be needed), "
        "by more than the margin of 0.02"
    )


def test_where_rows_would_not_help_none_are_asked_for(encoder, given):
    behind = given(-0.05, -0.07, 0.01, against="control:raw_knn", bound=-0.066, n=500)
    assert "raw_knn (0.050 behind, 0.066 at worst)" in ask(encoder(behind)).message
    nearly = given(-0.0199, -0.04, 0.01, against="control:raw_knn", bound=-0.036, n=500)
    recipe = "where a better recipe helps rather than more rows"
    assert f"(0.020 behind, 0.036 at worst, {recipe})" in ask(encoder(nearly)).message
    half = given(-0.011, -0.03, 0.01, against="control:raw_knn", bound=-0.026, n=500)
    assert f"(0.011 behind, 0.026 at worst, {recipe})" in ask(encoder(half)).message
    sure = given(-0.009, -0.03, -0.001, against="control:raw_knn", bound=-0.026, n=500)
    told = ask(encoder(sure)).message
    assert f"(0.009 behind, 0.026 at worst, {recipe}); surely behind raw_knn by 0.009" in told
    assert "may be needed" not in told
    hardly = given(-0.004, -0.03, 0.02, against="control:raw_knn", bound=-0.027, n=281)
    assert (
        "(0.004 behind, but 281 rows cannot exclude 0.027 behind: up to 590 may be needed)"
        in ask(encoder(hardly)).message
    )


def test_that_the_encoder_may_be_of_no_use_is_said_once(encoder, given):
    linear = given(-0.03, -0.06, 0.01, against="control:raw_linear", bound=-0.05)
    space = given(-0.03, -0.06, 0.01, against="control:random_encoder", metric="knn_accuracy", bound=-0.05)
    message = ask(encoder(linear, space=[space])).message
    assert message.count("of no use") == 1
    assert "; nearest neighbours in its space may be behind" in message


def test_a_constant_answer_is_to_be_beaten_not_only_met(report, compared):
    outcome = ask(report(compared(0.01, -0.01, against="control:majority")))
    assert outcome.message == (
        "not shown to be ahead of majority (0.010 ahead, but 500 rows cannot exclude 0.010 behind: "
        "up to 2,000 may be needed)"
    )
    # Nobody has a million rows for the gate: no such number is told.
    outcome = ask(report(compared(0.001, -0.05, against="control:majority")))
    assert outcome.message == (
        "not shown to be ahead of majority (0.001 ahead, but 500 rows cannot exclude 0.050 behind)"
    )
