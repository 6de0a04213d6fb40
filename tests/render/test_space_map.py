"""The picture of the space: every class that can be told apart is named, and nothing is taken for markup."""

from __future__ import annotations

import numpy as np

from backstay.render.space_map import LIVE, OTHER, SpaceMap, shown_classes, space_figure

RNG = np.random.default_rng(0)


def space(classes: tuple[str, ...], live: int = 5) -> SpaceMap:
    n = len(classes)
    return SpaceMap(
        RNG.normal(size=(n, 2)), classes, RNG.normal(size=(live, 2)), ("first", "second"), "How to read it."
    )


def test_the_commonest_classes_are_named_and_the_rest_is_other():
    classes = tuple("abcdefgh"[i] for i in range(8) for _ in range(9 - i))
    assert shown_classes(classes) == tuple("abcdef")
    svg = space_figure(space(classes))
    assert f">{OTHER}<" in svg
    assert f">{LIVE}<" in svg
    assert ">f<" in svg
    assert ">g<" not in svg


def test_without_traffic_nothing_is_said_of_it():
    assert f">{LIVE}<" not in space_figure(space(("a", "b") * 10, live=0))


def test_names_are_text():
    svg = space_figure(space(("<script>", "_hidden", "$x^2$", "a very long name of a class, longer than fits") * 5))
    assert "<script>" not in svg
    assert "&lt;script&gt;" in svg
    assert ">_hidden<" in svg
    assert "$x^2$" in svg
    assert "a very long name of a c…" in svg


def test_the_same_places_give_the_same_bytes():
    one = space(("a", "b") * 10)
    assert space_figure(one) == space_figure(one)
