"""The recipe's encoder before it has learned anything: what a trained one must beat."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from backstay.kernel.records import Schema
from backstay.settings import TrainSettings
from backstay.train.examples import profile_of, tensors_of
from backstay.train.fitted import learns_nothing
from backstay.train.network import build, embed
from backstay.train.options import Options

SEED = 0


def untrained_embeddings(
    table: pa.Table,
    schema: Schema,
    train_rows: npt.NDArray[np.int64],
    recipe: TrainSettings,
    asked: tuple[pa.Table, ...],
    *,
    classes: int,
    root: Path = Path(),
) -> tuple[npt.NDArray[np.float32], ...]:
    """Embeddings [n, dimension] of each of the tables by the recipe's architecture with weights of a fixed seed.

    None at all where the encoder has no weights: it answers the same whether it was trained or not.

    Args:
        train_rows: rows of `table` from which scales, categories and tokens are learned, as for the trained encoder.
        root: where relative paths of the recipe begin.
    """
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        try:
            torch.set_num_threads(recipe.threads)
            torch.manual_seed(SEED)
            options = Options("train.encoder_options", recipe.encoder_options)
            profile = replace(profile_of(table, schema, train_rows, options, root), drawn=True)
            network = build(profile, recipe, classes)
            if learns_nothing(network) and not list(network.encoder.parameters()):
                return ()
            return tuple(embed(network, tensors_of(profile, rows)).numpy().astype(np.float32) for rows in asked)
        finally:
            torch.set_num_threads(threads)
