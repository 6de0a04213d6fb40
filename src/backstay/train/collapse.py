"""Has the encoder given up telling rows apart? Figures of each epoch."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Random unit vectors have a feature standard deviation of 1/sqrt(d); a twentieth of it is a point, not a cloud.
COLLAPSED = 0.05


def collapse_figures(embeddings: Tensor) -> tuple[float, float]:
    """Mean feature standard deviation times sqrt(d) (1 = spread evenly), and the effective rank.

    The rank is the exponential of the entropy of the centred singular values (Roy & Vetterli 2007). Two classes
    that are told apart perfectly have rank 1, so the rank is reported and only the deviation condemns. Both are
    NaN where an embedding is not finite.
    """
    if not bool(torch.isfinite(embeddings).all()):
        return math.nan, math.nan
    centred = embeddings.double() - embeddings.double().mean(dim=0)
    deviation = float(centred.square().mean(dim=0).sqrt().mean()) * embeddings.shape[1] ** 0.5
    eigenvalues = torch.linalg.eigvalsh(centred.T @ centred).clamp(min=0)
    values = eigenvalues.sqrt()
    if float(values.sum()) <= 1e-9:
        return deviation, 0.0
    share = values / values.sum()
    entropy = -(share * torch.log(share.clamp(min=1e-300))).sum()
    return deviation, float(torch.exp(entropy))
