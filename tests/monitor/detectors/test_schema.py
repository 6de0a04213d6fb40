from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

from backstay.kernel.errors import BackstayError
from backstay.monitor.detectors.columns import ColumnsDetector
from backstay.monitor.detectors.schema import BLOCK, SchemaDetector


def changed(window, **columns):
    return replace(window, columns={**window.columns, **columns})


def test_a_window_like_the_reference_is_quiet(world, look):
    detector = SchemaDetector.fit(world.reference(2000))
    signal, state = detector.look({}, world.window(n=300), look())
    assert not signal.alarm
    assert state == {}
    assert signal.message.startswith("2 columns hold what they held before")


def test_one_text_among_numbers_alarms_and_is_shown(world, look):
    window = world.window(n=300)
    age = window.columns["age"].copy()
    age[7] = np.nan
    odd = np.full(300, None, dtype=object)
    odd[7] = "3.14 EUR"
    detector = SchemaDetector.fit(world.reference(2000))
    assert not detector.look({}, changed(window, age=age), look(0.004))[0].alarm
    signal, _ = detector.look({}, replace(changed(window, age=age), strange={"age": odd}), look(0.004))
    assert signal.alarm
    assert signal.moved == ("age: numbers before, text in 0.3% of rows now ('3.14 EUR')",)
    assert signal.example_ids == (window.ids[7],)


def test_a_few_new_categories_alarm_and_are_named(world, look):
    reference = world.reference(2000)
    window = world.window(n=300)
    plan = window.columns["plan"].copy()
    plan[:9] = "platinum"
    window = changed(window, plan=plan)
    signal, _ = SchemaDetector.fit(reference).look({}, window, look(0.004))
    assert signal.alarm
    assert signal.moved == ("plan: never seen before 0.0% -> 3.0% (platinum)",)
    assert signal.example_ids == tuple(window.ids[:8])
    assert not ColumnsDetector.fit(reference).look({}, window, look(0.004))[0].alarm


def test_numbers_out_of_range_and_infinite_ones_alarm(world, look):
    window = world.window(n=300)
    age = window.columns["age"].copy()
    age[:12] *= 365.0
    age[12] = np.inf
    signal, _ = SchemaDetector.fit(world.reference(2000)).look({}, changed(window, age=age), look(0.004))
    assert signal.alarm
    assert signal.moved[0].startswith("age: outside ")


def test_gaps_where_there_were_none_alarm(world, look):
    window = world.window(n=300)
    age = window.columns["age"].copy()
    age[:10] = np.nan
    signal, _ = SchemaDetector.fit(world.reference(2000)).look({}, changed(window, age=age), look(0.004))
    assert signal.moved == ("age: missing 0.0% -> 3.3%",)


def test_a_column_that_stands_still_alarms(world, look):
    window = changed(world.window(n=60), age=np.full(60, 40.0))
    signal, _ = SchemaDetector.fit(world.reference(2000)).look({}, window, look(0.004))
    assert "age: varied before, always 40.0 now" in signal.moved
    assert signal.moved[-1].startswith("copies of a row")


def test_a_column_that_is_empty_text_now_is_quoted(world, look):
    window = changed(world.window(n=60), plan=np.full(60, "", dtype=object))
    signal, _ = SchemaDetector.fit(world.reference(2000)).look({}, window, look(0.004))
    assert "plan: varied before, always '' now" in signal.moved
    assert any(words.endswith("-> 100.0% ('')") for words in signal.moved)


def test_a_column_that_mostly_held_one_value_may_hold_it_alone_for_a_while(world, look):
    reference = world.reference(2000)
    rare = np.where(np.arange(2000) < 4, "b", "a").astype(object)
    reference = replace(reference, columns={"rare": rare, **reference.columns})
    window = changed(world.window(n=300), rare=np.full(300, "a", dtype=object))
    assert not SchemaDetector.fit(reference).look({}, window, look(0.004))[0].alarm


def test_a_column_that_is_gone_or_of_another_type_alarms(world, look):
    detector = SchemaDetector.fit(world.reference(2000))
    window = world.window(n=100)
    gone = replace(window, columns={"plan": window.columns["plan"]})
    assert detector.look({}, gone, look())[0].moved == ("age: the column is gone",)
    text = changed(window, age=np.full(100, "forty", dtype=object))
    assert detector.look({}, text, look())[0].moved[0] == "age: numbers before, text now"


def test_rows_sent_twice_alarm(world, look):
    detector = SchemaDetector.fit(world.reference(2000))
    window = world.window(n=300)
    rows = np.arange(300)
    rows[10::10] = rows[9::10][: len(rows[10::10])]
    twice = replace(window, columns={name: values[rows] for name, values in window.columns.items()})
    signal, _ = detector.look({}, twice, look(0.004))
    assert signal.alarm
    assert signal.moved == (f"copies of a row among {BLOCK} rows on end: 0.0% of rows -> 5.0%",)


def test_copies_that_the_reference_has_too_are_no_news(world, look):
    """Two columns of two values each: every block is full of copies, then as now."""
    coin = np.random.default_rng(3)

    def columns(n):
        return {name: np.where(coin.random(n) < 0.5, "a", "b").astype(object) for name in ("one", "two")}

    detector = SchemaDetector.fit(replace(world.reference(1000), columns=columns(1000)))
    assert not detector.look({}, replace(world.window(n=300), columns=columns(300)), look())[0].alarm


def test_one_bad_customer_is_one_row(world, look):
    groups = np.array([f"g{i // 4}" for i in range(2000)], dtype=object)
    detector = SchemaDetector.fit(world.reference(2000, groups=groups))
    window = world.window(n=300)
    plan = window.columns["plan"].copy()
    plan[:20] = "platinum"
    window = changed(window, plan=plan)
    one = np.array(["bad"] * 20 + [f"g{i}" for i in range(280)], dtype=object)
    assert detector.look({}, window, look(0.01))[0].alarm
    assert not detector.look({}, replace(window, groups=one), look(0.01))[0].alarm


def test_json_and_back_gives_the_same_signal(world, look):
    detector = SchemaDetector.fit(world.reference(600))
    again = SchemaDetector.from_json(json.loads(json.dumps(detector.to_json())))
    window = world.window(n=200, shift=3.0)
    assert again == detector
    assert again.look({}, window, look()) == detector.look({}, window, look())


def test_too_few_rows_are_refused_with_a_reason(world, look):
    detector = SchemaDetector.fit(world.reference(600))
    assert "at least 20 are needed" in detector.look({}, world.window(n=15), look())[0].message
    with pytest.raises(BackstayError, match="a reference of 40 rows"):
        SchemaDetector.fit(world.reference(40))
    assert SchemaDetector.fit(world.reference(600, columns=False)) is None


def heavy(rng, n):
    """Columns that invite false alarms: long tails, hundreds of rare categories, rare gaps."""
    number = np.exp(2.0 * rng.normal(size=n))
    number[rng.random(n) < 0.002] = np.nan
    rare = np.array([f"c{i}" for i in rng.zipf(1.7, n)], dtype=object)
    return {"number": number, "rare": rare}


def test_rare_values_raise_no_more_alarms_than_they_may(make_world, look):
    world = make_world(5)
    rng = np.random.default_rng(6)
    detector = SchemaDetector.fit(replace(world.reference(1000), columns=heavy(rng, 1000)))
    base, alpha, windows = world.window(n=200), 0.05, 100
    found = [detector.look({}, replace(base, columns=heavy(rng, 200)), look(alpha))[0].alarm for _ in range(windows)]
    assert sum(found) <= binom.ppf(0.999, windows, 1.5 * alpha)


@pytest.mark.prove
def test_ninety_five_of_a_hundred_references_keep_the_promise(make_world, look):
    rates, alpha, rng = [], 0.05, np.random.default_rng(8)
    for seed in range(100):
        world = make_world(seed)
        detector = SchemaDetector.fit(replace(world.reference(1000), columns=heavy(rng, 1000)))
        base = world.window(n=200)
        alarms = [detector.look({}, replace(base, columns=heavy(rng, 200)), look(alpha))[0].alarm for _ in range(200)]
        rates.append(np.mean(alarms))
    assert np.mean(rates) <= alpha
    assert np.quantile(rates, 0.95) <= 1.5 * alpha
