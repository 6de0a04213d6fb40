"""Each rule: when it passes, when it refuses at its boundary, and that nothing missing or not a number passes."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from backstay.gate.rules import RULES, Context
from backstay.kernel.records import Comparison, Finding, Interval, Measurement, Report, Severity
from backstay.settings import Rule

LIVE = Context(champion="champ", minimum_n=100)
FIRST = Context(champion=None, minimum_n=100)
NOON = datetime(2026, 3, 1, tzinfo=UTC)
NOT_NUMBERS = [math.nan, math.inf, -math.inf, None, "0.9", True]


def ask(name, report, context=LIVE, **rule):
    return RULES[name](report, Rule(rule=name, **rule), context)


class TestThresholds:
    def test_the_lower_end_must_reach_the_value(self, report):
        assert ask("at_least", report(), value=0.88).passed
        outcome = ask("at_least", report(), value=0.8801)
        assert not outcome.passed
        assert outcome.message == "accuracy is 0.900 (0.880 to 0.920, n=500), asked for at least 0.8801"
        assert outcome.evidence["low"] == 0.88

    def test_the_upper_end_must_stay_under_the_value(self, report, measured):
        loss = report(measurements=[measured(metric="log_loss")])
        assert ask("at_most", loss, metric="log_loss", value=0.92).passed
        outcome = ask("at_most", loss, metric="log_loss", value=0.9199)
        assert not outcome.passed
        assert outcome.message == "log_loss is 0.900 (0.880 to 0.920, n=500), asked for at most 0.9199"

    @pytest.mark.parametrize(
        ("name", "metric", "other"),
        [
            *(("at_least", m, "at_most") for m in ("log_loss", "calibration_error", "called_none", "mae")),
            *(("at_most", m, "at_least") for m in ("accuracy", "auc", "recall", "f1", "knn_accuracy", "jaccard")),
        ],
    )
    def test_a_bar_from_the_wrong_side_passes_nobody(self, report, measured, name, metric, other):
        outcome = ask(name, report(measurements=[measured(metric=metric)]), metric=metric, value=0.9)
        assert not outcome.passed
        assert outcome.message.endswith(f"is better: ask with {other}")

    @pytest.mark.parametrize(("name", "metric"), [("at_least", "accuracy"), ("at_most", "log_loss")])
    def test_what_is_missing_is_refused(self, report, measured, name, metric):
        whole = report(measurements=[measured(metric=metric)])
        assert "names no value" in ask(name, whole, metric=metric).message
        assert not ask(name, whole, metric=metric, value=math.nan).passed
        for odd in ({"low": None}, {"slice": "a=b"}, {"of": "control:majority"}, None):
            figures = [] if odd is None else [measured(metric=metric, **odd)]
            outcome = ask(name, report(measurements=figures), metric=metric, value=0.5)
            assert not outcome.passed
            assert "was not measured" in outcome.message

    @pytest.mark.parametrize(("name", "metric", "easy"), [("at_least", "accuracy", 0.0), ("at_most", "log_loss", 1.0)])
    @pytest.mark.parametrize("bad", NOT_NUMBERS)
    @pytest.mark.parametrize("field", ["value", "low", "high", "n"])
    def test_what_is_not_a_number_is_refused(self, report, measured, name, metric, easy, bad, field):
        fields = {field: bad} if (field, bad) != ("low", None) else {"low": None}
        figures = [measured(metric=metric, **fields)]
        assert not ask(name, report(measurements=figures), metric=metric, value=easy).passed

    def test_what_was_compared_is_named_where_something_else_is_asked_for(self, report, compared):
        loss = report(compared(metric="log_loss"))
        for name in ("no_worse_than_champion", "better_than_champion", "no_slice_worse"):
            assert "accuracy was not compared" in ask(name, loss).message
            assert ask(name, loss).message.endswith("; compared are log_loss")
        control = report(compared(against="control:raw_knn"))
        assert ask("beats_controls", control, control="majority").message == (
            "the control majority was not measured for accuracy; measured are raw_knn"
        )
        assert ask("beats_controls", control, metric="f1").message == (
            "no control was measured for f1; measured are those for accuracy"
        )


class TestMinimumN:
    def test_the_policys_number_of_rows_is_enough(self, report, measured):
        assert ask("minimum_n", report(measurements=[measured(n=100)])).passed
        outcome = ask("minimum_n", report(measurements=[measured(n=99)]))
        assert not outcome.passed
        assert outcome.message == "measured on 99 rows, the policy asks for 100 (gate.minimum_n)"

    @pytest.mark.parametrize("bad", NOT_NUMBERS)
    def test_nothing_measured_is_not_enough(self, report, measured, bad):
        assert not ask("minimum_n", report(measurements=[])).passed
        assert not ask("minimum_n", report(measurements=[measured(n=bad)])).passed
        assert not ask("minimum_n", report(measurements=[measured(value=bad)])).passed


class TestFindings:
    def test_only_high_severity_blocks(self, report):
        leak = Finding("overlap", Severity.HIGH, "12 gate rows are training rows", "remove them", "data-1")
        minor = Finding("missing", Severity.MEDIUM, "some", "fill", "data-1")
        assert ask("no_open_findings", report()).passed
        assert ask("no_open_findings", report(findings=[minor])).passed
        outcome = ask("no_open_findings", report(findings=[minor, leak]))
        assert not outcome.passed
        assert outcome.message == "the audit found: overlap: 12 gate rows are training rows"


class TestNoWorse:
    def test_the_lower_bound_must_lie_above_the_margin(self, report, compared):
        assert ask("no_worse_than_champion", report(compared(low=-0.0199)), margin=0.02).passed
        outcome = ask("no_worse_than_champion", report(compared(low=-0.02)), margin=0.02)
        assert not outcome.passed
        assert outcome.message == "may be worse than the champion by 0.02: accuracy +0.020, at least -0.020, n=500"


class TestBetter:
    def test_a_positive_difference_beyond_chance_passes(self, report, compared):
        assert ask("better_than_champion", report(compared(better=0.049))).passed
        assert not ask("better_than_champion", report(compared(better=0.05))).passed
        assert not ask("better_than_champion", report(compared(difference=0.0, better=0.0))).passed
        assert "not shown to be better" in ask("better_than_champion", report(compared(better=0.3))).message


@pytest.mark.parametrize("name", ["no_worse_than_champion", "better_than_champion", "no_slice_worse"])
class TestChampion:
    def test_the_first_model_has_none_to_be_measured_against(self, report, name):
        outcome = ask(name, report(), FIRST)
        assert (outcome.passed, outcome.message) == (True, "there is no champion yet")

    def test_no_comparison_is_refused(self, report, compared, name):
        for others in ((), (compared(against="former"),), (compared(metric="auc"),), (compared(slice="a=b"),)):
            assert "was not compared" in ask(name, report(*others)).message
            assert not ask(name, report(*others)).passed

    def test_two_answers_are_none(self, report, compared, name):
        assert not ask(name, report(compared(), compared())).passed

    @pytest.mark.parametrize("bad", NOT_NUMBERS)
    @pytest.mark.parametrize("field", ["difference", "low", "better", "worse", "n"])
    def test_what_is_not_a_number_is_refused(self, report, compared, name, bad, field):
        assert not ask(name, report(compared(**{field: bad}))).passed


class TestSlices:
    def test_a_slice_that_fell_beyond_chance_is_named(self, report, compared):
        fallen = compared(-0.05, -0.09, 0.99, 0.049, slice="age=old")
        outcome = ask("no_slice_worse", report(compared(), fallen, compared(slice="age=young")), margin=0.05)
        assert not outcome.passed
        assert outcome.message == "worse on a slice: age=old -0.050 (n=500, p=0.049)"
        assert set(outcome.evidence["slices"]) == {"age=old", "age=young"}

    @pytest.mark.parametrize(("difference", "worse"), [(-0.049, 0.001), (-0.05, 0.05), (0.1, 0.01)])
    def test_a_small_fall_or_one_that_chance_explains_passes(self, report, compared, difference, worse):
        fallen = compared(difference, -0.2, 0.99, worse, slice="age=old")
        assert ask("no_slice_worse", report(compared(), fallen), margin=0.05).passed

    def test_thin_slices_are_listed_and_not_judged(self, report, compared):
        thin = compared(math.nan, math.nan, math.nan, math.nan, n=29, slice="age=old")
        outcome = ask("no_slice_worse", report(compared(), thin))
        assert outcome.passed
        assert outcome.message.endswith("; too few rows to judge age=old")
        assert outcome.evidence["not_judged"] == ["age=old"]

    @pytest.mark.parametrize("bad", NOT_NUMBERS)
    @pytest.mark.parametrize("field", ["difference", "low", "better", "worse", "n"])
    def test_what_is_not_a_number_is_refused(self, report, compared, bad, field):
        outcome = ask("no_slice_worse", report(compared(), compared(**{field: bad}, slice="age=old")))
        assert not outcome.passed
        assert "age=old" in outcome.message


class TestControls:
    def majority(self, compared, **fields):
        return compared(against="control:majority", **fields)

    def test_above_the_majority_and_near_the_neighbours(self, report, compared):
        near = compared(low=-0.019, against="control:raw_knn")
        outcome = ask("beats_controls", report(self.majority(compared), near), margin=0.02)
        assert (outcome.passed, outcome.message) == (True, "behind none of 2 controls by 0.02")

    def test_the_majority_gets_no_margin(self, report, compared):
        level = self.majority(compared, difference=0.0, low=0.0)
        outcome = ask("beats_controls", report(level), margin=0.02)
        assert not outcome.passed
        assert "majority" in outcome.message

    def test_behind_the_neighbours_by_the_margin(self, report, compared):
        behind = compared(-0.01, -0.02, against="control:raw_knn")
        assert not ask("beats_controls", report(self.majority(compared), behind), margin=0.02).passed
        assert ask("beats_controls", report(self.majority(compared), behind), margin=0.02, control="majority").passed

    @pytest.mark.parametrize(
        ("difference", "low", "passed"), [(0.005, -0.03, True), (-0.005, -0.019, True), (0.0, -0.03, False)]
    )
    def test_who_is_measured_ahead_of_a_line_has_beaten_it(self, report, compared, difference, low, passed):
        line = compared(difference, low, against="control:raw_linear")
        assert ask("beats_controls", report(self.majority(compared), line), margin=0.02).passed is passed
        near = compared(difference, low, against="control:raw_knn")
        assert ask("beats_controls", report(self.majority(compared), near), margin=0.02).passed is (low > -0.02)

    def test_no_control_is_refused(self, report, compared):
        for others in (
            (),
            (compared(),),
            (self.majority(compared, slice="a=b"),),
            (self.majority(compared, metric="f1"),),
        ):
            assert not ask("beats_controls", report(*others)).passed
        assert not ask("beats_controls", report(self.majority(compared)), control="raw_knn").passed

    @pytest.mark.parametrize("bad", NOT_NUMBERS)
    @pytest.mark.parametrize("field", ["difference", "low", "better", "worse", "n"])
    def test_what_is_not_a_number_is_refused(self, report, compared, bad, field):
        outcome = ask("beats_controls", report(self.majority(compared, **{field: bad})))
        assert not outcome.passed
        assert "majority is not a number" in outcome.message


figures = st.floats(-1, 1) | st.just(math.nan)


@given(st.sampled_from(sorted(set(RULES) - {"no_open_findings"})), figures, figures, figures, figures, figures)
@example(name="beats_controls", a=math.nan, b=math.nan, c=1.3688309242534145e-268, d=-1.0, e=0.0)
def test_no_rule_passes_on_a_report_with_nothing_but_not_numbers_in_one_place(name, a, b, c, d, e):
    """Law: put NaN in the place of any figure that a rule reads, and what passed is refused; never the reverse."""

    def report_of(value, low, difference, bound, p):
        comparisons = [
            Comparison("accuracy", against, difference, None, bound, p, p, 500, "d", part)
            for against, part in (("champ", ""), ("champ", "a=b"), ("control:majority", ""))
        ]
        measurement = Measurement("accuracy", value, Interval(low, 1.0), 500, "d")
        return Report("r", "m", "d", NOON, (measurement,), tuple(comparisons))

    outcome = ask(name, report_of(a, b, c, d, e), value=0.0)
    read = {"at_least": (a, b), "at_most": (a, b), "minimum_n": (a, b)}.get(name, (c, d, e))
    if any(math.isnan(v) for v in read):
        assert not outcome.passed


class TestEnhancedImages:
    """Where a model answers images, `beats_controls` asks whether they are nearer to the clean ones."""

    def asked(self, report, measured, compared, *images):
        control = compared(against="control:majority", low=0.2)
        figures = [measured(), measured(metric="psnr", value=18.0, low=17.0, high=19.0)]
        return ask("beats_controls", report(control, *images, measurements=figures))

    def test_nearer_ones_pass(self, report, measured, compared):
        better = compared(metric="psnr", against="control:damaged_input", difference=6.0, low=0.1)
        assert self.asked(report, measured, compared, better).passed

    @pytest.mark.parametrize("low", [0.0, -0.1, math.nan])
    def test_those_that_may_be_no_nearer_are_refused(self, report, measured, compared, low):
        equal = compared(metric="psnr", against="control:damaged_input", difference=0.2, low=low)
        outcome = self.asked(report, measured, compared, equal)
        assert not outcome.passed
        assert "enhanced images" in outcome.message

    def test_without_a_comparison_they_are_refused(self, report, measured, compared):
        assert not self.asked(report, measured, compared).passed

    def test_a_model_without_images_is_asked_nothing(self, report, compared):
        assert ask("beats_controls", report(compared(against="control:majority", low=0.2))).passed
