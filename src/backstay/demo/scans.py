"""Handwritten digits that scikit-learn ships (1,797 real scans), and what an ageing scanner makes of them.

Traffic is made of seeded distortions of held-out scans. No scan serves two purposes: the pools below are disjoint.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]

OFFICES = ("north", "south", "harbour")
OFFICE_SHARES = (0.42, 0.38, 0.2)
HARBOUR_TILT = 28.0
"""The harbour office feeds its forms in at a slant, in degrees."""


@dataclass(frozen=True)
class Scanner:
    """The state of the scanner. `wear` 0 is new; `brightness` moves all pixels, of 255.

    Wear takes contrast and sharpness, from some sheets more than from others: the sheet's place on the glass decides.
    """

    wear: float = 0.0
    brightness: float = 0.0


NEW = Scanner()
CONTRAST_LOST = 0.9
BLUR = 1.1
PAPER = 80.0


@dataclass(frozen=True)
class Batch:
    """Rows as they would arrive: pixels [n, 8, 8, 1], true digits, the scan each comes from, and the office."""

    pixels: Pixels
    digits: npt.NDArray[np.int64]
    scans: npt.NDArray[np.int64]
    offices: npt.NDArray[np.object_]

    def __len__(self) -> int:
        return len(self.digits)

    @property
    def truth(self) -> list[str]:
        return [str(d) for d in self.digits]

    @property
    def groups(self) -> list[str]:
        return [f"scan-{s:04d}" for s in self.scans]

    def take(self, chosen: npt.NDArray[np.bool_]) -> Batch:
        """Rows where this is true."""
        return Batch(self.pixels[chosen], self.digits[chosen], self.scans[chosen], self.offices[chosen])


@dataclass(frozen=True)
class Pools:
    """Disjoint sets of scans: what the foreign model learned from, early traffic, later traffic."""

    images: npt.NDArray[np.float64]
    digits: npt.NDArray[np.int64]
    foreign: npt.NDArray[np.int64]
    early: npt.NDArray[np.int64]
    later: npt.NDArray[np.int64]


def pools(seed: int) -> Pools:
    """The scans, dealt by this seed."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = np.random.default_rng([seed, 1]).permutation(len(digits.target))
    return Pools(
        images=digits.images * (255.0 / 16.0),
        digits=digits.target.astype(np.int64),
        foreign=order[:450],
        early=order[450:1200],
        later=order[1200:],
    )


@dataclass(frozen=True)
class Sheets:
    """Rows before they are scanned: what scanner they go through is still open.

    Args:
        images, blurred: sharp and soft [n, 8, 8]. place: where on the glass each lies, in [0, 1]. noise: of 255.
    """

    images: npt.NDArray[np.float64]
    blurred: npt.NDArray[np.float64]
    place: npt.NDArray[np.float64]
    noise: npt.NDArray[np.float64]
    digits: npt.NDArray[np.int64]
    scans: npt.NDArray[np.int64]
    offices: npt.NDArray[np.object_]

    def scanned(self, scanner: Scanner) -> Batch:
        """The rows as this scanner sees them."""
        wear = np.minimum(scanner.wear * (0.4 + 1.2 * self.place**3), 1.0)[:, None, None]
        soft = self.images + wear * (self.blurred - self.images)
        seen = PAPER + (soft - PAPER) * (1.0 - CONTRAST_LOST * wear) + scanner.brightness + self.noise
        pixels: Pixels = np.asarray(np.clip(np.rint(seen), 0, 255), dtype=np.uint8)[..., None]
        return Batch(pixels, self.digits, self.scans, self.offices)


def sheets(pools: Pools, which: npt.NDArray[np.int64], n: int, rng: np.random.Generator) -> Sheets:
    """Rows of a pool: drawn with replacement, each with its own slant, shift, place on the glass and noise."""
    from scipy.ndimage import gaussian_filter

    scans = rng.choice(which, size=n)
    offices = rng.choice(np.array(OFFICES, dtype=object), size=n, p=OFFICE_SHARES)
    angles = rng.normal(0.0, 3.0, n) + np.where(offices == "harbour", HARBOUR_TILT, 0.0)
    shifts = rng.normal(0.0, 0.2, (n, 2))
    noise = rng.normal(0.0, 8.0, (n, 8, 8))
    place = rng.random(n)
    seen = np.stack([_moved(pools.images[s], a, d) for s, a, d in zip(scans, angles, shifts, strict=True)])
    blurred = gaussian_filter(seen, sigma=(0, BLUR, BLUR))
    return Sheets(seen, blurred, place, noise, pools.digits[scans], scans, offices)


def draw(pools: Pools, which: npt.NDArray[np.int64], n: int, scanner: Scanner, rng: np.random.Generator) -> Batch:
    """Rows of a pool as this scanner sees them."""
    return sheets(pools, which, n, rng).scanned(scanner)


def _moved(image: npt.NDArray[np.float64], angle: float, shift: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    from scipy.ndimage import affine_transform

    turn = np.deg2rad(angle)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    centre = np.array([3.5, 3.5])
    moved: npt.NDArray[np.float64] = affine_transform(image, matrix, offset=centre - matrix @ (centre + shift), order=1)
    return moved
