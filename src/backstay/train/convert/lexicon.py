"""The words or letters that vectorizers of scikit-learn count, as the tokenizer that the bundle carries.

The graph counts codes; what makes codes of a text is `tokenizer.json`, and a further file for each further way in which
the vectorizers of a model cut texts. The file is written here by hand: lower case, accents, the pattern of a word, a
code for each known one. Python's letters are those of Unicode's classes L and N and the underscore, which the file's
patterns (Oniguruma's) do not call by the same names; they are spelt out.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from backstay.bundle.tokens import PADDING, SPECIAL, START, UNKNOWN
from backstay.train.convert.blocks import Unsupported

_LETTER = r"\p{L}\p{N}_"
_SPACE = r"\s\x1c-\x1f"
_LONGEST = 1_000_000
_WORDS = {r"(?u)\b\w\w+\b": f"[{_LETTER}]{{2,}}", r"(?u)\b\w+\b": f"[{_LETTER}]+", r"\w+": f"[{_LETTER}]+"}
_BORDER = f"(?:(?<=[{_LETTER}])(?![{_LETTER}])|(?<![{_LETTER}])(?=[{_LETTER}]))"
_OUTSIDE = {
    "w": f"[{_LETTER}]",
    "W": f"[^{_LETTER}]",
    "b": _BORDER,
    "d": r"\p{Nd}",
    "D": r"\P{Nd}",
    "s": f"[{_SPACE}]",
    "S": f"[^{_SPACE}]",
}
_WITHIN = {"w": _LETTER, "d": r"\p{Nd}", "s": _SPACE}
# The Unicode Standard, section 3.13: a letter before, none behind, accents and the like passed over on both sides.
_CASED, _PASSED = r"[\p{Cased}&&[^\p{Case_Ignorable}]]", r"\p{Case_Ignorable}*"
_FINAL_SIGMA = rf"(?<={_CASED}{_PASSED})Σ(?!{_PASSED}{_CASED})"


@dataclass(frozen=True, slots=True)
class Cut:
    """How a text is cut. `kind`: "word", "char" or "char_wb"; `accents`: "", "unicode" or "ascii"; `dropped`: words
    that are taken out before pairs are made."""

    kind: str
    lower: bool
    accents: str
    pattern: str
    dropped: tuple[str, ...] = ()


@dataclass(slots=True)
class Lexicon:
    """Codes by word or letter, from 4 on in the order in which they were asked for, and the columns that are cut."""

    cut: Cut
    codes: dict[str, int] = field(default_factory=dict)
    columns: set[str] = field(default_factory=set)

    def code(self, term: str) -> int:
        """The code of a word or letter, a new one if need be."""
        return self.codes.setdefault(term, len(SPECIAL) + len(self.codes))

    def content(self) -> bytes:
        """The bytes of the `tokenizer.json`."""
        known = {**{word: code for code, word in enumerate(SPECIAL)}, **self.codes}
        words = self.cut.kind == "word"
        ending = [{"SpecialToken": {"id": "[END]", "type_id": 0}}] if self.cut.kind == "char_wb" else []
        single = [
            {"SpecialToken": {"id": SPECIAL[START], "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
            *ending,
        ]
        ends = {SPECIAL[START]: START, **({"[END]": self.code(" ")} if ending else {})}
        whole: dict[str, Any] = {
            "version": "1.0",
            "truncation": {"direction": "Right", "max_length": _LONGEST, "strategy": "LongestFirst", "stride": 0},
            "padding": {
                "strategy": "BatchLongest",
                "direction": "Right",
                "pad_to_multiple_of": None,
                "pad_id": PADDING,
                "pad_type_id": 0,
                "pad_token": SPECIAL[PADDING],
            },
            "added_tokens": [],
            "normalizer": {"type": "Sequence", "normalizers": self._normalizers()},
            "pre_tokenizer": {
                "type": "Split",
                "pattern": {"Regex": translated(self.cut.pattern) if words else r"[\s\S]"},
                "behavior": "Removed" if words else "Isolated",
                "invert": words,
            },
            "post_processor": {
                "type": "TemplateProcessing",
                "single": single,
                "pair": [*single, {"Sequence": {"id": "B", "type_id": 0}}],
                "special_tokens": {name: {"id": name, "ids": [code], "tokens": [name]} for name, code in ends.items()},
            },
            "decoder": None,
            "model": {"type": "WordLevel", "vocab": known, "unk_token": SPECIAL[UNKNOWN]},
        }
        return json.dumps(whole, ensure_ascii=False, sort_keys=True).encode("utf-8")

    def _normalizers(self) -> list[dict[str, Any]]:
        steps: list[dict[str, Any]] = []
        if self.cut.lower:
            # Python lowers a sigma at the end of a word to its final form.
            steps += [_replace(_FINAL_SIGMA, "ς"), {"type": "Lowercase"}]
        if self.cut.accents == "unicode":
            steps += [{"type": "NFKD"}, {"type": "StripAccents"}]
        elif self.cut.accents == "ascii":
            steps += [{"type": "NFKD"}, _replace(r"[^\x00-\x7F]", "")]
        if self.cut.kind == "word" and self.cut.dropped:
            words = "|".join(re.escape(word) for word in self.cut.dropped)
            steps.append(_replace(f"(?<![{_LETTER}])(?:{words})(?![{_LETTER}])", " "))
        if self.cut.kind == "char":
            steps.append(_replace(f"[{_SPACE}][{_SPACE}]+", " "))
        if self.cut.kind == "char_wb":
            # Between two words stands a letter that is in no run of letters.
            steps += [
                _replace(f"[{_SPACE}]+", " "),
                {"type": "Strip", "strip_left": True, "strip_right": True},
                _replace(" ", f" {_PARTED} "),
                {"type": "Prepend", "prepend": " "},
            ]
        return steps


_PARTED = "\ue000"


def translated(pattern: str) -> str:
    """A pattern of a word in the file's spelling.

    Raises:
        Unsupported: it has groups or flags.
    """
    if pattern in _WORDS:
        return _WORDS[pattern]
    plain = pattern.removeprefix("(?u)")
    if re.compile(plain).groups or "(?" in plain:
        raise Unsupported(
            f"the token_pattern {pattern!r} has groups or flags", fix="write it without, or use the usual pattern"
        )
    found, place, inside = [], 0, False
    while place < len(plain):
        letter = plain[place]
        if letter == "\\" and place + 1 < len(plain):
            kind = plain[place + 1]
            if inside and kind in "WDSb":
                raise Unsupported(f"the token_pattern {pattern!r} is not converted", fix="use the usual pattern")
            found.append((_WITHIN if inside else _OUTSIDE).get(kind, letter + kind))
            place += 2
            continue
        inside = letter == "[" or (inside and letter != "]")
        found.append(letter)
        place += 1
    return "".join(found)


def _replace(pattern: str, content: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": {"Regex": pattern}, "content": content}
