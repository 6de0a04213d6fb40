"""The second graph of a bundle whose objective rebuilds images: an image in, the image as it is rebuilt out."""

from __future__ import annotations

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from backstay.bundle.enhance import INPUT, OUTPUT, Enhancer
from backstay.bundle.model import open_session
from backstay.kernel.errors import BackstayError
from backstay.train.decoders import ImageDecoder
from backstay.train.export import OPSET, quiet, strip_traces, versioned
from backstay.train.network import Network
from backstay.train.rebuild import Rebuild

# Levels of 255 that ONNX Runtime may be off: half of one can round either way.
PARITY = 1


class _Enhance(nn.Module):
    """uint8 [rows, H, W, C] to the same, through the embedding."""

    def __init__(self, encoder: nn.Module, rebuild: Rebuild, decoder: ImageDecoder) -> None:
        super().__init__()
        self.encoder, self.rebuild, self.decoder = encoder, rebuild, decoder

    def forward(self, pixels: Tensor) -> Tensor:
        told = self.rebuild(self.encoder(pixels))[0]
        levels: Tensor = (told * self.decoder.deviation + self.decoder.mean) * 255.0
        return levels.clamp(0.0, 255.0).round().to(torch.uint8)


def refuse_no_images(rebuild: Rebuild) -> ImageDecoder:
    """The decoder, where it is one of images. Raises BackstayError for rows of another kind."""
    if not isinstance(rebuild.decoder, ImageDecoder):
        raise BackstayError(
            "train.enhance answers an image for an image, and these rows are no images", fix="set train.enhance = false"
        )
    return rebuild.decoder


def enhancer_of(network: Network, images: Tensor) -> bytes:
    """The graph's bytes, compared with torch on these images [n, H, W, C], of which there are 2 or more.

    Raises:
        BackstayError: the graph answers otherwise than torch.
    """
    if network.rebuild is None:
        raise RuntimeError("the network does not rebuild rows")
    module = _Enhance(network.encoder, network.rebuild, refuse_no_images(network.rebuild)).eval()
    with quiet():
        program = torch.onnx.export(
            module,
            (images[:2],),
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export answered nothing")
    graph = versioned(strip_traces(program.model_proto))
    onnx.checker.check_model(graph, full_check=True)
    content = bytes(graph.SerializeToString(deterministic=True))
    with torch.no_grad():
        wanted = module(images).numpy().astype(np.int64)
    gap = int(np.abs(Enhancer(open_session(content)).run(images.numpy()).astype(np.int64) - wanted).max(initial=0))
    if gap > PARITY:
        raise BackstayError(
            f"the exported enhancer differs from the trained one by {gap} levels of 255, allowed is {PARITY}",
            fix="lower train.learning_rate, or report it with the recipe; nothing was released",
        )
    return content
