"""Logged answers to try the journal with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
import pytest

from backstay.bundle.manifest import FORMAT_VERSION, InputSpec, Manifest, OutputSpec
from backstay.journal.entries import Predictions, tensor


def predictions(
    *ids: str, release: str = "r1", model: str = "risk", at: int = 1_000_000, **changes: Any
) -> Predictions:
    """One request's answers: the age of a row is the length of its id."""
    n = len(ids)
    values = {
        "model": model,
        "environment": "production",
        "release": release,
        "model_id": "model-1",
        "at": at,
        "ids": list(ids),
        "labels": ["yes"] * n,
        "scores": tensor(np.tile(np.array([[0.25, 0.75]], np.float32), (n, 1)), "FP32"),
        "inputs": {
            "age": tensor(np.array([[len(i)] for i in ids], np.float32), "FP32"),
            "city": tensor(np.array([["Rome"]] * n, dtype=object), "BYTES"),
        },
    }
    return Predictions(**{**values, **changes})


@pytest.fixture(scope="session")
def entry() -> Callable[..., Predictions]:
    return predictions


@pytest.fixture(scope="session")
def manifests() -> dict[str, Manifest]:
    made = Manifest(
        format_version=FORMAT_VERSION,
        task="classification",
        inputs=(
            InputSpec("age", "FP32", (-1, 1), "column", ("age",)),
            InputSpec("city", "BYTES", (-1, 1), "column", ("city",)),
        ),
        outputs=(OutputSpec("scores", "FP32", (-1, 2), "scores"),),
        classes=("no", "yes"),
    )
    return {"r1": made, "r2": made}


DAY = 86_400_000_000


class Killed(BaseException):
    """The process is gone: nothing that follows is done, no `except Exception` sees it."""


@pytest.fixture
def kill(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[], Any]], bool]:
    """Runs something and kills it at its n-th change of a file: a writing, a renaming, a removal."""

    def killed(step: int, action: Callable[[], Any]) -> bool:
        left = [step]

        def counted(function: Callable[..., Any]) -> Callable[..., Any]:
            def called(*given: Any, **named: Any) -> Any:
                left[0] -= 1
                if left[0] < 0:
                    raise Killed
                return function(*given, **named)

            return called

        with monkeypatch.context() as patch:
            for owner, name in ((Path, "replace"), (Path, "unlink"), (Path, "write_text"), (parquet, "write_table")):
                patch.setattr(owner, name, counted(getattr(owner, name)))
            try:
                action()
            except Killed:
                return True
        return False

    return killed
