"""Where rows lie: of models with embeddings, the same each time, with the newest window on top."""

from __future__ import annotations

import numpy as np
import pytest

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
