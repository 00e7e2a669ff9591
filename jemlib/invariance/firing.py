"""What a representation is invariant to: firing units, and the Representation Invariance Score (RIS).

A trajectory is a set of images of one object that differ by one transformation, say how much of it is covered. A unit
fires for an image when it is among its own largest values. A unit that fires on whole trajectories of one class, and
seldom elsewhere, is invariant to the transformation where that class is concerned:

    fires = fire(h, rate=1 / 10)                                      # which of the units fire, for which images
    local = local_firing_rate(fires, trajectories, classes)           # L_y(i): how often on the trajectories of y
    target_conditioned_invariance(local, global_firing_rate(fires))   # I_y(i) = L_y(i) / G(i)
    ris(h, trajectories, classes, k=10)                               # signs chosen, the best k units, two baselines

The score takes the best units of many, so it exceeds 1 for pure noise. It says something only beside its baselines,
which `ris` therefore always measures. Source of all of it: Purushwalkam and Gupta, 2007.13916.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from jemlib import validate

VARIANTS = ("definition", "official")
OFFICIAL_CEILING = 95.0  # percent of the images below the threshold: units fire on 5% or more
OFFICIAL_FRAMES = 3  # it skips trajectories that are shorter


# --- the steps --------------------------------------------------------------------------------------------------


def firing_threshold(h: Tensor, rate: float, signs: Tensor | int = 1) -> Tensor:
    """t_i, the (1 - rate) quantile of `s_i h_i` over the images: `(M, U)` -> `(U,)`.

    Convention: the largest value that does not fire, not a value interpolated between two images. So the same images
    fire whatever increasing function is applied to a unit.

    Args:
        h: `(M, U)` features: M images, M >= 2, U units.
        rate: the share of images on which a unit shall fire, in (0, 1].
        signs: s_i, +1 or -1, one for all units or a tensor `(U,)`.

    Raises:
        TypeError, ValueError: an argument has the wrong type, shape or range, or `h` holds NaN.
    """
    h = validate.embeddings("h", h)
    validate.number("rate", rate, above=0, at_most=1)
    return _threshold(h * _signs(signs, h), rate)


def fire(h: Tensor, rate: float, signs: Tensor | int = 1) -> Tensor:
    """`f_i(x) = 1[ s_i h_i(x) > t_i ]`: `(M, U)` -> `(M, U)` bool, with `t_i` from `firing_threshold`.

    Without ties each unit fires on exactly round(rate * M) images, but on one at least and never on all of them.
    Images that tie with the threshold do not fire: a unit with ties, as a ReLU that is mostly 0, fires less, and a
    constant unit never.

    Args, Raises: as `firing_threshold`.
    """
    h = validate.embeddings("h", h)
    validate.number("rate", rate, above=0, at_most=1)
    signed = h * _signs(signs, h)
    return signed > _threshold(signed, rate)


def global_firing_rate(fires: Tensor) -> Tensor:
    """`G(i) = E_x f_i(x)`, the share of all images on which unit i fires: `(M, U)` -> `(U,)` float64 in [0, 1].

    Args:
        fires: `(M, U)` bool, or numbers that are 0 or 1.

    Raises:
        TypeError, ValueError: `fires` has the wrong type, shape or values.
    """
    return _check_fires(fires).mean(dim=0, dtype=torch.float64)


def local_firing_rate(fires: Tensor, trajectories: Tensor, classes: Tensor) -> Tensor:
    """`L_y(i) = 1/|X_y| sum_{z in X_y} 1/|T(z)| sum_{x in T(z)} f_i(x)`: how often i fires on trajectories of y.

    An average of averages: first over each trajectory, then over the trajectories of a class, so that each of them
    has the same say whatever its length.

    Args:
        fires: `(M, U)` bool, or numbers that are 0 or 1.
        trajectories: `(M,)` integers: the trajectory of each image. Any ids, in any order.
        classes: `(M,)` integers: its class, the same along a trajectory.

    Returns:
        `(C, U)` float64 in [0, 1]; row c belongs to the c-th smallest of the C class ids.

    Raises:
        TypeError, ValueError: wrong types or shapes, or a trajectory holds two classes.
    """
    fires = _check_fires(fires)
    groups = _group(trajectories, classes, fires)
    return _class_means(_trajectory_rates(fires, groups), groups)


def target_conditioned_invariance(local: Tensor, overall: Tensor) -> Tensor:
    """`I_y(i) = L_y(i) / G(i)`: how much more often unit i fires on trajectories of class y than on all images.

    Args:
        local: L, `(C, U)`, as `local_firing_rate` returns.
        overall: G, `(U,)`, as `global_firing_rate` returns.

    Returns:
        `(C, U)` float64, in [0, 1 / G(i)]. When all classes have as many images and all trajectories are equally
        long, the mean over the classes is exactly 1 for every unit that fires. A unit that never fires has G = 0 and
        is invariant to nothing: its I is 0 by convention.

    Raises:
        TypeError, ValueError: wrong types or shapes.
    """
    local = validate.embeddings("local", local, min_samples=1).double()
    overall = validate.tensor("overall", overall, "U", meaning="one for each column of local", U=local.shape[1])
    overall = overall.double()
    # The maximum only keeps 0 / 0 away: where G = 0, L is 0 too.
    return local / overall.clamp(min=torch.finfo(torch.float64).tiny)


# --- the score --------------------------------------------------------------------------------------------------


class RIS(NamedTuple):
    """The score of a representation with the baselines without which it cannot be read."""

    score: float  # RIS_K = mean over classes of the mean of the K largest I_y(i)
    percent: float  # 100 G* RIS_K: how often the chosen units fire on the trajectories of their class, if G is G*
    shuffled: float  # the score when classes are shuffled among the trajectories: no unit knows its class
    null: float  # the score when images are shuffled among the trajectories: what choosing K units makes of noise
    k: int
    variant: str
    target_rate: float  # G*, the firing rate that the thresholds aim at
    classes: Tensor  # (C,) the class id of each row below
    units: Tensor  # (C, K) the chosen units of each class, best first
    invariance: Tensor  # (C, U) I_y(i); float64
    firing_rate: Tensor  # (U,) G(i) as it came out; below G* where values tie, 0 for a dead unit
    signs: Tensor | None  # (U,) +1 or -1; None for the official variant, which has a sign for each trajectory

    @property
    def shuffled_percent(self) -> float:
        """`shuffled` in the unit of `percent`."""
        return 100 * self.target_rate * self.shuffled

    @property
    def null_percent(self) -> float:
        """`null` in the unit of `percent`."""
        return 100 * self.target_rate * self.null


def ris(
    h: Tensor,
    trajectories: Tensor,
    classes: Tensor,
    k: int = 10,
    variant: str = "definition",
    target_rate: float | None = None,
    *,
    num_shuffles: int = 5,
    seed: int = 0,
) -> RIS:
    """Representation Invariance Score: `RIS_K = 1/|Y| sum_y 1/K sum_{i in top-K of I_y} I_y(i)`.

    Each class has its own K units; classes share nothing but the average.

    Convention: two variants, whose numbers must not be compared with each other.

    `definition` is the formula. One sign for each unit: the one with the larger max_y L_y(i), +1 when equal. (The
    rule of the paper is not known to us. A sum over y would not do: it is the same for both signs.) G is measured
    again after thresholding, because ties change it. Flipping a unit changes nothing unless both of its signs are
    equally good; with two balanced classes they always are, and the score then depends on the sign it comes in.

    `official` is what the published code computes: units fire on 5% of the images at least; `>` for L, but `>=` for
    G; one sign for each unit and trajectory, whichever fires more; averages over only those trajectories in which
    the unit fires at all; trajectories with fewer than 3 images skipped in L. Choosing the signs and the trajectories
    after the fact favours noise, and exact ties, as in one-hot or ReLU units, can take a perfect unit to 0.

    Args:
        h: `(M, U)` features of M images, U units, M >= 2.
        trajectories: `(M,)` integers: the trajectory of each image. Any ids, in any order.
        classes: `(M,)` integers: its class, the same along a trajectory; at least two classes.
        k: number of units chosen for each class, 1 <= k <= U; the official code has 10 and 25.
        variant: `definition` or `official`.
        target_rate: G*, in (0, 1]; None for 1 / |Y|, in the official variant no less than 0.05.
        num_shuffles: shuffles averaged for each of the two baselines, >= 1.
        seed: of the shuffles, >= 0.

    Returns:
        RIS. With balanced classes and trajectories equally long the definition's score lies in [1, |Y|] if every unit
        fires. A collapsed representation, in which no unit fires, scores 0; a dead unit has I = 0 and adds nothing.
        Where each class has only one trajectory, shuffling the classes changes nothing and `shuffled` is the score:
        compare with `null`. A unit that fires on very few images, all of one class, reaches the ceiling |Y| whatever
        it misses, because I compares rates; look at `firing_rate`.

    Raises:
        TypeError, ValueError: an argument has the wrong type, shape or range, `h` holds NaN, or a trajectory holds
            two classes.

    Source: Purushwalkam and Gupta, 2007.13916; official variant: senthilps8/demystifyssl, measure_invariances.py.
    """
    h = validate.embeddings("h", h)
    _check_settings(h, k, variant, target_rate, num_shuffles, seed)
    groups = _group(trajectories, classes, h)
    if len(groups.classes) < 2:
        raise ValueError(f"classes must hold at least two classes; got only {int(groups.classes[0])}.")
    prepare, measure = _VARIANTS[variant]
    firing = prepare(h, target_rate, groups)

    def score(shuffled: _Groups) -> float:
        return _top_mean(measure(firing, shuffled).invariance, k)

    found = measure(firing, groups)
    generator = torch.Generator().manual_seed(seed)

    def shuffle(values: Tensor) -> Tensor:
        return values[torch.randperm(len(values), generator=generator).to(values.device)]

    of_classes = [score(groups._replace(class_of=shuffle(groups.class_of))) for _ in range(num_shuffles)]
    of_images = [score(groups._replace(trajectory=shuffle(groups.trajectory))) for _ in range(num_shuffles)]
    result = _top_mean(found.invariance, k)
    return RIS(
        score=result,
        percent=100 * firing.rate * result,
        shuffled=sum(of_classes) / num_shuffles,
        null=sum(of_images) / num_shuffles,
        k=k,
        variant=variant,
        target_rate=firing.rate,
        classes=groups.classes,
        units=found.invariance.topk(k, dim=1).indices,
        invariance=found.invariance,
        firing_rate=found.firing_rate,
        signs=found.signs,
    )


# --- inside -----------------------------------------------------------------------------------------------------


class _Groups(NamedTuple):
    """Images in trajectories in classes, all numbered from 0."""

    trajectory: Tensor  # (M,) of each image
    frames: Tensor  # (T,) number of images of each trajectory
    class_of: Tensor  # (T,) of each trajectory
    classes: Tensor  # (C,) the ids that were given


class _Firing(NamedTuple):
    """What does not depend on the labels: shuffling need not repeat it."""

    fires: tuple[Tensor, Tensor]  # for s = +1 and s = -1, (M, U)
    overall: tuple[Tensor, Tensor]  # the G that L is divided by, for both signs, (U,)
    rate: float  # G*


class _Measured(NamedTuple):
    invariance: Tensor
    firing_rate: Tensor
    signs: Tensor | None


def _threshold(signed: Tensor, rate: float) -> Tensor:
    m = len(signed)
    count = min(max(round(rate * m), 1), m - 1)
    # t = the (count + 1)-th largest value, so that `count` values lie above it
    return signed.kthvalue(m - count, dim=0).values


def _trajectory_rates(fires: Tensor, groups: _Groups) -> Tensor:
    """`1/|T(z)| sum_{x in T(z)} f_i(x)` of each trajectory, `(T, U)` float64."""
    # float32 counts whole numbers exactly up to 2^24
    count = torch.zeros(len(groups.frames), fires.shape[1], device=fires.device)
    return count.index_add_(0, groups.trajectory, fires.float()).double() / groups.frames[:, None]


def _class_means(values: Tensor, groups: _Groups, weights: Tensor | None = None) -> Tensor:
    """Weighted mean over the trajectories of each class, `(T, U)` -> `(C, U)`; 0 where all weights are 0."""
    weights = torch.ones_like(values[:, :1]) if weights is None else weights
    total = values.new_zeros(len(groups.classes), values.shape[1]).index_add_(0, groups.class_of, values * weights)
    weight = values.new_zeros(len(groups.classes), weights.shape[1]).index_add_(0, groups.class_of, weights)
    return total / weight.clamp(min=1)


def _prepare_definition(h: Tensor, target_rate: float | None, groups: _Groups) -> _Firing:
    rate = 1 / len(groups.classes) if target_rate is None else float(target_rate)
    fires = (h > _threshold(h, rate)).float(), (-h > _threshold(-h, rate)).float()
    overall = fires[0].mean(dim=0, dtype=torch.float64), fires[1].mean(dim=0, dtype=torch.float64)
    return _Firing(fires, overall, rate)


def _measure_definition(firing: _Firing, groups: _Groups) -> _Measured:
    up, down = (_class_means(_trajectory_rates(fires, groups), groups) for fires in firing.fires)
    # s_i = argmax_s max_y L_y(i). The margin is for equal rates whose sums round differently.
    positive = up.amax(dim=0) >= down.amax(dim=0) - 1e-9
    overall = torch.where(positive, *firing.overall)
    signs = torch.where(positive, 1, -1)
    return _Measured(target_conditioned_invariance(torch.where(positive, up, down), overall), overall, signs)


def _prepare_official(h: Tensor, target_rate: float | None, groups: _Groups) -> _Firing:
    if int(groups.frames.max()) < OFFICIAL_FRAMES:
        raise ValueError(
            f"trajectories must hold one of at least {OFFICIAL_FRAMES} images, because the official variant skips "
            f"shorter ones; the longest has {int(groups.frames.max())}."
        )
    # G* = max(1/|Y|, 5%)
    percentile = min((1 - 1 / len(groups.classes)) * 100, OFFICIAL_CEILING)
    if target_rate is not None:
        percentile = (1 - float(target_rate)) * 100
    m = len(h)
    index = min(int(m * percentile // 100), m - 1)
    # The same index from below and from above. The image at the threshold itself is silent in L, but counted in G.
    above, below = h.kthvalue(index + 1, dim=0).values, h.kthvalue(m - index, dim=0).values
    overall = (h >= above).mean(dim=0, dtype=torch.float64)
    return _Firing(((h > above).float(), (h < below).float()), (overall, overall), (100 - percentile) / 100)


def _measure_official(firing: _Firing, groups: _Groups) -> _Measured:
    up, down = (_trajectory_rates(fires, groups) for fires in firing.fires)
    rates = torch.maximum(up, down)
    # Only trajectories long enough and in which the unit fires at all.
    counted = (rates > 0) & (groups.frames >= OFFICIAL_FRAMES)[:, None]
    local = _class_means(rates, groups, counted.double())
    return _Measured(target_conditioned_invariance(local, firing.overall[0]), firing.overall[0], None)


_Prepare = Callable[[Tensor, float | None, _Groups], _Firing]
_Measure = Callable[[_Firing, _Groups], _Measured]
_VARIANTS: dict[str, tuple[_Prepare, _Measure]] = {
    "definition": (_prepare_definition, _measure_definition),
    "official": (_prepare_official, _measure_official),
}


def _top_mean(invariance: Tensor, k: int) -> float:
    # 1/|Y| sum_y 1/K sum of the K largest I_y
    return float(invariance.topk(k, dim=1).values.mean())


# --- arguments --------------------------------------------------------------------------------------------------


def _check_settings(h: Tensor, k: int, variant: str, target_rate: float | None, num_shuffles: int, seed: int) -> None:
    validate.choice("variant", variant, VARIANTS)
    validate.integer("k", k, at_least=1)
    if k > h.shape[1]:
        raise ValueError(f"k must be <= the number of units {h.shape[1]}; got {k}.")
    if target_rate is not None:
        validate.number("target_rate", target_rate, above=0, at_most=1)
    validate.integer("num_shuffles", num_shuffles, at_least=1)
    validate.integer("seed", seed, at_least=0)


def _signs(signs: Tensor | int, h: Tensor) -> Tensor:
    values = torch.as_tensor(signs, device=h.device)
    if values.shape not in ((), h.shape[1:]) or not bool((values.abs() == 1).all()):
        raise ValueError(f"signs must be +1 or -1, one or a tensor ({h.shape[1]},); got {validate.describe(signs)}.")
    return values.to(h.dtype)


def _check_fires(fires: Tensor) -> Tensor:
    """`fires` as float32, which counts whole numbers exactly up to 2^24."""
    numbers = isinstance(fires, Tensor) and fires.dtype != torch.bool
    validate.tensor("fires", fires, "M U", kind="number" if numbers else "bool", meaning="M images, U units")
    if numbers and not bool(((fires == 0) | (fires == 1)).all()):
        raise ValueError(f"fires must be bool, or numbers that are 0 or 1; got {validate.describe(fires)}.")
    return fires.float()


def _group(trajectories: Tensor, classes: Tensor, rows: Tensor) -> _Groups:
    """Number trajectories and classes from 0, and check that each trajectory has one class."""
    for name, values in (("trajectories", trajectories), ("classes", classes)):
        validate.tensor(name, values, "M", kind="integer", meaning="one for each image", M=rows.shape[0])
    ids, trajectory, frames = trajectories.to(rows.device).unique(return_inverse=True, return_counts=True)
    class_ids, label = classes.to(rows.device).unique(return_inverse=True)
    class_of = torch.empty_like(ids, dtype=torch.int64)
    class_of[trajectory] = label  # whichever image of a trajectory comes last; the next line sees whether they agree
    strays = (class_of[trajectory] != label).nonzero()
    if len(strays):
        i = int(strays[0])
        raise ValueError(
            f"classes must be constant along a trajectory; trajectory {int(trajectories[i])} holds the classes "
            f"{sorted(classes[trajectories == trajectories[i]].unique().tolist())}."
        )
    return _Groups(trajectory, frames, class_of, class_ids)
