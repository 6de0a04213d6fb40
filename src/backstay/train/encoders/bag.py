"""Words, pairs of words and runs of letters of one text column, each a learned vector, summed; and short windows.

    words = sum of a vector for each code of the tokenizer (which learns whole words where they are common)
    pairs = sum of a vector for each two codes in a row, hashed into `buckets` places
    runs  = sum over codes of the vectors of their runs of 2 to 4 letters, hashed as well, over the root of how many
    windows = the largest over the text of each of some filters on three codes in a row (words and runs beside them)
    embedding = linear map of the four, the sums over the root of the number of codes, each place normalised by the
                batch's mean and deviation (of training, once trained), brought to length 1

Runs of letters give "verify" and "verification" something in common, and a rare or misspelt word something to go by.
**Prefer it:** to `text` for thousands of short texts, where what is asked hangs on a few words; and where rows that
belong to no class are to be known by their distance to the nearest known ones (AUROC 0.960 on CLINC150,
docs/benchmarks.md).
**Wrong:** for labels alone, where the linear model on the same kinds of features, the control `tf_idf_linear`, is hard
to beat, the more so the fewer the rows (0.907 to 0.920 with all labels of banking77, 0.656 to 0.747 with 10 a class):
look at what the gate says. Where the order of words far apart turns the meaning ("from A to B"), or for documents of
many pages, in which a sum drowns what matters.
**Cost:** a text of n codes: some 20 n width additions and 6 n width windows multiplications; a step also moves all
(vocabulary + 2 buckets) width weights, so prefer batches of 64 rows and more. Measured: 12 epochs of 10,003 texts in
48 CPU-seconds (docs/benchmarks.md).
**Source:** Joulin et al. 2016, arXiv 1607.01759 (words and pairs); Bojanowski et al. 2017, arXiv 1607.04606 (runs);
Kim 2014, arXiv 1408.5882 (windows); ours: the four beside one another, and their normalisation.
**Options:** width = 96, buckets = 8000 (places of pairs, and of runs), windows = 128 (filters; 0 for none, which takes
a third of the time), dropout = 0.3 (of what is normalised); vocabulary = 4000, lower = true, length = 64 of the
tokenizer.
"""

from __future__ import annotations

import zlib

import torch
from torch import Tensor, nn
from torch.nn import functional

from backstay.bundle.tokens import MASK, PADDING, SPECIAL, Tokens
from backstay.kernel.errors import BackstayError
from backstay.train.encoders.text import trimmed
from backstay.train.examples import Profile
from backstay.train.options import Options
from backstay.train.texts import TextSettings

_RUNS = (2, 3, 4)
_WINDOW = 3
_MOST_RUNS = 24
# Two codes in a row are one number, then a place: primes, so that neighbouring codes are spread.
_FIRST, _SECOND = 1_000_003, 7_919


class Bag(nn.Module):
    """Takes `codes` int64 [rows, length], padded with 0 at the end; answers embeddings [rows, dimension].

    Args:
        runs: places of the runs of letters of each code [codes, most], from 1; 0 where there are fewer.
    """

    runs: Tensor

    def __init__(self, runs: Tensor, dimension: int, *, width: int, buckets: int, windows: int, dropout: float) -> None:
        super().__init__()
        self.buckets = buckets
        self.register_buffer("runs", runs)
        self.of_words = nn.Embedding(len(runs), width)
        self.of_pairs = nn.Embedding(buckets, width)
        self.of_runs = nn.Embedding(buckets + 1, width, padding_idx=0)
        with torch.no_grad():
            for table in (self.of_words, self.of_pairs, self.of_runs):
                table.weight.mul_(width**-0.5)
        self.windows = nn.Conv1d(2 * width, windows, _WINDOW, padding=_WINDOW // 2) if windows else None
        self.norm = nn.BatchNorm1d(3 * width + windows)
        self.drop = nn.Dropout(dropout)
        self.out = nn.Linear(3 * width + windows, dimension)

    def forward(self, codes: Tensor) -> Tensor:
        codes = codes if torch.compiler.is_exporting() else trimmed(codes)
        seen = (codes != PADDING).to(self.out.weight.dtype)
        size = seen.sum(dim=1, keepdim=True).clamp(min=1.0).sqrt()
        words = self.of_words(codes) * seen[:, :, None]
        runs = self._spelt(codes) * seen[:, :, None]
        pairs = self.of_pairs(pairs_of(codes, self.buckets)) * seen[:, :, None]
        found = [kind.sum(dim=1) / size for kind in (words, pairs, runs)]
        if self.windows is not None:
            # Where there is padding a filter counts as silent, so that more padding changes nothing.
            heard = functional.relu(self.windows(torch.cat([words, runs], dim=2).transpose(1, 2)))
            found.append((heard * seen[:, None, :]).amax(dim=2))
        return functional.normalize(self.out(self.drop(self._normal(torch.cat(found, dim=1)))), dim=1)

    def _spelt(self, codes: Tensor) -> Tensor:
        """The vectors of the codes' runs of letters, summed, over the root of their number [rows, length, width]."""
        if torch.compiler.is_exporting():
            return self._of(self.runs[codes])
        # Each code once: a batch says the same words over and over.
        said, places = torch.unique(codes, return_inverse=True)
        return functional.embedding(places, self._of(self.runs[said]))

    def _of(self, runs: Tensor) -> Tensor:
        many = (runs > 0).sum(dim=-1, keepdim=True).clamp(min=1)
        sums: Tensor = self.of_runs(runs).sum(dim=-2)
        return sums / many.to(sums.dtype).sqrt()

    def _normal(self, sums: Tensor) -> Tensor:
        if self.training and len(sums) < 2:  # one row has no deviation: what is known of others stands in
            norm = self.norm
            return functional.batch_norm(
                sums, norm.running_mean, norm.running_var, norm.weight, norm.bias, training=False, eps=norm.eps
            )
        found: Tensor = self.norm(sums)
        return found


def pairs_of(codes: Tensor, buckets: int) -> Tensor:
    """The place of each code and the one behind it, the last one's with the padding [rows, length]."""
    follows = functional.pad(codes[:, 1:], (0, 1))
    return (codes * _FIRST + follows * _SECOND) % buckets


def runs_of(spelt: list[str], buckets: int) -> Tensor:
    """Places [codes, most] from 1 to `buckets` of the runs of 2 to 4 letters of each code, an end of the word put
    behind; 0 fills up. Signs of the tokenizer's own have none. At most 24 a code."""
    found = []
    for code, text in enumerate(spelt):
        word = f"{text} "
        letters = {word[at : at + n] for n in _RUNS for at in range(len(word) - n + 1)} if code >= len(SPECIAL) else ()
        places = {1 + zlib.crc32(run.encode()) % buckets for run in letters}
        # The smallest hashes: words that share many runs then keep many of the same (Broder 1997).
        found.append(sorted(places)[:_MOST_RUNS])
    most = max(1, *map(len, found))
    return torch.tensor([places + [0] * (most - len(places)) for places in found])


def build(profile: Profile, dimension: int, options: Options) -> nn.Module:
    """The encoder for this profile's text."""
    if not profile.text:
        raise BackstayError(
            'the encoder "bag" reads one text column, and these features hold none',
            fix='declare the column: data.columns.NAME = "text", and name it alone in data.features',
        )
    TextSettings.of(options)
    width = options.whole("width", 96, low=1, high=4096)
    buckets = options.whole("buckets", 8000, low=1, high=1_000_000)
    windows = options.whole("windows", 128, low=0, high=4096)
    dropout = options.number("dropout", 0.3, low=0, high=0.95)
    options.done()
    spelt = Tokens(profile.tokenizer.encode()).spelt()
    spelt += [""] * (MASK + 1 - len(spelt))
    return Bag(runs_of(spelt, buckets), dimension, width=width, buckets=buckets, windows=windows, dropout=dropout)
