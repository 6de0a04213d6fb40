"""The encoder's weights beside the graph, so that a later run can go on from them. Arrays only, no pickle.

A bundle answers by its graph, which an exporter has folded and renamed; `encoder.npz` has the tensors as they were
trained, and what preprocessing had learned, without which they mean nothing. Its hash is in the manifest like that of
every file. Weights that were read from a pre-trained folder and never changed are not written again.
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from backstay.bundle.model import Model
from backstay.kernel.codec import decode, encode
from backstay.kernel.errors import BackstayError, NotFound, Tampered
from backstay.train.encoders.pretrained import PretrainedEncoder
from backstay.train.examples import Profile
from backstay.train.network import Network

WEIGHTS_FILE = "encoder.npz"
_BODY = "body."


@dataclass(frozen=True)
class Start:
    """Where a run begins: an encoder that was trained before.

    Args:
        model_id, space_id: of the model it was.
        profile: what preprocessing had learned.
        left_out: names of tensors that a pre-trained folder holds.
    """

    model_id: str
    space_id: str
    profile: Profile
    tensors: dict[str, Tensor]
    left_out: tuple[str, ...]

    def fitting(self, fresh: Profile) -> Profile:
        """The old profile for rows of which `fresh` is known. Raises BackstayError where the columns are others."""
        old = self.profile
        for name in ("image", "text", "vector", "shape", "numbers", "categories", "weights"):
            was, now = getattr(old, name), getattr(fresh, name)
            if was != now:
                raise BackstayError(
                    f"the encoder of {self.model_id} reads {name} = {was!r}, and the rows now have {now!r}",
                    fix='keep the columns (and the pre-trained folder) as they were, or set train.start_from = ""',
                )
        return replace(old, source=fresh.source)

    def into(self, network: Network) -> None:
        """Put the weights into a fresh network's encoder; its head stays fresh. Raises BackstayError where it differs
        in kind or size."""
        encoder = network.encoder
        try:
            told = encoder.load_state_dict(self.tensors, strict=False)
        except RuntimeError as error:
            raise self._unlike(str(error).splitlines()[-1].strip()) from error
        lacking = sorted(set(told.missing_keys) - set(self.left_out))
        if lacking or told.unexpected_keys:
            raise self._unlike(", ".join([*lacking, *told.unexpected_keys][:3]))
        if isinstance(encoder, PretrainedEncoder) and any(name.startswith(_BODY) for name in self.tensors):
            encoder.changed()

    def _unlike(self, what: str) -> BackstayError:
        return BackstayError(
            f"the encoder of {self.model_id} is not the one of this recipe ({what})",
            fix='give train.encoder, encoder_options and dimension as they were, or set train.start_from = ""',
        )


def packed(encoder: nn.Module, profile: Profile) -> bytes:
    """The bytes of `encoder.npz`; the same weights give the same bytes."""
    state = encoder.state_dict()
    as_read = isinstance(encoder, PretrainedEncoder) and encoder.as_read
    left_out = sorted(name for name in state if as_read and name.startswith(_BODY))
    arrays = {f"encoder/{k}": v.cpu().numpy() for k, v in state.items() if k not in left_out}
    whole = {"profile": encode(replace(profile, source="", drawn=False)), "left_out": left_out}
    buffer = io.BytesIO()
    text = json.dumps(whole, sort_keys=True, ensure_ascii=False).encode("utf-8")
    np.savez(buffer, about=np.frombuffer(text, np.uint8), **arrays)
    return buffer.getvalue()


def start_of(model: Model) -> Start:
    """What a bundle keeps to go on from.

    Raises:
        NotFound: the bundle keeps no weights: it was made elsewhere, or before this was kept.
        Tampered: the file is not the one that the manifest names.
    """
    entry = model.manifest.files.get(WEIGHTS_FILE)
    if entry is None:
        raise NotFound(
            f"model {model.id} keeps no weights of an encoder to go on from",
            fix='set train.start_from = "", or name a model that was trained here',
        )
    content = (model.path / WEIGHTS_FILE).read_bytes()
    if hashlib.sha256(content).hexdigest() != entry.sha256:
        raise Tampered(f"{model.path / WEIGHTS_FILE} is not what was released", fix="restore the bundle from a backup")
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        about: dict[str, Any] = json.loads(file["about"].tobytes())
        named = {n.removeprefix("encoder/"): file[n] for n in file.files if n.startswith("encoder/")}
    tensors = {name: torch.from_numpy(np.array(values)) for name, values in named.items()}
    profile = decode(Profile, about["profile"])
    return Start(model.id, model.manifest.space_id, profile, tensors, tuple(about["left_out"]))
