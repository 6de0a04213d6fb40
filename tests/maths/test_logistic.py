from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from backstay.kernel.errors import BackstayError
from backstay.maths.logistic import Logistic, newton


def data(classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(300, 4)) * [1, 10, 0.1, 3] + [0, 5, 1, -2]
    logits = (x - x.mean(axis=0)) / [1, 10, 0.1, 3] @ rng.normal(size=(4, classes))
    return x, (logits + rng.gumbel(size=(300, classes))).argmax(axis=1)


@pytest.mark.parametrize("classes", [2, 3])
def test_it_agrees_with_scikit_learn_on_standardised_columns(classes: int) -> None:
    x, y = data(classes)
    model = Logistic.fit(x, y, ridge=2.0)
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    oracle = LogisticRegression(C=0.5, tol=1e-9, max_iter=2000).fit(z, y)
    assert np.allclose(model.predict_proba(x), oracle.predict_proba(z), atol=2e-4)


def test_a_weight_is_a_number_of_copies() -> None:
    x, y = data(2)
    weights = np.random.default_rng(1).integers(0, 4, 300)
    weighted = Logistic.fit(x, y, weights.astype(float))
    copied = Logistic.fit(np.repeat(x, weights, axis=0), np.repeat(y, weights))
    assert np.allclose(weighted.predict_proba(x), copied.predict_proba(x), atol=1e-6)


def test_the_gradient_vanishes_where_newton_stops() -> None:
    x, y = data(2)
    design = np.column_stack([np.ones(300), x])
    beta = newton(design, y.astype(float), np.ones(300), 1.0)
    residual = 1 / (1 + np.exp(-design @ beta)) - y
    assert np.allclose(design.T @ residual + np.r_[0, np.ones(4)] * beta, 0, atol=1e-3)


def test_separable_and_one_class_data_stay_finite() -> None:
    x = np.linspace(-1, 1, 40)[:, None]
    assert np.all(np.isfinite(Logistic.fit(x, (x[:, 0] > 0).astype(int), ridge=1e-6).weights))
    assert np.all(Logistic.fit(x, np.zeros(40, dtype=int), classes=2).predict_proba(x)[:, 0] > 0.9)
    assert Logistic.fit(np.ones((9, 1)), np.arange(9) % 2).predict_proba(np.ones((1, 1)))[0, 1] == pytest.approx(4 / 9)


def test_a_class_without_rows_is_improbable_and_json_is_exact() -> None:
    x, y = data(3)
    model = Logistic.fit(x, y, classes=5)
    assert model.predict_proba(x).shape == (300, 5)
    assert model.predict_proba(x)[:, 4].max() < 0.05
    again = Logistic.from_json(json.loads(json.dumps(model.to_json())))
    assert np.array_equal(again.predict_proba(x), model.predict_proba(x))


def test_bad_codes_weights_and_ridges_are_refused() -> None:
    x, y = data(2)
    with pytest.raises(BackstayError, match="out of range"):
        Logistic.fit(x, y - 1)
    for weights in (-np.ones(300), np.zeros(300)):
        with pytest.raises(BackstayError, match="out of range"):
            Logistic.fit(x, y, weights)
    with pytest.raises(BackstayError, match="ridge"):
        Logistic.fit(x, y, ridge=-1.0)
