"""A generator draws rows from noise, the encoder finds the noise behind rows: BiGAN, also called ALI. No labels needed.

**Pulls together:** the pairs (row, its embedding) and (drawn row, the noise it was drawn from), as two crowds, until
the judge cannot tell them apart: rows alike in what the generator has learned to draw lie together.
**Pushes apart:** nothing row by row. Embeddings are to fill the sphere as the noise does.
**Formula:**

    pairs (x, E(x)) and (G(u), u),  u = a random direction of length 1
    loss = mean over pairs of cross-entropy( D(x, z), is the row real? )
    D goes down this loss. E and G go up it: their gradients are turned around on the way back (factor `push`)

Where the judge D is fooled, E and G undo each other; no error of single pixels is asked for. One optimiser and one
loss: turning the gradient around is what two optimisers with the minimax loss would do at the same learning rate. Two
guards: the judge sees labels of real rows smoothed to 0.9 and rows with a little noise, and where it is right on more
than 95% of a batch the push is a tenth. Images and tables are judged as one flat vector of standardised values.
**Prefer it:** hardly ever first; where squared errors keep the wrong things.
**Wrong:** with small data or little time: six epochs of 20,000 images had a kNN-20 of 0.825 where raw pixels have
0.829, and the lowest linear figure of five (0.801; docs/benchmarks.md). The loss says nothing of quality (about 1.39
means that the judge is lost); `train.early_stopping = "knn"` looks at what counts. Texts cannot be drawn and are
refused.
**Cost:** encoder and generator once, the judge twice for each kind of pair; O(n) in the batch. Measured: 48.0 ms of
CPU time for 256 images of 28 x 28 beside the encoder's, 6.4 for a table (docs/benchmarks.md).
**Source:** Donahue, Krahenbuhl & Darrell 2017, arXiv 1605.09782; Dumoulin et al. 2017, arXiv 1606.00704; the turned
gradient: Ganin & Lempitsky 2015.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from backstay.train.decoders import Decoder, decoder_of, mean_of
from backstay.train.network import Network
from backstay.train.objectives.contract import Batch, Objective, Problem
from backstay.train.options import Options

_SMOOTH = 0.9
_NOISE = 0.1
_TOO_SURE = 0.95
_CALMED = 0.1


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, x: Tensor, factor: float) -> Tensor:
        context.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -context.factor * gradients[0], None


def reversed_gradient(x: Tensor, factor: float) -> Tensor:
    """x itself; on the way back its gradient is turned around and multiplied by `factor`."""
    found: Tensor = _Reversal.apply(x, factor)  # type: ignore[no-untyped-call] # torch does not annotate it
    return found


class Judge(nn.Module):
    """Logits [n] of pairs of a flat row [n, size] and a code [n, d]: above 0 says that the row is real."""

    def __init__(self, size: int, dimension: int, hidden: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(size + dimension, hidden),
            nn.LeakyReLU(0.2),
            nn.Linear(hidden, hidden),
            nn.LeakyReLU(0.2),
            nn.Linear(hidden, 1),
        )

    def forward(self, rows: Tensor, codes: Tensor) -> Tensor:
        logits: Tensor = self.body(torch.cat([rows, codes], dim=1))[:, 0]
        return logits


class BiGAN(Objective):
    """The module's formula, with a generator and a judge of its own."""

    needs_labels: ClassVar[bool] = False

    def __init__(self, generator: Decoder, dimension: int, hidden: int, push: float) -> None:
        super().__init__()
        self.generator = generator
        self.judge = Judge(generator.size, dimension, hidden)
        self.push = push

    def loss(self, network: Network, batch: Batch) -> Tensor:
        found = network.encoder(*batch.tensors).float()
        width = found.shape[1] ** 0.5
        real = self.generator.flat(batch.tensors)
        drawn = torch.randn(found.shape, generator=batch.generator, device=found.device)
        drawn = functional.normalize(drawn, dim=1) * width
        false = self.generator.flat_of(self.generator(drawn))
        noise = _NOISE * torch.randn((2, *real.shape), generator=batch.generator, device=real.device)
        with torch.no_grad():
            real_right = self.judge(real + noise[0], found * width) > 0
            false_right = self.judge(false + noise[1], drawn) < 0
            sure = float(torch.cat([real_right, false_right]).float().mean()) > _TOO_SURE
        push = self.push * (_CALMED if sure else 1.0)
        on_real = self.judge(real + noise[0], reversed_gradient(found * width, push))
        on_false = self.judge(reversed_gradient(false, push) + noise[1], drawn)
        return mean_of(judged(on_real, on_false), batch.weights)


def judged(on_real: Tensor, on_false: Tensor) -> Tensor:
    """Cross-entropies of the judge for a real and a false pair, summed: [n] twice in, [n] out."""
    right = torch.full_like(on_real, _SMOOTH)
    real = functional.binary_cross_entropy_with_logits(on_real, right, reduction="none")
    return real + functional.binary_cross_entropy_with_logits(on_false, torch.zeros_like(on_false), reduction="none")


def build(options: Options, problem: Problem) -> BiGAN:
    """Options: `judge` (width of its hidden layers, 128), `push` (factor of the gradient turned around, 1)."""
    hidden = options.whole("judge", 128, low=1, high=8192)
    push = options.number("push", 1.0, low=0, high=100)
    options.done()
    return BiGAN(decoder_of(problem.profile, problem.dimension, "bigan"), problem.dimension, hidden, push)
