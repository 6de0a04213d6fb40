"""Time is UTC, and can be moved by hand or by a file."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from backstay.kernel.clock import FileClock, ManualClock, SystemClock, clock_from_environment, parse_time, utc
from backstay.kernel.errors import BackstayError

START = datetime(2026, 1, 5, tzinfo=UTC)


def test_a_naive_time_is_refused_since_its_zone_would_be_a_guess() -> None:
    with pytest.raises(BackstayError, match="has no zone"):
        utc(datetime(2026, 1, 5))


def test_other_zones_become_utc() -> None:
    assert parse_time("2026-10-25T02:30:00+02:00") == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


def test_nonsense_is_named() -> None:
    with pytest.raises(BackstayError, match="'yesterday' is not an ISO 8601 time"):
        parse_time("yesterday")


def test_manual_clock_moves_only_by_hand() -> None:
    clock = ManualClock(START)
    assert clock.now() == clock.now() == START
    clock.advance(timedelta(days=7))
    assert clock.now() == datetime(2026, 1, 12, tzinfo=UTC)
    assert clock.injected


def test_file_clock_is_shared_by_its_file(tmp_path: Path) -> None:
    path = tmp_path / "clock"
    FileClock(path).set(START)
    assert FileClock(path).now() == START
    assert not list(tmp_path.glob("*.tmp"))


def test_a_missing_clock_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BackstayError, match="BACKSTAY_CLOCK"):
        FileClock(tmp_path / "none").now()


def test_the_environment_chooses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BACKSTAY_CLOCK", raising=False)
    assert isinstance(clock_from_environment(), SystemClock)
    FileClock(tmp_path / "clock").set(START)
    monkeypatch.setenv("BACKSTAY_CLOCK", str(tmp_path / "clock"))
    clock = clock_from_environment()
    assert clock.injected
    assert clock.now() == START
