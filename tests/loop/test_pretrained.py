"""A project whose encoder is a folder beside the project file."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pytest
import torch

import backstay
from backstay.kernel.clock import ManualClock

transformers = pytest.importorskip("transformers")

INTENTS = {"card": ("card", "plastic"), "parcel": ("parcel", "package"), "refund": ("refund", "money")}
TRAIN = """
[train]
encoder = "pretrained"
encoder_options = { path = "encoder" }
epochs = 3
dimension = 16
learning_rate = 0.02

[gate]
minimum_n = 20
"""


def encoder(folder: Path, texts: list[str]) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    words = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.train_from_iterator(texts, trainers.WordLevelTrainer(special_tokens=["[PAD]", "[UNK]"], show_progress=False))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        config = transformers.BertConfig(
            vocab_size=words.get_vocab_size(),
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            max_position_embeddings=16,
            initializer_range=0.5,
        )
        transformers.BertModel(config).save_pretrained(folder)
    words.save(str(folder / "tokenizer.json"))


def test_a_path_begins_at_the_project_file_and_the_control_is_drawn(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    meant = rng.choice(list(INTENTS), 240).tolist()
    said = [f"where is my {INTENTS[m][rng.integers(2)]} number {rng.integers(30)}" for m in meant]
    pacsv.write_csv(pa.table({"said": said, "intent": meant}), tmp_path / "requests.csv")
    encoder(tmp_path / "encoder", said)
    backstay.init(tmp_path / "requests.csv", target="intent", folder=tmp_path, name="requests")
    proposed = (tmp_path / "backstay.toml").read_text()
    (tmp_path / "backstay.toml").write_text(proposed + TRAIN)
    project = backstay.open(tmp_path, clock=ManualClock(datetime(2026, 1, 5, tzinfo=UTC)), actor="ada")
    offered = project.models.run()
    measured = {m.of: m.value for m in offered.report.measurements if m.metric == "knn_accuracy"}
    assert set(measured) >= {"model", "control:random_encoder", "control:raw_knn"}
    assert offered.model.recipe["encoder_options"] == {"path": "encoder"}
    assert len(offered.model.figures["encoder_weights"]) == 64
