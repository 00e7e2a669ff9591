"""Backbones and heads."""

from __future__ import annotations

import pytest
import torch

from jemlib.nets import BACKBONES, build_backbone, conv_small, head


@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_maps_images_to_features_of_its_dim(name: str) -> None:
    backbone = build_backbone(name).eval()
    with torch.no_grad():
        assert backbone(torch.randn(2, 3, 32, 32)).shape == (2, backbone.dim)


def test_conv_small_has_about_a_tenth_of_a_million_parameters() -> None:
    assert 90_000 < sum(p.numel() for p in conv_small().parameters()) < 110_000


def test_resnet18_has_the_cifar_stem() -> None:
    """3x3, stride 1, padding 1, no max-pool: the first stage sees 32 x 32."""
    trunk = build_backbone("resnet18").trunk
    assert (trunk.conv1.kernel_size, trunk.conv1.stride, trunk.conv1.padding) == ((3, 3), (1, 1), (1, 1))
    assert isinstance(trunk.maxpool, torch.nn.Identity)
    seen = {}
    trunk.layer1.register_forward_hook(lambda module, args, output: seen.update(shape=output.shape[2:]))
    trunk.eval()(torch.randn(1, 3, 32, 32))
    assert seen["shape"] == (32, 32)


def test_a_token_of_the_transformer_depends_on_its_own_patch_only() -> None:
    embed = build_backbone("vit_tiny").trunk.embed
    image = torch.randn(1, 3, 32, 32)
    changed = image.clone()
    changed[:, :, :4, :4] += 1
    moved = (embed(image) != embed(changed)).any(dim=1)[0]
    assert moved.sum() == 1
    assert moved[0, 0]


def test_a_head_has_the_widths_it_was_given_and_a_plain_last_layer() -> None:
    layers = head(8, [16, 4])
    assert layers(torch.randn(5, 8)).shape == (5, 4)
    assert isinstance(layers[-1], torch.nn.Linear)
    assert layers[-1].bias is None


def test_a_head_without_widths_is_the_identity() -> None:
    features = torch.randn(3, 8)
    assert torch.equal(head(8, [])(features), features)


def test_a_wrong_width_is_named() -> None:
    with pytest.raises(ValueError, match=r"widths\[1\] must be >= 1; got 0"):
        head(8, [4, 0])


def test_an_unknown_backbone_is_answered_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="resnet18"):
        build_backbone("resnet81")
