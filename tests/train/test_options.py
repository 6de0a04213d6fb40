"""Options: read, checked, and refused where nobody reads them."""

from __future__ import annotations

import pytest

from backstay.kernel.errors import BackstayError
from backstay.train.options import Options


def options(**given) -> Options:
    return Options("train.objective_options", given, {"temperature": 0.4})


def test_values_defaults_and_defaults_of_the_recipe() -> None:
    read = options(margin=1, depth=3.0, mining="hard", flag=True, title="x")
    assert read.number("margin", 0.2) == 1.0
    assert isinstance(read.number("margin", 0.2), float)
    assert read.whole("depth", 1) == 3
    assert read.choice("mining", "all", ("all", "hard")) == "hard"
    assert read.flag("flag", False) is True
    assert read.text("title", "") == "x"
    assert read.number("temperature", 0.1) == 0.4
    assert read.number("other", 0.1) == 0.1
    read.done()
    assert options(temperature=0.2).number("temperature", 0.1) == 0.2


def test_what_is_refused() -> None:
    misspelt = options(margn=1)
    misspelt.number("margin", 0.2)
    with pytest.raises(BackstayError, match=r"has no key 'margn'; did you mean 'margin'\? known: margin"):
        misspelt.done()
    for read, complaint in (
        (lambda o: o.number("a", 0), "train.objective_options.a is True; it must be a number"),
        (lambda o: o.number("b", 0), "it must be a number"),
        (lambda o: o.number("c", 0, low=0, high=1), "c is 3.5; it must be from 0 to 1"),
        (lambda o: o.number("d", 0, low=0), "it must be 0 or more"),
        (lambda o: o.number("c", 0, high=1), "it must be 1 or less"),
        (lambda o: o.whole("c", 0), "it must be a whole number"),
        (lambda o: o.whole("a", 0), "it must be a whole number"),
        (lambda o: o.whole("d", 0, low=0), "it must be 0 or more"),
        (lambda o: o.choice("e", "all", ("all", "hard")), "e is 'hrad'; did you mean 'hard'"),
        (lambda o: o.flag("d", False), "it must be true or false"),
        (lambda o: o.text("d", ""), "it must be text"),
    ):
        with pytest.raises(BackstayError, match=complaint):
            read(options(a=True, b=float("nan"), c=3.5, d=-2, e="hrad"))


def test_the_rest_is_handed_on_once() -> None:
    read = options(loss="x", alpha=2, beta=3)
    read.text("loss", "")
    assert read.rest() == {"alpha": 2, "beta": 3}
    read.done()
