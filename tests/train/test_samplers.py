"""Which rows make a batch: laws that hold for any labels."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from backstay.kernel.errors import BackstayError
from backstay.train.objectives.contract import Objective
from backstay.train.objectives.prototypical import Prototypical
from backstay.train.objectives.triplet import Triplet
from backstay.train.samplers import balanced, batches, episodes


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@settings(deadline=None, max_examples=60)
@given(
    labels=st.lists(st.integers(-1, 4), min_size=4, max_size=80),
    size=st.integers(2, 40),
    per_class=st.integers(1, 8),
    seed=st.integers(0, 99),
)
def test_balanced_batches_have_partners_and_no_row_twice(labels, size, per_class, seed) -> None:
    codes = torch.tensor(labels)
    usable = {c: n for c, n in Counter(labels).items() if c >= 0 and n > 1}
    if len(usable) < 2:
        with pytest.raises(BackstayError, match="two labelled rows or more"):
            balanced(codes, size, per_class, seeded(seed))
        return
    found = balanced(codes, size, per_class, seeded(seed))
    assert found
    for batch in found:
        assert len(set(batch.tolist())) == len(batch)
        inside = Counter(codes[batch].tolist())
        assert len(inside) >= 2
        for code, count in inside.items():
            assert code in usable
            assert count >= min(usable[code], max(2, per_class))
        assert len(batch) <= max(size, 2 * max(2, per_class))
    again = balanced(codes, size, per_class, seeded(seed))
    assert all(torch.equal(one, two) for one, two in zip(found, again, strict=True))


def test_a_rare_class_is_in_every_batch_of_few_classes() -> None:
    codes = torch.tensor([0] * 900 + [1] * 20)
    found = balanced(codes, 64, 4, seeded())
    assert len(found) == 920 // 64
    assert all(Counter(codes[b].tolist()) == {0: 32, 1: 20} for b in found)
    seen = set(torch.cat(found).tolist())
    assert len(seen) == 20 + 32 * len(found)


def test_episodes_have_exactly_their_shape() -> None:
    codes = torch.arange(200) % 10
    codes[codes == 9] = -1
    codes[codes == 8] = torch.where(torch.arange(20) < 3, 8, -1)
    found = episodes(codes, 5, 4, seeded(1))
    assert len(found) == 160 // 20
    for batch in found:
        inside = Counter(codes[batch].tolist())
        assert len(inside) == 5
        assert set(inside.values()) == {4}
        assert not {-1, 8} & set(inside)
    few = episodes(torch.arange(12) % 2, 5, 3, seeded())
    assert [len(b) for b in few] == [6, 6]
    with pytest.raises(BackstayError, match=r"two classes with 4 labelled rows or more, there is 1; lower shots"):
        episodes(torch.tensor([0, 0, 0, 0, 1, 1]), 2, 4, seeded())


def test_the_objective_chooses_and_the_recipe_may_balance() -> None:
    codes = torch.arange(120) % 30
    any_rows = batches(Objective(), codes, 40, 0, seeded())
    assert sorted(torch.cat(any_rows).tolist()) == list(range(120))
    assert [len(b) for b in any_rows] == [40, 40, 40]
    for asked in (batches(Objective(), codes, 40, 4, seeded()), batches(Triplet(), codes, 40, 0, seeded())):
        assert [sorted(Counter(codes[b].tolist()).values()) for b in asked] == [[4] * 10] * 3
    exam = batches(Prototypical(6, 1, 2, 0.1), codes, 40, 0, seeded())
    assert [sorted(Counter(codes[b].tolist()).values()) for b in exam] == [[3] * 6] * (120 // 18)
