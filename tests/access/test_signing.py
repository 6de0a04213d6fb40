"""Ed25519 and DSSE against the published vectors, and envelopes that somebody has been at."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.access.signing import (
    SIGNING_VARIABLE,
    PublicKey,
    SigningKey,
    key_of_environment,
    new_secret,
    pre_authentication,
    seal,
    unseal,
)
from backstay.kernel.errors import BackstayError, Tampered

KIND = "application/vnd.test"


def key(number: int = 1) -> SigningKey:
    return SigningKey(bytes([number]) * 32)


def changed(envelope: bytes, **fields: object) -> bytes:
    return json.dumps({**json.loads(envelope), **fields}).encode()


def signatures(envelope: bytes, **fields: object) -> bytes:
    first = json.loads(envelope)["signatures"][0]
    return changed(envelope, signatures=[{**first, **fields}])


def test_rfc_8032_second_vector():
    seed = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
    signing = SigningKey(seed)
    assert signing.public.raw.hex() == "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
    assert signing.sign(b"\x72").hex() == (
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )


def test_lengths_are_of_bytes_and_part_what_could_be_confused():
    assert pre_authentication("ä", "ö".encode()) == b"DSSEv1 2 \xc3\xa4 2 \xc3\xb6"
    assert pre_authentication("a b", b"c") != pre_authentication("a", b"b c")


@given(st.binary(max_size=200))
def test_what_was_sealed_is_unsealed_by_its_key_alone(body):
    envelope = seal(key(1), KIND, body)
    assert unseal(envelope, KIND, [key(1).public, key(2).public], "x") == (body, (key(1).public,))
    assert unseal(envelope, KIND, [key(2).public], "x") == (body, ())


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda e: b"{", "not JSON"),
        (lambda e: b"[]", "its fields are not"),
        (lambda e: changed(e, more=1), "its fields are not"),
        (lambda e: changed(e, signatures=[]), "carries no signature"),
        (lambda e: changed(e, signatures="x"), "carries no signature"),
        (lambda e: changed(e, signatures=["x"]), "a signature is not base64"),
        (lambda e: changed(e, payload="*"), "payload is not base64"),
        (lambda e: changed(e, payload=7), "payload is not base64"),
        (lambda e: changed(e, payloadType="other"), "its payload is 'other'"),
        (lambda e: changed(e, payload=base64.b64encode(b"other").decode()), "not that of key"),
        (lambda e: signatures(e, sig="*"), "a signature is not base64"),
        (lambda e: signatures(e, sig=base64.b64encode(bytes(64)).decode()), "not that of key"),
        (lambda e: signatures(e, sig=base64.b64encode(b"short").decode()), "not that of key"),
        (lambda e: signatures(e, keyid=key(2).public.id), "not that of key"),
    ],
)
def test_an_envelope_that_was_changed_is_named_and_never_passed_over(spoil, said):
    envelope = spoil(seal(key(1), KIND, b"body"))
    with pytest.raises(Tampered, match=said):
        unseal(envelope, KIND, [key(1).public, key(2).public], "of a test")


def test_a_type_is_signed_with_the_body():
    moved = changed(seal(key(1), KIND, b"body"), payloadType="other")
    with pytest.raises(Tampered, match="not that of key"):
        unseal(moved, "other", [key(1).public], "of a test")


def test_public_keys_read_back_and_others_are_refused():
    public = key().public
    assert PublicKey.parse(str(public)) == public
    for wrong in ("", "ed25519:", "rsa:AAAA", str(public)[:-4], "ed25519:*", str(public).removeprefix("ed25519:")):
        with pytest.raises(BackstayError, match="not a public key"):
            PublicKey.parse(wrong)


def test_the_environment_gives_a_key_none_or_an_error_that_keeps_the_secret(monkeypatch):
    monkeypatch.delenv(SIGNING_VARIABLE, raising=False)
    assert key_of_environment() is None
    secret = new_secret()
    monkeypatch.setenv(SIGNING_VARIABLE, secret)
    found = key_of_environment()
    assert found is not None
    assert secret not in repr(found)
    assert repr(bytes(found.seed)) not in repr(found)
    monkeypatch.setenv(SIGNING_VARIABLE, secret[:-8])
    with pytest.raises(BackstayError) as told:
        key_of_environment()
    assert secret[:8] not in str(told.value)


def test_no_two_secrets_are_the_same():
    assert len({new_secret() for _ in range(20)}) == 20
