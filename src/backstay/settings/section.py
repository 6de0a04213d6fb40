"""What every table of the project file has in common."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator

NUMBERS = {int, float}


class Section(BaseModel):
    """A table of the project file. Unknown keys are errors that name the nearest known key."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    @field_validator("*", mode="before")
    @classmethod
    def _as_written(cls, value: Any, info: ValidationInfo) -> Any:
        """A number in quotes is text, and true is no number: taken for one it would hide a slip of the pen."""
        if not isinstance(value, (str, bool)):
            return value
        annotation = cls.model_fields[str(info.field_name)].annotation
        kinds = {*(get_args(annotation) or (annotation,))} - {type(None)}
        if isinstance(value, str) and kinds <= NUMBERS | {bool}:
            raise ValueError(f"{'true or false' if kinds == {bool} else 'a number'} belongs here, without quotes")
        if isinstance(value, bool) and kinds <= NUMBERS:
            raise ValueError("a number belongs here")
        return value
