"""Vectorizers of scikit-learn: how often each known word, letter or run of them is in a text, and how that is weighted.

A text's codes come from the bundle's tokenizers, one for each way of cutting (`lexicon`); the graph counts runs of
codes by the operator `TfIdfVectorizer` in its plainest mode. A row is as wide as the vocabulary, so the graph says how
many rows are to be asked together.
"""

from __future__ import annotations

from typing import Any

from onnx import TensorProto

from backstay.bundle.tokens import APART
from backstay.train.convert.blocks import Block, Unsupported, matrix, width_of
from backstay.train.convert.distances import sparing
from backstay.train.convert.graph import Graph
from backstay.train.convert.lexicon import Cut, Lexicon, translated
from backstay.train.convert.matrices import normed

_MOST_TERMS = 200_000


def counts(graph: Graph, model: Any, blocks: list[Block]) -> list[Block]:
    """A `CountVectorizer` of one column of text."""
    terms = sorted(model.vocabulary_.items(), key=lambda item: int(item[1]))
    if len(terms) > _MOST_TERMS:
        raise Unsupported(
            f"the vocabulary has {len(terms)} terms, at most {_MOST_TERMS} are converted",
            fix=f"fit it with max_features={_MOST_TERMS}, or a larger min_df",
        )
    name = _text(model, blocks)
    lexicon, first = _lexicon(graph, _cut(model))
    lexicon.columns.add(name)
    pools: dict[int, list[tuple[list[int], int]]] = {}
    for term, place in terms:
        parts = term.split(" ") if model.analyzer == "word" else list(term)
        pools.setdefault(len(parts), []).append(([first + lexicon.code(part) for part in parts], int(place)))
    longest = max(pools)
    starts: list[int] = []
    flat: list[int] = []
    places: list[int] = []
    for length in range(1, longest + 1):
        starts.append(len(flat))
        for codes, place in pools.get(length, []):
            flat += codes
            places.append(place)
    found = graph.op(
        "TfIdfVectorizer",
        name,
        mode="TF",
        min_gram_length=min(pools),
        max_gram_length=longest,
        max_skip_count=0,
        ngram_counts=starts,
        ngram_indexes=places,
        pool_int64s=flat,
    )
    sparing(graph, len(terms))
    value = graph.op("Cast", found, to=TensorProto.DOUBLE)
    if model.binary:
        value = graph.op("Min", value, graph.number(1.0))
    return [Block(value, len(terms))]


def tf_idf(graph: Graph, model: Any, blocks: list[Block]) -> list[Block]:
    """A `TfidfVectorizer`."""
    return _weighted(graph, model._tfidf, counts(graph, model, blocks))


def tf_idf_step(graph: Graph, model: Any, blocks: list[Block]) -> list[Block]:
    """A `TfidfTransformer` behind counts."""
    return _weighted(graph, model, blocks)


def _weighted(graph: Graph, model: Any, blocks: list[Block]) -> list[Block]:
    value = matrix(graph, blocks, "TfidfTransformer")
    if model.sublinear_tf:
        some = graph.double(graph.op("Greater", value, graph.number(0.0)))
        value = graph.op("Add", graph.op("Log", graph.op("Max", value, graph.number(1.0))), some)
    if model.use_idf:
        value = graph.op("Mul", value, graph.row(model.idf_))
    return [Block(value if model.norm is None else normed(graph, value, model.norm), width_of(blocks))]


def _text(model: Any, blocks: list[Block]) -> str:
    """The input that is read. Raises Unsupported where it is not one column of text as it comes."""
    name = type(model).__name__
    if len(blocks) != 1 or not blocks[0].text or blocks[0].width != 1:
        raise Unsupported(
            f"{name} reads one column of text, and is given something else",
            fix='declare the column: data.columns.NAME = "text", and name it alone in the ColumnTransformer',
        )
    if blocks[0].missing:
        raise Unsupported(f"{name} behind an imputer of text is not converted", fix='fill gaps with "" instead')
    return blocks[0].name


def _cut(model: Any) -> Cut:
    """How the vectorizer cuts a text.

    Raises:
        Unsupported: by functions of its own, or by files.
    """
    name = type(model).__name__
    for option in ("preprocessor", "tokenizer", "analyzer", "strip_accents"):
        if callable(getattr(model, option)):
            raise Unsupported(
                f"{name}({option}=...) runs a Python function, which a bundle cannot hold",
                fix="fit it with the usual analyzer, and do in the data what the function does",
            )
    if model.input != "content":
        raise Unsupported(f"{name}(input={model.input!r}) reads files", fix="fit it on the texts themselves")
    words, longest = model.analyzer == "word", model.ngram_range[1]
    if model.analyzer == "char_wb" and model.ngram_range[0] == 1:
        raise Unsupported(
            f'{name}(analyzer="char_wb") with single letters is not converted', fix="begin at two letters"
        )
    stop = sorted(model.get_stop_words() or ()) if words and longest > 1 else []
    if words:
        translated(model.token_pattern)
    if stop and model.token_pattern not in (r"(?u)\b\w\w+\b", r"(?u)\b\w+\b"):
        raise Unsupported(
            f"{name} with stop words, runs of words and a token_pattern of its own is not converted",
            fix="use the usual token_pattern, or no stop words",
        )
    pattern = model.token_pattern if words else ""
    return Cut(str(model.analyzer), bool(model.lowercase), model.strip_accents or "", pattern, tuple(stop))


def _lexicon(graph: Graph, cut: Cut) -> tuple[Lexicon, int]:
    """What cuts texts in this way, and where its codes begin."""
    place = next((i for i, known in enumerate(graph.lexicons) if known.cut == cut), len(graph.lexicons))
    if place == len(graph.lexicons):
        graph.lexicons.append(Lexicon(cut))
    return graph.lexicons[place], place * APART
