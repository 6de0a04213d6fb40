"""A stranger's multi-label graph, as scikit-learn exports it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from skl2onnx import to_onnx
from sklearn.datasets import make_multilabel_classification
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier

from backstay.bundle.inspect import inspect_onnx
from backstay.bundle.model import Model, open_session
from backstay.bundle.sets import texts_of
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Column, ColumnKind

LABELS = ("a", "b", "c")
FEATURES = tuple(Column(f"x{i}", ColumnKind.NUMBER) for i in range(4))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray, np.ndarray]:
    x, y = make_multilabel_classification(200, n_features=4, n_classes=3, random_state=0)
    x = x.astype(np.float32)
    model = OneVsRestClassifier(LogisticRegression()).fit(x, y)
    file = tmp_path_factory.mktemp("theirs") / "model.onnx"
    file.write_bytes(to_onnx(model, x[:1], options={id(model): {"zipmap": False}}).SerializeToString())
    return file, x, model.predict(x)


def test_sets_and_chances_are_found_and_answered(exported: tuple[Path, np.ndarray, np.ndarray]) -> None:
    file, x, said = exported
    draft = inspect_onnx(file, FEATURES, LABELS, task="multilabel")
    assert {o.role for o in draft.outputs} == {"members", "scores"}
    assert (draft.task, draft.classes) == ("multilabel", LABELS)
    answers = Model(Path(), draft, open_session(file.read_bytes())).run({draft.inputs[0].name: x})
    assert answers.labels.tolist() == texts_of(said.astype(bool), LABELS).tolist()
    assert answers.scores is not None
    assert answers.scores.shape == (200, 3)


def test_another_number_of_labels_is_refused(exported: tuple[Path, np.ndarray, np.ndarray]) -> None:
    with pytest.raises(BackstayError, match="has 3 columns, the reference rows have 2 labels"):
        inspect_onnx(exported[0], FEATURES, LABELS[:2], task="multilabel")


def test_a_classifier_is_not_taken_for_sets(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    model = LogisticRegression().fit(x, np.arange(60) % 3)
    file = tmp_path / "model.onnx"
    file.write_bytes(to_onnx(model, x[:1], options={id(model): {"zipmap": False}}).SerializeToString())
    with pytest.raises(BackstayError, match="which labels are said"):
        inspect_onnx(file, FEATURES, LABELS, task="multilabel")
