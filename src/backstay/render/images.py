"""Arrays as pictures inside a page: PNG written with the standard library alone, so that bytes stay the same."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from backstay.kernel.errors import BackstayError

Pixels = npt.NDArray[np.uint8]

# PNG colour types by number of channels: grey, RGB, RGBA.
_COLOUR_TYPES = {1: 0, 3: 2, 4: 6}
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GAP_GREY = 160


def pixels(image: npt.ArrayLike) -> Pixels:
    """The image as uint8 [height, width, 1, 3 or 4 channels]; [height, width] is read as grey.

    Of two channels, or of more than four, no eye knows colours: they are drawn in grey, as their mean.
    Raises BackstayError for another type of number, or an empty image.
    """
    array = np.asarray(image)
    if array.ndim == 2:
        array = array[:, :, None]
    if array.dtype != np.uint8 or array.ndim != 3 or array.size == 0:
        raise BackstayError(
            f"cannot draw an array of shape {array.shape} and type {array.dtype} as a picture",
            fix="give uint8 with shape (height, width) or (height, width, channels)",
        )
    if array.shape[2] not in _COLOUR_TYPES:
        array = np.rint(array.mean(axis=2, keepdims=True)).astype(np.uint8)
    return np.ascontiguousarray(array)


def png(image: npt.ArrayLike) -> bytes:
    """The image as a PNG file.

    >>> png(np.zeros((2, 3), dtype=np.uint8))[:8]
    b'\\x89PNG\\r\\n\\x1a\\n'
    """
    array = pixels(image)
    height, width, channels = array.shape
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPES[channels], 0, 0, 0)
    lines = np.zeros((height, 1 + width * channels), dtype=np.uint8)
    lines[:, 1:] = array.reshape(height, -1)
    return (
        _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(lines.tobytes(), 9)) + _chunk(b"IEND", b"")
    )


def png_uri(image: npt.ArrayLike) -> str:
    """The image as a `data:` address that an `<img>` takes without any network."""
    return "data:image/png;base64," + base64.b64encode(png(image)).decode("ascii")


def scaled(image: npt.ArrayLike, least: int = 64) -> Pixels:
    """Each pixel repeated a whole number of times until the shorter side has `least` pixels: crisp, not blurred.

    >>> scaled(np.zeros((8, 10), dtype=np.uint8), 16).shape
    (16, 20, 1)
    """
    array = pixels(image)
    times = max(1, -(-least // min(array.shape[:2])))
    return np.repeat(np.repeat(array, times, axis=0), times, axis=1)


def contact_sheet(images: Sequence[npt.ArrayLike], *, across: int = 8, least: int = 48, gap: int = 4) -> Pixels | None:
    """Images in rows of at most `across`, rows evenly filled, scaled up, a gap between them. None without images.

    All must have the same shape; raises BackstayError otherwise.
    """
    if not len(images):
        return None
    tiles = [scaled(image, least) for image in images]
    shapes = {tile.shape for tile in tiles}
    if len(shapes) > 1:
        raise BackstayError(
            f"cannot lay out images of different shapes on one sheet: {sorted(shapes)}", fix="give images of one shape"
        )
    height, width, channels = tiles[0].shape
    across = min(max(across, 1), len(tiles))
    down = -(-len(tiles) // across)
    across = -(-len(tiles) // down)
    sheet = np.full((down * (height + gap) - gap, across * (width + gap) - gap, channels), _GAP_GREY, dtype=np.uint8)
    for position, tile in enumerate(tiles):
        top, left = (position // across) * (height + gap), (position % across) * (width + gap)
        sheet[top : top + height, left : left + width] = tile
    return sheet


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
