"""Which file writes which class of scikit-learn, LightGBM and XGBoost. What is named nowhere goes through skl2onnx.

A part is written only where the fitted object's class is exactly the one named: what somebody's own class does is not
known by its parents.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np
from onnx import TensorProto

from backstay.train.convert import foreign
from backstay.train.convert.blocks import Block, Classified, Unsupported, matrix
from backstay.train.convert.graph import Graph

_LIBRARIES = ("sklearn.", "lightgbm.", "xgboost.")
_HERE = "backstay.train.convert."

# Name of the class: file and function. A function of a matrix is asked with (graph, model, matrix).
CLASSIFIERS: Mapping[str, str] = {
    "BernoulliNB": "bayes:bernoulli",
    "CategoricalNB": "bayes:categorical",
    "ComplementNB": "bayes:complement",
    "DecisionTreeClassifier": "classifiers:decision_tree",
    "DummyClassifier": "constants:classes",
    "ExtraTreeClassifier": "classifiers:decision_tree",
    "ExtraTreesClassifier": "classifiers:forest",
    "GaussianNB": "bayes:gaussian",
    "GradientBoostingClassifier": "gradients:classifier",
    "KNeighborsClassifier": "neighbours:classifier",
    "LGBMClassifier": "classifiers:lightgbm",
    "LabelPropagation": "neighbours:propagation",
    "LabelSpreading": "neighbours:propagation",
    "LinearDiscriminantAnalysis": "discriminants:linear",
    "LinearSVC": "linear:decision",
    "LogisticRegression": "linear:logistic",
    "LogisticRegressionCV": "linear:logistic",
    "MLPClassifier": "networks:classifier",
    "MultinomialNB": "bayes:multinomial",
    "NearestCentroid": "neighbours:centroid",
    "NuSVC": "kernels:classifier",
    "PassiveAggressiveClassifier": "linear:decision",
    "Perceptron": "linear:decision",
    "QuadraticDiscriminantAnalysis": "discriminants:quadratic",
    "RadiusNeighborsClassifier": "neighbours:within_classifier",
    "RandomForestClassifier": "classifiers:forest",
    "RidgeClassifier": "linear:decision",
    "RidgeClassifierCV": "linear:decision",
    "SGDClassifier": "linear:stochastic",
    "SVC": "kernels:classifier",
    "XGBClassifier": "classifiers:xgboost",
}

REGRESSORS: Mapping[str, str] = {
    **dict.fromkeys(
        (
            "ARDRegression",
            "BayesianRidge",
            "ElasticNet",
            "ElasticNetCV",
            "HuberRegressor",
            "Lars",
            "LarsCV",
            "Lasso",
            "LassoCV",
            "LassoLars",
            "LassoLarsCV",
            "LassoLarsIC",
            "LinearRegression",
            "LinearSVR",
            "OrthogonalMatchingPursuit",
            "OrthogonalMatchingPursuitCV",
            "PLSRegression",
            "PLSCanonical",
            "CCA",
            "PassiveAggressiveRegressor",
            "QuantileRegressor",
            "Ridge",
            "RidgeCV",
            "SGDRegressor",
            "TheilSenRegressor",
        ),
        "linear:values",
    ),
    **dict.fromkeys(("GammaRegressor", "PoissonRegressor", "TweedieRegressor"), "linear:generalised"),
    "DecisionTreeRegressor": "regressors:decision_tree",
    "DummyRegressor": "constants:value",
    "ExtraTreeRegressor": "regressors:decision_tree",
    "ExtraTreesRegressor": "regressors:forest",
    "GradientBoostingRegressor": "gradients:regressor",
    "IsotonicRegression": "isotonic:regressor",
    "KNeighborsRegressor": "neighbours:regressor",
    "KernelRidge": "kernels:ridge",
    "LGBMRegressor": "regressors:lightgbm",
    "MLPRegressor": "networks:regressor",
    "NuSVR": "kernels:regressor",
    "RadiusNeighborsRegressor": "neighbours:within_regressor",
    "RandomForestRegressor": "regressors:forest",
    "SVR": "kernels:regressor",
    "XGBRegressor": "regressors:xgboost",
}

# These read the columns as they come, text among them: (graph, model, blocks).
OF_BLOCKS: Mapping[str, str] = {
    "AdaBoostClassifier": "ensembles:ada_classifier",
    "AdaBoostRegressor": "ensembles:ada_regressor",
    "BaggingClassifier": "ensembles:bagged_classifier",
    "BaggingRegressor": "ensembles:bagged_regressor",
    "CalibratedClassifierCV": "wrappers:calibrated",
    "FixedThresholdClassifier": "wrappers:with_threshold",
    "FrozenEstimator": "wrappers:frozen",
    "GridSearchCV": "wrappers:best",
    "HalvingGridSearchCV": "wrappers:best",
    "HalvingRandomSearchCV": "wrappers:best",
    "HistGradientBoostingClassifier": "histograms:classifier",
    "HistGradientBoostingRegressor": "histograms:regressor",
    "OneVsOneClassifier": "wrappers:one_against_one",
    "OneVsRestClassifier": "wrappers:one_against_rest",
    "OutputCodeClassifier": "wrappers:by_code",
    "Pipeline": "wrappers:pipeline",
    "RANSACRegressor": "wrappers:inner",
    "RandomizedSearchCV": "wrappers:best",
    "RFE": "wrappers:chosen_columns",
    "RFECV": "wrappers:chosen_columns",
    "SelfTrainingClassifier": "wrappers:inner",
    "StackingClassifier": "ensembles:stacked_classifier",
    "StackingRegressor": "ensembles:stacked_regressor",
    "TransformedTargetRegressor": "wrappers:transformed_target",
    "TunedThresholdClassifierCV": "wrappers:with_threshold",
    "VotingClassifier": "ensembles:voting_classifier",
    "VotingRegressor": "ensembles:voting_regressor",
}


def classify(graph: Graph, model: Any, blocks: list[Block]) -> Classified:
    """Add a fitted classifier, or a pipeline that ends in one.

    Raises:
        Unsupported: neither this exporter nor skl2onnx knows it, or one of its options.
    """
    made = _written(graph, model, blocks, CLASSIFIERS)
    if made is None:
        made = foreign.classifier(graph, model, matrix(graph, blocks, type(model).__name__))
    return Classified(made) if isinstance(made, str) else made


def regress(graph: Graph, model: Any, blocks: list[Block]) -> str:
    """Add a fitted regressor, or a pipeline that ends in one: double [rows, 1]. Raises Unsupported, likewise."""
    made = _written(graph, model, blocks, REGRESSORS)
    if made is None:
        made = foreign.values(graph, model, matrix(graph, blocks, type(model).__name__))
    return str(made)


def place_of(graph: Graph, found: Classified, classes: int) -> str:
    """int64 [rows]: the place of the class that is answered."""
    if found.place:
        return found.place
    return graph.op("ArgMax", found.chances or both_sides(graph, found.decision, classes), axis=1, keepdims=0)


def both_sides(graph: Graph, decision: str, classes: int) -> str:
    """A decision function of two classes as two columns, 0 and itself; of more as it is: the highest is answered."""
    return graph.op("Pad", decision, graph.constant(np.array([0, 1, 0, 0]))) if classes == 2 else decision


def answered(graph: Graph, found: Classified, classes: int) -> str:
    """double [rows, classes]: 1 at the class that is answered."""
    places = graph.constant(np.arange(classes, dtype=np.int64).reshape(1, -1))
    at = graph.op("Unsqueeze", place_of(graph, found, classes), graph.constant(np.array([1], np.int64)))
    return graph.op("Cast", graph.op("Equal", at, places), to=TensorProto.DOUBLE)


def named_in(model: Any, table: Mapping[str, str]) -> str | None:
    """The file and function for an object of exactly this class, or None."""
    kind = type(model)
    return table.get(kind.__name__) if kind.__module__.startswith(_LIBRARIES) else None


def function(where: str) -> Any:
    """What "file:name" names."""
    file, _, name = where.partition(":")
    return getattr(import_module(_HERE + file), name)


def _written(graph: Graph, model: Any, blocks: list[Block], table: Mapping[str, str]) -> Any:
    whole, plain = named_in(model, OF_BLOCKS), named_in(model, table)
    if whole is not None:
        return function(whole)(graph, model, blocks)
    if plain is None:
        return None
    name = type(model).__name__
    if isinstance(getattr(model, "classes_", None), list):
        raise Unsupported(f"{name} answers {len(model.classes_)} targets", fix="fit a model for each target")
    return function(plain)(graph, model, matrix(graph, blocks, name))
