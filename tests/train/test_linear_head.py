"""The linear head: an option of heads that are made of examples says where it belongs."""

from __future__ import annotations

import pytest

from backstay.kernel.errors import BackstayError
from backstay.train.heads.linear import build
from backstay.train.options import Options


@pytest.mark.parametrize("given", [{"none_of_these": 0.05}, {"none_label": "other"}])
def test_none_of_these_points_to_the_heads_that_have_it(given: dict[str, float | str]) -> None:
    with pytest.raises(BackstayError, match="the head is linear") as caught:
        build(4, 2, Options("train.head_options", given))
    assert caught.value.fix == 'set train.head = "knn" or "prototype"'


def test_another_option_is_still_named_with_the_nearest() -> None:
    with pytest.raises(BackstayError, match="no key 'rigde'") as caught:
        build(4, 2, Options("train.head_options", {"rigde": 0.1}))
    assert "ridge" in str(caught.value.fix)
