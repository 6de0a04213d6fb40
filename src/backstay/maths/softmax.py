"""Multinomial logistic regression on sparse rows: thousands of columns, dozens of classes, seconds of one core."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import FloatArray, IntArray

RIDGE = 1e-5
STEPS = 60
KEPT = 5


@dataclass(frozen=True, slots=True, eq=False)
class SparseSoftmax:
    """`weights` [columns, classes] and `offsets` [classes]."""

    weights: FloatArray
    offsets: FloatArray

    @staticmethod
    def fit(rows: sp.csr_array, codes: IntArray, classes: int, ridge: float = RIDGE) -> SparseSoftmax:
        """Minimise mean log loss + ridge / 2 * |weights|^2 by L-BFGS; offsets are not penalised.

        Args:
            codes: class codes [n], each in 0..classes-1. A class without rows is never the likeliest.
        """
        n, width = rows.shape
        if n == 0 or codes.shape != (n,) or codes.min() < 0 or codes.max() >= classes:
            raise BackstayError(f"{n} rows and class codes of shape {codes.shape}", fix=f"give codes below {classes}")
        across = rows.T.tocsr()
        own = np.arange(n)

        def loss(flat: FloatArray) -> tuple[float, FloatArray]:
            table = flat.reshape(width + 1, classes)
            logits = rows @ table[:-1] + table[-1]
            value = float((logsumexp(logits, axis=1) - logits[own, codes]).mean())
            slope = softmax(logits, axis=1)
            slope[own, codes] -= 1.0
            slope /= n
            gradient = np.vstack([across @ slope + ridge * table[:-1], slope.sum(axis=0)])
            return value + ridge / 2 * float(np.square(table[:-1]).sum()), gradient.reshape(-1)

        start = np.zeros((width + 1) * classes)
        found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": STEPS, "maxcor": KEPT})
        table = found.x.reshape(width + 1, classes)
        return SparseSoftmax(table[:-1], table[-1])

    def predict_proba(self, rows: sp.csr_array) -> FloatArray:
        """Probabilities [n, classes]."""
        return np.asarray(softmax(rows @ self.weights + self.offsets, axis=1))
