"""What a server looks at five times a second: read when it has changed, and only then."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from backstay.kernel.errors import BackstayError
from backstay.loop.keys import active
from backstay.loop.serve import pointer, unless_same
from backstay.project import Project


class Reading:
    """Counts how often it was read; says what it is told to say."""

    def __init__(self) -> None:
        self.count = 0
        self.trouble: BackstayError | None = None

    def __call__(self) -> int:
        self.count += 1
        if self.trouble is not None:
            raise self.trouble
        return self.count


def test_what_was_read_is_kept_for_its_revision_only():
    revision, read = [1], Reading()
    look = unless_same(lambda: revision[0], read)
    assert [look(), look()] == [1, 1]
    revision[0] = 2
    assert [look(), look()] == [2, 2]


def test_what_changes_while_it_is_read_is_read_again():
    revision = [1]

    def read() -> int:
        found = revision[0]
        revision[0] = 2  # somebody commits behind the reader's back
        return found

    look = unless_same(lambda: revision[0], read)
    assert [look(), look()] == [1, 2]


def test_trouble_is_told_at_every_look_until_it_is_over():
    read = Reading()
    look = unless_same(lambda: 1, read)
    read.trouble = BackstayError("damaged", fix="restore")
    for _ in range(2):
        with pytest.raises(BackstayError, match="damaged"):
            look()
    read.trouble = None
    assert look() == 3
    unreadable = unless_same(lambda: 1 // 0, read)
    with pytest.raises(ZeroDivisionError):
        unreadable()


def test_an_unchanged_store_is_not_read_and_a_changed_one_is(tiny, monkeypatch):
    project = Project.open(tiny.folder)
    project.keys.create("app")
    with project.ws.catalog.revisions() as revision:
        keys = unless_same(revision, lambda: active(project.ws))
        live = unless_same(revision, lambda: pointer(project.ws))
        assert [k.name for k in keys()] == ["app"]
        first = live()
        with monkeypatch.context() as patch:
            patch.setattr(type(project.ws.catalog), "find", None)
            patch.setattr(type(project.ws.catalog), "champion", None)
            assert [k.name for k in keys()] == ["app"]
            assert live() is first
        other = Project.open(tiny.folder)
        other.keys.revoke("app")
        other.models.offer(tiny.file("good.onnx"))
        other.releases.promote()
        assert keys() == []
        assert live().release == other.releases.champion() != first.release


def test_a_running_server_follows_its_store(tiny, serving_process, asked):
    server = serving_process(tiny.folder)
    project = Project.open(tiny.folder)
    project.keys.create("other", scopes=("predict",))

    def trouble() -> str:
        return server.call("GET", "/v2/health/ready")[1].get("trouble", "")

    project.models.offer(tiny.file("good.onnx"))
    project.releases.promote()
    within_a_second(lambda: server.call("GET", "/v2/models/tiny")[1]["versions"] == ["1", "2"])
    database = tiny.database.rename(tiny.folder / "away")
    within_a_second(lambda: "is gone" in trouble())
    assert server.call("POST", "/v2/models/tiny/infer", asked([1.0], [1.0]))[0] == 200
    database.rename(tiny.database)
    within_a_second(lambda: not trouble())
    project.keys.revoke("app")
    within_a_second(lambda: server.call("GET", "/v2/models/tiny")[0] == 401)


def within_a_second(what: Callable[[], bool]) -> None:
    """A look is made five times a second; a busy machine is given more."""
    for _ in range(500):
        if what():
            return
        time.sleep(0.02)
    raise AssertionError("it was not seen")
