"""Views: each operation against torchvision image by image, each distribution against torchvision's own draws."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
import torchvision.transforms.v2 as T
import torchvision.transforms.v2.functional as F
from scipy.stats import ks_2samp
from torch import Tensor
from torchvision.transforms import InterpolationMode, RandomResizedCrop

from jemlib.views import LOCAL_CROP, PRESETS, Recipe, make_views
from jemlib.views import making as views
from jemlib.views.recipes import ViewParameters

CLOSE = 2 / 255
EVERYTHING = Recipe(blur=0.5, solarize=0.5)


def photos(n: int = 16, height: int = 32, width: int = 32, seed: int = 0) -> Tensor:
    """Smooth coloured uint8 images with a little noise, dark and bright ones."""
    g = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, 3, 4, 4, generator=g)
    smooth = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bilinear")
    return (smooth + 0.1 * torch.rand(n, 3, height, width, generator=g)).mul(240).clamp(0, 255).to(torch.uint8)


def floats(n: int = 16, height: int = 32, width: int = 32) -> Tensor:
    return photos(n, height, width).float() / 255


def draw(recipe: Recipe, n: int, height: int = 32, width: int = 32, seed: int = 0) -> ViewParameters:
    g = torch.Generator().manual_seed(seed)
    return views.draw_parameters(recipe, n, height, width, generator=g, device=torch.device("cpu"))


def assert_close(ours: Tensor, theirs: list[Tensor], atol: float = CLOSE) -> None:
    torch.testing.assert_close(ours, torch.stack(theirs), atol=atol, rtol=0)


# ---------------------------------------------------------------------------------------------------------------------
# Each operation is torchvision's


@pytest.mark.parametrize(
    ("height", "width", "size"), [(32, 32, 32), (40, 48, 32), (96, 70, 32), (20, 33, 24), (9, 5, 7)]
)
def test_crop_resize_and_flip_are_torchvisions(height: int, width: int, size: int) -> None:
    x, p = floats(24, height, width), draw(PRESETS["simclr"][0], 24, height, width)
    ours = views.crop_and_resize(x, p.box, p.flip, size)
    theirs = []
    for image, box, flip in zip(x, p.box.tolist(), p.flip):
        cut = F.resized_crop(image, *box, size=[size, size], interpolation=InterpolationMode.BILINEAR, antialias=True)
        theirs.append(F.horizontal_flip(cut) if flip else cut)
    assert p.flip.any()
    assert not p.flip.all()
    assert_close(ours, theirs, atol=1e-5)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (views.adjust_brightness, F.adjust_brightness),
        (views.adjust_contrast, F.adjust_contrast),
        (views.adjust_saturation, F.adjust_saturation),
    ],
)
def test_jitter_factors_are_torchvisions(ours, theirs) -> None:  # type: ignore[no-untyped-def]
    x = floats(16)
    factor = torch.linspace(0, 2.5, 16)
    assert_close(ours(x, factor), [theirs(image, f.item()) for image, f in zip(x, factor)], atol=1e-5)


def test_hue_shift_is_torchvisions() -> None:
    x = floats(21)
    shift = torch.linspace(-0.5, 0.5, 21)
    assert_close(views.adjust_hue(x, shift), [F.adjust_hue(image, s.item()) for image, s in zip(x, shift)], atol=1e-4)


def test_hue_shift_is_torchvisions_on_every_corner_of_the_colour_cube() -> None:
    # Greys, equal channels and pure colours are where the formula changes from one case to the next.
    levels = torch.tensor([0.0, 0.25, 0.5, 1.0])
    colours = torch.cartesian_prod(levels, levels, levels).T.reshape(3, 8, 8)
    shift = torch.linspace(-0.5, 0.5, 13)
    x = colours.expand(13, 3, 8, 8)
    assert_close(views.adjust_hue(x, shift), [F.adjust_hue(image, s.item()) for image, s in zip(x, shift)], atol=1e-4)


def test_grey_is_torchvisions_and_only_where_asked() -> None:
    x = floats(6)
    which = torch.tensor([True, False, True, True, False, False])
    theirs = [F.rgb_to_grayscale(image, 3) if w else image for image, w in zip(x, which)]
    assert_close(views.to_grey(x, which), theirs, atol=1e-6)


def test_blur_is_torchvisions_with_a_kernel_of_three_pixels() -> None:
    x = floats(8)
    sigma = torch.tensor([0.0, 0.1, 0.3, 0.5, 0.8, 1.0, 1.5, 2.0])
    theirs = [F.gaussian_blur(image, [3, 3], [s.item()] * 2) if s > 0 else image for image, s in zip(x, sigma)]
    assert_close(views.blur(x, sigma), theirs, atol=1e-5)


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 1.0])
def test_solarize_is_torchvisions_and_only_where_asked(threshold: float) -> None:
    x = floats(6)
    which = torch.tensor([True, False, True, True, False, False])
    theirs = [F.solarize(image, threshold) if w else image for image, w in zip(x, which)]
    assert_close(views.solarize(x, which, threshold), theirs, atol=0)


def test_operations_leave_their_input_alone() -> None:
    x = floats(4)
    before, ones, yes = x.clone(), torch.full((4,), 0.3), torch.ones(4, dtype=torch.bool)
    box = torch.tensor([[2, 3, 20, 10]]).expand(4, 4)
    for result in (
        views.crop_and_resize(x, box, yes),
        views.adjust_brightness(x, ones),
        views.adjust_contrast(x, ones),
        views.adjust_saturation(x, ones),
        views.adjust_hue(x, ones),
        views.to_grey(x, yes),
        views.blur(x, ones),
        views.solarize(x, yes),
    ):
        assert not torch.equal(result, before)
        assert torch.equal(x, before)


# ---------------------------------------------------------------------------------------------------------------------
# Each distribution is torchvision's

DRAWS = 4000


def assert_same_distribution(name: str, ours: Tensor, theirs: Tensor) -> None:
    p_value = ks_2samp(ours.double().numpy(), theirs.double().numpy()).pvalue
    assert p_value > 0.001, f"{name}: our draws and torchvision's differ, p = {p_value:.2g}"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("height", "width", "scale", "ratio"),
    [
        (32, 32, (0.08, 1.0), (3 / 4, 4 / 3)),
        (32, 32, (0.8, 1.0), (3 / 4, 4 / 3)),  # large crops: candidates are often rejected
        (40, 160, (0.5, 1.0), (3 / 4, 4 / 3)),  # nothing fits: the central crop
        (30, 48, (0.2, 1.0), (1.0, 2.0)),
    ],
)
def test_crop_boxes_have_torchvisions_distribution(
    height: int, width: int, scale: tuple[float, float], ratio: tuple[float, float]
) -> None:
    torch.manual_seed(0)
    ours = draw(Recipe(crop_scale=scale, crop_ratio=ratio), DRAWS, height, width).box.double()
    image = torch.empty(3, height, width)
    theirs = torch.tensor(
        [RandomResizedCrop.get_params(image, list(scale), list(ratio)) for _ in range(DRAWS)], dtype=torch.float64
    )
    quantities = {
        "area": lambda b: b[:, 2] * b[:, 3],
        "aspect": lambda b: b[:, 3] / b[:, 2],
        "top": lambda b: b[:, 0],
        "left": lambda b: b[:, 1],
        # where the box lies in the room it has, which its size does not decide
        "place": lambda b: (b[:, 0] + 0.5) / (height - b[:, 2] + 1),
    }
    for name, of in quantities.items():
        assert_same_distribution(name, of(ours), of(theirs))


def test_crop_that_never_fits_is_torchvisions_central_crop() -> None:
    for height, width in ((20, 100), (100, 20)):
        theirs = RandomResizedCrop.get_params(torch.empty(3, height, width), [1.0, 1.0], [0.75, 4 / 3])
        ours = draw(Recipe(crop_scale=(1.0, 1.0)), 5, height, width).box
        assert ours.tolist() == [list(theirs)] * 5


def test_boxes_lie_inside_the_image() -> None:
    for height, width in ((32, 32), (40, 48), (1, 1), (3, 50)):
        top, left, h, w = draw(Recipe(), 3000, height, width).box.T
        assert (top >= 0).all()
        assert (left >= 0).all()
        assert (h >= 1).all()
        assert (w >= 1).all()
        assert (top + h <= height).all()
        assert (left + w <= width).all()


@pytest.mark.parametrize("strengths", [(0.4, 0.4, 0.4, 0.1), (0.8, 1.5, 0.2, 0.5)])
def test_jitter_factors_have_torchvisions_distribution(strengths: tuple[float, float, float, float]) -> None:
    torch.manual_seed(1)
    p = draw(Recipe(jitter=strengths, jitter_probability=1.0), DRAWS)
    transform = T.ColorJitter(*strengths)
    drawn = [transform.make_params([]) for _ in range(DRAWS)]
    for name, ours in zip(
        ("brightness", "contrast", "saturation", "hue"), (p.brightness, p.contrast, p.saturation, p.hue)
    ):
        theirs = torch.tensor([float(d[f"{name}_factor"]) for d in drawn])
        assert_same_distribution(name, ours, theirs)


def test_probabilities_are_the_recipes() -> None:
    recipe = Recipe(flip=0.5, jitter_probability=0.8, grey=0.2, blur=0.3, solarize=0.1)
    n = 20_000
    p = draw(recipe, n)
    for name, which, wanted in (
        ("flip", p.flip, 0.5),
        ("jitter", p.jittered, 0.8),
        ("grey", p.grey, 0.2),
        ("blur", p.sigma > 0, 0.3),
        ("solarize", p.solarize, 0.1),
    ):
        deviation = math.sqrt(wanted * (1 - wanted) / n)
        assert abs(which.double().mean().item() - wanted) < 4 * deviation, name
    blurred = p.sigma[p.sigma > 0]
    assert_same_distribution("sigma", blurred, torch.linspace(0.1, 2.0, 5000))


def test_an_operation_of_probability_zero_or_one_happens_never_or_always() -> None:
    never = draw(Recipe(flip=0.0, jitter_probability=0.0, grey=0.0), 2000)
    always = draw(Recipe(flip=1.0, jitter_probability=1.0, grey=1.0, blur=1.0, solarize=1.0), 2000)
    for which in (never.flip, never.jittered, never.grey, never.sigma > 0, never.solarize):
        assert not which.any()
    for which in (always.flip, always.jittered, always.grey, always.sigma > 0, always.solarize):
        assert which.all()


def test_the_three_jitters_come_in_every_order_equally_often() -> None:
    n = 12_000
    order = draw(Recipe(), n).order
    assert torch.equal(order.sort(dim=1).values, torch.arange(3).expand(n, 3))
    counts = (order @ torch.tensor([9, 3, 1])).unique(return_counts=True)[1]
    assert len(counts) == 6
    assert ((counts - n / 6).abs() < 4 * math.sqrt(n * (1 / 6) * (5 / 6))).all()


def test_samples_without_jitter_keep_neutral_factors() -> None:
    p = draw(Recipe(jitter_probability=0.5), 500)
    off = ~p.jittered
    assert off.any()
    for factor in (p.brightness, p.contrast, p.saturation):
        assert (factor[off] == 1).all()
        assert (factor[~off] != 1).any()
    assert (p.hue[off] == 0).all()


@pytest.mark.slow
def test_jittered_colours_have_torchvisions_distribution_although_the_hue_comes_last() -> None:
    torch.manual_seed(0)
    image = photos(1, seed=3)
    n = 1500
    recipe = Recipe(crop_scale=None, flip=0.0, jitter_probability=1.0, grey=0.0)
    g = torch.Generator().manual_seed(0)
    ours = views.denormalize(make_views(image.expand(n, -1, -1, -1), recipe, num_views=1, generator=g)[0])
    jitter, picture = T.ColorJitter(*recipe.jitter), F.to_pil_image(image[0])
    theirs = torch.stack([F.to_image(jitter(picture)).float() / 255 for _ in range(n)])  # the quicker form of theirs
    for name, of in (
        ("red", lambda x: x[:, 0].mean((1, 2))),
        ("blue", lambda x: x[:, 2].mean((1, 2))),
        ("spread", lambda x: x.std((1, 2, 3))),
        ("colourfulness", lambda x: (x.amax(1) - x.amin(1)).mean((1, 2))),
    ):
        assert_same_distribution(name, of(ours), of(theirs))


# ---------------------------------------------------------------------------------------------------------------------
# make_views


@pytest.mark.parametrize("preset", list(PRESETS))
@pytest.mark.parametrize(("height", "width"), [(32, 32), (40, 48), (17, 64)])
def test_views_have_the_promised_shape_type_and_range(preset: str, height: int, width: int) -> None:
    out = make_views(photos(5, height, width), preset, num_views=3)
    assert out.shape == (3, 5, 3, 32, 32)
    assert out.dtype == torch.float32
    assert out.is_contiguous()
    mean, std = torch.tensor(views.MEAN).view(3, 1, 1), torch.tensor(views.STD).view(3, 1, 1)
    raw = out * std + mean
    assert raw.min() >= -1e-5
    assert raw.max() <= 1 + 1e-5


@pytest.mark.parametrize("preset", [name for name in PRESETS if name != "none"])
def test_same_seed_gives_the_same_views_and_another_seed_others(preset: str) -> None:
    pixels = photos(20)
    a, b, c = (make_views(pixels, preset, generator=torch.Generator().manual_seed(s)) for s in (7, 7, 8))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_without_a_generator_the_global_seed_decides() -> None:
    pixels = photos(6)
    torch.manual_seed(3)
    a = make_views(pixels, "simclr")
    torch.manual_seed(3)
    assert torch.equal(a, make_views(pixels, "simclr"))
    assert not torch.equal(a, make_views(pixels, "simclr"))


def test_a_generator_leaves_the_global_one_alone() -> None:
    before = torch.get_rng_state()
    make_views(photos(4), "byol", generator=torch.Generator().manual_seed(0))
    assert torch.equal(before, torch.get_rng_state())


def test_no_two_samples_share_a_crop_or_a_colour() -> None:
    # The fault of torchvision's transforms on a batch: one draw for all samples.
    pixels = photos(1).expand(64, -1, -1, -1)
    out, drawn = make_views(pixels, "simclr", generator=torch.Generator().manual_seed(0), return_parameters=True)
    everything = out.flatten(0, 1).flatten(1)
    assert torch.pdist(everything).min() > 1e-3
    for p in drawn:
        assert len(p.box.unique(dim=0)) > 55
        assert len(p.brightness[p.jittered].unique()) == int(p.jittered.sum())


@pytest.mark.parametrize("preset", [name for name in PRESETS if name != "none"])
def test_the_views_of_a_sample_differ(preset: str) -> None:
    out = make_views(photos(32), preset, num_views=4, generator=torch.Generator().manual_seed(0))
    for a in range(4):
        for b in range(a):
            assert ((out[a] - out[b]).abs().amax(dim=(1, 2, 3)) > 1e-3).all()


def test_a_sample_depends_on_no_other_sample() -> None:
    pixels = photos(100)
    changed = pixels.clone()
    changed[1:] = 255 - changed[1:]
    a, b = (make_views(p, EVERYTHING, generator=torch.Generator().manual_seed(0)) for p in (pixels, changed))
    assert torch.equal(a[:, 0], b[:, 0])
    assert not torch.equal(a[:, 1], b[:, 1])


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_the_size_of_a_chunk_changes_nothing(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = photos(50, 40, 48)
    before = make_views(pixels, EVERYTHING, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(views, "CHUNK", chunk)
    after = make_views(pixels, EVERYTHING, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(before, after, atol=1e-5, rtol=0)


def one_after_another(row: torch.Tensor, p: views.ViewParameters, i: int) -> torch.Tensor:
    """Brightness, contrast and saturation of sample i by their formulas, in its order, without clamping."""
    luma = torch.tensor(views.LUMA).view(1, 3, 1, 1)
    for k in p.order[i].tolist():
        factor = (p.brightness, p.contrast, p.saturation)[k][i]
        grey = (row * luma).sum(dim=1, keepdim=True)
        row = factor * row + (1 - factor) * (torch.zeros(1), grey.mean(), grey)[k]
    return row


def test_clamping_once_or_after_each_operation_differs_in_few_values() -> None:
    """The documented difference from ColorJitter, in figures: few values, and those by little on average."""
    pixels = photos(200)
    _, (p,) = make_views(
        pixels, "simclr", num_views=1, generator=torch.Generator().manual_seed(0), return_parameters=True
    )
    each = (views.adjust_brightness, views.adjust_contrast, views.adjust_saturation)
    differences = []
    for i in range(200):
        clamped = row = pixels[i : i + 1] / 255
        for k in p.order[i].tolist():
            clamped = each[k](clamped, (p.brightness, p.contrast, p.saturation)[k][i : i + 1])
        differences.append((clamped - one_after_another(row, p, i).clamp(0, 1)).abs())
    difference = torch.stack(differences)
    assert 0 < (difference > 2 / 255).float().mean() < 0.1
    assert difference.mean() < 1 / 255


@pytest.mark.parametrize(("height", "width"), [(32, 32), (40, 48)])
def test_views_are_the_public_operations_applied_with_the_returned_parameters(height: int, width: int) -> None:
    pixels = photos(90, height, width)
    g = torch.Generator().manual_seed(0)
    out, drawn = make_views(pixels, EVERYTHING, num_views=2, generator=g, return_parameters=True)
    for view, p in zip(out, drawn):
        x = views.crop_and_resize(pixels.float() / 255, p.box, p.flip)
        rows = []
        for i in range(90):
            row, one = x[i : i + 1], slice(i, i + 1)
            row = one_after_another(row, p, i).clamp(0, 1)
            row = views.to_grey(views.adjust_hue(row, p.hue[one]), p.grey[one])
            rows.append(views.solarize(views.blur(row, p.sigma[one]), p.solarize[one]))
        expected = torch.cat(rows)
        # A value at the threshold of solarize itself may fall to either side.
        near = (1 - 2 * expected).abs() < 1e-4
        difference = (views.denormalize(view) - expected).abs()
        assert difference[~near].max() < 1e-4


def test_only_the_second_byol_view_is_solarised() -> None:
    _, drawn = make_views(photos(200), "byol", num_views=4, return_parameters=True)
    assert [bool(p.solarize.any()) for p in drawn] == [False, True, False, True]


def test_a_recipe_and_a_sequence_of_recipes_are_presets_too() -> None:
    pixels = photos(8)
    plain = PRESETS["none"][0]
    assert torch.equal(make_views(pixels, plain), make_views(pixels, "none"))
    out = make_views(pixels, [plain, replace(plain, flip=1.0)], num_views=3)
    assert torch.equal(out[0], out[2])
    torch.testing.assert_close(out[1], out[0].flip(-1))


@pytest.mark.parametrize(("height", "width"), [(32, 32), (40, 48)])
def test_normalize_is_the_preset_none(height: int, width: int) -> None:
    pixels = photos(70, height, width)
    out = make_views(pixels, "none", num_views=2)
    assert torch.equal(out[0], out[1])
    assert torch.equal(views.normalize(pixels), out[0])
    scaled = F.resize(pixels.float() / 255, [32, 32], antialias=True)
    torch.testing.assert_close(out[0], F.normalize(scaled, list(views.MEAN), list(views.STD)), atol=1e-4, rtol=0)


def test_denormalize_undoes_normalize() -> None:
    pixels = photos(6)
    torch.testing.assert_close(views.denormalize(views.normalize(pixels)), pixels.float() / 255, atol=1e-6, rtol=0)


def test_black_and_white_images_come_out_finite() -> None:
    pixels = torch.cat([torch.zeros(40, 3, 32, 32), torch.full((40, 3, 32, 32), 255)]).to(torch.uint8)
    for preset in PRESETS:
        assert torch.isfinite(make_views(pixels, preset)).all()


def test_an_empty_batch_gives_no_views() -> None:
    assert make_views(photos(1)[:0], "byol").shape == (2, 0, 3, 32, 32)


def test_pixels_that_are_not_contiguous_give_the_same_views() -> None:
    pixels = photos(10, 40, 48)
    for preset in ("vicreg", "none"):
        a = make_views(pixels, preset, generator=torch.Generator().manual_seed(0))
        b = make_views(
            pixels.contiguous(memory_format=torch.channels_last), preset, generator=torch.Generator().manual_seed(0)
        )
        torch.testing.assert_close(a, b, atol=1e-5, rtol=0)


def test_the_number_of_threads_changes_no_view() -> None:
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            results.append(make_views(photos(40), "simclr", generator=torch.Generator().manual_seed(0)))
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(*results, atol=1e-5, rtol=0)


@pytest.mark.cuda
def test_a_gpu_makes_the_same_views_from_the_same_parameters() -> None:
    pixels = photos(64)
    p = draw(EVERYTHING, 64)
    on_cpu, on_gpu = torch.empty(64, 3, 32, 32), torch.empty(64, 3, 32, 32, device="cuda")
    views._apply(pixels, p, EVERYTHING, on_cpu)
    views._apply(pixels.cuda(), ViewParameters(*(value.cuda() for value in p)), EVERYTHING, on_gpu)
    # A value at the threshold of solarize may fall to either side.
    assert ((on_cpu - on_gpu.cpu()).abs() < 1e-2).double().mean() > 0.999


# ---------------------------------------------------------------------------------------------------------------------
# Bad input


@pytest.mark.parametrize(
    ("pixels", "error", "message"),
    [
        (torch.rand(4, 3, 32, 32), TypeError, "pixels must be uint8.*float32"),
        (photos(4)[:, :1], ValueError, r"pixels must have shape \(N, 3, H, W\).*\(4, 1, 32, 32\)"),
        (photos(4)[0], ValueError, r"pixels must have shape \(N, 3, H, W\).*\(3, 32, 32\)"),
        (photos(4)[..., :0], ValueError, r"pixels must have shape"),
        ([1, 2], TypeError, "pixels must be a torch.Tensor of shape.*list"),
    ],
)
def test_bad_pixels_are_named(pixels: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make_views(pixels, "simclr")  # type: ignore[arg-type]
    with pytest.raises(error, match=message):
        views.normalize(pixels)  # type: ignore[arg-type]


def test_an_unknown_preset_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(ValueError, match=r"preset must be one of.*got 'simcrl'.*Did you mean 'simclr'"):
        make_views(photos(2), "simcrl")
    for preset in ((), ["simclr"], 3):
        with pytest.raises(TypeError, match="preset must be a name"):
            make_views(photos(2), preset)  # type: ignore[arg-type]


def test_bad_counts_and_generators_are_named() -> None:
    with pytest.raises(ValueError, match="num_views must be >= 1; got 0"):
        make_views(photos(2), "simclr", num_views=0)
    with pytest.raises(TypeError, match="num_views must be a whole number"):
        make_views(photos(2), "simclr", num_views=2.0)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"generator must be a torch.Generator or None; got 42"):
        make_views(photos(2), "simclr", generator=42)  # type: ignore[arg-type]


def test_a_generator_on_another_device_is_refused() -> None:
    pixels = torch.empty(2, 3, 32, 32, dtype=torch.uint8, device="meta")
    with pytest.raises(ValueError, match="generator must be on the device of the pixels, meta; got one on cpu"):
        make_views(pixels, "simclr", generator=torch.Generator())


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"flip": 1.5}, ValueError, "flip must be .* <= 1; got 1.5"),
        ({"grey": -0.1}, ValueError, "grey must be .* >= 0"),
        ({"solarize": "often"}, TypeError, "solarize must be a finite number"),
        ({"crop_scale": (0.0, 1.0)}, ValueError, "crop_scale, each bound, must be .* > 0"),
        ({"crop_scale": (0.5, 1.2)}, ValueError, "crop_scale, each bound, must be .* <= 1"),
        ({"crop_scale": (0.9, 0.5)}, ValueError, "crop_scale must be .low, high. with low <= high"),
        ({"crop_scale": 0.5}, TypeError, "crop_scale must be a tuple"),
        ({"crop_ratio": (0.0, 1.0)}, ValueError, "crop_ratio, each bound, must be .* > 0"),
        ({"blur_sigma": (0.0, 1.0)}, ValueError, "blur_sigma, each bound, must be .* > 0"),
        ({"jitter": (0.4, 0.4, 0.4)}, TypeError, "jitter must be a tuple .brightness, contrast, saturation, hue."),
        ({"jitter": (0.4, 0.4, 0.4, 0.6)}, ValueError, "jitter, hue, must be .* <= 0.5"),
        ({"jitter": (-0.4, 0.4, 0.4, 0.1)}, ValueError, "jitter, brightness, must be .* >= 0"),
    ],
)
def test_an_impossible_recipe_is_refused(settings: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Recipe(**settings)


def test_operations_name_a_bad_argument() -> None:
    x = floats(4)
    with pytest.raises(ValueError, match=r"factor must have shape \(N,\), N = 4"):
        views.adjust_brightness(x, torch.ones(3))
    with pytest.raises(TypeError, match="x must be floating point; got a uint8"):
        views.adjust_hue(photos(4), torch.zeros(4))
    no = torch.zeros(4, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"box must have shape \(N, 4\), N = 4"):
        views.crop_and_resize(x, torch.zeros(4, 3), no)
    with pytest.raises(TypeError, match="flip must be bool; got a float32"):
        views.crop_and_resize(x, torch.tensor([[0, 0, 9, 9]]).expand(4, 4), no.float())
    for wrong in ([0, 0, 33, 9], [-1, 0, 9, 9], [0, 0, 0, 9], [0, 30, 9, 3]):
        with pytest.raises(ValueError, match=r"box must be .* inside the image of 32 x 32 pixels; got .* for sample 2"):
            views.crop_and_resize(x, torch.tensor([[0, 0, 9, 9], [5, 5, 27, 27], wrong, wrong]), no)
    with pytest.raises(ValueError, match="threshold must be"):
        views.solarize(x, torch.ones(4, dtype=torch.bool), threshold=2.0)
    with pytest.raises(ValueError, match="views must be a floating-point tensor"):
        views.denormalize(photos(4))


def test_small_views_for_multi_crop_have_the_size_that_was_asked_for() -> None:
    pixels = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    small = make_views(pixels, LOCAL_CROP, num_views=3, size=16, generator=torch.Generator().manual_seed(0))
    assert small.shape == (3, 4, 3, 16, 16)
    whole = make_views(pixels, Recipe(crop_scale=None, flip=0, jitter_probability=0, grey=0), num_views=1, size=16)
    scaled = F.resize(pixels, [16, 16], antialias=True).float() / 255
    torch.testing.assert_close(views.denormalize(whole[0]), scaled, atol=2 / 255, rtol=0)


def test_a_size_below_one_pixel_is_refused() -> None:
    with pytest.raises(ValueError, match="size must be >= 1"):
        make_views(torch.zeros(1, 3, 32, 32, dtype=torch.uint8), "none", size=0)
