"""Clusters against labels: naming them by a few, matching them to classes, mutual information."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.metrics import normalized_mutual_info_score
from sklearn.metrics.cluster import contingency_matrix
from torch import Tensor

from jemlib import validate
from jemlib.data import Images
from jemlib.evaluate.checks import _check_ids, _positions
from jemlib.evaluate.scores import embeddings
from jemlib.methods import Method
from jemlib.nets import features


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


class Clusters(NamedTuple):
    """Which cluster each training and test image is in, `(N,)` and `(M,)`, and the centres `(K, D)`."""

    train: Tensor
    test: Tensor
    centroids: Tensor


def nearest_prototypes(method: Method, train: Images, test: Images) -> Clusters:
    """Each image belongs to the prototype with the largest score; images as they are, without augmentation."""
    prototypes: Any = method.cpu().prototypes
    with torch.no_grad():
        near, near_test = (prototypes(embeddings(method, images)).argmax(dim=1) for images in (train, test))
    return Clusters(near, near_test, F.normalize(prototypes.weight.detach(), dim=1))


def k_means(method: Method, train: Images, test: Images, count: int, seed: int = 0) -> Clusters:
    """k-means of the backbone's features, fitted on at most 5,000 training images."""
    z, z_test = features(method.backbone, train), features(method.backbone, test)
    fitted = KMeans(min(count, len(z)), n_init=1, random_state=seed).fit(z[:5000].numpy())
    near, near_test = (torch.from_numpy(fitted.predict(x.numpy())).long() for x in (z, z_test))
    return Clusters(near, near_test, torch.from_numpy(fitted.cluster_centers_).float())


def draw_labelled(labels: Tensor, per_class: int, draw: int) -> Tensor:
    """Positions of `per_class` random samples of each class."""
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(draw))
    return torch.cat([order[labels[order] == c][:per_class] for c in range(int(labels.max()) + 1)])


def naming_accuracy(
    clusters: Clusters, train_labels: Tensor, test_labels: Tensor, per_class: int, draws: int = 10
) -> tuple[float, float]:
    """Accuracy on the test images when clusters are named by a few labelled training images: mean and deviation.

    A cluster without a labelled image takes the name of the nearest one that has some.
    """
    found = []
    for draw in range(draws):
        chosen = draw_labelled(train_labels, per_class, draw)
        assignments = torch.cat([clusters.train[chosen], clusters.test])
        labels = torch.cat([train_labels[chosen], test_labels])
        named = name_clusters(assignments, labels, torch.arange(len(chosen)), centroids=clusters.centroids)
        found.append(named.accuracy)
    return statistics.fmean(found), statistics.stdev(found)
