"""[notify]: who is told, of what, and over which wire."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from backstay.settings.section import Section

Event = Literal["alarm", "worse", "challenger", "adopted", "promoted", "rollback", "rollback_refused"]


class MailSettings(Section):
    """E-mail. The password comes from BACKSTAY_SMTP_PASSWORD only."""

    to: tuple[Annotated[str, Field(pattern=r"^[^@\s,;<>]+@[^@\s,;<>]+$")], ...] = ()
    """Addresses that are written to; none: no mail."""
    sender: str = Field("backstay@localhost", pattern=r"^[^@\s,;<>]+@[^@\s,;<>]+$")
    """Address that it comes from."""
    host: str = Field("localhost", pattern=r"^[A-Za-z0-9.:-]+$")
    """Mail server (SMTP)."""
    port: int = Field(587, ge=1, le=65535)
    """Its port: 587 for "starttls", 465 for "tls"."""
    security: Literal["starttls", "tls", "none"] = "starttls"
    """"none" sends in the clear: for a mail server on this machine only."""
    user: str | None = None
    """Name to log in with; without it nothing is logged in to."""


class NotifySettings(Section):
    """Who is told of what happens. Messages hold names, figures and sentences, never rows."""

    webhooks: tuple[str, ...] = ()
    """Addresses (https) that each message is posted to, signed as Standard Webhooks asks with the secret
    BACKSTAY_WEBHOOK_SECRET. Redirects are not followed."""
    allow_private: bool = False
    """Whether a webhook may be at a loopback or private address, and speak http there."""
    mail: MailSettings = MailSettings()
    """Who is told by e-mail."""
    events: tuple[Event, ...] = ("alarm", "worse", "challenger", "promoted", "rollback", "rollback_refused")
    """What is told: a detector's "alarm", labels that say "worse", a "challenger" that
    `watch --act` made and that did not become live by itself, and what became live or was refused."""
    give_up_hours: float = Field(72.0, gt=0, le=24 * 30)
    """How long a message that cannot be delivered is tried again, at every look."""

    @model_validator(mode="after")
    def _only_known_wires(self) -> NotifySettings:
        for address in self.webhooks:
            if not address.startswith(("https://", "http://")) or (
                address.startswith("http://") and not self.allow_private
            ):
                raise ValueError(f"{address!r} is no https address (http needs allow_private = true)")
        if self.mail.security == "none" and self.mail.host not in ("localhost", "127.0.0.1", "::1"):
            raise ValueError("mail in the clear leaves this machine: set mail.security, or name a host here")
        return self
