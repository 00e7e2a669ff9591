"""What lesson 04 claims about VICReg, measured."""

from __future__ import annotations

from functools import lru_cache

import torch

from jemlib.course.machinery.claims import Claim, register
from jemlib.course.machinery.lessons import lesson_of
from jemlib.course.machinery.runs import columns, splits, trained
from jemlib.data import Images
from jemlib.diagnose import correlation_offdiagonal, rankme
from jemlib.evaluate import backbone_knn, embeddings
from jemlib.methods import Method
from jemlib.nets import evaluating
from jemlib.scales import Scale
from jemlib.views import make_views

LESSON = lesson_of(__name__)
REMOVALS: dict[str, dict[str, float]] = {
    "all": {},
    "no invariance": {"invariance": 0.0},
    "no variance": {"variance": 0.0},
    "no covariance": {"covariance": 0.0},
}
FRACTION = 1 / 3  # of the scale's steps, for every run


@lru_cache(maxsize=32)
def measured(seed: int, scale: Scale, removal: str | None) -> dict[str, float]:
    """kNN of the backbone; spread, RankMe, rms correlation and view gap of the embeddings; all on the held-out images.

    `removal` names an entry of REMOVALS; None leaves the network untrained. Kept, because several claims ask for the
    same run. The spread is the mean standard deviation of the dimensions, in the units of the embeddings: VICReg has
    no batch norm at the output that would hide a collapse.
    """
    train, held_out = splits(scale)
    method = trained("vicreg", seed, scale, None if removal is None else FRACTION, **REMOVALS[removal or "all"])
    z = embeddings(method, held_out)
    return {
        "knn": backbone_knn(method.backbone, train, held_out),
        "spread": float(z.std(dim=0).mean()),
        "rankme": float(rankme(z)),
        "correlation": float(correlation_offdiagonal(z)),
        "gap": view_gap(method, held_out),
    }


def view_gap(method: Method, images: Images) -> float:
    """Mean squared distance of two views of an image over that of views of two images: 0 is invariant, 1 is not."""
    pair = make_views(images.pixels[:512], "vicreg", generator=torch.Generator().manual_seed(1))
    with evaluating(method):
        device = next(method.parameters()).device
        z_a, z_b = (method.embed(view.to(device)).float() for view in pair)
    same, other = ((z_a - z).square().sum(dim=1).mean() for z in (z_b, z_b.roll(1, dims=0)))
    return float(same / other)


register(
    Claim(
        id="vicreg.learns",
        statement="VICReg learns the pattern without labels: its kNN beats the same backbone untrained.",
        lesson=LESSON,
        criterion="kNN trained >= kNN untrained + 0.30",
        measure=columns(measured, trained=("knn", "all"), untrained=("knn", None)),
        holds=lambda n: n["trained"] >= n["untrained"] + 0.30,
    )
)
register(
    Claim(
        id="vicreg.no-variance-shrinks",
        statement="Without the variance term the embeddings shrink towards a constant.",
        lesson=LESSON,
        criterion="mean standard deviation without the term <= 1/5 of that with it",
        measure=columns(measured, all=("spread", "all"), removed=("spread", "no variance")),
        holds=lambda n: n["removed"] <= 0.2 * n["all"],
    )
)
register(
    Claim(
        id="vicreg.no-covariance-copies",
        statement="Without the covariance term the dimensions repeat each other.",
        lesson=LESSON,
        criterion="rms correlation without the term >= 2 x with it",
        measure=columns(measured, all=("correlation", "all"), removed=("correlation", "no covariance")),
        holds=lambda n: n["removed"] >= 2 * n["all"],
    )
)
register(
    Claim(
        id="vicreg.covariance-keeps-rank",
        statement="Without the covariance term the embeddings use fewer directions.",
        lesson=LESSON,
        criterion="RankMe without the term <= half of RankMe with it",
        measure=columns(measured, all=("rankme", "all"), removed=("rankme", "no covariance")),
        holds=lambda n: n["removed"] <= 0.5 * n["all"],
    )
)
register(
    Claim(
        id="vicreg.invariance-brings-views-together",
        statement="Without the invariance term two views of an image lie much further apart.",
        lesson=LESSON,
        criterion="distance of two views, relative to two images: without the term >= 2 x with it",
        measure=columns(measured, all=("gap", "all"), removed=("gap", "no invariance")),
        holds=lambda n: n["removed"] >= 2 * n["all"],
    )
)
register(
    Claim(
        id="vicreg.invariance-helps-the-features",
        statement="Without the invariance term the features say less about the pattern.",
        lesson=LESSON,
        criterion="kNN without the term <= kNN with it - 0.05",
        measure=columns(measured, all=("knn", "all"), removed=("knn", "no invariance")),
        holds=lambda n: n["removed"] <= n["all"] - 0.05,
    )
)
