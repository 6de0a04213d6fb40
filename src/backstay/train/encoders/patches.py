"""Small patches of images, their commonest shapes found by k-means: an encoder that is learned without a gradient.

    patch      = (its pixels - their mean) / root of (their variance + 0.01), whitened; pixels from 0 to 1
    responses  = for each filter f, as far as above t = 0.5:  f . patch  and  -f . patch
    embedding  = root of the responses' means over each cell of a grid of the picture, centred, turned to the principal
                 components of the training images, each brought to variance 1; then to length 1

The filters are the centres of spherical k-means on whitened patches of the training images, the components those of
their pooled responses. No label and no step is needed: `train.objective`, `train.epochs` and the step size change
nothing, for the head alone is fitted on the embeddings, and images of `data.unlabelled` are learned from whatever the
objective. With `tune = true` all that is where training by the objective begins.
**Prefer it:** for some thousand to some ten thousand small images without labels, or with few, and a minute of one
CPU. On Fashion-MNIST it is ahead of all objectives without labels that we measured, in a fraction of their time:
kNN-20 of 0.887, raw pixels 0.822 (docs/benchmarks.md).
**Wrong:** where what counts is how parts lie to one another over more than a patch, or things come at any place and
size. Pictures whose shorter side is above 63 pixels are shrunk first by a whole number, so that small details of large
pictures are lost. With many labels `conv` learns more, and is smaller.
**Cost:** an image: filters side^2 multiplications a patch, and 2 filters grid^2 numbers to `dimension`; to learn it,
some seconds for the components, which need the responses of up to 10,000 images in memory. Measured: 20,000 images of
28 x 28 in 24 CPU-seconds, head and export included (docs/benchmarks.md).
**Source:** Coates, Lee & Ng 2011, An Analysis of Single-Layer Networks in Unsupervised Feature Learning (AISTATS);
Coates & Ng 2012 (spherical k-means).
**Options:** filters = 96, side = 6 (pixels of a patch, at most half the shorter side), step = 1 (pixels to the next
patch), grid = 4 (cells a side), tune = false. Needs as many training images as `train.dimension`. Images of weight 0
are left out, other weights do not count.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from backstay.kernel.errors import BackstayError
from backstay.train.examples import Profile
from backstay.train.fitted import FittedEncoder
from backstay.train.options import Options

_VARIANCE, _WHITEN = 0.01, 0.1
_ABOVE = 0.5
_ROOT = 1e-4
_SHORTEST = 32
_AT_ONCE = 64
_PATCHES, _ROUNDS = 60_000, 15
_IMAGES, _SPARE, _TURNS = 10_000, 16, 4
# Patches with less contrast than this show nothing; components with less deviation than this share are noise.
_FLAT, _LEAST = 0.02, 1e-3
_ALIKE = 1e-5


class PatchEncoder(FittedEncoder):
    """Takes pixels uint8 [rows, H, W, C]; drawn at random until `learn` has found its weights."""

    cells: Tensor

    def __init__(
        self, shape: tuple[int, ...], dimension: int, *, filters: int, side: int, step: int, grid: int, tune: bool
    ) -> None:
        super().__init__(tune)
        height, across, channels = shape
        self.step, self.shrink = step, max(1, min(height, across) // _SHORTEST)
        height, across = height // self.shrink, across // self.shrink
        self.filters = nn.Parameter(torch.randn(filters, channels, side, side) / (channels * side * side) ** 0.5)
        self.offsets = nn.Parameter(torch.zeros(filters))
        places = tuple((length - side) // step + 1 for length in (height, across))
        down, along = (_means(count, min(grid, count)) for count in places)
        self.register_buffer("cells", torch.kron(down, along).T.contiguous())
        self.out = nn.Linear(2 * filters * self.cells.shape[1], dimension)

    def forward(self, pixels: Tensor) -> Tensor:
        if torch.compiler.is_exporting() or len(pixels) <= _AT_ONCE:
            return self._embedded(pixels)
        return torch.cat([self._embedded(some) for some in torch.split(pixels, _AT_ONCE)])

    def _embedded(self, pixels: Tensor) -> Tensor:
        return functional.normalize(self.out(self._pooled(pixels)).float(), dim=1)

    def _pooled(self, pixels: Tensor) -> Tensor:
        """Roots of the mean responses of each cell [rows, 2 filters cells]."""
        x = self._shrunk(pixels)
        # A filter without a mean does not see a patch's mean; its deviation is found by the same sliding window.
        centred = self.filters - self.filters.mean(dim=(1, 2, 3), keepdim=True)
        window = torch.full_like(self.filters[:1], 1.0 / self.filters[0].numel())
        mean = functional.conv2d(x, window, stride=self.step)
        variance = (functional.conv2d(x.square(), window, stride=self.step) - mean.square()).clamp(min=0)
        seen = functional.conv2d(x, centred, stride=self.step) * (variance + _VARIANCE).rsqrt()
        seen = (seen - self.offsets[:, None, None]).flatten(2)
        both = torch.cat([functional.relu(v - _ABOVE) @ self.cells for v in (seen, -seen)], dim=1)
        return (both.flatten(1) + _ROOT).sqrt()

    def _shrunk(self, pixels: Tensor) -> Tensor:
        x = pixels.float().permute(0, 3, 1, 2) / 255.0
        return functional.avg_pool2d(x, self.shrink) if self.shrink > 1 else x

    @torch.no_grad()
    def learn(self, tensors: tuple[Tensor, ...], generator: torch.Generator) -> None:
        """Filters from patches, then the components of what they answer."""
        pixels = tensors[0]
        if len(pixels) < self.out.out_features:
            raise BackstayError(
                f'the encoder "patches" has {len(pixels)} training images, and train.dimension is '
                f"{self.out.out_features}: it finds no more directions than there are images",
                fix=f"set train.dimension to {len(pixels)} or less, or give more images",
            )
        filters, offsets = _centres(self._patches(pixels, generator), len(self.filters), generator)
        self.filters.copy_(filters.reshape(self.filters.shape))
        self.offsets.copy_(offsets)
        chosen = torch.randperm(len(pixels), generator=generator)[: max(_IMAGES, self.out.out_features)]
        pooled = torch.cat([self._pooled(pixels[rows]) for rows in torch.split(chosen, _AT_ONCE)])
        mean = pooled.mean(dim=0)
        if float((pooled - mean).abs().max()) < _ALIKE:
            raise BackstayError(
                f'the encoder "patches" answers the same for all of {len(pooled)} training images: it has collapsed',
                fix="check that the image column holds pictures of some contrast, and different ones",
            )
        turn = components(pooled - mean, self.out.out_features, generator)
        self.out.weight.copy_(turn)
        self.out.bias.copy_(-turn @ mean)

    def _patches(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        """Patches of random places of random images, without their mean and contrast [n, numbers of a patch]."""
        _, channels, side, _ = self.filters.shape
        wanted = max(1, _PATCHES // len(pixels))
        found = []
        for rows in torch.split(torch.randperm(len(pixels), generator=generator)[:_PATCHES], _AT_ONCE):
            x = self._shrunk(pixels[rows])
            tops, lefts = (
                torch.randint(0, length - side + 1, (wanted, len(rows)), generator=generator) for length in x.shape[2:]
            )
            reach, image = torch.arange(side), torch.arange(len(rows))
            down, across = tops[..., None] + reach, lefts[..., None] + reach
            cut = x.permute(0, 2, 3, 1)[image[None, :, None, None], down[..., :, None], across[..., None, :]]
            found.append(cut.permute(0, 1, 4, 2, 3).reshape(-1, channels * side * side))
        patches = torch.cat(found)
        spread = patches.std(dim=1, correction=0)
        told = patches[spread > _FLAT]
        patches = told if len(told) else patches
        patches = patches - patches.mean(dim=1, keepdim=True)
        return patches * (patches.square().mean(dim=1, keepdim=True) + _VARIANCE).rsqrt()


def _means(places: int, cells: int) -> Tensor:
    """[cells, places]: which row of the matrix takes the mean of which places; cells differ by one place at most."""
    cell = torch.arange(places) * cells // places
    inside = functional.one_hot(cell, cells).T.float()
    return inside / inside.sum(dim=1, keepdim=True)


def _centres(patches: Tensor, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Filters [count, n] with the whitening inside them, and what is to be taken from their responses [count]."""
    mean = patches.mean(dim=0)
    centred = (patches - mean).double()
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(patches))
    whiten = (vectors * (values.clamp(min=0) + _WHITEN).rsqrt() @ vectors.T).float()
    filters = spherical_k_means((patches - mean) @ whiten, count, generator) @ whiten
    return filters, filters @ mean


def spherical_k_means(points: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Directions [count, d] of length 1: each the direction of the sum of the points that it is nearest to by cosine,
    a point counting by how far it reaches along it. A direction without points is drawn anew."""
    found = functional.normalize(torch.randn(count, points.shape[1], generator=generator), dim=1)
    for _ in range(_ROUNDS):
        reach, nearest = (points @ found.T).max(dim=1)
        sums = torch.zeros_like(found).index_add(0, nearest, points * reach[:, None])
        fresh = torch.randn(found.shape, generator=generator)
        found = functional.normalize(torch.where(sums.norm(dim=1, keepdim=True) > 1e-6, sums, fresh), dim=1)
    return found


def components(rows: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """The map [count, d] to the first principal components of centred rows [n, d], each of deviation 1.

    By subspace iteration (Halko, Martinsson & Tropp 2011): close for the first ones, rougher for the last. Components
    with less than a thousandth of the first one's deviation are not blown up any further.
    """
    width = min(count + _SPARE, *rows.shape)
    basis = torch.randn(rows.shape[1], width, generator=generator)
    for _ in range(_TURNS):
        basis = torch.linalg.qr(rows.T @ (rows @ basis))[0]
    _, spread, turn = torch.linalg.svd(rows @ basis, full_matrices=False)
    spread = spread / len(rows) ** 0.5
    kept = min(count, width)
    made = rows.new_zeros(count, rows.shape[1])
    made[:kept] = ((basis @ turn.T) / spread.clamp(min=float(spread[0]) * _LEAST + 1e-12)).T[:kept]
    return made


def build(profile: Profile, dimension: int, options: Options) -> nn.Module:
    """The encoder for this profile's images."""
    if profile.kind != "image":
        raise BackstayError(
            f'the encoder "patches" reads one image column, and these features are of kind {profile.kind}',
            fix='set train.encoder = "auto"',
        )
    shortest = min(profile.shape[:2])
    most = max(1, shortest // max(1, shortest // _SHORTEST) // 2)
    found = PatchEncoder(
        profile.shape,
        dimension,
        filters=options.whole("filters", 96, low=1, high=4096),
        side=options.whole("side", min(6, most), low=1, high=most),
        step=options.whole("step", 1, low=1, high=most),
        grid=options.whole("grid", 4, low=1, high=64),
        tune=options.flag("tune", False),
    )
    options.done()
    return found
