"""The page of a trend: self-contained, escaped, and saying what is not known."""

from __future__ import annotations

import re
from datetime import timedelta
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from backstay.kernel.momentum import Deadline, Decay, Durations, Episode, Momentum, Point, Reach, ReleaseTrend, Share
from backstay.kernel.records import Interval
from backstay.render.momentum_chart import momentum_chart
from backstay.render.momentum_page import momentum_page

HOSTILE = "<script>alert(1)</script>"


class Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "img", "br", "link"}:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture
def trend(releases) -> Momentum:
    """The first release falls to its threshold, the second is too young."""
    first, second = releases[0], releases[1]
    middle = [first.created_at + timedelta(days=7 * week) for week in range(6)]
    points = tuple(
        Point(at, "labels", 0.96 - 0.01 * i, Interval(0.9 - 0.01 * i, 0.99), 40) for i, at in enumerate(middle)
    )
    free = tuple(Point(at, "label-free", 0.95, Interval(0.93, 0.97), 900) for at in middle)
    line = tuple(
        Reach(first.created_at + timedelta(days=7 * week), 0.96 - 0.01 * week, 0.93 - 0.01 * week, 0.99, week < 6)
        for week in range(9)
    )
    decay = Decay("labels", 6, 240, -0.01, Interval(-0.018, -0.002), 0.91, Interval(0.88, 0.94), 0, line)
    deadline = Deadline(0.9, "between", 3.0, 40.0, 9.0, "at the threshold of 90.0% in 9 days, between 3 and 40")
    told = ReleaseTrend(
        first.id, 1, "adopted", first.model_id, first.created_at, second.created_at, 6, 240, 224, 0.933,
        Interval(0.894, 0.961), points + free, 0.9, decay, deadline, "", f"Accuracy falls {HOSTILE}",
    )  # fmt: skip
    young = ReleaseTrend(
        second.id, 2, "promoted", second.model_id, second.created_at, None, 1, 0, 0, None, None, (), 0.9, None, None,
        "there are 0 labels", "Decay is not known yet, because there are 0 labels.",
    )  # fmt: skip
    answered = Episode(1, middle[3], "window-3", ("embedding", "labels"), False, 2, 12.5, None, 2, 12.5, "answered")
    waiting = Episode(2, middle[5], "window-9", (HOSTILE,))
    return Momentum(
        "digits", "production", 365.0, 4, 0.02, (told, young), (answered, waiting),
        Durations(1, (12.5,), None, None, "not known yet as a rule, because an interval takes 6 episodes"),
        Share(0, 1, Interval(0.0, 0.975), "0 of 1 changes failed; the rate is between 0% and 98%"),
        Durations(0, (), None, None, "not known yet, because nothing has gone wrong yet"),
    )  # fmt: skip


def test_the_page_loads_nothing_and_is_well_formed(trend, results, releases):
    html = momentum_page(trend, results, releases)
    assert not re.search(r"https?://", re.sub(r'xmlns(:\w+)?="http://www\.w3\.org/[^"]+"', "", html))
    page = Tags(html)
    assert not page.open
    assert HOSTILE not in html
    names = [tag for tag, _ in page.tags]
    assert "script" not in names
    assert names.count("h1") == 1
    levels = [int(name[1]) for name in names if re.fullmatch(r"h[1-6]", name)]
    assert all(b - a <= 1 for a, b in pairwise(levels))
    assert all(a.get("scope") in {"row", "col"} for tag, a in page.tags if tag == "th")
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))


def test_every_figure_stands_with_its_interval(trend):
    html = momentum_page(trend)
    assert "−1.00" in html
    assert "−1.80 to −0.20" in html
    assert "89.4% to 96.1%; 224 of 240" in html
    assert "in 9 days, between 3 and 40" in html
    assert "not known yet, because there are 0 labels" in html
    assert "answered by release 2; fine again under release 2" in html
    assert '<span class="no">open</span>' in html


def test_the_figure_is_the_same_for_the_same_story_and_told_in_words(trend, results, releases):
    html = momentum_page(trend, results, releases)
    assert html == momentum_page(trend, results, releases)
    assert "release 1: now 91.0%, changing by -1.80 to -0.20 points a week" in html
    assert html.count("<svg role=") == 2


def test_the_key_names_what_is_drawn(trend):
    chart = momentum_chart(trend, ())
    assert [key.text for key in chart.accuracy_key] == [
        "from labels alone",
        "estimated without labels",
        "trend of a release",
        "threshold",
    ]


def test_marks_are_releases_and_alarms_alone(trend, results, releases):
    html = momentum_page(trend, results, releases)
    said = re.findall(r"<li><span class=\"num (\w+)\">", html)
    assert set(said) == {"adopted", "promoted", "alarm"} | {r.kind.value for r in releases}
    assert said.count("alarm") == sum(bool(r.new_alarms) for r in results)


def test_nothing_watched_is_a_page_too():
    nothing = Durations(0, (), None, None, "not known yet, because no alarm has been raised yet")
    empty = Momentum(
        "m", "e", 365.0, 4, 0.02, (), (), nothing, Share(0, 0, None, "not known yet, because nothing"), nothing
    )
    html = momentum_page(empty)
    assert "Nothing has been watched yet." in html
    assert "Nothing has been released yet." in html
    assert "No alarm has been raised yet." in html
    assert "<svg role" not in html
