"""A message sent by e-mail. Its Message-ID is the message's own, so that a repetition can be told."""

from __future__ import annotations

import smtplib
import ssl
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime

from backstay.connect.webhook import Undelivered
from backstay.kernel.errors import BackstayError
from backstay.settings import MailSettings

PASSWORD_VARIABLE = "BACKSTAY_SMTP_PASSWORD"  # noqa: S105 - the name of a variable
TIMEOUT = 20.0


def send(
    settings: MailSettings, message_id: str, subject: str, text: str, *, at: datetime, password: str | None = None
) -> None:
    """Send one plain-text message to everybody at once.

    Raises:
        Undelivered: the mail server did not take it, or not for every address.
    """
    message = EmailMessage()
    message["From"] = settings.sender
    message["To"] = ", ".join(settings.to)
    # A header is one line, whatever a headline holds.
    message["Subject"] = " ".join(subject.split())
    message["Date"] = format_datetime(at)
    message["Message-ID"] = f"<{message_id}@backstay>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text)
    if settings.user is not None and not password:
        raise BackstayError(
            f"notify.mail.user is {settings.user!r} and {PASSWORD_VARIABLE} is empty",
            fix="set it in the environment, or take the user out",
        )
    try:
        with _connected(settings) as server:
            if settings.user is not None:
                server.login(settings.user, str(password))
            refused = server.send_message(message)
    except smtplib.SMTPResponseException as error:
        told = error.smtp_error.decode(errors="replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
        raise Undelivered(f"{settings.host} said {error.smtp_code} {told}", again=error.smtp_code < 500) from error
    except (OSError, smtplib.SMTPException) as error:
        raise Undelivered(f"{settings.host} did not take it ({error})", again=True) from error
    if refused:
        raise Undelivered(f"{settings.host} refused {', '.join(refused)}", again=False)


def _connected(settings: MailSettings) -> smtplib.SMTP:
    if settings.security == "tls":
        return smtplib.SMTP_SSL(settings.host, settings.port, timeout=TIMEOUT, context=ssl.create_default_context())
    server = smtplib.SMTP(settings.host, settings.port, timeout=TIMEOUT)
    if settings.security == "starttls":
        try:
            server.starttls(context=ssl.create_default_context())
        except BaseException:
            server.close()
            raise
    return server
