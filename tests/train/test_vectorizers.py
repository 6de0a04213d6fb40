"""Fitted vectorizers as the bundle's tokenizer and a count: the same terms of every text, however it is written."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfTransformer, TfidfVectorizer
from sklearn.feature_selection import SelectKBest, chi2
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import Pipeline, make_pipeline, make_union
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC, LinearSVC
from tokenizers import Tokenizer

from backstay.bundle.model import Model, Outputs, load, open_session
from backstay.bundle.tokens import TOKENIZER_FILE, Tokens, tokens_in
from backstay.bundle.write import write_bundle
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Column, ColumnKind, Schema
from backstay.train.convert import lexicon, vectorizers
from backstay.train.convert.fitted import Conversion, graph_of
from backstay.train.convert.lexicon import translated
from backstay.train.convert.made_up import HARD

SCHEMA = Schema((Column("said", ColumnKind.TEXT),), ("said",))
FIRST = "the quick brown fox jumps over a lazy dog while it's raining in Zürich's naïve café x2 y_3 123 ΟΔΟΣ"
SECOND = "market prices rise as the central bank said on Monday that an interest rate cut is near don't sell"


def texts(n: int = 160, seed: int = 0) -> tuple[list[str], list[int]]:
    rng = np.random.default_rng(seed)
    meant = rng.integers(0, 2, n)
    said = []
    for kind in meant:
        words = rng.choice((FIRST if kind else SECOND).split(), rng.integers(3, 14))
        strange = rng.choice((SECOND if kind else FIRST).split(), 2)
        said.append(" ".join([*words, *strange]) + rng.choice([".", "!", " - ok?", ""]))
    return said, meant.tolist()


def table(said: list[str]) -> pa.Table:
    return pa.table({"said": said})


def answers(found: Conversion, rows: pa.Table) -> Outputs:
    return Model(Path(), found.draft, open_session(found.content), tokens_in(found.files)).predict(rows)


VECTORIZERS: dict[str, Any] = {
    "words": TfidfVectorizer(),
    "pairs without stop words": TfidfVectorizer(ngram_range=(1, 2), stop_words="english", sublinear_tf=True),
    "counts": CountVectorizer(max_features=30, binary=True),
    "capitals": CountVectorizer(lowercase=False, strip_accents="unicode", ngram_range=(1, 3)),
    "ascii": TfidfVectorizer(strip_accents="ascii", norm="l1", use_idf=False),
    "letters": TfidfVectorizer(analyzer="char", ngram_range=(1, 3), max_features=400),
    "letters of words": TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), max_features=400),
    "long runs": TfidfVectorizer(analyzer="char_wb", ngram_range=(4, 6), max_features=400),
    "dashes": TfidfVectorizer(token_pattern=r"(?u)\b[\w'-]+\b"),
    "all but spaces": TfidfVectorizer(token_pattern=r"\S+", ngram_range=(1, 2)),
}


OFTEN = ("words", "pairs without stop words", "letters of words")


@pytest.mark.parametrize("name", [n if n in OFTEN else pytest.param(n, marks=pytest.mark.slow) for n in VECTORIZERS])
def test_every_way_of_cutting_answers_alike(name: str) -> None:
    said, meant = texts()
    model = make_pipeline(VECTORIZERS[name], LogisticRegression(C=30.0)).fit(said, meant)
    found = graph_of(model, table(said), SCHEMA)
    assert [(spec.adapter, spec.datatype, spec.shape) for spec in found.draft.inputs] == [("tokens", "BYTES", (-1, 1))]
    fresh = texts(60, 9)[0] + [f"{text} fox bank {text}" for text in HARD]
    np.testing.assert_allclose(answers(found, table(fresh)).scores, model.predict_proba(fresh), atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(
    text=st.text(st.sampled_from([*"abAB xY'.-_7éßüΣσİ²ﬁ\n\t\u00a0\u0301東😀"]), max_size=24),
    cut=st.sampled_from(
        [
            {},
            {"ngram_range": (1, 2)},
            {"lowercase": False},
            {"strip_accents": "ascii"},
            {"token_pattern": r"(?u)\b\w+\b"},
            {"analyzer": "char", "ngram_range": (1, 2)},
            {"analyzer": "char_wb", "ngram_range": (2, 3)},
        ]
    ),
)
def test_the_tokenizer_cuts_as_scikit_learn_does(text: str, cut: dict[str, Any]) -> None:
    """The vectorizer is fitted on this text alone, so that every term of it is known and is counted."""
    model = CountVectorizer(**cut)
    try:
        model.fit([text])
    except ValueError:  # no term is in it
        return
    made = lexicon.Lexicon(vectorizers._cut(model))
    words = model.analyzer == "word"
    for term in model.get_feature_names_out():
        for part in term.split(" ") if words else term:
            made.code(part)
    names = {code: word for word, code in made.codes.items()}
    codes = Tokens(made.content()).codes([text])[0].tolist()
    cut_here = [names.get(code, "") for code in codes]
    longest, found = model.ngram_range[1], {}
    for length in range(1, longest + 1):
        for start in range(len(cut_here) - length + 1):
            term = (" " if words else "").join(cut_here[start : start + length])
            if term in model.vocabulary_ and all(cut_here[start : start + length]):
                found[term] = found.get(term, 0) + 1
    wanted = dict(zip(model.get_feature_names_out(), model.transform([text]).toarray()[0], strict=True))
    assert found == wanted


@settings(max_examples=300, deadline=None)
@given(text=st.text(st.sampled_from([*"aAΣΣΣσ x'.:_\u0301\u00adʰªⅰⓐ東"]), max_size=12))
@example("AΣ\u0301A")
@example("AΣ\u0301")
@example("ʰΣ")
def test_sigmas_are_lowered_as_python_does(text: str) -> None:
    cutter = Tokenizer.from_str(lexicon.Lexicon(vectorizers._cut(CountVectorizer())).content().decode("utf-8"))
    assert cutter.normalizer.normalize_str(text) == text.lower()


def test_patterns_are_spelt_out() -> None:
    assert translated(r"[\w#]+") == r"[\p{L}\p{N}_#]+"
    assert translated(r"\d\s") == r"\p{Nd}[\s\x1c-\x1f]"
    for pattern in (r"(a)(b)", r"(?i)\w+", r"[\W]x"):
        with pytest.raises(BackstayError, match="token_pattern"):
            translated(pattern)


LASTS: dict[str, Any] = {
    "naive Bayes": (CountVectorizer(), MultinomialNB()),
    "counts weighted": (CountVectorizer(), TfidfTransformer(sublinear_tf=True), LinearSVC()),
    "reduced": (TfidfVectorizer(), TruncatedSVD(6, random_state=0), StandardScaler(), SVC()),
    "chosen": (TfidfVectorizer(), SelectKBest(chi2, k=20), LogisticRegression()),
    "two of a kind": (make_union(TfidfVectorizer(), CountVectorizer(ngram_range=(2, 2))), LogisticRegression()),
}


@pytest.mark.parametrize(
    "name", [n if n in ("naive Bayes", "reduced") else pytest.param(n, marks=pytest.mark.slow) for n in LASTS]
)
def test_what_stands_behind_a_vectorizer(name: str) -> None:
    said, meant = texts()
    model = make_pipeline(*LASTS[name]).fit(said, meant)
    found = graph_of(model, table(said), SCHEMA)
    fresh = texts(80, 3)[0]
    assert answers(found, table(fresh)).labels.tolist() == [str(v) for v in model.predict(fresh)]


def test_words_and_letters_side_by_side_have_a_tokenizer_each(tmp_path: Path) -> None:
    """Also two columns that are cut differently; the bundle is read back from its files."""
    said, meant = texts()
    frame = pd.DataFrame({"said": said, "title": [t[:20] for t in said]}, dtype=object)
    schema = Schema((Column("said", ColumnKind.TEXT), Column("title", ColumnKind.TEXT)), ("said", "title"))
    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 3), max_features=200)
    parts = make_column_transformer(
        (make_union(TfidfVectorizer(), letters), "said"), (TfidfVectorizer(lowercase=False), "title")
    )
    model = make_pipeline(parts, LogisticRegression()).fit(frame, meant)
    found = graph_of(model, pa.Table.from_pandas(frame), schema)
    assert sorted(found.files) == ["tokenizer.json", "tokenizer_2.json", "tokenizer_3.json"]
    assert found.draft.format_version == 6
    folder = tmp_path / write_bundle(tmp_path, found.content, found.draft, files=found.files)
    loaded = load(folder).predict(pa.Table.from_pandas(frame))
    np.testing.assert_allclose(loaded.scores, model.predict_proba(frame), atol=1e-6)


def test_one_way_of_cutting_needs_no_newer_format() -> None:
    said, meant = texts(80)
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(said, meant)
    assert graph_of(model, table(said), SCHEMA).draft.format_version == 2


@pytest.mark.slow
def test_searches_and_calibration_around_texts() -> None:
    said, meant = texts()
    inner = make_pipeline(TfidfVectorizer(), LinearSVC())
    model = GridSearchCV(CalibratedClassifierCV(inner, cv=2), {"estimator__linearsvc__C": [0.1, 1.0]}, cv=2)
    found = graph_of(model.fit(said, meant), table(said), SCHEMA)
    np.testing.assert_allclose(answers(found, table(said)).scores, model.predict_proba(said), atol=1e-6)


def test_text_beside_numbers_and_categories_and_a_number_as_the_answer() -> None:
    said, meant = texts()
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"said": said, "size": rng.normal(size=160), "plan": rng.choice(["a", "b"], 160)}).astype(
        {"said": object, "plan": object}
    )
    schema = Schema(
        (Column("said", ColumnKind.TEXT), Column("size", ColumnKind.NUMBER), Column("plan", ColumnKind.CATEGORY)),
        ("said", "size", "plan"),
    )
    parts = make_column_transformer(
        (TfidfVectorizer(), "said"),
        (StandardScaler(), ["size"]),
        (OneHotEncoder(handle_unknown="ignore"), ["plan"]),
    )
    value = np.array(meant) * 10 + frame["size"]
    model = Pipeline([("parts", parts), ("last", Ridge())]).fit(frame, value)
    found = graph_of(model, pa.Table.from_pandas(frame), schema, task="regression")
    np.testing.assert_allclose(answers(found, pa.Table.from_pandas(frame)).numbers, model.predict(frame), rtol=1e-6)
    assert [spec.adapter for spec in found.draft.inputs] == ["tokens", "column", "column"]


@pytest.mark.slow
def test_a_wide_vocabulary_is_asked_for_few_rows_at_a_time() -> None:
    said, meant = texts()
    many = [f"{text} {' '.join(f'w{i}x{j}' for j in range(12))}" for i, text in enumerate(said)]
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(many, meant)
    found = graph_of(model, table(many), SCHEMA)
    loaded = Model(Path(), found.draft, open_session(found.content), Tokens(found.files[TOKENIZER_FILE]))
    assert loaded._most == 4_000_000 // len(model[0].vocabulary_)


def same(text: str) -> str:
    return text


REFUSED: dict[str, tuple[Any, str]] = {
    "analyzer": (TfidfVectorizer(analyzer=str.split), "runs a Python function"),
    "tokenizer": (TfidfVectorizer(tokenizer=str.split, token_pattern=None), "runs a Python function"),
    "preprocessor": (CountVectorizer(preprocessor=same), "runs a Python function"),
    "hashing": (HashingVectorizer(), "would read text"),
    "single letters": (CountVectorizer(analyzer="char_wb", ngram_range=(1, 2)), "single letters"),
    "groups": (CountVectorizer(token_pattern=r"(\w)\w+"), "groups"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_cut_here_is_refused_and_told_how(name: str) -> None:
    said, meant = texts(60)
    first, what = REFUSED[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = make_pipeline(first, LogisticRegression()).fit(said, meant)
    with pytest.raises(BackstayError, match=what) as refused:
        graph_of(model, table(said), SCHEMA)
    assert refused.value.fix


def test_a_text_that_is_also_a_category_is_refused() -> None:
    said, meant = texts(60)
    frame = pd.DataFrame({"said": said}, dtype=object)
    parts = make_column_transformer((TfidfVectorizer(), "said"), (OneHotEncoder(handle_unknown="ignore"), ["said"]))
    model = make_pipeline(parts, LogisticRegression()).fit(frame, meant)
    with pytest.raises(BackstayError, match="both as a text and as a category"):
        graph_of(model, table(said), SCHEMA)


def test_a_tokenizer_that_cuts_otherwise_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Letters as Oniguruma's own \\w: marks count as letters then, which Python's do not."""
    monkeypatch.setitem(lexicon._WORDS, r"(?u)\b\w\w+\b", r"[\p{L}\p{N}\p{M}_]{2,}")
    said, meant = texts()
    words = ("resume", "re\u0301sume\u0301")
    said = [f"{text} {words[kind]}" for text, kind in zip(said, meant, strict=True)]
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(said, meant)
    with pytest.raises(BackstayError, match=r"differs from Pipeline in \d+ of \d+"):
        graph_of(model, table(said), SCHEMA)


def test_the_file_is_the_same_each_time() -> None:
    said, meant = texts()
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(said, meant)
    first, again = (graph_of(model, table(said), SCHEMA) for _ in range(2))
    assert first.files == again.files
    assert first.content == again.content
    assert re.search(rb'"WordLevel"', first.files[TOKENIZER_FILE])
