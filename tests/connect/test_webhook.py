"""Signed posts: as the specification has them, without redirects."""

from __future__ import annotations

import base64
import hashlib
import hmac
import socket

import pytest

from backstay.connect.webhook import Secret, Undelivered, post
from backstay.kernel.errors import BackstayError

KEY = bytes(range(32))
SECRET = Secret.parse("whsec_" + base64.b64encode(KEY).decode())


def send(receiver, **options) -> None:
    post(receiver.url, "msg_1", b'{"a": 1}', secret=SECRET, timestamp=1_700_000_000, allow_private=True, **options)


def test_what_arrives_can_be_checked_with_nothing_but_the_secret(receiver):
    send(receiver)
    told = receiver.headers[0]
    signed = f"{told['webhook-id']}.{told['webhook-timestamp']}.".encode() + receiver.bodies[0]
    expected = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    assert told["webhook-signature"] == f"v1,{expected}"
    assert told["content-type"] == "application/json"
    assert receiver.bodies == [b'{"a": 1}']


@pytest.mark.parametrize("status", [301, 302, 307])
def test_redirects_are_not_followed(receiver, status):
    receiver.planned = [status]
    with pytest.raises(Undelivered, match=str(status)) as caught:
        send(receiver)
    assert not caught.value.again
    assert len(receiver.bodies) == 1


@pytest.mark.parametrize(("status", "again"), [(500, True), (503, True), (429, True), (400, False), (410, False)])
def test_which_answers_are_worth_another_try(receiver, status, again):
    receiver.planned = [status]
    with pytest.raises(Undelivered) as caught:
        send(receiver)
    assert caught.value.again is again


def test_nobody_there():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        with pytest.raises(Undelivered, match="cannot be reached") as caught:
            post(f"http://127.0.0.1:{port}/", "m", b"{}", secret=SECRET, timestamp=0, allow_private=True)
    assert caught.value.again


def test_a_receiver_on_this_machine_needs_leave(receiver):
    with pytest.raises(BackstayError, match="public internet"):
        post(receiver.url, "m", b"{}", secret=SECRET, timestamp=0)
    assert receiver.bodies == []


def test_tls_to_somebody_without_a_certificate_fails(receiver):
    with pytest.raises(Undelivered):
        post(receiver.url.replace("http:", "https:"), "m", b"{}", secret=SECRET, timestamp=0, allow_private=True)
    assert receiver.bodies == []


@pytest.mark.parametrize("text", ["", "whsec_", "secret", "whsec_" + base64.b64encode(b"short").decode(), "whsec_???"])
def test_what_is_no_secret(text):
    with pytest.raises(BackstayError, match="not a webhook secret"):
        Secret.parse(text)


def test_the_secret_does_not_print():
    assert "whsec" not in repr(SECRET)
    assert str(KEY) not in repr(SECRET)
