"""Networks: backbones, heads and predictors, momentum copies, masked images through a network, features."""

from jemlib.nets.backbones import BACKBONES, build_backbone
from jemlib.nets.features import evaluating, features
from jemlib.nets.heads import Prototypes, head
from jemlib.nets.momentum import MomentumEncoder, cosine_momentum
from jemlib.nets.predictors import PREDICTORS, build_predictor
from jemlib.nets.remasking import WAYS, encode_masked
