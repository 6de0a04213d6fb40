"""Several models in one project, several environments of one model: each has releases, log, labels of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import backstay
from backstay.cli.main import run
from backstay.kernel.errors import BackstayError, NotFound
from backstay.loop import agent, several

SECOND = """
[models.second]
budget = { labels_per_month = 10 }

[models.second.data]
source = "second.parquet"

[environments.staging]
watch = { window_days = 1.0 }

[environments.staging.gate]
minimum_n = 50
"""


@pytest.fixture
def two(tiny):
    """The tiny project with a second model in its file, adopted, and the first one in staging as well."""
    file = tiny.folder / "backstay.toml"
    file.write_text(file.read_text() + SECOND)
    rows = pq.read_table(tiny.file("ref.parquet"))
    pq.write_table(rows.slice(0, 200), tiny.file("second.parquet"))
    where = {"reference": tiny.file("ref.parquet"), "target": "y", "folder": tiny.folder}
    backstay.adopt(tiny.file("good.onnx"), **{**where, "reference": tiny.file("second.parquet")}, which="second")
    backstay.adopt(tiny.file("champion.onnx"), **where, environment="staging")
    return tiny


def test_settings_are_merged_from_top_to_model_to_environment(two):
    first, second = backstay.open(two.folder), backstay.open(two.folder, model="second")
    staging = backstay.open(two.folder, environment="staging")
    both = backstay.open(two.folder, model="second", environment="staging")
    assert [p.settings.budget.labels_per_month for p in (first, second, staging, both)] == [50, 10, 50, 10]
    assert [p.settings.watch.window_days for p in (first, second, staging, both)] == [7, 7, 1, 1]
    assert [p.settings.gate.minimum_n for p in (first, staging)] == [100, 50]
    assert (both.settings.name, both.settings.environment) == ("second", "staging")
    assert both.settings.data.target == "y"


def test_each_has_a_champion_of_its_own(two):
    first, second = backstay.open(two.folder), backstay.open(two.folder, model="second")
    staging = backstay.open(two.folder, environment="staging")
    ids = {p.releases.champion().id for p in (first, second, staging)}
    assert len(ids) == 3
    assert first.releases.champion().model_id == staging.releases.champion().model_id
    with pytest.raises(NotFound, match="'second' has no release in 'staging'"):
        backstay.open(two.folder, model="second", environment="staging").releases.champion()


def test_logs_labels_and_windows_are_kept_apart(two):
    first, second = backstay.open(two.folder), backstay.open(two.folder, model="second")
    staging = backstay.open(two.folder, environment="staging")
    first.models.predict(two.file("rows.parquet"), record=True)
    assert [p.status().logged_rows for p in (first, second, staging)] == [120, 0, 0]
    # The same ids may be logged elsewhere: an id belongs to its model and environment.
    second.models.predict(two.file("rows.parquet"), record=True)
    first.labels.answer([{"id": "live-1", "label": "yes"}])
    assert [p.status().labels for p in (first, second, staging)] == [1, 0, 0]
    assert first.monitor.watch(close_now=True).latest is not None
    assert second.status().last_window is None
    with pytest.raises(BackstayError, match="never logged"):
        staging.labels.answer([{"id": "live-1", "label": "yes"}])


def test_promotion_in_one_leaves_the_others(two):
    first, second = backstay.open(two.folder), backstay.open(two.folder, model="second")
    staging = backstay.open(two.folder, environment="staging")
    offered = staging.models.offer(two.folder / "bad.onnx")
    assert not offered.verdict.passed
    with pytest.raises(BackstayError, match="has not been through the gate"):
        first.releases.promote(offered.model.id)
    before = [p.releases.champion().id for p in (first, second)]
    with pytest.raises(backstay.Refused):
        staging.releases.promote()
    assert [p.releases.champion().id for p in (first, second)] == before
    assert [e.kind for e in staging.releases.history().events] == ["adopted", "verdict", "verdict", "promotion_refused"]
    assert [e.kind for e in second.releases.history().events] == ["adopted", "verdict"]
    with pytest.raises(NotFound):
        second.releases.promote()


def test_the_report_tells_the_refusals_of_its_own_model_only(two):
    staging = backstay.open(two.folder, environment="staging")
    offered = staging.models.offer(two.folder / "bad.onnx")
    with pytest.raises(backstay.Refused):
        staging.releases.promote()
    own = Path(staging.monitor.report(page=two.folder / "staging.html").page).read_text()
    other = Path(backstay.open(two.folder).monitor.report(page=two.folder / "first.html").page).read_text()
    assert offered.model.id[:14] in own
    assert offered.model.id[:14] not in other


def test_verify_and_backup_are_of_the_whole_project(two, tmp_path):
    assert backstay.open(two.folder).verify().checked_bundles == 2
    model = backstay.open(two.folder, model="second").releases.champion().model_id
    (two.folder / ".backstay" / "bundles" / model / "model.onnx").write_bytes(b"other")
    found = backstay.open(two.folder).verify()
    assert not found.sound
    assert any(model in p or "model.onnx" in p for p in found.problems)


def test_the_command_line_takes_model_and_environment(two, capsys):
    where = ["--project", str(two.folder)]
    assert run(["status", "--model", "second", *where]) == 0
    assert "second in production" in capsys.readouterr().out
    assert run(["status", "--environment", "staging", *where]) == 0
    assert "tiny in staging" in capsys.readouterr().out
    assert run(["settings", "--json", "--model", "second", "--environment", "staging", *where]) == 0
    assert '"name": "second"' in capsys.readouterr().out
    assert run(["adopt", two.file("bad.onnx"), "--reference", two.file("ref.parquet"), "--target", "y",
                "--model", "third", *where]) == 2  # fmt: skip
    assert "no model 'third'" in capsys.readouterr().err


def test_one_model_file_under_two_names_is_told(two):
    with pytest.raises(BackstayError) as told:
        backstay.adopt(
            two.file("champion.onnx"),
            reference=two.file("second.parquet"),
            target="y",
            folder=two.folder,
            which="second",
            environment="staging",
        )
    assert "tiny" in str(told.value)


def test_all_are_watched_one_after_the_other(two, capsys):
    where = ["--project", str(two.folder)]
    live = backstay.Project.open_live(two.folder)
    assert [(p.ws.name, p.ws.environment) for p in live] == [
        ("tiny", "production"), ("second", "production"), ("tiny", "staging"),
    ]  # fmt: skip
    for one in live[:2]:
        one.models.predict(two.file("rows.parquet"), record=True)
    assert run(["watch", "--all", "--now", "--json", *where]) in (0, 3)
    told = json.loads(capsys.readouterr().out)
    assert [(t["model"], t["environment"], len(t["watched"]["windows"])) for t in told] == [
        ("tiny", "production", 1), ("second", "production", 1), ("tiny", "staging", 0),
    ]  # fmt: skip
    assert run(["watch", "--all", "--model", "second", *where]) == 2
    assert "--all watches every model" in capsys.readouterr().err
    assert run(["watch", "--all", "--every", "5", "--now", *where]) == 2
    assert "--every looks again" in capsys.readouterr().err


def test_one_that_cannot_be_judged_stops_no_other(two, capsys):
    backstay.open(two.folder, model="second").models.predict(two.file("rows.parquet"), record=True)
    reference = backstay.open(two.folder, model="second").releases.champion().reference_id
    for file in (two.folder / ".backstay").rglob(f"*{str(reference).removeprefix('data_')[:12]}*"):
        file.unlink()
    assert run(["watch", "--all", "--now", "--project", str(two.folder)]) == 2
    out = capsys.readouterr().out
    assert "second in production\nerror: " in out
    assert "tiny in staging" in out


def failing(monkeypatch, error: Exception) -> None:
    """The second model's looks end with this."""
    real = several.watch

    def look(ws, **options):
        if ws.name == "second":
            raise error
        return real(ws, **options)

    monkeypatch.setattr(several, "watch", look)


def test_a_fault_of_ours_stops_no_other_model(two, capsys, monkeypatch):
    failing(monkeypatch, TypeError("unhashable type: 'list'"))
    assert run(["watch", "--all", "--project", str(two.folder)]) == 1
    out = capsys.readouterr().out
    assert "second in production\nerror: TypeError: unhashable type: 'list'\n  this is a fault of Backstay's own" in out
    assert "tiny in staging" in out
    assert run(["watch", "--all", "--json", "--project", str(two.folder)]) == 1
    told = json.loads(capsys.readouterr().out)
    assert [t.get("kind") for t in told] == [None, "Fault", None]


def test_pages_and_figures_of_all_go_together(two, capsys, monkeypatch):
    for one in backstay.Project.open_live(two.folder)[:2]:
        one.models.predict(two.file("rows.parquet"), record=True)
    pages, figures = two.folder / "pages", two.folder / "backstay.prom"
    files = ["--page", str(pages), "--metrics", str(figures), "--project", str(two.folder)]
    assert run(["watch", "--all", "--now", *files]) in (0, 3)
    assert sorted(f.name for f in pages.iterdir()) == ["index.html", "second@production.html", "tiny@production.html"]
    index = (pages / "index.html").read_text()
    assert 'href="second@production.html"' in index
    assert "Nothing has been judged yet." in index  # tiny in staging
    assert "second in production" in (pages / "second@production.html").read_text()

    def rows() -> set[str]:
        return {line.partition(" ")[0] for line in figures.read_text().splitlines() if "_window_rows{" in line}

    both = {
        'backstay_window_rows{environment="production",model="second"}',
        'backstay_window_rows{environment="production",model="tiny"}',
    }
    assert rows() == both
    # What was known of a model stays in the file and on the index when a look at it fails; the failure is told there.
    failing(monkeypatch, RuntimeError("<b>broken"))
    assert run(["watch", "--all", *files]) == 1
    assert rows() == both
    index = (pages / "index.html").read_text()
    assert "3 models: 1 could not be looked at" in index
    assert "RuntimeError: &lt;b&gt;broken" in index
    assert 'href="second@production.html"' in index
    capsys.readouterr()
    assert run(["watch", "--all", "--page", str(figures), "--project", str(two.folder)]) == 2
    assert "cannot be written" in capsys.readouterr().out


def test_one_agent_looks_at_all_again_and_again(two, capsys, monkeypatch):
    failing(monkeypatch, TypeError("once more"))
    rounds: list[float] = []

    def again(look, *, every_seconds):
        rounds.append(every_seconds)
        look()
        look()
        raise KeyboardInterrupt

    monkeypatch.setattr(agent, "again", again)
    figures = two.folder / "none" / "backstay.prom"
    assert (
        run(["watch", "--all", "--every", "5", "--json", "--metrics", str(figures), "--project", str(two.folder)])
        == 130
    )
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert rounds == [300.0]
    assert [(t["model"], t.get("kind")) for t in lines] == 2 * [("tiny", None), ("second", "Fault"), ("tiny", None)]


def test_an_agent_goes_on_where_the_index_cannot_be_written(two, capsys, monkeypatch):
    def again(look, *, every_seconds):
        look()
        look()
        raise KeyboardInterrupt

    monkeypatch.setattr(agent, "again", again)
    (two.folder / "pages").mkdir()
    (two.folder / "pages" / "index.html").mkdir()
    assert (
        run(["watch", "--all", "--every", "5", "--page", str(two.folder / "pages"), "--project", str(two.folder)])
        == 130
    )
    told = capsys.readouterr()
    assert told.err.count("index.html cannot be written") == 2
    assert told.out.count("tiny in staging") == 2


def test_nothing_live_is_said(tmp_path, capsys):
    (tmp_path / "backstay.toml").write_text("version = 1\n")
    assert run(["watch", "--all", "--project", str(tmp_path)]) == 2
    assert "has a release yet" in capsys.readouterr().err


def rounds(monkeypatch, *between) -> None:
    """An agent that looks once, and once more after each of these has happened."""

    def again(look, *, every_seconds):
        look()
        for happens in between:
            happens()
            look()
        raise KeyboardInterrupt

    monkeypatch.setattr(agent, "again", again)


def test_an_agent_takes_up_what_is_adopted_and_leaves_what_is_taken_out(two, capsys, monkeypatch):
    file = two.folder / "backstay.toml"
    text = file.read_text()
    third = text.replace(
        "[environments.staging]\n", '[models.third.data]\nsource = "ref.parquet"\n\n[environments.staging]\n'
    )

    def adopt() -> None:
        file.write_text(third)
        backstay.adopt(
            two.file("bad.onnx"),
            reference=two.file("ref.parquet"),
            target="y",
            folder=two.folder,
            which="third",
            classes=["no", "yes"],
        )

    def take_out() -> None:
        file.write_text(text.replace(SECOND, "") + SECOND.partition("[environments")[0])

    def spoil() -> None:
        file.write_text(file.read_text().replace("labels_per_month = 10", "labels_per_month = -10"))

    rounds(monkeypatch, adopt, take_out, lambda: None, spoil, lambda: file.write_text("name = "), take_out)
    where = ["--project", str(two.folder)]
    pages = two.folder / "pages"
    assert run(["watch", "--all", "--every", "5", "--json", "--page", str(pages), *where]) == 130
    told = capsys.readouterr()
    said = [json.loads(line) for line in told.out.splitlines()]
    lines = [t for t in said if "model" in t]
    seen = [(t["model"], t["environment"][:1], t.get("kind", "seen")) for t in lines]
    first = [("tiny", "p", "seen"), ("second", "p", "seen")]
    staging = ("tiny", "s", "seen")
    assert seen == [
        *first, staging,
        *first, ("third", "p", "seen"), staging,
        ("tiny", "s", "NotFound"), ("third", "p", "NotFound"), *first,
        *first,
        ("tiny", "p", "seen"), ("second", "p", "BackstayError"),
        *first,
        *first,
    ]  # fmt: skip
    assert "watched no more" in lines[7]["error"]
    assert "labels_per_month" in next(t["error"] for t in lines if t.get("kind") == "BackstayError")
    assert "is not valid TOML" in str([t for t in said if "model" not in t]) + told.err
    assert "third" not in (pages / "index.html").read_text()


def test_what_stands_as_it_stood_is_not_opened_again_and_a_changed_setting_is_read(two):
    before = backstay.Project.open_each(two.folder)
    file = two.folder / "backstay.toml"
    file.write_text(file.read_text().replace("labels_per_month = 10", "labels_per_month = 20"))
    known = [one.project for one in before]
    after = [one.project for one in backstay.Project.open_each(two.folder, before=known)]
    assert [new is old for new, old in zip(after, known, strict=True)] == [True, False, True]
    assert after[1].settings.budget.labels_per_month == 20


def test_one_whose_part_of_the_file_is_wrong_stops_no_other(two, capsys):
    file = two.folder / "backstay.toml"
    file.write_text(file.read_text().replace("labels_per_month = 10", "labels_per_month = -10"))
    assert run(["watch", "--all", "--project", str(two.folder)]) == 2
    out = capsys.readouterr().out
    assert out.count("second in") == 2  # in production, and in staging
    assert out.count("error: backstay.toml: budget.labels_per_month") == 2
    assert "tiny in staging\n" in out
    with pytest.raises(BackstayError, match="labels_per_month"):
        backstay.Project.open_live(two.folder)
