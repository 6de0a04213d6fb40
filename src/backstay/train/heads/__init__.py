"""The shelf of heads: what turns embeddings into scores."""

from backstay.kernel.registry import Shelf

HEADS = Shelf("head", "backstay.heads", {"linear": "backstay.train.heads.linear:LinearHead"})
