from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from backstay.kernel.records import Condition, Estimate, Interval, Signal, WindowResult
from backstay.monitor.triggers import Gain, Loss, current_loss, decide_retrain, predictions_per_day
from backstay.settings import RetrainSettings

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
KNOWN = {"reference_accuracy": {"value": 0.95, "low": 0.93, "high": 0.97, "n": 500}}
FREE = Estimate("label-free", "accuracy", 0.90, Interval(0.88, 0.92), 700, "")
REFUSED = Estimate("label-free", "accuracy", None, None, 700, "", refusals=("too far",))


def labels(value: float, half: float, n: int = 50) -> Estimate:
    return Estimate("ppi", "accuracy", value, Interval(value - half, value + half), 700, "", labels=n)


SHOWN = KNOWN | {"labels_counted": [{"labels": 50, "right": 30}]}
"""Figures of a look whose labels show a fall by themselves; what it is worth is another matter."""


def result(week: int, *estimates: Estimate, rows: int = 700, figures=SHOWN) -> WindowResult:
    start = BEGIN + timedelta(days=7 * week)
    return WindowResult(
        id=f"w{week}",
        model="model",
        environment="production",
        release_id="r",
        start=start,
        end=start + timedelta(days=7),
        rows=rows,
        condition=Condition.FINE,
        signals=(),
        estimates=estimates,
        headline="",
        advice=(),
        label_age_days=None,
        budget_spent=0.0,
        budget=1.0,
        created_at=start,
        figures=figures,
    )


def decide(*results: WindowResult, now=BEGIN + timedelta(days=60), **given):
    settings = RetrainSettings(**given.pop("settings", {}))
    return decide_retrain(list(results), settings, now=now, **given)


def test_a_worse_model_is_worth_retraining_and_the_sum_is_shown():
    decision = decide(result(0, labels(0.80, 0.08)))
    assert decision.retrain
    terms = decision.terms
    saved = (terms["error rate now, at least"] - terms["error rate after, at most"]) * 100 * 90
    assert terms["value of retraining, at least"] == pytest.approx(saved)
    assert terms["cost of retraining"] == pytest.approx(50 + 0.5 * 500 + 50)
    assert terms["error rate now, known from"] == "50 labels"
    assert decision.headline.startswith("Retrain: waiting 90 days costs at least")


def test_a_model_as_good_as_ever_is_left_alone():
    decision = decide(result(0, labels(0.95, 0.05)))
    assert not decision.retrain
    assert decision.terms["value of retraining, at least"] == 0.0


def test_a_difference_within_the_noise_is_left_alone():
    assert not decide(result(0, labels(0.90, 0.09))).retrain
    assert decide(result(0, labels(0.88, 0.01))).retrain


def test_little_traffic_does_not_pay_for_retraining():
    assert not decide(result(0, labels(0.80, 0.08), rows=14)).retrain


def test_the_volume_may_be_stated():
    assert not decide(result(0, labels(0.80, 0.08)), settings={"predictions_per_day": 2.0}).retrain


def test_what_seems_to_pay_waits_until_the_fall_is_no_luck():
    seen = labels(0.80, 0.08)
    waiting = decide(result(0, seen, figures=KNOWN))
    assert not waiting.retrain
    assert waiting.terms["value less cost"] > 0
    assert waiting.headline.startswith("Do not retrain yet: waiting 90 days costs at least 8")
    assert "label some rows of the standing sample" in waiting.headline
    few = decide(result(0, seen, figures=KNOWN | {"labels_counted": [{"labels": 12, "right": 9}]}))
    assert not few.retrain
    assert "12 labels show" in few.headline
    assert 0 < few.terms["evidence of the labels for a fall (1 or more shows it)"] < 1
    assert decide(result(0, seen)).terms["evidence of the labels for a fall (1 or more shows it)"] > 1


def test_a_plain_bound_shows_a_fall_alone():
    assert decide(result(0, labels(0.80, 0.04), figures=KNOWN)).retrain
    assert decide(result(0, labels(0.80, 0.04), figures=KNOWN), settings={"predictions_per_day": 1}).retrain is False


def test_labels_go_before_the_estimate_without_them():
    assert current_loss([result(0, labels(0.80, 0.08), FREE)]).value == pytest.approx(0.20)
    assert current_loss([result(0, labels(0.80, 0.08, n=10), FREE)]).value == pytest.approx(0.10)
    assert current_loss([result(0, REFUSED)]) is None
    assert current_loss([]) is None


def test_labels_drawn_by_doubt_speak_where_the_standing_sample_does_not():
    drawn = replace(labels(0.70, 0.10, n=40), kind="stratified")
    assert current_loss([result(0, REFUSED, drawn)]).value == pytest.approx(0.30)
    assert current_loss([result(0, drawn, labels(0.80, 0.08))]).value == pytest.approx(0.20)
    assert current_loss([result(0, replace(drawn, metric="mae"))]) is None


def test_the_newest_window_counts_in_any_order():
    assert current_loss([result(2, labels(0.7, 0.05)), result(0, labels(0.9, 0.05))]).value == pytest.approx(0.3)


def test_volume_is_of_the_last_four_windows():
    results = [result(week, rows=rows) for week, rows in enumerate((70_000, 700, 700, 700, 700))]
    assert predictions_per_day(results) == pytest.approx(100.0)
    assert predictions_per_day([]) == 0.0


def test_a_cool_down_holds_and_ends():
    now = BEGIN + timedelta(days=60)
    held = decide(result(0, labels(0.80, 0.08)), now=now, last_retrained=now - timedelta(days=6))
    assert not held.retrain
    assert "cool-down" in held.headline
    assert held.terms["value less cost"] > 0
    assert decide(result(0, labels(0.80, 0.08)), now=now, last_retrained=now - timedelta(days=7)).retrain
    made = {"last_retrained": now - timedelta(days=9), "trained": [now - timedelta(days=6), now - timedelta(days=20)]}
    assert "cool-down" in decide(result(0, labels(0.80, 0.08)), now=now, **made).headline


def test_what_is_not_known_is_not_retrained_upon():
    assert "label some rows" in decide(result(0, REFUSED)).headline
    assert "accuracy before is not known" in decide(result(0, FREE, figures={})).headline
    assert not decide().retrain


def test_what_is_known_of_the_sum_is_shown_where_accuracy_is_not():
    settings = RetrainSettings(value_per_error=2.0, cost_training=40.0, cost_per_label=0.5, cost_risk=30.0, labels=100)
    terms = decide_retrain([result(0, REFUSED)], settings, now=BEGIN + timedelta(days=7), labels_at_hand=20).terms
    assert terms["cost of retraining"] == 40.0 + 0.5 * 80 + 30.0
    assert terms["value of one error avoided"] == 2.0
    assert terms["error rate after"] == pytest.approx(1.0 - result(0, REFUSED).figures["reference_accuracy"]["value"])
    assert not any("error rate now" in name or "value less cost" in name for name in terms)


def test_a_measured_challenger_replaces_the_guess():
    hopeless = Loss(0.19, 0.02, 0.02, "a shadow")
    assert not decide(result(0, labels(0.80, 0.08)), challenger=hopeless).retrain


def test_labels_at_hand_are_not_paid_twice():
    assert decide(result(0, labels(0.80, 0.08)), labels_at_hand=400).terms["cost of retraining"] == pytest.approx(150)
    assert decide(result(0, labels(0.80, 0.08)), labels_at_hand=900).terms["cost of labels"] == 0.0


def test_a_threshold_asks_only_when_accuracy_is_provably_below_it():
    settings = {"trigger": "threshold", "minimum_accuracy": 0.9}
    below = decide(result(0, labels(0.80, 0.08)), settings=settings)
    assert below.retrain
    assert "accuracy is at most 85.2% (one-sided 90%), below retrain.minimum_accuracy 90.0%" in below.headline
    assert "value of retraining, at least" in below.terms
    assert not decide(result(0, labels(0.88, 0.08)), settings=settings).retrain
    luck = decide(result(0, labels(0.80, 0.08), figures=KNOWN), settings=settings)
    assert not luck.retrain
    assert "below retrain.minimum_accuracy 90.0% if that is no luck" in luck.headline
    assert decide(result(0, labels(0.80, 0.04), figures=KNOWN), settings=settings).retrain
    unknown = decide(result(0, REFUSED, figures={}), settings=settings)
    assert not unknown.retrain
    assert "label some rows" in unknown.headline


def test_a_shift_asks_while_a_detector_of_inputs_is_over_its_threshold():
    def seen(detector: str, alarm: bool) -> WindowResult:
        return replace(result(1, FREE), signals=(Signal(detector, 1.2, alarm, 0.01, 700, ""),))

    settings = {"trigger": "shift"}
    moved = decide(result(0, FREE), seen("columns", True), settings=settings)
    assert (moved.retrain, moved.headline) == (True, "Retrain: columns moved.")
    assert not decide(seen("columns", False), settings=settings).retrain
    assert not decide(seen("labelled_error", True), settings=settings).retrain


def test_a_calendar_asks_when_the_live_model_is_old_enough():
    settings = {"trigger": "calendar", "every_days": 30, "cool_down_days": 0}
    for age, due in ((29.9, False), (30.0, True)):
        now = BEGIN + timedelta(days=age)
        assert decide(result(0, FREE), now=now, settings=settings, live_since=BEGIN).retrain is due
    assert not decide(result(0, FREE), settings=settings).retrain


@pytest.mark.parametrize("trigger", ["value", "calendar"])
def test_the_number_a_year_holds_for_every_trigger(trigger):
    settings = {"trigger": trigger, "every_days": 1, "most_per_year": 2}
    now = BEGIN + timedelta(days=800)
    old, fresh = now - timedelta(days=366), now - timedelta(days=100)
    asked = {"now": now, "live_since": BEGIN, "settings": settings}
    assert decide(result(0, labels(0.80, 0.08)), trained=[old, fresh], **asked).retrain
    held = decide(result(0, labels(0.80, 0.08)), trained=[fresh, fresh], **asked)
    assert not held.retrain
    assert "2 challengers in 365 days" in held.headline


@pytest.mark.parametrize("settings", [{"trigger": "threshold"}, {"trigger": "calendar"}])
def test_a_trigger_without_its_figure_is_no_setting(settings):
    with pytest.raises(ValueError, match="needs"):
        RetrainSettings(**settings)


def test_a_shadow_goes_before_the_reference():
    seen = result(0, labels(0.90, 0.08))
    none = decide(seen, gain=Gain(0.10, 0.10, -0.02, 300, "300 labels"))
    assert not none.retrain
    assert none.terms["value of retraining, at least"] == 0
    much = decide(seen, gain=Gain(0.20, 0.05, 0.10, 300, "300 labels"))
    assert much.retrain
    assert much.terms["errors avoided, at least"] == pytest.approx(0.10 * 100 * 90)
    assert much.terms["error rate after, known from"] == "a shadow on the same 300 rows"


def test_each_rate_is_moved_by_its_own_side_of_lopsided_intervals():
    """What may be lower now and what may be higher after: .04 each, so both move by half of the joint .057 at 90%."""
    seen = Estimate("ppi", "accuracy", 0.80, Interval(0.70, 0.84), 700, "", labels=50)
    before = {"reference_accuracy": {"value": 0.95, "low": 0.91, "high": 0.96, "n": 500}}
    terms = decide(result(0, seen, figures=SHOWN | before)).terms
    half = 1.2816 / 1.9600 * 0.04 * 2**0.5 / 2
    assert terms["error rate now, at least"] == pytest.approx(0.20 - half, abs=1e-4)
    assert terms["error rate after, at most"] == pytest.approx(0.05 + half, abs=1e-4)
