"""The shelf of encoders: `build(profile, dimension, options)` answers a torch module whose forward takes the profile's
tensors and answers embeddings [rows, dimension] of length 1."""

from backstay.kernel.registry import Shelf

ENCODERS = Shelf(
    "encoder",
    "backstay.encoders",
    {
        "conv": "backstay.train.encoders.conv:build",
        "patches": "backstay.train.encoders.patches:build",
        "mlp": "backstay.train.encoders.mlp:build",
        "ft_transformer": "backstay.train.encoders.ft_transformer:build",
        "text": "backstay.train.encoders.text:build",
        "bag": "backstay.train.encoders.bag:build",
        "terms": "backstay.train.encoders.terms:build",
        "pretrained": "backstay.train.encoders.pretrained:build",
        "vectors": "backstay.train.encoders.vectors:build",
    },
)
