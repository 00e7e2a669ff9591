"""Backbones: a network that maps images `(N, 3, 32, 32)` to features `(N, dim)`."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from jemlib import validate
from jemlib.nets.transformer import PatchTransformer


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
    import torchvision  # here, because to import it takes as long as to import torch

    net = torchvision.models.resnet18(weights=None, zero_init_residual=True)
    net.conv1 = nn.Conv2d(3, 64, 3, stride=1, padding=1, bias=False)
    net.maxpool = nn.Identity()
    net.fc = nn.Identity()
    return Backbone(net, 512)


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
