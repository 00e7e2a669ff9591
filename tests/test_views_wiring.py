"""Which numbers draw which parameter, which recipe and size a view has, and how the layers of a network are joined."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn
from wiring import features_by_hand, shade_images

from jemlib.methods import build
from jemlib.nets import build_backbone, features, head
from jemlib.nets.backbones import conv_small
from jemlib.views import LOCAL_CROP, PRESETS, Recipe, denormalize, make_views, normalize
from jemlib.views.recipes import ViewParameters

# Mean and standard deviation of CIFAR-10's training pixels, for red, green and blue.
RED, GREEN, BLUE = (0.4914, 0.2470), (0.4822, 0.2435), (0.4465, 0.2616)


def plain(colour: tuple[int, int, int], n: int = 1, height: int = 32, width: int = 32) -> Tensor:
    return torch.tensor(colour, dtype=torch.uint8).view(1, 3, 1, 1).expand(n, 3, height, width).contiguous()


def drawn(preset: object, n: int = 4000, num_views: int = 2, seed: int = 0) -> list[ViewParameters]:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.zeros(n, 3, 32, 32, dtype=torch.uint8)
    return make_views(pixels, preset, num_views=num_views, generator=generator, return_parameters=True)[1]


# --- values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("height", [32, 48])  # 48: by the other way of resampling
def test_red_green_and_blue_are_centred_and_scaled_by_their_own_statistics(height: int) -> None:
    x = normalize(plain((255, 102, 0), height=height, width=height))
    expected = [(1.0 - RED[0]) / RED[1], (0.4 - GREEN[0]) / GREEN[1], (0.0 - BLUE[0]) / BLUE[1]]
    torch.testing.assert_close(x, torch.tensor(expected).view(1, 3, 1, 1).expand(1, 3, 32, 32), atol=1e-4, rtol=0)
    back = torch.tensor([1.0, 0.4, 0.0]).view(1, 3, 1, 1).expand(1, 3, 32, 32)
    torch.testing.assert_close(denormalize(x), back, atol=1e-4, rtol=0)


def test_augmented_views_are_normalised_in_the_same_way() -> None:
    """A plain colour under crops and flips alone stays that colour."""
    recipe = Recipe(jitter_probability=0.0, grey=0.0)
    views = make_views(plain((255, 102, 0), n=5), recipe, num_views=2)
    expected = normalize(plain((255, 102, 0), n=5)).expand(2, -1, -1, -1, -1)
    torch.testing.assert_close(views, expected, atol=1e-4, rtol=0)


def test_a_view_keeps_rows_and_columns_apart() -> None:
    """Darker from top to bottom, in every view whose crop is flipped or not."""
    ramp = (255 - 8 * torch.arange(32, dtype=torch.uint8)).view(1, 1, 32, 1).expand(20, 3, 32, 32).contiguous()
    x = make_views(ramp, Recipe(jitter_probability=0.0, grey=0.0), num_views=1)[0]
    assert (x[..., 1:, :] - x[..., :-1, :]).max() <= 1e-4
    assert (x[..., 1:] - x[..., :-1]).abs().max() <= 1e-4
    assert (x[..., 0, 0] - x[..., -1, 0]).min() > 0.3


# --- parameters -------------------------------------------------------------------------------------------------------


def columns(p: ViewParameters) -> dict[str, Tensor]:
    """One number a sample for each thing that is drawn. Places are relative to the room that a box leaves."""
    top, left, height, width = p.box.double().T
    return {
        "top": (top + 0.5) / (33 - height),
        "left": (left + 0.5) / (33 - width),
        "area": height * width,
        "aspect": (width / height).log(),
        "flip": p.flip.double(),
        "brightness": p.brightness.double(),
        "contrast": p.contrast.double(),
        "saturation": p.saturation.double(),
        "hue": p.hue.double(),
        "first jitter": p.order[:, 0].double(),
        "grey": p.grey.double(),
        "sigma": p.sigma.double(),
        "solarize": p.solarize.double(),
    }


def test_no_two_parameters_come_from_one_random_number() -> None:
    """Everything that is drawn, in two views: pairs are uncorrelated, but for the area and the place beside it."""
    # Crops that always fit: where large ones are rejected, area and aspect depend on each other as torchvision's do.
    always = Recipe(crop_scale=(0.1, 0.5), jitter_probability=1.0, grey=0.5, blur=1.0, solarize=0.5)
    n = 3000
    views = [columns(p) for p in drawn(always, n=n)]
    names = [(v, name) for v in (0, 1) for name in views[v]]
    table = torch.stack([views[v][name] for v, name in names])
    correlation = torch.corrcoef(table).abs().fill_diagonal_(0)
    worst = int(correlation.argmax())
    a, b = names[worst // len(names)], names[worst % len(names)]
    assert correlation.max() < 5 / math.sqrt(n), f"{a} and {b} are drawn together"


def test_whether_an_operation_happens_depends_on_no_other_operation() -> None:
    n = 3000
    half = Recipe(crop_scale=None, flip=0.5, jitter_probability=0.5, grey=0.5, blur=0.5, solarize=0.5)
    views = drawn(half, n=n)
    happens = torch.stack([w.double() for p in views for w in (p.flip, p.jittered, p.grey, p.sigma > 0, p.solarize)])
    assert torch.corrcoef(happens).abs().fill_diagonal_(0).max() < 5 / math.sqrt(n)
    # Nor does how strong it is: among the samples that are jittered or blurred, the factor fills its range.
    p = views[0]
    for values, low, high in (
        (p.brightness[p.jittered], 0.6, 1.4),
        (p.hue[p.jittered], -0.1, 0.1),
        (p.sigma[p.sigma > 0], 0.1, 2.0),
    ):
        assert values.mean() == pytest.approx((low + high) / 2, abs=0.05 * (high - low))
        assert values.std() == pytest.approx((high - low) / math.sqrt(12), rel=0.06)


# What the papers and their CIFAR recipes say: least area of a crop, strengths of brightness, contrast, saturation and
# hue, and how often the first and the second view are solarised.
PAPERS = {
    "simclr": (0.08, (0.4, 0.4, 0.4, 0.1), (0.0, 0.0)),
    "byol": (0.08, (0.4, 0.4, 0.2, 0.1), (0.0, 0.2)),
    "vicreg": (0.2, (0.4, 0.4, 0.2, 0.1), (0.1, 0.1)),
    "dino": (0.14, (0.4, 0.4, 0.2, 0.1), (0.0, 0.2)),
}


def test_every_preset_is_in_the_table_of_papers() -> None:
    assert set(PAPERS) | {"none"} == set(PRESETS)


@pytest.mark.parametrize("preset", PAPERS)
def test_a_preset_draws_what_its_paper_says(preset: str) -> None:
    low, strengths, solarized = PAPERS[preset]
    views = drawn(preset)
    for p, wanted in zip(views, solarized):
        area = (p.box[:, 2] * p.box[:, 3]).double() / 1024
        # Sides are rounded to whole pixels: half a pixel of a side of sqrt(low) 32 pixels, twice.
        rounding = 2 * 0.5 / (32 * math.sqrt(low * 3 / 4))
        assert low * (1 - rounding) <= area.min() <= low * 1.1
        assert area.max() > 0.95
        assert p.solarize.double().mean() == pytest.approx(wanted, abs=4 * math.sqrt(0.2 * 0.8 / 4000))
        assert bool(p.solarize.any()) == (wanted > 0)
        assert p.flip.double().mean() == pytest.approx(0.5, abs=0.035)
        assert p.jittered.double().mean() == pytest.approx(0.8, abs=0.03)
        assert p.grey.double().mean() == pytest.approx(0.2, abs=0.03)
        assert not (p.sigma > 0).any()
        for name, strength in zip(("brightness", "contrast", "saturation"), strengths):
            factor = getattr(p, name)[p.jittered]
            assert factor.min() == pytest.approx(1 - strength, abs=0.02), name
            assert factor.max() == pytest.approx(1 + strength, abs=0.02), name
        assert p.hue.abs().max() == pytest.approx(strengths[3], abs=0.005)


def test_the_preset_none_changes_nothing() -> None:
    (p,) = drawn("none", n=50, num_views=1)
    assert p.box.unique(dim=0).tolist() == [[0, 0, 32, 32]]
    assert not (p.flip | p.jittered | p.grey | (p.sigma > 0) | p.solarize).any()


def test_view_v_has_recipe_v_and_they_repeat() -> None:
    recipes = [Recipe(crop_scale=(s, s), crop_ratio=(1.0, 1.0)) for s in (0.25, 0.5625, 1.0)]
    sides = [p.box[:, 2].unique().tolist() for p in drawn(recipes, n=20, num_views=5)]
    assert sides == [[16], [24], [32], [16], [24]]


# --- local crops ------------------------------------------------------------------------------------------------------


def test_local_crops_show_at_most_two_fifths_of_the_image() -> None:
    (p,) = drawn(LOCAL_CROP, num_views=1)
    area = (p.box[:, 2] * p.box[:, 3]).double() / 1024
    assert 0.06 < area.min() < 0.09
    assert 0.38 < area.max() < 0.43


def edges(views: Tensor) -> Tensor:
    """How often light and dark change along the middle row of each view; colours and flips do not matter."""
    row = views[:, :, views.shape[2] // 2].mean(dim=1)
    middle = (row.amax(dim=1, keepdim=True) + row.amin(dim=1, keepdim=True)) / 2
    return ((row > middle)[:, 1:] != (row > middle)[:, :-1]).sum(dim=1)


@pytest.mark.parametrize("name", ["swav", "dino"])
def test_a_method_with_local_crops_gets_two_large_views_and_small_ones_behind_them(name: str) -> None:
    """Eight upright stripes of four pixels: a local crop is at most sqrt(0.4 4/3) 32 = 23 pixels wide, so it shows at
    most six edges. Global crops show up to seven. Nothing is solarised, which would add edges."""
    stripe = (torch.arange(32) // 4 % 2 * 255).to(torch.uint8).expand(400, 3, 32, 32).contiguous()
    method = build(name, local_crops=3, local_size=16, views=Recipe(crop_scale=(0.5, 1.0)))
    views = method.make_views(stripe, torch.Generator().manual_seed(0))
    assert [tuple(view.shape[1:]) for view in views] == [(3, 32, 32)] * 2 + [(3, 16, 16)] * 3
    most = [int(edges(view).max()) for view in views]
    assert most[:2] == [7, 7]
    assert max(most[2:]) <= 6
    means = [float(edges(view).double().mean()) for view in views]
    assert max(means[2:]) < 0.75 * min(means[:2])
    assert not torch.equal(views[2], views[3])


def test_without_local_crops_there_are_two_views() -> None:
    views = build("swav").make_views(torch.zeros(4, 3, 32, 32, dtype=torch.uint8), torch.Generator().manual_seed(0))
    assert [tuple(view.shape) for view in views] == [(4, 3, 32, 32)] * 2


@pytest.mark.parametrize("name", ["simclr", "byol", "dino"])
def test_a_method_draws_its_views_by_the_recipe_it_was_given(name: str) -> None:
    pixels = shade_images(5, "train").pixels
    generators = [torch.Generator().manual_seed(3) for _ in range(2)]
    views = build(name, views="byol").make_views(pixels, generators[0])
    assert torch.equal(torch.stack(list(views)), make_views(pixels, "byol", generator=generators[1]))


# --- features ---------------------------------------------------------------------------------------------------------


def used(network: nn.Module) -> nn.Module:
    """The network with running statistics as after training, in training mode."""
    torch.manual_seed(0)
    for _ in range(3):
        network(2 * torch.randn(32, 3, 32, 32) + 0.5)
    return network.train()


def test_features_are_those_of_plain_images_one_after_the_other_in_evaluation_mode() -> None:
    network, images = used(conv_small()), shade_images(4, "train")
    expected = torch.from_numpy(features_by_hand(network, images)).float()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    for batch_size in (3, 500):
        torch.testing.assert_close(features(network, images, batch_size=batch_size), expected, atol=1e-4, rtol=1e-4)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert network.training


# --- networks, layer by layer -----------------------------------------------------------------------------------------


def norm_by_hand(x: Tensor, layer: nn.Module, axes: tuple[int, ...], eps: float = 1e-5) -> Tensor:
    """Batch norm in evaluation mode, written out."""
    shape = [1, -1] + [1] * (len(axes) - 1)
    mean, variance = layer.running_mean.view(shape), layer.running_var.view(shape)
    y = (x - mean) / (variance + eps).sqrt()
    return y if layer.weight is None else y * layer.weight.view(shape) + layer.bias.view(shape)


def layers_of(network: nn.Module, kind: type[nn.Module]) -> list[nn.Module]:
    return [part for part in network.modules() if isinstance(part, kind)]


@pytest.mark.parametrize(("name", "width"), [("conv_small", 16), ("conv_medium", 32)])
def test_the_small_backbone_is_four_convolutions_each_with_norm_and_relu(name: str, width: int) -> None:
    torch.manual_seed(0)
    network = used(build_backbone(name)).eval()
    images = torch.randn(3, 3, 32, 32)
    convolutions, norms = layers_of(network, nn.Conv2d), layers_of(network, nn.BatchNorm2d)
    assert [c.out_channels for c in convolutions] == [width, 2 * width, 4 * width, 8 * width]
    x = images
    with torch.no_grad():
        for i, (convolution, norm) in enumerate(zip(convolutions, norms)):
            assert convolution.bias is None
            x = F.conv2d(x, convolution.weight, stride=2 if i == 0 else 1, padding=1)
            x = norm_by_hand(x, norm, (0, 2, 3)).clamp(min=0)
            if i in (1, 2):
                x = x.unflatten(3, (-1, 2)).amax(dim=4).unflatten(2, (-1, 2)).amax(dim=3)
        expected = x.mean(dim=(2, 3))
        torch.testing.assert_close(network(images), expected, atol=1e-4, rtol=1e-4)
    assert network.dim == 8 * width


@pytest.mark.parametrize("normalize_output", [False, True])
def test_a_head_is_linear_layers_with_norm_and_relu_between_them(normalize_output: bool) -> None:
    torch.manual_seed(0)
    layers = head(6, (8, 7, 5), normalize_output=normalize_output)
    for _ in range(3):
        layers(2 * torch.randn(40, 6) + 1)
    layers.eval()
    linear, norms = layers_of(layers, nn.Linear), layers_of(layers, nn.BatchNorm1d)
    assert [(part.in_features, part.out_features, part.bias) for part in linear] == [
        (6, 8, None), (8, 7, None), (7, 5, None),
    ]  # fmt: skip
    x = features_in = torch.randn(9, 6)
    for i, part in enumerate(linear):
        x = x @ part.weight.T
        if i < 2:
            x = norm_by_hand(x, norms[i], (0,)).clamp(min=0)
    if normalize_output:
        assert norms[2].weight is None
        x = norm_by_hand(x, norms[2], (0,))
    assert len(norms) == 2 + normalize_output
    torch.testing.assert_close(layers(features_in), x, atol=1e-5, rtol=1e-5)


def test_resnet18_is_torchvisions_with_another_stem_and_no_classifier() -> None:
    network = build_backbone("resnet18").eval()
    reference = torchvision.models.resnet18(weights=None).eval()
    reference.load_state_dict(
        {k: v for k, v in network.trunk.state_dict().items() if not k.startswith("conv1.")}, strict=False
    )
    stem = network.trunk.conv1
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        x = F.conv2d(images, stem.weight, padding=1)
        x = reference.relu(reference.bn1(x))  # and no max-pool
        x = reference.layer4(reference.layer3(reference.layer2(reference.layer1(x))))
        torch.testing.assert_close(network(images), x.mean(dim=(2, 3)), atol=1e-4, rtol=1e-4)
    # zero_init_residual: every block starts as its shortcut
    assert all(not block.bn2.weight.any() for block in reference.modules() if hasattr(block, "bn2"))


@pytest.mark.parametrize("name", ["vit_micro", "vit_tiny"])
def test_the_transformer_is_torchs_pre_norm_encoder_with_a_mean_over_tokens(name: str) -> None:
    torch.manual_seed(0)
    network = build_backbone(name).eval()
    trunk = network.trunk
    with torch.no_grad():  # biases start at 0 and norms at 1, which would hide what is joined wrongly
        for parameter in trunk.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    images = torch.randn(2, 3, 32, 32)
    patch = trunk.embed.weight.shape[-1]
    with torch.no_grad():
        patches = images.unfold(2, patch, patch).unfold(3, patch, patch)  # (N, 3, rows, columns, patch, patch)
        x = torch.einsum("nchwij,dcij->nhwd", patches, trunk.embed.weight).flatten(1, 2) + trunk.embed.bias
        x = x + trunk.position
        for block in trunk.encoder:
            x = torchs_layer(block, network.dim)(x)
        expected = F.layer_norm(x, (network.dim,), trunk.norm.weight, trunk.norm.bias).mean(dim=1)
        torch.testing.assert_close(network(images), expected, atol=1e-4, rtol=1e-4)
    assert (len(trunk.encoder), trunk.encoder[0].heads) == {"vit_micro": (2, 3), "vit_tiny": (6, 3)}[name]


def torchs_layer(block: nn.Module, dim: int) -> nn.Module:
    """torch's own layer with the weights of `block`."""
    layer = nn.TransformerEncoderLayer(
        dim, block.heads, 4 * dim, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )
    layer.self_attn.in_proj_weight.copy_(block.query_key_value.weight)
    layer.self_attn.in_proj_bias.copy_(block.query_key_value.bias)
    for ours, theirs in (
        (block.output, layer.self_attn.out_proj), (block.mlp[0], layer.linear1), (block.mlp[2], layer.linear2),
        (block.norm_attention, layer.norm1), (block.norm_mlp, layer.norm2),
    ):  # fmt: skip
        theirs.load_state_dict(ours.state_dict())
    return layer.train()  # its fast path in evaluation mode is another program; there is no dropout to differ
