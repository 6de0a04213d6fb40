"""The tokenizer of a text column, learned from the training rows alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from backstay.bundle.tokens import Tokens, learn_tokens
from backstay.train.options import Options

SMALLEST = 300


@dataclass(frozen=True)
class TextSettings:
    """What the encoder's options say of the codes.

    Args:
        vocabulary: most entries of the tokenizer. length: codes that a text keeps. lower: whether case is dropped.
    """

    vocabulary: int = 4000
    length: int = 64
    lower: bool = True

    @staticmethod
    def of(options: Options | None) -> TextSettings:
        """Read from the encoder's options; what is not said has its default."""
        usual = TextSettings()
        if options is None:
            return usual
        return TextSettings(
            options.whole("vocabulary", usual.vocabulary, low=SMALLEST, high=100_000),
            options.whole("length", usual.length, low=2, high=512),
            options.flag("lower", usual.lower),
        )


def tokenizer_of(texts: Sequence[str], wanted: TextSettings) -> tuple[str, int]:
    """The tokenizer's JSON, and how many of these texts are longer than it keeps."""
    content = learn_tokens(texts, size=wanted.vocabulary, length=wanted.length, lower=wanted.lower)
    return content.decode("utf-8"), Tokens(content).cut(texts)
