"""What a monitor remembers of a row goes with it, and nothing else does."""

from __future__ import annotations

from backstay.monitor.forgetting import state_without

STATE = {
    "version": 1,
    "labels": [["r1", "2026-01-05", True, 0.9, "ada"], ["r2", "2026-01-05", False, None, None]],
    "rows_seen": {"kind": "errors", "labelled": {"r1": [1.5], "r3": [2.0]}, "pools": []},
    "detectors": {
        "confident_errors": {
            "recent": [["r1", "ada", 0.9, True, "2026-01-05"], ["r2", None, 0.8, False, "2026-01-05"]]
        },
        "groups": {"site=r1": {"recent": [0.0, 1.0]}},
        "labelled_error": {"recent": [], "detector": {"alarms": 1}},
        "label_quality": {"paired": ["r3", "r1"], "seconds": [1.0]},
        "rest": None,
    },
}


def test_rows_go_wherever_they_are_remembered() -> None:
    left = state_without(STATE, {"r1"})
    assert left == {
        "version": 1,
        "labels": STATE["labels"][1:],
        "rows_seen": {"kind": "errors", "labelled": {"r3": [2.0]}, "pools": []},
        "detectors": {
            **STATE["detectors"],
            "confident_errors": {"recent": [["r2", None, 0.8, False, "2026-01-05"]]},
            "label_quality": {"paired": ["r3"], "seconds": [1.0]},
        },
    }


def test_others_leave_it_as_it_is() -> None:
    assert state_without(STATE, {"r9", "site=r1", "ada"}) == STATE
