"""[serve], [log], [signing] and [store]: the server, what it keeps, and whom it trusts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from backstay.settings.section import Section


class ServeSettings(Section):
    """Limits of the server. It binds to loopback and asks for a key unless told otherwise."""

    host: str = "127.0.0.1"
    """Address to bind to. One that others can reach demands keys."""
    port: int = Field(8080, ge=0, le=65535)
    """Port; 0 picks a free one and prints it."""
    require_key: bool = True
    """Whether requests need a key."""
    max_rows: int = Field(4096, ge=1)
    """Most rows in one request."""
    max_body_bytes: int = Field(32 * 2**20, ge=1024)
    """Most bytes in one request."""
    max_batch_rows: int = Field(64, ge=1)
    """Most rows that are run through the model together."""
    max_neighbours: int = Field(100, ge=1, le=10_000)
    """Most neighbours of one row that a search answers with."""
    log_searches: bool = False
    """Whether a search leaves in the log how near its results were, so that `watch` can say how often searches find
    what they should: seven numbers and marks of ten results, never what was searched for, nor a name."""
    log_inputs: Literal["all", "hashed", "none"] = "all"
    """What is kept of inputs: "all", "hashed" (a SHA-256 a row), or "none". Without them no detector that reads
    inputs can watch and nothing can be learned from the log: leave "columns" out of `watch.detectors` and set
    `retrain.from_log = false`, or this is refused."""
    on_log_failure: Literal["refuse", "answer_unlogged"] = "refuse"
    """When the log cannot be written: "refuse" (507), or "answer_unlogged" and count it."""
    minimum_free_bytes: int = Field(64 * 2**20, ge=0)
    """Free disk space below which nothing more is logged."""


class LogSettings(Section):
    """How long logged rows are kept. Reference data, gate rows, labels and the ledger are not the log: they stay."""

    keep_days: int | None = Field(None, ge=1)
    """Whole UTC days after which predictions and feedback leave the log, at `gc` and `watch --act`; for ever when
    absent. At least two windows and `watch.maximum_label_age_days`; what no window has judged yet waits."""


class SigningSettings(Section):
    """Whose signature makes a model fit to go live. The private key comes from BACKSTAY_SIGNING_KEY only."""

    trusted: tuple[Annotated[str, Field(pattern=r"^ed25519:[A-Za-z0-9+/]{43}=$")], ...] = ()
    """Public keys, as `backstay sign --new-key` prints them: "ed25519:...". A signature of one of them that does not
    hold is an error, wherever the model is used."""
    require: bool = False
    """Whether a model needs the signature of a trusted key to be promoted, rolled back to, or served."""

    @model_validator(mode="after")
    def _somebody(self) -> SigningSettings:
        if self.require and not self.trusted:
            raise ValueError("require = true and no key is trusted: nothing could ever go live; name one in trusted")
        return self


class StoreSettings(Section):
    """Where the state is. Relative paths are relative to the project file."""

    path: str = ".backstay"
    """Folder of all state, on a local disk."""
