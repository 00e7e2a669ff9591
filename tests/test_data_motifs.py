"""The generated images: what they are made of, and that they are neither too easy nor too hard."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from jemlib import data
from jemlib.data import Images, motifs
from jemlib.train import native_bf16


def generator(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def train() -> Images:
    return data.load("motifs", "train")


@pytest.fixture(scope="module")
def test() -> Images:
    return data.load("motifs", "test")


@pytest.fixture(scope="module")
def few() -> Images:
    return motifs.draw(motifs.sample_factors(40, generator()))


def knn_accuracy(bank: Tensor, bank_labels: Tensor, queries: Tensor, labels: Tensor) -> float:
    """k = 20, cosine similarity, votes weighted exp(similarity / 0.1)."""
    bank, queries = (F.normalize(x.flatten(1).float(), dim=1) for x in (bank, queries))
    similarity, index = (queries @ bank.T).topk(20)
    votes = torch.zeros(len(queries), 10).scatter_add_(1, bank_labels[index], (similarity / 0.1).exp())
    return float((votes.argmax(dim=1) == labels).float().mean())


# --- what is in a split


def test_a_split_has_the_promised_size_and_equal_classes(train: Images, test: Images) -> None:
    assert train.pixels.shape == (20_000, 3, 32, 32)
    assert train.pixels.dtype == torch.uint8
    assert train.labels.bincount().tolist() == [2000] * 10
    assert test.labels.bincount().tolist() == [200] * 10
    assert len(data.load("motifs", "validation", limit=2000)) == 2000
    assert train.class_names == motifs.PATTERNS
    assert train.factors is not None
    assert set(train.factors) == {"pattern", "noise_seed", *motifs.FACTORS}
    assert torch.equal(train.factors["pattern"], train.labels)


def test_the_same_seed_gives_the_same_images_and_a_limit_gives_the_first_of_them(test: Images) -> None:
    some = data.load("motifs", "test", limit=37)
    assert torch.equal(some.pixels, test.pixels[:37])
    assert torch.equal(some.labels, test.labels[:37])
    assert len(data.load("motifs", "test", limit=10**6)) == 2000


def test_no_two_splits_or_seeds_share_a_random_stream() -> None:
    streams = [
        data.load("motifs", split, limit=200, seed=seed).factors for split in data.SPLITS for seed in (0, 1, 2)
    ] + [motifs.sample_factors(200, generator(seed)) for seed in (0, 1, 2)]
    seeds = torch.cat([factors["noise_seed"] for factors in streams if factors is not None])
    assert len(seeds) == 12 * 200
    assert len(seeds.unique()) == len(seeds)


def test_the_first_factors_do_not_depend_on_how_many_are_drawn() -> None:
    short, long = motifs.sample_factors(23, generator()), motifs.sample_factors(230, generator())
    assert all(torch.equal(short[name], long[name][:23]) for name in short)


def test_rendering_does_not_depend_on_the_chunk(few: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(motifs, "CHUNK", 7)
    assert few.factors is not None
    # one grey level: vectorised and remainder loops may differ in the last bit
    assert (motifs.render(few.factors).int() - few.pixels.int()).abs().max() <= 1


# --- the same images on every machine

FACTOR_PRINT = {
    "pattern": [4, 6, 9, 5, 1, 2],
    "noise_seed": [1303537691, 877569361, 1502631339, 4122080493, 2015507893, 890092677],
    "foreground_hue": [6879685, 9753011, 6495331, 13837953, 5700654, 11009712],
}
IMAGE_PRINT = [
    [164.28, 67.73, -57.24, -23.40],
    [108.90, 58.38, -30.57, -5.84],
    [104.22, 24.37, -32.75, -9.70],
    [83.71, 22.31, -19.57, 3.49],
    [105.23, 39.77, -26.88, -9.11],
    [69.28, 35.85, -32.59, -0.98],
    [140.92, 33.82, -53.79, -18.52],
    [94.00, 35.87, -22.31, -2.35],
    [160.08, 46.16, -48.32, -14.78],
    [97.12, 37.69, -26.78, -23.26],
]


def image_print(pixels: Tensor) -> Tensor:
    """Four numbers for each image: mean, standard deviation, and two sums with fixed uneven weights, in grey levels."""
    flat = pixels.flatten(1).double()
    step = torch.arange(flat.shape[1], dtype=torch.float64)
    weights = torch.stack([(step * 0.37 % 1 - 0.5), (step * 0.0193 % 1 - 0.5)])
    return torch.cat([flat.mean(1, keepdim=True), flat.std(1, keepdim=True), flat @ weights.T / 50], dim=1)


def test_the_factors_of_a_seed_are_exactly_those_of_every_machine() -> None:
    factors = motifs.sample_factors(6, generator())
    seen = {
        "pattern": factors["pattern"].tolist(),
        "noise_seed": factors["noise_seed"].tolist(),
        # 24 random bits each, so exact
        "foreground_hue": (factors["foreground_hue"] * 2**24).long().tolist(),
    }
    assert seen == FACTOR_PRINT


def test_the_images_of_a_seed_are_those_of_every_machine() -> None:
    pixels = motifs.draw(motifs.sample_factors(10, generator())).pixels
    torch.testing.assert_close(image_print(pixels), torch.tensor(IMAGE_PRINT, dtype=torch.float64), atol=0.2, rtol=0)


@pytest.mark.parametrize(
    ("factor", "by"),
    [("frequency", 0.02), ("rotation", 0.01), ("contrast", 0.01), ("background_hue", 0.01), ("scale", 0.01)],
)
def test_the_fingerprint_sees_a_small_change(factor: str, by: float) -> None:
    factors = motifs.sample_factors(10, generator())
    moved = motifs.redraw(factors, factor, (factors[factor] + by).clamp(max=motifs.FACTORS[factor].most))
    shift = (image_print(moved.pixels) - torch.tensor(IMAGE_PRINT, dtype=torch.float64)).abs()
    assert shift.max() > 0.4


def test_noise_has_mean_zero_and_the_stated_deviation_and_differs_between_channels() -> None:
    noise = motifs._noise(torch.arange(200))
    assert noise.mean().abs() < 0.1
    assert abs(noise.std().item() - motifs.NOISE) < 0.1
    correlation = torch.corrcoef(noise.transpose(0, 1).flatten(1))
    assert (correlation - torch.eye(3)).abs().max() < 0.02
    between_images = torch.corrcoef(noise.flatten(1)[:20])
    assert (between_images - torch.eye(20)).abs().max() < 0.1


# --- factors


def test_every_factor_lies_in_its_range_and_fills_it(train: Images) -> None:
    assert train.factors is not None
    for name, factor in motifs.FACTORS.items():
        values = train.factors[name]
        if factor.signed:
            assert 0.49 < (values > 0).float().mean() < 0.51, name
            values = values.abs()
        assert values.shape == ((20_000,) if factor.columns == 1 else (20_000, factor.columns)), name
        assert values.min() >= factor.low, name
        assert values.max() <= factor.high, name
        middle, width = (factor.low + factor.high) / 2, factor.high - factor.low
        assert (values.mean(dim=0) - middle).abs().max() <= 0.01 * width, name


def test_no_factor_tells_the_class_or_another_factor(train: Images) -> None:
    assert train.factors is not None
    drawn = [train.factors[name].view(len(train), -1) for name in motifs.FACTORS if name != "occlusion"]
    values = torch.cat(drawn, dim=1).double()
    by_class = torch.stack([values[train.labels == label].mean(dim=0) for label in range(10)])
    # 2,000 uniform values: the mean of a class has a standard error of 0.0065 of the range
    spread = (by_class - values.mean(dim=0)).abs() / (values.amax(dim=0) - values.amin(dim=0))
    assert spread.max() < 0.03
    correlation = torch.corrcoef(values.T) - torch.eye(values.shape[1])
    assert correlation.abs().max() < 0.035


def test_contrast_is_the_luminance_difference_whatever_the_hues() -> None:
    hue = torch.linspace(0, 1, 50)
    contrast = torch.full_like(hue, 0.3)
    weights = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    for saturation in (0.0, 0.5, 1.0):
        ink = motifs._colour(hue, 0.45 + contrast / 2, torch.full_like(hue, saturation))
        ground = motifs._colour(hue.flip(0), 0.45 - contrast / 2, torch.full_like(hue, saturation))
        difference = ((ink - ground) * weights).sum(dim=1).flatten()
        torch.testing.assert_close(difference, contrast, atol=1e-5, rtol=0)
        assert ink.min() >= -1e-6
        assert ink.max() <= 1 + 1e-6


def test_every_pattern_covers_about_half_of_its_disc(train: Images) -> None:
    assert train.factors is not None
    part = {name: values[:2000] for name, values in train.factors.items()}
    dx, dy = motifs._offsets(part)
    ink, disc = motifs._ink(part, dx, dy), motifs.object_mask(part)
    share = (ink * disc).sum(dim=(1, 2)) / disc.sum(dim=(1, 2))
    means = torch.stack([share[part["pattern"] == label].mean() for label in range(10)])
    assert means.min() > 0.33
    assert means.max() < 0.6


# --- redraw


def test_redraw_with_its_own_value_changes_nothing(few: Images) -> None:
    assert few.factors is not None
    for name in few.factors:
        again = motifs.redraw(few, name, few.factors[name])
        assert torch.equal(again.pixels, few.pixels), name


def test_redraw_changes_the_one_factor_and_keeps_label_noise_and_source(few: Images) -> None:
    assert few.factors is not None
    before = {name: values.clone() for name, values in few.factors.items()}
    moved = motifs.redraw(few, "foreground_hue", 0.5)
    assert moved.factors is not None
    for name, values in before.items():
        assert torch.equal(few.factors[name], values), name
        if name != "foreground_hue":
            assert torch.equal(moved.factors[name], values), name
    assert moved.factors["foreground_hue"].unique().tolist() == [0.5]
    assert torch.equal(moved.labels, few.labels)
    # The ground is untouched to the last grey level, noise and all; inside the disc, the pattern has another colour.
    outside = ~motifs.object_mask(motifs.change(few.factors, "scale", (before["scale"] + 0.1)))
    changed = (moved.pixels != few.pixels).any(dim=1)
    assert not changed[outside].any()
    assert changed.flatten(1).any(dim=1).all()


def test_redraw_takes_one_value_for_all_or_one_for_each(few: Images) -> None:
    everywhere = motifs.redraw(few, "position", (0.2, -0.1))
    assert everywhere.factors is not None
    assert torch.equal(everywhere.factors["position"], torch.tensor([0.2, -0.1]).expand(40, 2))
    each = torch.linspace(0, 1, 40)
    hues = motifs.redraw(few, "background_hue", each)
    assert hues.factors is not None
    assert torch.equal(hues.factors["background_hue"], each)


def test_redraw_under_another_pattern_changes_the_label(few: Images) -> None:
    assert motifs.redraw(few, "pattern", 3).labels.unique().tolist() == [3]


def test_moving_an_object_by_whole_pixels_moves_its_mask(few: Images) -> None:
    assert few.factors is not None
    factors = motifs.change(motifs.change(few.factors, "position", (0.0, 0.0)), "scale", 0.5)
    moved = motifs.change(factors, "position", (2 / 16, -3 / 16))
    assert torch.equal(motifs.object_mask(factors).roll((-3, 2), dims=(1, 2)), motifs.object_mask(moved))


def test_hue_is_a_circle(few: Images) -> None:
    red, red_again = (motifs.redraw(few, "foreground_hue", hue).pixels.int() for hue in (0.0, 1.0))
    assert (red - red_again).abs().max() <= 1


# --- occlusion


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_the_patch_covers_exactly_the_stated_share_of_the_object(few: Images, fraction: float) -> None:
    assert few.factors is not None
    covered = motifs.redraw(few, "occlusion", fraction)
    assert covered.factors is not None
    disc, patch = motifs.object_mask(few.factors), motifs.occlusion_mask(covered.factors)
    area = disc.sum(dim=(1, 2))
    assert torch.equal(patch.sum(dim=(1, 2)), (area * fraction).round().long())
    assert not (patch & ~disc).any()
    different = (covered.pixels != few.pixels).any(dim=1)
    assert not (different & ~patch).any()
    if fraction:
        assert different[patch].float().mean() > 0.95  # a pixel may have had the grey by chance
        flat = motifs.redraw(motifs.change(covered.factors, "light_strength", 0.0), "brightness", 1.0)
        shown = flat.pixels.movedim(1, -1)[patch].float()
        assert (shown - 127.5).abs().max() <= motifs.NOISE * 3**0.5 + 1  # grey plus the noise, no more


def test_the_patch_comes_from_the_side_of_its_angle(few: Images) -> None:
    assert few.factors is not None
    factors = motifs.change(motifs.change(few.factors, "occlusion", 0.5), "occlusion_angle", 0.0)
    # a small disc, wholly inside the image: half of it is covered on the left, where x is smallest
    patch = motifs.occlusion_mask(motifs.change(factors, "position", (0.0, 0.0)))
    assert patch[:, :, :16].sum() == patch.sum()


# --- scenes


def test_a_scene_shows_both_objects_and_keeps_both_sets_of_factors() -> None:
    left, right = motifs.sample_factors(30, generator(1)), motifs.sample_factors(30, generator(2))
    both = motifs.scene(left, right)
    assert both.factors is not None
    assert torch.equal(both.labels, left["pattern"])
    assert torch.equal(both.factors["left.pattern"], left["pattern"])
    assert torch.equal(both.factors["right.pattern"], right["pattern"])
    assert both.factors["left.position"][:, 0].unique().tolist() == [-0.5]
    assert both.factors["right.position"][:, 0].unique().tolist() == [0.5]
    # Another left object changes the left disc, another right object only the right half.
    other = motifs.change(right, "pattern", (right["pattern"] + 1) % 10)
    changed = (motifs.scene(left, other).pixels != both.pixels).any(dim=1)
    assert changed[:, :, 16:].flatten(1).any(dim=1).all()
    assert not changed[:, :, :16].any()
    other = motifs.change(left, "pattern", (left["pattern"] + 1) % 10)
    changed = (motifs.scene(other, right).pixels != both.pixels).any(dim=1)
    assert changed[:, :, :16].flatten(1).any(dim=1).all()
    assert not changed[:, :, 16:].any()


def test_the_left_object_of_a_scene_is_the_object_drawn_alone() -> None:
    left, right = motifs.sample_factors(10, generator(1)), motifs.sample_factors(10, generator(2))
    position = torch.stack([torch.full((10,), -0.5), left["position"][:, 1]], dim=1)
    left["frequency"] = left["frequency"].clamp(min=6)
    alone = motifs.redraw(motifs.change(left, "scale", 0.45), "position", position)
    assert torch.equal(alone.pixels[:, :, :, :16], motifs.scene(left, right).pixels[:, :, :, :16])


# --- quality


@pytest.mark.slow
def test_raw_pixels_do_not_give_the_class_away(train: Images, test: Images) -> None:
    accuracy = knn_accuracy(train.pixels, train.labels, test.pixels, test.labels)
    assert 0.1 < accuracy <= 0.30


def small_net() -> nn.Sequential:
    layers: list[nn.Module] = []
    channels = 3
    for i, width in enumerate((16, 32, 64, 128)):
        convolution = nn.Conv2d(channels, width, 3, stride=2 if i == 0 else 1, padding=1, bias=False)
        layers += [convolution, nn.BatchNorm2d(width), nn.ReLU()]
        if i in (1, 2):
            layers.append(nn.MaxPool2d(2))
        channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def normalised(pixels: Tensor) -> Tensor:
    return (pixels.float() / 255 - 0.45) / 0.22


@torch.no_grad()
def features(net: nn.Module, images: Images) -> Tensor:
    net.eval()
    return torch.cat([net(normalised(part)) for part in images.pixels.split(1000)])


@pytest.mark.slow
def test_an_untrained_encoder_does_not_give_the_class_away(train: Images, test: Images) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = small_net()
    accuracy = knn_accuracy(features(net, train), train.labels, features(net, test), test.labels)
    assert 0.1 < accuracy <= 0.35


@pytest.mark.slow
def test_a_small_supervised_net_learns_the_patterns(train: Images, test: Images) -> None:
    steps = 400
    # Where the processor has no bf16, torch imitates it: one step took 1.3 s instead of 0.2 s there.
    half = native_bf16(torch.device("cpu"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(small_net(), nn.Linear(128, 10)).to(memory_format=torch.channels_last)
        optimiser = torch.optim.AdamW(net.parameters(), lr=4e-3, weight_decay=1e-4, foreach=True)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
        for _ in range(steps):
            index = torch.randint(len(train), (256,))
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                logits = net(normalised(train.pixels[index]).contiguous(memory_format=torch.channels_last))
            optimiser.zero_grad()
            F.cross_entropy(logits.float(), train.labels[index]).backward()
            optimiser.step()
            schedule.step()
    accuracy = (features(net, test).argmax(dim=1) == test.labels).float().mean()
    assert accuracy >= 0.97


# --- bad input


@pytest.mark.parametrize(
    ("factor", "value", "message"),
    [
        ("colour", 0.5, "factor must be one of"),
        ("foreground_hue", 1.5, r"foreground_hue must lie in \[0, 1\]; got 1.5"),
        ("frequency", float("nan"), "frequency must lie in"),
        ("occlusion", -0.1, "occlusion must lie in"),
        ("pattern", 10, r"pattern must lie in \[0, 9\]; got 10"),
        ("position", 0.5, r"value of position must have shape \(2,\) for all images or \(40, 2\)"),
        ("scale", (0.5, 0.6), "value of scale must have shape"),
    ],
)
def test_a_bad_factor_value_is_named(few: Images, factor: str, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        motifs.redraw(few, factor, value)


def test_a_pattern_must_be_a_whole_number(few: Images) -> None:
    with pytest.raises(TypeError, match="pattern must be a whole number"):
        motifs.redraw(few, "pattern", 1.5)


def test_factors_that_do_not_fit_are_named(few: Images) -> None:
    assert few.factors is not None
    lacking = {name: values for name, values in few.factors.items() if name != "scale"}
    with pytest.raises(ValueError, match=r"missing: \['scale'\]"):
        motifs.render(lacking)
    with pytest.raises(ValueError, match=r"unknown: \['colour'\]"):
        motifs.render({**few.factors, "colour": few.factors["scale"]})
    with pytest.raises(ValueError, match=r"factors\['scale'\] must be float32 of shape \(40,\)"):
        motifs.render({**few.factors, "scale": few.factors["scale"][:3]})
    with pytest.raises(TypeError, match="factors must be a dict"):
        motifs.render(few.pixels)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="left and right must have the same number"):
        motifs.scene(few.factors, motifs.sample_factors(3, generator()))


def test_images_without_factors_cannot_be_redrawn(few: Images) -> None:
    plain = Images(few.pixels, few.labels, few.class_names)
    with pytest.raises(ValueError, match="source must have known factors"):
        motifs.redraw(plain, "scale", 0.5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "motif"}, "Did you mean 'motifs'"),
        ({"name": "folder:PATH"}, "there is no folder PATH"),
        ({"split": "valid"}, "split must be one of 'train', 'validation', 'test'"),
        ({"limit": 0}, "limit must be >= 1; got 0"),
        ({"seed": -1}, "seed must be >= 0"),
        ({"seed": 2**30}, "seed must be < 2\\^30"),
    ],
)
def test_load_names_the_bad_argument(settings: dict[str, object], message: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        data.load(**{"name": "motifs", "split": "test", **settings})  # type: ignore[arg-type]


def test_a_generator_is_required_and_a_count_checked() -> None:
    with pytest.raises(TypeError, match=r"generator must be a torch\.Generator on the CPU; got 3"):
        motifs.sample_factors(5, 3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="n must be >= 1; got 0"):
        motifs.sample_factors(0, generator())


# --- Images


def test_a_subset_keeps_pixels_labels_and_factors_together(few: Images) -> None:
    assert few.factors is not None
    index = [5, 3, -1]
    for chosen in (index, torch.tensor(index)):
        part = few.subset(chosen)
        assert part.factors is not None
        assert torch.equal(part.pixels, few.pixels[index])
        assert torch.equal(part.labels, few.labels[index])
        assert torch.equal(part.factors["position"], few.factors["position"][index])
    stripes = few.subset(few.labels == 0)
    assert len(stripes) == 4
    assert stripes.labels.unique().tolist() == [0]
    assert len(few.subset(slice(2, 10, 2))) == 4
    assert len(few.subset([])) == 0
    for bad in ([40], [-41], torch.ones(3, dtype=torch.bool), torch.zeros(2, 2, dtype=torch.long)):
        with pytest.raises(IndexError, match="index"):
            few.subset(bad)


def test_images_say_what_they_hold_and_move_as_one(few: Images) -> None:
    assert repr(few) == "Images('motifs', 'drawn': 40 images, 10 classes, 16 factors, cpu)"
    moved = few.to("meta")
    assert moved.factors is not None
    assert {moved.pixels.device.type, moved.labels.device.type, moved.factors["scale"].device.type} == {"meta"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pixels": torch.zeros(4, 3, 32, 32)}, "pixels must be uint8"),
        ({"pixels": torch.zeros(4, 3, 64, 64, dtype=torch.uint8)}, r"pixels must have shape \(N, 3, 32, 32\)"),
        ({"pixels": [1, 2]}, "pixels must be a torch.Tensor of shape"),
        ({"labels": torch.zeros(3, dtype=torch.int64)}, "labels must have one row for each of the 4 images"),
        ({"labels": torch.zeros(4)}, "labels must be int64"),
        ({"labels": torch.full((4,), 2)}, r"labels must lie in \[0, 1\].*from 2 to 2"),
        ({"factors": {"hue": torch.zeros(5)}}, r"factors\['hue'\] must have one row"),
    ],
)
def test_images_that_do_not_fit_together_are_refused(change: dict[str, object], message: str) -> None:
    good = {
        "pixels": torch.zeros(4, 3, 32, 32, dtype=torch.uint8),
        "labels": torch.zeros(4, dtype=torch.int64),
        "class_names": ("a", "b"),
    }
    Images(**good)  # type: ignore[arg-type]
    with pytest.raises((TypeError, ValueError), match=message):
        Images(**{**good, **change})  # type: ignore[arg-type]


@pytest.mark.slow
def test_another_process_draws_the_same_factors() -> None:
    code = (
        "import torch; from jemlib.data import motifs; "
        "print(motifs.load('test', limit=50).factors['noise_seed'].tolist())"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    factors = data.load("motifs", "test", limit=50).factors
    assert factors is not None
    assert told.strip() == str(factors["noise_seed"].tolist())
