"""Backbones and heads. A backbone maps images `(N, 3, 32, 32)` to features `(N, dim)`; a head maps features on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from jemlib import validate


class Backbone(nn.Module):
    """A trunk that turns images into features, and the length `dim` of those features."""

    def __init__(self, trunk: nn.Module, dim: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.dim = dim

    def forward(self, images: Tensor) -> Tensor:
        """`(N, 3, 32, 32)` normalised images -> `(N, dim)` features."""
        features: Tensor = self.trunk(images)
        return features


def conv_small(width: int = 16) -> Backbone:
    """Four 3x3 convolutions of width w, 2w, 4w, 8w: 0.1 M parameters at w = 16. For training on a CPU."""
    validate.integer("width", width, at_least=1)

    def block(inputs: int, outputs: int, stride: int = 1) -> list[nn.Module]:
        conv = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        return [conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]

    trunk = nn.Sequential(
        *block(3, width, stride=2),  # 16 x 16
        *block(width, 2 * width),
        nn.MaxPool2d(2),  # 8 x 8
        *block(2 * width, 4 * width),
        nn.MaxPool2d(2),  # 4 x 4
        *block(4 * width, 8 * width),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
    return Backbone(trunk, 8 * width)


def conv_medium() -> Backbone:
    """`conv_small` at twice the width: 0.4 M parameters. For photographs on a CPU."""
    return conv_small(width=32)


def resnet18() -> Backbone:
    """torchvision's ResNet-18 with the CIFAR stem: 3x3 stride-1 convolution, padding 1, no max-pool; dim 512."""
    net = torchvision.models.resnet18(weights=None, zero_init_residual=True)
    net.conv1 = nn.Conv2d(3, 64, 3, stride=1, padding=1, bias=False)
    net.maxpool = nn.Identity()
    net.fc = nn.Identity()
    return Backbone(net, 512)


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Scaled dot-product attention, each `(N, heads, tokens, d)` -> the same shape.

    On a processor it is written out: with a few dozen tokens the backward pass of torch's fused kernel took
    longer than all the rest of the network. On a GPU the fused kernel is the quicker one.
    """
    if query.device.type != "cpu":
        return nn.functional.scaled_dot_product_attention(query, key, value)
    # softmax(Q K^T / sqrt(d)) V
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1)
    return scores.softmax(dim=-1) @ value


class Block(nn.Module):
    """One pre-norm layer of a transformer: x + attention(norm(x)), then x + mlp(norm(x)); hidden width 4 dim."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention, self.norm_mlp = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.query_key_value, self.output = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """`(N, tokens, dim)` -> the same shape."""
        split = self.query_key_value(self.norm_attention(x)).unflatten(-1, (3, self.heads, -1))
        query, key, value = split.permute(2, 0, 3, 1, 4)  # each (N, heads, tokens, dim / heads)
        x = x + self.output(attend(query, key, value).transpose(1, 2).flatten(2))
        y: Tensor = x + self.mlp(self.norm_mlp(x))
        return y


class PatchTransformer(nn.Module):
    """A small vision transformer: patches -> tokens -> pre-norm encoder -> mean over tokens."""

    def __init__(self, patch: int = 4, dim: int = 192, depth: int = 6, heads: int = 3, image: int = 32) -> None:
        super().__init__()
        # kernel = stride = patch: a token sees its own patch and nothing else
        self.embed = nn.Conv2d(3, dim, patch, stride=patch)
        self.position = nn.Parameter(torch.randn(1, (image // patch) ** 2, dim) * 0.02)
        self.encoder = nn.Sequential(*(Block(dim, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(dim)

    def forward(self, images: Tensor, keep: Tensor | None = None) -> Tensor:
        """`(N, 3, image, image)` -> `(N, dim)`.

        Args:
            images: normalised images.
            keep: `(N, kept)` int64, per sample the tokens that enter the encoder, counted row by row; the others are
                never seen. None lets all of them in. The features are a mean over tokens, so their order is free.

        Raises:
            ValueError: keep is not an int64 tensor `(N, kept)`.
        """
        tokens = self.embed(images).flatten(2).transpose(1, 2) + self.position  # (N, tokens, dim)
        if keep is not None:
            self._check_keep(keep, len(images))
            # After the positions were added: a token that is kept still says where it was.
            tokens = tokens.gather(1, keep[:, :, None].expand(-1, -1, tokens.shape[2]))
        features: Tensor = self.norm(self.encoder(tokens)).mean(dim=1)
        return features

    @staticmethod
    def _check_keep(keep: Tensor, n: int) -> None:
        indices = isinstance(keep, Tensor) and keep.dtype == torch.int64 and keep.ndim == 2
        if not indices or keep.shape[0] != n or keep.shape[1] < 1:
            raise ValueError(
                f"keep must be int64 token indices (N, kept) with N = {n} and kept >= 1; got {validate.describe(keep)}."
            )


def vit_micro() -> Backbone:
    """A vision transformer about as quick as `conv_small`: patch 8, 16 tokens, dim 96, depth 2, 3 heads; 0.24 M."""
    return Backbone(PatchTransformer(patch=8, dim=96, depth=2, heads=3), 96)


def vit_tiny() -> Backbone:
    """A vision transformer for 32 x 32: patch 4, 64 tokens, dim 192, depth 6, 3 heads; 2.7 M parameters."""
    return Backbone(PatchTransformer(), 192)


BACKBONES: dict[str, Callable[[], Backbone]] = {
    "conv_small": conv_small,
    "conv_medium": conv_medium,
    "resnet18": resnet18,
    "vit_micro": vit_micro,
    "vit_tiny": vit_tiny,
}


def build_backbone(name: str) -> Backbone:
    """A backbone by name; weights come from torch's global generator, so seed it first.

    Raises:
        ValueError: the name is unknown.
    """
    return BACKBONES[validate.choice("backbone", name, BACKBONES)]()


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
