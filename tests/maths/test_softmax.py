from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression

from backstay.kernel.errors import BackstayError
from backstay.maths.softmax import SparseSoftmax

RNG = np.random.default_rng(0)
X = RNG.normal(size=(240, 6)) * (RNG.random((240, 6)) < 0.5)
Y = (X[:, :3] + 0.3 * RNG.normal(size=(240, 3))).argmax(axis=1)


def test_as_scikit_learn() -> None:
    ridge = 1e-2
    ours = SparseSoftmax.fit(sp.csr_array(X), Y, 3, ridge).predict_proba(sp.csr_array(X))
    theirs = LogisticRegression(C=1 / (ridge * len(Y)), tol=1e-10, max_iter=1000).fit(X, Y).predict_proba(X)
    assert np.abs(ours - theirs).max() < 1e-3
    assert np.allclose(ours.sum(axis=1), 1.0)


def test_a_class_without_rows_is_never_the_likeliest() -> None:
    found = SparseSoftmax.fit(sp.csr_array(X), Y, 4).predict_proba(sp.csr_array(X))
    assert (found.argmax(axis=1) < 3).all()


@pytest.mark.parametrize("codes", [np.full(240, 3), np.full(240, -1), np.zeros(3, dtype=np.int64)])
def test_codes_out_of_range(codes: np.ndarray) -> None:
    with pytest.raises(BackstayError, match="class codes"):
        SparseSoftmax.fit(sp.csr_array(X), codes, 3)
