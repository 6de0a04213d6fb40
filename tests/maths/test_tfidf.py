from __future__ import annotations

import math
from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from backstay.maths.tfidf import TfIdf, terms

TEXTS = ["Lost my card!", "lost the card again", "where is my parcel", "my parcel, my parcel", "a new card", ""]


def test_weights_by_a_plain_loop() -> None:
    space = TfIdf.fit(TEXTS)
    rows = space.rows([*TEXTS, "unheard-of zzz"]).toarray()
    documents = [set(terms(text)) for text in TEXTS]
    for row, text in enumerate(TEXTS):
        counts = Counter(terms(text))
        for block in "wc":
            want = {}
            for term, count in counts.items():
                seen = sum(term in document for document in documents)
                if term[0] == block and seen >= 2:
                    want[term] = (1 + math.log(count)) * (1 + math.log((1 + len(TEXTS)) / (1 + seen)))
            length = math.sqrt(sum(v * v for v in want.values())) or 1.0
            for term, place in space.places.items():
                if term[0] == block:
                    assert abs(rows[row, place] - want.get(term, 0.0) / length) < 1e-12
    assert rows[5].sum() == 0.0
    assert (rows >= 0).all()


def test_words_agree_with_scikit_learn() -> None:
    space = TfIdf.fit(TEXTS)
    theirs = TfidfVectorizer(
        ngram_range=(1, 2), sublinear_tf=True, min_df=2, token_pattern=r"\w+|[^\w\s]+", lowercase=True
    )
    want = theirs.fit_transform(TEXTS).toarray()
    ours = space.rows(TEXTS).toarray()
    for word, place in theirs.vocabulary_.items():
        assert np.allclose(ours[:, space.places["w" + word]], want[:, place])
    assert len(theirs.vocabulary_) == space.words


def test_the_commonest_terms_stay() -> None:
    few = TfIdf.fit(TEXTS, most=3)
    assert len(few.places) == 3
    assert few.rows(TEXTS).shape == (6, 3)
    alone = TfIdf.fit(["only one text"])
    assert alone.rows(["only one text"]).nnz == len(alone.places) > 0


@given(st.lists(st.text(max_size=20), min_size=4, max_size=8))
def test_rows_have_length_one_in_each_block_or_nothing(texts: list[str]) -> None:
    space = TfIdf.fit(texts)
    squares = space.rows(texts).toarray() ** 2
    for block in (squares[:, : space.words], squares[:, space.words :]):
        sums = block.sum(axis=1)
        assert np.all((np.abs(sums - 1) < 1e-9) | (sums == 0))
