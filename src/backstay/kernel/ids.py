"""Identity: content hashes for what is immutable, sortable random ids for what happens."""

from __future__ import annotations

import hashlib
import json
import os
import time
from typing import Any

ID_LENGTH = 32


def canonical_json(value: Any) -> bytes:
    """One byte string a value: sorted keys, no spaces, no NaN. The ledger and all digests hash this.

    >>> canonical_json({"b": 1, "a": [1.5, None]})
    b'{"a":[1.5,null],"b":1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON, in hexadecimal.

    >>> digest({"a": 1})[:16]
    '015abd7f5cc57a2d'
    """
    return hashlib.sha256(canonical_json(value)).hexdigest()


def content_id(prefix: str, sha256_hex: str) -> str:
    """The id of immutable content: a prefix that says what it is, and 128 bits of its SHA-256.

    >>> content_id("data", "ab" * 32)
    'data-abababababababababababababababab'
    """
    return f"{prefix}-{sha256_hex[:ID_LENGTH]}"


def event_id(prefix: str) -> str:
    """A fresh id for something that happens once: milliseconds, then 80 random bits, so ids sort by time."""
    return f"{prefix}-{time.time_ns() // 1_000_000:012x}{os.urandom(10).hex()}"


def fraction(text: str, salt: str = "") -> float:
    """A number in [0, 1) that depends only on the text: how rows are dealt to splits and uses, for ever.

    >>> round(fraction("row-17"), 3) == round(fraction("row-17"), 3)
    True
    """
    head = hashlib.sha256(f"{salt}\x00{text}".encode()).digest()[:8]
    return int.from_bytes(head, "big") / 2**64
