"""Networks: backbones, heads and predictors, momentum copies, masked images through a network, features."""

from jemlib.nets.backbones import (
    BACKBONES,
    Backbone,
    build_backbone,
    conv_medium,
    conv_small,
    resnet18,
    vit_micro,
    vit_tiny,
)
from jemlib.nets.features import (
    evaluating,
    features,
)
from jemlib.nets.heads import (
    Prototypes,
    head,
)
from jemlib.nets.momentum import (
    MomentumEncoder,
    cosine_momentum,
)
from jemlib.nets.predictors import (
    PREDICTORS,
    DirectPredictor,
    build_predictor,
    direct_predictor,
)
from jemlib.nets.remasking import (
    WAYS,
    encode_masked,
    receptive_field,
    sparse_forward,
)
from jemlib.nets.transformer import (
    Block,
    PatchTransformer,
    attend,
)

__all__ = [
    "BACKBONES",
    "PREDICTORS",
    "WAYS",
    "Backbone",
    "Block",
    "DirectPredictor",
    "MomentumEncoder",
    "PatchTransformer",
    "Prototypes",
    "attend",
    "build_backbone",
    "build_predictor",
    "conv_medium",
    "conv_small",
    "cosine_momentum",
    "direct_predictor",
    "encode_masked",
    "evaluating",
    "features",
    "head",
    "receptive_field",
    "resnet18",
    "sparse_forward",
    "vit_micro",
    "vit_tiny",
]
