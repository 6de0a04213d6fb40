"""Logged answers to try the journal with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
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
