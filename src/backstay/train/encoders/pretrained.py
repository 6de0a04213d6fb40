"""A pre-trained text encoder from a folder of yours: Hugging Face's or sentence-transformers', nothing downloaded.

    embedding = pool(encoder(codes)) at length 1           pool: the mean over the codes, or the first code's vector

The pooling is what `modules.json` of the folder says, else the mean. With `tune = false` nothing of the encoder is
learned: the head alone is fitted, the embedding is the one that the folder's makers give, and every model made so from
the same folder has the same space, so an index stays valid from release to release. With `layers = 1` a linear map is
learned behind the frozen encoder, of any `train.dimension`. With `tune = true` all its weights are trained on: use a
`train.learning_rate` of about 2e-5 and few epochs. Texts are not augmented, dropout is what makes two views differ (as
in SimCSE), and only with `tune = true` is there any. It must beat the control `random_encoder`, which is the same
architecture and tokenizer with drawn weights, and `tf_idf_linear`.
**Prefer it:** for few labelled texts in a language that the encoder knows.
**Wrong:** for jargon or a language that it has never read, or a budget of under a millisecond a text on a CPU: `text`
is smaller by far. Images have no such encoder: compute their vectors outside and use `vectors`.
**Cost:** that of the encoder, an epoch a pass; one pass or two where nothing of it is learned.
**Source:** Devlin et al. 2019; Reimers & Gurevych 2019 (sentence-transformers); Gao, Yao & Chen 2021 (SimCSE).
**Options:** path, a folder, relative to the project file (needed); tune = false; layers = 0 or 1 (0: `train.dimension`
is the encoder's own); pooling = "mean" or "cls"; length, codes that a text keeps (what the folder says). Read are
bert, camembert, distilbert, electra, mpnet, roberta and xlm-roberta, with `tokenizer.json` and weights as safetensors;
a pickle, code of its own and other modules are refused. Needs the extra `[pretrained]`.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from backstay.kernel.errors import BackstayError
from backstay.kernel.ids import content_id, digest
from backstay.train.examples import Profile
from backstay.train.options import Options
from backstay.train.pretrained import Pretrained, body, wanted

_GROUP = 32


class PretrainedEncoder(nn.Module):
    """Takes `codes` int64 [rows, length], padded at the end; answers embeddings [rows, dimension].

    `space` names the space of the embeddings where no training can change it, else it is "". `as_read` says that the
    weights of `body` are those of the folder.
    """

    def __init__(self, found: Pretrained, inner: nn.Module, dimension: int, *, layers: int, tune: bool) -> None:
        super().__init__()
        self.padding = found.padding
        self.first = found.pooling == "cls"
        self.tune = tune
        self.as_read = not tune
        self.body = inner.requires_grad_(tune)
        self.out = nn.Linear(found.width, dimension) if layers else nn.Identity()
        fixed = not (layers or tune)
        told = {"weights": found.digest, "pooling": found.pooling, "length": found.length}
        self.space = content_id("space", digest(told)) if fixed else ""

    def changed(self) -> None:
        """The body's weights are not the folder's any more, nor is its space."""
        self.as_read = False
        self.space = ""

    def train(self, mode: bool = True) -> PretrainedEncoder:
        """A frozen body never drops anything out."""
        super().train(mode)
        self.body.train(mode and self.tune)
        return self

    def forward(self, codes: Tensor) -> Tensor:
        if torch.compiler.is_exporting() or len(codes) <= 1:
            return self._rows(codes)
        # Texts of like length together: most of a batch padded to its longest text would be padding.
        order = (codes != self.padding).sum(dim=1).argsort(stable=True)
        groups = [self._rows(self._trimmed(codes[rows])) for rows in torch.split(order, _GROUP)]
        return torch.cat(groups)[order.argsort()]

    def _rows(self, codes: Tensor) -> Tensor:
        # The first place is the start code and always seen: attention over nothing is no number.
        seen = (codes != self.padding) | (torch.arange(codes.shape[1], device=codes.device) == 0)
        states = self.body(input_ids=codes, attention_mask=seen.long()).last_hidden_state
        weight = seen.to(states.dtype)[:, :, None]
        pooled = states[:, 0] if self.first else (states * weight).sum(dim=1) / weight.sum(dim=1)
        if self.training and not pooled.requires_grad:
            # An objective that does not train the head may have nothing to move here; its gradient needs an end anyhow.
            pooled = pooled.clone().requires_grad_()
        return functional.normalize(self.out(pooled), dim=1)

    def _trimmed(self, codes: Tensor) -> Tensor:
        """Without the columns that are padding in every row."""
        used = (codes != self.padding).any(dim=0).nonzero()
        return codes[:, : int(used[-1, 0]) + 1] if len(used) else codes[:, :1]


def build(profile: Profile, dimension: int, options: Options) -> nn.Module:
    """The encoder for this profile's text."""
    if not profile.text:
        raise BackstayError(
            'the encoder "pretrained" reads one text column, and these features hold none',
            fix='declare the column: data.columns.NAME = "text", and name it alone in data.features',
        )
    found = wanted(options, Path(profile.source))
    if found is None:
        raise BackstayError(
            'the encoder "pretrained" needs a folder', fix='set train.encoder_options = { path = "FOLDER" }'
        )
    tune = options.flag("tune", False)
    layers = options.whole("layers", 0, low=0, high=1)
    options.done()
    if not layers and dimension != found.width:
        raise BackstayError(
            f"the encoder in {found.folder} answers {found.width} numbers, and train.dimension is {dimension}",
            fix=f"set train.dimension = {found.width}, or train.encoder_options.layers = 1 for a linear map behind it",
        )
    return PretrainedEncoder(found, body(found, drawn=profile.drawn), dimension, layers=layers, tune=tune)
