"""Who stands behind a model: signing its bundle, and what a project that asks for signatures makes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from backstay.access.signing import SIGNING_VARIABLE, PublicKey, SigningKey, key_of_environment, new_secret
from backstay.bundle.attest import sign_bundle, signers
from backstay.kernel.errors import BackstayError, Refused, Tampered
from backstay.kernel.records import ModelRecord
from backstay.loop.lookup import latest_candidate
from backstay.loop.workspace import Workspace


@dataclass(frozen=True)
class Signed:
    """A signature that was given. `key` is the public key's id, `file` where the envelope lies."""

    model: str
    key: str
    public: str
    trusted: bool
    file: str


@dataclass(frozen=True)
class FreshKey:
    """A new pair. `secret` is for the environment of whoever signs; it is not kept and cannot be shown again."""

    secret: str
    public: str
    key: str


def fresh_key() -> FreshKey:
    """Make a pair of keys. Nothing is stored."""
    secret = new_secret()
    public = SigningKey.parse(secret).public
    return FreshKey(secret, str(public), public.id)


def sign(ws: Workspace, model_id: str | None = None) -> Signed:
    """Sign a model with the key of the environment: the newest candidate, else the live one, unless it is named."""
    key = key_of_environment()
    if key is None:
        raise BackstayError(
            f"there is no key to sign with: {SIGNING_VARIABLE} is not set",
            fix="put the secret that `backstay sign --new-key` printed into it",
        )
    record = ws.model_record(ws.catalog.resolve("model", model_id) if model_id else _newest(ws))
    if record.bundle is None:
        raise BackstayError(
            f"of {record.id} only predictions are known: there is no bundle to sign", fix="name another"
        )
    return _sign(ws, record, key)


def check_key() -> None:
    """Raise BackstayError where the environment holds something that is no signing key: before hours of training."""
    key_of_environment()


def sign_if_given(ws: Workspace, record: ModelRecord) -> Signed | None:
    """Sign a model that was just made, where the environment holds a key."""
    key = key_of_environment()
    return None if key is None or record.bundle is None else _sign(ws, record, key)


def objection(ws: Workspace, model_id: str) -> tuple[str, str] | None:
    """Why this model may not go live for want of a signature, and what to do; None where nothing speaks against it."""
    record = ws.model_record(model_id)
    if record.bundle is None:
        return None
    try:
        trust(ws)(ws.bundles / record.bundle)
    except (Refused, Tampered) as error:
        return error.what, error.fix
    return None


def trust(ws: Workspace, *, require: bool | None = None) -> Callable[[Path], None]:
    """What a server asks before it loads a bundle. The answer raises Refused or Tampered where it should not be.

    Args:
        require: whether a signature must be there; None for what the project file says.
    """
    trusted = trusted_keys(ws)
    require = ws.settings.signing.require if require is None else require

    def check(directory: Path) -> None:
        if not signers(directory, trusted) and require:
            raise Refused(
                f"{directory.name} carries no signature of a trusted key, and signing.require asks for one",
                fix=f"sign it: `{SIGNING_VARIABLE}=... backstay sign {directory.name}`",
            )

    return check


def trusted_keys(ws: Workspace) -> tuple[PublicKey, ...]:
    """The public keys of the project file."""
    return tuple(PublicKey.parse(text) for text in ws.settings.signing.trusted)


def _newest(ws: Workspace) -> str:
    try:
        return latest_candidate(ws).id
    except BackstayError:
        return ws.champion().model_id


def _sign(ws: Workspace, record: ModelRecord, key: SigningKey) -> Signed:
    file = sign_bundle(ws.bundles / str(record.bundle), key)
    with ws.ledger.transaction() as tx:
        body = {**ws.scope, "candidate": record.id, "key": key.public.id, "public": str(key.public)}
        tx.append("signed", body, actor=ws.actor)
    return Signed(record.id, key.public.id, str(key.public), key.public in trusted_keys(ws), str(file))
