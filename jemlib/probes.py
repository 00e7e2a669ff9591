"""What frozen features hold: factors at each layer, accuracy with few labels, clusters, neighbours, maps.

All functions take features that are already there, `(N, D)` tensors, except `layers` and `factor_table`, which take a
method. The standard work is scikit-learn's and SciPy's; here are the conventions that make the numbers comparable.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from sklearn.decomposition import PCA
from sklearn.linear_model import RidgeCV
from sklearn.manifold import TSNE
from sklearn.metrics import normalized_mutual_info_score, r2_score
from sklearn.metrics.cluster import contingency_matrix
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from jemlib import validate
from jemlib.data import Images
from jemlib.evaluate import fit_logistic, linear_probe
from jemlib.features import evaluating, features
from jemlib.methods import Method

FACTOR_PROTOCOL = (
    "numbers: ridge regression on standardised features, penalty by leave-one-out on the training samples, R2 on the "
    "test samples, mean over columns; circular factors as (cos, sin); classes: logistic regression, (accuracy - "
    "chance) / (1 - chance), chance = share of the commonest test class"
)
FEW_LABEL_PROTOCOL = (
    "frozen features, standardised by all training features (which needs no label); multinomial logistic regression, "
    "C=1, L-BFGS, at most 200 iterations, on n labels of each class; mean and standard deviation over draws"
)

# --- factors: what can be read off linearly? --------------------------------------------------------------------

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


# --- few labels -------------------------------------------------------------------------------------------------


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


# --- clusters ---------------------------------------------------------------------------------------------------


class ClusterNames(NamedTuple):
    """`classes` `(K,)` of the clusters and `predicted` `(N,)` of the samples, -1 for unnamed; accuracy on the rest."""

    classes: Tensor
    predicted: Tensor
    accuracy: float


def name_clusters(
    assignments: Tensor, labels: Tensor, labelled: Tensor | Sequence[int], *, centroids: Tensor | None = None
) -> ClusterNames:
    """Give clusters the names of classes by a handful of labelled samples, and score the names on all others.

    A cluster gets the commonest class among its labelled samples, the lower number where two are equally common. A
    cluster without any takes the name of the nearest named cluster (Euclidean distance of centroids), or, when no
    centroids are given, stays unnamed: -1, which counts as wrong.

    Args:
        assignments: `(N,)` cluster of each sample, whole numbers >= 0.
        labels: `(N,)` class of each sample, or -1 where it is not known. Only `labels[labelled]` is used for naming;
            the others are the score.
        labelled: positions of the labelled samples, at least one, in [0, N - 1]; repeated ones count once.
        centroids: `(K, D)`, row k is cluster k. It also fixes K, which is otherwise the largest assignment + 1.

    Returns:
        `classes`, `predicted`, and `accuracy`: the fraction right among the samples that are not in `labelled` and
        whose label is known; NaN when there are none.

    Raises:
        TypeError, ValueError: a wrong type, shape or range, or an unknown label among the labelled.
    """
    assignments = _check_ids("assignments", assignments)
    labels = _check_ids("labels", labels, len(assignments), at_least=-1)
    chosen = _positions(labelled, len(assignments))
    if bool((labels[chosen] < 0).any()):
        raise ValueError("labels[labelled] must be classes >= 0; got -1, an unknown label, among them.")
    clusters = int(assignments.max()) + 1
    if centroids is not None:
        centroids = validate.embeddings("centroids", centroids, min_samples=1).cpu()
        if len(centroids) < clusters:
            raise ValueError(f"centroids must have a row for each of {clusters} clusters; got {len(centroids)}.")
        clusters = len(centroids)
    votes = torch.zeros(clusters, int(labels.max()) + 1, dtype=torch.int64)
    votes.index_put_((assignments[chosen], labels[chosen]), torch.ones_like(chosen), accumulate=True)
    named = votes.sum(dim=1) > 0
    # The first of equal maxima, which torch does not promise and NumPy does.
    majority = torch.from_numpy(votes.numpy().argmax(axis=1))
    classes = torch.where(named, majority, -1)
    if centroids is not None:
        nearest = torch.cdist(centroids[~named], centroids[named]).argmin(dim=1)
        classes[~named] = majority[named][nearest]
    predicted = classes[assignments]
    rest = labels >= 0
    rest[chosen] = False
    accuracy = float((predicted == labels)[rest].double().mean())  # the mean of nothing is NaN
    return ClusterNames(classes, predicted, accuracy)


def hungarian_accuracy(assignments: Tensor, labels: Tensor) -> float:
    """Accuracy under the best one-to-one naming of clusters by classes, a fraction in [0, 1].

    It looks at all labels, so it measures a clustering and is no classifier's accuracy. With more clusters than
    classes the clusters left over count as wrong, however pure they are. At collapse into one cluster it is the share
    of the commonest class.

    Args:
        assignments, labels: `(N,)` whole numbers >= 0.

    Raises:
        TypeError, ValueError: a wrong type, shape or range.

    Source: Kuhn, The Hungarian method for the assignment problem, 1955; the matching is SciPy's.
    """
    assignments = _check_ids("assignments", assignments)
    labels = _check_ids("labels", labels, len(assignments))
    counts = contingency_matrix(labels.numpy(), assignments.numpy())
    # max over one-to-one maps m of  (1/N) sum_k count[m(k), k]
    rows, columns = linear_sum_assignment(counts, maximize=True)
    return float(counts[rows, columns].sum() / len(labels))


def normalized_mutual_information(assignments: Tensor, labels: Tensor) -> float:
    """`I(cluster; class) / mean(H(cluster), H(class))`, in [0, 1]: 1 for the same partition, 0 for independent ones.

    Convention: the arithmetic mean of the two entropies, by scikit-learn. Not adjusted for chance: many small clusters
    score above 0 on random labels. At collapse into one cluster it is 0, unless there is only one class as well: 1.

    Args, Raises: as `hungarian_accuracy`.
    """
    assignments = _check_ids("assignments", assignments)
    labels = _check_ids("labels", labels, len(assignments))
    return float(normalized_mutual_info_score(labels.numpy(), assignments.numpy()))


# --- neighbours and maps ----------------------------------------------------------------------------------------


class Neighbours(NamedTuple):
    """Both `(M, k)`, nearest first: positions in the bank, and cosine similarities in [-1, 1]."""

    indices: Tensor
    similarities: Tensor


def nearest_neighbours(query_features: Tensor, bank_features: Tensor, k: int = 8) -> Neighbours:
    """The k rows of the bank with the largest cosine similarity to each query.

    A query that is itself in the bank finds itself; ask for one more and drop it. Equal similarities come in any
    order. A zero row has similarity 0 to everything.

    Args:
        query_features, bank_features: `(M, D)` and `(N, D)`.
        k: 1 <= k <= N.

    Raises:
        TypeError, ValueError: shapes do not agree, features are not finite, or k is out of range.
    """
    query = validate.embeddings("query_features", query_features, min_samples=1)
    bank = validate.embeddings("bank_features", bank_features, min_samples=1)
    _check_same_dimensions("query_features", query, "bank_features", bank)
    validate.integer("k", k, at_least=1)
    if k > len(bank):
        raise ValueError(f"k must be <= the number of rows of bank_features, {len(bank)}; got {k}.")
    search = NearestNeighbors(n_neighbors=k, metric="cosine").fit(bank.detach().cpu().numpy())
    distances, indices = search.kneighbors(query.detach().cpu().numpy())
    return Neighbours(torch.from_numpy(indices), torch.from_numpy(1 - distances).to(query.dtype))


def embedding_map(z: Tensor, kind: str = "pca", seed: int = 0, limit: int = 2000) -> Tensor:
    """Embeddings as points in the plane: `(N, D)` -> `(N, 2)`, by principal components or t-SNE.

    Rows are l2-normalised, as the kNN classifier compares them, and then centred. Dimensions are not rescaled, because
    that would blow up those that hardly vary. Distances on a PCA map are real ones, shortened; on a t-SNE map only
    nearness means something, sizes of clusters and gaps between them do not.

    Convention: PCA axes are signed so that the largest loading is positive. t-SNE starts from PCA, with perplexity 30,
    or (N - 1) / 3 where that is less. The same seed gives the same map on one machine; t-SNE magnifies rounding, so
    another machine may draw another.

    Args:
        z: `(N, D)` embeddings, N >= 3, D >= 2.
        kind: `pca`, or `tsne`, which takes seconds for 2,000 points and grows faster than N.
        seed: of t-SNE, >= 0.
        limit: an error rather than a long wait when N is larger; choose rows, and their labels with them.

    Returns:
        `(N, 2)` float32. When all rows point the same way (complete collapse), all points are 0.

    Raises:
        TypeError, ValueError: a wrong type, shape or range, or N > limit.
    """
    z = validate.embeddings("z", z, min_samples=3)
    validate.choice("kind", kind, ("pca", "tsne"))
    validate.integer("seed", seed, at_least=0)
    validate.integer("limit", limit, at_least=3)
    n, d = z.shape
    if d < 2:
        raise ValueError(f"z must have at least 2 dimensions to be mapped to 2; got shape {tuple(z.shape)}.")
    if n > limit:
        raise ValueError(f"z must have at most limit={limit} samples; got {n}. Map z[:: {-(-n // limit)}] instead.")
    u = F.normalize(z.detach().cpu().double(), dim=1)
    u = u - u.mean(dim=0)
    if float(u.abs().max()) < 1e-6:  # a map of rounding errors would look like structure
        return torch.zeros(n, 2)
    if kind == "pca":
        pca = PCA(n_components=2, svd_solver="full").fit(u.numpy())
        largest = np.abs(pca.components_).argmax(axis=1)
        points = pca.transform(u.numpy()) * np.sign(pca.components_[[0, 1], largest])
    else:
        tsne = TSNE(n_components=2, perplexity=min(30.0, (n - 1) / 3), init="pca", random_state=seed)
        points = tsne.fit_transform(u.float().numpy())
    return torch.from_numpy(points).float()


# --- checks -----------------------------------------------------------------------------------------------------


def _check_same_dimensions(name_a: str, a: Tensor, name_b: str, b: Tensor) -> None:
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"{name_a} and {name_b} must have the same D; got {a.shape[1]} and {b.shape[1]}.")


def _check_features(train: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:
    train = validate.embeddings("the training features", train).detach()
    test = validate.embeddings("the test features", test).detach()
    _check_same_dimensions("the training features", train, "the test features", test)
    return train, test


def _check_factors(name: str, factors: Mapping[str, Tensor], n: int) -> dict[str, Tensor]:
    """The factors on the CPU, each `(n,)` or `(n, columns)` and finite, classes `(n,)`."""
    if not isinstance(factors, Mapping):
        raise TypeError(f"{name} must be a dict of tensors, as Images.factors; got {type(factors).__name__}.")
    for key, values in factors.items():
        if not isinstance(values, Tensor):
            raise TypeError(f"{name}[{key!r}] must be a torch.Tensor; got {type(values).__name__}.")
        columns = 2 if values.is_floating_point() else 1
        if not 1 <= values.ndim <= columns or len(values) != n:
            wanted = f"({n},) or ({n}, columns)" if columns == 2 else f"({n},), whole numbers being classes"
            raise ValueError(f"{name}[{key!r}] must have shape {wanted}; got shape {tuple(values.shape)}.")
        if values.is_floating_point():
            validate.finite(f"{name}[{key!r}]", values)
    return {key: values.detach().cpu() for key, values in factors.items()}


def _check_ids(name: str, values: Tensor, n: int | None = None, *, at_least: int = 0) -> Tensor:
    """Class or cluster numbers as an `(n,)` int64 tensor on the CPU."""
    if not isinstance(values, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor of shape (N,); got {type(values).__name__}.")
    if values.is_floating_point() or values.is_complex() or values.dtype == torch.bool:
        raise TypeError(f"{name} must be whole numbers; got {validate.describe(values)}.")
    if values.ndim != 1 or len(values) == 0 or (n is not None and len(values) != n):
        wanted = "(N,), N >= 1" if n is None else f"({n},), one for each sample"
        raise ValueError(f"{name} must have shape {wanted}; got shape {tuple(values.shape)}.")
    if int(values.min()) < at_least:
        raise ValueError(f"{name} must be >= {at_least}; got {int(values.min())}.")
    return values.detach().cpu().long()


def _positions(labelled: Tensor | Sequence[int], n: int) -> Tensor:
    positions = labelled if isinstance(labelled, Tensor) else torch.as_tensor(list(labelled), dtype=torch.int64)
    positions = _check_ids("labelled", positions).unique()
    if int(positions[-1]) >= n:
        raise ValueError(f"labelled must lie in [0, {n - 1}], positions of samples; got {int(positions[-1])}.")
    return positions
