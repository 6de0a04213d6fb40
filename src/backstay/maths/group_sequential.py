"""Planned looks at a comparison: O'Brien-Fleming and Pocock boundaries, and alpha spending for looks out of plan.

The statistic at information t (a share of the planned rows) is Z = B(t) / sqrt(t) with B a Brownian motion. The
chance of crossing is computed by the recursion of Armitage, McPherson & Rowe 1969: the density of B among paths that
have not crossed, carried from look to look by Gauss-Legendre quadrature. Prefer this to a confidence sequence when
the largest size is known; looks may be skipped or moved with spending (Lan & DeMets 1983), but never added because of
what was seen. Two-sided throughout.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import FloatArray, fraction, same_length, vector

Shape: TypeAlias = Literal["obrien_fleming", "pocock"]
LARGEST_Z = 8.0
MOST_NODES = 800


@lru_cache(maxsize=64)
def boundaries(looks: int, alpha: float = 0.05, shape: Shape = "obrien_fleming") -> tuple[float, ...]:
    """|Z| that stops at each of `looks` equally spaced looks.

    >>> round(boundaries(5)[-1], 3), round(boundaries(5, shape="pocock")[-1], 3)
    (2.04, 2.413)
    """
    if looks < 1:
        raise BackstayError(f"{looks!r} looks", fix="plan one look or more")
    fraction(alpha, "alpha")
    information = np.arange(1, looks + 1) / looks
    form = 1.0 / np.sqrt(information) if _shape(shape) == "obrien_fleming" else np.ones(looks)
    level = float(ndtri(1.0 - alpha / 2.0))

    def excess(c: float) -> float:
        return float(crossing(c * form, information).sum()) - alpha

    c = level if looks == 1 else float(brentq(excess, level, LARGEST_Z, xtol=1e-7))
    return tuple(map(float, c * form))


def crossing(bounds: FloatArray, information: FloatArray, drift: float = 0.0) -> FloatArray:
    """P(|Z| first reaches `bounds` [k] at each look), at `information` [k] increasing in (0, 1].

    `drift` is the mean of Z at information 1 (0 under no difference; the fixed-size test's expected z otherwise).
    """
    walls, times = vector(bounds, "boundaries"), _increasing(information)
    same_length(walls, times, "boundaries and looks")
    walls = np.abs(walls) * np.sqrt(times)
    points, density = np.zeros(1), np.ones(1)  # all mass at 0 before the first look
    out, last = np.empty(len(times)), 0.0
    for look, (wall, time) in enumerate(zip(walls, times, strict=True)):
        step = time - last
        sd, centre = np.sqrt(step), points + drift * step
        out[look] = density @ (ndtr((centre - wall) / sd) + ndtr((-wall - centre) / sd))
        points, density = _carry(centre, density, wall, sd)
        last = time
    return out


def _carry(centre: FloatArray, mass: FloatArray, wall: float, sd: float) -> tuple[FloatArray, FloatArray]:
    """Nodes inside the wall and the probability mass at each, one step on."""
    reach = min(wall, float(np.max(np.abs(centre)) + 8.5 * sd))
    nodes, weights = _legendre(int(np.clip(16 * round(reach / sd), 64, MOST_NODES)))
    points = nodes * reach
    kernel = np.exp(-0.5 * ((points[:, None] - centre[None, :]) / sd) ** 2) / (sd * np.sqrt(2.0 * np.pi))
    return points, weights * reach * (kernel @ mass)


@lru_cache(maxsize=64)
def _legendre(count: int) -> tuple[FloatArray, FloatArray]:
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return nodes, weights


def spent(information: float, alpha: float = 0.05, shape: Shape = "obrien_fleming") -> float:
    """Alpha spent up to a share of the planned information: the Lan-DeMets functions.

    >>> round(spent(1.0), 6), spent(0.2) < 1e-5 < spent(0.2, shape="pocock")
    (0.05, True)
    """
    level, share = fraction(alpha, "alpha"), min(float(information), 1.0)
    if not share > 0.0:
        raise BackstayError(f"information {information!r}", fix="give a share of the planned rows above 0")
    if _shape(shape) == "pocock":
        return float(level * np.log1p((np.e - 1.0) * share))
    return float(4.0 * ndtr(ndtri(level / 4.0) / np.sqrt(share)))


@dataclass(frozen=True, slots=True)
class GroupSequential:
    """A comparison with spending: the looks taken, their boundaries, and whether it has stopped.

    >>> plan = GroupSequential(0.05)
    >>> plan = plan.look(0.5, 1.0).look(1.0, 2.5)
    >>> plan.stopped_at, [round(b, 3) for b in plan.bounds]
    (1.0, [2.963, 1.969])
    """

    alpha: float = 0.05
    shape: Shape = "obrien_fleming"
    information: tuple[float, ...] = ()
    bounds: tuple[float, ...] = ()
    z: tuple[float, ...] = ()
    stopped_at: float | None = None

    def look(self, information: float, z: float) -> GroupSequential:
        """The state after a look at z, with `information` rows over planned rows; beyond the plan counts as 1."""
        share = min(float(information), 1.0)
        if self.information and share <= self.information[-1]:
            raise BackstayError(
                f"a look at {information:.4g} of the planned rows after one at {self.information[-1]:.4g}",
                fix="look again when rows were added, and never after the planned size",
            )
        if self.stopped_at is not None:
            raise BackstayError("the comparison has stopped", fix="start a new one on new rows")
        if not np.isfinite(z):
            raise BackstayError(f"a z of {z!r}", fix="give a finite statistic")
        bound = self.next_bound(share)
        return replace(
            self,
            information=(*self.information, share),
            bounds=(*self.bounds, bound),
            z=(*self.z, float(z)),
            stopped_at=share if abs(z) >= bound else None,
        )

    def next_bound(self, information: float) -> float:
        """|Z| that would stop at a look now."""
        total = spent(information, self.alpha, self.shape)
        times = np.array([*self.information, float(min(information, 1.0))])
        earlier = np.asarray(self.bounds, dtype=np.float64)
        used = float(crossing(earlier, times[:-1]).sum()) if len(earlier) else 0.0
        return _solve(lambda b: float(crossing(np.append(earlier, b), times)[-1]), total - used)

    def to_json(self) -> dict[str, Any]:
        return {
            "alpha": self.alpha,
            "shape": self.shape,
            "information": list(self.information),
            "bounds": list(self.bounds),
            "z": list(self.z),
            "stopped_at": self.stopped_at,
        }

    @staticmethod
    def from_json(state: Mapping[str, Any]) -> GroupSequential:
        stopped = state["stopped_at"]
        return GroupSequential(
            alpha=float(state["alpha"]),
            shape=_shape(state["shape"]),
            information=_numbers(state["information"]),
            bounds=_numbers(state["bounds"]),
            z=_numbers(state["z"]),
            stopped_at=None if stopped is None else float(stopped),
        )


def _numbers(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(map(float, values))


def _solve(chance: Callable[[float], float], target: float) -> float:
    if target <= chance(LARGEST_Z):
        return LARGEST_Z
    return float(brentq(lambda b: chance(b) - target, 0.0, LARGEST_Z, xtol=1e-7))


def _increasing(information: FloatArray) -> FloatArray:
    times = vector(information, "information")
    if times[0] <= 0.0 or times[-1] > 1.0 + 1e-12 or np.any(np.diff(times) <= 0.0):
        raise BackstayError(f"looks at {times.tolist()}", fix="give increasing shares of the planned rows, up to 1")
    return times


def _shape(value: str) -> Shape:
    if value == "obrien_fleming" or value == "pocock":
        return "obrien_fleming" if value == "obrien_fleming" else "pocock"
    raise BackstayError(f"a boundary of shape {value!r}", fix="choose obrien_fleming or pocock")
