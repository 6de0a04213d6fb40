"""Keys: made once, checked by hash, scoped, expiring."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from backstay.access.keys import SCOPES, Forbidden, Unauthenticated, create_key, verify
from backstay.kernel.codec import decode, encode
from backstay.kernel.errors import BackstayError

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def test_a_key_does_what_its_scopes_say_and_nothing_else():
    for own in SCOPES:
        token, record = create_key("app", (own,))
        for asked in SCOPES:
            if asked == own or own == "admin":
                assert verify(token, [record], NOW, asked) == record
            else:
                with pytest.raises(Forbidden, match=asked):
                    verify(token, [record], NOW, asked)


def test_who_may_not_is_told_what_the_key_may_and_what_is_wanted():
    token, record = create_key("finder", ("search", "feedback"))
    with pytest.raises(Forbidden) as refused:
        verify(token, [record], NOW, "predict", "read")
    assert refused.value.what == (
        "the key 'finder' may search and feedback, and here a key is wanted that may predict or read"
    )
    assert refused.value.fix == "make one with `backstay key create NAME --scope predict`"
    assert verify(token, [record], NOW, "predict", "search") == record


def test_only_the_hash_is_kept():
    token, record = create_key("app", ("predict",))
    secret = token.partition(".")[2]
    assert token.startswith("bsk_")
    assert len(secret) >= 40
    assert secret not in str(encode(record))
    assert decode(type(record), encode(record)) == record
    assert record.source == "key:app"


@pytest.mark.parametrize(
    "mangle",
    [
        lambda t: None,
        lambda t: "",
        lambda t: t[:-1],
        lambda t: t + "x",
        lambda t: "bsk_.",
        lambda t: t.replace("bsk_", "bsk_0"),
        lambda t: t.partition(".")[2],
        lambda t: "ü.ü",
    ],
)
def test_any_other_token_is_refused_alike(mangle):
    token, record = create_key("app", ("predict",))
    with pytest.raises(Unauthenticated) as caught:
        verify(mangle(token), [record], NOW, "predict")
    assert str(caught.value).startswith("the key is missing, wrong or expired")


def test_the_right_secret_under_another_id_is_refused():
    token, record = create_key("app", ("predict",))
    other_token, other = create_key("other", ("predict",))
    mixed = f"{token.partition('.')[0]}.{other_token.partition('.')[2]}"
    with pytest.raises(Unauthenticated):
        verify(mixed, [record, other], NOW, "predict")


def test_every_key_of_several_is_good():
    made = [create_key(name, ("predict",)) for name in ("first", "second", "third")]
    records = [record for _, record in made]
    assert [verify(token, records, NOW, "predict").name for token, _ in made] == ["first", "second", "third"]


def test_expiry():
    token, record = create_key("app", ("predict",), expires_at=NOW)
    assert verify(token, [record], NOW - timedelta(microseconds=1), "predict") == record
    with pytest.raises(Unauthenticated):
        verify(token, [record], NOW, "predict")


def test_what_no_key_can_be_made_of():
    with pytest.raises(BackstayError, match="'predcit' is not a scope; did you mean 'predict'"):
        create_key("app", ("predcit",))
    with pytest.raises(BackstayError, match="without scopes"):
        create_key("app", ())
    with pytest.raises(BackstayError, match="needs a name"):
        create_key(" ", ("predict",))
