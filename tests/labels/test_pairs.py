"""Judged pairs under the rules of labels."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from backstay.labels.pairs import Pair, training_pairs
from backstay.labels.trust import is_trusted
from backstay.settings import LabelSettings

RULES = LabelSettings(source_cap=0.2)


def said(source: str, n: int, same: bool = True, start: int = 0) -> list[Pair]:
    return [Pair(f"a{i}", f"b{i}", same, source) for i in range(start, start + n)]


def test_trusted_pairs_stand_and_strangers_are_capped() -> None:
    trusted, stranger = said("review", 40), said("key:x", 100, start=50)
    kept = training_pairs([*trusted, *stranger], RULES)
    assert set(trusted) <= set(kept)
    assert sum(p.source == "key:x" for p in kept) == 10  # 10 of 50 is a fifth


def test_without_a_trusted_pair_nothing_is_learned() -> None:
    assert training_pairs(said("key:x", 100), RULES) == []


def test_who_contradicts_is_not_heard() -> None:
    trusted = said("review", 20)
    against = said("key:x", 20, same=False)
    assert training_pairs([*trusted, *against], RULES) == sorted(trusted)
    both = [*said("review", 1), *said("review", 1, same=False), *said("key:x", 1)]
    assert training_pairs(both, RULES) == []
    strangers = [*said("key:x", 1, start=30), *said("key:y", 1, same=False, start=30)]
    assert training_pairs([*trusted, *strangers], RULES) == sorted(trusted)


def test_many_keys_are_no_way_round() -> None:
    flood = [p for k in range(50) for p in said(f"key:{k}", 3, start=100 + 3 * k)]
    kept = training_pairs([*said("review", 10), *flood], LabelSettings(source_cap=1.0))
    assert sum(p.source != "review" for p in kept) <= 10


pairs = st.builds(
    lambda i, j, same, source: Pair(f"a{i}", f"b{j}", same, source),
    st.integers(0, 4),
    st.integers(0, 4),
    st.booleans(),
    st.sampled_from(["review", "key:x", "key:y"]),
)


@given(st.lists(pairs, max_size=40), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_one_verdict_a_pair_whatever_the_order_and_never_more_than_the_share(given_pairs, random) -> None:
    kept = training_pairs(given_pairs, RULES)
    shuffled = list(given_pairs)
    random.shuffle(shuffled)
    assert training_pairs(shuffled, RULES) == kept
    assert len({p.rows for p in kept}) == len(kept)
    assert set(kept) <= set(given_pairs)
    for source in ("key:x", "key:y"):
        assert sum(p.source == source for p in kept) <= RULES.source_cap * len(kept) + 1e-9
    for p in kept:
        if is_trusted(p.source, RULES):
            assert Pair(p.first, p.second, not p.same, p.source) not in given_pairs
