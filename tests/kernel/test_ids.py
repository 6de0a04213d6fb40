"""Identity is content; events sort by time; dealing by hash is for ever."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.kernel.ids import canonical_json, digest, event_id, fraction

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), json_values))
def test_key_order_does_not_matter(value: dict[str, object]) -> None:
    turned = dict(reversed(list(value.items())))
    assert digest(value) == digest(turned)


def test_nan_has_no_canonical_form() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(float("nan"))


def test_event_ids_sort_by_time_and_never_repeat() -> None:
    first = event_id("x")
    time.sleep(0.003)
    assert first < event_id("x")
    assert len({event_id("x") for _ in range(1000)}) == 1000


@given(st.text(), st.text())
def test_fraction_is_in_the_unit_interval_and_stable(text: str, salt: str) -> None:
    assert 0 <= fraction(text, salt) < 1
    assert fraction(text, salt) == fraction(text, salt)


def test_fraction_is_uniform_enough_to_deal_by() -> None:
    low = sum(fraction(str(i), "deal") < 0.25 for i in range(4000))
    assert 880 < low < 1120


def test_dealing_never_changes_between_versions() -> None:
    """If this fails, rows that one release kept for the gate would be trained on by the next."""
    assert fraction("row-17", "use") == 0.8647123448476502
