"""Sets of labels have one text, however they were written."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.bundle.sets import labels_in, labels_of, members, set_text, sets_as_text, texts_of
from backstay.kernel.errors import BackstayError

NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), min_size=1, max_size=6)


@given(st.lists(NAMES, max_size=5))
def test_a_set_comes_back_whatever_its_labels_are_called(labels: list[str]) -> None:
    assert labels_in(set_text(labels)) == tuple(sorted(set(labels)))
    assert set_text(labels) == set_text(labels[::-1] * 2)


@given(st.lists(st.lists(st.sampled_from("abcd"), max_size=4), max_size=6))
def test_members_and_texts_are_each_others_inverse(sets: list[list[str]]) -> None:
    texts = [set_text(labels) for labels in sets]
    table = members(texts, "abcd")
    assert texts_of(table, "abcd").tolist() == texts
    assert [set(np.array(list("abcd"))[row]) for row in table] == [set(labels) for labels in sets]


def test_lists_texts_and_json_are_one_column() -> None:
    listed = pa.chunked_array([[["b", "a"], [], None]])
    assert sets_as_text(listed, "t").to_pylist() == ['["a", "b"]', "[]", None]
    assert sets_as_text(pa.chunked_array([["a;b", "", None]]), "t").to_pylist() == ['["a", "b"]', "[]", None]
    assert sets_as_text(pa.chunked_array([[[2, 1]]]), "t").to_pylist() == ['["1", "2"]']
    assert sets_as_text(sets_as_text(listed, "t"), "t").equals(sets_as_text(listed, "t"))
    assert labels_of(sets_as_text(listed, "t").drop_null().to_pylist()) == ("a", "b")


@pytest.mark.parametrize("wrong", ['["a"', '["a", null]', '[["a"]]', '["a", ""]', "[1.5]", "[true]"])
def test_what_is_no_set_is_refused_with_its_row(wrong: str) -> None:
    with pytest.raises(BackstayError, match="row 2"):
        sets_as_text(pa.chunked_array([["a", wrong]]), "t")


@pytest.mark.parametrize("column", [pa.array([1.5]), pa.array([True]), pa.array([{"a": 1}])])
def test_a_column_of_something_else_is_refused(column: pa.Array) -> None:
    with pytest.raises(BackstayError, match="not sets of labels"):
        sets_as_text(pa.chunked_array([column]), "t")


def test_a_label_that_is_not_asked_for_is_passed_over() -> None:
    assert members([json.dumps(["a", "z"])], ("a",)).tolist() == [[True]]
