"""Watching again and again: one look's failure is told, and does not end the watch."""

from __future__ import annotations

import threading

import pytest

from backstay.kernel.errors import BackstayError
from backstay.loop import agent
from backstay.loop import watch as watching
from backstay.loop.agent import run_agent
from backstay.loop.lease import lease


def ran(project, looks: int, **options):
    """What an agent told and complained of in so many turns."""
    told, complaints, stop = [], [], threading.Event()

    def count() -> None:
        if len(told) + len(complaints) >= looks:
            stop.set()

    made = run_agent(
        project.ws,
        every_seconds=1.0,
        tell=lambda value: (told.append(value), count()),
        complain=lambda error: (complaints.append(error), count()),
        until=stop,
        **options,
    )
    return made, told, complaints


def test_it_judges_each_window_once(trained, monkeypatch):
    monkeypatch.setattr(agent, "SHORTEST", 0.0)
    made, told, complaints = ran(trained.later(8), 2)
    assert (made, complaints) == (2, [])
    assert [len(watched.windows) for watched in told] == [1, 0]


def test_a_fault_of_ours_is_told_with_its_place_and_the_next_look_is_made(trained, monkeypatch):
    monkeypatch.setattr(agent, "SHORTEST", 0.0)
    real, faults = watching.tidy, [ZeroDivisionError("division\nby zero")]

    def tidy(ws):
        if faults:
            raise faults.pop()
        return real(ws)

    monkeypatch.setattr(watching, "tidy", tidy)
    made, told, complaints = ran(trained.open(), 2)
    assert (made, len(told), [c.what for c in complaints]) == (1, 1, ["ZeroDivisionError: division by zero"])
    assert complaints[0].exit_code == 1
    assert "(loop/watch.py, line " in complaints[0].fix
    assert "report it" in complaints[0].fix


def test_a_file_that_cannot_be_read_is_no_fault_of_ours(trained, monkeypatch):
    def look(*_, **__):
        raise PermissionError(13, "Permission denied", "/srv/log")

    monkeypatch.setattr(agent, "watch", look)
    _, _, complaints = ran(trained.open(), 1)
    assert (complaints[0].exit_code, complaints[0].what) == (
        2,
        "/srv/log cannot be read or written (Permission denied)",
    )


def test_being_interrupted_ends_it(trained, monkeypatch):
    def look(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(agent, "watch", look)
    with pytest.raises(KeyboardInterrupt):
        ran(trained.open(), 1)


def test_a_look_that_fails_is_told_and_the_next_one_is_made(trained, monkeypatch):
    looks = [BackstayError("the log cannot be read", fix="restore it"), "seen"]

    def look(*_, **__):
        found = looks.pop(0)
        if isinstance(found, BackstayError):
            raise found
        return found

    monkeypatch.setattr(agent, "watch", look)
    made, told, complaints = ran(trained.open(), 2)
    assert (made, told, [c.what for c in complaints]) == (1, ["seen"], ["the log cannot be read"])


def test_it_waits_its_turn_while_another_acts(trained):
    project = trained.open()
    with lease(project.ws.ledger, f"{project.ws.name}/{project.ws.environment}"):
        _, told, complaints = ran(project, 1)
    assert told == []
    assert "acts for orders/production already" in complaints[0].what


def test_looking_without_acting_needs_no_lease(trained):
    project = trained.open()
    with lease(project.ws.ledger, f"{project.ws.name}/{project.ws.environment}"):
        made, told, _ = ran(project, 1, act=False)
    assert (made, len(told)) == (1, 1)


def test_a_pause_of_nothing_is_refused(trained):
    with pytest.raises(BackstayError, match="every 0"):
        run_agent(trained.open().ws, every_seconds=0, tell=print, complain=print)
