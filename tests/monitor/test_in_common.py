"""What rows have in common, in words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from backstay.monitor.in_common import in_common
from backstay.monitor.reference import fit_reference

RNG = np.random.default_rng(3)
ROWS = 1000


def known(answers=None, **columns):
    said = np.array(["yes", "no"] * (ROWS // 2), dtype=object) if answers is None else answers
    return fit_reference(said, columns=columns)


def words(reference, rows):
    return in_common(reference, np.asarray(rows), reference, np.arange(ROWS))


def test_the_columns_that_differ_most_come_first_and_others_not_at_all():
    size, age, plain = RNG.normal(0, 1, ROWS), RNG.normal(40, 10, ROWS), RNG.normal(0, 1, ROWS)
    plan = np.full(ROWS, "plain", dtype=object)
    size[:100], age[:100], plan[:80] = 3.0, 55.0, "gold"
    found = words(known(size=size, age=age, plain=plain, plan=plan), range(100))
    assert found[:3] == ("plan gold 80% (8%)", f"size 3 ({size.mean():.4g})", f"age 55 ({age.mean():.4g})")
    assert found[3] == "answered no 50% (50%)"
    assert len(found) == 4


def test_at_most_three_columns_are_told():
    columns = {f"x{i}": np.r_[np.full(50, 4.0 + i), RNG.normal(0, 1, ROWS - 50)] for i in range(5)}
    found = words(known(**columns), range(50))
    assert [word.split()[0] for word in found[:3]] == ["x4", "x3", "x2"]
    assert len(found) == 4


def test_values_that_are_missing_are_told_as_missing():
    amount = RNG.normal(100, 10, ROWS)
    amount[:90] = np.nan
    country = np.where(np.arange(ROWS) < 95, None, "NL")
    found = words(known(amount=amount, country=country), range(100))
    assert "amount missing 90% (9%)" in found
    assert "country missing 95% (10%)" in found
    assert words(known(amount=amount), range(90))[0] == "amount missing 100% (9%)"


def test_a_constant_column_says_nothing_and_answers_that_are_not_known_neither():
    reference = known(np.full(ROWS, "(no answer)", dtype=object), always=np.ones(ROWS), never=np.full(ROWS, np.nan))
    assert words(reference, range(10)) == ()


def test_answers_that_are_numbers_are_told_as_numbers():
    numbers = np.r_[np.full(50, 9.0), RNG.normal(0, 1, ROWS - 50)]
    reference = replace(known(), numbers=numbers, limit=1.0)
    assert words(reference, range(50)) == (f"the answer 9 ({numbers.mean():.4g})",)


def test_a_column_that_holds_text_for_numbers_is_left_out():
    reference = known(amount=RNG.normal(100, 10, ROWS))
    broken = replace(reference, columns={"amount": np.full(ROWS, "12 EUR", dtype=object)})
    found = in_common(broken, np.arange(10), reference, np.arange(ROWS))
    assert [word for word in found if "amount" in word] == []
