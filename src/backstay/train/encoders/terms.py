"""The features of `tf_idf_linear`, words, pairs and runs of letters, in few dimensions: vectors summed, begun near
nothing.

    words = sum of a vector for each code of the tokenizer, and of one for each two codes in a row (hashed), over the
            root of how many these are
    runs = sum of the vectors of the codes' runs of 2 to 4 letters (hashed), over the root of how many these are
    embedding = (words + runs, 1), brought to length 1

A term that no training row holds adds next to nothing, as in a linear model; vectors that begin at random would add
noise, and short texts hold many such terms. In training each term is left out with a chance (`dropout`), so that no
answer hangs on one of them. The 1 at the end leaves the length of the sum its meaning: a text without known terms
stands at a place of its own. With a linear head this is logistic regression of low rank.
**Prefer it:** to `bag` for labels alone, with `learning_rate = 0.01` and `schedule = "one_cycle"`: 0.914 on banking77
with all labels, `bag` 0.907 (docs/benchmarks.md).
**Wrong:** where the order of words counts beyond two in a row, or without labels, for then nothing says which terms
matter; and with few rows, where the linear model itself is ahead by more (0.679 to 0.747 with 10 a class).
**Cost:** a text of n codes: some 20 n `dimension` additions; a step also moves all (vocabulary + 2 buckets)
`dimension` weights, so prefer batches of 64 rows and more. Measured: 12 epochs of 10,003 texts in 36 CPU-seconds
(docs/benchmarks.md).
**Source:** Joulin et al. 2016, arXiv 1607.01759; Bojanowski et al. 2017, arXiv 1607.04606; ours: the beginning and the
1 at the end.
**Options:** buckets = 16000 (places of pairs, and of runs), dropout = 0.3 (of terms); vocabulary = 4000, lower = true,
length = 64 of the tokenizer.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from backstay.bundle.tokens import MASK, PADDING, Tokens
from backstay.kernel.errors import BackstayError
from backstay.train.encoders.bag import pairs_of, runs_of
from backstay.train.encoders.text import trimmed
from backstay.train.examples import Profile
from backstay.train.options import Options
from backstay.train.texts import TextSettings

# The sums begin at about this length: small beside the 1, and large beside what float32 can tell apart.
_BEGIN = 0.1


class Terms(nn.Module):
    """Takes `codes` int64 [rows, length], padded with 0 at the end; answers embeddings [rows, dimension].

    Args:
        runs: places of the runs of letters of each code [codes, most], from 1; 0 where there are fewer.
        dropout: the chance at which a term is left out of a training row.
    """

    runs: Tensor

    def __init__(self, runs: Tensor, dimension: int, *, buckets: int, dropout: float) -> None:
        super().__init__()
        self.buckets, self.dropout = buckets, dropout
        self.register_buffer("runs", runs)
        self.of_words = nn.Embedding(len(runs), dimension - 1)
        self.of_pairs = nn.Embedding(buckets, dimension - 1)
        self.of_runs = nn.Embedding(buckets + 1, dimension - 1, padding_idx=0)
        with torch.no_grad():
            for table in (self.of_words, self.of_pairs, self.of_runs):
                table.weight.mul_(_BEGIN * (2 * dimension) ** -0.5)

    def forward(self, codes: Tensor) -> Tensor:
        exporting = torch.compiler.is_exporting()
        codes = codes if exporting else trimmed(codes)
        seen = (codes != PADDING).to(self.of_words.weight.dtype)
        many = (2 * seen.sum(dim=1, keepdim=True)).clamp(min=1.0).sqrt()
        pairs = pairs_of(codes, self.buckets)
        words = self._sum(self.of_words, codes, seen) + self._sum(self.of_pairs, pairs, seen)
        runs = self.runs[codes]
        spelt = (runs > 0).to(seen.dtype) * seen[:, :, None]
        letters = spelt.sum(dim=(1, 2)).clamp(min=1.0).sqrt()[:, None]
        found = words / many + self._sum(self.of_runs, runs, spelt) / letters
        return functional.normalize(torch.cat([found, torch.ones_like(found[:, :1])], dim=1), dim=1)

    def _sum(self, table: nn.Embedding, places: Tensor, weights: Tensor) -> Tensor:
        """The weighted sum of a row's vectors [rows, dimension - 1], some left out in training."""
        weights = functional.dropout(weights, self.dropout, self.training).flatten(1)
        if torch.compiler.is_exporting():  # ONNX knows no sum of chosen rows
            sums: Tensor = (table(places.flatten(1)) * weights[:, :, None]).sum(dim=1)
            return sums
        return functional.embedding_bag(places.flatten(1), table.weight, mode="sum", per_sample_weights=weights)


def build(profile: Profile, dimension: int, options: Options) -> nn.Module:
    """The encoder for this profile's text."""
    if not profile.text:
        raise BackstayError(
            'the encoder "terms" reads one text column, and these features hold none',
            fix='declare the column: data.columns.NAME = "text", and name it alone in data.features',
        )
    TextSettings.of(options)
    buckets = options.whole("buckets", 16_000, low=1, high=1_000_000)
    dropout = options.number("dropout", 0.3, low=0, high=0.95)
    options.done()
    spelt = Tokens(profile.tokenizer.encode()).spelt()
    spelt += [""] * (MASK + 1 - len(spelt))
    return Terms(runs_of(spelt, buckets), dimension, buckets=buckets, dropout=dropout)
