"""Letters: what is in them, who is refused, and that nothing smuggles a header in."""

from __future__ import annotations

from datetime import UTC, datetime
from email import message_from_bytes, policy

import pytest
from pydantic import ValidationError

from backstay.connect.mail import send
from backstay.connect.webhook import Undelivered
from backstay.kernel.errors import BackstayError
from backstay.settings import MailSettings

AT = datetime(2026, 1, 5, 12, tzinfo=UTC)


def settings(port: int, **more) -> MailSettings:
    values = {"to": ("ada@example.com", "bob@example.com"), "host": "localhost", "port": port, "security": "none"}
    return MailSettings.model_validate({**values, **more})


def test_a_letter(mailbox):
    send(settings(mailbox.port), "msg_1", "the model\nBcc: eve@example.com", "Zwölf rows.\n.\nend", at=AT)
    letter = message_from_bytes(mailbox.letters[0], policy=policy.default)
    assert letter["Subject"] == "the model Bcc: eve@example.com"
    assert letter["Bcc"] is None
    assert letter["To"] == "ada@example.com, bob@example.com"
    assert letter["Message-ID"] == "<msg_1@backstay>"
    assert letter["Date"].datetime == AT
    assert letter.get_content() == "Zwölf rows.\r\n.\r\nend\r\n"
    assert "eve" not in " ".join(line for line in mailbox.said if line.startswith(("RCPT", "rcpt")))


def test_one_address_that_is_refused_is_told(mailbox):
    mailbox.refused = {"bob@"}
    with pytest.raises(Undelivered, match="bob@example"):
        send(settings(mailbox.port), "m", "s", "t", at=AT)


def test_a_server_that_cannot_be_spoken_to_in_private_is_not_spoken_to(mailbox):
    with pytest.raises(Undelivered):
        send(settings(mailbox.port, security="starttls"), "m", "s", "t", at=AT)
    assert mailbox.letters == []


def test_a_user_without_a_password(mailbox):
    with pytest.raises(BackstayError, match="BACKSTAY_SMTP_PASSWORD"):
        send(settings(mailbox.port, user="ada"), "m", "s", "t", at=AT)


@pytest.mark.parametrize("to", ["ada", "a@b, c@d", "a@b\nBcc: c@d", "<a@b>"])
def test_what_is_no_address(to):
    with pytest.raises(ValidationError):
        MailSettings(to=(to,))
