"""A pre-trained text encoder in a local folder: read without a network, without its code, and without a pickle.

The folder is one of Hugging Face's (`config.json`, `tokenizer.json`, `model.safetensors`) or of sentence-transformers'
(the same, and `modules.json` that names the pooling). This is the only file that imports the package transformers.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from backstay.bundle.tokens import with_limits
from backstay.kernel.errors import BackstayError, NotFound
from backstay.train.options import Options

ARCHITECTURES = ("bert", "camembert", "distilbert", "electra", "mpnet", "roberta", "xlm-roberta")
POOLINGS = ("cls", "mean")
_OFFSET = ("camembert", "mpnet", "roberta", "xlm-roberta")
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.pickle", "*.ckpt")
_NOT_LOADED = ("pooler.", "embeddings.position_ids")
_LEAST_LENGTH, _MOST_LENGTH = 4, 512


@dataclass(frozen=True, slots=True)
class Pretrained:
    """What a folder holds, as far as its small files tell.

    Args:
        folder: where `config.json` is.
        architecture: one of `ARCHITECTURES`.
        pooling: one of `POOLINGS`.
        length: codes that a text keeps.
        padding: the code that fills up short texts.
        width: of the vectors that come out.
        digest: SHA-256 of configuration, tokenizer and weights.
    """

    folder: Path
    architecture: str
    pooling: str
    length: int
    padding: int
    width: int
    digest: str

    def tokenizer(self) -> str:
        """The tokenizer's JSON as a bundle carries it: cut and filled up as this encoder wants it."""
        content = _read(self.folder / "tokenizer.json")
        return with_limits(content, length=self.length, padding=self.padding).decode("utf-8")


def wanted(options: Options, root: Path) -> Pretrained | None:
    """What the encoder's options name (`path`, from `root` on), None where they name no folder."""
    path = options.text("path", "")
    # The folder says how long where nobody else does: there is no default to read.
    length = options.whole("length", _LEAST_LENGTH, low=_LEAST_LENGTH, high=_MOST_LENGTH) if path else 0
    length = length if options.given("length") else 0
    return look(root / path, length=length, pooling=options.choice("pooling", "", ("", *POOLINGS))) if path else None


def look(folder: Path, *, length: int = 0, pooling: str = "") -> Pretrained:
    """Read the small files and hash the large ones.

    Args:
        length: codes that a text keeps; 0 is what the folder says.
        pooling: one of `POOLINGS`; "" is what the folder says, and the mean where it says nothing.

    Raises:
        NotFound: no such folder, or no configuration in it.
        BackstayError: an architecture that is not known, code of its own, weights that are a pickle, or parts that
            are not understood.
    """
    if not folder.is_dir():
        raise NotFound(
            f"train.encoder_options.path names {folder}, which is no folder",
            fix="name a folder as `save_pretrained` writes it; a path begins at the project file, and nothing is "
            "downloaded",
        )
    inner, stated = _parts(folder)
    config = _document(inner / "config.json")
    _refuse_code(config, inner)
    architecture = str(config.get("model_type"))
    if architecture not in ARCHITECTURES:
        raise BackstayError(
            f"{inner} holds an encoder of architecture {architecture!r}, which is not among those that are read",
            fix=f"take one of {', '.join(ARCHITECTURES)}; vectors of any other can be computed outside and given as a "
            'column of kind "vector"',
        )
    _refuse_pickle(inner)
    if not (inner / "tokenizer.json").is_file():
        raise BackstayError(
            f"{inner} has no tokenizer.json",
            fix="write one where it came from: AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)",
        )
    places = int(config.get("max_position_embeddings", _MOST_LENGTH))
    # These count places from behind the padding code.
    most = min(places - (int(config.get("pad_token_id", 1)) + 1 if architecture in _OFFSET else 0), _MOST_LENGTH)
    said = int(_optional(inner / "sentence_bert_config.json").get("max_seq_length") or most)
    if length > most:
        raise BackstayError(
            f"train.encoder_options.length is {length}, and the encoder in {inner} reads {most} codes at most",
            fix=f"set it to {most} or less, or leave it out",
        )
    return Pretrained(
        folder=inner,
        architecture=architecture,
        pooling=pooling or stated or "mean",
        length=length or min(said, most),
        padding=int(config.get("pad_token_id") or 0),
        width=int(config.get("hidden_size") or config["dim"]),
        digest=_digest(inner),
    )


def body(found: Pretrained, *, drawn: bool = False) -> nn.Module:
    """The module that answers `last_hidden_state`, in float32.

    Args:
        drawn: weights are drawn by torch's generator instead of read: the control.

    Raises:
        BackstayError: the package is not installed, or the weights do not fit the configuration.
    """
    package = _package()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package warns of its own deprecations: nothing that a reader can mend
        config = package.AutoConfig.from_pretrained(found.folder, local_files_only=True, trust_remote_code=False)
        if drawn:
            model = package.AutoModel.from_config(config, attn_implementation="eager", trust_remote_code=False).float()
        else:
            model = _loaded(package, found, config)
    if getattr(model, "pooler", None) is not None:
        model.pooler = None  # what comes after the last layer is not what sentences are compared by
    whole: nn.Module = model
    return whole


def _loaded(package: Any, found: Pretrained, config: Any) -> Any:
    try:
        model, told = package.AutoModel.from_pretrained(
            found.folder,
            config=config,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            attn_implementation="eager",
            output_loading_info=True,
        )
    except Exception as error:  # the package raises bare types of its own; nothing is loaded
        raise BackstayError(
            f"the weights in {found.folder} cannot be read ({str(error).strip().splitlines()[0][:200]})",
            fix="fetch the folder again; its files may be cut short",
        ) from error
    lacking = sorted(k for k in told["missing_keys"] if not k.startswith(_NOT_LOADED))
    if lacking:
        raise BackstayError(
            f"the weights in {found.folder} lack {len(lacking)} of the encoder's tensors, for example {lacking[0]!r}",
            fix="take the folder of an encoder, whole; weights that are not there would be random",
        )
    return model.float()


def _parts(folder: Path) -> tuple[Path, str]:
    """Where the transformer is, and the pooling that `modules.json` names ("" where there is none)."""
    if not (folder / "modules.json").is_file():
        return folder, ""
    inner, pooling = folder, ""
    for module in _document(folder / "modules.json", list):
        kind, place = str(module["type"]).rsplit(".", 1)[-1], folder / str(module["path"])
        if not place.resolve().is_relative_to(folder.resolve()):
            raise BackstayError(f"modules.json names {module['path']!r}, outside its folder", fix="correct it")
        if kind == "Transformer":
            inner = place
        elif kind == "Pooling":
            pooling = _pooling(_document(place / "config.json"), place)
        elif kind != "Normalize":
            raise BackstayError(
                f"{folder} ends in a module {kind!r}, which is not read",
                fix="take an encoder of Transformer, Pooling and Normalize alone, or give its vectors as a column",
            )
    return inner, pooling


def _pooling(stated: dict[str, Any], place: Path) -> str:
    """The one way of pooling that is switched on."""
    named = stated.get("pooling_mode")
    on = [named] if isinstance(named, str) else [k for k, v in stated.items() if k.startswith("pooling_mode_") and v]
    short = [str(k).removeprefix("pooling_mode_").removesuffix("_tokens").removesuffix("_token") for k in on]
    if len(short) != 1 or short[0] not in POOLINGS:
        raise BackstayError(
            f"{place} pools by {' and '.join(short) or 'nothing'}, and {' or '.join(POOLINGS)} can be read",
            fix='say train.encoder_options.pooling = "mean" only if that is what it was trained with, and take '
            "modules.json away",
        )
    return short[0]


def _refuse_code(config: dict[str, Any], folder: Path) -> None:
    if "auto_map" in config:
        raise BackstayError(
            f"the encoder in {folder} brings code of its own (auto_map), which is never run",
            fix=f"take one of {', '.join(ARCHITECTURES)} without code of its own",
        )


def _refuse_pickle(folder: Path) -> None:
    if list(folder.glob("*.safetensors")):
        return
    pickles = sorted(p.name for pattern in _PICKLES for p in folder.glob(pattern))
    if pickles:
        raise BackstayError(
            f"{folder} holds its weights as {pickles[0]}, a pickle, which can run any code when it is read",
            fix="convert it where you trust it: "
            "AutoModel.from_pretrained(FOLDER).save_pretrained(NEW) writes model.safetensors",
        )
    raise NotFound(f"{folder} has no model.safetensors", fix="name the folder that `save_pretrained` wrote")


def _digest(folder: Path) -> str:
    whole = hashlib.sha256()
    for path in sorted([folder / "config.json", folder / "tokenizer.json", *folder.glob("*.safetensors")]):
        whole.update(path.name.encode())
        with path.open("rb") as file:
            whole.update(hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()


def _optional(path: Path) -> dict[str, Any]:
    return _document(path) if path.is_file() else {}


def _document(path: Path, kind: type = dict) -> Any:
    try:
        found = json.loads(_read(path))
    except ValueError as error:
        raise BackstayError(f"{path} is not valid JSON ({error})", fix="fetch the folder again") from error
    if not isinstance(found, kind):
        raise BackstayError(f"{path} does not hold what its name says", fix="fetch the folder again")
    return found


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise NotFound(f"there is no {path}", fix="name a folder that `save_pretrained` wrote") from error
    except OSError as error:
        raise BackstayError(f"{path} cannot be read ({error.strerror})", fix="correct its permissions") from error


def _package() -> Any:
    # Set before the import: the package reads them once, then.
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
        os.environ[name] = "1"
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        import transformers
    except ModuleNotFoundError as error:
        raise BackstayError(
            f"a pre-trained encoder needs {error.name}, which is not installed",
            fix="install it with `pip install 'backstay[pretrained]'`",
        ) from error
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers
