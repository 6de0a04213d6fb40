"""Clusters first, classes after: k-means groups the rows without their labels; a cluster answers its shares of classes.

Columns as for logistic regression. The shares are those of the classes among the cluster's training rows, and never 0:
one row is added to each cluster, split as the classes are over all rows. Its figures say how good the clusters are on
the tuning rows: `tune_silhouette` (a row's own cluster against the next one, in [-1, 1]), and against the labels
`tune_nmi` (mutual information over the mean entropy, in [0, 1]; it rises with the number of clusters) and
`tune_adjusted_rand` (pairs that agree; 0 by chance, 1 the same).
**Prefer it:** where a class is a handful of typical kinds of row and the clusters themselves are to be looked at.
**Wrong:** as a classifier it is weak: on Adult it falls behind the nearest raw rows, and the default policy refuses
it.
**Cost:** ten starts, each a few passes over the rows.
**Source:** MacQueen 1967; Arthur & Vassilvitskii 2007 (k-means++); Rousseeuw 1987 (silhouette).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.cluster import KMeans as Fitter

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import FloatArray, IntArray
from backstay.maths.partition import adjusted_rand, normalised_mutual_information, silhouette
from backstay.train.convert.graph import Graph
from backstay.train.estimators.contract import Estimator, Problem, Rows, Tensors, log_loss
from backstay.train.estimators.design import one_hot, write_one_hot
from backstay.train.options import Options

_A_CLASS = 8
_STARTS = 10


class KMeans(Estimator):
    """`clusters` 0 means eight a class, and no more than there are rows."""

    def __init__(self, problem: Problem, clusters: int) -> None:
        self._problem = problem
        self._clusters = clusters
        self._centres = np.zeros((0, 0))
        self._shares = np.zeros((0, 0))

    def fit(self, train: Rows, tune: Rows) -> dict[str, float]:
        x = one_hot(train, self._problem, filled=True)
        distinct = len(np.unique(x, axis=0))
        if self._clusters > distinct:
            raise BackstayError(
                f"train.model_options.clusters is {self._clusters}, and there are {distinct} different training rows",
                fix="ask for fewer clusters",
            )
        count = self._clusters or min(distinct, _A_CLASS * self._problem.classes)
        found: Any = Fitter(count, n_init=_STARTS, random_state=self._problem.seed)
        self._centres = np.asarray(found.fit(x, sample_weight=train.weights).cluster_centers_, dtype=np.float64)
        hot = np.eye(self._problem.classes)[train.labels] * train.weights[:, None]
        counts = np.zeros((count, self._problem.classes))
        np.add.at(counts, self._nearest(x), hot)
        counts += hot.sum(axis=0) / hot.sum()
        self._shares = counts / counts.sum(axis=1, keepdims=True)
        return {
            "clusters": float(count),
            "tune_loss": log_loss(self.probabilities(tune), tune),
            **_figures(one_hot(tune, self._problem, filled=True), self._nearest, tune.labels),
        }

    def _nearest(self, x: FloatArray) -> Any:
        """|x - c|^2 without the |x|^2 that all centres share."""
        return np.argmin((self._centres**2).sum(axis=1) - 2 * (x @ self._centres.T), axis=1)

    def probabilities(self, rows: Rows) -> FloatArray:
        return np.asarray(self._shares[self._nearest(one_hot(rows, self._problem, filled=True))])

    def write(self, graph: Graph, tensors: Tensors) -> str:
        matrix = write_one_hot(graph, tensors, self._problem, filled=True)
        products = graph.op("MatMul", matrix, graph.constant(2 * self._centres.T))
        distances = graph.op("Sub", graph.constant((self._centres**2).sum(axis=1)[None, :]), products)
        nearest = graph.op("ArgMin", distances, axis=1, keepdims=0)
        return graph.op("Gather", graph.constant(self._shares), nearest, axis=0)


def _figures(x: FloatArray, nearest: Callable[[FloatArray], IntArray], labels: IntArray) -> dict[str, float]:
    """How good the clusters are on rows that they were not made of; no silhouette where one cluster holds them all."""
    if len(x) == 0:
        return {}
    clusters = nearest(x)
    found = {
        "tune_nmi": normalised_mutual_information(clusters, labels),
        "tune_adjusted_rand": adjusted_rand(clusters, labels),
    }
    if len(np.unique(clusters)) > 1:
        found["tune_silhouette"] = float(silhouette(x, clusters).mean())
    return found


def build(problem: Problem, options: Options) -> Estimator:
    """Options: `clusters` (0 takes eight a class)."""
    return KMeans(problem, options.whole("clusters", 0, low=0))
