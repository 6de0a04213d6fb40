"""Answers that are sets of labels, in the words of a response."""

from __future__ import annotations

from typing import Any

from backstay.bundle.model import Outputs


def set_answers(outputs: Outputs, labels: tuple[str, ...]) -> list[dict[str, Any]]:
    """Sets by name, a row each, as people read them: the labels that are said, and the chance of every label. Tensors
    have no room for sets of different sizes."""
    if outputs.members is None or outputs.scores is None:
        return []
    return [
        {
            "labels": [label for label, there in zip(labels, said, strict=True) if there],
            "scores": dict(zip(labels, chances, strict=True)),
        }
        for said, chances in zip(outputs.members.tolist(), outputs.scores.tolist(), strict=True)
    ]
