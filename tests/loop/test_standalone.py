"""Watching without a project: three lines of Python, nothing written."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import backstay
from backstay.kernel.clock import ManualClock
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Condition
from backstay.loop import lens, standalone
from backstay.monitor import label_free

NOW = datetime(2026, 3, 2, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_free, "DRAWS", 20)


def frame(rows: int, seed: int, *, shift: float = 0.0, flipped: bool = False) -> pa.Table:
    """A calibrated model of two classes; `flipped` turns the labels of a third of the rows."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 2))
    x[:, 0] += shift
    chance = 1.0 / (1.0 + np.exp(-3.0 * x[:, 0]))
    label = rng.random(rows) < chance
    if flipped:
        label ^= rng.random(rows) < 0.33
    return pa.table(
        {
            "x": x[:, 0],
            "y": x[:, 1],
            "plan": pa.array(np.where(x[:, 1] > 0.5, "gold", "plain")),
            "answer": (chance > 0.5).astype(int),
            "chance": chance,
            "churn": label.astype(int),
            "at": pa.array([NOW - timedelta(days=21) + timedelta(days=21) * i / rows for i in range(rows)]),
            "who": [f"c{i // 2}" for i in range(rows)],
        }
    )


ROLES = {"prediction": "answer", "score": "chance", "positive": "1", "label": "churn", "ignore": ["at", "who"]}


@pytest.fixture(scope="module")
def reference() -> pa.Table:
    return frame(2500, 0)


def look(traffic, reference, **how) -> backstay.loop.seen.Seen:
    return backstay.watch(traffic, reference=reference, clock=ManualClock(NOW), **how)


@pytest.fixture(scope="module")
def moved(reference) -> backstay.loop.seen.Seen:
    """A look at shifted traffic, shared by the tests that only read it."""
    return look(frame(2000, 1, shift=0.3), reference, **ROLES)


def test_a_shift_is_told_by_every_detector(moved) -> None:
    assert moved.condition is Condition.MOVED
    assert {signal.detector for signal in moved.signals if signal.alarm} >= {"columns", "prediction", "embedding"}
    assert any(words.startswith("x: mean") for words in moved.moved)


@pytest.mark.parametrize("convert", [pl.from_arrow, lambda t: t.to_pandas()])
def test_every_kind_of_frame_gives_the_same_answer(reference, moved, convert) -> None:
    seen = look(convert(frame(2000, 1, shift=0.3)), convert(reference), **ROLES)
    assert [signal.evidence for signal in seen.signals] == pytest.approx([s.evidence for s in moved.signals], rel=1e-9)
    assert seen.moved == moved.moved


def test_traffic_like_the_reference_is_fine_and_its_accuracy_is_told(reference) -> None:
    seen = look(frame(2000, 2), reference, **ROLES)
    assert seen.condition is Condition.FINE
    assert not seen.alarming
    ppi, label_free = seen.estimates
    truth = np.mean(np.equal(frame(2000, 2)["answer"], frame(2000, 2)["churn"]))
    assert ppi.labels == 2000
    assert ppi.interval.low < truth < ppi.interval.high
    assert label_free.interval.low < truth < label_free.interval.high


def test_labels_say_worse(reference) -> None:
    seen = look(frame(2000, 3, flipped=True), reference, **ROLES)
    assert seen.condition is Condition.WORSE
    assert seen.alarming


def test_labels_may_be_lacking(reference) -> None:
    seen = look(frame(2000, 3, flipped=True).drop_columns(["churn"]), reference, **ROLES)
    assert seen.condition is Condition.FINE, "without labels nothing could show it"
    assert [e.kind for e in seen.estimates] == ["label-free"]


def test_inputs_alone_have_no_accuracy(reference) -> None:
    how = {"features": ["x", "y", "plan"]}
    fine, moved = look(frame(2000, 2), reference, **how), look(frame(2000, 2, shift=0.3), reference, **how)
    assert (fine.condition, moved.condition) == (Condition.FINE, Condition.MOVED)
    assert fine.estimates == ()
    assert "accuracy" not in fine.headline.lower() + moved.headline.lower()


def test_embeddings_as_arrays_and_as_columns() -> None:
    rng = np.random.default_rng(4)
    before, now = rng.normal(size=(2000, 16)), rng.normal(size=(1000, 16))
    assert look(now, before).condition is Condition.FINE
    assert look(now + 0.2, before).condition is Condition.MOVED
    tables = [pa.table({"v": pa.array(list(values))}) for values in (before, now + 0.2)]
    assert look(tables[1], tables[0], embedding="v", features=[]).condition is Condition.MOVED
    assert look(pd.DataFrame({"v": list(now)}), before, embedding="v").condition is Condition.FINE


@pytest.mark.parametrize(("reference_width", "width"), [(16, 8), (8, 16)])
def test_embeddings_of_another_width_are_refused(reference_width, width) -> None:
    rng = np.random.default_rng(4)
    known, live = rng.normal(size=(500, reference_width)), rng.normal(size=(100, width))
    with pytest.raises(BackstayError, match=f"traffic are {width} wide, those of the reference {reference_width}"):
        look(live, known)


def test_few_rows_are_judged_by_themselves_as_by_sketches_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(6)
    before, now = rng.normal(size=(2000, 16)), rng.normal(size=(1000, 16)) + 0.1
    rows = look(now, before).signals
    monkeypatch.setattr(standalone, "SAMPLED", 999)
    sketches = look(now, before).signals
    assert [signal.detector for signal in rows] == [signal.detector for signal in sketches]
    for one, other in zip(rows, sketches, strict=True):
        assert one.alarm == other.alarm
        assert one.n == other.n == 1000
        assert one.evidence == pytest.approx(other.evidence, rel=1e-4)


def test_embeddings_are_read_where_they_lie_and_left_as_they_were() -> None:
    rng = np.random.default_rng(7)
    before, now = rng.normal(size=(500, 8)), rng.normal(size=(400, 8))
    copies = before.copy(), now.copy()
    single = look(now.astype(np.float32), before.astype(np.float32))
    assert look(now, before).signals[0].evidence == pytest.approx(single.signals[0].evidence, rel=1e-4)
    assert np.array_equal(before, copies[0])
    assert np.array_equal(now, copies[1])
    now[3, 3] = np.nan
    with pytest.raises(BackstayError, match="not finite everywhere"):
        look(now, before)


def test_nothing_is_written_but_the_page(reference, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    seen = look(frame(1000, 1, shift=0.4), reference, prediction="answer", features=["x"])
    assert list(tmp_path.iterdir()) == []
    page = seen.page("out.html")
    assert [p.name for p in tmp_path.iterdir()] == ["out.html"]
    assert "x: mean" in Path(page).read_text()
    told = json.loads(json.dumps(seen.to_json()))
    assert told[0]["condition"] == seen.condition.value == "moved"
    assert "moved" in repr(seen)
    shown = {row for signal in seen.signals for row in signal.example_ids}
    assert seen.examples.keys() <= shown | {row for cell in seen.located.cells for row in cell.example_ids}
    assert all(example.prediction in ("0", "1") for example in seen.examples.values())


def test_a_folder_is_streamed_to_the_same_answer(reference, tmp_path) -> None:
    traffic = frame(3000, 5, shift=0.05)
    pq.write_table(traffic.slice(0, 1000), tmp_path / "a.parquet")
    pq.write_table(traffic.slice(1000), tmp_path / "b.parquet")
    how = {"prediction": "answer", "features": ["x", "plan"]}
    whole, parts = look(traffic, reference, **how), look(tmp_path, reference, **how)
    for one, two in zip(whole.signals, parts.signals, strict=True):
        assert two.evidence == pytest.approx(one.evidence, rel=1e-9)
    assert parts.rows == 3000


def test_windows_by_time(reference) -> None:
    seen = look(frame(3000, 6), reference, time="at", window_days=7, **{**ROLES, "ignore": ["who"]})
    assert [window.rows for window in seen.windows] == [1000, 1000, 1000]
    assert all(window.start.weekday() == 0 for window in seen.windows)
    assert seen.latest.end == NOW
    alphas = {s.detector: s.alpha for s in seen.signals if s.detector not in ("labelled_error", "confident_errors")}
    # A year's one false alarm, over 365/7 windows; labelled errors have two of five parts, and of the two that read the
    # same columns those of the columns have three parts of four.
    parts = {"embedding": 0.5, "prediction": 1.0, "columns": 1.5}
    assert alphas == pytest.approx({name: part * 7 / 365 / 5 for name, part in parts.items()})


def test_rows_out_of_order_fall_into_their_windows(reference) -> None:
    traffic = frame(3000, 6)
    mixed = traffic.take(np.random.default_rng(0).permutation(3000))
    how = {"reference": reference, "time": "at", "window_days": 7, "features": ["x", "y", "plan"]}
    one, two = (backstay.watch(rows, clock=ManualClock(NOW), **how) for rows in (traffic, mixed))
    assert [w.rows for w in one.windows] == [w.rows for w in two.windows]
    for before, after in zip(one.windows, two.windows, strict=True):
        for a, b in zip(before.signals, after.signals, strict=True):
            assert a.evidence == pytest.approx(b.evidence, rel=1e-9)


@pytest.mark.parametrize("convert", [pl.from_arrow, lambda t: t.to_pandas()])
def test_times_of_nanoseconds_are_taken(reference, convert) -> None:
    def fine(table: pa.Table):
        times = table["at"].to_numpy().astype("datetime64[ns]") + np.timedelta64(789, "ns")
        return convert(table.set_column(table.column_names.index("at"), "at", pa.array(times)))

    how = {"time": "at", "time_zone": "UTC", "window_days": 7, "season": "week", "features": ["x"]}
    seen = look(fine(frame(2000, 5)), fine(reference), **how)
    assert seen.rows == 2000


def test_windows_by_number(reference) -> None:
    seen = look(frame(2500, 6), reference, window_rows=1000, features=["x"])
    assert [window.rows for window in seen.windows] == [1000, 1000, 500]
    timed = look(frame(2500, 6), reference, window_rows=1000, time="at", features=["x"])
    assert [window.rows for window in timed.windows] == [1000, 1000, 500]
    ends = [window.end for window in timed.windows]
    assert ends == sorted(ends)


@pytest.mark.parametrize("alpha", [3.0, 0.0, float("nan"), "0.01"])
def test_an_alpha_that_is_none_is_refused(reference, alpha) -> None:
    with pytest.raises(BackstayError, match="give a chance of a false alarm"):
        look(frame(1000, 6), reference, alpha=alpha, features=["x", "y"])


def test_alpha_is_of_each_window(reference) -> None:
    seen = look(frame(1000, 6), reference, alpha=0.01, features=["x", "y"])
    assert sum(signal.alpha for signal in seen.signals) == pytest.approx(0.01)


def test_groups_are_watched_as_rows(reference) -> None:
    seen = look(frame(2000, 6), reference, group="who", features=["x", "y"])
    inputs = next(signal for signal in seen.signals if signal.detector == "embedding")
    assert inputs.figures["n_effective"] <= 2000
    assert seen.rows == 2000


def test_labels_of_one_group_make_the_interval_of_labels_wider(reference) -> None:
    """Forty customers of ten rows, each right or wrong as a whole."""
    traffic = frame(400, 6)
    wrong = (np.arange(400) // 10) % 5 == 0
    churn = np.where(wrong, 1 - traffic["answer"].to_numpy(), traffic["answer"].to_numpy())
    traffic = traffic.set_column(traffic.column_names.index("churn"), "churn", pa.array(churn))
    traffic = traffic.set_column(
        traffic.column_names.index("who"), "who", pa.array([f"g{i // 10}" for i in range(400)])
    )
    roles = {**ROLES, "ignore": ["at", "who"], "features": ["x", "y"], "detectors": ["labelled_error"]}
    alone, together = (look(traffic, reference, **roles, group=group) for group in (None, "who"))
    width = []
    for seen in (alone, together):
        found = next(e for e in seen.latest.estimates if e.metric == "accuracy" and e.labels == 400)
        width.append(found.interval.high - found.interval.low)
    assert width[1] > 2 * width[0]
    assert together.latest.figures["labels_counted"][0]["by_group"]["labels"] == 40


def test_a_large_reference_is_drawn_from(reference, monkeypatch) -> None:
    monkeypatch.setattr(lens, "MOST_REFERENCE_ROWS", 1000)
    seen = look(frame(2000, 2), reference, **ROLES)
    assert 850 < seen.latest.figures["reference_accuracy"]["n"] < 1150
    assert seen.condition is Condition.FINE


def test_progress_counts_rows(reference) -> None:
    counted: list[int] = []

    class Bar:
        def step(self, name, total=None):
            assert (name, total) == ("rows", 2000)
            return self

        def __enter__(self):
            return lambda amount=1, note="": counted.append(amount)

        def __exit__(self, *_):
            return None

        def say(self, message):
            return None

    look(frame(2000, 2), reference, features=["x"], progress=Bar())
    assert sum(counted) == 2000


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"prediction": "anwser"}, "no column 'anwser'"),
        ({"window_days": 7.0}, "need times"),
        ({"window_days": 7.0, "window_rows": 100, "time": "at"}, "by time and by number"),
        ({"window_rows": 5}, "windows of 5 rows"),
        ({"window_rows": "200"}, "window_rows is '200'"),
        ({"window_rows": 50.5}, r"window_rows is 50\.5"),
        *(
            ({"window_days": days, "time": "at"}, "window_days is ")
            for days in ("7", 0, -1, float("nan"), True, 1e-9, 500)
        ),
        ({"alpha": 0.0}, "alpha is 0.0"),
        ({"alpha": 0.5}, "alpha is 0.5"),
        ({"score": "chance"}, "predictions are not"),
        ({"metrics": ["auk"]}, "no estimate without labels of 'auk'"),
        ({"prediction": "chance"}, "too many to be classes"),
        ({"features": ["z"]}, "'z', which is not there"),
        ({"prediction": "answer", "score": "x", "positive": "1"}, r"outside \[0, 1\]"),
    ],
)
def test_what_cannot_be_is_said(reference, how, message) -> None:
    with pytest.raises(BackstayError, match=message):
        look(frame(1000, 1), reference, **how)


def test_traffic_without_a_column_is_refused(reference) -> None:
    with pytest.raises(BackstayError, match="the traffic has no column 'x'"):
        look(frame(1000, 1).drop_columns(["x"]), reference, features=["x"])


def test_a_profile_where_it_was_asked_for(reference) -> None:
    seen = look(frame(1000, 1), reference, features=["x", "plan"], profile=True)
    assert seen.profile.keys() == {"x", "plan"}
    assert seen.profile["x"].rows == 1000
    assert seen.profile["plan"].distinct == pytest.approx(2, abs=0.01)
    assert look(frame(1000, 1), reference, features=["x"]).profile == {}


def test_nothing_to_watch_is_not_fine():
    frame = pa.table({"a": np.arange(200.0)})
    with pytest.raises(BackstayError, match="nothing to watch"):
        backstay.watch(frame, reference=frame, features=[])


def test_an_answer_of_none_of_these_has_no_score_and_is_right_for_a_class_nobody_knows() -> None:
    def rows(n: int, seed: int, strange: float) -> pa.Table:
        rng = np.random.default_rng(seed)
        truth = rng.choice(["a", "b", "zebra"], n, p=[(1 - strange) / 2, (1 - strange) / 2, strange])
        sure = rng.uniform(0.6, 0.99, n)
        a = np.where(truth == "a", sure, 1 - sure)
        said = np.where(truth == "zebra", "none of these", truth)
        return pa.table({"said": said, "a": a, "b": 1 - a, "true": truth})

    roles = {"prediction": "said", "scores": {"a": "a", "b": "b"}, "label": "true"}
    calm = backstay.watch(rows(600, 1, 0.05), reference=rows(2000, 0, 0.05), **roles)
    assert calm.condition is not Condition.WORSE
    labelled = next(e for e in calm.estimates if e.n)
    assert labelled.value == 1.0
    stirred = backstay.watch(rows(600, 2, 0.3), reference=rows(2000, 0, 0.05), **roles)
    assert any("'none of these'" in moved for moved in stirred.moved)


def test_rows_that_show_a_change_are_shown_with_their_text(tmp_path) -> None:
    def said(words: int, n: int) -> pa.Table:
        rng = np.random.default_rng(words)
        return pa.table(
            {"said": [" ".join(["why"] * (words + k)) + f" {i}" for i, k in enumerate(rng.integers(9, size=n))]}
        )

    seen = backstay.watch(said(9, 300), reference=said(3, 1000))
    assert seen.alarming
    shown = {str(example.columns["said"]) for example in seen.examples.values()}
    assert all(text.startswith("why why why") for text in shown)
    assert any(text in seen.page(tmp_path / "page.html").read_text() for text in shown)


def test_metrics_are_estimated_beside_accuracy(reference) -> None:
    seen = backstay.watch(frame(1500, 1).drop_columns(["churn"]), reference=reference, metrics=["auc"], **ROLES)
    found = {e.metric: e for e in seen.estimates if e.kind == "label-free"}
    assert set(found) == {"accuracy", "auc"}
    assert found["auc"].value == pytest.approx(0.92, abs=0.03)


# What only a project has; "backstay" alone is the package.
PROJECT = re.compile(r"`backstay |\brelease|project|settings|\b(data|watch|predictions|labels|budget)\.[a-z]|\blog\b")


@pytest.mark.parametrize(
    ("change", "how"),
    [
        ({"at": ["2026-03-01 12:00"] * 1000}, {"window_days": 7.0, "time": "at"}),
        ({"at": ["then"] * 1000}, {"window_days": 7.0, "time": "at"}),
        ({"x": ["one"] * 1000}, {}),
        ({"x": [{"a": 1}] * 1000}, {"features": ["x"]}),
        ({}, {"features": ["nowhere"]}),
        ({}, {"prediction": "answer", "scores": {"1": "chance"}}),
        ({}, {"prediction": "answer", "score": "chance", "positive": "7"}),
        ({}, {"embedding": "plan"}),
        ({}, {"season": "week", "time": "plan"}),
        ({}, {"features": ["x"], "ignore": ["x"]}),
    ],
)
def test_errors_are_said_without_the_words_of_a_project(reference, change, how) -> None:
    traffic = frame(1000, 1)
    for name, values in change.items():
        traffic = traffic.set_column(traffic.column_names.index(name), name, pa.array(values))
    with pytest.raises(BackstayError) as refused:
        look(traffic, reference, **how)
    assert not PROJECT.search(str(refused.value)), str(refused.value)


def test_what_was_seen_is_said_without_the_words_of_a_project(reference, tmp_path) -> None:
    strange = frame(1000, 3, shift=9.0).drop_columns(["churn"])
    wrong = frame(1500, 4, flipped=True)
    times = {"time": "at", "window_days": 7.0, **{**ROLES, "ignore": ["who"]}}
    looks = [look(strange, reference, **ROLES), look(wrong, reference, **ROLES), look(strange, reference, **times)]
    assert [seen.condition for seen in looks[:2]] == [Condition.MOVED, Condition.WORSE]
    for place, seen in enumerate(looks):
        said = [json.dumps([w["headline"], w["advice"], w["estimates"], w["signals"]]) for w in seen.to_json()]
        text = re.sub(
            r"<style>.*?</style>|<svg.*?</svg>", "", seen.page(tmp_path / f"{place}.html").read_text(), flags=re.S
        )
        for words in (*said, text):
            assert not PROJECT.search(words), PROJECT.search(words)
    assert any("label=" in line for line in looks[0].latest.advice)
    assert any("go back to the one before" in line for line in looks[1].latest.advice)


def test_the_detectors_may_be_chosen():
    rng = np.random.default_rng(4)
    reference = pd.DataFrame({"x": rng.normal(size=2000), "city": rng.choice(["Leeds", "York"], 2000)})
    today = pd.DataFrame({"x": rng.normal(size=600), "city": rng.choice(["Leeds", "Hull"], 600)})
    seen = backstay.watch(today, reference=reference, detectors=["schema", "columns"])
    assert {signal.detector for signal in seen.signals} == {"schema", "columns"}
    assert any(signal.detector == "schema" and signal.alarm for signal in seen.signals)
    with pytest.raises(BackstayError, match="no detector 'service' without a project") as refused:
        backstay.watch(today, reference=reference, detectors=["service"])
    assert "schema" in refused.value.fix
    with pytest.raises(BackstayError, match="nothing would look"):
        backstay.watch(today, reference=reference, detectors=[])
