"""The Python API: everything that the command line can do, by methods, and what `import backstay` offers."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import backstay
from backstay import project as module
from backstay.cli.main import app
from backstay.demo import story
from backstay.project import (
    Project,
    actor_name,
)
from backstay.verbs.data import DataVerbs
from backstay.verbs.keys import KeyVerbs
from backstay.verbs.labels import LabelVerbs
from backstay.verbs.models import ModelVerbs
from backstay.verbs.monitor import MonitorVerbs
from backstay.verbs.releases import ReleaseVerbs

METHODS: dict[str, tuple[Any, ...]] = {
    "adopt": (module.adopt, ModelVerbs.offer),
    "init": (module.init,),
    "run": (ModelVerbs.run,),
    "promote": (ReleaseVerbs.promote,),
    "rollback": (ReleaseVerbs.rollback,),
    "serve": (ReleaseVerbs.serve,),
    "watch": (
        MonitorVerbs.watch,
        Project.open_live,
        MonitorVerbs.keep_watching,
        MonitorVerbs.examine,
        MonitorVerbs.backfill,
    ),
    "log": (MonitorVerbs.log, module.log),
    "label": (LabelVerbs.queue, LabelVerbs.request, LabelVerbs.answer, LabelVerbs.close_past),
    "notify": (MonitorVerbs.notify, MonitorVerbs.unsent),
    "retrain": (ModelVerbs.retrain,),
    "teach": (ModelVerbs.teach,),
    "transfer": (ModelVerbs.transfer,),
    "predict": (ModelVerbs.predict,),
    "index": (ModelVerbs.index, ModelVerbs.galleries, ModelVerbs.unindex),
    "search": (ModelVerbs.search,),
    "cluster": (ModelVerbs.cluster,),
    "enhance": (ModelVerbs.enhance,),
    "audit": (DataVerbs.audit,),
    "history": (ReleaseVerbs.history, ReleaseVerbs.trend),
    "report": (MonitorVerbs.report,),
    "sign": (ReleaseVerbs.sign,),
    "status": (Project.status,),
    "verify": (Project.verify,),
    "key": (KeyVerbs.create, KeyVerbs.list, KeyVerbs.revoke),
    "settings": (Project.settings,),
    "upgrade": (module.upgrade,),
    "backup": (Project.backup,),
    "restore": (module.restore,),
    "gc": (Project.gc,),
    "forget": (DataVerbs.forget,),
    "demo": (story.tell,),
}


def test_every_verb_of_the_command_line_is_a_method():
    verbs = [c.callback.__name__ for c in app.registered_commands]
    assert sorted(METHODS) == sorted(verbs)


@pytest.mark.parametrize("verb", METHODS)
def test_every_method_says_what_it_does(verb):
    for method in METHODS[verb]:
        if not isinstance(method, property):
            assert inspect.getdoc(method), f"{verb}: {method.__qualname__}"


def test_the_names_of_the_package_come_from_where_they_live():
    assert backstay.open is module.open
    assert backstay.adopt is module.adopt
    assert backstay.init is module.init
    assert backstay.log is module.log
    assert backstay.Project is Project
    assert set(backstay.__all__) <= set(dir(backstay)) | set(backstay._HOMES) | {"__version__"}


def test_an_unknown_name_of_the_package():
    with pytest.raises(AttributeError, match="no attribute 'lgo'"):
        backstay.lgo  # noqa: B018 - asking is the test


def test_no_package_is_called_log():
    """`backstay.log` is a function; a package of that name would take its place as soon as it is imported."""
    folder = Path(inspect.getfile(backstay)).parent
    assert not (folder / "log").exists()
    assert not (folder / "log.py").exists()


def test_the_loop_by_methods(tiny):
    project = backstay.open(tiny.folder, actor="ada")
    offered = project.models.offer(Path(tiny.file("good.onnx")))
    assert offered.verdict.passed
    release = project.releases.promote(offered.model.id, reason="better")
    assert (release.sequence, release.actor) == (2, "ada")
    assert project.releases.champion() == release
    predicted = project.models.predict(pq.read_table(tiny.file("rows.parquet")), record=True)
    assert predicted.table.num_rows == 120
    watched = project.monitor.watch(close_now=True)
    assert watched.latest is not None
    assert watched.latest.rows == 120
    queue = project.labels.request(5)
    assert len([r for r in queue.requests if r.purpose == "estimate"]) == 5
    done = project.labels.answer([{"id": r.prediction_id, "label": "yes"} for r in queue.requests])
    assert done.added == len(queue.requests)
    back = project.releases.rollback(reason="complaints")
    assert back.model_id != release.model_id
    assert [r.sequence for r in project.releases.history().releases] == [1, 2, 3]
    assert project.verify().sound
    assert project.status().logged_rows == 120


def test_log_takes_a_frame_a_list_and_a_file(tiny):
    rows = [{"id": "a-1", "prediction": "yes"}, {"id": "a-2", "prediction": "no"}]
    assert backstay.log(rows, project=tiny.folder).rows == 2
    assert backstay.log(pa.table({"id": ["b-1"], "prediction": ["no"]}), project=tiny.folder).rows == 1
    polars = pytest.importorskip("polars")
    assert backstay.log(polars.DataFrame({"id": ["c-1"], "prediction": ["no"]}), project=tiny.folder).rows == 1
    assert backstay.open(tiny.folder).status().logged_rows == 4


def test_keys_by_methods(tiny):
    keys = backstay.open(tiny.folder).keys
    assert keys.create("app").token.startswith("bsk_")
    assert [k.name for k in keys.list()] == ["app"]
    assert [k.revoked for k in keys.revoke("app")] == [True]


def test_looking_after_the_store_by_methods(tiny, tmp_path):
    project = backstay.open(tiny.folder)
    assert project.backup(tmp_path / "copy")["backup"] == str(tmp_path / "copy")
    assert project.gc(dry_run=True)["removed"] == []
    assert module.upgrade(tiny.folder, dry_run=True)["backup"] is None
    (tiny.folder / ".backstay").rename(tmp_path / "lost")
    module.restore(tiny.folder, tmp_path / "copy")
    assert backstay.open(tiny.folder).verify().sound


def test_errors_are_caught_by_one_name(tiny):
    project = backstay.open(tiny.folder)
    project.models.offer(Path(tiny.file("bad.onnx")))
    with pytest.raises(backstay.Refused) as refused:
        project.releases.promote()
    assert isinstance(refused.value, backstay.BackstayError)
    assert refused.value.fix
    with pytest.raises(backstay.BackstayError, match="no model file was named"):
        project.models.offer(None)


@pytest.mark.parametrize(
    ("missing", "given"),
    [("--reference", {"target": "y", "reference": None}), ("--target", {"target": None, "reference": "r"})],
)
def test_adopting_needs_rows_and_their_labels(missing, given, tmp_path):
    with pytest.raises(backstay.BackstayError, match=missing):
        backstay.adopt("model.onnx", folder=tmp_path, **given)


def test_open_finds_the_project_from_below_and_by_its_file(tiny):
    below = tiny.folder / "notebooks"
    below.mkdir()
    assert backstay.open(below).ws.root == tiny.folder.resolve()
    assert backstay.open(tiny.folder / "backstay.toml").settings.name == "tiny"


def test_who_acts(monkeypatch):
    monkeypatch.setenv("BACKSTAY_ACTOR", "nightly job")
    assert actor_name() == "nightly job"
    monkeypatch.delenv("BACKSTAY_ACTOR")
    assert actor_name()

    def nobody() -> str:
        raise KeyError

    monkeypatch.setattr("getpass.getuser", nobody)
    assert actor_name().startswith("uid ")
