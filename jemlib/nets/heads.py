"""Heads map features on: projectors, expanders and predictors, and prototypes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jemlib import validate


def head(inputs: int, widths: Sequence[int], *, normalize_output: bool = False) -> nn.Sequential:
    """A projector, expander or predictor: linear layers of the given widths, batch norm and ReLU between them.

    The last layer is plain: no bias, no batch norm, as in Barlow Twins and VICReg.

    Args:
        inputs: length of the features that come in.
        widths: output length of each linear layer, for example (256, 256); empty gives the identity.
        normalize_output: put a batch norm without scale and shift behind the last layer, as SimSiam does.

    Raises:
        ValueError: a width is not a whole number >= 1.
    """
    layers: list[nn.Module] = []
    for position, width in enumerate(widths):
        validate.integer(f"widths[{position}]", width, at_least=1)
        last = position == len(widths) - 1
        layers.append(nn.Linear(inputs, width, bias=False))
        if not last:
            layers += [nn.BatchNorm1d(width), nn.ReLU(inplace=True)]
        inputs = width
    if normalize_output and widths:
        layers.append(nn.BatchNorm1d(inputs, affine=False))
    return nn.Sequential(*layers)


class Prototypes(nn.Module):
    """K directions: embeddings `(N, D)` -> their cosines with each, `(N, K)` in [-1, 1].

    Both the embeddings and the prototypes are normalised here, at each forward pass, and the gradient runs through
    it. SwAV's code writes the unit norm into the weights instead; the scores are the same.
    """

    def __init__(self, dim: int, count: int) -> None:
        super().__init__()
        validate.integer("prototypes", count, at_least=2)
        self.weight = nn.Parameter(torch.randn(count, dim))

    def forward(self, z: Tensor) -> Tensor:
        """`(N, D)` -> `(N, K)`."""
        return F.linear(F.normalize(z, dim=1), F.normalize(self.weight, dim=1))
