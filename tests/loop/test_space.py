"""Where rows lie: of models with embeddings, the same each time, with the newest window on top."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from backstay.kernel.errors import NotFound
from backstay.loop.space import space_map


def test_reference_and_newest_window(trained):
    trained.later(8).monitor.watch()
    project = trained.open()
    release = project.releases.champion()
    seen = space_map(project.ws, release)
    assert len(seen.reference) == len(seen.classes) > 50
    assert set(seen.classes) == {"yes", "no"}
    assert len(seen.live) == 150
    again = space_map(project.ws, release)
    np.testing.assert_array_equal(seen.live, again.live)
    assert "of the spread" in seen.axes[0]
    middle = {name: seen.reference[np.array(seen.classes) == name].mean(axis=0) for name in ("yes", "no")}
    assert np.abs(middle["yes"] - middle["no"]).max() > seen.reference.std()


def test_before_the_first_window_there_is_only_the_reference(trained):
    project = trained.open()
    assert space_map(project.ws, project.releases.champion()).live.shape == (0, 2)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_neighbours_by_t_sne(trained):
    trained.later(8).monitor.watch()
    project = trained.open()
    seen = space_map(project.ws, project.releases.champion(), "tsne")
    assert np.isfinite(seen.reference).all()
    assert len(seen.live) == 150
    assert "means nothing" in seen.caption


def test_the_report_shows_it(trained):
    page = trained.folder / "report.html"
    trained.open().monitor.report(page=page)
    assert "The space of embeddings" in page.read_text()


def test_a_model_without_embeddings_has_no_such_picture(tiny):
    import backstay

    project = backstay.open(tiny.folder)
    assert space_map(project.ws, project.releases.champion()) is None


def test_the_page_of_one_model_says_what_was_measured_of_it(trained):
    project = trained.open()
    live = project.releases.champion().model_id
    page = Path(project.monitor.report(live[:10], page=trained.folder / "one.html").page)
    text = page.read_text()
    assert "The space of embeddings" in text
    assert "the gate lets it pass" in text
    assert "What was measured" in text
    by_itself = Path(project.monitor.report(live).page)
    assert by_itself.parent == trained.folder
    assert by_itself.read_text() == text


def test_the_page_of_a_model_without_embeddings_has_no_picture(tiny):
    import backstay

    project = backstay.open(tiny.folder)
    page = project.monitor.report(project.releases.champion().model_id).page
    text = Path(page).read_text()
    assert "What was measured" in text
    assert "The space of embeddings" not in text


def test_a_model_that_was_not_measured_has_no_page(tiny):
    import backstay

    project = backstay.open(tiny.folder)
    known = project.ws.model_record(project.releases.champion().model_id)
    with project.ws.ledger.transaction() as tx:
        tx.put("model", "lonely", replace(known, id="lonely"), **project.ws.scope)
    with pytest.raises(NotFound, match=r"lonely has not been measured.*offer it to the gate"):
        project.monitor.report("lone")
    with pytest.raises(NotFound, match="no model begins with 'zzz'"):
        project.monitor.report("zzz")
    assert not list(tiny.folder.glob("report-*.html"))
