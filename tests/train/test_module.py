"""A torch module as a bundle: its outputs recognised, its rows any number, its answers the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import Tensor, nn

from backstay.bundle.inputs import arrays_for
from backstay.bundle.model import Model, Outputs, open_session
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Column, ColumnKind, Schema
from backstay.train.bring import graph_of

FEATURES = ("a", "scores", "c d")
SCHEMA = Schema(tuple(Column(n, ColumnKind.NUMBER) for n in FEATURES), FEATURES)
EXAMPLE = torch.zeros(1, 3)


class Net(nn.Module):
    """Logits of two classes, or what `answer` makes of them and of the hidden layer."""

    def __init__(self, answer: Any = lambda logits, hidden: logits, classes: int = 2) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body, self.head, self.drop = nn.Linear(3, 5), nn.Linear(5, classes), nn.Dropout(0.5)
        self.answer = answer

    def forward(self, x: Tensor) -> Any:
        hidden = torch.tanh(self.drop(self.body(x)))
        return self.answer(self.head(hidden), hidden)


@pytest.fixture(scope="module")
def table() -> pa.Table:
    rng = np.random.default_rng(0)
    return pa.table({name: rng.normal(size=40) for name in FEATURES})


def answers(graph: tuple[bytes, Any], rows: pa.Table) -> Outputs:
    content, draft = graph
    return Model(Path(), draft, open_session(content)).run(arrays_for(draft, rows))


def matrix(rows: pa.Table) -> Tensor:
    return torch.from_numpy(np.column_stack([rows[name] for name in FEATURES]).astype(np.float32))


@pytest.mark.parametrize(
    ("answer", "width", "outputs"),
    [
        (lambda logits, hidden: (hidden, torch.softmax(logits, 1)), 5, ()),
        pytest.param(lambda logits, hidden: logits, 0, (), marks=pytest.mark.slow),
        pytest.param(lambda logits, hidden: {"a": logits, "b": hidden}, 5, (), marks=pytest.mark.slow),
        pytest.param(
            lambda logits, hidden: torch.sigmoid(logits[:, 1] - logits[:, 0]), 0, ("scores",), marks=pytest.mark.slow
        ),
        pytest.param(lambda logits, hidden: logits[:, 1:] - logits[:, :1], 0, ("logits",), marks=pytest.mark.slow),
    ],
    ids=["embedding and scores", "logits", "by name", "one probability", "one logit"],
)
def test_outputs_are_recognised(table: pa.Table, answer: Any, width: int, outputs: tuple[str, ...]) -> None:
    module = Net(answer).train()
    graph = graph_of(module, table, SCHEMA, classes=("no", "yes"), example=EXAMPLE, outputs=outputs)
    assert module.training
    reference = Net().eval()
    for rows in (table, table.slice(3, 1)):
        found = answers(graph, rows)
        with torch.no_grad():
            wanted = torch.softmax(reference(matrix(rows)), 1).numpy()
        np.testing.assert_allclose(found.scores, wanted, atol=1e-6)
        assert found.labels.tolist() == ["yes" if p > 0.5 else "no" for p in wanted[:, 1]]
        assert (0 if found.embeddings is None else found.embeddings.shape[1]) == width
    assert [(i.name, i.datatype) for i in graph[1].inputs] == [(name, "FP64") for name in FEATURES]


@pytest.mark.slow
def test_the_order_of_the_classes_may_be_said(table: pa.Table) -> None:
    plain = graph_of(Net(), table, SCHEMA, classes=("no", "yes"), example=EXAMPLE)
    turned = graph_of(Net(), table, SCHEMA, classes=("no", "yes"), example=EXAMPLE, order=("yes", "no"))
    swap = {"no": "yes", "yes": "no"}
    assert [swap[v] for v in answers(plain, table).labels] == answers(turned, table).labels.tolist()


def test_images_keep_their_tensor() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (6, 4, 4, 1)).astype(np.uint8)
    kind = pa.fixed_shape_tensor(pa.uint8(), (4, 4, 1))
    storage = pa.FixedSizeListArray.from_arrays(pa.array(pixels.reshape(-1)), 16)
    rows = pa.table({"image": pa.ExtensionArray.from_storage(kind, storage)})
    schema = Schema((Column("image", ColumnKind.IMAGE, shape=(4, 4, 1)),), ("image",))
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 3)).eval()
    graph = graph_of(module, rows, schema, classes=("a", "b", "c"), example=torch.zeros(2, 1, 4, 4))
    with torch.no_grad():
        wanted = torch.softmax(module(torch.from_numpy(pixels.transpose(0, 3, 1, 2).astype(np.float32))), 1)
    np.testing.assert_allclose(answers(graph, rows).scores, wanted.numpy(), atol=1e-5)


@pytest.mark.parametrize(
    ("answer", "more", "said"),
    [
        (None, {"example": None}, "needs an example"),
        (None, {"example": torch.zeros(2, 4)}, "fails on its example"),
        (None, {"outputs": ("scores", "embedding")}, "has 1 outputs"),
        (None, {"outputs": ("embedding",)}, "must be scores or logits"),
        (None, {"outputs": ("logit",)}, "no kind of output 'logit'"),
        pytest.param(None, {"outputs": ("scores",)}, "not probabilities", marks=pytest.mark.slow),
        (lambda logits, hidden: hidden, {}, "is not clear"),
        (lambda logits, hidden: (logits, logits + 1), {}, "is not clear"),
        (lambda logits, hidden: [logits, "text"], {}, "something else than tensors"),
        (lambda logits, hidden: logits[:, 0], {}, "is not clear"),
        pytest.param(
            lambda logits, hidden: logits if logits.sum() > 0 else -logits, {}, "cannot export", marks=pytest.mark.slow
        ),
    ],
)
def test_what_is_unclear_is_refused(table: pa.Table, answer: Any, more: dict[str, Any], said: str) -> None:
    module = Net() if answer is None else Net(answer)
    with pytest.raises(BackstayError) as caught:
        graph_of(module, table, SCHEMA, classes=("no", "yes"), **{"example": EXAMPLE, **more})
    assert said in str(caught.value)


def test_a_graph_that_differs_is_refused(table: pa.Table) -> None:
    """What the module keeps to itself between calls cannot be in a graph."""

    class Counting(Net):
        calls = 0

        def forward(self, x: Tensor) -> Tensor:
            Counting.calls += 1
            return super().forward(x) * Counting.calls  # type: ignore[no-any-return] # logits of Net

    with pytest.raises(BackstayError, match="differs from the module"):
        graph_of(Counting(), table, SCHEMA, classes=("no", "yes"), example=EXAMPLE)
