"""What every table of the project file has in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A table of the project file. Unknown keys are errors that name the nearest known key."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
