"""What may hold anything that JSON can."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
