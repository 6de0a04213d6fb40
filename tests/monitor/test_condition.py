"""The wording table: what people read in each state of knowledge."""

from __future__ import annotations

import pytest

from backstay.kernel.records import Condition, Estimate, Interval, Signal
from backstay.maths.intervals import Bounds
from backstay.monitor.condition import summarise
from backstay.monitor.facts import Facts
from backstay.monitor.late_rows import Untold
from backstay.monitor.reference import KnownAccuracy

KNOWN = KnownAccuracy(0.95, Bounds(0.93, 0.97), 500, 500.0)
QUIET = Signal("embedding", 0.3, False, 0.004, 900, "the inputs look as before", figures={"judged": True})
MOVED = Signal(
    "columns", 3.0, True, 0.004, 900, "1 of 5 columns moved", moved=("age: mean 38 -> 44",), figures={"judged": True}
)
CONVICTED = Signal("labelled_error", 1.2, True, 0.01, 12, "wrong too often", figures={"judged": True})
SURPRISED = Signal(
    "confident_errors",
    1.6,
    True,
    0.004,
    40,
    "what is right has changed",
    moved=("mistakes where the model was sure: 5 of the last 40, 1.2 expected",),
    figures={"judged": True},
)
FREE = Estimate("label-free", "accuracy", 0.94, Interval(0.92, 0.96), 900, "valid only if nothing else changed")
LOW = Estimate("label-free", "accuracy", 0.80, Interval(0.75, 0.85), 900, "valid only if nothing else changed")
REFUSED = Estimate("label-free", "accuracy", None, None, 900, "", refusals=("too far from the reference",))


def labels(n: int, right: int, low: float, high: float, limit: float | None = None) -> Estimate:
    figures = {"right": right, "days": 7.0, "convicting_high": high if limit is None else limit}
    return Estimate(
        "ppi", "accuracy", right / n, Interval(low, high), 900, "", labels=n, labels_needed=140, figures=figures
    )


GOOD = labels(50, 47, 0.84, 0.99)
BAD = labels(50, 38, 0.62, 0.87)


def facts(signals=(QUIET,), label_free=FREE, labelled=None, **changes) -> Facts:
    given = {
        "known": KNOWN,
        "tolerance": 0.02,
        "labels_wanted": 50,
        "halfwidth": 0.08,
        "label_age_days": 3.0,
        "untold": Untold(),
        "absent": {},
        **changes,
    }
    return Facts(signals=signals, label_free=label_free, labelled=labelled, **given)


@pytest.mark.parametrize(
    ("given", "condition", "says", "wanted"),
    [
        (facts(), Condition.FINE, ["Probably fine", "94.0% (92.0% to 96.0%)", "95.0% (93.0% to 97.0%, 500 rows)"], 0),
        (facts(labelled=GOOD), Condition.FINE, ["Of 50 labelled in the last 7 days 47 were right"], 0),
        (facts(label_free=REFUSED, labelled=GOOD), Condition.FINE, ["Probably fine", "47 were right"], 0),
        (facts((MOVED,)), Condition.MOVED, ["Moved: age: mean 38 -> 44.", "estimated at 94.0%"], 0),
        (facts((MOVED,), labelled=GOOD), Condition.MOVED, ["Labels do not say that the model is worse."], 0),
        (facts((MOVED,), LOW), Condition.MOVED, ["below what the reference had"], 50),
        (
            facts((MOVED,), REFUSED),
            Condition.MOVED,
            ["too far from the reference", "Please label 50", "within 8.0%"],
            50,
        ),
        (facts((QUIET,), REFUSED), Condition.UNKNOWN, ["Please label 50", "too far from the reference"], 50),
        (facts((QUIET,), LOW), Condition.UNKNOWN, ["Please label 50", "80.0%", "below what the reference had"], 50),
        (facts((QUIET,), LOW, GOOD), Condition.FINE, ["Probably fine"], 0),
        (
            facts((QUIET, CONVICTED), FREE, BAD),
            Condition.WORSE,
            ["Of 50 labelled", "between 62.0% and 87.0%", "Only labels could show it", "answers wanted"],
            0,
        ),
        (facts((MOVED, CONVICTED), FREE, BAD), Condition.WORSE, ["The traffic moved as well: age: mean 38 -> 44"], 0),
        (facts((QUIET,), FREE, BAD), Condition.WORSE, ["Worse: labels say", "140 more would halve that"], 0),
    ],
)
def test_the_wording_table(given, condition, says, wanted):
    summary = summarise(given)
    assert summary.condition is condition
    for words in says:
        assert words in summary.headline
    assert summary.labels_wanted == wanted
    assert "None" not in summary.headline
    assert "nan" not in summary.headline
    assert "  " not in summary.headline


def test_only_labels_convict():
    for signals in ((MOVED,), (MOVED, QUIET)):
        for free in (FREE, LOW, REFUSED):
            assert summarise(facts(signals, free)).condition is not Condition.WORSE


def test_a_few_bad_labels_do_not_convict_without_the_detector():
    assert summarise(facts(labelled=labels(12, 6, 0.2, 0.79))).condition is not Condition.WORSE


def test_within_the_tolerance_labels_do_not_convict():
    assert summarise(facts(labelled=labels(900, 828, 0.90, 0.92))).condition is Condition.FINE
    assert summarise(facts(labelled=labels(900, 810, 0.88, 0.909))).condition is Condition.WORSE


def test_labels_that_raised_an_alarm_and_newer_ones_that_show_no_fall_are_both_told():
    """Labels of an older window came late and convict; those of the newest are as the reference was."""
    summary = summarise(facts((QUIET, CONVICTED), FREE, GOOD))
    assert summary.condition is Condition.WORSE
    assert summary.headline.startswith("Worse: labels raised an alarm, which stands; the newest labels look no worse")
    assert "Only labels could show it" not in summary.headline
    plain = summarise(facts((QUIET, CONVICTED), FREE, BAD)).headline
    assert plain.startswith("Worse: labels say that the model is wrong more often than it may be.")
    assert "Only labels could show it" in plain
    few = summarise(facts((QUIET, CONVICTED), FREE, labels(12, 12, 0.7, 1.0))).headline
    assert few.startswith("Worse: labels say")


def test_silent_detectors_are_not_quoted_when_none_could_judge():
    unjudged = Signal("embedding", 0.0, False, 0.0, 9, "not judged: too few", figures={"judged": False})
    summary = summarise(facts((unjudged, CONVICTED), FREE, BAD))
    assert "Only labels could show it" not in summary.headline


def test_rows_that_wait_for_a_label_come_before_new_ones():
    def asked(unasked, waiting):
        return summarise(facts((QUIET,), REFUSED, unasked=unasked, waiting=waiting)).advice[0]

    assert asked(900, 60).startswith("Answer the 60 rows that wait: `backstay label --export to_review.csv`")
    assert "--request" not in asked(900, 60)
    assert asked(900, 1).startswith("Answer the 1 row that waits: ")
    assert asked(900, 1).endswith("Then label 49 more, drawn at random: `backstay label --request 49`.")
    assert "`backstay label --request 5`. 15 more are wanted" in asked(5, 30)
    assert "No other row is left" in asked(0, 30)
    assert asked(0, 30).endswith("`backstay label --request 20`.")
    # Rows that wait are rows that can be labelled: nobody is told that there are too few.
    assert "Please label 50" in summarise(facts((QUIET,), REFUSED, unasked=10, waiting=40)).headline


def test_fine_names_the_detectors_that_could_not_judge():
    blind = Signal("columns", 0.0, False, 0.0, 900, "not judged: no column 'a'", figures={"judged": False})
    waits = Signal("labelled_error", 0.0, False, 0.0, 900, "not judged: no labels yet", figures={"judged": False})
    some = summarise(facts((QUIET, blind, waits)))
    assert some.condition is Condition.FINE
    assert some.headline.startswith("Probably fine: nothing that could be judged has moved (not judged: columns).")
    assert summarise(facts((QUIET, waits))).headline.startswith("Probably fine: nothing that is watched has moved.")


def test_advice_names_what_is_missing():
    wants = Signal(
        "embedding", 0.2, False, 0.004, 900, "as before", figures={"judged": True, "reference_rows_wanted": 4000}
    )
    unjudged = Signal("prediction", 0.0, False, 0.0, 9, "not judged: scores are missing", figures={"judged": False})
    advice = summarise(
        facts((wants, unjudged), REFUSED, label_age_days=None, untold=Untold(7), absent={"labelled_error": "no labels"})
    ).advice
    told = "\n".join(advice)
    assert "Label 50 rows drawn at random: `backstay label --request 50`" in told
    assert "Ask for more reference rows: 4000." in told
    assert "prediction was not judged: scores are missing." in told
    assert "labelled_error does not watch: no labels." in told
    assert "No standing labels yet" in told
    assert "7 rows came in after their window had been closed" in told


def test_without_a_known_reference_accuracy_nothing_is_compared():
    summary = summarise(facts(known=None, labelled=BAD))
    assert summary.condition is Condition.FINE
    assert "On the reference" not in summary.headline


def test_a_worse_model_gets_advice_that_can_be_followed():
    advice = "\n".join(summarise(facts((QUIET, CONVICTED), FREE, BAD)).advice)
    assert "`backstay watch --explain`" in advice
    assert "`backstay rollback`" in advice


def test_confident_mistakes_convict_where_accuracy_fell_too():
    fell = labels(50, 44, 0.76, 0.95, limit=0.97)
    summary = summarise(facts((QUIET, SURPRISED), FREE, fell))
    assert summary.condition is Condition.WORSE
    assert "Mistakes where the model was sure: 5 of the last 40, 1.2 expected." in summary.headline
    assert "Only labels could show it" in summary.headline
    assert summarise(facts((QUIET,), FREE, fell)).condition is Condition.FINE  # without that alarm it does not


def test_confident_mistakes_alone_make_somebody_label():
    for labelled in (GOOD, None, labels(12, 9, 0.4, 0.95)):
        summary = summarise(facts((QUIET, SURPRISED), FREE, labelled))
        assert summary.condition is Condition.UNKNOWN
        assert "What is right seems to have changed. Mistakes where the model was sure: 5 of" in summary.headline
        assert "Please label 50" in summary.headline
        assert summary.labels_wanted == 50
    moved = summarise(facts((MOVED, SURPRISED), FREE, GOOD))
    assert moved.condition is Condition.MOVED
    assert moved.headline.startswith("Moved: age: mean 38 -> 44. ")
    assert "What is right seems to have changed." in moved.headline
    assert "Labels do not say that the model is worse." not in moved.headline


def test_confident_mistakes_that_are_rare_by_chance_raise_a_doubt_before_they_alarm():
    def seen(chance: float, beyond: bool) -> Signal:
        figures = {"judged": True, "p_value": chance, "beyond_tolerance": beyond}
        figures |= {"sure_wrong": 3, "sure_labels": 10, "sure_expected": 0.52}
        return Signal("confident_errors", 0.7, False, 0.004, 12, "errs where it may", figures=figures)

    doubted = summarise(facts((QUIET, seen(0.02, True)), FREE, GOOD))
    assert doubted.condition is Condition.UNKNOWN
    assert "Mistakes where the model was sure: 3 of the last 10, 0.5 expected; too few for an alarm" in doubted.headline
    assert "Labels look worse" not in doubted.headline  # their interval holds the reference's accuracy
    assert doubted.labels_wanted == 50
    for quiet in (seen(0.03, True), seen(0.02, False)):
        assert summarise(facts((QUIET, quiet), FREE, GOOD)).condition is Condition.FINE


def test_both_alarms_of_labels_say_both():
    summary = summarise(facts((QUIET, CONVICTED, SURPRISED), FREE, BAD))
    assert summary.condition is Condition.WORSE
    assert summary.headline.startswith(
        "Worse: labels say that the model is wrong more often than it may be. Mistakes where the model was sure: 5 of"
    )
    assert "The traffic moved" not in summary.headline


def test_the_rows_of_the_reference_are_those_that_were_given_not_what_they_are_worth():
    known = KnownAccuracy(0.95, Bounds(0.93, 0.97), 500, 210.0)
    assert "95.0% (93.0% to 97.0%, 500 rows)" in summarise(facts(known=known)).headline


def test_what_the_reference_had_is_named_and_so_is_the_figure_that_the_project_goes_by():
    primary = Estimate("ppi", "mae", 1.6, Interval(1.114, 2.043), 900, "", labels=34, labels_needed=102)
    known = Estimate("labels", "mae", 0.9134, Interval(0.88, 0.95), 3000, "", labels=3000)
    for labelled in (GOOD, BAD):
        said = summarise(facts(labelled=labelled, primary=primary, known_primary=known)).headline
        assert "the mean error is between 1.114 and 2.043" in said
        assert "On the reference accuracy was 95.0% (93.0% to 97.0%, 500 rows), the mean error 0.9134" in said
    assert "it was" not in summarise(facts()).headline


def test_labels_below_the_reference_say_so_whatever_confident_mistakes_do():
    low = labels(50, 38, 0.62, 0.87, limit=0.99)
    figures = {"judged": True, "p_value": 0.02, "beyond_tolerance": True, "sure_wrong": 3, "sure_labels": 9}
    suspected = Signal("confident_errors", 0.7, False, 0.004, 12, "", figures={**figures, "sure_expected": 0.5})
    for signals in ((QUIET,), (QUIET, suspected)):
        assert "Labels look worse than the reference" in summarise(facts(signals, FREE, low)).headline


def test_nothing_is_said_to_have_stayed_where_no_detector_looked():
    unjudged = Signal("columns", 0.0, False, 0.0, 9, "not judged: too few", figures={"judged": False})
    for signals in ((), (unjudged,)):
        summary = summarise(facts(signals, REFUSED, GOOD, absent={"columns": "too few reference rows"}))
        assert summary.condition is Condition.FINE
        assert summary.headline.startswith("Probably fine by its labels alone: no detector could compare the traffic")
        assert "has moved" not in summary.headline


def test_a_model_stays_worse_while_the_alarm_that_said_so_stands():
    fell = labels(50, 44, 0.76, 0.95, limit=0.97)
    up = labels(50, 47, 0.84, 0.99)
    assert summarise(facts((QUIET, SURPRISED), FREE, fell)).condition is Condition.WORSE
    stays = summarise(facts((QUIET, SURPRISED), FREE, up, stood=True))
    assert stays.condition is Condition.WORSE
    assert stays.headline.startswith("Worse: the alarm that labels raised stands; they do not say yet")
    assert "wrong more often than it may be" not in stays.headline
    again = summarise(facts((QUIET, SURPRISED), FREE, fell, stood=True)).headline
    assert again.startswith("Worse: labels say that the model is wrong more often")
    assert summarise(facts((QUIET,), FREE, up, stood=True)).condition is Condition.FINE  # the alarm fell
