"""The graph of a bundle that answers an image for an image."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnxruntime

from backstay.kernel.errors import BackstayError

ENHANCE_FILE = "enhance.onnx"
INPUT, OUTPUT = "image", "enhanced"
BATCH = 64

Images = npt.NDArray[np.uint8]


class Enhancer:
    """Safe to use from several threads.

    Args:
        session: over the graph: uint8 [rows, H, W, C] in and out.
    """

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session

    def run(self, images: Images) -> Images:
        """The images [n, H, W, C] as the model rebuilds them, `BATCH` at a time.

        Raises:
            BackstayError: they have another shape than the model's.
        """
        wanted = self._session.get_inputs()[0].shape[1:]
        if images.dtype != np.uint8 or list(images.shape[1:]) != list(wanted):
            told = "x".join(str(size) for size in wanted)
            raise BackstayError(
                f"images of shape {images.shape} and type {images.dtype}", fix=f"give uint8 images of {told}"
            )
        parts = [
            self._session.run([OUTPUT], {INPUT: np.ascontiguousarray(images[start : start + BATCH])})[0]
            for start in range(0, len(images), BATCH)
        ]
        return np.concatenate(parts) if parts else images
