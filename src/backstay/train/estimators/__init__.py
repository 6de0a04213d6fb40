"""The shelf of models without an encoder: `build(problem, options)` answers an `Estimator`."""

from backstay.kernel.registry import Shelf

ESTIMATORS = Shelf(
    "model",
    "backstay.estimators",
    {
        "decision_tree": "backstay.train.estimators.decision_tree:build",
        "gradient_boosting": "backstay.train.estimators.gradient_boosting:build",
        "k_means": "backstay.train.estimators.k_means:build",
        "lightgbm": "backstay.train.estimators.lightgbm:build",
        "logistic_regression": "backstay.train.estimators.logistic_regression:build",
        "xgboost": "backstay.train.estimators.xgboost:build",
    },
)
