"""Which factor can be read off linearly at which layer, and how far few labels go."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from jemlib import validate
from jemlib.data import Images
from jemlib.evaluate.checks import _check_factors, _check_features, _check_ids
from jemlib.evaluate.scores import fit_logistic, linear_probe
from jemlib.methods import Method
from jemlib.nets import evaluating, features

FACTOR_PROTOCOL = (
    "numbers: ridge regression on standardised features, penalty by leave-one-out on the training samples, R2 on the "
    "test samples, mean over columns; circular factors as (cos, sin); classes: logistic regression, (accuracy - "
    "chance) / (1 - chance), chance = share of the commonest test class"
)

FEW_LABEL_PROTOCOL = (
    "frozen features, standardised by all training features (which needs no label); multinomial logistic regression, "
    "C=1, L-BFGS, at most 200 iterations, on n labels of each class; mean and standard deviation over draws"
)


# Factors of the motifs that come back to where they began, and after how much. `rotation` is not among them: it is
# drawn from one radian, where the cosine is an even function and would halve a perfect score. `phase` is exact for
# most patterns only; bricks and zigzags repeat later along v.
CIRCULAR: Mapping[str, float] = {
    "foreground_hue": 1.0,
    "background_hue": 1.0,
    "phase": 1.0,
    "light_angle": math.tau,
    "occlusion_angle": math.tau,
}
# A seed is a name, not a quantity: images with neighbouring seeds have nothing in common.
NAMES = ("noise_seed",)

PENALTIES = np.logspace(-2, 6, 9)


def factor_probe(
    features_train: Tensor,
    factors_train: Mapping[str, Tensor],
    features_test: Tensor,
    factors_test: Mapping[str, Tensor],
    *,
    circular: Mapping[str, float] = CIRCULAR,
) -> dict[str, float]:
    """How well each factor can be read off the features by a linear map: fitted on train, scored on test.

    Three kinds of factor, all scored so that 1 is perfect and 0 is knowing nothing; below 0 is worse than a constant
    guess, which happens by chance where there is nothing to read.

    - numbers (floating point): R2 of ridge regression; with several columns, the mean of their R2.
    - circular numbers: each column is predicted as (cos, sin) of its angle, and the score is the mean R2 of both, so
      that hues 0.99 and 0.01 are near.
    - classes (whole numbers): (accuracy - chance) / (1 - chance) of logistic regression, where chance is the share
      of the commonest class among the test samples.

    Left out, because there is nothing to read: factors that are constant over the training or the test samples (as
    `occlusion` is in the motifs), and `noise_seed`. Single columns that are constant are left out of the mean.
    `occlusion_angle` stays, though nothing shows it while `occlusion` is 0: its score says what nothing looks like.

    Args:
        features_train, features_test: `(N, D)` and `(M, D)`; N >= 2, M >= 2.
        factors_train, factors_test: the same names, each `(N,)` or `(N, columns)`, as in `Images.factors`. Names with
            a prefix, as `left.pattern` of a scene, are treated as the part after the dot.
        circular: period of each circular factor, in the factor's own unit.

    Returns:
        `{factor: score}` in the order of `factors_train`, each <= 1.

    Raises:
        TypeError, ValueError: shapes or names do not agree, or a value is not finite.
    """
    features_train, features_test = _check_features(features_train, features_test)
    factors_train = _check_factors("factors_train", factors_train, len(features_train))
    factors_test = _check_factors("factors_test", factors_test, len(features_test))
    if set(factors_train) != set(factors_test):
        raise ValueError(
            f"factors_train and factors_test must hold the same names; only one of them holds "
            f"{sorted(set(factors_train) ^ set(factors_test))}."
        )
    targets: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    scores = dict.fromkeys(factors_train, math.nan)
    for name, train in factors_train.items():
        test, kind = factors_test[name], name.rpartition(".")[2]
        if kind in NAMES:
            continue
        if train.is_floating_point():
            period = circular.get(name, circular.get(kind))
            train_columns, test_columns = _columns(train, period), _columns(test, period)
            varies = _varies(train_columns) & _varies(test_columns)
            if varies.any():
                targets[name] = train_columns[:, varies], test_columns[:, varies]
        elif len(train.unique()) > 1 and len(test.unique()) > 1:
            chance = float(test.unique(return_counts=True)[1].max()) / len(test)
            accuracy = linear_probe(features_train, train, features_test, test)
            scores[name] = (accuracy - chance) / (1 - chance)
    if targets:
        scores |= _ridge_scores(features_train, features_test, targets)
    return {name: score for name, score in scores.items() if not math.isnan(score)}


def _ridge_scores(
    features_train: Tensor, features_test: Tensor, targets: Mapping[str, tuple[np.ndarray, np.ndarray]]
) -> dict[str, float]:
    """R2 of each factor, mean over its columns. One fit for all factors shares the decomposition of the features."""
    scaler = StandardScaler().fit(features_train.double().cpu().numpy())
    x_train = scaler.transform(features_train.double().cpu().numpy())
    x_test = scaler.transform(features_test.double().cpu().numpy())
    y_train, y_test = (np.concatenate(parts, axis=1) for parts in zip(*targets.values()))
    ridge = RidgeCV(PENALTIES, alpha_per_target=True).fit(x_train, y_train)
    predicted = ridge.predict(x_test).reshape(y_test.shape)
    # R2_t = 1 - sum_n (y_nt - predicted_nt)^2 / sum_n (y_nt - mean_n y_nt)^2
    r2 = r2_score(y_test, predicted, multioutput="raw_values")
    owner = np.repeat(np.arange(len(targets)), [train.shape[1] for train, _ in targets.values()])
    return {name: float(r2[owner == i].mean()) for i, name in enumerate(targets)}


def _columns(values: Tensor, period: float | None) -> np.ndarray:
    """What the regression predicts: the columns of a factor, or (cos, sin) of each when it is circular."""
    columns: np.ndarray = values.double().cpu().numpy().reshape(len(values), -1)
    if period is None:
        return columns
    angle = columns * (math.tau / period)
    return np.concatenate([np.cos(angle), np.sin(angle)], axis=1)


def _varies(columns: np.ndarray) -> np.ndarray:
    """Which columns are more than rounding away from constant."""
    varies: np.ndarray = np.ptp(columns, axis=0) > 1e-6 * np.maximum(1e-6, np.abs(columns).max(axis=0))
    return varies


def layers(method: Method, images: Images, *, batch_size: int = 500) -> dict[str, Tensor]:
    """Features of un-augmented images at every depth of a method, in evaluation mode, from the bottom up.

    Args:
        method: its `projector` must be an `nn.Sequential`, as `jemlib.nets.head` builds.
        images: any number of images.
        batch_size: images at a time.

    Returns:
        `{"backbone": (N, D_0), "projector 1": (N, D_1), ..., "output": (N, D_L)}`, float32, on the CPU. A projector
        layer is taken after its batch norm and ReLU; `output` is what the loss works on: the last linear layer, and
        a norm behind it where there is one. Without a projector there is `backbone` alone. Predictors and
        prototypes are not part of it.

    Raises:
        TypeError: the method has no such projector.
    """
    projector = getattr(method, "projector", None)
    if not isinstance(projector, nn.Sequential):
        raise TypeError(f"method must have a projector that is an nn.Sequential; got {type(projector).__name__}.")
    blocks = _blocks(projector)
    found = {"backbone": features(method.backbone, images, batch_size=batch_size)}
    device = next((p.device for p in projector.parameters()), torch.device("cpu"))
    x = found["backbone"].to(device)
    with evaluating(projector):
        for number, block in enumerate(blocks, start=1):
            x = block(x)
            found["output" if number == len(blocks) else f"projector {number}"] = x.float().cpu()
    return found


def _blocks(projector: nn.Sequential) -> list[nn.Sequential]:
    """The projector cut before each linear layer but the first: a linear layer with the norm and ReLU after it."""
    blocks: list[list[nn.Module]] = []
    for part in projector:
        if not blocks or (isinstance(part, nn.Linear) and any(isinstance(p, nn.Linear) for p in blocks[-1])):
            blocks.append([])
        blocks[-1].append(part)
    return [nn.Sequential(*block) for block in blocks]


def factor_table(method: Method, train_images: Images, test_images: Images) -> dict[str, dict[str, float]]:
    """`factor_probe` at each of `layers`: `{layer: {factor: score}}`, which says where a factor is lost.

    Raises:
        ValueError: the images have no known factors, as only generated ones have.
    """
    for name, images in (("train_images", train_images), ("test_images", test_images)):
        if images.factors is None:
            raise ValueError(f"{name} must have known factors, as motifs have; {images!r} has none.")
    train, test = layers(method, train_images), layers(method, test_images)
    factors_train, factors_test = train_images.factors or {}, test_images.factors or {}
    return {name: factor_probe(train[name], factors_train, test[name], factors_test) for name in train}


def few_label_accuracy(
    train_features: Tensor,
    train_labels: Tensor,
    test_features: Tensor,
    test_labels: Tensor,
    labels_per_class: Sequence[int] = (1, 5, 10, 100),
    draws: int = 5,
    seed: int = 0,
) -> dict[int, tuple[float, float]]:
    """Accuracy of logistic regression when only n training samples of each class have a label.

    Convention: `FEW_LABEL_PROTOCOL`, the probe of `evaluate.linear_probe` with fewer labels. Draws are balanced, and
    within a draw the labels of a small n are among those of a larger one, so that the points of a curve are paired.
    Standardised, a dimension that hardly varies counts as much as any other: noise in idle ones hurts with few labels.

    Args:
        train_features, test_features: `(N, D)` and `(M, D)`.
        train_labels, test_labels: `(N,)` and `(M,)`, whole numbers >= 0, at least two classes in train.
        labels_per_class: the n to try.
        draws: how many times the labels are drawn, >= 1.
        seed: of the draws, >= 0.

    Returns:
        `{n: (mean, standard deviation)}` over the draws, fractions in [0, 1]. The standard deviation is that of a
        sample (divided by draws - 1), and 0 for one draw. At collapse the mean is chance.

    Raises:
        TypeError, ValueError: shapes do not agree, or a class has fewer than n training samples.
    """
    train_features, test_features = _check_features(train_features, test_features)
    y_train = _check_ids("train_labels", train_labels, len(train_features)).numpy()
    y_test = _check_ids("test_labels", test_labels, len(test_features)).numpy()
    validate.integer("draws", draws, at_least=1)
    validate.integer("seed", seed, at_least=0)
    validate.integer("number of labels_per_class", len(labels_per_class), at_least=1)
    classes, counts = np.unique(y_train, return_counts=True)
    if len(classes) < 2:
        raise ValueError("train_labels must hold at least two classes; got one.")
    for n in labels_per_class:
        validate.integer("labels_per_class", n, at_least=1)
        if n > counts.min():
            raise ValueError(
                f"labels_per_class must be <= the size of every class in train_labels; got {n}, but class "
                f"{classes[counts.argmin()]} has {counts.min()} samples."
            )
    scaler = StandardScaler().fit(train_features.cpu().numpy())
    x_train, x_test = (scaler.transform(x.cpu().numpy()) for x in (train_features, test_features))
    accuracies: dict[int, list[float]] = {n: [] for n in labels_per_class}
    for draw in range(draws):
        order = np.random.default_rng((seed, draw)).permutation(len(y_train))
        members = [order[y_train[order] == c] for c in classes]
        for n, found in accuracies.items():
            index = np.concatenate([of_class[:n] for of_class in members])
            predicted = fit_logistic(x_train[index], y_train[index], 1.0, 200).predict(x_test)
            found.append(float(np.mean(predicted == y_test)))
    spread = 1 if draws > 1 else 0
    return {n: (float(np.mean(found)), float(np.std(found, ddof=spread))) for n, found in accuracies.items()}
