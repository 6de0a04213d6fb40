"""An image for an image over HTTP: the inputs of `infer`, answered with what the model rebuilds. Nothing is logged."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import numpy as np

from backstay.bundle.enhance import OUTPUT
from backstay.kernel.errors import BackstayError
from backstay.serve.live import Loaded
from backstay.serve.problems import Problem
from backstay.serve.protocol import parse


class ImageAnswers:
    """Answers images with images, one request at a time.

    Args:
        name: of the model. most: rows of a request.
    """

    def __init__(self, name: str, most: int) -> None:
        self._name = name
        self._most = most
        self._one = asyncio.Lock()

    async def answer(self, loaded: Loaded, body: bytes, header_length: int | None) -> tuple[bytes, int | None]:
        """The response body, and the length of its JSON part when a binary tensor follows. Raises Problem."""
        enhancer, manifest = loaded.model.enhancer, loaded.model.manifest
        if enhancer is None or manifest.inputs[0].adapter != "image":
            raise Problem(409, "the live model answers no images", "train one with train.enhance = true")
        question = parse(body, header_length, manifest, max_rows=self._most)
        given = question.arrays[manifest.inputs[0].name]
        try:
            async with self._one:
                images = await asyncio.to_thread(enhancer.run, given)
        except BackstayError as error:
            raise Problem(400, error.what, error.fix) from error
        binary = question.parameters.get("binary_data_output") is True
        output: dict[str, Any] = {"name": OUTPUT, "datatype": "UINT8", "shape": list(images.shape)}
        if binary:
            output["parameters"] = {"binary_data_size": images.nbytes}
        else:
            output["data"] = images.reshape(-1).tolist()
        said: dict[str, Any] = {"model_name": self._name, "model_version": loaded.version, "outputs": [output]}
        if question.request_id is not None:
            said["id"] = question.request_id
        head = msgspec.json.encode(said)
        return (head + np.ascontiguousarray(images).tobytes(), len(head)) if binary else (head, None)
