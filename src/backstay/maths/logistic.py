"""Ridge logistic regression with row weights: the small classifier inside calibration and density ratios.

Columns are standardised inside, the intercept is not penalised, and the penalty is ridge/2 * |w|^2 beside the
summed log loss. Two classes: Newton steps (IRLS); more: L-BFGS on the softmax.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit, log_softmax, softmax

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import FloatArray, IntArray, matrix, same_length, vector


@dataclass(frozen=True, slots=True, eq=False)
class Logistic:
    """A fitted model: `weights` [d + 1, 1 or classes] on standardised columns, intercept first."""

    classes: int
    weights: FloatArray
    centre: FloatArray
    scale: FloatArray

    @staticmethod
    def fit(
        x: FloatArray,
        y: IntArray,
        sample_weight: FloatArray | None = None,
        ridge: float = 1.0,
        classes: int | None = None,
    ) -> Logistic:
        """Fit class codes `y` [n] on `x` [n, d].

        >>> x = np.linspace(-3, 3, 200)[:, None]; model = Logistic.fit(x, (x[:, 0] > 0).astype(int))
        >>> bool(model.predict_proba(np.array([[2.0]]))[0, 1] > 0.95)
        True
        """
        rows, codes = matrix(x, "rows"), np.asarray(y).astype(np.int64)
        same_length(rows, codes, "rows and classes")
        weight = np.ones(len(rows)) if sample_weight is None else vector(sample_weight, "row weights")
        same_length(rows, weight, "rows and row weights")
        count = int(codes.max()) + 1 if classes is None else classes
        if codes.min() < 0 or codes.max() >= max(count, 2) or np.any(weight < 0) or weight.sum() <= 0:
            raise BackstayError("class codes or row weights are out of range", fix="give codes from 0, weights >= 0")
        if ridge < 0:
            raise BackstayError(f"the ridge is {ridge!r}", fix="give 0 or more")
        centre = np.average(rows, axis=0, weights=weight)
        scale = np.sqrt(np.average((rows - centre) ** 2, axis=0, weights=weight))
        scale = np.where(scale > 1e-12, scale, 1.0)
        design = np.column_stack([np.ones(len(rows)), (rows - centre) / scale])
        if count <= 2:
            coefficients = newton(design, codes.astype(np.float64), weight, ridge)[:, None]
        else:
            coefficients = _softmax_fit(design, codes, weight, ridge, count)
        return Logistic(max(count, 2), coefficients, centre, scale)

    def decision(self, x: FloatArray) -> FloatArray:
        """Log-odds of class 1 [n, 1], or one logit for each class [n, classes]."""
        rows = matrix(x, "rows")
        return np.asarray(self.weights[0] + ((rows - self.centre) / self.scale) @ self.weights[1:])

    def predict_proba(self, x: FloatArray) -> FloatArray:
        """Class probabilities [n, classes]."""
        logits = self.decision(x)
        if self.classes == 2:
            one = expit(logits[:, 0])
            return np.column_stack([1.0 - one, one])
        return np.asarray(softmax(logits, axis=1))

    def to_json(self) -> dict[str, Any]:
        return {
            "classes": self.classes,
            "weights": self.weights.tolist(),
            "centre": self.centre.tolist(),
            "scale": self.scale.tolist(),
        }

    @staticmethod
    def from_json(state: Mapping[str, Any]) -> Logistic:
        return Logistic(
            classes=int(state["classes"]),
            weights=np.asarray(state["weights"], dtype=np.float64),
            centre=np.asarray(state["centre"], dtype=np.float64),
            scale=np.asarray(state["scale"], dtype=np.float64),
        )


def newton(
    design: FloatArray,
    targets: FloatArray,
    weight: FloatArray,
    ridge: float,
    start: FloatArray | None = None,
    steps: int = 30,
    settled: float = 1e-7,
) -> FloatArray:
    """Coefficients [d] of a weighted ridge logistic fit of `targets` (0 to 1) on `design` [n, d], column 0 constant.

    It ends at a step below `settled`; what is then left is of the order of its square.
    """
    penalty = np.full(design.shape[1], max(ridge, 1e-9))
    penalty[0] = 1e-9  # keeps the step finite when only one class is present
    beta = np.zeros(design.shape[1]) if start is None else start.copy()
    loss = _loss(design, targets, weight, penalty, beta)
    for _ in range(steps):
        probability = expit(design @ beta)
        gradient = design.T @ (weight * (probability - targets)) + penalty * beta
        curvature = (design * (weight * probability * (1.0 - probability))[:, None]).T @ design
        step = np.linalg.solve(curvature + np.diag(penalty + 1e-9 * weight.sum()), gradient)
        beta, loss, moved = _descend(design, targets, weight, penalty, beta, step, loss)
        if moved < settled:
            break
    return beta


def _descend(
    design: FloatArray,
    targets: FloatArray,
    weight: FloatArray,
    penalty: FloatArray,
    beta: FloatArray,
    step: FloatArray,
    loss: float,
) -> tuple[FloatArray, float, float]:
    """Halve the Newton step until the loss falls; returns where it led and how far that was."""
    for halving in range(12):
        tried = beta - step * 0.5**halving
        reached = _loss(design, targets, weight, penalty, tried)
        if reached <= loss:
            return tried, reached, float(np.max(np.abs(tried - beta)))
    return beta, loss, 0.0


def _loss(design: FloatArray, targets: FloatArray, weight: FloatArray, penalty: FloatArray, beta: FloatArray) -> float:
    logits = design @ beta
    # log(1 + exp(z)), three times as fast as logaddexp.
    softplus = np.maximum(logits, 0.0) + np.log1p(np.exp(-np.abs(logits)))
    return float(weight @ (softplus - targets * logits) + 0.5 * penalty @ beta**2)


def _softmax_fit(design: FloatArray, codes: IntArray, weight: FloatArray, ridge: float, classes: int) -> FloatArray:
    from scipy.optimize import minimize  # slow to import, and two classes do not need it

    shape = (design.shape[1], classes)
    hot = np.eye(classes)[codes]

    def objective(flat: FloatArray) -> tuple[float, FloatArray]:
        beta = flat.reshape(shape)
        log_p = log_softmax(design @ beta, axis=1)
        gradient = design.T @ (weight[:, None] * (np.exp(log_p) - hot))
        gradient[1:] += ridge * beta[1:]
        loss = -float(np.sum(weight * np.sum(hot * log_p, axis=1))) + 0.5 * ridge * float(np.sum(beta[1:] ** 2))
        return loss, gradient.reshape(-1)

    found = minimize(objective, np.zeros(shape[0] * shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 500})
    return np.asarray(found.x, dtype=np.float64).reshape(shape)
