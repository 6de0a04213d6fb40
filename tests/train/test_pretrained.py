"""A pre-trained encoder of a local folder, made here: a tiny BERT with drawn weights and a tokenizer learned here."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from backstay.bundle.manifest import Manifest
from backstay.bundle.model import load
from backstay.data.schema import conform, infer_schema
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Schema
from backstay.settings import TrainSettings
from backstay.train.encoders import ENCODERS
from backstay.train.examples import profile_of, tensors_of
from backstay.train.loop import fit
from backstay.train.network import build
from backstay.train.objectives import OBJECTIVES
from backstay.train.objectives.contract import Batch, Problem
from backstay.train.options import Options
from backstay.train.pretrained import ARCHITECTURES, look
from backstay.train.untrained import untrained_embeddings

transformers = pytest.importorskip("transformers")

WIDTH = 16
THINGS = {"card": ("card", "plastic"), "parcel": ("parcel", "package"), "refund": ("refund", "money back")}
FRAMES = ("where is my {}?", "I lost the {}!", "tell me about the {} please", "no {} yet after {n} days", "{}")


def told(n: int, seed: int) -> tuple[pa.Table, Schema]:
    rng = np.random.default_rng(seed)
    meant = rng.choice(list(THINGS), n)
    said = [FRAMES[rng.integers(len(FRAMES))].format(THINGS[m][rng.integers(2)], n=rng.integers(1, 99)) for m in meant]
    table = pa.table({"said": said, "intent": meant.tolist()})
    schema = infer_schema(table, target="intent", kinds={"said": "text"}, features=["said"])
    return conform(table, schema), schema


TABLE, SCHEMA = told(160, 0)
PARTS = {"train": np.arange(110), "tune": np.arange(110, 160)}
TRAIN = np.arange(110)


def made(folder: Path, architecture: str = "bert", padding: int = 0) -> Path:
    """A folder as `save_pretrained` writes it: two layers of 16 numbers, drawn; a WordPiece tokenizer of TABLE."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    special = ["[CLS]", "[SEP]", "[UNK]", "[MASK]"]
    special.insert(padding, "[PAD]")
    words = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    words.normalizer = normalizers.BertNormalizer(lowercase=True)
    words.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=200, special_tokens=special, show_progress=False)
    words.train_from_iterator(TABLE.column("said").to_pylist(), trainer)
    ends = [(name, words.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    words.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    size = {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    if architecture == "distilbert":
        size = {"dim": WIDTH, "n_layers": 2, "n_heads": 2, "hidden_dim": 32}
    config = transformers.AutoConfig.for_model(
        architecture,
        vocab_size=words.get_vocab_size(),
        max_position_embeddings=40,
        pad_token_id=padding,
        initializer_range=0.3,
        **size,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        transformers.AutoModel.from_config(config).save_pretrained(folder)
    words.save(str(folder / "tokenizer.json"))
    return folder


def as_sentences(source: Path, folder: Path, pooling: dict[str, Any], *more: str) -> Path:
    """The same encoder as sentence-transformers lays it out."""
    shutil.copytree(source, folder / "0_Transformer")
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": WIDTH, **pooling}))
    (folder / "0_Transformer" / "sentence_bert_config.json").write_text('{"max_seq_length": 12}')
    names = {"Transformer": "0_Transformer", "Pooling": "1_Pooling", **{n: f"2_{n}" for n in more}}
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{name}"}
        for i, (name, path) in enumerate(names.items())
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    return folder


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("bert"))


def recipe_of(
    path: Path | str, dimension: int = WIDTH, objective: str = "cross_entropy", **options: Any
) -> TrainSettings:
    return TrainSettings(
        encoder="pretrained",
        encoder_options={"path": str(path), **options},
        objective=objective,
        epochs=3,
        batch_size=32,
        dimension=dimension,
        learning_rate=0.02,
    )


@pytest.fixture(scope="module")
def trained(bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = fit(
        TABLE,
        SCHEMA,
        PARTS,
        recipe_of(bert.name),
        classes=tuple(THINGS),
        workdir=tmp_path_factory.mktemp("run"),
        root=bert.parent,
    )
    assert out.parity < 1e-4
    assert out.figures["encoder_weights"] == look(bert).digest
    return out.bundle_directory


def theirs(folder: Path, texts: list[str]) -> np.ndarray:
    """The same embeddings the way the package's own documentation computes them, one text at a time."""
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    model = transformers.AutoModel.from_pretrained(folder).eval()
    found = []
    for text in texts:
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        with torch.no_grad():
            mean = model(input_ids=ids).last_hidden_state[0].mean(dim=0)
        found.append((mean / mean.norm()).numpy())
    return np.array(found)


def test_the_bundle_answers_what_the_package_answers(trained: Path, bert: Path) -> None:
    model = load(trained)
    texts = ["where is my card?", "parcel", "", "Tell me [SEP] about [CLS] money", "refund " * 3]
    answered = model.predict(pa.table({"said": texts}))
    plain = [t for t in texts if "[" not in t]
    expected = theirs(bert, plain)
    assert np.abs(answered.embeddings[[0, 1, 2, 4]] - expected).max() < 1e-5
    odd = model.predict(pa.table({"said": pa.array([None, "card " * 500, "😀"], pa.string())}))
    assert np.isfinite(odd.scores).all()
    assert np.isfinite(answered.embeddings).all()


def test_the_folder_is_not_needed_to_answer_and_a_frozen_space_keeps_its_name(
    trained: Path, bert: Path, tmp_path: Path
) -> None:
    moved = shutil.copytree(bert, tmp_path / "elsewhere")
    half = {"train": np.arange(20, 100), "tune": PARTS["tune"]}
    out = fit(TABLE, SCHEMA, half, recipe_of(moved), classes=tuple(THINGS), workdir=tmp_path)
    shutil.rmtree(moved)
    one, two = (Manifest.read(d / "manifest.json") for d in (trained, out.bundle_directory))
    assert one.space_id == two.space_id
    assert one.id != two.id
    rows = TABLE.slice(0, 9)
    assert (
        np.abs(load(trained).predict(rows).embeddings - load(out.bundle_directory).predict(rows).embeddings).max()
        < 1e-6
    )


def test_the_same_run_gives_the_same_model(trained: Path, bert: Path, tmp_path: Path) -> None:
    again = fit(TABLE, SCHEMA, PARTS, recipe_of(bert.name), classes=tuple(THINGS), workdir=tmp_path, root=bert.parent)
    assert again.bundle_directory.name == trained.name


def encoder(path: Path, dimension: int = WIDTH, **options: Any) -> tuple[Any, torch.Tensor]:
    given = {"path": str(path), **options}
    profile = profile_of(TABLE, SCHEMA, TRAIN, Options("train.encoder_options", given))
    (codes,) = tensors_of(profile, TABLE)
    return ENCODERS["pretrained"](profile, dimension, Options("train.encoder_options", given)), codes


@pytest.mark.parametrize(("options", "learned"), [({}, "head"), ({"layers": 1}, "map"), ({"tune": True}, "all")])
def test_what_is_learned_is_what_was_asked(bert: Path, tmp_path: Path, options: dict[str, Any], learned: str) -> None:
    recipe = recipe_of(bert, 8 if learned == "map" else WIDTH, **options)
    profile = profile_of(TABLE, SCHEMA, TRAIN, Options("train.encoder_options", recipe.encoder_options))
    network = build(profile, recipe, 3).train()
    (codes,) = tensors_of(profile, TABLE)
    objective = OBJECTIVES["supcon"](Options("o", {}), Problem(profile, recipe.dimension, 3))
    labels = torch.arange(12) % 3
    batch = Batch((codes[:12],), labels, torch.ones(12), torch.Generator().manual_seed(1), kind=network.kind)
    objective.loss(network, batch).backward()
    moved = {name.split(".")[0] for name, p in network.encoder.named_parameters() if p.grad is not None}
    assert moved == {"head": set(), "map": {"out"}, "all": {"body"}}[learned]
    assert any(m.training for m in network.encoder.body.modules()) == (learned == "all")
    assert bool(network.encoder.space) == (learned == "head")


@pytest.mark.parametrize("objective", OBJECTIVES.built_in)
def test_every_objective_for_texts_takes_a_step(bert: Path, objective: str) -> None:
    recipe = recipe_of(bert, tune=True)
    profile = profile_of(TABLE, SCHEMA, TRAIN, Options("train.encoder_options", recipe.encoder_options))
    own = {"metric": {"loss": "ProxyAnchorLoss"}, "prototypical": {"ways": 3, "shots": 2, "queries": 2}}
    try:
        found = OBJECTIVES[objective](Options("o", own.get(objective, {})), Problem(profile, WIDTH, 3))
    except BackstayError as refusal:
        pytest.skip(f"{objective} is not for texts: {refusal}")
    network = build(profile, recipe, 3).train()
    (codes,) = tensors_of(profile, TABLE)
    labels = torch.arange(12) % 3
    for cached in (0, 5):
        generator = torch.Generator().manual_seed(1)
        batch = Batch((codes[:12],), labels, torch.ones(12), generator, 1.0, cached, network.kind)
        network.zero_grad()
        loss = found.loss(network, batch)
        loss.backward()
        slopes = [p.grad for p in network.encoder.parameters() if p.grad is not None]
        assert torch.isfinite(loss)
        assert sum(float(s.abs().sum()) for s in slopes) > 0


def test_texts_are_not_changed_where_the_signs_are_somebody_elses(bert: Path) -> None:
    recipe = recipe_of(bert)
    profile = profile_of(TABLE, SCHEMA, TRAIN, Options("train.encoder_options", recipe.encoder_options))
    network = build(profile, recipe, 3)
    (codes,) = tensors_of(profile, TABLE)
    batch = Batch((codes,), torch.zeros(160), torch.ones(160), torch.Generator().manual_seed(1), kind=network.kind)
    assert torch.equal(batch.view()[0], codes)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_ignores_padding_and_its_own_code_for_it(architecture: str, tmp_path: Path) -> None:
    folder = made(tmp_path, architecture, padding=1)
    net, codes = encoder(folder)
    net.eval()
    assert int(codes[0, -1]) == 1 or int((codes == 1).sum()) > 0
    with torch.no_grad():
        together = net(codes[:40])
        alone = torch.cat([net(row[row != 1][None]) for row in codes[:40]])
    assert torch.allclose(together, alone, atol=1e-6)
    assert np.abs(together[:5].numpy() - theirs(folder, TABLE.column("said").to_pylist()[:5])).max() < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_is_exported(architecture: str, tmp_path: Path) -> None:
    folder = made(tmp_path, architecture, padding=1)
    recipe = recipe_of(folder, tune=True).model_copy(update={"learning_rate": 1e-3, "epochs": 1})
    out = fit(TABLE, SCHEMA, PARTS, recipe, classes=tuple(THINGS), workdir=tmp_path / "run")
    assert out.parity < 1e-4


def test_pooling_is_what_the_folder_says(bert: Path, tmp_path: Path) -> None:
    first = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    sentences = as_sentences(bert, tmp_path / "cls", first, "Normalize")
    net, codes = encoder(sentences)
    assert look(sentences).length == codes.shape[1] + (12 - codes.shape[1]) == 12
    with torch.no_grad():
        states = net.eval().body(input_ids=codes[:1], attention_mask=(codes[:1] != 0).long()).last_hidden_state
        assert torch.allclose(net(codes[:1])[0], torch.nn.functional.normalize(states[0, 0], dim=0), atol=1e-6)
    assert look(as_sentences(bert, tmp_path / "new", {"pooling_mode": "mean"})).pooling == "mean"
    assert look(bert).pooling == "mean"
    assert look(bert, pooling="cls").pooling == "cls"


def test_the_control_is_the_same_architecture_with_drawn_weights(bert: Path) -> None:
    recipe = recipe_of(bert)
    (drawn,) = untrained_embeddings(TABLE, SCHEMA, TRAIN, recipe, (TABLE,), classes=3)
    (again,) = untrained_embeddings(TABLE, SCHEMA, TRAIN, recipe, (TABLE,), classes=3)
    net, codes = encoder(bert)
    with torch.no_grad():
        read = net.eval()(codes).numpy()
    assert drawn.shape == read.shape
    assert np.array_equal(drawn, again)
    assert np.abs(drawn - read).max() > 0.1


def without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def as_pickle(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04cos\nsystem\n.")


def with_config(**more: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, **more}))

    return change


def cut_short(folder: Path) -> None:
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])


def half_the_tensors(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    kept = {k: v for k, v in tensors.items() if "layer.1." not in k}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("change", "message", "fix"),
    [
        (as_pickle, "a pickle", "save_pretrained"),
        (without("model.safetensors"), "no model.safetensors", "save_pretrained"),
        (without("tokenizer.json"), "no tokenizer.json", "AutoTokenizer"),
        (without("config.json"), "config.json", "save_pretrained"),
        (with_config(model_type="llama"), "'llama'", "bert, camembert"),
        (with_config(auto_map={"AutoModel": "evil.Model"}), "code of its own", "bert"),
        (cut_short, "cannot be read", "fetch the folder again"),
        (half_the_tensors, "lack", "whole"),
    ],
)
def test_a_folder_that_is_not_sound_is_refused(
    bert: Path, tmp_path: Path, change: Callable[[Path], None], message: str, fix: str
) -> None:
    folder = shutil.copytree(bert, tmp_path / "copy")
    change(folder)
    with pytest.raises(BackstayError) as refusal:
        encoder(folder)
    assert message in refusal.value.what
    assert fix in (refusal.value.fix or "")


@pytest.mark.parametrize(
    ("pooling", "more", "message"),
    [
        ({"pooling_mode_max_tokens": True}, (), "max"),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}, (), "and"),
        ({"pooling_mode_mean_tokens": True}, ("Dense",), "'Dense'"),
    ],
)
def test_modules_that_are_not_read_are_refused(
    bert: Path, tmp_path: Path, pooling: dict[str, Any], more: tuple[str, ...], message: str
) -> None:
    with pytest.raises(BackstayError, match=message):
        look(as_sentences(bert, tmp_path / "odd", pooling, *more))


def test_options_that_do_not_fit_are_refused(bert: Path, tmp_path: Path) -> None:
    with pytest.raises(BackstayError, match="no folder"):
        encoder(tmp_path / "nothing")
    with pytest.raises(BackstayError, match="16 numbers"):
        encoder(bert, dimension=8)
    with pytest.raises(BackstayError, match="40 codes at most"):
        encoder(bert, length=300)
    with pytest.raises(BackstayError, match="no key 'tun'"):
        encoder(bert, tun=True)
    profile = profile_of(TABLE, SCHEMA, TRAIN, Options("o", {}))
    with pytest.raises(BackstayError, match="needs a folder"):
        ENCODERS["pretrained"](profile, WIDTH, Options("o", {}))


def test_nothing_is_asked_of_a_network(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    encoder(bert)
