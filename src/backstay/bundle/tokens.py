"""Text to codes: the byte-level BPE tokenizer that a text model's bundle carries as `tokenizer.json`.

On the wire a text is BYTES; the graph takes int64 codes [rows, length] under the same name. The file says all that is
needed for the way between: normalisation (NFC, lower case or not), the merges, the longest length (what is longer is
cut at its end), and the padding. Every byte has a code, so no text is unknown. The file is that of Hugging Face's
`tokenizers`; its package is imported only by a model that needs it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from backstay.kernel.errors import BackstayError

TOKENIZER_FILE = "tokenizer.json"
FURTHER_FILE = "tokenizer_{number}.json"
"""The second tokenizer of a model that cuts texts in several ways has the number 2."""
APART = 2**32
PADDING, UNKNOWN, MASK, START = 0, 1, 2, 3
SPECIAL = ("[PAD]", "[UNK]", "[MASK]", "[START]")


class Tokens:
    """A tokenizer ready to use, from several threads if need be."""

    def __init__(self, content: bytes) -> None:
        """Args:
            content: the bytes of `tokenizer.json`.

        Raises:
            BackstayError: the package `tokenizers` is not installed, or the content is no tokenizer.
        """
        tokenizer = _package().Tokenizer
        try:
            self._inner = tokenizer.from_str(content.decode("utf-8"))
            stated = json.loads(content)
            self.length = int(stated["truncation"]["max_length"])
        except Exception as error:  # the package raises bare types of its own; nothing is loaded
            raise BackstayError(
                f"{TOKENIZER_FILE} is no tokenizer with a longest length ({error})",
                fix="restore the bundle, or retrain",
            ) from error
        # "[MASK]" in somebody's text is text, not the code that training hides words behind.
        self._inner.encode_special_tokens = True
        self.size = int(self._inner.get_vocab_size())

    def codes(self, texts: Sequence[str]) -> npt.NDArray[np.int64]:
        """Codes [n, length of the longest], padded with 0. Each begins with the start code, an empty one is no more.

        Raises:
            BackstayError: a text holds half a surrogate pair, which UTF-8 cannot express.
        """
        if not texts:
            return np.zeros((0, 1), dtype=np.int64)
        try:
            found = self._inner.encode_batch(list(texts))
        except (UnicodeError, TypeError) as error:
            raise BackstayError(
                f"a text is not sound Unicode ({error})", fix="send text that UTF-8 can express"
            ) from error
        return np.array([one.ids for one in found], dtype=np.int64)

    def spelt(self) -> list[str]:
        """How each code is written in the tokenizer's own letters (one a byte), in the order of the codes."""
        return [str(self._inner.id_to_token(code) or "") for code in range(self.size)]

    def cut(self, texts: Sequence[str]) -> int:
        """How many of these texts are longer than the longest length, and lose their end."""
        whole = self._inner.from_str(self._inner.to_str())
        whole.no_truncation()
        whole.no_padding()
        return sum(len(one.ids) > self.length for one in whole.encode_batch(list(texts)))


class SeveralTokens:
    """Several tokenizers side by side: a text's codes by the first, then those by the second plus 2^32, and so on."""

    def __init__(self, contents: Sequence[bytes]) -> None:
        self._parts = [Tokens(content) for content in contents]

    def codes(self, texts: Sequence[str]) -> npt.NDArray[np.int64]:
        """Codes [n, sum of the longest]. Raises as `Tokens.codes` does."""
        found = [part.codes(texts) + place * APART for place, part in enumerate(self._parts)]
        return np.concatenate(found, axis=1)


def tokens_in(files: Mapping[str, bytes]) -> Tokens | SeveralTokens | None:
    """What cuts the texts of a bundle with these files; None where there is no tokenizer among them."""
    if TOKENIZER_FILE not in files:
        return None
    contents = [files[TOKENIZER_FILE]]
    while FURTHER_FILE.format(number=len(contents) + 1) in files:
        contents.append(files[FURTHER_FILE.format(number=len(contents) + 1)])
    return Tokens(contents[0]) if len(contents) == 1 else SeveralTokens(contents)


def learn_tokens(texts: Sequence[str], *, size: int, length: int, lower: bool) -> bytes:
    """The bytes of a `tokenizer.json` learned from these texts; the same texts give the same bytes.

    Args:
        size: most entries, the 4 special codes and 256 bytes among them.
        length: codes that a text keeps, the start code among them.
        lower: whether case is dropped.

    Source: Sennrich, Haddow and Birch (2016), over bytes as Radford et al. (2019) do.
    """
    package = _package()
    normalizers, before, after = package.normalizers, package.pre_tokenizers, package.processors
    tokenizer = package.Tokenizer(package.models.BPE(unk_token=None))
    steps = [normalizers.NFC(), *([normalizers.Lowercase()] if lower else [])]
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.pre_tokenizer = before.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = package.decoders.ByteLevel()
    trainer = package.trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(before.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(iter(texts), trainer)
    tokenizer.post_processor = after.TemplateProcessing(single="[START] $A", special_tokens=[("[START]", START)])
    tokenizer.enable_truncation(max_length=length)
    tokenizer.enable_padding(pad_id=PADDING, pad_token=SPECIAL[PADDING])
    return json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False, sort_keys=True).encode("utf-8")


def with_limits(content: bytes, *, length: int, padding: int) -> bytes:
    """The bytes of a tokenizer that was learned elsewhere, which cuts texts at `length` codes and pads with `padding`.

    Raises:
        BackstayError: the content is no tokenizer, or has no such code.
    """
    try:
        tokenizer = _package().Tokenizer.from_str(content.decode("utf-8"))
        tokenizer.enable_truncation(max_length=length)
        tokenizer.enable_padding(pad_id=padding, pad_token=tokenizer.id_to_token(padding))
        whole = json.loads(tokenizer.to_str())
    except BackstayError:
        raise
    except Exception as error:  # the package raises bare types of its own; nothing is loaded
        raise BackstayError(
            f"{TOKENIZER_FILE} is no tokenizer with a code {padding} to pad with ({error})",
            fix="write it where it came from: AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)",
        ) from error
    return json.dumps(whole, ensure_ascii=False, sort_keys=True).encode("utf-8")


def _package() -> Any:
    # One thread: the server and the trainer have their own ideas of how many cores they may use.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        import tokenizers
    except ModuleNotFoundError as error:
        raise BackstayError(
            "this model reads text and needs the package tokenizers, which is not installed",
            fix="install it with `pip install 'backstay[text]'`",
        ) from error
    return tokenizers
