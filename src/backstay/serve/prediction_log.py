"""What of an answered request goes into the log: all of the answer, of the inputs what the policy says."""

from __future__ import annotations

import hashlib
import time
from typing import Any

from backstay.bundle.model import Outputs
from backstay.journal.entries import Predictions, tensor
from backstay.serve.batcher import Ticket
from backstay.serve.protocol import Question
from backstay.settings import Settings


def prediction_entry(ticket: Ticket, outputs: Outputs, settings: Settings, at: int) -> Predictions:
    """The entry of one request. `at` is the moment of its batch, in microseconds since 1970."""
    question: Question = ticket.question
    release = ticket.loaded.release
    kinds = {spec.name: spec.datatype for spec in ticket.loaded.model.manifest.inputs}
    policy = settings.serve.log_inputs
    whole = policy == "all"
    return Predictions(
        model=settings.name,
        environment=settings.environment,
        release=release.id,
        model_id=release.model_id,
        at=at,
        ids=ticket.ids,
        labels=[str(v) for v in outputs.labels],
        scores=None if outputs.scores is None else tensor(outputs.scores, "FP32"),
        embeddings=None if outputs.embeddings is None else tensor(outputs.embeddings, "FP32"),
        inputs={n: tensor(v, kinds[n]) for n, v in question.arrays.items()} if whole else {},
        hashes=_hashes(question) if policy == "hashed" else [],
        groups=question.groups,
        context=question.context if whole else {},
        waited=max(int((time.perf_counter() - ticket.arrived) * 1e6), 1),
    )


def _hashes(question: Question) -> list[str]:
    """SHA-256 of each row's input bytes: shows that two rows were the same, and nothing else."""
    return [
        hashlib.sha256(b"".join(_row_bytes(values[row]) for values in question.arrays.values())).hexdigest()
        for row in range(question.rows)
    ]


def _row_bytes(value: Any) -> bytes:
    return repr(value.tolist()).encode() if hasattr(value, "tolist") else repr(value).encode()
