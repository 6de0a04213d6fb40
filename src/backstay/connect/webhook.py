"""A message posted to a web address, signed as the Standard Webhooks specification (1.0) has it.

`webhook-signature` is "v1," and the base64 of HMAC-SHA256 over "id.timestamp.body" with the shared secret, so that any
library of that specification can check it. The id is the same at every attempt: a receiver can tell a repetition.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import http.client
import socket
import ssl
from dataclasses import dataclass

from backstay.connect.address import Target, resolve
from backstay.kernel.errors import BackstayError

SECRET_VARIABLE = "BACKSTAY_WEBHOOK_SECRET"  # noqa: S105 - the name of a variable
PREFIX = "whsec_"
SHORTEST_SECRET = 24
TIMEOUT = 10.0
WORTH_ANOTHER_TRY = frozenset({408, 425, 429, *range(500, 600)})


class Undelivered(Exception):
    """The message did not arrive. `again`: whether trying again soon may help."""

    def __init__(self, why: str, *, again: bool) -> None:
        super().__init__(why)
        self.why = why
        self.again = again


@dataclass(frozen=True, slots=True)
class Secret:
    """The key that both sides know. Not shown when printed."""

    key: bytes

    def __repr__(self) -> str:
        return "Secret(...)"

    @classmethod
    def parse(cls, text: str) -> Secret:
        """Read `whsec_` and base64 of 24 bytes or more."""
        try:
            key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if not text.startswith(PREFIX) or len(key) < SHORTEST_SECRET:
            raise BackstayError(
                f"{SECRET_VARIABLE} is not a webhook secret",
                fix=f'make one: python3 -c \'import base64, os; print("{PREFIX}" + '
                "base64.b64encode(os.urandom(32)).decode())', and give it to the receiver as well",
            )
        return cls(key)


def signature(secret: Secret, message_id: str, timestamp: int, body: bytes) -> str:
    """The value of the `webhook-signature` header.

    >>> secret = Secret.parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    >>> signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    """
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(secret.key, signed, hashlib.sha256).digest()).decode()


def post(
    url: str, message_id: str, body: bytes, *, secret: Secret, timestamp: int, allow_private: bool = False
) -> None:
    """Post one message; any answer of 200 to 299 is delivery. Redirects are not followed, proxies not asked.

    Raises:
        Undelivered: it was not taken.
        BackstayError: the address may not be called: see `resolve`.
    """
    target = resolve(url, allow_private=allow_private)
    headers = {
        "content-type": "application/json",
        "user-agent": "backstay",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(secret, message_id, timestamp, body),
    }
    connection = _Connection(target)
    try:
        connection.request("POST", target.path, body=body, headers=headers)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        raise Undelivered(
            f"{target.host} cannot be reached ({str(error) or type(error).__name__})", again=True
        ) from error
    finally:
        connection.close()
    if not 200 <= status < 300:
        raise Undelivered(f"{target.host} answered {status}", again=status in WORTH_ANOTHER_TRY)


class _Connection(http.client.HTTPConnection):
    """Calls the address that was judged, whatever the name answers by now; TLS is checked against the name."""

    def __init__(self, target: Target) -> None:
        super().__init__(target.host, target.port, timeout=TIMEOUT)
        self._target = target

    def connect(self) -> None:
        raw = socket.create_connection((self._target.address, self._target.port), timeout=TIMEOUT)
        if self._target.scheme == "http":
            self.sock = raw
            return
        try:
            self.sock = ssl.create_default_context().wrap_socket(raw, server_hostname=self._target.host)
        except BaseException:
            raw.close()
            raise
