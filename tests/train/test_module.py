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
from backstay.train.convert.fitted import Conversion
from backstay.train.convert.made_up import asked as made_up

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


def answers(graph: Conversion, rows: pa.Table) -> Outputs:
    return Model(Path(), graph.draft, open_session(graph.content)).run(arrays_for(graph.draft, rows))


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
    assert [(i.name, i.datatype) for i in graph.draft.inputs] == [(name, "FP64") for name in FEATURES]


@pytest.mark.slow
def test_the_order_of_the_classes_may_be_said(table: pa.Table) -> None:
    plain = graph_of(Net(), table, SCHEMA, classes=("no", "yes"), example=EXAMPLE)
    turned = graph_of(Net(), table, SCHEMA, classes=("no", "yes"), example=EXAMPLE, order=("yes", "no"))
    swap = {"no": "yes", "yes": "no"}
    assert [swap[v] for v in answers(plain, table).labels] == answers(turned, table).labels.tolist()


def one_number(logits: Tensor, hidden: Tensor) -> Any:
    return 1000 * logits[:, :1], hidden


@pytest.mark.parametrize(
    ("answer", "outputs"),
    [
        (one_number, ()),
        pytest.param(one_number, ("value", "embedding"), marks=pytest.mark.slow),
        pytest.param(lambda logits, hidden: logits[:, 0] * 1000, (), marks=pytest.mark.slow),
    ],
    ids=["recognised", "named", "flat"],
)
def test_a_number_is_answered(table: pa.Table, answer: Any, outputs: tuple[str, ...]) -> None:
    graph = graph_of(Net(answer), table, SCHEMA, classes=(), example=EXAMPLE, outputs=outputs, task="regression")
    assert graph.draft.task == "regression"
    assert graph.compared is not None
    assert graph.compared.rows > 1000
    found = answers(graph, table)
    with torch.no_grad():
        wanted = 1000 * Net().eval()(matrix(table))[:, 0].numpy()
    np.testing.assert_allclose(found.numbers, wanted, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("outputs", [("logits",), pytest.param((), marks=pytest.mark.slow)])
def test_sets_of_labels_are_answered(table: pa.Table, outputs: tuple[str, ...]) -> None:
    labels = ("fire", "theft")
    graph = graph_of(Net(), table, SCHEMA, classes=labels, example=EXAMPLE, outputs=outputs, task="multilabel")
    assert (graph.draft.task, graph.draft.classes) == ("multilabel", labels)
    found = answers(graph, table)
    with torch.no_grad():
        wanted = torch.sigmoid(Net().eval()(matrix(table))).numpy()
    np.testing.assert_allclose(found.scores, wanted, atol=1e-6)
    assert found.members is not None
    assert found.members.tolist() == (wanted >= 0.5).tolist()
    assert {len(row) for row in found.members.tolist()} == {2}


def test_tasks_refuse_outputs_of_another(table: pa.Table) -> None:
    with pytest.raises(BackstayError, match="one number a row"):
        graph_of(Net(), table, SCHEMA, classes=(), example=EXAMPLE, task="regression")
    with pytest.raises(BackstayError, match="the outputs are logits"):
        graph_of(Net(), table, SCHEMA, classes=(), example=EXAMPLE, outputs=("logits",), task="regression")
    with pytest.raises(BackstayError, match="the label 'flood'"):
        graph_of(
            Net(), table, SCHEMA, classes=("fire", "theft"), example=EXAMPLE, order=("fire", "flood"), task="multilabel"
        )


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


class Recurrent(nn.Module):
    """Reads the columns one after the other. At a gap torch answers NaN, and the graph a number."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.inner, self.head = nn.GRU(1, 4, batch_first=True), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        read: Tensor = self.head(self.inner(x[:, :, None])[0][:, -1])
        return read


def test_rows_that_the_module_cannot_answer_are_left_out(table: pa.Table) -> None:
    module = Recurrent()
    assert torch.isnan(module(torch.tensor([[1.0, float("nan"), 2.0]]))).all()
    graph = graph_of(module, table, SCHEMA, classes=("no", "yes"), example=EXAMPLE, outputs=("logits",))
    wanted = torch.softmax(module(matrix(table)), 1).detach().numpy()
    np.testing.assert_allclose(answers(graph, table).scores, wanted, atol=1e-6)
    asked = sum(rows.num_rows for _, rows in made_up(table))
    assert graph.compared is not None
    assert 3000 < graph.compared.rows < asked


@pytest.mark.slow
def test_rows_that_all_have_gaps_prove_nothing(table: pa.Table) -> None:
    empty = table.set_column(0, "a", pa.nulls(table.num_rows, pa.float64()))
    with pytest.raises(BackstayError, match="NaN for every reference row, each of which has a gap"):
        graph_of(Recurrent(), empty, SCHEMA, classes=("no", "yes"), example=EXAMPLE, outputs=("logits",))


@pytest.mark.slow
def test_a_module_that_answers_nan_without_a_gap_is_compared(table: pa.Table) -> None:
    """Where it can be asked, NaN is an answer, and the graph must give it too."""

    class Odd(Net):
        calls = 0

        def forward(self, x: Tensor) -> Tensor:
            Odd.calls += 1
            return super().forward(x) * (float("nan") if Odd.calls > 2 else 1.0)  # type: ignore[no-any-return] # logits

    with pytest.raises(BackstayError, match="differs from the module"):
        graph_of(Odd(), table, SCHEMA, classes=("no", "yes"), example=EXAMPLE, outputs=("logits",))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda logits, hidden: logits if logits.sum() > 0 else -logits, "data-dependent expression"),
        pytest.param(
            lambda logits, hidden: logits + torch.linalg.eig(logits.T @ logits)[0].real,
            "aten.linalg_eig",
            marks=pytest.mark.slow,
        ),
    ],
    ids=["a branch", "an operation"],
)
def test_what_torch_cannot_export_is_told_in_a_line(
    table: pa.Table, answer: Any, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(BackstayError, match="torch cannot export the module") as caught:
        graph_of(Net(answer), table, SCHEMA, classes=("no", "yes"), example=EXAMPLE, outputs=("logits",))
    told = str(caught.value)
    assert said in told
    assert not [part for part in ("\x1b", "\n", "This is step") if part in told]
    assert capfd.readouterr().err == ""


def test_an_example_may_be_a_numpy_array(table: pa.Table) -> None:
    """Refused for its outputs, hence read; nothing is exported."""
    with pytest.raises(BackstayError, match="not clear") as caught:
        graph_of(
            Net(lambda logits, hidden: logits[:, 1:] - logits[:, :1]),
            table,
            SCHEMA,
            classes=("no", "yes"),
            example=EXAMPLE.numpy(),
        )
    assert 'outputs=("logits",) before the sigmoid' in str(caught.value.fix)
