"""`backstay history --trend` as people and programs see it."""

from __future__ import annotations

from datetime import UTC, datetime

from backstay.cli.trend import trend
from backstay.kernel.momentum import Decay, Durations, Episode, Momentum, ReleaseTrend, Share
from backstay.kernel.records import Interval

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)


def test_every_figure_is_printed_with_its_interval(capsys):
    decay = Decay("labels", 8, 160, -0.0457, Interval(-0.0821, -0.0094), 0.71, Interval(0.57, 0.85), 0, ())
    told = ReleaseTrend(
        "release-1", 1, "adopted", "model-1", BEGIN, None, 8, 160, 138, 0.8625, Interval(0.799, 0.912), (), 0.905,
        decay, None, "", "Accuracy falls.",
    )  # fmt: skip
    nothing = Durations(0, (), None, None, "not known yet")
    episodes = (
        Episode(1, BEGIN, "w", ("embedding",), False, 2, 14.0, None, 3, 14.0, "answered"),
        Episode(1, BEGIN, "w", ("columns",), False, 2, 14.0, state="answered"),
        Episode(2, BEGIN, "w", ("columns",), quiet_at=BEGIN, state="quiet by itself"),
        Episode(3, BEGIN, "w", ("columns", "labels")),
    )
    trend(Momentum("m", "e", 365.0, 4, 0.02, (told,), episodes, nothing, Share(0, 0, None, "not known"), nothing))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "m in e: quality over 1 release"
    assert "86.2% (79.9% to 91.2%)" in lines[2]
    assert "-4.57 (-8.21 to -0.94)" in lines[2]
    assert [line.partition("): ")[2] for line in lines[-4:]] == [
        "answered by release 2, fine again under release 3",
        "answered by release 2, not fine again yet",
        "quiet by itself on 2026-01-05",
        "open",
    ]


def test_the_trend_as_text_as_json_and_as_a_page(tiny, command):
    good = command("adopt", "--challenger", str(tiny.file("good.onnx")), "--json", project=tiny.folder).json["model"][
        "id"
    ]
    assert command("promote", good, "--reason", "better", project=tiny.folder).code == 0
    page = tiny.folder / "trend.html"
    text = command("history", "--trend", "--page", str(page), project=tiny.folder)
    assert text.code == 0
    lines = text.out.splitlines()
    assert lines[0].endswith("quality over 2 releases")
    assert lines[1].split()[:2] == ["no.", "live"]
    assert max(map(len, lines[1:4])) <= 110
    assert "release 2: Decay is not known yet, because no window of it has been watched." in lines
    assert "lead time, alarm to release: not known yet, because no alarm has been raised yet" in lines
    assert any(line.startswith("failed changes: not known yet, because no change has been live") for line in lines)
    assert lines[-1] == f"page: {page}"
    assert "Quality over releases" in page.read_text()
    document = command("history", "--trend", "--json", project=tiny.folder).json
    assert [r["sequence"] for r in document["releases"]] == [1, 2]
    assert document["failed_changes"]["too_early"] == ["release 2"]
    assert document["lead_time"]["median"] is None


def test_how_far_ahead_a_threshold_is_looked_for(tiny, command):
    page = tiny.folder / "trend.html"
    asked = ("history", "--trend", "--horizon", "90")
    assert "thresholds are looked for 90 days ahead" in command(*asked, "--page", str(page), project=tiny.folder).out
    assert "looked for beyond 90 days" in page.read_text()
    assert command(*asked, "--json", project=tiny.folder).json["horizon_days"] == 90.0
    assert command("history", "--trend", "--json", project=tiny.folder).json["horizon_days"] == 365.0
    told = command("history", "--trend", "--horizon", "0", project=tiny.folder)
    assert told.code == 2
    assert "look 1 to 3650 days ahead" in told.err
    alone = command("history", "--horizon", "90", project=tiny.folder)
    assert alone.code == 2
    assert "history --trend --horizon" in alone.err


def test_a_page_without_a_trend_is_refused(tiny, command):
    told = command("history", "--page", str(tiny.folder / "trend.html"), project=tiny.folder)
    assert told.code != 0
    assert "history --trend --page" in told.err
    assert not (tiny.folder / "trend.html").exists()


def test_a_page_that_cannot_be_written_leaves_nothing(tiny, command):
    (tiny.folder / "file").write_text("")
    told = command("history", "--trend", "--page", str(tiny.folder / "file" / "trend.html"), project=tiny.folder)
    assert told.code != 0
    assert "cannot be written" in told.err
