"""Pages that open anywhere: values in, self-contained HTML out. Nothing is computed here but positions on paper."""

from __future__ import annotations
