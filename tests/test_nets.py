"""Backbones and heads."""

from __future__ import annotations

import pytest
import torch

from jemlib import nets
from jemlib.nets import BACKBONES, build_backbone, build_predictor, head
from jemlib.nets.backbones import conv_small
from jemlib.nets.transformer import Block, PatchTransformer, attend


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


def test_vit_micro_is_a_quarter_of_a_million_parameters_and_vit_tiny_is_unchanged() -> None:
    sizes = {name: sum(p.numel() for p in build_backbone(name).parameters()) for name in ("vit_micro", "vit_tiny")}
    # per block 12 d^2 + 13 d; embedding 3 p^2 d + d; positions (32 / p)^2 d; last norm 2 d
    assert sizes == {"vit_micro": 243_936, "vit_tiny": 2_691_264}


def test_attention_written_out_equals_the_fused_kernel() -> None:
    query, key, value = torch.randn(3, 2, 3, 5, 4, dtype=torch.float64)
    fused = torch.nn.functional.scaled_dot_product_attention(query, key, value)
    torch.testing.assert_close(attend(query, key, value), fused)


def test_a_block_is_torchs_pre_norm_layer_with_the_same_weights() -> None:
    """Query, key and value in this order, as torch keeps them: another order is another network of the same weights."""
    torch.manual_seed(0)
    block = Block(12, heads=3).double()
    theirs = torch.nn.TransformerEncoderLayer(
        12, 3, 48, dropout=0.0, activation="gelu", batch_first=True, norm_first=True, dtype=torch.float64
    )
    with torch.no_grad():
        for parameter in block.parameters():  # biases and norms too, which start at 0 and 1
            parameter.add_(0.3 * torch.randn_like(parameter))
    pairs = {
        "norm1.": block.norm_attention,
        "self_attn.in_proj_": block.query_key_value,
        "self_attn.out_proj.": block.output,
        "norm2.": block.norm_mlp,
        "linear1.": block.mlp[0],
        "linear2.": block.mlp[2],
    }
    theirs.load_state_dict(
        {name + key: value for name, part in pairs.items() for key, value in part.named_parameters()}
    )
    x = torch.randn(2, 5, 12, dtype=torch.float64)
    torch.testing.assert_close(block(x), theirs(x))


def small_transformer() -> PatchTransformer:
    torch.manual_seed(0)
    return PatchTransformer(patch=8, dim=12, depth=2, heads=3).double()


def test_the_layers_of_the_transformer_start_differently() -> None:
    first, second = small_transformer().encoder
    assert not torch.equal(first.output.weight, second.output.weight)


def test_keeping_every_token_in_any_order_changes_nothing() -> None:
    """The features are a mean over tokens, and attention is blind to the order."""
    net, images = small_transformer(), torch.randn(3, 3, 32, 32, dtype=torch.float64)
    everything = torch.arange(16).expand(3, -1)
    shuffled = torch.stack([torch.randperm(16) for _ in range(3)])
    torch.testing.assert_close(net(images, everything), net(images))
    torch.testing.assert_close(net(images, shuffled), net(images))


def test_kept_tokens_carry_their_own_positions() -> None:
    """One kept token per sample: the features are those of a one-token image at that position."""
    net, images = small_transformer(), torch.randn(2, 3, 32, 32, dtype=torch.float64)
    tokens = net.embed(images).flatten(2).transpose(1, 2) + net.position
    by_hand = torch.cat([net.norm(net.encoder(tokens[:1, 5:6])), net.norm(net.encoder(tokens[1:, 11:12]))])
    torch.testing.assert_close(net(images, torch.tensor([[5], [11]])), by_hand[:, 0])


def test_dropped_tokens_do_not_influence_the_features() -> None:
    net, images = small_transformer(), torch.randn(2, 3, 32, 32, dtype=torch.float64)
    keep = torch.tensor([[0, 5, 6], [3, 9, 15]])
    other = torch.randn_like(images)
    for sample, tokens in enumerate(keep.tolist()):
        for token in tokens:
            row, column = 8 * (token // 4), 8 * (token % 4)
            patch = (sample, slice(None), slice(row, row + 8), slice(column, column + 8))
            other[patch] = images[patch]
    assert torch.equal(net(images, keep), net(other, keep))
    assert not torch.allclose(net(images), net(other))


def test_with_dropped_tokens_the_gradient_reaches_every_parameter() -> None:
    net = small_transformer()
    net(torch.randn(2, 3, 32, 32, dtype=torch.float64), torch.tensor([[0, 1], [2, 3]])).square().sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("keep", [torch.zeros(3, 2).long(), torch.zeros(2).long()])
def test_token_indices_of_the_wrong_shape_are_named(keep: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"keep must have shape \(N, kept\), N = 2: indices of tokens"):
        small_transformer()(torch.zeros(2, 3, 32, 32, dtype=torch.float64), keep)


def test_token_indices_are_whole_numbers() -> None:
    with pytest.raises(TypeError, match="keep must be int64; got a float32"):
        small_transformer()(torch.zeros(2, 3, 32, 32, dtype=torch.float64), torch.zeros(2, 2))


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


def test_prototype_scores_are_cosines() -> None:
    layer, z = nets.Prototypes(4, 3), torch.randn(5, 4)
    scores = layer(z)
    for i in range(5):
        for k in range(3):
            expected = torch.cosine_similarity(z[i], layer.weight[k], dim=0)
            torch.testing.assert_close(scores[i, k], expected)


def test_prototypes_do_not_care_about_lengths() -> None:
    layer, z = nets.Prototypes(4, 3), torch.randn(5, 4)
    before = layer(z)
    with torch.no_grad():
        layer.weight.mul_(7)
    torch.testing.assert_close(layer(100 * z), before)


def test_one_prototype_is_refused() -> None:
    with pytest.raises(ValueError, match="prototypes must be >= 2"):
        nets.Prototypes(4, 1)


def test_a_head_can_normalise_its_output() -> None:
    layers = nets.head(8, (16, 4), normalize_output=True)
    z = layers(torch.randn(64, 8))
    torch.testing.assert_close(z.mean(dim=0), torch.zeros(4), atol=1e-5, rtol=0)
    assert not list(layers[-1].parameters())


def test_the_direct_predictor_follows_its_module_to_float64_and_never_computes_in_16_bits() -> None:
    z = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    single, double, half = (build_predictor("direct", 4, 8) for _ in range(3))
    wide = double.double()(z.double())
    assert wide.dtype == torch.float64
    torch.testing.assert_close(single(z), wide.float())
    assert half(z.bfloat16()).dtype == half.correlation.dtype == torch.float32
