"""Trajectories: what changes along one and what must not, the original first, the same pixels for a seed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from oracles import normal
from torch import Tensor, nn
from torch.testing import assert_close

from jemlib.data import Images, motifs
from jemlib.invariance import Trajectories, image_trajectories, measure_invariance, motif_trajectories, ris
from jemlib.invariance import trajectories as module
from jemlib.invariance.trajectories import IMAGE_TRANSFORMATIONS, MOTIF_TRANSFORMATIONS
from jemlib.nets import features

IDENTITY = {"foreground_hue", "background_hue", "saturation", "contrast", "frequency", "phase", "noise_seed"}
CHANGES = {
    "occlusion": {"occlusion"},
    "rotation": {"rotation"},
    "position": {"position"},
    "illumination colour": set(),
    "illumination strength": {"brightness"},
    "illumination direction": {"light_angle"},
    "instance": IDENTITY,
    "instance and rotation": IDENTITY | {"rotation"},
}

each_motif = pytest.mark.parametrize("transformation", MOTIF_TRANSFORMATIONS)
each_image = pytest.mark.parametrize("transformation", IMAGE_TRANSFORMATIONS)


@pytest.fixture(scope="module")
def photos() -> Images:
    """Images without factors: motifs, whose factors are forgotten."""
    images = motifs.load("validation", limit=30)
    return Images(images.pixels, images.labels, images.class_names, name="photos", split="test")


def of_motifs(transformation: str, **settings: Any) -> Trajectories:
    return motif_trajectories(transformation, **{"num_objects": 20, "num_frames": 5, **settings})


def factors(seen: Trajectories) -> dict[str, Tensor]:
    """Factors by trajectory and frame: `(T, F)` or `(T, F, 2)`."""
    assert seen.images.factors is not None
    return {name: values.unflatten(0, (-1, seen.num_frames)) for name, values in seen.images.factors.items()}


# --- all of them -----------------------------------------------------------------------------------------------


def check_layout(seen: Trajectories, transformation: str, t: int, f: int) -> None:
    assert (seen.transformation, seen.num_frames) == (transformation, f)
    assert seen.pixels.shape == (t * f, 3, 32, 32)
    assert seen.pixels.dtype == torch.uint8
    assert seen.trajectories.tolist() == [i for i in range(t) for _ in range(f)]
    assert seen.classes.dtype == torch.int64
    assert torch.equal(seen.frames[3, 2], seen.pixels[3 * f + 2])
    # No two frames of a trajectory are the same picture; of any other object but a circle that is turned.
    moving = [seen.frames[:, i].ne(seen.frames[:, j]).flatten(1).any(dim=1) for i in range(f) for j in range(i)]
    assert torch.stack(moving).float().mean() > 0.8


@each_motif
def test_motif_trajectories_hold_the_same_class_and_frames_that_differ(transformation: str) -> None:
    seen = of_motifs(transformation)
    check_layout(seen, transformation, 20, 5)
    assert torch.equal(seen.classes, factors(seen)["pattern"].flatten())
    assert seen.classes.bincount().tolist() == [10] * 10  # two objects of each class


@each_image
def test_image_trajectories_hold_the_images_classes_and_frames_that_differ(transformation: str, photos: Images) -> None:
    seen = image_trajectories(photos, transformation, num_frames=5)
    check_layout(seen, transformation, 30, 5)
    assert torch.equal(seen.classes, photos.labels.repeat_interleave(5))
    assert (seen.images.class_names, seen.images.factors) == (photos.class_names, None)


@each_motif
def test_the_same_seed_draws_the_same_motifs_and_another_seed_others(transformation: str) -> None:
    state = torch.get_rng_state()
    first, again, other = (of_motifs(transformation, seed=s).pixels for s in (5, 5, 6))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@each_image
def test_the_same_seed_transforms_images_alike(transformation: str, photos: Images) -> None:
    first, again, other = (image_trajectories(photos, transformation, seed=s).pixels for s in (5, 5, 6))
    assert torch.equal(first, again)
    assert torch.equal(first, other) == (transformation not in ("crop", "occlusion"))  # the others draw nothing


# --- motifs ----------------------------------------------------------------------------------------------------


@each_motif
def test_only_the_stated_factors_change_along_a_trajectory(transformation: str) -> None:
    changed = {
        name for name, values in factors(of_motifs(transformation)).items() if bool((values != values[:, :1]).any())
    }
    assert changed == CHANGES[transformation]


@each_motif
def test_the_first_frame_is_the_object_and_the_same_under_every_transformation(transformation: str) -> None:
    seen, plain = of_motifs(transformation), of_motifs("position")
    if transformation == "illumination direction":  # whose light has a direction worth changing
        original = motifs.redraw(
            {name: values[:, 0] for name, values in factors(plain).items()}, "light_strength", module.SLOPE
        )
        assert torch.equal(seen.frames[:, 0], original.pixels)
    else:
        assert torch.equal(seen.frames[:, 0], plain.frames[:, 0])


@each_motif
def test_the_pixels_are_what_motifs_draws_from_the_factors(transformation: str) -> None:
    seen = of_motifs(transformation)
    assert seen.images.factors is not None
    drawn = motifs.draw(seen.images.factors).pixels
    assert torch.equal(drawn, seen.pixels) == (transformation != "illumination colour")


def test_each_factor_takes_the_stated_values() -> None:
    share = torch.linspace(0, 1, 5)
    assert_close(factors(of_motifs("occlusion"))["occlusion"], (0.6 * share).expand(20, 5))
    turned = factors(of_motifs("rotation"))["rotation"]
    assert_close(turned - turned[:, :1], (torch.pi * torch.arange(5) / 5).expand(20, 5))
    bright = factors(of_motifs("illumination strength"))["brightness"]
    assert_close(bright / bright[:, :1], torch.tensor([1, 0.3, 0.3 + 1 / 3, 0.3 + 2 / 3, 1.3]).expand(20, 5))
    angle = factors(of_motifs("illumination direction"))["light_angle"]
    steps = (angle - angle[:, :1]) % motifs.TURN
    assert_close(steps, (motifs.TURN * torch.arange(5) / 5).expand(20, 5), atol=1e-5, rtol=0)
    assert factors(of_motifs("position"))["position"].abs().max() <= 0.5


def test_coloured_light_multiplies_each_channel() -> None:
    seen = of_motifs("illumination colour", num_frames=4)  # white, red, green, blue
    white = seen.frames[:, :1].float()
    gains = torch.tensor([[1, 0.55, 0.55], [0.55, 1, 0.55], [0.55, 0.55, 1]])
    expected = white * gains[None, :, :, None, None]
    assert (seen.frames[:, 1:].float() - expected).abs().max() <= 0.5 + 1e-3  # rounding


def test_the_instances_of_a_trajectory_share_the_viewpoint_and_not_the_looks() -> None:
    seen = factors(of_motifs("instance"))
    for name in ("position", "scale", "rotation", "brightness", "light_angle", "occlusion"):
        assert torch.equal(seen[name], seen[name][:, :1].expand_as(seen[name]))
    assert len(seen["noise_seed"].unique()) == 100


def test_trajectories_hold_none_of_the_images_that_load_draws() -> None:
    drawn = motif_trajectories("rotation", num_objects=200).images.factors
    assert drawn is not None
    for split in ("train", "validation", "test"):
        loaded = motifs.load(split, limit=200).factors
        assert loaded is not None
        assert not set(drawn["noise_seed"].tolist()) & set(loaded["noise_seed"].tolist())


# --- other images ----------------------------------------------------------------------------------------------


@each_image
def test_the_first_frame_is_the_image_itself(transformation: str, photos: Images) -> None:
    assert torch.equal(image_trajectories(photos, transformation).frames[:, 0], photos.pixels)


def test_the_grey_square_grows_and_covers_what_it_covered(photos: Images) -> None:
    white = Images(torch.full_like(photos.pixels, 255), photos.labels, photos.class_names)
    frames = image_trajectories(white, "occlusion", num_frames=6).frames
    assert frames.unique().tolist() == [128, 255]
    grey = (frames == 128).all(dim=2)
    assert torch.equal(grey, (frames == 128).any(dim=2))  # all three channels
    for k in range(6):
        side = round(32 * (0.6 * k / 5) ** 0.5)
        assert (grey[:, k].sum(dim=(1, 2)) == side * side).all()
        assert (grey[:, k].any(dim=1).sum(dim=1) == side).all()  # a square
        assert not (grey[:, max(k - 1, 0)] & ~grey[:, k]).any()
    assert len(grey[:, 1].flatten(1).unique(dim=0)) > 10  # at a place of its own in each image


def test_what_the_square_leaves_is_the_image(photos: Images) -> None:
    frames = image_trajectories(photos, "occlusion").frames
    differs = (frames != frames[:, :1]).any(dim=2)
    assert (frames.movedim(2, -1)[differs] == 128).all()


def test_a_crop_shows_no_pixel_that_is_not_between_those_of_the_image(photos: Images) -> None:
    frames = image_trajectories(photos, "crop").frames.flatten(3)
    low, high = frames[:, 0].amin(dim=2), frames[:, 0].amax(dim=2)
    assert (frames.amin(dim=3) >= low[:, None]).all()
    assert (frames.amax(dim=3) <= high[:, None]).all()
    ramp = Images(torch.arange(0, 256, 8, dtype=torch.uint8).expand(4, 3, 32, 32), torch.arange(4), ("a",) * 4)
    across = image_trajectories(ramp, "crop").frames[:, :, 0, 0].float().diff(dim=-1)
    assert (across >= 0).all()  # no flips


def test_another_hue_keeps_the_largest_and_the_smallest_channel_of_each_pixel(photos: Images) -> None:
    frames = image_trajectories(photos, "hue").frames.float()
    for extreme in (frames.amin(dim=2), frames.amax(dim=2)):
        assert (extreme - extreme[:, :1]).abs().max() <= 1


def test_light_multiplies_the_pixels(photos: Images) -> None:
    original = photos.pixels.float()
    strength = image_trajectories(photos, "illumination strength", num_frames=3).frames.float()
    for k, gain in ((1, 0.3), (2, 1.3)):
        assert_close(strength[:, k], (original * gain).clamp(max=255), atol=0.51, rtol=0)
    red = image_trajectories(photos, "illumination colour", num_frames=4).frames[:, 1].float()
    assert torch.equal(red[:, 0], original[:, 0])
    assert_close(red[:, 1:], original[:, 1:] * 0.55, atol=0.51, rtol=0)


def test_a_limit_takes_some_of_the_images_by_the_seed(photos: Images) -> None:
    first, other = (image_trajectories(photos, "hue", limit=7, seed=s) for s in (0, 1))
    assert len(first.frames) == 7
    assert not torch.equal(first.frames[:, 0], other.frames[:, 0])
    known = {image.numpy().tobytes() for image in photos.pixels}
    assert {image.numpy().tobytes() for image in first.frames[:, 0]} <= known


# --- measuring -------------------------------------------------------------------------------------------------


class MeanColour(nn.Module):
    """Each unit says how near the mean colour of the image is to a colour of its own."""

    def forward(self, x: Tensor) -> Tensor:
        return -torch.cdist(x.mean(dim=(2, 3)), normal(0, 60, 3, dtype=torch.float32))


def test_measure_invariance_is_ris_of_the_features() -> None:
    seen = of_motifs("occlusion", num_objects=30)
    h = features(MeanColour(), seen.images)
    for variant in ("definition", "official"):
        ours = measure_invariance(MeanColour(), seen, k=4, variant=variant, seed=2)
        theirs = ris(h, seen.trajectories, seen.classes, 4, variant, seed=2)
        assert (ours.score, ours.shuffled, ours.null) == (theirs.score, theirs.shuffled, theirs.null)


def test_the_mean_colour_is_invariant_to_what_leaves_it_alone() -> None:
    # One object for each class, so that there is nothing to know but the trajectory.
    found = {name: measure_invariance(MeanColour(), of_motifs(name, num_objects=10), k=1) for name in CHANGES}
    for name in ("occlusion", "rotation", "position", "illumination direction"):
        assert found[name].percent > 80, name
    for name in ("illumination colour", "illumination strength", "instance", "instance and rotation"):
        assert found[name].percent < 65, name
    assert found["position"].score > 2 * found["position"].null
    assert found["illumination colour"].score < 1.2 * found["illumination colour"].null


# --- bad input -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"transformation": "rotations"}, ValueError, "Did you mean 'rotation'"),
        ({"transformation": "crop"}, ValueError, "transformation must be one of 'occlusion'"),
        ({"num_objects": 1}, ValueError, "num_objects must be >= 2; got 1"),
        ({"num_frames": 1}, ValueError, "num_frames must be >= 2; got 1"),
        ({"num_frames": 2.5}, TypeError, "num_frames must be a whole number"),
        ({"seed": -1}, ValueError, "seed must be >= 0"),
        ({"seed": 2**30}, ValueError, r"seed must be < 2\^30"),
    ],
)
def test_motif_trajectories_names_the_bad_argument(change: dict[str, Any], error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        motif_trajectories(**{"transformation": "rotation", "num_objects": 10, **change})


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"transformation": "rotation"}, ValueError, "transformation must be one of 'crop'"),
        ({"images": torch.zeros(3, 3, 32, 32)}, TypeError, "images must be Images; got Tensor"),
        ({"num_frames": 0}, ValueError, "num_frames must be >= 2; got 0"),
        ({"seed": 0.5}, TypeError, "seed must be a whole number"),
        ({"limit": 0}, ValueError, "limit must be >= 1; got 0"),
    ],
)
def test_image_trajectories_names_the_bad_argument(
    change: dict[str, Any], error: Any, message: str, photos: Images
) -> None:
    with pytest.raises(error, match=message):
        image_trajectories(**{"images": photos, "transformation": "hue", **change})
    with pytest.raises(ValueError, match="images must hold at least one image; got none"):
        image_trajectories(photos.subset([]), "hue")


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda p: Trajectories(p.pixels, 2, "none"), TypeError, "images must be Images"),
        (lambda p: Trajectories(p, 1, "none"), ValueError, "num_frames must be >= 2"),
        (lambda p: Trajectories(p, 4, "none"), ValueError, "a whole number of trajectories of 4 frames; got 30"),
        (lambda p: Trajectories(p, 2, "none"), ValueError, "one label along each trajectory"),
        (lambda p: measure_invariance(MeanColour(), p), TypeError, "trajectories must be Trajectories; got Images"),
    ],
)
def test_images_that_are_no_trajectories_are_refused(
    make: Callable[[Images], object], error: Any, message: str, photos: Images
) -> None:
    with pytest.raises(error, match=message):
        make(photos)
