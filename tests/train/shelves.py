"""What goes with what on the shelves of encoders and objectives, and small rows, recipes and networks of each."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import Tensor

from backstay.kernel.records import Column, ColumnKind, Schema
from backstay.settings import TrainSettings
from backstay.train.examples import Profile, profile_of, tensors_of
from backstay.train.network import Network, build
from backstay.train.objectives import OBJECTIVES
from backstay.train.objectives.contract import Objective, Problem
from backstay.train.options import Options
from backstay.train.part import Part

ROWS, CLASSES, DIMENSION = 48, 3, 8
# What an encoder of the shelf reads. A new one must be named here, or the suite does not pass.
READS = {
    "conv": "image",
    "patches": "image",
    "mlp": "table",
    "ft_transformer": "table",
    "text": "text",
    "bag": "text",
    "terms": "text",
    "pretrained": "text",
    "vectors": "vector",
}
EVERY = frozenset(READS.values())
REBUILT = EVERY - {"text"}
SINGLE_FEATURES = frozenset({"table", "vector"})
# What an objective of the shelf learns from; with other rows it is refused. A new one must be named here as well.
LEARNS_FROM = {
    "supcon": EVERY,
    "contrastive": EVERY,
    "triplet": EVERY,
    "nt_xent": EVERY,
    "vicreg": EVERY,
    "bigan": REBUILT,
    "variational": REBUILT,
    "denoising": REBUILT,
    "masked": SINGLE_FEATURES,
    "scarf": SINGLE_FEATURES,
    "distil": EVERY,
    "prototypical": EVERY,
    "arcface": EVERY,
    "metric": EVERY,
    "cross_entropy": EVERY,
}
VALUE_OBJECTIVES = ("huber", "squared")
OPTIONS: dict[str, dict[str, Any]] = {
    "metric": {"loss": "ProxyAnchorLoss"},
    "prototypical": {"ways": 3, "shots": 2, "queries": 2},
}
PAIRS = [(o, e) for o, kinds in LEARNS_FROM.items() for e, kind in READS.items() if kind in kinds]
REFUSED = [(o, kind) for o, kinds in LEARNS_FROM.items() for kind in sorted(EVERY - kinds)]
MISREAD = [(e, kind) for e, own in READS.items() for kind in sorted(EVERY - {own})]
# Every objective with the quickest encoder, and every encoder with one objective: the quick half of the cross product.
QUICK = [(o, "mlp") for o in LEARNS_FROM] + [("supcon", e) for e in READS if e != "mlp"]


@cache
def bert() -> str:
    """A folder with a tiny BERT of drawn weights and a tokenizer of the rows, as `save_pretrained` writes it."""
    folder = tempfile.mkdtemp(prefix="tiny-bert-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return write_bert(Path(folder))


def write_bert(folder: Path) -> str:
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

    words = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]
    said = rows("text")[0].column("x").to_pylist()
    words.train_from_iterator(
        said, trainers.WordPieceTrainer(vocab_size=90, special_tokens=special, show_progress=False)
    )
    ends = [(name, words.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    words.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    config = transformers.BertConfig(
        vocab_size=words.get_vocab_size(),
        hidden_size=DIMENSION,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=16,
        initializer_range=0.3,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        transformers.AutoModel.from_config(config).save_pretrained(folder)
    words.save(str(folder / "tokenizer.json"))
    return str(folder)


def encoder_options(encoder: str, folder: str = "") -> dict[str, Any]:
    if encoder == "patches":
        return {"filters": 12, "tune": True}
    return {"path": folder or bert(), "tune": True} if encoder == "pretrained" else {}


@cache
def rows(kind: str) -> tuple[pa.Table, Schema]:
    """A few rows of three classes that can be told apart."""
    rng = np.random.default_rng(0)
    y = np.arange(ROWS) % CLASSES
    target = Column("y", ColumnKind.CATEGORY)
    if kind == "image":
        pixels = (rng.integers(0, 60, (ROWS, 6, 6, 1)) + 60 * y[:, None, None, None]).astype(np.uint8)
        storage = pa.FixedSizeListArray.from_arrays(pa.array(pixels.reshape(-1)), 36)
        column = pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(pa.uint8(), (6, 6, 1)), storage)
        return pa.table({"x": column}), Schema((Column("x", ColumnKind.IMAGE, shape=(6, 6, 1)), target), ("x",), "y")
    if kind == "text":
        words = ["red apple pie", "blue ocean wave", "green forest path"]
        said = [f"{words[c]} number {i % 7}" for i, c in enumerate(y)]
        return pa.table({"x": said}), Schema((Column("x", ColumnKind.TEXT), target), ("x",), "y")
    numbers = rng.normal(size=(ROWS, 4)) + y[:, None]
    if kind == "vector":
        wide = pa.FixedSizeListArray.from_arrays(pa.array(numbers.astype(np.float32).reshape(-1)), 4)
        return pa.table({"x": wide}), Schema((Column("x", ColumnKind.VECTOR, shape=(4,)), target), ("x",), "y")
    numbers[::5, 1] = np.nan
    table = pa.table(
        {"a": numbers[:, 0], "b": pa.array(numbers[:, 1], from_pandas=True), "c": [f"k{v % 2}" for v in y]}
    )
    columns = (
        Column("a", ColumnKind.NUMBER),
        Column("b", ColumnKind.NUMBER),
        Column("c", ColumnKind.CATEGORY),
        target,
    )
    return table, Schema(columns, ("a", "b", "c"), "y")


@cache
def prepared(encoder: str, kind: str = "") -> tuple[Profile, tuple[Tensor, ...]]:
    """What an encoder is given of its rows, or of those of another kind."""
    table, schema = rows(kind or READS[encoder])
    found = {} if kind else encoder_options(encoder)
    profile = profile_of(table, schema, np.arange(ROWS), Options("train.encoder_options", found))
    return profile, tensors_of(profile, table)


LABELS = torch.arange(ROWS) % CLASSES
AIMS = torch.nn.functional.normalize(torch.randn(ROWS, DIMENSION, generator=torch.Generator().manual_seed(3)), dim=1)


def recipe_of(objective: str, encoder: str, folder: str = "", **more: Any) -> TrainSettings:
    return TrainSettings(
        objective=objective,
        encoder=encoder,
        dimension=DIMENSION,
        batch_size=16,
        encoder_options=encoder_options(encoder, folder),
        objective_options=OPTIONS.get(objective, {}),
        **more,
    )


def made(objective: str, encoder: str) -> tuple[Network, Objective, tuple[Tensor, ...]]:
    """A fresh pair by the seed 0."""
    profile, tensors = prepared(encoder)
    torch.manual_seed(0)
    network = build(profile, recipe_of(objective, encoder), CLASSES)
    return network.train(), objective_of(objective, profile).train(), tensors


def objective_of(objective: str, profile: Profile) -> Objective:
    options = Options("train.objective_options", OPTIONS.get(objective, {}))
    found: Objective = OBJECTIVES[objective](options, Problem(profile, DIMENSION, CLASSES, DIMENSION))
    return found


def parts(encoder: str) -> tuple[Part, Part]:
    _, tensors = prepared(encoder)
    whole = Part(tensors, LABELS, torch.ones(ROWS), AIMS)
    return whole.take(torch.arange(36)), whole.take(torch.arange(36, ROWS))


def with_target(kind: str, *, numeric: bool = False) -> tuple[pa.Table, Schema]:
    """The rows with their target: a class, or a number that goes with it."""
    table, schema = rows(kind)
    values = LABELS.numpy() * 1.5 + np.arange(ROWS) / ROWS if numeric else [f"c{c}" for c in LABELS.tolist()]
    return table.append_column("y", pa.array(values)), schema


SPLIT = {"train": np.arange(36), "tune": np.arange(36, ROWS)}
NAMES = tuple(f"c{c}" for c in range(CLASSES))
