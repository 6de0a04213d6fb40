"""Images: npz arrays, or a folder with one subfolder per class."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from backstay.kernel.errors import BackstayError
from backstay.kernel.ids import event_id

ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
OTHERS = frozenset({".avif", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jxl", ".pbm", ".pgm", ".ppm", ".svg"})
"""Endings of pictures that are not read: a folder that holds some is refused, so that none is lost unnoticed."""
PART = "part"
Size = tuple[int, int]
"""Height and width."""
LONGEST = 96
"""Of the sides that are proposed for pictures of several sizes: more pixels are more work, not always more to see."""
GREY = ("1", "L", "LA", "La")
DARK = 127
"""Of whole numbers that are not bytes: where none is greater, they hardly go to 255."""
USUAL = (1, 3, 4)
"""Channels that most images have; of others, an array with them in front is more likely turned round."""


def image_array(pixels: npt.NDArray[np.uint8]) -> pa.ChunkedArray:
    """Pixels [n, h, w, c] as one column of fixed-shape tensors.

    >>> image_array(np.zeros((2, 4, 4, 1), dtype=np.uint8)).type.shape
    [4, 4, 1]
    """
    shape = tuple(int(s) for s in pixels.shape[1:])
    kind = pa.fixed_shape_tensor(pa.uint8(), shape)
    width = int(np.prod(shape))
    # A list array of more than 2**31 - 1 values does not fit Arrow's 32-bit lengths.
    step = max(1, (2**31 - 1) // max(width, 1))
    chunks = []
    for start in range(0, max(len(pixels), 1), step):
        flat = pa.array(np.ascontiguousarray(pixels[start : start + step]).reshape(-1))
        chunks.append(pa.ExtensionArray.from_storage(kind, pa.FixedSizeListArray.from_arrays(flat, width)))
    return pa.chunked_array(chunks, kind)


def pixels_of(column: pa.ChunkedArray) -> npt.NDArray[np.uint8]:
    """The inverse of `image_array`: [n, h, w, c]. An image column has no nulls."""
    shape = tuple(column.type.shape)
    parts = [chunk.to_numpy_ndarray() for chunk in column.chunks if len(chunk)]
    return np.concatenate(parts) if parts else np.zeros((0, *shape), dtype=np.uint8)


def read_npz(path: Path) -> pa.Table:
    """Arrays x and y, or x_train, y_train, x_test, y_test: columns image, label and, for the latter, part.

    x alone holds rows without labels, to predict or to search for. Where x is [n, d] of floats it holds vectors, and
    the column is called vector.
    Other arrays with one value a row come along as columns of their own.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: _member(archive, name, path) for name in archive.files}
    except (zipfile.BadZipFile, OSError, EOFError, ValueError) as error:
        # Of a file that is no archive numpy says how to unpickle it, which is no advice of ours.
        why = "it is no zip archive" if "pickle" in str(error).lower() else str(error)
        raise BackstayError(f"{path} is not a whole npz file ({why})", fix="write it with np.savez again") from error
    if {"x_train", "y_train"} <= set(arrays):
        return _official(arrays, path)
    if "x" not in arrays:
        raise BackstayError(
            f"{path} has the arrays {', '.join(sorted(arrays)) or 'none'}",
            fix="give x and y, or x_train, y_train, x_test, y_test; x alone where rows need no labels",
        )
    columns = _pair(arrays["x"], arrays.get("y"), path, "x", "y")
    rows = len(arrays["x"])
    extra = {n: a for n, a in arrays.items() if n not in ("x", "y") and a.shape == (rows,) and n not in columns}
    return pa.table({**columns, **{n: pa.array(a) for n, a in extra.items()}})


def _member(archive: Any, name: str, path: Path) -> npt.NDArray[Any]:
    try:
        return np.asarray(archive[name])
    except ValueError as error:
        if "pickle" not in str(error).lower():
            raise
        raise BackstayError(
            f"array {name!r} of {path} holds pickled objects, which run code when they are opened",
            fix="save it as numbers or fixed-width text, for example labels.astype(str)",
        ) from error


def _official(arrays: dict[str, npt.NDArray[Any]], path: Path) -> pa.Table:
    tables = []
    for part in ("train", "test"):
        x, y = f"x_{part}", f"y_{part}"
        if x in arrays and y in arrays:
            columns = _pair(arrays[x], arrays[y], path, x, y)
            tables.append(pa.table({**columns, PART: pa.array([part] * len(arrays[x]), pa.string())}))
    try:
        return pa.concat_tables(tables)
    except pa.ArrowInvalid as error:
        raise BackstayError(
            f"in {path} the images of x_train and x_test differ in shape or their labels in type",
            fix="give both the same height, width and channels",
        ) from error


def _pair(x: npt.NDArray[Any], y: npt.NDArray[Any] | None, path: Path, x_name: str, y_name: str) -> dict[str, Any]:
    if y is not None and (x.ndim == 0 or y.ndim != 1 or len(x) != len(y)):
        raise BackstayError(
            f"in {path} {x_name} has shape {x.shape} and {y_name} {y.shape}", fix="give one label for each row of x"
        )
    labels = {} if y is None else {"label": pa.array(y)}
    if x.ndim == 2 and x.shape[1] and x.dtype.kind == "f":
        # Left as they are: `conform` says which rows are not finite.
        flat = pa.array(np.ascontiguousarray(x).reshape(-1))
        return {"vector": pa.FixedSizeListArray.from_arrays(flat, x.shape[1]), **labels}
    return {"image": image_array(_pixels(x, path, x_name)), **labels}


def _pixels(x: npt.NDArray[Any], path: Path, name: str) -> npt.NDArray[np.uint8]:
    if x.ndim == 3:
        x = x[..., None]
    if x.ndim != 4 or 0 in x.shape[1:]:
        raise BackstayError(
            f"{name} of {path} has shape {x.shape}",
            fix="give images as [n, height, width] or [n, height, width, channels], or float vectors as [n, length]",
        )
    if x.shape[1] in USUAL and x.shape[-1] not in USUAL:
        raise BackstayError(
            f"{name} of {path} has shape {x.shape}: {x.shape[1]} channels seem to come before height and width",
            fix=f"put them last: x.transpose(0, 2, 3, 1). If {x.shape[-1]} really is the number of channels, give the "
            "images as fixed-shape tensors in a Parquet file",
        )
    if x.dtype == np.uint8:
        return np.asarray(x)
    low, high = (float(x.min()), float(x.max())) if x.size else (0.0, 0.0)
    if x.dtype.kind == "f" and low >= 0.0 and high <= 1.0:
        return np.rint(x * 255.0).astype(np.uint8)
    if x.dtype.kind in "iuf" and low >= 0.0 and high <= 255.0 and bool(np.all(x == np.rint(x))):
        if 0.0 < high <= DARK:
            # Taken as they are they would be nearly black: of a scale of their own, as scikit-learn's digits (0 to 16).
            raise BackstayError(
                f"{name} of {path} holds {x.dtype} from {low:g} to {high:g}: pixels go to 255 (whole) or to 1 (floats)",
                fix=f"scale them: x / {high:g} for floats up to 1. If they are dark as they are, save them as uint8",
            )
        return x.astype(np.uint8)
    raise BackstayError(
        f"{name} of {path} holds {x.dtype} from {low:g} to {high:g}", fix="give pixels as uint8, or floats from 0 to 1"
    )


def read_folder(path: Path, size: Size | None = None) -> pa.Table:
    """One subfolder per class, pictures inside: columns id (path), image and label. All images have one size, or are
    brought to `size`.

    A folder that holds pictures itself, and none in subfolders, gives rows without labels. Raises BackstayError where
    pictures would be left out: of a kind that is not read, deeper, or beside the folders of classes.
    """
    files, labelled = _pictures(path)
    channels = 3 if any(_has_colours(f) for f in files) else 1
    first = read_image(files[0], channels, size)
    pixels = np.empty((len(files), *first.shape), dtype=np.uint8)
    for place, file in enumerate(files):
        array = read_image(file, channels, size)
        if array.shape != first.shape:
            raise BackstayError(
                f"{file} is {array.shape[1]} x {array.shape[0]} pixels, "
                f"{files[0]} is {first.shape[1]} x {first.shape[0]}",
                fix="say in backstay.toml which size to bring them to: data.image_size = [height, width]; "
                "or make a copy of the folder in which all have one size",
            )
        pixels[place] = array
    columns = {
        "id": pa.array([f.relative_to(path).as_posix() for f in files], pa.string()),
        "image": image_array(pixels),
    }
    return pa.table(columns | ({"label": pa.array([f.parent.name for f in files], pa.string())} if labelled else {}))


def read_picture(path: Path, size: Size | None = None) -> pa.Table:
    """One picture as one row without a label: columns id (its name) and image."""
    pixels = read_image(path, None, size)[None]
    return pa.table({"id": pa.array([path.name], pa.string()), "image": image_array(pixels)})


def size_for(path: Path) -> Size | None:
    """What pictures of several sizes are best brought to, their median shape but no larger than `LONGEST`; None where
    they have one size, or a file cannot be read (`read_folder` says why)."""
    sizes = []
    for file in _pictures(path)[0]:
        try:
            with _opened(file) as image:
                turned = image.getexif().get(0x0112) in (5, 6, 7, 8)  # orientation: these lie on their side
                sizes.append(image.size if turned else image.size[::-1])
        except BackstayError:
            return None
    if len(set(sizes)) == 1:
        return None
    height, width = np.median(np.array(sizes, dtype=np.float64), axis=0)
    scale = min(1.0, LONGEST / max(height, width))
    return max(2, round(height * scale)), max(2, round(width * scale))


def _pictures(path: Path) -> tuple[list[Path], bool]:
    """The pictures of a folder in order, and whether the folders that they lie in name their classes."""
    # What lies in folders that are links is found at its usual place only: links may lead round in circles.
    everything = {*path.glob("*/*"), *path.rglob("*")}
    found = sorted(f for f in everything if _is_picture(f, path) and f.is_file())
    depths = [len(f.relative_to(path).parts) for f in found]
    if not found:
        raise BackstayError(
            f"the folder {path} has no images (png, jpg, bmp, tif, webp), neither in itself nor in subfolders",
            fix="make one subfolder for each class; of tables name the file",
        )
    unread = [f for f in found if f.suffix.lower() in OTHERS]
    if unread:
        raise BackstayError(
            f"pictures of {path} are of a kind that is not read: {len(unread)}, the first {unread[0]}",
            fix="make png files of them, or move them elsewhere",
        )
    labelled = max(depths) > 1
    astray = [f for f, depth in zip(found, depths, strict=True) if depth != (2 if labelled else 1)]
    if astray:
        raise BackstayError(
            f"pictures of {path} lie in no folder of a class: {len(astray)}, the first {astray[0]}",
            fix="put each picture right into the folder of its class, as FOLDER/CLASS/1.png",
        )
    return found, labelled


def _is_picture(file: Path, path: Path) -> bool:
    """Not what is hidden: macOS puts "._1.png" beside an image, which holds none, and tools keep thumbnails so."""
    hidden = any(part.startswith(".") for part in file.relative_to(path).parts)
    return file.suffix.lower() in ENDINGS | OTHERS and not hidden


def read_image(file: Path, channels: int | None, size: Size | None = None) -> npt.NDArray[np.uint8]:
    """One picture as [h, w, c]: grey or in colours as `channels` says, else as it is.

    A camera's note of how it was held turns the image upright, and what is transparent is laid on white. An image of
    another size than `size` is scaled to fit into it; what it does not fill is white.
    Raises BackstayError for an image of more than 8 bits a channel, and for a file of several images. What a camera
    adds to its photo, such as a preview, is no image of its own.
    """
    from PIL import ImageOps

    with _opened(file) as image:
        _refuse_deep(file, image.mode)
        if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
            raise BackstayError(
                f"{file} holds {image.n_frames} pictures, of which only the first would be read",
                fix="make a file of each of them",
            )
        grey = channels == 1 if channels else image.mode in GREY
        upright = _on_white(ImageOps.exif_transpose(image))
        plain = upright.convert("L" if grey else "RGB")
        if size is not None and plain.size != size[::-1]:
            plain = _fitted(plain, size)
        array = np.asarray(plain, dtype=np.uint8)
    return array[..., None] if array.ndim == 2 else array


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    """Raises BackstayError where the file, or what is read of it inside, is damaged."""
    from PIL import Image

    try:
        with Image.open(file) as image:
            yield image
    except BackstayError:
        raise
    except Exception as error:  # of a damaged file Pillow raises whatever its parts do
        raise BackstayError(f"{file} cannot be read as an image ({error})", fix="replace or remove it") from error


def _fitted(image: Any, size: Size) -> Any:
    """The image as large as fits into the size, in the middle of white; of a very long one a line is left.

    What clients do with `ImageOps.pad` is the same to the pixel (docs/own_data.md).
    """
    from PIL import Image, ImageOps

    height, width = size
    if not (round(image.height / image.width * width) and round(image.width / image.height * height)):
        # Pillow would round the short side to nothing, and leave plain white.
        shape = max(image.width, math.ceil(image.height / height)), max(image.height, math.ceil(image.width / width))
        image = image.resize(shape, Image.Resampling.LANCZOS)
    return ImageOps.pad(image, (width, height), Image.Resampling.LANCZOS, color="white")


def _has_colours(file: Path) -> bool:
    try:
        with _opened(file) as image:
            return image.mode not in GREY
    except BackstayError:
        return False  # `read_image` says what is wrong with it


def _refuse_deep(file: Path, mode: str) -> None:
    """Pillow would cut such values off at 255, so that nearly all are white."""
    if mode.startswith("I") or mode == "F":
        raise BackstayError(
            f"{file} has more than 8 bits a channel (mode {mode}), which images in folders do not hold",
            fix="scale it to 8 bits: divide its values by their largest one, times 255",
        )


def _on_white(image: Any) -> Any:
    """The image without transparency: what lies under transparent pixels is seen by nobody."""
    from PIL import Image

    if image.mode not in ("RGBA", "LA", "PA", "RGBa", "La") and "transparency" not in image.info:
        return image
    grey = image.mode in GREY
    seen = image.convert("RGBA")
    whole = Image.alpha_composite(Image.new("RGBA", seen.size, (255, 255, 255, 255)), seen)
    return whole.convert("L" if grey else "RGB")


def write_image(pixels: npt.NDArray[np.uint8], file: Path) -> None:
    """Write [h, w, c] as a png, whole or not at all. Raises BackstayError for channels that a png does not hold."""
    from PIL import Image

    if pixels.shape[2] not in USUAL:
        raise BackstayError(
            f"an image of {pixels.shape[2]} channels does not go into a png", fix="end the output in .parquet"
        )
    fresh = file.with_name(f".{file.name}.{event_id('tmp')}")
    try:
        Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(fresh, format="png")
        fresh.replace(file)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise BackstayError(
            f"{file} cannot be written ({error.strerror or error})", fix="choose another place, or free some space"
        ) from error
