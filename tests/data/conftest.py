"""Small tables that several tests begin from."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest


@pytest.fixture
def people() -> pa.Table:
    """600 rows of mixed kinds whose target depends on age and job."""
    rng = np.random.default_rng(7)
    age = rng.normal(40, 12, 600)
    job = rng.choice(["clerk", "cook", "pilot"], 600)
    told = age + 10 * (job == "pilot") + rng.normal(0, 8, 600) > 44
    return pa.table(
        {
            "age": pa.array(np.where(rng.random(600) < 0.03, np.nan, age), from_pandas=True),
            "job": job,
            "visits": rng.integers(0, 900, 600),
            "member": rng.random(600) < 0.5,
            "y": np.where(told, "yes", "no"),
        }
    )
