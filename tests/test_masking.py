"""Masks of whole patches, and networks that see masked images."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from jemlib.nets import WAYS, build_backbone, encode_masked
from jemlib.nets.backbones import Backbone, conv_small, vit_micro
from jemlib.nets.remasking import receptive_field, sparse_forward
from jemlib.views import enlarge, mask_pixels, patch_mask, visible_tokens
from jemlib.views.masks import clean_fraction, masked_views, visible_count


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(n: int = 3, seed: int = 0) -> Tensor:
    return torch.randn(n, 3, 32, 32, generator=seeded(seed), dtype=torch.float64)


def other_pixels_in_masked_patches(x: Tensor, mask: Tensor) -> Tensor:
    """NaN is the sharpest test of all: whatever touches it turns into NaN."""
    fine = enlarge(mask, x.shape[2], x.shape[3])[:, None].expand_as(x)
    return torch.where(fine, torch.nan, x)


# --- masks -------------------------------------------------------------------------------------------------------


@given(
    st.integers(0, 6), st.floats(0, 1, exclude_max=True), st.sampled_from([(8, 32), (4, 32), (16, 48)]), st.integers(0)
)
def test_every_sample_has_the_same_number_of_masked_patches(
    n: int, ratio: float, sizes: tuple[int, int], seed: int
) -> None:
    patch, size = sizes
    mask = patch_mask(n, ratio, patch=patch, size=size, generator=seeded(seed % 2**32))
    patches = (size // patch) ** 2
    assert mask.shape == (n, size // patch, size // patch)
    assert (~mask).sum(dim=(1, 2)).tolist() == [max(1, int(patches * (1 - ratio)))] * n


def test_the_count_is_that_of_mae() -> None:
    """196 patches at 0.75 leave 49, ConvNeXt V2's 49 at 0.6 leave 19; and never none."""
    assert [visible_count(196, 0.75), visible_count(49, 0.6), visible_count(16, 0.75)] == [49, 19, 4]
    assert visible_count(16, 0.99) == 1
    assert visible_count(16, 0.0) == 16


def test_each_sample_and_each_draw_has_its_own_mask() -> None:
    generator = seeded()
    first, second = patch_mask(64, 0.5, generator=generator), patch_mask(64, 0.5, generator=generator)
    assert len(torch.unique(first.flatten(1), dim=0)) > 50
    assert not torch.equal(first, second)
    assert torch.equal(first, patch_mask(64, 0.5, generator=seeded()))


@pytest.mark.parametrize("independent", [False, True])
def test_every_patch_is_masked_equally_often(independent: bool) -> None:
    mask = patch_mask(20_000, 0.75, independent=independent, generator=seeded())
    # five standard deviations of a frequency: 5 sqrt(.75 * .25 / 20000) = .015
    assert (mask.double().mean(dim=0) - 0.75).abs().max() < 0.016


def test_with_a_fixed_count_pairs_are_masked_less_often_than_independently() -> None:
    """Both masked: (12 / 16) (11 / 15) = .55 with 12 of 16, .5625 independently."""
    for independent, expected in ((False, 0.55), (True, 0.5625)):
        mask = patch_mask(40_000, 0.75, independent=independent, generator=seeded()).flatten(1)
        pairs = torch.stack(
            [(mask[:, i] & mask[:, j]).double().mean() for i, j in itertools.combinations(range(16), 2)]
        )
        assert abs(pairs.mean() - expected) < 0.004


def test_enlarged_masks_are_aligned_to_the_patches() -> None:
    mask = patch_mask(2, 0.5, generator=seeded())
    fine = enlarge(mask, 32, 32)
    for sample, row, column in itertools.product(range(2), range(32), range(32)):
        assert fine[sample, row, column] == mask[sample, row // 8, column // 8]


def test_masked_pixels_are_filled_and_the_others_untouched() -> None:
    x, mask = images(), patch_mask(3, 0.5, generator=seeded())
    fine = enlarge(mask, 32, 32)[:, None].expand_as(x)
    out = mask_pixels(other_pixels_in_masked_patches(x, mask), mask, fill=7.0)
    assert (out[fine] == 7).all()
    assert torch.equal(out[~fine], x[~fine])


def test_visible_tokens_are_the_visible_patches_in_reading_order() -> None:
    mask = patch_mask(5, 0.7, generator=seeded())
    expected = [[i for i, masked in enumerate(sample.flatten().tolist()) if not masked] for sample in mask]
    assert visible_tokens(mask).tolist() == expected
    assert visible_tokens(mask[:0]).shape[0] == 0


def test_masked_views_give_every_view_its_own_masks() -> None:
    views = images(8).reshape(2, 4, 3, 32, 32)
    masked, masks = masked_views(views, 0.75, generator=seeded())
    assert masks.shape == (2, 4, 4, 4)
    assert not torch.equal(masks[0], masks[1])
    for v in range(2):
        assert torch.equal(masked[v], mask_pixels(views[v], masks[v]))


# --- the clean receptive field -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("radius", "expected"),
    [(0, 1.0), (1, 0.820556640625), (2, 0.6572265625), (4, 0.37890625), (8, 0.015625)],
)
def test_the_clean_fraction_has_its_known_values(radius: int, expected: float) -> None:
    assert clean_fraction(16, radius, 0.75) == pytest.approx(expected, rel=1e-12)


@given(st.integers(1, 20), st.data(), st.floats(0, 1))
def test_a_small_field_has_the_closed_form(p: int, data: st.DataObject, m: float) -> None:
    r = data.draw(st.integers(0, p // 2))
    closed = ((p - 2 * r) ** 2 + 4 * r * (p - 2 * r) * (1 - m) + 4 * r**2 * (1 - m) ** 3) / p**2
    assert clean_fraction(p, r, m) == pytest.approx(closed, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize(("patch", "radius", "ratio"), [(4, 1, 0.5), (4, 2, 0.3), (4, 3, 0.3), (3, 5, 0.1)])
def test_the_clean_fraction_is_what_simulated_masks_give(patch: int, radius: int, ratio: float) -> None:
    """The mask is spread by stacked 3 x 3 maxima, as by 3 x 3 convolutions; patches at the border are left out."""
    grid, edge = 15, -(-radius // patch)
    mask = patch_mask(1500, ratio, patch=patch, size=grid * patch, independent=True, generator=seeded())
    fine = enlarge(mask, grid * patch, grid * patch).float()
    touched = fine[:, None]
    for _ in range(radius):
        touched = nn.functional.max_pool2d(touched, 3, stride=1, padding=1)
    inside = slice(edge * patch, (grid - edge) * patch)
    visible, clean = fine[:, inside, inside] == 0, touched[:, 0, inside, inside] == 0
    assert float(clean.sum() / visible.sum()) == pytest.approx(clean_fraction(patch, radius, ratio), rel=0.03)


def test_the_receptive_field_is_where_the_gradient_reaches() -> None:
    """All weights positive, one position of the last map: the pixels with a gradient are its field."""
    trunk = conv_small(width=1).trunk
    assert isinstance(trunk, nn.Sequential)
    linear = [layer for layer in trunk if isinstance(layer, nn.Conv2d)]
    for layer in linear:
        nn.init.ones_(layer.weight)
    # averages instead of maxima pass the gradient to their whole window
    pools = {nn.MaxPool2d: nn.AvgPool2d(2), nn.BatchNorm2d: nn.Identity()}
    maps = nn.Sequential(*(pools.get(type(layer), layer) for layer in trunk[:-2]))
    x = torch.ones(1, 3, 128, 128, requires_grad=True)
    maps(x)[0, :, 8, 8].sum().backward()
    assert x.grad is not None
    reached = x.grad[0, 0].sum(dim=0).nonzero()
    assert receptive_field(trunk) == int(reached.max() - reached.min() + 1) == 37


def test_the_receptive_field_of_stacked_convolutions_has_their_number_as_radius() -> None:
    assert receptive_field(nn.Sequential(*(nn.Conv2d(1, 1, 3) for _ in range(4)))) == 2 * 4 + 1
    assert receptive_field(nn.Sequential(nn.Conv2d(1, 1, 3, dilation=2))) == 5
    with pytest.raises(TypeError, match=r"nn.Sequential"):
        receptive_field(build_backbone("resnet18").trunk)


# --- networks on masked images --------------------------------------------------------------------------------------


def sparse_oracle(x: Tensor, mask: Tensor, layers: list[nn.Conv2d]) -> list[list[float]]:
    """3 x 3 convolutions, a 3 x 3 max-pool of stride 1, the average: loops over the visible positions alone."""
    side, patch = x.shape[2], x.shape[2] // mask.shape[1]
    out = []
    for n in range(len(x)):
        seen = [p for p in itertools.product(range(side), range(side)) if not mask[n, p[0] // patch, p[1] // patch]]
        near = {(i, j): [(a, b) for a, b in seen if abs(a - i) <= 1 and abs(b - j) <= 1] for i, j in seen}
        maps = {(i, j): x[n, :, i, j] for i, j in seen}
        for conv in layers:
            maps = {
                (i, j): conv.bias + sum(conv.weight[:, :, a - i + 1, b - j + 1] @ maps[a, b] for a, b in near[i, j])
                for i, j in seen
            }
        channels = range(layers[-1].out_channels)
        out.append([sum(max(float(maps[q][c]) for q in near[p]) for p in seen) / len(seen) for c in channels])
    return out


def test_sparse_forward_is_a_network_over_visible_positions() -> None:
    """With a bias, which writes into masked positions, and negative values, which lose against a masked zero."""
    torch.manual_seed(0)
    first, second = nn.Conv2d(3, 2, 3, padding=1).double(), nn.Conv2d(2, 2, 3, padding=1).double()
    pools = nn.MaxPool2d(3, stride=1, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    x, mask = images(2)[:, :, :8, :8], patch_mask(2, 0.5, patch=2, size=8, generator=seeded())
    with torch.no_grad():
        second.bias.copy_(torch.tensor([-5.0, 1.0]))
        expected = torch.tensor(sparse_oracle(x, mask, [first, second]), dtype=torch.float64)
        torch.testing.assert_close(sparse_forward(nn.Sequential(first, second, *pools), x, mask), expected)


@pytest.mark.slow
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", ["conv_small", "resnet18"])
def test_sparse_forward_of_an_unmasked_image_is_the_plain_trunk(name: str, training: bool) -> None:
    torch.manual_seed(0)
    trunk = build_backbone(name).trunk.double().train(training)
    plain = copy.deepcopy(trunk)
    x = images(3)
    torch.testing.assert_close(sparse_forward(trunk, x, patch_mask(3, 0.0)), plain(x))
    for (key, value), other in zip(trunk.state_dict().items(), plain.state_dict().values()):  # running statistics
        torch.testing.assert_close(value, other, msg=key)


@pytest.mark.slow
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    ("name", "how", "patch"),
    [
        *((name, "sparse", 8) for name in ("conv_small", "resnet18")),
        ("conv_small", "pixels", 4),
        ("vit_micro", "tokens", 8),
        ("vit_tiny", "tokens", 8),  # masked patches of 2 x 2 tokens
    ],
)
def test_pixels_of_masked_patches_do_not_influence_the_features(
    name: str, how: str, patch: int, training: bool
) -> None:
    torch.manual_seed(0)
    backbone = build_backbone(name).double().train(training)
    x, mask = images(), patch_mask(3, 0.6, patch=patch, generator=seeded())
    with torch.no_grad():
        features = encode_masked(backbone, x, mask, how)
        hidden = encode_masked(backbone, other_pixels_in_masked_patches(x, mask), mask, how)
    assert features.shape == (3, backbone.dim)
    assert torch.equal(features, hidden)
    assert not torch.allclose(features, encode_masked(backbone, x, patch_mask(3, 0.0, patch=patch), how))


def test_zeroed_pixels_shift_the_features_of_a_plain_network_and_not_of_a_sparse_one() -> None:
    """A white image, half of it masked: a sparse 1 x 1 network cannot tell, the average over zeros can."""
    trunk = nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten()).double()
    backbone, x, mask = Backbone(trunk, 4), torch.ones(2, 3, 32, 32).double(), patch_mask(2, 0.5)
    torch.testing.assert_close(encode_masked(backbone, x, mask, "sparse"), trunk(x))
    torch.testing.assert_close(encode_masked(backbone, x, mask, "pixels"), trunk(x) / 2)


def test_batch_norm_takes_its_statistics_over_visible_positions() -> None:
    trunk = nn.Sequential(nn.BatchNorm2d(3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()).double()
    x, mask = 3 + 2 * images(), patch_mask(3, 0.6, generator=seeded())
    visible = x.permute(0, 2, 3, 1)[~enlarge(mask, 32, 32)]  # (visible positions, 3)
    features = sparse_forward(trunk, x, mask)
    norm = trunk[0]
    # running value after one step with momentum 0.1, starting from mean 0 and variance 1
    torch.testing.assert_close(norm.running_mean, 0.1 * visible.mean(dim=0))
    torch.testing.assert_close(norm.running_var, 0.9 + 0.1 * visible.var(dim=0))
    assert norm.num_batches_tracked == 1
    normal = ((visible - visible.mean(dim=0)) / (visible.var(dim=0, correction=0) + norm.eps).sqrt()).relu()
    torch.testing.assert_close(features.mean(dim=0), normal.mean(dim=0))  # all samples have the same number visible


def test_masked_positions_of_a_feature_map_are_zero() -> None:
    maps = conv_small().trunk[:-2].eval()
    mask = patch_mask(3, 0.6, generator=seeded())
    out = sparse_forward(maps, images().float(), mask)
    assert out.shape[2:] == (4, 4)
    assert (out.abs().sum(dim=1)[mask] == 0).all()
    assert (out.abs().sum(dim=1)[~mask] > 0).all()


def test_a_sample_with_nothing_visible_has_zero_features() -> None:
    mask = patch_mask(2, 0.5)
    mask[0] = True
    features = sparse_forward(conv_small().trunk.eval(), images(2).float(), mask)
    assert (features[0] == 0).all()
    assert features[1].abs().sum() > 0


@pytest.mark.parametrize(("name", "how"), [("conv_small", "sparse"), ("conv_small", "pixels"), ("vit_micro", "tokens")])
def test_the_gradient_of_a_masked_image_reaches_every_parameter_and_no_masked_pixel(name: str, how: str) -> None:
    torch.manual_seed(0)
    backbone = build_backbone(name).double()
    x, mask = images().requires_grad_(), patch_mask(3, 0.75, generator=seeded())
    encode_masked(backbone, x, mask, how).square().sum().backward()
    for parameter_name, parameter in backbone.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name
    assert x.grad is not None
    assert torch.equal((x.grad.abs().sum(dim=1) == 0), enlarge(mask, 32, 32))


def test_masking_leaves_nothing_behind_on_the_trunk() -> None:
    trunk = conv_small().trunk
    with pytest.raises(ValueError, match=r"2 x 2|4 x 4"):  # the error comes in the middle of the pass
        sparse_forward(trunk, images().float(), patch_mask(3, 0.5, patch=4))
    sparse_forward(trunk, images().float(), patch_mask(3, 0.5))
    assert not any(layer._forward_hooks or layer._forward_pre_hooks for layer in trunk.modules())


@pytest.mark.parametrize(("name", "how"), [("conv_small", "sparse"), ("vit_micro", "tokens")])
def test_masking_works_under_autocast(name: str, how: str) -> None:
    torch.manual_seed(0)
    backbone, x, mask = build_backbone(name).eval(), images().float(), patch_mask(3, 0.75, generator=seeded())
    exact = encode_masked(backbone, x, mask, how)
    with torch.autocast("cpu", torch.bfloat16):
        rough = encode_masked(backbone, x, mask, how)
    torch.testing.assert_close(rough.float(), exact, rtol=0.05, atol=0.05)


# --- bad input -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ratio", [-0.1, 1.0, float("nan"), float("inf")])
def test_a_ratio_out_of_range_is_named(ratio: float) -> None:
    with pytest.raises(ValueError, match="ratio must be"):
        patch_mask(2, ratio)


def test_numbers_of_a_mask_are_checked() -> None:
    with pytest.raises(ValueError, match="patch must divide the image's side of 32 pixels; got 5"):
        patch_mask(2, 0.5, patch=5)
    with pytest.raises(ValueError, match="patch must be >= 1"):
        patch_mask(2, 0.5, patch=0)
    with pytest.raises(TypeError, match="n must be a whole number"):
        patch_mask(2.0, 0.5)
    with pytest.raises(TypeError, match="ratio must be a finite number"):
        patch_mask(2, "half")
    with pytest.raises(ValueError, match="radius must be >= 0"):
        clean_fraction(8, -1, 0.5)
    with pytest.raises(ValueError, match="ratio must be a finite number >= 0 and <= 1"):
        clean_fraction(8, 1, 1.5)


@pytest.mark.parametrize("mask", [torch.zeros(3, 16).bool(), torch.zeros(2, 4, 4).bool()])
@pytest.mark.parametrize("how", ["pixels", "sparse"])
def test_a_mask_of_the_wrong_shape_is_named(mask: Tensor, how: str) -> None:
    with pytest.raises(ValueError, match=r"mask must have shape \(N, rows, columns\), N = 3"):
        encode_masked(conv_small(), images().float(), mask, how)


@pytest.mark.parametrize(("mask", "message"), [(torch.zeros(3, 4, 4), "bool; got a float32"), (None, "a torch.Tensor")])
@pytest.mark.parametrize("how", ["pixels", "sparse"])
def test_a_mask_of_the_wrong_type_is_named(mask: Tensor | None, message: str, how: str) -> None:
    with pytest.raises(TypeError, match=f"mask must be {message}"):
        encode_masked(conv_small(), images().float(), mask, how)


def test_a_mask_finer_than_a_feature_map_is_an_error_that_says_why() -> None:
    with pytest.raises(ValueError, match=r"8 x 8 patches does not fit 4 x 4 positions.*multiple of the network"):
        sparse_forward(conv_small().trunk, images().float(), patch_mask(3, 0.5, patch=4))


def test_samples_with_different_counts_cannot_be_tokens() -> None:
    mask = patch_mask(2, 0.5)
    mask[0] = False
    with pytest.raises(ValueError, match=r"same number of patches visible.*between 8 and 16 of 16"):
        visible_tokens(mask)
    with pytest.raises(ValueError, match="at least one"):
        visible_tokens(torch.ones(2, 4, 4).bool())


def test_a_network_that_cannot_be_masked_in_that_way_is_named() -> None:
    x, mask = images().float(), patch_mask(3, 0.5)
    with pytest.raises(ValueError, match=r"needs a transformer.*Sequential"):
        encode_masked(conv_small(), x, mask, "tokens")
    with pytest.raises(ValueError, match=r"trunk must consist of.*LayerNorm"):
        encode_masked(vit_micro(), x, mask, "sparse")
    with pytest.raises(ValueError, match="AvgPool2d"):
        sparse_forward(nn.Sequential(nn.AvgPool2d(2)), x, mask)
    with pytest.raises(ValueError, match="how must be one of 'tokens', 'pixels', 'sparse'; got 'token'"):
        encode_masked(vit_micro(), x, mask, "token")
    assert WAYS == ("tokens", "pixels", "sparse")


def test_images_and_views_are_checked() -> None:
    with pytest.raises(TypeError, match="images must be floating point; got a uint8"):
        mask_pixels(torch.zeros(1, 3, 32, 32, dtype=torch.uint8), patch_mask(1, 0.5))
    with pytest.raises(ValueError, match=r"views must have shape \(V, N, C, H, H\)"):
        masked_views(images().float(), 0.5)
