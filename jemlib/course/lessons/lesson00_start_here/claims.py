"""What lesson 00 claims about views and baselines, measured."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from jemlib.course.machinery.claims import Claim, register
from jemlib.course.machinery.lessons import lesson_of
from jemlib.course.machinery.runs import splits, trained
from jemlib.evaluate import backbone_knn
from jemlib.scales import Scale
from jemlib.views import PRESETS, Recipe

LESSON = lesson_of(__name__)
FULL = PRESETS["vicreg"][0]
RECIPES: dict[str, Recipe] = {
    "full": FULL,
    "no crop": replace(FULL, crop_scale=None),
    "no colours": replace(FULL, jitter_probability=0.0, grey=0.0, solarize=0.0),
    "none": PRESETS["none"][0],
}
FRACTION = 1 / 3  # of the scale's steps, for every run


@lru_cache(maxsize=32)
def knn_after(seed: int, scale: Scale, recipe: str | None) -> float:
    """kNN of SimCLR's backbone after a third of the steps, its views drawn by an entry of RECIPES; None: untrained."""
    train, held_out = splits(scale)
    method = trained("simclr", seed, scale, None if recipe is None else FRACTION, views=RECIPES[recipe or "full"])
    return backbone_knn(method.backbone, train, held_out)


@lru_cache(maxsize=32)
def knn_supervised(seed: int, scale: Scale) -> float:
    """kNN of the same backbone after as many steps with labels."""
    train, held_out = splits(scale)
    labelled = trained("supervised", seed, scale, FRACTION, classes=len(train.class_names))
    return backbone_knn(labelled.backbone, train, held_out)


register(
    Claim(
        id="start.views-teach",
        statement="Views teach the pattern without labels: kNN beats the same backbone untrained.",
        lesson=LESSON,
        criterion="kNN trained >= kNN untrained + 0.20",
        measure=lambda seed, scale: {
            "trained": knn_after(seed, scale, "full"),
            "untrained": knn_after(seed, scale, None),
        },
        holds=lambda n: n["trained"] >= n["untrained"] + 0.20,
    )
)
register(
    Claim(
        id="start.labels-teach-more",
        statement="In as many steps, the same backbone trained with labels comes out above.",
        lesson=LESSON,
        criterion="kNN supervised >= kNN trained without labels + 0.02",
        measure=lambda seed, scale: {
            "supervised": knn_supervised(seed, scale),
            "trained": knn_after(seed, scale, "full"),
        },
        holds=lambda n: n["supervised"] >= n["trained"] + 0.02,
    )
)
register(
    Claim(
        id="start.no-views-no-learning",
        statement="With two identical views the same loss teaches far less.",
        lesson=LESSON,
        criterion="kNN without augmentation <= kNN with it - 0.20",
        measure=lambda seed, scale: {
            "full": knn_after(seed, scale, "full"),
            "none": knn_after(seed, scale, "none"),
        },
        holds=lambda n: n["none"] <= n["full"] - 0.20,
    )
)
register(
    Claim(
        id="start.colours-matter-more-than-crops-here",
        statement="On motifs, views without changes of colour teach far less than views without a crop.",
        lesson=LESSON,
        criterion="kNN without colour changes <= kNN without the crop - 0.20",
        measure=lambda seed, scale: {
            "no_crop": knn_after(seed, scale, "no crop"),
            "no_colours": knn_after(seed, scale, "no colours"),
        },
        holds=lambda n: n["no_colours"] <= n["no_crop"] - 0.20,
    )
)
