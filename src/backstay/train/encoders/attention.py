"""A pre-norm block of a transformer, written out: plain products and a softmax export to ONNX as they are."""

from __future__ import annotations

from torch import Tensor, nn

from backstay.kernel.errors import BackstayError
from backstay.train.options import Options

_ABSENT = -1e9


class Block(nn.Module):
    """Self-attention over the tokens that are there, then a feed-forward net; both add to what they are given."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.before = nn.LayerNorm(width)
        self.ask = nn.Linear(width, 3 * width)
        self.join = nn.Linear(width, width)
        self.body = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 2 * width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(2 * width, width),
        )
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, seen: Tensor | None = None) -> Tensor:
        """`x` [rows, tokens, width]; `seen` [rows, tokens] says which tokens are there, all of them if left out."""
        x = x + self.drop(self.attend(self.before(x), seen))
        out: Tensor = x + self.drop(self.body(x))
        return out

    def attend(self, x: Tensor, seen: Tensor | None = None) -> Tensor:
        """Each token's mixture of what the tokens that are there have to say."""
        rows, tokens, width = x.shape
        parts = self.ask(x).reshape(rows, tokens, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        weights = query @ key.transpose(-1, -2) * (width // self.heads) ** -0.5
        if seen is not None:
            weights = weights.masked_fill(~seen[:, None, None, :], _ABSENT)
        mixed: Tensor = self.join((weights.softmax(dim=-1) @ value).transpose(1, 2).reshape(rows, tokens, width))
        return mixed


def size_of(options: Options, *, width: int, depth: str) -> tuple[int, int, int, float]:
    """Width, blocks (the option called `depth`), heads and dropout. Raises BackstayError where heads do not fit."""
    wide = options.whole("width", width, low=4, high=1024)
    blocks = options.whole(depth, 2, low=1, high=12)
    heads = options.whole("heads", 4, low=1, high=64)
    dropout = options.number("dropout", 0.1, low=0.0, high=0.9)
    if wide % heads:
        raise BackstayError(
            f"train.encoder_options.width is {wide}, which {heads} heads cannot share",
            fix="make it a multiple of heads",
        )
    return wide, blocks, heads, dropout
