from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from backstay.bundle.inputs import table_from
from backstay.bundle.manifest import InputSpec, Manifest, OutputSpec, format_for
from backstay.bundle.model import Model, load
from backstay.bundle.signature import answered, with_inputs
from backstay.bundle.tokens import PADDING, START, TOKENIZER_FILE, Tokens, learn_tokens
from backstay.bundle.write import write_bundle
from backstay.kernel.errors import BackstayError, Tampered

TEXTS = [f"where is my {thing} number {n}?" for thing in ("card", "parcel", "refund", "Straße") for n in range(20)]
CONTENT = learn_tokens(TEXTS, size=320, length=12, lower=True)
TOKENS = Tokens(CONTENT)
TEXT = InputSpec("said", "BYTES", (-1, 1), "tokens", ("said",))


def test_the_file_is_the_same_in_another_process() -> None:
    program = (
        "import sys, hashlib; from backstay.bundle.tokens import learn_tokens;"
        "texts = [f'where is my {t} number {n}?' for t in ('card', 'parcel', 'refund', 'Straße') for n in range(20)];"
        "sys.stdout.buffer.write(learn_tokens(texts, size=320, length=12, lower=True))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, env={"PYTHONHASHSEED": "7"})
    assert done.stdout == CONTENT


def test_codes() -> None:
    codes = TOKENS.codes(["", "where is my card number 3?", "WHERE IS MY CARD NUMBER 3?", "x"])
    assert codes.dtype == np.int64
    assert codes[0].tolist() == [START] + [PADDING] * (codes.shape[1] - 1)
    assert codes[1].tolist() == codes[2].tolist()
    assert (codes[:, 0] == START).all()
    assert codes.max() < TOKENS.size <= 320
    cased = Tokens(learn_tokens(TEXTS, size=320, length=12, lower=False))
    told = cased.codes(["where", "WHERE"])
    assert told[0].tolist() != told[1].tolist()


def test_a_long_text_is_cut_at_its_end() -> None:
    long = "parcel " * 500
    assert TOKENS.codes([long]).shape == (1, TOKENS.length)
    assert TOKENS.codes([long]).tolist() == TOKENS.codes([long + "refund"]).tolist()
    assert TOKENS.cut([long, "", "card", long]) == 2


@given(st.lists(st.text(max_size=30), min_size=1, max_size=4))
def test_every_text_has_codes_and_none_is_special(texts: list[str]) -> None:
    if any("\ud800" <= c <= "\udfff" for text in texts for c in text):
        with pytest.raises(BackstayError, match="Unicode"):
            TOKENS.codes(texts)
        return
    codes = TOKENS.codes(texts)
    alone = [TOKENS.codes([text])[0] for text in texts]
    for row, one in zip(codes, alone, strict=True):
        assert row[: len(one)].tolist() == one.tolist()
        assert (row[len(one) :] == PADDING).all()
        assert (one[1:] > START).all()


def test_special_words_in_a_text_are_plain_text_and_emoji_have_bytes() -> None:
    codes = TOKENS.codes(["[MASK] [PAD] [UNK]", "😀", "\N{FAMILY}\N{ZERO WIDTH JOINER}"])
    assert (codes[0, 1:][codes[0, 1:] > 0] > START).all()
    assert (codes[1] > 0).sum() >= 3
    assert TOKENS.codes(["é"]).tolist() == TOKENS.codes(["é"]).tolist()


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(BackstayError, match="not sound Unicode"):
        TOKENS.codes(["fine", "\ud83d"])


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", CONTENT.replace(b'"truncation"', b'"tranquillity"')])
def test_what_is_no_tokenizer_is_refused(content: bytes) -> None:
    with pytest.raises(BackstayError, match="no tokenizer"):
        Tokens(content)


def graph() -> bytes:
    """Scores by how many codes there are: 4 or fewer is one class, more the other."""
    nodes = [
        helper.make_node("Cast", ["said"], ["truth"], to=TensorProto.BOOL),
        helper.make_node("Cast", ["truth"], ["ones"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["ones", "axes"], ["count"], keepdims=1),
        helper.make_node("Sub", ["count", "four"], ["centred"]),
        helper.make_node("Sigmoid", ["centred"], ["scores"]),
    ]
    constants = [
        helper.make_tensor("axes", TensorProto.INT64, [1], [1]),
        helper.make_tensor("four", TensorProto.FLOAT, [], [4.5]),
    ]
    made = helper.make_graph(
        nodes,
        "count",
        [helper.make_tensor_value_info("said", TensorProto.INT64, ["rows", "length"])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["rows", 1])],
        constants,
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def draft() -> Manifest:
    outputs = (OutputSpec("scores", "FP32", (-1, 1), "scores"),)
    return Manifest(format_for((TEXT,)), "classification", (TEXT,), outputs, ("short", "long"))


def test_a_bundle_with_a_tokenizer_answers_texts(tmp_path: Path) -> None:
    name = write_bundle(tmp_path, graph(), draft(), files={TOKENIZER_FILE: CONTENT})
    model = load(tmp_path / name)
    said = ["hi", "where is my card number 3 and my parcel", None, ""]
    table = pa.table({"said": pa.array(said, pa.string())})
    assert model.predict(table).labels.tolist() == ["short", "long", "short", "short"]
    arrays = {"said": np.array([["hi"], [said[1]], [""], [b"hi"]], dtype=object)}
    assert model.run(arrays).labels.tolist() == ["short", "long", "short", "short"]
    assert table_from(model.manifest, arrays).column("said").to_pylist() == ["hi", said[1], None, "hi"]
    assert model.predict(table.slice(0, 0)).labels.tolist() == []
    with pytest.raises(BackstayError, match="UTF-8"):
        model.run({"said": np.array([[b"\xff"]], dtype=object)})
    with pytest.raises(BackstayError, match="without its tokenizer"):
        Model(tmp_path, model.manifest, model._session).run(arrays)
    (tmp_path / name / TOKENIZER_FILE).write_bytes(CONTENT[:-1] + b" ")
    with pytest.raises(Tampered):
        load(tmp_path / name)


def test_a_bundle_that_lost_its_tokenizer_is_not_opened(tmp_path: Path) -> None:
    name = write_bundle(tmp_path, graph(), draft())
    with pytest.raises(Tampered, match=r"names no tokenizer\.json"):
        load(tmp_path / name)


def test_without_the_package_the_error_says_what_to_install(tmp_path: Path) -> None:
    name = write_bundle(tmp_path, graph(), draft(), files={TOKENIZER_FILE: CONTENT})
    program = (
        "import sys; sys.modules['tokenizers'] = None\n"
        "from pathlib import Path\nfrom backstay.bundle.model import load\n"
        f"try: load(Path({str(tmp_path / name)!r}))\n"
        "except Exception as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "backstay[text]" in done.stdout


def test_only_what_needs_the_new_format_says_so(tmp_path: Path) -> None:
    plain = InputSpec("a", "FP32", (-1, 1), "column", ("a",))
    wide = InputSpec("v", "FP32", (-1, 3), "vector", ("v",))
    assert [format_for(s) for s in ((plain,), (plain, TEXT), (wide,))] == [1, 2, 2]


def test_a_successor_keeps_the_name_that_requests_use() -> None:
    wanted = (InputSpec("utterance", "BYTES", (-1, 1), "column", ("said",)),)
    changed = with_inputs(graph(), (TEXT,), wanted)
    assert changed is not None
    assert [v.name for v in onnx.load_from_string(changed).graph.input] == ["utterance"]
    assert answered((TEXT,), wanted) == (InputSpec("utterance", "BYTES", (-1, 1), "tokens", ("said",)),)
    assert answered(wanted, (TEXT,)) == (InputSpec("said", "BYTES", (-1, 1), "column", ("said",)),)
    number = (InputSpec("said", "FP32", (-1, 1), "column", ("said",)),)
    two = (*wanted, InputSpec("more", "BYTES", (-1, 1), "column", ("more",)))
    assert with_inputs(graph(), (TEXT,), number) is None
    assert with_inputs(graph(), (TEXT,), two) is None
