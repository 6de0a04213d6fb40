"""What every run of a network has: torch's settings, a name for what is resumed, and the proof that its graph answers
alike."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor

from backstay.bundle.manifest import Manifest
from backstay.bundle.model import Outputs
from backstay.bundle.tokens import TOKENIZER_FILE
from backstay.kernel.codec import encode
from backstay.kernel.errors import BackstayError
from backstay.kernel.ids import content_id, digest
from backstay.maths.arrays import FloatArray
from backstay.settings import TrainSettings
from backstay.train.convert.parity import answers
from backstay.train.course import device_of
from backstay.train.examples import Profile, tensors_of
from backstay.train.network import Network, embed
from backstay.train.work import Work, versions

MADE_BY = ("backstay", "torch", "onnx", "onnxscript", "numpy")
PARITY = 1e-4
PARITY_ROWS = 256


@contextmanager
def torch_settings(recipe: TrainSettings) -> Iterator[None]:
    """Threads, seed and deterministic algorithms of the recipe; what the process had before comes back after."""
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    device = device_of(recipe)
    with torch.random.fork_rng(devices=[] if device.type == "cpu" else [torch.cuda.current_device()]):
        try:
            torch.set_num_threads(recipe.threads)
            torch.use_deterministic_algorithms(device.type == "cpu")
            torch.manual_seed(recipe.seed)
            yield
        finally:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(strict)


def run_key(work: Work, profile: Profile, tensors: Iterable[Tensor], **more: Any) -> str:
    """Names the run by everything that decides its outcome, so that only the same run is ever resumed.

    Args:
        tensors: all that is learned from and tuned by. more: what else decides, as JSON values.
    """
    content = hashlib.sha256()
    for tensor in tensors:
        content.update(str(tuple(tensor.shape)).encode())
        content.update(tensor.numpy().tobytes())
    whole = {
        "content": content.hexdigest(),
        "recipe": work.recipe.model_dump(mode="json"),
        "classes": list(work.classes),
        "data": work.data_id,
        "versions": versions(MADE_BY),
        "profile": encode(replace(profile, source="")),
        **more,
    }
    return content_id("run", digest(whole))


def files_of(profile: Profile) -> dict[str, bytes]:
    """What the bundle holds beside the graph: the tokenizer of a text model."""
    return {TOKENIZER_FILE: profile.tokenizer.encode()} if profile.text else {}


def space_of(network: Network, content: bytes) -> str:
    """The encoder's own name for its space where training cannot change it, else one of these very bytes."""
    fixed = str(getattr(network.encoder, "space", ""))
    return fixed or content_id("space", hashlib.sha256(content).hexdigest())


Apart = Callable[[Outputs, tuple[Tensor, ...], Tensor], tuple[float, int]]
"""How far the graph's answers are from the network's of these tensors and their embeddings: the largest difference,
and how many answers are others for all that."""


@torch.no_grad()
def proved(network: Network, profile: Profile, table: pa.Table, content: bytes, draft: Manifest, apart: Apart) -> float:
    """Largest difference between torch and the graph on these rows, from raw columns to answers and embeddings.

    Raises BackstayError above 1e-4: such a graph is not released.
    """
    tensors = tensors_of(profile, table)
    embeddings = embed(network, tensors)
    said = answers(content, draft, table, tokenizer=profile.tokenizer if profile.text else "")
    gap, others = apart(said, tensors, embeddings)
    gap = max(gap, largest_gap(said.embeddings, embeddings))
    if not gap <= PARITY or others:
        more = f" and in {others} answers" if others else ""
        raise BackstayError(
            f"the exported model differs from the trained one by {gap:.2g}{more}, allowed is {PARITY:.0e}",
            fix="lower train.learning_rate, or report it with the recipe; nothing was released",
        )
    return gap


def largest_gap(said: npt.NDArray[Any] | None, wanted: Tensor | FloatArray) -> float:
    """The largest difference of any two numbers at one place; infinite where nothing was said."""
    return float("inf") if said is None else float(np.max(np.abs(said - np.asarray(wanted)), initial=0.0))
